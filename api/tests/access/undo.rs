//! Undoing transactions and closing months over the API: who may, and what is refused.

use api::identity::model::Role;
use serde_json::{Value, json};
use store::on_both_databases;

use crate::client::Api;

fn why(reason: &str) -> Value {
    json!({ "reason": reason })
}

/// The transaction of a customer's deposit, and the wallet it went to.
fn deposit(api: &Api, customer: &str, finance: &str) -> (String, String) {
    let id = api.deposit(customer, "d", "100").ok()["id"].as_str().unwrap().to_owned();
    let found = api.get(&format!("/v1/ledger/transactions?subject={id}"), finance).ok();
    let id = found["data"][0]["transaction"].as_str().unwrap().to_owned();
    let path = format!("/v1/ledger/transactions/{id}");
    let legs = api.get(&path, finance).ok()["legs"].clone();
    (path, legs[1]["account"].as_str().unwrap().to_owned())
}

on_both_databases! {
    fn finance_refunds_and_reverses(db) {
        let api = Api::new(db);
        let customer = api.token("c@example.org", Role::Customer);
        let finance = api.token("f@example.org", Role::Finance);
        let (path, wallet) = deposit(&api, &customer, &finance);
        let refund = |key: &str, account: &str, amount: &str, currency: &str| {
            let amount = json!({ "amount": amount, "currency": currency });
            let body = json!({ "account": account, "amount": amount, "reason": "sent too much" });
            api.post(&format!("{path}/refund"), &finance, key, &body)
        };
        let reverse = |key: &str, token: &str, reason: &str| {
            api.post(&format!("{path}/reverse"), token, key, &why(reason))
        };
        let before = api.rows();
        reverse("x", &customer, "mine").refused(403, "wrong_role");
        reverse("x", "", "mine").refused(401, "token_missing");
        reverse("", &finance, "no key").refused(400, "missing_idempotency_key");
        reverse("x", &finance, "").refused(422, "invalid_body");
        refund("x", &wallet, "-101", "EUR").refused(422, "invalid_body");
        refund("x", "acct_01kayz3v8ne7m9xqk2y4t6w8b0", "1", "USD").refused(422, "invalid_body");
        refund("x", &wallet, "101", "USD").refused(422, "amount_out_of_range");
        refund("x", &wallet, "0", "USD").refused(422, "amount_not_positive");
        assert_eq!(api.rows(), before);

        let first = refund("r", &wallet, "30", "USD").ok();
        assert!(refund("r", &wallet, "30", "USD").replayed);
        // A deposit is the wallet's gain: what is given back to it by a refund is a debit of it.
        assert_eq!(api.available(&customer), "70.000000");
        let id = first["transaction"].as_str().unwrap();
        let explained = api.get(&format!("/v1/ledger/transactions/{id}"), &finance).ok();
        assert_eq!(explained["metadata"]["reason"], "sent too much");
        assert!(explained["metadata"]["by"].as_str().unwrap().starts_with("party_"), "{explained}");
        reverse("y", &finance, "all of it").refused(409, "wrong_state");
        refund("s", &wallet, "70", "USD").ok();
        assert_eq!(api.available(&customer), "0.000000");
        let reversed = api.post(&format!("/v1/ledger/transactions/{id}/reverse"), &finance, "z", &why("not too much"));
        reversed.ok();
        assert_eq!(api.available(&customer), "30.000000");
    }
}

on_both_databases! {
    fn months_close_and_open_again_by_two_people(db) {
        let api = Api::new(db);
        let customer = api.token("c@example.org", Role::Customer);
        let [ann, ben] = ["ann@example.org", "ben@example.org"].map(|who| api.token(who, Role::Finance));
        let act = |month: &str, what: &str, token: &str, key: &str| {
            api.post(&format!("/v1/ledger/periods/{month}/{what}"), token, key, &why("month's end"))
        };
        act("2026-10", "close", &customer, "k").refused(403, "wrong_role");
        act("2026-11", "close", &ann, "k").refused(409, "wrong_state");
        act("2026-13", "close", &ann, "k").refused(404, "not_found");
        act("2026-10", "reopen", &ann, "k").refused(409, "wrong_state");
        let closed = act("2026-10", "close", &ann, "a").ok();
        assert_eq!((&closed["month"], &closed["state"]), (&json!("2026-10"), &json!("closed")));
        act("2026-10", "close", &ben, "b").refused(422, "period_closed");
        assert_eq!(act("2026-10", "ask-to-reopen", &ann, "c").ok()["state"], "reopening");
        act("2026-10", "reopen", &ann, "d").refused(409, "wrong_state");
        let open = act("2026-10", "reopen", &ben, "e").ok();
        assert_eq!(open["state"], "open");
        let history = api.get("/v1/ledger/periods/2026-10", &ann).ok()["history"].clone();
        assert_eq!(history, open["history"]);
        assert_eq!(history.as_array().unwrap().len(), 3);
        api.get("/v1/ledger/periods/2026-10", &customer).refused(403, "wrong_role");
    }
}
