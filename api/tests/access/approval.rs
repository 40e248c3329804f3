//! What takes two people: proposed by one, carried out by another, and by nobody alone.

use api::identity::model::Role;
use serde_json::{Value, json};
use store::{Amount, PartyId, on_both_databases};

use crate::client::Api;

/// The platform's bank and fees, a customer's wallet, and two people of finance.
struct Office {
    api: Api,
    ann: String,
    ben: String,
    bank: String,
    fees: String,
    wallet: String,
    customer: PartyId,
}

impl Office {
    fn new(db: store::testing::TestDb) -> Self {
        let api = Api::new(db);
        let [ann, ben] =
            ["ann", "ben"].map(|who| api.token(&format!("{who}@example.org"), Role::Finance));
        let (customer, token) = api.party("c@example.org", Role::Customer);
        api.deposit(&token, "d", "5000").ok();
        let open = |code, party| {
            let opened = api.db.store.write(|tx| ledger::open_account(tx, code, party, "USD"));
            opened.unwrap().to_string()
        };
        let bank = open(ledger::Code::Bank, PartyId::NIL);
        let fees = open(ledger::Code::FeeIncome, PartyId::NIL);
        let wallet = open(ledger::Code::CustomerWallet, customer);
        Self { api, ann, ben, bank, fees, wallet, customer }
    }

    /// 12.50 from the bank account to fees, or what is named instead.
    fn journal(&self, change: &Value) -> Value {
        let mut proposal = json!({
            "kind": "journal",
            "effective_on": "2026-10-31",
            "legs": [
                { "account": self.bank, "debit": "12.50" },
                { "account": self.fees, "credit": "12.50" },
            ],
        });
        for (name, value) in change.as_object().unwrap() {
            proposal[name] = value.clone();
        }
        json!({ "proposal": proposal, "reason": "Interest of October" })
    }

    fn propose(&self, token: &str, key: &str, body: &Value) -> crate::client::Reply {
        self.api.post("/v1/approvals", token, key, body)
    }

    fn approve(&self, id: &Value, token: &str, key: &str) -> crate::client::Reply {
        let path = format!("/v1/approvals/{}/approve", id.as_str().unwrap());
        self.api.post(&path, token, key, &json!({}))
    }

    fn report(&self, question: &str) -> Value {
        self.api.get(&format!("/v1/reports/{question}"), &self.ann).ok()["rows"].clone()
    }

    fn fees_on(&self, day: &str) -> Value {
        let rows = self.report(&format!("trial_balance?as_of={day}"));
        let row = rows.as_array().unwrap().iter().find(|row| row["account"] == "fee_income");
        row.unwrap()["credit"].clone()
    }
}

on_both_databases! {
    fn one_proposes_a_journal_and_another_posts_it(db) {
        let office = Office::new(db);
        let journal = office.journal(&json!({}));
        let proposed = office.propose(&office.ann, "p", &journal).ok();
        assert_eq!((&proposed["state"], &proposed["result"]), (&json!("proposed"), &Value::Null));
        assert!(office.propose(&office.ann, "p", &journal).replayed);
        assert_eq!(office.fees_on("2026-11-24"), "0.000000", "it was tried out and undone");
        let id = &proposed["id"];
        office.approve(id, &office.ann, "a").refused(409, "wrong_state");
        let operator = office.api.token("op@example.org", Role::Operator);
        office.approve(id, &operator, "a").refused(403, "wrong_role");
        let done = office.approve(id, &office.ben, "a").ok();
        assert_eq!(done["state"], "executed");
        assert!(office.approve(id, &office.ben, "a").replayed);
        office.approve(id, &office.ben, "b").refused(409, "wrong_state");
        assert_eq!(office.fees_on("2026-10-31"), "12.500000");
        assert_eq!(office.fees_on("2026-10-30"), "0.000000");
        let path = format!("/v1/ledger/transactions/{}", done["result"].as_str().unwrap());
        let metadata = office.api.get(&path, &office.ann).ok()["metadata"].clone();
        assert_eq!((&metadata["by"], &metadata["approved_by"], &metadata["approval"]),
            (&done["proposed_by"], &done["decided_by"], id));
        assert_eq!(metadata["reason"], "Interest of October");
        let listed = office.api.get("/v1/approvals", &office.ann).ok();
        assert_eq!(listed["data"], json!([done]));
    }
}

on_both_databases! {
    fn an_accrual_undoes_itself(db) {
        let office = Office::new(db);
        let accrual = office.journal(&json!({ "reverse_on": "2026-11-01" }));
        let id = office.propose(&office.ann, "p", &accrual).ok()["id"].clone();
        office.approve(&id, &office.ben, "a").ok();
        assert_eq!(office.fees_on("2026-10-31"), "12.500000");
        assert_eq!(office.fees_on("2026-11-01"), "0.000000");
        let of_customer = office.journal(&json!({ "reverse_on": "2026-11-01", "legs": [
            { "account": office.bank, "debit": "1" }, { "account": office.wallet, "credit": "1" },
        ] }));
        let refused = office.propose(&office.ann, "q", &of_customer).refused(422, "invalid_body");
        assert_eq!(refused["errors"][0]["pointer"], "/proposal/legs/1/account");
    }
}

on_both_databases! {
    fn a_journal_that_cannot_be_posted_is_refused_when_it_is_proposed(db) {
        let office = Office::new(db);
        let before = office.api.rows();
        let (bank, fees) = (&office.bank, &office.fees);
        let none = "acct_01kayz3v8ne7m9xqk2y4t6w8b0";
        for change in [
            json!({ "legs": [{ "account": bank, "debit": "1" }, { "account": fees, "credit": "2" }] }),
            json!({ "legs": [{ "account": bank, "debit": "1" }] }),
            json!({ "legs": [{ "account": bank, "debit": "1" }, { "account": bank, "credit": "1" }] }),
            json!({ "legs": [{ "account": bank, "debit": "1" }, { "account": none, "credit": "1" }] }),
            json!({ "legs": [{ "account": bank, "debit": "-1" }, { "account": fees, "credit": "-1" }] }),
            json!({ "legs": [{ "account": bank, "debit": "1", "credit": "1" }, { "account": fees }] }),
            json!({ "legs": [{ "account": bank, "debit": 1 }, { "account": fees, "credit": 1 }] }),
            json!({ "effective_on": "2026-11-25" }),
            json!({ "effective_on": "soon" }),
            json!({ "reverse_on": "2026-10-31" }),
            json!({ "kind": "gift" }),
            json!({ "colour": "red" }),
        ] {
            let body = office.journal(&change);
            office.propose(&office.ann, "k", &body).refused(422, "invalid_body");
        }
        let poor = office.journal(&json!({ "legs": [
            { "account": office.wallet, "debit": "5001" }, { "account": fees, "credit": "5001" },
        ] }));
        office.propose(&office.ann, "k", &poor).refused(422, "insufficient_funds");
        assert_eq!(office.api.rows(), before);
        let close = |what: &str| {
            let path = format!("/v1/ledger/periods/2026-10/{what}");
            office.api.post(&path, &office.ann, what, &json!({ "reason": "month's end" })).ok()
        };
        assert_eq!(close("soft-close")["state"], "soft");
        office.propose(&office.ann, "k", &office.journal(&json!({}))).ok();
        assert_eq!(close("close")["state"], "closed");
        office.propose(&office.ann, "l", &office.journal(&json!({}))).refused(422, "period_closed");
    }
}

on_both_databases! {
    fn what_is_not_possible_any_more_waits(db) {
        let office = Office::new(db);
        let id = office.propose(&office.ann, "p", &office.journal(&json!({}))).ok()["id"].clone();
        let close = json!({ "reason": "month's end" });
        office.api.post("/v1/ledger/periods/2026-10/close", &office.ann, "c", &close).ok();
        office.approve(&id, &office.ben, "a").refused(422, "period_closed");
        let path = format!("/v1/approvals/{}", id.as_str().unwrap());
        assert_eq!(office.api.get(&path, &office.ben).ok()["state"], "proposed");
        let why = json!({ "reason": "The month is closed" });
        let rejected = office.api.post(&format!("{path}/reject"), &office.ann, "r", &why).ok();
        assert_eq!((&rejected["state"], &rejected["rejection"]), (&json!("rejected"), &why["reason"]));
        office.approve(&id, &office.ben, "b").refused(409, "wrong_state");
        let customer = office.api.token("x@example.org", Role::Customer);
        office.api.get(&path, &customer).refused(403, "wrong_role");
        office.api.get("/v1/approvals/appr_01kayz3v8ne7m9xqk2y4t6w8b0", &office.ann).refused(404, "not_found");
    }
}

on_both_databases! {
    fn large_refunds_take_two_and_so_does_the_limit(db) {
        let office = Office::new(db);
        let deposit = office.report("journal")[0]["transaction"].clone();
        let refund = |key: &str, amount: &str| {
            let path = format!("/v1/ledger/transactions/{}/refund", deposit.as_str().unwrap());
            let amount = json!({ "amount": amount, "currency": "USD" });
            let body = json!({ "account": office.wallet, "amount": amount, "reason": "not used" });
            office.api.post(&path, &office.ann, key, &body)
        };
        refund("a", "1000").ok();
        refund("b", "1000.01").refused(403, "approval_needed");
        let amount = json!({ "amount": "2000", "currency": "USD" });
        let large = json!({ "reason": "not used", "proposal": { "kind": "refund",
            "transaction": deposit, "account": office.wallet, "amount": amount } });
        let id = office.propose(&office.ann, "p", &large).ok()["id"].clone();
        office.approve(&id, &office.ben, "q").ok();
        let wallet = office.api.db.store.read(|tx| {
            ledger::party_balance(tx, ledger::Code::CustomerWallet, office.customer, "USD")
        });
        assert_eq!(wallet.unwrap().posted, Amount(2_000_000_000));

        let limit = |from: &str, amount: &str, currency: &str| json!({ "reason": "house rules",
            "proposal": { "kind": "limit", "from": from,
                "refund": { "amount": amount, "currency": currency } } });
        for wrong in [limit("2026-01-01T00:00:00Z", "5", "USD"), limit("2027-01-01T00:00:00Z", "-5", "USD"),
            limit("2027-01-01T00:00:00Z", "5", "XXX")] {
            office.propose(&office.ann, "w", &wrong).refused(422, "invalid_body");
        }
        let id = office.propose(&office.ann, "l", &limit("2026-11-24T00:05:00Z", "5", "USD")).ok();
        office.approve(&id["id"], &office.ben, "m").ok();
        refund("c", "6").ok();
        office.api.db.clock.advance_s(300);
        refund("d", "6").refused(403, "approval_needed");
        refund("e", "5").ok();
    }
}

on_both_databases! {
    fn a_month_is_closed_when_its_list_is_done(db) {
        let office = Office::new(db);
        let store = &office.api.db.store;
        let october = |what: &str, reason: &str, key: &str| {
            let path = format!("/v1/ledger/periods/2026-10/{what}");
            office.api.post(&path, &office.ann, key, &json!({ "reason": reason }))
        };
        let open = || {
            let list = office.api.get("/v1/ledger/periods/2026-10/check-list", &office.ann).ok();
            let items = list.as_array().unwrap().clone();
            let left = items.iter().filter(|item| item["open"] != 0);
            left.map(|item| item["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(open(), Vec::<String>::new());
        // A hold of the past that nobody has released.
        let held = store.write(|tx| {
            let expires_at = store::Timestamp::parse("2026-10-20");
            let account = office.wallet.parse().unwrap();
            let subject = "test".to_owned();
            let key = "old".to_owned();
            ledger::place_hold(tx, &ledger::NewHold { key, account, amount: Amount(1), subject, expires_at })
        });
        assert_eq!(open(), ["overdue_holds"]);
        let refused = october("close", "month's end", "a").refused(409, "not_ready");
        assert_eq!(refused["detail"], "On the check list: 1 overdue_holds.");
        assert_eq!(october("soft-close", "month's end", "b").ok()["state"], "soft");
        store.write(|tx| ledger::release_hold(tx, held.unwrap().id)).unwrap();
        assert_eq!(open(), Vec::<String>::new());
        assert_eq!(october("close", "month's end", "c").ok()["state"], "closed");
    }
}
