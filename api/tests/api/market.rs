//! The market for customers and owners to read, and for operators to halt.

use api::identity::{self, model::Role};
use reqwest::Method;
use serde_json::{Value, json};
use store::NodeId;

use crate::app::{Client, PASSWORD, TestApp, new_job};
use crate::work::{beat, car, tick};

pub fn operator(app: &TestApp) -> Client {
    operator_at(app, "operator@example.org")
}

/// Has a fee proposed by one operator and approved by another.
fn set_fee(app: &TestApp, operator: &Client, fee: &Value) {
    let proposed = operator.post("/v1/markets/us/fees", fee).expect(202);
    let approve = format!("/v1/approvals/{}/approve", proposed["id"].as_str().unwrap());
    operator.post(&approve, &json!({})).refused(409, "wrong_state");
    let done = operator_at(app, "another@example.org").post(&approve, &json!({})).expect(200);
    assert_eq!(done["state"], "executed");
}

fn operator_at(app: &TestApp, email: &str) -> Client {
    identity::add_user(&app.db.store, email, "Operator", Role::Operator, PASSWORD).unwrap();
    app.log_in(email)
}

/// One car let at $0.106, in the first tick.
pub fn sold(app: &TestApp, customer: &Client, owner: &Client) {
    let node: NodeId = app.db.store.env().ids.id(app.db.store.now());
    customer.deposit("5.00");
    let (_, vehicle) = car(app, owner, "cash");
    beat(&vehicle, Value::Null);
    customer.post("/v1/jobs", &new_job(customer)).expect(201);
    tick(app, node);
}

store::on_both_databases! {
    fn everybody_reads_the_market(db) {
        let app = TestApp::start(db);
        let (ada, olga) = (app.customer("ada"), app.owner("olga"));
        let empty = olga.get("/v1/markets/us").expect(200);
        assert_eq!((&empty["last_tick"], &empty["alarms"]), (&Value::Null, &json!([])));
        assert_eq!(olga.get("/v1/markets/us/depth").expect(200)["cells"], json!([]));
        sold(&app, &ada, &olga);

        let status = olga.get("/v1/markets/us").expect(200);
        assert_eq!((&status["fee_ppm"], &status["halted"]), (&json!(150_000), &json!([])));
        assert_eq!(status["alarms"][0]["alarms"], json!(["thin", "wide"]), "{status}");
        let day = "from=2026-11-24";
        let history = ada.get(&format!("/v1/markets/us/history?{day}&class=hw4")).expect(200);
        assert_eq!(history[0]["clearing_price"], "0.106000");
        assert_eq!(history, ada.get("/v1/markets/us/prices").expect(200));
        let candles = ada.get(&format!("/v1/markets/us/candles?{day}&interval_s=60")).expect(200);
        assert_eq!((&candles[0]["close"], &candles[0]["volume"]), (&json!("0.106000"), &json!(1)));
        let depth = ada.get("/v1/markets/us/depth?region=us-ca").expect(200);
        assert_eq!(depth["cells"][0]["asks"], json!([{ "price": "0.106000", "lanes": 1 }]));
        assert_eq!(depth["cells"][0]["bids"], json!([{ "price": "0.360000", "lanes": 1 }]));
        let hours = ada.get(&format!("/v1/markets/us/hours?{day}")).expect(200);
        assert_eq!((&hours[0]["idle"], &hours[0]["ticks"]), (&json!("1.000000"), &json!(1)));
        let capacity = ada.get("/v1/markets/us/capacity?hours=48").expect(200);
        assert!(capacity["method"].as_str().unwrap().contains("14 days"), "{capacity}");
        assert_eq!(capacity["hours"], json!([]));
        let fees = ada.get("/v1/markets/us/fees").expect(200);
        assert_eq!(fees, json!([{ "from": "1970-01-01T00:00:00Z", "fee_ppm": 150_000,
            "credit_bonus_ppm": 100_000 }]));

        for path in ["candles", "candles?from=soon", "candles?from=2026-11-24&interval_s=7",
            "candles?from=2026-11-24&to=2026-11-23", "candles?from=2020-01-01&interval_s=60",
            "hours?from=2020-01-01", "hours?from=2026-11-24&to=later", "history?from=soon",
            "capacity?hours=0", "capacity?hours=169", "depth?x=1", "ticks?cursor=zz"]
        {
            ada.get(&format!("/v1/markets/us/{path}")).refused(400, "invalid_query");
        }
        for path in ["", "/depth", "/capacity", "/fees", "/hours?from=2026-11-24",
            "/candles?from=2026-11-24", "/history?from=2026-11-24"]
        {
            ada.get(&format!("/v1/markets/moon{path}")).refused(404, "not_found");
        }
    }
}

store::on_both_databases! {
    fn a_quote_costs_nothing_and_stores_nothing(db) {
        let app = TestApp::start(db);
        let (ada, olga) = (app.customer("ada"), app.owner("olga"));
        sold(&app, &ada, &olga);
        let (_, vehicle) = car(&app, &olga, "cash");
        beat(&vehicle, Value::Null);
        let bid = new_job(&ada)["bid"].clone();
        let ask = json!({ "purpose": "simulation", "data_class": "synthetic", "bid": bid,
            "work": { "tasks": 100, "task_seconds": 36 } });
        let (rows, wallet) = (app.rows(), ada.wallet());
        let quote = ada.post("/v1/markets/us/quotes", &ask).expect(200);
        assert_eq!((&quote["now"]["would_clear"], &quote["now"]["won"]), (&json!(true), &json!(1)));
        assert_eq!(quote["now"]["cells"][0]["price"]["amount"], "0.106000");
        assert_eq!((&quote["past"]["ticks"], &quote["past"]["won"]), (&json!(1), &json!(1)));
        // An hour of hw4.
        let cost = &quote["estimate"]["cost"];
        assert_eq!((&cost["low"]["amount"], &cost["high"]["amount"]),
            (&json!("0.106000"), &json!("0.360000")));
        for method in [&quote["past"]["method"], &quote["estimate"]["method"]] {
            assert!(method.as_str().unwrap().len() > 50);
        }
        // A budget is asked about, not held: it need not be there.
        let mut rich = ask.clone();
        rich["bid"]["budget"]["amount"] = json!("1000000");
        ada.post("/v1/markets/us/quotes", &rich).expect(200);
        assert_eq!((app.rows(), ada.wallet()), (rows, wallet));

        for (pointer, value, at) in [
            ("/bid/max_price/amount", json!("0"), "/bid/max_price"),
            ("/bid/max_price/amount", json!("NaN"), "/bid/max_price/amount"),
            ("/bid/lanes", json!(0), "/bid/lanes"),
            ("/bid/budget/currency", json!("EUR"), "/bid/max_price/currency"),
            ("/work/tasks", json!(0), "/work/tasks"),
            ("/work/tasks", json!(1.5), "/work/tasks"),
            ("/work/task_seconds", json!(86_401), "/work/task_seconds"),
            ("/purpose", json!("mining"), "/purpose"),
        ] {
            let mut wrong = ask.clone();
            *wrong.pointer_mut(pointer).unwrap() = value;
            let refused = ada.post("/v1/markets/us/quotes", &wrong).refused(422, "invalid_body");
            assert_eq!(refused["errors"][0]["pointer"], at, "{refused}");
        }
        ada.post("/v1/markets/moon/quotes", &ask).refused(404, "not_found");
        olga.post("/v1/markets/us/quotes", &ask).refused(403, "wrong_role");
    }
}

store::on_both_databases! {
    fn an_operator_halts_a_region_and_sets_the_fee_to_come(db) {
        let app = TestApp::start(db);
        let (ada, operator) = (app.customer("ada"), operator(&app));
        let path = "/v1/markets/us/regions/us-ca/halt";
        let reason = json!({ "reason": "odd prices" });
        let halted = operator.put(path, &reason).expect(200);
        assert_eq!((&halted["region"], &halted["lifted_at"]), (&json!("us-ca"), &Value::Null));
        assert!(halted["halted_by"].as_str().unwrap().starts_with("party_"));
        assert_eq!(operator.put(path, &reason).expect(200), halted);
        // Everybody sees that and why, but not by whom.
        let seen = ada.get("/v1/markets/us").expect(200);
        assert_eq!(seen["halted"], json!([{ "region": "us-ca", "since": halted["halted_at"],
            "reason": "odd prices" }]));
        assert_eq!(ada.get("/v1/markets").expect(200)[0]["halted"], seen["halted"]);
        let rows = operator.get("/v1/markets/us/halts").expect(200);
        assert_eq!(rows, json!([halted]));
        for wrong in [json!({}), json!({ "reason": "" }), json!({ "reason": " " }),
            json!({ "reason": "x".repeat(501) }), json!({ "reason": 1 }), json!({ "why": "x" })]
        {
            operator.put(path, &wrong).refused(422, "invalid_body");
        }
        operator.put("/v1/markets/us/regions/atlantis/halt", &reason).refused(404, "not_found");
        operator.put("/v1/markets/moon/regions/us-ca/halt", &reason).refused(404, "not_found");
        let lift = operator.ask(Method::DELETE, path, &Value::Null);
        ada.put(path, &reason).refused(403, "wrong_role");
        ada.get("/v1/markets/us/halts").refused(403, "wrong_role");
        ada.send(&ada.ask(Method::DELETE, path, &Value::Null)).refused(403, "wrong_role");
        operator.send(&lift).expect(204);
        operator.send(&lift).expect(204);
        assert_eq!(ada.get("/v1/markets/us").expect(200)["halted"], json!([]));

        let fees = "/v1/markets/us/fees";
        let new = json!({ "from": "2027-01-01T00:00:00Z", "fee_ppm": 120_000,
            "credit_bonus_ppm": 50_000 });
        set_fee(&app, &operator, &new);
        let ask = operator.ask(Method::POST, fees, &new);
        operator.send(&ask).refused(422, "invalid_body");
        for (field, value) in [("from", json!("2020-01-01T00:00:00Z")), ("from", json!("soon")),
            ("fee_ppm", json!(-1)), ("fee_ppm", json!(500_001)), ("fee_ppm", json!("1")),
            ("credit_bonus_ppm", json!(1_000_001)), ("credit_bonus_ppm", json!(5_000_000_000_i64))]
        {
            let mut wrong = new.clone();
            (wrong["from"], wrong[field]) = (json!("2028-01-01T00:00:00Z"), Value::Null);
            wrong[field] = value;
            let refused = operator.post(fees, &wrong).refused(422, "invalid_body");
            assert_eq!(refused["errors"][0]["pointer"], format!("/{field}"), "{refused}");
        }
        ada.post(fees, &new).refused(403, "wrong_role");
        assert_eq!(ada.get(fees).expect(200)[1], new);
        assert_eq!(ada.get("/v1/markets/us").expect(200)["fee_ppm"], 150_000, "not yet");
    }
}
