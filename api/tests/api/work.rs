//! From a bid to an owner's money, by HTTP alone but for the market's tick.

use serde_json::{Value, json};
use store::NodeId;
use vehicle::protocol::Digest;

use crate::app::{Client, TestApp, new_job};

pub fn at_home() -> Value {
    json!({
        "Gear": "P", "VehicleSpeed": 0.0, "DriverSeatOccupied": false, "Locked": true,
        "ServiceMode": false, "ValetMode": false, "DetailedChargeState": "Charging",
        "Soc": 70.0, "ModuleTempMax": 25.0,
        "DoorState": { "DriverFront": false, "DriverRear": false, "PassengerFront": false,
            "PassengerRear": false, "TrunkFront": false, "TrunkRear": false },
    })
}

pub fn beat(car: &Client, attempt: Value) -> Value {
    let body = json!({ "telemetry": at_home(), "attempt": attempt });
    car.post("/v1/vehicles/heartbeat", &body).expect(200)
}

/// A car of this owner's that consents to simulations, signed in with its own token.
pub fn car(app: &TestApp, owner: &Client, pay_in: &str) -> (String, Client) {
    let new = json!({ "region": "us-ca", "class": "hw4", "reserve": "0.09", "pay_in": pay_in });
    let added = owner.post("/v1/vehicles", &new).expect(201);
    let id = added["id"].as_str().unwrap().to_owned();
    let consent = format!("/v1/vehicles/{id}/consents/simulation/synthetic");
    owner.put(&consent, &Value::Null).expect(200);
    (id, app.client(added["token"].as_str()))
}

pub fn tick(app: &TestApp, node: NodeId) {
    let config = scheduler::Config::default();
    scheduler::market::tick(&app.db.store, &config, "us", node).unwrap();
}

/// Works ten seconds on the order, reports that it is done; what the car is told then.
pub fn complete(app: &TestApp, car: &Client, order: &Value) -> Value {
    app.db.clock.advance_s(10);
    let output = Digest::of(order["attempt_id"].as_str().unwrap().as_bytes()).0;
    let recorded = app.db.store.write(|tx| scheduler::blob::record(tx, &output, 1));
    recorded.unwrap();
    let state = json!({ "state": "completed", "output": output, "metered_us": 10_000_000 });
    beat(car, json!({ "attempt_id": order["attempt_id"], "state": state }))
}

store::on_both_databases! {
    fn a_bid_becomes_an_owners_money(db) {
        let app = TestApp::start(db);
        let node: NodeId = app.db.store.env().ids.id(app.db.store.now());
        let (customer, owner, finance) = (app.customer("ada"), app.owner("olga"), app.finance());
        customer.deposit("5.00");
        let job = customer.post("/v1/jobs", &new_job(&customer)).expect(201);
        assert_eq!(job["state"], "active");
        assert_eq!(job["held"], json!({ "amount": "1.000000", "currency": "USD" }));
        let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());

        let (vehicle, car) = car(&app, &owner, "cash");
        assert!(beat(&car, Value::Null)["order"].is_null());
        let shown = owner.get(&format!("/v1/vehicles/{vehicle}")).expect(200);
        assert_eq!(shown["eligible"], true, "{shown}");
        assert!(shown.get("token").is_none());

        tick(&app, node);
        let mut reply = beat(&car, Value::Null);
        for _ in 0..2 {
            assert_eq!(reply["order"]["runtime"], "wasm", "{reply}");
            reply = complete(&app, &car, &reply["order"].clone());
        }
        assert!(reply["order"].is_null(), "{reply}");

        let done = customer.get(&path).expect(200);
        assert_eq!(done["state"], "completed", "{done}");
        assert_eq!(done["tasks"], json!({ "total": 2, "completed": 2, "failed": 0 }));
        let tasks = customer.get(&format!("{path}/tasks?limit=1")).expect(200);
        assert_eq!(tasks["has_more"], true);
        assert_eq!(tasks["data"][0]["state"], "completed");
        let next = tasks["next_cursor"].as_str().unwrap();
        let tasks = customer.get(&format!("{path}/tasks?limit=1&cursor={next}")).expect(200);
        assert_eq!((&tasks["has_more"], &tasks["data"][0]["number"]), (&json!(false), &json!(1)));
        let leases = customer.get(&format!("{path}/leases")).expect(200);
        let lease = &leases["data"][0];
        assert_eq!((&lease["state"], &lease["vehicle"]), (&json!("settled"), &json!(vehicle)));
        assert_eq!(lease["attempts"].as_array().unwrap().len(), 2);
        assert_eq!(lease["amount"], done["spent"]);
        assert_eq!(done["held"]["amount"], "0.000000");

        // What the owner sees, is paid, and reads.
        assert_eq!(owner.get("/v1/earnings/leases").expect(200)["data"], leases["data"]);
        let earned = owner.get("/v1/earnings").expect(200);
        assert_ne!(earned["cash"]["amount"], "0.000000");
        let period = "from=2026-11-01&to=2026-12-01";
        let csv = owner.get(&format!("/v1/statements?{period}&format=csv"));
        assert!(csv.text.contains(lease["id"].as_str().unwrap()), "{csv:?}");
        assert!(owner.get(&format!("/v1/statements?{period}")).text.contains("<html"));
        let json = owner.get(&format!("/v1/statements?{period}&format=json")).expect(200);
        assert!(json.is_object());

        // The market remembers its price; anybody signed in may read it.
        let prices = owner.get("/v1/markets/us/prices").expect(200);
        assert_eq!(prices[0]["clearing_price"], lease["price"]["amount"]);
        let history = customer.get("/v1/markets/us/history?from=2026-11-01").expect(200);
        assert_eq!(history.as_array().unwrap().len(), 1);
        assert_eq!(customer.get("/v1/markets").expect(200)[0]["currency"], "USD");

        // Finance reads the book.
        let trial = finance.get("/v1/ledger/trial-balance").expect(200);
        assert_eq!(trial["totals"]["USD"], "0.000000");
        assert_eq!(finance.get("/v1/ledger/check").expect(200)["clean"], true);
        assert!(finance.get("/v1/ledger/journal").text.lines().count() > 4);
        let cancel = customer.post(&format!("{path}/cancel"), &Value::Null);
        cancel.refused(409, "wrong_state");
    }
}

store::on_both_databases! {
    fn a_payout_is_asked_for_approved_and_written_to_a_file(db) {
        let app = TestApp::start(db);
        let node: NodeId = app.db.store.env().ids.id(app.db.store.now());
        let (customer, owner, finance) = (app.customer("ada"), app.owner("olga"), app.finance());
        customer.deposit("5000.00");
        let mut new = new_job(&customer);
        new["bid"]["max_price"]["amount"] = json!("900");
        new["bid"]["budget"]["amount"] = json!("5000");
        customer.post("/v1/jobs", &new).expect(201);
        let (vehicle, car) = car(&app, &owner, "cash");
        // A car that wants $360 an hour earns a dollar in ten seconds.
        let change = owner.ask(reqwest::Method::PATCH, &format!("/v1/vehicles/{vehicle}"),
            &json!({ "reserve": "360" }));
        assert_eq!(owner.send(&change).expect(200)["reserve"], "360.000000");
        beat(&car, Value::Null);
        tick(&app, node);
        let mut reply = beat(&car, Value::Null);
        for _ in 0..2 {
            reply = complete(&app, &car, &reply["order"].clone());
        }
        owner.put("/v1/payout-account",
            &json!({ "holder": "Olga", "iban": "GB33BUKB20201555555555" })).expect(204);
        let payout = owner.post("/v1/payouts", &json!({ "currency": "USD" })).expect(201);
        assert_eq!(payout["state"], "requested", "{payout}");
        let earned = owner.get("/v1/earnings").expect(200);
        assert_eq!(earned["cash_held"], payout["amount"]);

        let run = json!({ "payouts": [payout["id"]] });
        let file = finance.post("/v1/payouts/approve", &run).expect(201);
        let path = format!("/v1/bank-files/{}", file["bank_file"].as_str().unwrap());
        let xml = finance.get(&path);
        assert!(xml.text.contains("pain.001") && xml.text.contains("GB33BUKB20201555555555"));
        finance.post("/v1/payouts/approve", &run).refused(409, "wrong_state");
        let paid = owner.get("/v1/payouts").expect(200);
        assert_eq!(paid["data"][0]["state"], "approved");
        assert_eq!(finance.get("/v1/payouts").expect(200)["data"], paid["data"]);
        assert_eq!(app.owner("otto").get("/v1/payouts").expect(200)["data"], json!([]));
    }
}

store::on_both_databases! {
    fn a_cancelled_job_gives_its_money_back(db) {
        let app = TestApp::start(db);
        let customer = app.customer("ada");
        customer.deposit("5.00");
        let job = customer.post("/v1/jobs", &new_job(&customer)).expect(201);
        assert_eq!(customer.wallet().1, "1.000000");
        let path = format!("/v1/jobs/{}/cancel", job["id"].as_str().unwrap());
        let cancelled = customer.post(&path, &Value::Null).expect(200);
        assert_eq!((&cancelled["state"], &cancelled["held"]["amount"]),
            (&json!("cancelled"), &json!("0.000000")));
        assert_eq!(customer.wallet(), ("5.000000".to_owned(), "0.000000".to_owned()));
    }
}
