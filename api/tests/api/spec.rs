//! The specification says what is served.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::app::TestApp;

const ROUTES: &[&str] = &[
    "GET /healthz",
    "GET /openapi.json",
    "GET /problems",
    "POST /v1/signup",
    "POST /v1/login",
    "GET /v1/me",
    "GET /v1/audit",
    "GET /v1/audit/export",
    "PUT /v1/blobs/{digest}",
    "GET /v1/blobs/{digest}",
    "POST /v1/deposits",
    "GET /v1/deposits",
    "GET /v1/deposits/pending",
    "POST /v1/deposits/{id}/confirm",
    "GET /v1/wallet",
    "POST /v1/jobs",
    "GET /v1/jobs",
    "GET /v1/jobs/{id}",
    "GET /v1/jobs/{id}/tasks",
    "GET /v1/jobs/{id}/leases",
    "GET /v1/jobs/{id}/bid",
    "PATCH /v1/jobs/{id}/bid",
    "POST /v1/jobs/{id}/cancel",
    "POST /v1/jobs/{id}/pause",
    "POST /v1/jobs/{id}/resume",
    "POST /v1/jobs/{id}/clone",
    "GET /v1/jobs/{id}/results",
    "GET /v1/jobs/{id}/archive",
    "GET /v1/jobs/{id}/tasks/{number}/attempts",
    "POST /v1/bans",
    "GET /v1/approvals",
    "GET /v1/approvals/{id}",
    "GET /v1/approvals/{id}/effect",
    "GET /v1/bans",
    "DELETE /v1/bans/{kind}/{subject}",
    "POST /v1/vehicles",
    "GET /v1/vehicles",
    "POST /v1/vehicles/heartbeat",
    "POST /v1/vehicles/{id}/enrolment",
    "POST /v1/vehicles/enrol",
    "POST /v1/vehicles/token",
    "GET /v1/vehicles/blobs/{digest}",
    "PUT /v1/vehicles/blobs/{digest}",
    "GET /v1/vehicles/{id}",
    "PATCH /v1/vehicles/{id}",
    "GET /v1/vehicles/{id}/market",
    "GET /v1/vehicles/{id}/reputation",
    "GET /v1/dissents",
    "GET /v1/vehicles/{id}/consents",
    "PUT /v1/vehicles/{id}/consents/{purpose}/{data_class}",
    "DELETE /v1/vehicles/{id}/consents/{purpose}/{data_class}",
    "GET /opt-out/{token}",
    "POST /opt-out/{token}",
    "POST /v1/vehicles/import",
    "PUT /v1/vehicles/{id}/pause",
    "DELETE /v1/vehicles/{id}/pause",
    "POST /v1/vehicles/{id}/retire",
    "POST /v1/vehicles/{id}/codes",
    "POST /v1/vehicles/accept",
    "GET /v1/vehicles/{id}/drivers",
    "DELETE /v1/vehicles/{id}/drivers/{party}",
    "GET /v1/driving",
    "GET /v1/vehicles/{id}/activity",
    "GET /v1/vehicles/{id}/reserve",
    "PUT /v1/vehicles/{id}/tariff",
    "DELETE /v1/vehicles/{id}/tariff",
    "GET /v1/vehicles/{id}/estimate",
    "GET /v1/earnings/days",
    "POST /v1/earnings/redemptions",
    "POST /v1/personal-data/exports",
    "GET /v1/personal-data/exports/{id}",
    "GET /v1/personal-data/requests/{id}",
    "POST /v1/personal-data/erasure",
    "GET /v1/earnings",
    "GET /v1/earnings/leases",
    "PUT /v1/payout-account",
    "POST /v1/payouts",
    "GET /v1/payouts",
    "POST /v1/payouts/approve",
    "GET /v1/bank-files/{id}",
    "GET /v1/reports",
    "GET /v1/reports/journal/sealed",
    "GET /v1/reports/{name}",
    "GET /v1/statements",
    "GET /v1/markets",
    "GET /v1/markets/{id}",
    "GET /v1/markets/{id}/prices",
    "GET /v1/markets/{id}/candles",
    "GET /v1/markets/{id}/depth",
    "GET /v1/markets/{id}/hours",
    "GET /v1/markets/{id}/capacity",
    "POST /v1/markets/{id}/quotes",
    "GET /v1/markets/{id}/fees",
    "POST /v1/markets/{id}/fees",
    "GET /v1/markets/{id}/halts",
    "PUT /v1/markets/{id}/regions/{region}/halt",
    "DELETE /v1/markets/{id}/regions/{region}/halt",
    "GET /v1/markets/{id}/history",
    "GET /v1/ledger/accounts",
    "GET /v1/ledger/accounts/{id}",
    "GET /v1/ledger/accounts/{id}/entries",
    "GET /v1/ledger/transactions",
    "GET /v1/ledger/transactions/{id}",
    "POST /v1/ledger/transactions/{id}/refund",
    "POST /v1/ledger/transactions/{id}/reverse",
    "GET /v1/ledger/periods/{month}",
    "GET /v1/ledger/periods/{month}/check-list",
    "POST /v1/ledger/periods/{month}/soft-close",
    "POST /v1/approvals",
    "POST /v1/approvals/{id}/approve",
    "POST /v1/approvals/{id}/reject",
    "POST /v1/ledger/periods/{month}/close",
    "POST /v1/ledger/periods/{month}/ask-to-reopen",
    "POST /v1/ledger/periods/{month}/reopen",
    "GET /v1/markets/{id}/ticks",
    "GET /v1/markets/{id}/ticks/{tick}",
    "GET /v1/ledger/trial-balance",
    "GET /v1/ledger/journal",
    "GET /v1/ledger/check",
    "GET /v1/wallet/proof",
    "HEAD /v1/vehicles/blobs/{digest}",
    "GET /v1/earnings/proof",
    "GET /v1/ledger/keys",
];

fn operations(spec: &Value) -> Vec<(String, &Value)> {
    let paths = spec["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, item)| {
        let item = item.as_object().unwrap().iter();
        item.map(move |(method, operation)| {
            (format!("{} {path}", method.to_uppercase()), operation)
        })
    });
    all.collect()
}

/// Every `$ref` in it.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(target) = map.get("$ref").and_then(Value::as_str) {
                found.insert(target.to_owned());
            }
            map.values().for_each(|inner| references(inner, found));
        }
        Value::Array(list) => list.iter().for_each(|inner| references(inner, found)),
        _ => {}
    }
}

#[test]
fn the_specification_names_every_route() {
    let app = TestApp::start(store::testing::TestDb::sqlite());
    let served = app.client(None).get("/openapi.json");
    let spec = served.expect(200);
    assert!(spec["openapi"].as_str().unwrap().starts_with("3.1"), "{}", spec["openapi"]);

    let operations = operations(&spec);
    let named: BTreeSet<&str> = operations.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(named, ROUTES.iter().copied().collect::<BTreeSet<_>>());

    let mut ids = BTreeSet::new();
    for (name, operation) in &operations {
        assert!(!operation["summary"].as_str().unwrap_or_default().is_empty(), "{name}");
        assert!(ids.insert(operation["operationId"].to_string()), "{name}: operationId");
        let responses = operation["responses"].as_object().unwrap();
        for (status, response) in responses {
            assert!(
                !response["description"].as_str().unwrap_or_default().is_empty(),
                "{name} {status}"
            );
        }
    }
    let mut targets = BTreeSet::new();
    references(&spec, &mut targets);
    for target in targets {
        let pointer = target.strip_prefix('#').unwrap();
        assert!(spec.pointer(pointer).is_some(), "{target} leads nowhere");
    }
    // What is not open to everybody asks who it is, before anything else.
    for (name, operation) in &operations {
        let (method, path) = name.split_once(' ').unwrap();
        let id = "job_01h455vb4pex5vsknk084sn02q";
        let path = path.replace("{id}", id).replace("{number}", "0");
        let client = app.client(None);
        let ask = client.ask(method.parse().unwrap(), &path, &Value::Null);
        let answer = client.send(&ask);
        match operation.get("security") {
            // Its answer has no body.
            Some(_) if method == "HEAD" => assert_eq!(answer.status, 401, "{name}"),
            Some(_) => drop(answer.refused(401, "token_missing")),
            None => assert_ne!(answer.status, 401, "{name}"),
        }
    }
}

#[test]
fn the_documentation_is_served() {
    let app = TestApp::start(store::testing::TestDb::sqlite());
    let client = app.client(None);
    assert!(client.get("/docs/").text.contains("<html"));
    assert!(client.get("/problems").text.contains("`insufficient_funds`"));
    assert_eq!(client.get("/healthz").expect(200)["status"], "ok");
}
