//! Cars that are named, shared, handed over, imported and retired; consent and its receipts.

use diesel::prelude::*;
use reqwest::Method;
use serde_json::{Value, json};
use store::schema as s;
use store::{NodeId, VehicleId};

use crate::app::{Answer, Ask, Client, TestApp, new_job};
use crate::work::{beat, car, complete, tick};

const VIN: &str = "1M8GDM9AXKP042788";

fn new_car(vin: &str) -> Value {
    json!({ "region": "us-ca", "class": "hw4", "reserve": "0.09", "pay_in": "cash", "vin": vin,
        "battery": { "chemistry": "lfp", "capacity_wh": 60_000 } })
}

/// A car at work on a customer's task, placed by `node`: its id, its own client, and its order.
pub fn at_work(app: &TestApp, owner: &Client, node: NodeId) -> (String, Client, Value) {
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

/// A process that leads the market.
pub fn node(app: &TestApp) -> NodeId {
    app.db.store.env().ids.id(app.db.store.now())
}

fn runs(order: &Value) -> Value {
    json!({ "attempt_id": order["attempt_id"],
        "state": { "state": "running", "progress_ppm": 0, "metered_us": 1_000_000 } })
}

/// The car is told to leave at its next poll, and does.
pub fn leaves(car: &Client, order: &Value) {
    let told = beat(car, runs(order));
    assert_eq!(told["vacate"], "consent_withdrawn", "{told}");
    beat(
        car,
        json!({ "attempt_id": order["attempt_id"],
        "state": { "state": "vacated", "metered_us": 1_000_000 } }),
    );
}

fn heartbeat(app: &TestApp, car: &Client) -> Answer {
    let body = json!({ "telemetry": {}, "attempt": null });
    app.client(car.token.as_deref()).post("/v1/vehicles/heartbeat", &body)
}

store::on_both_databases! {
    fn a_car_is_known_by_its_number_which_nobody_can_read(db) {
        let app = TestApp::start(db);
        let (olga, otto) = (app.owner("olga"), app.owner("otto"));
        let added = olga.post("/v1/vehicles", &new_car(VIN)).expect(201);
        assert_eq!(added["vin"], "*************2788");
        assert_eq!(added["battery"], json!({ "chemistry": "lfp", "capacity_wh": 60_000 }));
        let kept: (Vec<u8>, Vec<u8>) = app.db.store.read(|tx| {
            let row = s::vehicle_vin::table.select((s::vehicle_vin::digest, s::vehicle_vin::sealed));
            Ok::<_, store::Error>(row.first(tx.conn)?)
        }).unwrap();
        for bytes in [&kept.0, &kept.1] {
            assert!(!String::from_utf8_lossy(bytes).contains("1M8G"));
        }
        for (car, pointer) in [
            (new_car("1m8gdm9axkp042788 "), "/vin"),
            (new_car("1M8GDM9A0KP042788"), "/vin"),
            (new_car("1M8GDM9AXKP04278I"), "/vin"),
            (new_car(""), "/vin"),
            (json!({ "region": "us-ca", "class": "hw4", "reserve": "0.09", "pay_in": "cash",
                "battery": { "chemistry": "nmc", "capacity_wh": 300_001 } }), "/battery/capacity_wh"),
            (json!({ "region": "us-ca", "class": "hw4", "reserve": "0.09", "pay_in": "cash",
                "battery": { "chemistry": "lead", "capacity_wh": 60_000 } }), "/battery/chemistry"),
        ] {
            let before = app.rows();
            let problem = otto.post("/v1/vehicles", &car).refused(422, "invalid_body");
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
            assert_eq!(app.rows(), before);
        }
    }
}

store::on_both_databases! {
    fn any_driver_pauses_a_car_within_a_poll_and_lets_it_go_on(db) {
        let app = TestApp::start(db);
        let (olga, dora, eve) = (app.owner("olga"), app.owner("dora"), app.owner("eve"));
        let node = node(&app);
        let (id, car, order) = at_work(&app, &olga, node);
        let (codes, pause) = (format!("/v1/vehicles/{id}/codes"), format!("/v1/vehicles/{id}/pause"));
        let given = olga.post(&codes, &json!({ "for": "driver" })).expect(201);
        let code = json!({ "code": given["code"] });
        dora.put(&pause, &Value::Null).refused(404, "not_found");
        olga.post("/v1/vehicles/accept", &code).refused(409, "wrong_state");
        // A refusal leaves the code good; once it is used it is not.
        assert_eq!(dora.post("/v1/vehicles/accept", &code).expect(200)["id"], id);
        eve.post("/v1/vehicles/accept", &code).refused(422, "code_wrong");
        assert_eq!(dora.get("/v1/driving").expect(200)[0]["id"], id);
        dora.get(&format!("/v1/vehicles/{id}")).refused(404, "not_found");
        dora.post(&format!("/v1/vehicles/{id}/retire"), &Value::Null).refused(404, "not_found");

        assert_eq!(dora.put(&pause, &Value::Null).expect(200)["state"], "paused");
        let shown = olga.get(&format!("/v1/vehicles/{id}/market")).expect(200);
        assert_eq!(shown["state"], "leased", "{shown}");
        leaves(&car, &order);
        let leases = olga.get("/v1/earnings/leases").expect(200);
        assert_eq!(leases["data"][0]["end_reason"], "evicted", "{leases}");
        tick(&app, node);
        assert!(beat(&car, Value::Null)["order"].is_null());
        let shown = olga.get(&format!("/v1/vehicles/{id}/market")).expect(200);
        assert_eq!((&shown["state"], &shown["reason"]), (&json!("not_offered"), &json!("paused")));

        assert_eq!(olga.delete(&pause).expect(200)["state"], "active");
        beat(&car, Value::Null);
        tick(&app, node);
        assert!(beat(&car, Value::Null)["order"].is_object());
        let drivers = olga.get(&format!("/v1/vehicles/{id}/drivers")).expect(200);
        let driver = format!("/v1/vehicles/{id}/drivers/{}", drivers[0]["party"].as_str().unwrap());
        eve.delete(&driver).refused(404, "not_found");
        assert_eq!(dora.delete(&driver).status, 204);
        dora.put(&pause, &Value::Null).refused(404, "not_found");
        // A code that is too old.
        let given = olga.post(&codes, &json!({ "for": "driver" })).expect(201);
        app.db.clock.advance_s(24 * 3_600);
        let eve = app.log_in("eve@example.org");
        eve.post("/v1/vehicles/accept", &json!({ "code": given["code"] })).refused(422, "code_wrong");
    }
}

store::on_both_databases! {
    fn a_car_changes_hands_and_what_it_earned_does_not(db) {
        let app = TestApp::start(db);
        let (olga, nina) = (app.owner("olga"), app.owner("nina"));
        let (id, car, order) = at_work(&app, &olga, node(&app));
        let seal = store::seal::Seal::load(&app.db.store).unwrap();
        let vehicle: VehicleId = id.parse().unwrap();
        let vin = scheduler::fleet::SealedVin {
            digest: seal.digest("vehicle vin", VIN.as_bytes()),
            sealed: seal.seal("vehicle vin", VIN.as_bytes()).unwrap(),
            masked: "*************2788".into(),
            checks: true,
        };
        let owner = olga.get("/v1/me").expect(200)["id"].as_str().unwrap().parse().unwrap();
        app.db.store.write(|tx| {
            scheduler::fleet::describe(tx, owner, vehicle, Some(&vin), None)
        }).unwrap();
        let reply = complete(&app, &car, &order);
        let (first, order) = (olga.get("/v1/earnings").expect(200), &reply["order"]);
        assert!(order.is_object());
        let given = olga.post(&format!("/v1/vehicles/{id}/codes"), &json!({ "for": "transfer" }));
        let code = json!({ "code": given.expect(201)["code"] });
        let new = nina.post("/v1/vehicles/accept", &code).expect(200);
        assert_ne!(new["id"], id);
        let path = format!("/v1/vehicles/{}", new["id"].as_str().unwrap());
        let shown = nina.get(&path).expect(200);
        assert_eq!((&shown["vin"], &shown["consents"]), (&json!("*************2788"), &json!([])));
        let old = format!("/v1/vehicles/{id}");
        nina.get(&old).refused(404, "not_found");
        // The lease that runs is ended at the next poll, and paid to whom it was let by.
        assert_eq!(olga.get(&old).expect(200)["state"], "leaving");
        leaves(&car, order);
        app.eventually(|| (olga.get(&old).expect(200)["state"] == "transferred").then_some(()));
        heartbeat(&app, &car).refused(401, "token_invalid");
        let earned = olga.get("/v1/earnings").expect(200);
        assert_ne!(earned["cash"]["amount"], "0.000000");
        assert!(earned["cash"]["amount"].as_str() >= first["cash"]["amount"].as_str());
        assert_eq!(nina.get("/v1/earnings").expect(200)["cash"]["amount"], "0.000000");
        assert_eq!(nina.get("/v1/earnings/leases").expect(200)["data"], json!([]));
        nina.post("/v1/vehicles/accept", &code).refused(422, "code_wrong");
        olga.put(&format!("{old}/consents/video/synthetic"), &Value::Null).refused(409, "wrong_state");
    }
}

store::on_both_databases! {
    fn a_car_that_retires_ends_its_lease_and_leaves_only_what_the_books_need(db) {
        let app = TestApp::start(db);
        let olga = app.owner("olga");
        let (id, car, order) = at_work(&app, &olga, node(&app));
        let path = format!("/v1/vehicles/{id}");
        let reply = complete(&app, &car, &order);
        app.owner("eve").post(&format!("{path}/retire"), &Value::Null).refused(404, "not_found");
        assert_eq!(olga.post(&format!("{path}/retire"), &Value::Null).expect(200)["state"], "leaving");
        olga.delete(&format!("{path}/pause")).refused(409, "wrong_state");
        leaves(&car, &reply["order"]);
        app.eventually(|| (olga.get(&path).expect(200)["state"] == "retired").then_some(()));
        heartbeat(&app, &car).refused(401, "token_invalid");
        let retired = olga.get(&path).expect(200);
        assert_eq!(retired["consents"][0]["withdrawn_by"], "left");
        let vehicle: VehicleId = id.parse().unwrap();
        let left: Vec<i64> = app.db.store.read(|tx| {
            macro_rules! count {
                ($($table:ident)*) => { vec![$(
                    s::$table::table.filter(s::$table::vehicle_id.eq(vehicle)).count()
                        .get_result(tx.conn)?
                ),*] };
            }
            Ok::<_, store::Error>(count!(car_hour car_program presence reputation vehicle_key
                vehicle_vin vehicle_code vehicle_driver))
        }).unwrap();
        assert_eq!(left, [0; 8]);
        let period = "from=2026-11-01&to=2026-12-01&format=csv";
        let leases = olga.get("/v1/earnings/leases").expect(200);
        let statement = olga.get(&format!("/v1/statements?{period}"));
        assert!(statement.text.contains(leases["data"][0]["id"].as_str().unwrap()));
        // Asked again, nothing changes; a car at rest goes at once.
        assert_eq!(olga.post(&format!("{path}/retire"), &Value::Null).expect(200), retired);
        let idle = olga.post("/v1/vehicles", &new_car(VIN)).expect(201);
        let idle = format!("/v1/vehicles/{}/retire", idle["id"].as_str().unwrap());
        assert_eq!(olga.post(&idle, &Value::Null).expect(200)["state"], "retired");
        // Its number is free again.
        olga.post("/v1/vehicles", &new_car(VIN)).expect(201);
    }
}

fn import(owner: &Client, csv: &str) -> Ask {
    let ask = owner.ask(Method::POST, "/v1/vehicles/import", &Value::Null);
    Ask { kind: "text/csv", body: csv.as_bytes().to_vec(), ..ask }
}

store::on_both_databases! {
    fn a_fleet_is_added_whole_or_told_line_by_line_what_is_wrong(db) {
        let app = TestApp::start(db);
        let olga = app.owner("olga");
        let before = app.rows();
        let csv = "vin,region,class,reserve,pay_in,chemistry,capacity_wh\n\
            1M8GDM9AXKP042788,us-ca,hw4,0.09,cash,lfp,60000\n\
            1M8GDM9AXKP042788,us-ca,hw4,0.09,cash,,\n\
            1M8GDM9A0KP042788,us-ca,hw4,0.09,,,\n\
            short,mars,hw4,a lot,coins,lead,1\n\
            5GZCZ43D13S812715,us-ca,abacus,-1,credits,,\n\
            5GZCZ43D13S812715,us-ca,hw4\n";
        let problem = olga.send(&import(&olga, csv)).refused(422, "invalid_body");
        let named = |problem: &Value| -> Vec<String> {
            let all = problem["errors"].as_array().unwrap().iter();
            all.map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(named(&problem), ["/line/5/vin", "/line/5/reserve", "/line/5/pay_in",
            "/line/5/chemistry", "/line/7"], "{problem}");
        // Once all can be read, what the rows say is told.
        let csv: String = csv.lines().enumerate().filter(|(n, _)| ![4, 6].contains(n))
            .map(|(_, line)| format!("{line}\n")).collect();
        let problem = olga.send(&import(&olga, &csv)).refused(422, "invalid_body");
        assert_eq!(named(&problem), ["/line/3/vin", "/line/4/vin", "/line/5/reserve"], "{problem}");
        for (bad, status, code) in [
            ("", 422, "invalid_body"),
            ("vin,region,class,reserve\n", 422, "invalid_body"),
            ("vin,region,class,reserve,colour\n1M8GDM9AXKP042788,us-ca,hw4,1,red\n", 422, "invalid_body"),
            ("vin,region\n1M8GDM9AXKP042788,us-ca\n", 422, "invalid_body"),
        ] {
            olga.send(&import(&olga, bad)).refused(status, code);
        }
        let json = Ask { kind: "application/json", ..import(&olga, &csv) };
        olga.send(&json).refused(415, "unsupported_media_type");
        let huge = "x".repeat((1 << 20) + 1);
        olga.send(&import(&olga, &huge)).refused(413, "body_too_large");
        assert_eq!(app.rows(), before);

        let mut csv = "vin,region,class,reserve\n".to_owned();
        let vins: Vec<String> = (0..300).map(numbered).collect();
        for vin in &vins {
            csv.push_str(&format!("{vin},us-tx,hw3,0.05\n"));
        }
        let ask = import(&olga, &csv);
        let added = olga.send(&ask).expect(201);
        assert_eq!(added["vehicles"].as_array().unwrap().len(), 300);
        assert_eq!(added["vehicles"][299]["line"], 301);
        let again = olga.send(&ask);
        assert!(again.replayed);
        assert_eq!(again.expect(201), added);
    }
}

/// A number with its check digit, by the regulation's table rather than by our code.
fn numbered(serial: u32) -> String {
    let letters = "0123456789.ABCDEFGH..JKLMN.P.R..STUVWXYZ";
    let weights = "8765432X098765432";
    let body = format!("5YJ3E1EA0KF{serial:06}");
    let sum: usize = body
        .chars()
        .zip(weights.chars())
        .map(|(letter, weight)| {
            (letters.find(letter).unwrap() % 10) * weight.to_digit(10).map_or(10, |it| it as usize)
        })
        .sum();
    let check = "0123456789X".chars().nth(sum % 11).unwrap();
    format!("{}{check}{}", &body[..8], &body[9..])
}

store::on_both_databases! {
    fn consent_keeps_the_words_the_hours_and_the_device(db) {
        let app = TestApp::start(db);
        let olga = app.owner("olga");
        let (id, car) = car(&app, &olga, "cash");
        let path = format!("/v1/vehicles/{id}/consents");
        let shown = olga.get(&path).expect(200);
        assert_eq!((&shown["law"], shown["asked"].as_array().unwrap().len()), (&json!("US-CA"), 6));
        let text = shown["asked"][0]["text"].as_str().unwrap();
        assert!(text.contains("opt out") && text.contains("withdraw"), "{text}");
        let video = format!("{path}/video/synthetic");
        for (body, pointer) in [
            (json!({ "text_version": "2019-01" }), "/text_version"),
            (json!({ "hours": {} }), "/hours"),
            (json!({ "hours": { "monday": { "from": "07:00", "to": "07:00" } } }), "/hours"),
            (json!({ "hours": { "someday": null } }), "/hours/someday"),
            (json!({ "until": "forever" }), "/until"),
        ] {
            let before = app.rows();
            let problem = olga.put(&video, &body).refused(422, "invalid_body");
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
            assert_eq!(app.rows(), before);
        }
        app.owner("eve").put(&video, &Value::Null).refused(404, "not_found");
        // It is 16:00 on a Monday in California: simulations may only run later.
        let late = json!({ "text_version": "2026-11",
            "hours": { "monday": { "from": "22:00", "to": "06:00" } } });
        olga.put(&format!("{path}/simulation/synthetic"), &late).expect(200);
        let receipts = olga.get(&path).expect(200)["receipts"].clone();
        assert_eq!(receipts.as_array().unwrap().len(), 2, "{receipts}");
        assert_eq!(receipts[0]["withdrawn_by"], "owner");
        assert_eq!((&receipts[1]["hours"]["monday"], &receipts[1]["law"]),
            (&json!({ "from": "22:00", "to": "06:00" }), &json!("US-CA")));
        assert!(receipts[1]["given_at"].is_string());

        let customer = app.customer("ada");
        customer.deposit("5.00");
        customer.post("/v1/jobs", &new_job(&customer)).expect(201);
        let node = node(&app);
        beat(&car, Value::Null);
        tick(&app, node);
        assert!(beat(&car, Value::Null)["order"].is_null(), "outside of the hours");
        app.db.clock.advance_s(6 * 3_600);
        beat(&car, Value::Null);
        tick(&app, node);
        let order = beat(&car, Value::Null)["order"].clone();
        assert!(order.is_object(), "within the hours");
        // Over midnight it is Monday's span still; when it ends, work is told to leave.
        app.db.clock.advance_s(8 * 3_600);
        let told = beat(&car, runs(&order));
        assert!(told["vacate"].is_string(), "{told}");
    }
}

store::on_both_databases! {
    fn whoever_has_the_link_opts_a_car_out_without_an_account(db) {
        let app = TestApp::start(db);
        let olga = app.owner("olga");
        let (id, car, order) = at_work(&app, &olga, node(&app));
        let path = format!("/v1/vehicles/{id}/consents");
        let link = olga.get(&path).expect(200)["opt_out_link"].as_str().unwrap().to_owned();
        let nobody = app.client(None);
        // Forged: another car's, cut, changed.
        let mut forged = link.clone().into_bytes();
        let last = forged.len() - 3;
        forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        for wrong in [&forged[..], &link[..link.len() - 4], "/opt-out/x"] {
            nobody.get(wrong).refused(404, "not_found");
            nobody.post(wrong, &Value::Null).refused(404, "not_found");
        }
        // To look changes nothing: mail scanners open links.
        assert!(nobody.get(&link).text.contains("<form method=\"post\">"));
        assert!(olga.get(&path).expect(200)["receipts"][0]["withdrawn_at"].is_null());
        for _ in 0..2 {
            assert_eq!(nobody.post(&link, &Value::Null).status, 200);
        }
        leaves(&car, &order);
        let receipt = &olga.get(&path).expect(200)["receipts"][0];
        assert_eq!(receipt["withdrawn_by"], "link");
        olga.post(&format!("/v1/vehicles/{id}/retire"), &Value::Null).expect(200);
        nobody.post(&link, &Value::Null).refused(404, "not_found");
    }
}
