//! Assurance as customers ask for it, owners' records, and operators' list of wrong results.

use serde_json::{Value, json};
use store::NodeId;
use vehicle::protocol::Digest;

use crate::app::{Client, TestApp, new_job};
use crate::market::operator;
use crate::work::{beat, car, tick};

fn complete(app: &TestApp, car: &Client, order: &Value, output: &str) {
    app.db.clock.advance_s(10);
    let output = Digest::of(output.as_bytes()).0;
    app.db.store.write(|tx| scheduler::blob::record(tx, &output, 1)).unwrap();
    let state = json!({ "state": "completed", "output": output, "metered_us": 10_000_000 });
    beat(car, json!({ "attempt_id": order["attempt_id"], "state": state }));
}

store::on_both_databases! {
    fn a_wrong_result_is_shown_to_all_whom_it_concerns(db) {
        let app = TestApp::start(db);
        let node: NodeId = app.db.store.env().ids.id(app.db.store.now());
        let ada = app.customer("ada");
        let owners = ["olga", "otto", "omar"].map(|name| app.owner(name));
        let cars = [0, 1, 2].map(|n| car(&app, &owners[n], "cash"));
        ada.deposit("5.00");
        let mut new = new_job(&ada);
        new["inputs"] = json!([new["inputs"][0]]);
        new["assurance"] = json!({ "level": "quorum", "results": 2 });
        let job = ada.post("/v1/jobs", &new).expect(201);
        assert_eq!(job["assurance"], new["assurance"]);
        let tasks = format!("/v1/jobs/{}/tasks", job["id"].as_str().unwrap());
        let verification = || ada.get(&tasks).expect(200)["data"][0]["verification"].clone();
        assert_eq!(verification()["state"], "none");

        // Whoever has the task first lies.
        let mut liar = None;
        for round in 0..3 {
            cars.iter().for_each(|(_, car)| drop(beat(car, Value::Null)));
            tick(&app, node);
            for (n, (_, car)) in cars.iter().enumerate() {
                let order = beat(car, Value::Null)["order"].clone();
                if !order.is_null() {
                    assert_eq!(order["limits"]["deterministic"], true);
                    liar = liar.or(Some(n));
                    complete(&app, car, &order, if round == 0 { "lie" } else { "truth" });
                    break;
                }
            }
            if round < 2 {
                assert_eq!(verification(), json!({ "state": "pending", "wanted": 2, "agreed": 0 }));
            }
        }
        assert_eq!(verification(), json!({ "state": "agreed", "wanted": 2, "agreed": 2 }));
        let liar = liar.unwrap();
        let path = |n: usize| format!("/v1/vehicles/{}/reputation", cars[n].0);
        let record = owners[liar].get(&path(liar)).expect(200);
        assert_eq!((&record["dissent_milli"], &record["right_milli"]), (&json!(1_000), &json!(0)));
        assert_eq!(record["dissents"][0]["got"], json!(Digest::of(b"lie").0));
        assert_eq!(record["dissents"][0]["expected"], json!(Digest::of(b"truth").0));
        let honest = (liar + 1) % 3;
        let other = owners[honest].get(&path(honest)).expect(200);
        assert_eq!((&other["right_milli"], &other["dissents"]), (&json!(1_000), &json!([])));
        assert_eq!(other["resting_until"], Value::Null);
        owners[honest].get(&path(liar)).refused(404, "not_found");
        ada.get(&path(liar)).refused(403, "wrong_role");

        let lines = owners[liar].get("/v1/earnings/leases").expect(200);
        let line = &lines["data"][0]["attempts"][0];
        assert_eq!(line["verdict"], "unpaid");
        assert!(line["reason"].as_str().unwrap().starts_with("wrong result: 2 cars"), "{line}");

        let operator = operator(&app);
        let list = operator.get("/v1/dissents?limit=1").expect(200);
        assert_eq!((&list["data"], &list["has_more"]), (&record["dissents"], &json!(false)));
        ada.get("/v1/dissents").refused(403, "wrong_role");
        owners[liar].get("/v1/dissents").refused(403, "wrong_role");
        operator.get("/v1/dissents?cursor=zz").refused(400, "invalid_query");
    }
}

store::on_both_databases! {
    fn an_assurance_out_of_range_is_refused(db) {
        let app = TestApp::start(db);
        let ada = app.customer("ada");
        ada.deposit("5.00");
        for level in [
            json!({ "level": "quorum", "results": 1 }),
            json!({ "level": "quorum", "results": 6 }),
            json!({ "level": "spot_check", "rate_ppm": 0 }),
            json!({ "level": "spot_check", "rate_ppm": 1_000_001 }),
        ] {
            let mut new = new_job(&ada);
            new["assurance"] = level;
            let refused = ada.post("/v1/jobs", &new).refused(422, "invalid_body");
            assert_eq!(refused["errors"][0]["pointer"], "/assurance", "{refused}");
        }
        for level in [json!("quorum"), json!({ "level": "faith" }), json!({ "level": "quorum" })] {
            let mut new = new_job(&ada);
            new["assurance"] = level;
            ada.post("/v1/jobs", &new).refused(422, "invalid_body");
        }
    }
}
