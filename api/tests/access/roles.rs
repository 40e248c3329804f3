//! Every operation of the specification, asked by every role.

use std::collections::BTreeMap;

use api::identity::model::Role;
use reqwest::Method;
use serde_json::Value;
use store::on_both_databases;
use vehicle::protocol::Digest;

use crate::client::{Api, send};

const ROLES: [Role; 4] = [Role::Customer, Role::Owner, Role::Finance, Role::Operator];

fn operations(spec: &Value) -> impl Iterator<Item = (Method, &String, &Value)> {
    spec["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        item.as_object().unwrap().iter().filter_map(move |(method, operation)| {
            Some((Method::from_bytes(method.to_uppercase().as_bytes()).ok()?, path, operation))
        })
    })
}

on_both_databases! {
    fn an_empty_request_does_nothing_whoever_sends_it(db) {
        let api = Api::new(db);
        let spec = api.get("/openapi.json", "").ok();
        let tokens: BTreeMap<_, _> = ROLES
            .into_iter()
            .map(|role| (role.as_str(), api.token(&format!("{role:?}@example.org"), role)))
            .collect();
        let before = api.rows();
        for (method, template, operation) in operations(&spec) {
            if operation["security"].is_null() {
                continue;
            }
            let path = template.replace(['{', '}'], "");
            for (role, token) in &tokens {
                let what = format!("{method} {template} as {role}");
                let reply = send(api.request(method.clone(), &path, token));
                let documented = &operation["responses"][reply.status.to_string()];
                assert!(reply.status < 500, "{what}: {reply:?}");
                assert!(documented.is_object(), "{what}: {} is not documented", reply.status);
                assert!(!reply.text.contains("unknown_route"), "{what} is not served");
            }
        }
        assert_eq!(api.rows(), before);
    }
}

#[test]
fn each_role_has_its_own_doors() {
    let api = Api::new(store::testing::TestDb::sqlite());
    let tokens = ROLES.map(|role| api.token(&format!("{role:?}@example.org"), role));
    for (path, allowed) in [
        ("/v1/me", [true, true, true, true]),
        ("/v1/markets", [true, true, true, true]),
        ("/v1/wallet", [true, false, false, false]),
        ("/v1/deposits", [true, false, false, false]),
        ("/v1/jobs", [true, false, false, false]),
        ("/v1/vehicles", [false, true, false, false]),
        ("/v1/earnings", [false, true, false, false]),
        ("/v1/earnings/leases", [false, true, false, false]),
        ("/v1/payouts", [false, true, true, false]),
        ("/v1/deposits/pending", [false, false, true, false]),
        ("/v1/dissents", [false, false, false, true]),
        ("/v1/ledger/accounts", [false, false, true, true]),
        ("/v1/ledger/transactions", [false, false, true, true]),
        ("/v1/ledger/trial-balance", [false, false, true, false]),
        ("/v1/ledger/journal", [false, false, true, false]),
        ("/v1/ledger/check", [false, false, true, false]),
        ("/v1/reports", [false, false, true, false]),
        ("/v1/approvals", [false, false, true, true]),
        ("/v1/ledger/periods/2026-10/check-list", [false, false, true, true]),
    ] {
        for (token, allowed) in tokens.iter().zip(allowed) {
            let reply = api.get(path, token);
            if allowed {
                assert_eq!(reply.status, 200, "{path}: {reply:?}");
            } else {
                reply.refused(403, "wrong_role");
            }
        }
    }
}

on_both_databases! {
    fn to_name_a_blob_is_not_to_have_it(db) {
        let api = Api::new(db);
        let ada = api.token("a@example.org", Role::Customer);
        let ben = api.token("b@example.org", Role::Owner);
        let digest = Digest::of(b"hello").0;
        let path = format!("/v1/blobs/{digest}");
        api.put_blob(&digest, &ada, b"hullo").refused(422, "digest_mismatch");
        api.put_blob("..%2F..%2Fx", &ada, b"hello").refused(422, "invalid_digest");
        api.put_blob(&digest, "", b"hello").refused(401, "token_missing");
        assert_eq!((api.blob_files(), api.rows()[0]), (0, ("blob", 0)));
        for _ in 0..2 {
            assert_eq!(api.put_blob(&digest, &ada, b"hello").ok()["size"], 5);
        }
        assert_eq!((api.blob_files(), api.rows()[0]), (1, ("blob", 1)));
        assert_eq!(api.get(&path, &ada).text, "hello");
        api.get(&path, &ben).refused(404, "not_found");
        api.put_blob(&digest, &ben, b"").refused(422, "digest_mismatch");
        api.get(&path, &ben).refused(404, "not_found");
        api.put_blob(&digest, &ben, b"hello").ok();
        assert_eq!(api.get(&path, &ben).text, "hello");
    }
}

#[test]
fn a_blob_that_is_too_large_is_not_stored() {
    let api = Api::new(store::testing::TestDb::sqlite());
    let token = api.token("a@example.org", Role::Customer);
    let bytes = vec![7; api::blobs::MAX_BLOB + 1];
    // The server may close before it has read all: then there is no answer to look at.
    let request = api.request(Method::PUT, &format!("/v1/blobs/{}", Digest::of(&bytes).0), &token);
    if let Ok(response) = request.body(bytes).send() {
        assert_eq!(response.status().as_u16(), 413);
    }
    assert_eq!((api.blob_files(), api.rows()[0]), (0, ("blob", 0)));
}

#[test]
fn routes_and_queries_that_do_not_exist() {
    let api = Api::new(store::testing::TestDb::sqlite());
    let customer = api.token("c@example.org", Role::Customer);
    for path in ["/", "/v1", "/v1/nothing", "/v2/jobs", "/v1/jobs/x/y/z", "/v1/%00"] {
        api.get(path, &customer).refused(404, "unknown_route");
    }
    let wrong = send(api.request(Method::DELETE, "/v1/deposits", &customer));
    wrong.refused(405, "method_not_allowed");
    for path in ["/v1/jobs/job_1", "/v1/jobs/deposit_01kayz3v8ne7m9xqk2y4t6w8b0"] {
        api.get(path, &customer).refused(404, "not_found");
    }
    for query in ["limit=0", "limit=101", "limit=x", "cursor=zz", "colour=red"] {
        let page = api.get(&format!("/v1/deposits?{query}"), &customer);
        page.refused(400, "invalid_query");
    }
}
