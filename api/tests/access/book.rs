//! The book as finance asks for it, and what of it others may see.

use api::identity::model::Role;
use serde_json::{Value, json};
use store::on_both_databases;

use crate::client::Api;

/// Two customers' deposits, two minutes apart: Ada's 1, 2, 3 and Ben's 10.
fn fill(api: &Api) -> (String, String) {
    let ada = api.token("ada@example.org", Role::Customer);
    let ben = api.token("ben@example.org", Role::Customer);
    for amount in ["1", "2", "3"] {
        api.deposit(&ada, &format!("ada{amount}"), amount).ok();
        api.db.clock.advance_s(120);
    }
    api.deposit(&ben, "ben", "10").ok();
    (ada, ben)
}

/// All pages of a list.
fn all(api: &Api, path: &str, token: &str) -> Vec<Value> {
    let (mut next, mut rows) = (path.to_owned(), Vec::new());
    loop {
        let page = api.get(&next, token).ok();
        rows.extend(page["data"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["next_cursor"].as_str() else { return rows };
        next = format!("{path}&cursor={cursor}");
    }
}

on_both_databases! {
    fn finance_walks_from_the_chart_to_an_entry(db) {
        let api = Api::new(db);
        fill(&api);
        let finance = api.token("f@example.org", Role::Finance);
        let chart = api.get("/v1/ledger/accounts", &finance).ok();
        let total = |chart: &Value, path: &str| {
            let nodes = chart.as_array().unwrap();
            let node = nodes.iter().find(|node| node["path"] == path);
            node.map_or(Value::Null, |node| node["total"].clone())
        };
        assert_eq!(total(&chart, "Liabilities:Customers"), "16.000000");
        assert_eq!(total(&chart, "Assets"), "16.000000");
        let before = api.get("/v1/ledger/accounts?as_of=2026-11-24T00:00:00Z", &finance).ok();
        assert_eq!(total(&before, "Assets:Bank"), "1.000000");
        for by in ["posted", "booked", "effective"] {
            let day = |day| api.get(&format!("/v1/ledger/accounts?as_of={day}&by={by}"), &finance).ok();
            assert_eq!(total(&day("2026-11-24"), "Liabilities"), "16.000000", "{by}");
            assert_eq!(total(&day("2026-11-23"), "Liabilities"), "0.000000", "{by}");
        }
        let trial = api.get("/v1/ledger/trial-balance?as_of=2026-11-23&by=booked", &finance).ok();
        assert_eq!(trial["lines"][0]["credit"], "0.000000");

        let found = all(&api, "/v1/ledger/transactions?kind=deposit&limit=2", &finance);
        assert_eq!(found.len(), 4);
        let subject = found[1]["subject"].as_str().unwrap();
        let one = api.get(&format!("/v1/ledger/transactions?subject={subject}"), &finance).ok();
        assert_eq!(one["data"], json!([found[1]]));
        let path = format!("/v1/ledger/transactions/{}", found[1]["transaction"].as_str().unwrap());
        let explained = api.get(&path, &finance).ok();
        assert_eq!(explained["holds"], true);
        assert_eq!(explained["legs"][1]["path"], "Liabilities:Customers:Wallets");
        assert_eq!(explained["legs"][1]["balance_after"], "-3.000000");

        let account = explained["legs"][1]["account"].as_str().unwrap();
        let path = format!("/v1/ledger/accounts/{account}");
        assert_eq!(api.get(&path, &finance).ok()["available"], "6.000000");
        let then = api.get(&format!("{path}?as_of=2026-11-24T00:02:00Z"), &finance).ok();
        assert_eq!((&then["posted"], &then["held"]), (&json!("3.000000"), &Value::Null));
        let numbers = |query: &str| -> Vec<i64> {
            let rows = all(&api, &format!("{path}/entries?limit=2&{query}"), &finance);
            rows.iter().map(|row| row["number"].as_i64().unwrap()).collect()
        };
        assert_eq!(numbers(""), [1, 2, 3]);
        assert_eq!(numbers("order=newest_first"), [3, 2, 1]);
        assert_eq!(numbers("from=2026-11-24T00:01:00Z"), [2, 3]);
        assert_eq!(numbers("to=2026-11-24T00:03:00Z&order=newest_first"), [2, 1]);

        for wrong in [
            "accounts?as_of=x",
            "accounts?as_of=2026-11-24T00:00:00Z&by=booked",
            "accounts?by=heart",
            "transactions?metadata=x",
            "transactions?kind=gift",
            "transactions?from=x",
            "transactions?cursor=zz",
            &format!("accounts/{account}/entries?limit=0"),
        ] {
            api.get(&format!("/v1/ledger/{wrong}"), &finance).refused(400, "invalid_query");
        }
        for nothing in ["accounts/acct_1", "transactions/tx_01kayz3v8ne7m9xqk2y4t6w8b0",
            "accounts/acct_01kayz3v8ne7m9xqk2y4t6w8b0",
            "accounts/acct_01kayz3v8ne7m9xqk2y4t6w8b0/entries"] {
            api.get(&format!("/v1/ledger/{nothing}"), &finance).refused(404, "not_found");
        }
    }
}

on_both_databases! {
    fn who_was_not_touched_is_told_nothing(db) {
        let api = Api::new(db);
        let (ada, ben) = fill(&api);
        let operator = api.token("op@example.org", Role::Operator);
        let found = all(&api, "/v1/ledger/transactions?limit=100", &operator);
        let path = format!("/v1/ledger/transactions/{}", found[0]["transaction"].as_str().unwrap());
        let mine = api.get(&path, &ada).ok();
        assert_eq!((&mine["holds"], &mine["metadata"]), (&json!(true), &json!({})));
        let [bank, wallet] = [&mine["legs"][0], &mine["legs"][1]];
        assert_eq!((&bank["amount"], &bank["balance_after"]), (&json!("1.000000"), &Value::Null));
        assert_eq!((&bank["account"], &bank["number"]), (&Value::Null, &Value::Null));
        assert_eq!(wallet["balance_after"], "-1.000000");
        assert!(api.get(&path, &operator).ok()["legs"][0]["balance_after"].is_string());
        api.get(&path, &ben).refused(404, "not_found");
        let owner = api.token("o@example.org", Role::Owner);
        api.get(&path, &owner).refused(404, "not_found");
        let account = wallet["account"].as_str().unwrap();
        for books in [format!("accounts/{account}"), format!("accounts/{account}/entries")] {
            api.get(&format!("/v1/ledger/{books}"), &ada).refused(403, "wrong_role");
        }
    }
}

on_both_databases! {
    fn the_journal_is_streamed_in_every_format(db) {
        let api = Api::new(db);
        let (ada, _) = fill(&api);
        // Over many chunks.
        for n in 0..400 {
            api.db.store.write(|tx| {
                let (id, customer) = (tx.id(), tx.id());
                ledger::chart::deposit(tx, id, customer, "USD", store::Amount(n + 1))
            }).unwrap();
        }
        let finance = api.token("f@example.org", Role::Finance);
        for (format, kind, part) in [
            ("csv", "text/csv", "customer_wallet"),
            ("hledger", "text/plain", "liabilities:customer-wallet:party_"),
            ("beancount", "text/plain", "Liabilities:Customers:Wallets:"),
            ("jsonl", "application/x-ndjson", "\"path\":\"Liabilities:Customers:Wallets:"),
        ] {
            let path = format!("/v1/ledger/journal?format={format}");
            let reply = api.get(&path, &finance);
            assert_eq!(reply.status, 200, "{format}");
            assert!(reply.kind.starts_with(kind) && reply.text.contains(part), "{format}");
            assert!(reply.text.len() > 64 * 1024 && reply.text.ends_with('\n'), "{format}");
            assert_eq!(reply.text, api.get(&path, &finance).text, "{format}");
            api.get(&path, &ada).refused(403, "wrong_role");
        }
    }
}
