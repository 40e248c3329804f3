//! Proofs of balances over HTTP.

use api::identity::model::Role;
use ledger::proof::{Extent, Proof, PublicKey, check_proof, verify};
use serde_json::Value;
use store::on_both_databases;

use crate::client::Api;

fn key(api: &Api) -> PublicKey {
    let keys = api.get("/v1/ledger/keys", "").ok();
    keys["keys"][0]["public_key"].as_str().unwrap().parse().unwrap()
}

on_both_databases! {
    fn a_customer_gets_a_proof_that_holds_offline(db) {
        let api = Api::new(db);
        let (party, customer) = api.party("c@example.org", Role::Customer);
        assert_eq!(api.get("/v1/ledger/keys", "").ok()["head"], Value::Null);
        api.get("/v1/wallet/proof", &customer).refused(404, "no_proof");
        api.get("/v1/wallet/proof?currency=XXX", &customer).refused(422, "unknown_currency");
        api.deposit(&customer, "one", "12.5").ok();
        api.get("/v1/wallet/proof", &customer).refused(404, "no_proof");

        api::proof::seal(&api.db.store, Extent::All).unwrap();
        let text = api.get("/v1/wallet/proof", &customer).ok().to_string();
        let proof: Proof = serde_json::from_str(&text).unwrap();
        let checked = check_proof(&proof, Some(&key(&api))).unwrap();
        assert_eq!((checked.party, checked.balance.to_string().as_str()), (party, "12.500000"));
        let head = api.get("/v1/ledger/keys", "").ok()["head"].clone();
        assert_eq!(head["block"], 1);
        assert_eq!(head["hash"], checked.hash.to_string());

        let other = api.token("d@example.org", Role::Customer);
        api.get("/v1/wallet/proof", &other).refused(404, "no_proof");
        let keys = api::proof::public_keys(&api.db.store).unwrap();
        assert!(api.db.store.read(|tx| verify(tx, &keys)).unwrap().holds());
    }
}

on_both_databases! {
    fn an_owner_gets_proofs_of_cash_and_credits(db) {
        let api = Api::new(db);
        let (party, owner) = api.party("o@example.org", Role::Owner);
        api.db
            .store
            .write(|tx| {
                ledger::open_account(tx, ledger::Code::OwnerCash, party, "USD")?;
                ledger::open_account(tx, ledger::Code::OwnerCredits, party, "CREDIT").map(drop)
            })
            .unwrap();
        api::proof::seal(&api.db.store, Extent::All).unwrap();
        for (query, code, asset) in
            [("", "owner_cash", "USD"), ("?asset=CREDIT", "owner_credits", "CREDIT")]
        {
            let text = api.get(&format!("/v1/earnings/proof{query}"), &owner).ok().to_string();
            let proof: Proof = serde_json::from_str(&text).unwrap();
            let checked = check_proof(&proof, Some(&key(&api))).unwrap();
            assert_eq!((checked.code.as_str(), checked.asset.as_str()), (code, asset));
        }
        api.get("/v1/earnings/proof?asset=EUR", &owner).refused(404, "no_proof");
        api.get("/v1/earnings/proof?asset=XXX", &owner).refused(422, "unknown_currency");
        let customer = api.token("c@example.org", Role::Customer);
        api.get("/v1/earnings/proof", &customer).refused(403, "wrong_role");
        api.get("/v1/wallet/proof", &owner).refused(403, "wrong_role");
    }
}

/// Tokens and blocks have keys of their own, whichever was made first.
#[test]
fn the_ledgers_key_signs_no_token() {
    let db = store::testing::TestDb::sqlite();
    api::proof::signer(&db.store).unwrap();
    db.clock.advance_s(1);
    let api = Api::new(db);
    api.db.clock.advance_s(1);
    let token = api.token("c@example.org", Role::Customer);
    assert_eq!(api.get("/v1/me", &token).status, 200);
    assert_eq!(api::proof::public_keys(&api.db.store).unwrap().len(), 1);
    assert_eq!(key(&api), api::proof::signer(&api.db.store).unwrap().public());
}
