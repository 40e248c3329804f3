//! Reports over HTTP: what there is, in which formats, and what is refused.

use api::identity::model::Role;
use serde_json::{Value, json};
use store::on_both_databases;

use crate::client::Api;

fn finance(api: &Api) -> String {
    let customer = api.token("ada@example.org", Role::Customer);
    for amount in ["1", "2"] {
        api.deposit(&customer, amount, amount).ok();
    }
    api.token("f@example.org", Role::Finance)
}

on_both_databases! {
    fn every_report_of_the_list_answers_in_every_format(db) {
        let api = Api::new(db);
        let finance = finance(&api);
        let list = api.get("/v1/reports", &finance).ok();
        let reports = list.as_array().unwrap();
        assert!(reports.len() >= 14);
        for report in reports {
            let name = report["name"].as_str().unwrap();
            if ["account_statement", "payout_transactions"].contains(&name) {
                continue;
            }
            let get = |format: &str| api.get(&format!("/v1/reports/{name}?format={format}"), &finance);
            let answer = get("json").ok();
            assert_eq!((&answer["report"], &answer["columns"]), (&report["name"], &report["columns"]));
            let csv = get("csv");
            assert_eq!((csv.status, &*csv.kind), (200, "text/csv; charset=utf-8"), "{csv:?}");
            let heading: Vec<_> = csv.text.lines().next().unwrap().split(',').collect();
            assert_eq!(json!(heading), report["columns"]);
            let xlsx = get("xlsx");
            assert!(xlsx.status == 200 && xlsx.text.starts_with("PK"), "{name}");
        }
        let sheet = api.get("/v1/reports/balance_sheet?as_of=2026-11-24", &finance).ok();
        let total = |class: &str| {
            let rows = sheet["rows"].as_array().unwrap();
            let row = rows.iter().find(|row| row["class"] == class && row["place"] == "total");
            row.unwrap()["amount"].clone()
        };
        assert_eq!((total("Assets"), total("Liabilities")), (json!("3.000000"), json!("3.000000")));
        let wallets = &sheet["rows"][1];
        assert_eq!(wallets["place"], "Liabilities:Customers:Wallets");
    }
}

on_both_databases! {
    fn an_account_is_stated(db) {
        let api = Api::new(db);
        let finance = finance(&api);
        let journal = api.get("/v1/reports/journal", &finance).ok();
        let account = journal["rows"][0]["account"].as_str().unwrap();
        let path = format!("/v1/reports/account_statement?account={account}&from=2026-11-24");
        let rows = api.get(&path, &finance).ok()["rows"].clone();
        let lines: Vec<&Value> = rows.as_array().unwrap().iter().map(|row| &row["line"]).collect();
        assert_eq!(lines, ["opening", "entry", "entry", "closing"]);
        assert_eq!(rows[3]["balance"], "3.000000");
    }
}

on_both_databases! {
    fn the_sealed_journal_goes_on_where_it_ended(db) {
        let api = Api::new(db);
        let finance = finance(&api);
        let get = |since: i64| {
            let path = format!("/v1/reports/journal/sealed?since={since}");
            let answer = api.get(&path, &finance).ok();
            let cursor: i64 = answer["cursor"].as_str().unwrap().parse().unwrap();
            (cursor, answer["rows"].as_array().unwrap().len())
        };
        let signer = ledger::proof::Signer::from_seed(&[7; 32]).unwrap();
        let seal = || ledger::proof::seal(&api.db.store, &signer, ledger::proof::Extent::All).unwrap();
        seal();
        let (cursor, first) = get(0);
        api.deposit(&api.token("b@example.org", Role::Customer), "more", "5").ok();
        seal();
        let (next, second) = get(cursor);
        assert_eq!((first, second, get(next).1), (4, 2, 0));
        for since in [-1, next + 1] {
            let path = format!("/v1/reports/journal/sealed?since={since}");
            api.get(&path, &finance).refused(400, "invalid_query");
        }
    }
}

on_both_databases! {
    fn what_a_report_does_not_take_is_refused(db) {
        let api = Api::new(db);
        let finance = finance(&api);
        for wrong in [
            "trial_balance?from=2026-11-01",
            "trial_balance?as_of=2026-11-31",
            "trial_balance?format=pptx",
            "trial_balance?colour=red",
            "journal?from=2026-12-01&to=2026-11-01",
            "journal?by=heart",
            "holds?by=booked",
            "account_statement",
            "account_statement?account=acct_1",
            "payout_transactions?payout=po_01kayz3v8ne7m9xqk2y4t6w8b0",
            "income_statement?presentation=nice",
        ] {
            api.get(&format!("/v1/reports/{wrong}"), &finance).refused(400, "invalid_query");
        }
        for nothing in [
            "tea_leaves",
            "account_statement?account=acct_01kayz3v8ne7m9xqk2y4t6w8b0",
        ] {
            api.get(&format!("/v1/reports/{nothing}"), &finance).refused(404, "not_found");
        }
        for role in [Role::Customer, Role::Owner, Role::Operator] {
            let token = api.token(&format!("{role:?}@example.org"), role);
            for path in ["/v1/reports", "/v1/reports/holds", "/v1/reports/journal/sealed"] {
                api.get(path, &token).refused(403, "wrong_role");
            }
        }
    }
}
