//! The sealed book from outside: what a customer is given, and what whoever runs the server sees.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use diesel::RunQueryDsl;
use end_to_end::{Client, Place, Server, new_key};
use serde_json::{Value, json};
use store::{Env, Error, Store};

#[test]
fn a_balance_is_proved_offline_and_tampering_is_named_sqlite() {
    prove(&Place::sqlite());
}

#[test]
fn a_balance_is_proved_offline_and_tampering_is_named_postgres() {
    prove(&Place::postgres());
}

fn prove(place: &Place) {
    let server = Server::start(place, 0);
    let customer = Client::sign_up(&server.base, "me@customer.example", "customer");
    let deposit = json!({ "amount": { "amount": "12.5", "currency": "USD" }, "source": "test" });
    customer.post(&server.base, "/v1/deposits", &new_key(), &deposit).unwrap();
    wait_until_sealed(&server, &customer);
    assert_eq!(server.interrupt(), Some(0), "it states what is owed when it stops");

    let server = Server::start(place, 0);
    let keys = customer.get(&server.base, "/v1/ledger/keys").unwrap();
    let key = keys["keys"][0]["public_key"].as_str().unwrap();
    let proof = customer.get(&server.base, "/v1/wallet/proof").unwrap();
    assert_eq!(server.interrupt(), Some(0));
    check_proof(place, &proof, key);

    let verified = place.json(&["ledger", "verify", "--key", key]);
    assert_eq!((&verified["holds"], &verified["unsealed"]), (&json!(true), &json!(0)));
    tamper(place, "UPDATE ledger_transaction SET subject = 'x' WHERE kind = 'deposit'");
    let found = place.json(&["ledger", "verify"]);
    assert_eq!(found["holds"], false);
    assert_eq!(found["tampered"][0]["what"], "ledger_transaction", "{found}");
    assert_eq!(place.run(&["ledger", "verify"]).status.code(), Some(1));
}

/// `serve` seals by itself: the chain grows past the block it starts with.
fn wait_until_sealed(server: &Server, customer: &Client) {
    let began = Instant::now();
    loop {
        let keys = customer.get(&server.base, "/v1/ledger/keys").unwrap();
        if keys["head"]["block"].as_i64().is_some_and(|block| block > 1) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{keys}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn check_proof(place: &Place, proof: &Value, key: &str) {
    let check = |text: String, key: &str| {
        let file = place.dir.path().join("proof.json");
        std::fs::write(&file, text).unwrap();
        let args = ["ledger", "verify-proof", file.to_str().unwrap(), "--key", key, "--json"];
        // Offline: no place is named.
        let output =
            std::process::Command::new(end_to_end::driveway()).args(args).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), serde_json::from_str::<Value>(text.trim()).unwrap())
    };
    let (code, checked) = check(proof.to_string(), key);
    assert_eq!((code, &checked["balance"]), (Some(0), &json!("12.500000")), "{checked}");
    let more = proof.to_string().replacen("12.500000", "12.500001", 1);
    assert_eq!(check(more, key).0, Some(1));
    assert_eq!(check(proof.to_string(), &"0".repeat(64)).0, Some(1));
    assert_eq!(check("{}".to_owned(), key).0, Some(1));
}

fn tamper(place: &Place, sql: &str) {
    let store = Store::open(&place.url, Env::system()).unwrap();
    let changed = store.write(|tx| Ok::<_, Error>(diesel::sql_query(sql).execute(tx.conn)?));
    assert!(changed.unwrap() > 0);
}
