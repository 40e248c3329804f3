//! The log of privileged acts: nothing privileged without its row, no row without its act.

use api::identity::model::Role;
use diesel::prelude::*;
use serde_json::{Value, json};
use store::on_both_databases;
use store::schema::audit_event;

use crate::client::{Api, deposit_of, send};

fn acts(api: &Api, token: &str, query: &str) -> Vec<Value> {
    let page = api.get(&format!("/v1/audit?limit=100{query}"), token).ok();
    page["data"].as_array().unwrap().clone()
}

/// A transfer confirmed, a month closed and asked for, a ban imposed and lifted, a region halted
/// twice and opened twice: one act each.
fn act(api: &Api, finance: &str, operator: &str) {
    let customer = api.token("c@example.org", Role::Customer);
    let transfer = deposit_of("25.50", "USD", "bank_transfer");
    let deposit = api.post("/v1/deposits", &customer, "one", &transfer).ok();
    let confirm = format!("/v1/deposits/{}/confirm", deposit["id"].as_str().unwrap());
    api.post(&confirm, finance, "two", &Value::Null).ok();
    assert!(api.post(&confirm, finance, "two", &Value::Null).replayed);
    api.post(&confirm, finance, "three", &Value::Null).refused(409, "wrong_state");
    let why = json!({ "reason": "month's end" });
    api.post("/v1/ledger/periods/2026-10/close", finance, "four", &why).ok();
    api.post("/v1/ledger/periods/2026-10/ask-to-reopen", finance, "five", &why).ok();
    let digest = "a".repeat(64);
    let ban = json!({ "kind": "program", "subject": digest, "reason": "it mines coins" });
    api.post("/v1/bans", operator, "six", &ban).ok();
    let lift = format!("/v1/bans/program/{digest}");
    send(api.request(reqwest::Method::DELETE, &lift, operator));
    let halt = "/v1/markets/us/regions/us-ca/halt";
    for _ in 0..2 {
        let asked = api.request(reqwest::Method::PUT, halt, operator);
        send(asked.json(&json!({ "reason": "prices are looked at" }))).ok();
    }
    for _ in 0..2 {
        send(api.request(reqwest::Method::DELETE, halt, operator));
    }
}

on_both_databases! {
    fn each_privileged_act_is_kept_once(db) {
        let api = Api::new(db);
        let (ann, finance) = api.party("f@example.org", Role::Finance);
        let operator = api.token("op@example.org", Role::Operator);
        act(&api, &finance, &operator);
        let all = acts(&api, &finance, "");
        let actions: Vec<_> = all.iter().map(|act| act["action"].as_str().unwrap()).collect();
        assert_eq!(actions, ["deposit.confirmed", "period.closed", "period.reopen_asked",
            "ban.imposed", "ban.lifted", "region.halted", "region.halt_lifted"]);
        let confirmed = &all[0];
        assert_eq!(confirmed["actor"], json!(ann));
        assert_eq!(confirmed["before"], json!({ "state": "pending" }));
        assert_eq!(confirmed["after"]["amount"]["amount"], "25.500000");
        assert_eq!(confirmed["address"], "127.0.0.1");
        assert!(confirmed["request_id"].as_str().unwrap().starts_with("req_"));
        assert_eq!((&all[4]["before"], &all[4]["after"]), (&json!({ "kind": "program" }), &Value::Null));
        for personal in ["example.org", "Somebody"] {
            assert!(!json!(all).to_string().contains(personal));
        }

        let subject = confirmed["subject"].as_str().unwrap();
        assert_eq!(acts(&api, &operator, &format!("&subject={subject}")), *std::slice::from_ref(confirmed));
        assert_eq!(acts(&api, &operator, &format!("&actor={ann}")).len(), 3);
        assert_eq!(acts(&api, &operator, "&action=region.halted"), *std::slice::from_ref(&all[5]));
        assert_eq!(acts(&api, &operator, "&from=2026-11-24T00:00:01Z").len(), 0);
        assert_eq!(acts(&api, &operator, "&to=2026-11-24T00:00:01Z").len(), 7);
        let first = api.get("/v1/audit?limit=5", &operator).ok();
        let next = format!("&cursor={}", first["next_cursor"].as_str().unwrap());
        assert_eq!(acts(&api, &operator, &next), all[5..]);
    }
}

on_both_databases! {
    fn the_log_is_exported_whole(db) {
        let api = Api::new(db);
        let finance = api.token("f@example.org", Role::Finance);
        act(&api, &finance, &api.token("op@example.org", Role::Operator));
        let all = acts(&api, &finance, "");
        let lines = api.get("/v1/audit/export", &finance);
        assert_eq!(lines.kind, "application/x-ndjson");
        let read: Vec<Value> =
            lines.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, all);
        let csv = api.get("/v1/audit/export?format=csv", &finance);
        assert!(csv.kind.starts_with("text/csv"));
        assert_eq!(csv.text.lines().count(), 1 + all.len());
        assert!(csv.text.starts_with("id,at,actor,action,subject,before,after,address,request_id"));
        assert!(csv.text.contains("deposit.confirmed") && csv.text.contains(r#"{""state"":""pending""}"#));
        let none = api.get("/v1/audit/export?to=2026-11-24", &finance);
        assert_eq!((none.status, none.text.as_str()), (200, ""));
        for (role, who) in [(Role::Customer, "x"), (Role::Owner, "y")] {
            let token = api.token(&format!("{who}@example.org"), role);
            for path in ["/v1/audit", "/v1/audit/export"] {
                api.get(path, &token).refused(403, "wrong_role");
            }
        }
        api.get("/v1/audit", "").refused(401, "token_missing");
        for query in ["from=x", "limit=0", "cursor=zz", "colour=red"] {
            api.get(&format!("/v1/audit?{query}"), &finance).refused(400, "invalid_query");
        }
        api.get("/v1/audit/export?format=xml", &finance).refused(400, "invalid_query");
    }
}

on_both_databases! {
    fn nobody_changes_the_log_afterwards(db) {
        let api = Api::new(db);
        let finance = api.token("f@example.org", Role::Finance);
        act(&api, &finance, &api.token("op@example.org", Role::Operator));
        let before = acts(&api, &finance, "");
        let store = &api.db.store;
        let changed = store.write(|tx| {
            let row = audit_event::actor.eq("somebody_else");
            Ok::<_, store::Error>(diesel::update(audit_event::table).set(row).execute(tx.conn)?)
        });
        let deleted = store.write(|tx| {
            Ok::<_, store::Error>(diesel::delete(audit_event::table).execute(tx.conn)?)
        });
        assert!(changed.is_err() && deleted.is_err());
        assert_eq!(acts(&api, &finance, ""), before);
    }
}

on_both_databases! {
    fn a_proposal_and_what_became_of_it_are_kept(db) {
        let api = Api::new(db);
        let (ann, asks) = api.party("ann@example.org", Role::Finance);
        let (bob, decides) = api.party("bob@example.org", Role::Finance);
        let limit = |from: &str| json!({ "reason": "Ann's own words", "proposal": { "kind": "limit",
            "from": from, "refund": { "amount": "5", "currency": "USD" } } });
        let decide = |key: &str, from: &str, verb: &str, body: Value| {
            let id = api.post("/v1/approvals", &asks, key, &limit(from)).ok()["id"].clone();
            let id = id.as_str().unwrap().to_owned();
            let route = format!("/v1/approvals/{id}/{verb}");
            api.post(&route, &asks, &format!("{key}-own"), &body);
            api.post(&route, &decides, &format!("{key}-other"), &body);
            id
        };
        let one = decide("a", "2027-01-01T00:00:00Z", "approve", Value::Null);
        decide("b", "2027-02-01T00:00:00Z", "reject", json!({ "reason": "too much" }));
        let all = acts(&api, &decides, "");
        let told: Vec<_> = all.iter().map(|act| (act["action"].as_str().unwrap(), &act["actor"])).collect();
        let (ann, bob) = (json!(ann), json!(bob));
        // Nobody approves what is their own; to take it back is another matter.
        assert_eq!(told, [("approval.proposed", &ann), ("approval.executed", &bob),
            ("approval.proposed", &ann), ("approval.rejected", &ann)]);
        assert_eq!(all[1]["subject"], json!(one));
        assert_eq!(all[1]["before"], json!({ "state": "proposed" }));
        assert_eq!((&all[1]["after"]["state"], &all[1]["after"]["kind"]), (&json!("executed"), &json!("limit")));
        assert!(!json!(all).to_string().contains("own words"));
    }
}
