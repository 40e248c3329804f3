//! What owners ask of their cars, and what they allow.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use store::NodeId;

use crate::app::{Client, TestApp, new_job};
use crate::work::{beat, car, tick};

fn change(owner: &Client, id: &str, body: &Value) -> crate::app::Answer {
    owner.send(&owner.ask(Method::PATCH, &format!("/v1/vehicles/{id}"), body))
}

store::on_both_databases! {
    fn an_owner_sets_rules_and_is_told_why_the_car_waits(db) {
        let app = TestApp::start(db);
        let owner = app.owner("olga");
        let (id, car) = car(&app, &owner, "cash");
        let path = format!("/v1/vehicles/{id}");
        let usual = owner.get(&path).expect(200);
        assert_eq!((&usual["soc_floor"], &usual["plugged_only"]), (&json!(50), &json!(true)));
        assert_eq!(usual["rules"], json!({ "wifi_only": false, "home_only": false }));

        let nights = change(&owner, &id, &json!({ "preset": "nights_at_home", "soc_floor": 70 }));
        let nights = nights.expect(200);
        assert_eq!(nights["soc_floor"], 70);
        assert_eq!(nights["rules"]["hours"]["sunday"], json!({ "from": "22:00", "to": "06:00" }));
        beat(&car, Value::Null);
        let shown = owner.get(&path).expect(200);
        assert_eq!((&shown["eligible"], &shown["reason"]), (&json!(false), &json!("not_at_home")));
        let offer = owner.get(&format!("{path}/market")).expect(200);
        assert_eq!((&offer["state"], &offer["reason"]), (&json!("not_offered"), &json!("not_at_home")));

        let rules = json!({
            "ready_by": { "monday": { "at": "07:30", "soc": 80 }, "sunday": { "at": "09:00", "soc": 90 } },
            "hours": { "monday": { "from": "22:00", "to": "06:00" } },
            "quiet": { "from": "12:00", "to": "13:00" },
            "module_temp": { "min": 5, "max": 40 }, "outside_temp": { "min": -5, "max": 30 },
            "wifi_only": true, "home_only": false, "max_hours_per_day": 8, "max_kwh_per_day": 3,
        });
        assert_eq!(change(&owner, &id, &json!({ "rules": rules })).expect(200)["rules"], rules);
        // What is not named stays; what is, replaces all of it.
        assert_eq!(change(&owner, &id, &json!({ "soc_floor": 40 })).expect(200)["rules"], rules);
        let none = change(&owner, &id, &json!({ "preset": "on_charger", "rules": {} })).expect(200);
        assert_eq!((&none["rules"], &none["soc_floor"]), (&usual["rules"], &json!(50)));

        // On the charger, ready when its owner drives off: told until when it may work.
        let daily = json!({ "at": "07:30", "soc": 60 });
        let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
        let week: serde_json::Map<_, _> =
            days.iter().map(|day| ((*day).to_owned(), daily.clone())).collect();
        change(&owner, &id, &json!({ "rules": { "ready_by": week } })).expect(200);
        beat(&car, Value::Null);
        assert_eq!(owner.get(&path).expect(200)["reason"], "settling");
        app.db.clock.advance_s(300);
        beat(&car, Value::Null);
        let shown = owner.get(&path).expect(200);
        assert_eq!(shown["eligible"], true, "{shown}");
        let until = shown["works_until"].as_str().unwrap();
        assert!(until.contains("T15:30:00"), "7:30 in California, not {until}");
    }
}

store::on_both_databases! {
    fn contradictory_rules_are_refused_where_they_are(db) {
        let app = TestApp::start(db);
        let owner = app.owner("olga");
        let (id, _) = car(&app, &owner, "cash");
        let path = format!("/v1/vehicles/{id}");
        let before = owner.get(&path).expect(200);
        let long = json!({ "from": "21:00", "to": "07:00" });
        let night = json!({ "monday": { "from": "22:00", "to": "06:00" } });
        for (rules, pointer) in [
            (json!({ "hours": {} }), "/rules/hours"),
            (json!({ "hours": night, "quiet": long }), "/rules/quiet"),
            (json!({ "ready_by": { "friday": { "at": "07:00", "soc": 101 } } }), "/rules/ready_by"),
            (json!({ "outside_temp": { "min": 20, "max": 10 } }), "/rules/outside_temp"),
            (json!({ "max_hours_per_day": 25 }), "/rules/max_hours_per_day"),
            (json!({ "max_kwh_per_day": 0 }), "/rules/max_kwh_per_day"),
        ] {
            let problem = change(&owner, &id, &json!({ "rules": rules })).refused(422, "invalid_body");
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
        }
        for body in [
            json!({ "preset": "always" }),
            json!({ "rules": { "hourz": night } }),
            json!({ "rules": { "quiet": { "from": "25:00", "to": "01:00" } } }),
        ] {
            change(&owner, &id, &body).refused(422, "invalid_body");
        }
        assert_eq!(owner.get(&path).expect(200), before);
    }
}

store::on_both_databases! {
    /// A program that never ends and never looks whether it should: the worst that can run.
    fn consent_withdrawn_in_the_middle_stops_the_work_within_five_seconds(db) {
        let app = TestApp::start(db);
        let node: NodeId = app.db.store.env().ids.id(app.db.store.now());
        let (ada, owner) = (app.customer("ada"), app.owner("olga"));
        ada.deposit("5.00");
        let mut new = new_job(&ada);
        new["program"] = json!(ada.upload(FOREVER));
        ada.post("/v1/jobs", &new).expect(201);
        let (id, _) = car(&app, &owner, "cash");
        let path = format!("/v1/vehicles/{id}");
        let consent = format!("{path}/consents/simulation/synthetic");

        let vehicle = id.parse().unwrap();
        let over = AtomicBool::new(false);
        std::thread::scope(|threads| {
            threads.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(20));
                    app.db.clock.advance_us(20_000);
                }
            });
            let _over = Over(&over);
            let fleet = app.fleet();
            fleet.add(vehicle, api::fleet::at_home());
            app.eventually(|| (owner.get(&path).expect(200)["eligible"] == true).then_some(()));
            tick(&app, node);
            app.eventually(|| fleet.at_work().contains(&vehicle).then_some(()));

            let withdrawn = Instant::now();
            let receipt = owner.delete(&consent).expect(200);
            let receipt = &receipt["consents"][0];
            assert_eq!(receipt["text_version"], scheduler::fleet::CONSENT_TEXT);
            assert!(receipt["given_at"].is_string() && receipt["withdrawn_at"].is_string());
            app.eventually(|| fleet.at_work().is_empty().then_some(()));
            let took = withdrawn.elapsed();
            assert!(took < Duration::from_secs(5), "{took:?}");

            // The lease ends with the car's next word, and no other follows.
            let leases = app.eventually(|| {
                let leases = owner.get("/v1/earnings/leases").expect(200);
                (leases["data"][0]["end_reason"] == "evicted").then_some(leases)
            });
            assert_eq!(leases["data"].as_array().unwrap().len(), 1, "{leases}");
            for _ in 0..3 {
                tick(&app, node);
                app.db.clock.advance_s(5);
                std::thread::sleep(Duration::from_millis(150));
            }
            let later = owner.get("/v1/earnings/leases").expect(200);
            assert_eq!(later["data"].as_array().unwrap().len(), 1, "{later}");
            assert!(fleet.at_work().is_empty());
            let kept = &owner.get(&path).expect(200)["consents"][0];
            assert_eq!(kept, receipt);
        });
    }
}

/// Stops the clock's thread also if the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// `(module (memory (export "memory") 1) (func (export "run") (result i32) (loop br 0) i32.const 0))`
const FOREVER: &[u8] = b"\0asm\x01\0\0\0\x01\x05\x01\x60\0\x01\x7f\x03\x02\x01\0\x05\x03\x01\0\x01\
    \x07\x10\x02\x06memory\x02\0\x03run\0\0\x0a\x0b\x01\x09\0\x03\x40\x0c\0\x0b\x41\0\x0b";
