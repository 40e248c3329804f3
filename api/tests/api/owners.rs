//! Cars that are named, shared, handed over, imported and retired; consent and its receipts.

use diesel::prelude::*;
use reqwest::Method;
use serde_json::{Value, json};
use store::schema as s;
use store::{NodeId, VehicleId};

use crate::app::{Answer, Ask, Client, TestApp, new_job};
use crate::work::{beat, car, tick};

const VIN: &str = "1M8GDM9AXKP042788";

fn new_car(vin: &str) -> Value {
    json!({ "region": "us-ca", "class": "hw4", "reserve": "0.09", "pay_in": "cash", "vin": vin,
        "battery": { "chemistry": "lfp", "capacity_wh": 60_000 } })
}

/// A car at work on a customer's task: its id, its own client, and its attempt.
fn at_work(app: &TestApp, owner: &Client) -> (String, Client, Value) {
    let node: NodeId = app.db.store.env().ids.id(app.db.store.now());
    let customer = app.customer("ada");
    customer.deposit("5.00");
    customer.post("/v1/jobs", &new_job(&customer)).expect(201);
    let (id, car) = car(app, owner, "cash");
    beat(&car, Value::Null);
    tick(app, node);
    let order = beat(&car, Value::Null)["order"].clone();
    assert!(order.is_object(), "{order}");
    (id, car, order)
}

fn running(order: &Value) -> Value {
    json!({ "attempt_id": order["attempt_id"], "state": { "state": "running" } })
}

/// The driver is asked to leave and does: with a checkpoint or without.
fn leave(car: &Client, order: &Value, reason: &str) {
    let told = beat(car, json!({ "attempt_id": order["attempt_id"], "state": "running",
        "metered_us": 1_000_000 }));
    assert_eq!(told["vacate"], reason, "{told}");
    beat(car, json!({ "attempt_id": order["attempt_id"], "state": "vacated",
        "metered_us": 1_000_000 }));
}
