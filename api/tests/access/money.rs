//! A transfer's way through finance, with its mails; and pages.

use std::time::{Duration, Instant};

use api::identity::model::Role;
use serde_json::{Value, json};
use store::on_both_databases;

use crate::client::{Api, deposit_of};

on_both_databases! {
    fn a_transfer_counts_when_finance_has_seen_it(db) {
        let api = Api::new(db);
        let customer = api.token("c@example.org", Role::Customer);
        let finance = api.token("f@example.org", Role::Finance);
        let body = deposit_of("25.50", "USD", "bank_transfer");
        let asked = api.post("/v1/deposits", &customer, "one", &body).ok();
        assert_eq!(asked["state"], "pending");
        assert!(asked["reference"].as_str().unwrap().starts_with("DW-"));
        assert_eq!(api.available(&customer), "0.000000");
        let pending = api.get("/v1/deposits/pending", &finance).ok();
        assert_eq!(pending["data"][0]["id"], asked["id"]);

        let confirm = format!("/v1/deposits/{}/confirm", asked["id"].as_str().unwrap());
        api.post(&confirm, &customer, "two", &Value::Null).refused(403, "wrong_role");
        let confirmed = api.post(&confirm, &finance, "two", &Value::Null).ok();
        assert_eq!(confirmed["state"], "confirmed");
        assert!(api.post(&confirm, &finance, "two", &Value::Null).replayed);
        api.post(&confirm, &finance, "three", &Value::Null).refused(409, "wrong_state");
        assert_eq!(api.available(&customer), "25.500000");

        let trial = api.get("/v1/ledger/trial-balance", &finance).ok();
        assert_eq!(trial["totals"]["USD"], "0.000000");
        assert_eq!(api.get("/v1/ledger/check", &finance).ok()["clean"], json!(true));
        let csv = api.get("/v1/ledger/journal?format=csv", &finance);
        assert!(csv.kind.starts_with("text/csv") && csv.text.contains("25.5"), "{csv:?}");
        let hledger = api.get("/v1/ledger/journal?format=hledger", &finance);
        assert!(hledger.text.contains("25.5"), "{hledger:?}");

        let text = mail(&api, 3);
        assert!(text.iter().any(|mail| mail.contains("Your deposit has arrived")), "{text:?}");
        assert!(text.iter().any(|mail| mail.contains("25.500000 USD")), "{text:?}");
        assert_eq!(text.iter().filter(|mail| mail.contains("Welcome to Driveway")).count(), 2);
    }
}

on_both_databases! {
    fn pages_follow_each_other(db) {
        let api = Api::new(db);
        let customer = api.token("c@example.org", Role::Customer);
        for n in 1..=5 {
            api.deposit(&customer, &format!("k{n}"), &n.to_string()).ok();
            api.db.clock.advance_s(1);
        }
        let (mut path, mut amounts) = ("/v1/deposits?limit=2".to_owned(), Vec::new());
        loop {
            let page = api.get(&path, &customer).ok();
            for row in page["data"].as_array().unwrap() {
                amounts.push(row["amount"]["amount"].as_str().unwrap().to_owned());
            }
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            assert_eq!(page["has_more"], json!(true));
            path = format!("/v1/deposits?limit=2&cursor={cursor}");
        }
        assert_eq!(amounts, ["1.000000", "2.000000", "3.000000", "4.000000", "5.000000"]);
    }
}

/// Waits for so many mails in the folder, and reads them.
fn mail(api: &Api, count: usize) -> Vec<String> {
    let folder = api.db.dir.path().join("mail");
    let began = Instant::now();
    loop {
        let files = std::fs::read_dir(&folder).unwrap().flatten();
        let texts: Vec<_> = files
            .filter(|file| file.path().extension().is_some_and(|kind| kind == "eml"))
            .filter_map(|file| std::fs::read_to_string(file.path()).ok())
            .filter(|text| text.contains("Driveway\r\n"))
            .collect();
        if texts.len() >= count {
            return texts;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{} of {count} mails", texts.len());
        std::thread::sleep(Duration::from_millis(50));
    }
}
