//! What is refused leaves nothing behind.

use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{Ask, Client, TestApp, new_job};

/// Asks and sees that it is refused, and that no row came of it and no money moved.
#[track_caller]
fn refuse(app: &TestApp, who: &Client, ask: &Ask, status: u16, code: &str) -> Value {
    let before = app.rows();
    let problem = who.send(ask).refused(status, code);
    assert_eq!(app.rows(), before, "{} {}", ask.method, ask.path);
    problem
}

/// The job with another value at this JSON pointer.
fn with(job: &Value, pointer: &str, value: Value) -> Value {
    let mut changed = job.clone();
    match changed.pointer_mut(pointer) {
        Some(found) => *found = value,
        None => {
            let (parent, last) = pointer.rsplit_once('/').unwrap();
            changed.pointer_mut(parent).unwrap()[last] = value;
        }
    }
    changed
}

store::on_both_databases! {
    fn jobs_that_cannot_be(db) {
        let app = TestApp::start(db);
        let customer = app.customer("ada");
        customer.deposit("5.00");
        let job = new_job(&customer);
        let wallet = customer.wallet();
        let money = |amount: &str, currency: &str| json!({"amount": amount, "currency": currency});
        let usd = |amount: &str| money(amount, "USD");
        let missing = "0".repeat(64);
        let table = [
            ("/bid/max_price", usd("0"), "invalid_body", "/bid/max_price"),
            ("/bid/max_price", usd("-0.10"), "invalid_body", "/bid/max_price"),
            ("/bid/max_price", usd("1000001"), "invalid_body", "/bid/max_price"),
            ("/bid/max_price", usd("99999999999999"), "invalid_body", "/bid/max_price/amount"),
            ("/bid/max_price", usd("0.1234567"), "invalid_body", "/bid/max_price/amount"),
            ("/bid/max_price", usd("1e2"), "invalid_body", "/bid/max_price/amount"),
            ("/bid/max_price", usd("NaN"), "invalid_body", "/bid/max_price/amount"),
            ("/bid/max_price/amount", json!(0.36), "invalid_body", "/bid/max_price/amount"),
            ("/bid/max_price/currency", json!("EUR"), "invalid_body", "/bid/max_price/currency"),
            ("/bid/budget", usd("0"), "invalid_body", "/bid/budget"),
            ("/bid/budget", usd("-1"), "invalid_body", "/bid/budget"),
            ("/bid/budget", usd("5.000001"), "insufficient_funds", "/bid/budget"),
            ("/bid/budget", usd("9000000000"), "insufficient_funds", "/bid/budget"),
            ("/bid/lanes", json!(0), "invalid_body", "/bid/lanes"),
            ("/bid/lanes", json!(-1), "invalid_body", "/bid/lanes"),
            ("/bid/lanes", json!(100_001), "invalid_body", "/bid/lanes"),
            ("/bid/lanes", json!(4_000_000_000_u64), "invalid_body", "/bid/lanes"),
            ("/bid/regions", json!(["atlantis"]), "invalid_body", "/bid/regions"),
            ("/bid/classes", json!(["abacus"]), "invalid_body", "/bid/classes"),
            ("/bid/deadline", json!("2020-01-01T00:00:00Z"), "invalid_body", "/bid/deadline"),
            ("/bid/deadline", json!("soon"), "invalid_body", "/bid/deadline"),
            ("/bid/min_fill", json!(0), "invalid_body", "/bid/min_fill"),
            ("/bid/min_fill", json!(2), "invalid_body", "/bid/min_fill"),
            ("/bid/min_fill", json!(1.5), "invalid_body", "/bid/min_fill"),
            ("/bid/short_leases", json!("no"), "invalid_body", "/bid/short_leases"),
            ("/bid/expires_at", json!("2020-01-01T00:00:00Z"), "invalid_body", "/bid/expires_at"),
            ("/market", json!("moon"), "invalid_body", "/market"),
            ("/runtime", json!("python"), "invalid_body", "/runtime"),
            ("/purpose", json!("mining"), "invalid_body", "/purpose"),
            ("/data_class", json!("personal"), "invalid_body", "/data_class"),
            ("/name", json!(""), "invalid_body", "/name"),
            ("/name", json!(7), "invalid_body", "/name"),
            ("/inputs", json!([]), "invalid_body", "/inputs"),
            ("/inputs/0", json!("../../etc/passwd"), "invalid_body", "/inputs/0"),
            ("/inputs/0", json!(missing), "unknown_blob", ""),
            ("/program", json!("ABC"), "invalid_body", "/program"),
            ("/program", json!(missing), "unknown_blob", ""),
            ("/surprise", json!(1), "invalid_body", "/surprise"),
        ];
        for (at, value, code, pointer) in table {
            let ask = customer.ask(Method::POST, "/v1/jobs", &with(&job, at, value.clone()));
            let problem = refuse(&app, &customer, &ask, 422, code);
            let named = problem["errors"][0]["pointer"].as_str().unwrap_or_default();
            assert_eq!(named, pointer, "{at} {value}: {problem}");
        }
        // A currency that nobody has, in both places.
        let nowhere = with(&job, "/bid/max_price", money("0.36", "XYZ"));
        let nowhere = with(&nowhere, "/bid/budget", money("1", "XYZ"));
        let ask = customer.ask(Method::POST, "/v1/jobs", &nowhere);
        refuse(&app, &customer, &ask, 422, "invalid_body");
        // A program that is no module.
        let text = customer.upload(b"(module)");
        let ask = customer.ask(Method::POST, "/v1/jobs", &with(&job, "/program", json!(text)));
        let problem = refuse(&app, &customer, &ask, 422, "invalid_program");
        assert_eq!(problem["errors"][0]["pointer"], "/program");
        // Another's blob is no blob of mine.
        let other = app.customer("eve");
        other.deposit("5.00");
        refuse(&app, &other, &other.ask(Method::POST, "/v1/jobs", &job), 422, "unknown_blob");
        assert_eq!(customer.wallet(), wallet);
        // And what is right is taken.
        customer.post("/v1/jobs", &job).expect(201);
        assert_eq!(customer.wallet(), ("5.000000".to_owned(), "1.000000".to_owned()));
    }
}

store::on_both_databases! {
    fn requests_that_cannot_be_read(db) {
        let app = TestApp::start(db);
        let customer = app.customer("ada");
        customer.deposit("5.00");
        let ask = customer.ask(Method::POST, "/v1/jobs", &new_job(&customer));
        let deep = "[".repeat(10_000).into_bytes();
        for body in [b"".to_vec(), b"{".to_vec(), b"\xff\xfe".to_vec(), b"{} {}".to_vec(), deep] {
            let bad = Ask { body, ..ask.clone() };
            refuse(&app, &customer, &bad, 400, "invalid_json");
        }
        for body in [b"[]".to_vec(), b"null".to_vec(), b"{\"name\":1,\"name\":2}".to_vec()] {
            let bad = Ask { body, ..ask.clone() };
            refuse(&app, &customer, &bad, 422, "invalid_body");
        }
        let large = Ask { body: vec![b' '; (1 << 20) + 1], ..ask.clone() };
        refuse(&app, &customer, &large, 413, "body_too_large");
        let text = Ask { kind: "text/plain", ..ask.clone() };
        refuse(&app, &customer, &text, 415, "unsupported_media_type");
        let unkeyed = Ask { key: None, ..ask.clone() };
        refuse(&app, &customer, &unkeyed, 400, "missing_idempotency_key");
        for key in ["two words".to_owned(), "k".repeat(256)] {
            let bad = Ask { key: Some(key), ..ask.clone() };
            refuse(&app, &customer, &bad, 400, "invalid_idempotency_key");
        }
        for path in ["/v1/jobs?limit=0", "/v1/jobs?limit=101", "/v1/jobs?cursor=zz", "/v1/jobs?x=1",
            "/v1/markets/us/history?from=soon"]
        {
            customer.get(path).refused(400, "invalid_query");
        }
        for path in ["/v1/nothing", "/v2/jobs", "/.env"] {
            customer.get(path).refused(404, "unknown_route");
        }
        customer.get("/v1/jobs/not-an-id").refused(404, "not_found");
        let delete = customer.ask(Method::DELETE, "/v1/jobs", &Value::Null);
        refuse(&app, &customer, &delete, 405, "method_not_allowed");
    }
}

store::on_both_databases! {
    fn who_may_not(db) {
        let app = TestApp::start_with(db, |config| config.token_lifetime = 60);
        let (ada, eve, owner) = (app.customer("ada"), app.customer("eve"), app.owner("olga"));
        let finance = app.finance();
        ada.deposit("5.00");
        let new = new_job(&ada);
        let job = ada.post("/v1/jobs", &new).expect(201)["id"].as_str().unwrap().to_owned();
        let car = json!({ "region": "us-ca", "class": "hw4", "reserve": "0.09", "pay_in": "cash" });
        let car = owner.post("/v1/vehicles", &car).expect(201);
        let car = car["id"].as_str().unwrap().to_owned();
        let ask = |client: &Client, method: Method, path: &str| {
            client.ask(method, path, &Value::Null)
        };

        // Another tenant's is not there.
        for path in [format!("/v1/jobs/{job}"), format!("/v1/jobs/{job}/tasks"),
            format!("/v1/jobs/{job}/leases")]
        {
            ada.get(&path).expect(200);
            eve.get(&path).refused(404, "not_found");
        }
        let cancel = ask(&eve, Method::POST, &format!("/v1/jobs/{job}/cancel"));
        refuse(&app, &eve, &cancel, 404, "not_found");
        let blob = format!("/v1/blobs/{}", new["program"].as_str().unwrap());
        ada.get(&blob).expect(200);
        eve.get(&blob).refused(404, "not_found");
        let other = app.owner("otto");
        let consent = format!("/v1/vehicles/{car}/consents/simulation/synthetic");
        refuse(&app, &other, &ask(&other, Method::PUT, &consent), 404, "not_found");
        refuse(&app, &other, &ask(&other, Method::DELETE, &consent), 404, "not_found");
        let change = other.ask(Method::PATCH, &format!("/v1/vehicles/{car}"),
            &json!({ "reserve": "0.01" }));
        refuse(&app, &other, &change, 404, "not_found");
        other.get(&format!("/v1/vehicles/{car}")).refused(404, "not_found");
        assert_eq!(other.get("/v1/vehicles").expect(200)["data"], json!([]));
        assert_eq!(eve.get("/v1/jobs").expect(200)["data"], json!([]));

        // Each role has its own.
        let order = |client: &Client| client.ask(Method::POST, "/v1/jobs", &new);
        refuse(&app, &owner, &order(&owner), 403, "wrong_role");
        refuse(&app, &finance, &order(&finance), 403, "wrong_role");
        let table: [(&Client, Method, &str); 8] = [
            (&ada, Method::POST, "/v1/vehicles"),
            (&ada, Method::GET, "/v1/earnings"),
            (&ada, Method::GET, "/v1/ledger/journal"),
            (&ada, Method::POST, "/v1/deposits/deposit_01h455vb4pex5vsknk084sn02q/confirm"),
            (&owner, Method::POST, "/v1/payouts/approve"),
            (&owner, Method::GET, "/v1/bank-files/file_01h455vb4pex5vsknk084sn02q"),
            (&owner, Method::GET, "/v1/wallet"),
            (&finance, Method::POST, "/v1/payouts"),
        ];
        for (client, method, path) in table {
            refuse(&app, client, &ask(client, method, path), 403, "wrong_role");
        }

        // Tokens that are none.
        let good = ada.token.clone().unwrap();
        let parts: Vec<&str> = good.split('.').collect();
        // {"alg":"none","typ":"at+jwt"} and {"alg":"HS256","typ":"at+jwt"}, in base64.
        let none = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0";
        let hs256 = "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9";
        let other_claims = eve.token.clone().unwrap();
        let other_claims = other_claims.split('.').nth(1).unwrap();
        let bad = [
            "x".to_owned(),
            "..".to_owned(),
            format!("{none}.{}.", parts[1]),
            format!("{none}.{}.{}", parts[1], parts[2]),
            format!("{hs256}.{}.{}", parts[1], parts[2]),
            format!("{}.{other_claims}.{}", parts[0], parts[2]),
            format!("{}.{}.{}", parts[0], parts[1], "A".repeat(parts[2].len())),
            format!("{}.{}", parts[0], parts[1]),
        ];
        for token in bad {
            let forged = Ask { token: Some(token), ..order(&ada) };
            refuse(&app, &ada, &forged, 401, "token_invalid");
        }
        refuse(&app, &ada, &Ask { token: None, ..order(&ada) }, 401, "token_missing");
        let beat = ada.ask(Method::POST, "/v1/vehicles/heartbeat",
            &json!({ "telemetry": {}, "attempt": null }));
        refuse(&app, &ada, &beat, 401, "token_invalid");
        app.db.clock.advance_s(60);
        refuse(&app, &ada, &order(&ada), 401, "token_expired");

        let login = json!({ "email": "ada@example.org", "password": "wrong horse battery" });
        ada.post("/v1/login", &login).refused(401, "wrong_credentials");
        let nobody = json!({ "email": "nobody@example.org", "password": "wrong horse battery" });
        ada.post("/v1/login", &nobody).refused(401, "wrong_credentials");
    }
}

store::on_both_databases! {
    fn money_that_cannot_be(db) {
        let app = TestApp::start_with(db, |config| config.allow_test_deposits = false);
        let (ada, owner, finance) = (app.customer("ada"), app.owner("olga"), app.finance());
        let deposit = |amount: &str, currency: &str, source: &str| {
            let amount = json!({ "amount": amount, "currency": currency });
            ada.ask(Method::POST, "/v1/deposits", &json!({ "amount": amount, "source": source }))
        };
        for (ask, status, code) in [
            (deposit("1", "USD", "test"), 403, "test_deposits_disabled"),
            (deposit("0", "USD", "bank_transfer"), 422, "amount_not_positive"),
            (deposit("-1", "USD", "bank_transfer"), 422, "amount_not_positive"),
            (deposit("0.001", "USD", "bank_transfer"), 422, "amount_not_in_cents"),
            (deposit("99999999999", "USD", "bank_transfer"), 422, "invalid_body"),
            (deposit("1", "XYZ", "bank_transfer"), 422, "unknown_currency"),
            (deposit("1", "CREDIT", "bank_transfer"), 422, "unknown_currency"),
            (deposit("1", "USD", "printer"), 422, "invalid_body"),
        ] {
            refuse(&app, &ada, &ask, status, code);
        }
        ada.get("/v1/wallet?currency=XYZ").refused(422, "unknown_currency");

        // Confirmed once, by finance.
        let pending = ada.send(&deposit("5", "USD", "bank_transfer")).expect(201);
        assert_eq!(ada.wallet().0, "0.000000");
        let path = format!("/v1/deposits/{}/confirm", pending["id"].as_str().unwrap());
        let confirm = |key: &str| {
            let ask = finance.ask(Method::POST, &path, &Value::Null);
            Ask { key: Some(key.to_owned()), ..ask }
        };
        finance.send(&confirm("one")).expect(200);
        assert!(finance.send(&confirm("one")).replayed);
        refuse(&app, &finance, &confirm("two"), 409, "wrong_state");
        assert_eq!(ada.wallet().0, "5.000000");

        // Nothing to pay out, and nowhere to pay it to.
        let payout = owner.ask(Method::POST, "/v1/payouts", &json!({ "currency": "USD" }));
        let problem = owner.send(&payout).json();
        assert!(matches!(problem["code"].as_str(), Some("wrong_state" | "insufficient_funds")));
        let account = owner.ask(Method::PUT, "/v1/payout-account",
            &json!({ "holder": "Olga", "iban": "GB00BUKB20201555555555" }));
        refuse(&app, &owner, &account, 422, "invalid_body");
        owner.put("/v1/payout-account",
            &json!({ "holder": "Olga", "iban": "GB33BUKB20201555555555" })).expect(204);
        refuse(&app, &owner, &payout, 422, "insufficient_funds");
        let run = finance.ask(Method::POST, "/v1/payouts/approve", &json!({ "payouts": [] }));
        refuse(&app, &finance, &run, 422, "invalid_body");
    }
}

store::on_both_databases! {
    fn blobs_and_accounts_that_cannot_be(db) {
        let app = TestApp::start(db);
        let ada = app.customer("ada");
        let wrong = "0".repeat(64);
        refuse(&app, &ada, &ada.blob(&wrong, b"bytes"), 422, "digest_mismatch");
        ada.get(&format!("/v1/blobs/{wrong}")).refused(404, "not_found");
        refuse(&app, &ada, &ada.blob("abc", b"bytes"), 422, "invalid_digest");
        refuse(&app, &ada, &ada.blob(&"A".repeat(64), b"bytes"), 422, "invalid_digest");
        let files = walk(&app.db.dir.path().join("blobs"));
        assert!(files.is_empty(), "{files:?}");

        let account = json!({ "email": "bob@example.org", "password": "correct horse battery",
            "name": "Bob", "role": "customer" });
        for (at, value) in [("/email", json!("bob")), ("/password", json!("short")),
            ("/name", json!("Bob\r\nBcc: eve@example.org")), ("/role", json!("finance")),
            ("/name", json!("  "))]
        {
            let ask = ada.ask(Method::POST, "/v1/signup", &with(&account, at, value));
            let problem = refuse(&app, &ada, &ask, 422, "invalid_body");
            assert_eq!(problem["errors"][0]["pointer"], at);
        }
        let taken = with(&account, "/email", json!("ADA@example.org"));
        refuse(&app, &ada, &ada.ask(Method::POST, "/v1/signup", &taken), 409, "email_taken");

        let owner = app.owner("olga");
        let car = json!({ "region": "us-ca", "class": "hw4", "reserve": "0.09", "pay_in": "cash" });
        for (at, value) in [("/region", json!("atlantis")), ("/class", json!("abacus")),
            ("/reserve", json!("-0.01")), ("/reserve", json!("1000001")),
            ("/soc_floor", json!(101)), ("/pay_in", json!("gold"))]
        {
            let ask = owner.ask(Method::POST, "/v1/vehicles", &with(&car, at, value));
            let problem = refuse(&app, &owner, &ask, 422, "invalid_body");
            assert_eq!(problem["errors"][0]["pointer"], at, "{problem}");
        }
    }
}

store::on_both_databases! {
    fn text_that_no_database_keeps(db) {
        let app = TestApp::start(db);
        let (ada, owner) = (app.customer("ada"), app.owner("olga"));
        ada.deposit("5.00");
        let job = new_job(&ada);
        for at in ["/name", "/market", "/bid/budget/currency"] {
            let ask = ada.ask(Method::POST, "/v1/jobs", &with(&job, at, json!("a\0b")));
            let problem = refuse(&app, &ada, &ask, 422, "invalid_body");
            assert_eq!(problem["errors"][0]["pointer"], at, "{problem}");
        }
        let ask = ada.ask(Method::POST, "/v1/jobs", &with(&job, "/bid/regions", json!(["\0"])));
        let problem = refuse(&app, &ada, &ask, 422, "invalid_body");
        assert_eq!(problem["errors"][0]["pointer"], "/bid/regions/0");
        let login = json!({ "email": "a\0b", "password": "correct horse battery" });
        ada.post("/v1/login", &login).refused(422, "invalid_body");
        let holder = json!({ "holder": "a\0b", "iban": "GB33BUKB20201555555555" });
        owner.put("/v1/payout-account", &holder).refused(422, "invalid_body");
        // Written as an escape it is six characters like any others.
        let named = with(&job, "/name", json!("\\u0000"));
        assert_eq!(ada.post("/v1/jobs", &named).expect(201)["name"], "\\u0000");
        ada.get("/v1/wallet?currency=%00").refused(400, "invalid_query");
        ada.get("/v1/markets/%00/prices").refused(404, "unknown_route");
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        match entry.path() {
            path if path.is_dir() => files.extend(walk(&path)),
            path => files.push(path),
        }
    }
    files
}
