//! The reserve that follows from a tariff, line by line, and what a car may earn.

use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{Client, TestApp};
use crate::owners::{at_work, node};
use crate::work::{at_home, beat, car, tick};

fn change(owner: &Client, id: &str, body: &Value) -> Value {
    let ask = owner.ask(Method::PATCH, &format!("/v1/vehicles/{id}"), body);
    owner.send(&ask).expect(200)
}

fn flat(per_kwh: &str) -> Value {
    json!({ "tariff": { "kind": "flat", "per_kwh": per_kwh } })
}

store::on_both_databases! {
    fn an_hour_of_the_car_costs_what_its_lines_say(db) {
        let app = TestApp::start(db);
        let olga = app.owner("olga");
        let (id, car) = car(&app, &olga, "cash");
        let (tariff, reserve) = (format!("/v1/vehicles/{id}/tariff"), format!("/v1/vehicles/{id}/reserve"));
        let before = olga.get(&reserve).expect(200);
        assert_eq!((&before["reserve"]["amount"], &before["intervals"]), (&json!("0.090000"), &json!([])));
        // 350 W at 16 cents are 5.6 cents an hour: less than is asked.
        let told = olga.put(&tariff, &flat("0.16")).expect(200);
        assert_eq!(told["reserve"]["amount"], "0.090000");
        let hour = &told["intervals"][0];
        for (line, amount) in [("computer", "0.016000"), ("awake", "0.040000"), ("wear", "0.000000"),
            ("cost", "0.056000"), ("reserve", "0.090000")]
        {
            assert_eq!(hour[line]["amount"], amount, "{line}: {hour}");
        }
        assert_eq!(told["intervals"].as_array().unwrap().len(), 24);
        // At 40 cents 14 cents an hour, and a cent on top; with the fee of 15 % on the grid.
        let mut dear = flat("0.40");
        dear["margin"] = json!("0.01");
        let told = olga.put(&tariff, &dear).expect(200);
        assert_eq!((&told["reserve"]["amount"], &told["asks"]["amount"], &told["own_reserve"]["amount"]),
            (&json!("0.150000"), &json!("0.177000"), &json!("0.090000")));
        let market = olga.get(&format!("/v1/vehicles/{id}/market")).expect(200);
        assert_eq!(market["asks"], told["asks"]);
        // Out of the battery it wears too: NMC is assumed, 0.35 kWh at 8.5 cents.
        change(&olga, &id, &json!({ "preset": "when_parked" }));
        let mut away = at_home();
        away["DetailedChargeState"] = json!("Disconnected");
        car.post("/v1/vehicles/heartbeat", &json!({ "telemetry": away, "attempt": null })).expect(200);
        let hour = olga.get(&reserve).expect(200)["intervals"][0].clone();
        assert_eq!((&hour["on_battery"], &hour["wear"]["amount"]), (&json!(true), &json!("0.029750")));
        // A word is kept when the one before is some time old.
        app.db.clock.advance_s(300);
        beat(&car, Value::Null);
        let hour = olga.get(&reserve).expect(200)["intervals"][0].clone();
        assert_eq!((&hour["on_battery"], &hour["wear"]["amount"]), (&json!(false), &json!("0.000000")));
        // To ask more is heard at once; what is not named stays; without a tariff it is what is asked.
        assert_eq!(change(&olga, &id, &json!({ "reserve": "0.2" }))["reserve"], "0.200000");
        assert_eq!(change(&olga, &id, &json!({ "reserve": "0.05" }))["reserve"], "0.150000");
        assert_eq!(change(&olga, &id, &json!({ "soc_floor": 40 }))["reserve"], "0.150000");
        assert_eq!(olga.delete(&tariff).status, 204);
        assert_eq!(olga.get(&reserve).expect(200)["reserve"]["amount"], "0.050000");
    }
}

store::on_both_databases! {
    fn the_reserve_follows_the_clock(db) {
        let app = TestApp::start(db);
        let olga = app.owner("olga");
        let (id, _) = car(&app, &olga, "cash");
        let tariff = format!("/v1/vehicles/{id}/tariff");
        // It is 16:00 on a Monday in California.
        let bands = json!([{ "per_kwh": "1", "hours": { "monday": { "from": "16:00", "to": "18:00" } } }]);
        let by_time = json!({ "tariff": { "kind": "time_of_use", "per_kwh": "0.1", "bands": bands } });
        let told = olga.put(&tariff, &by_time).expect(200);
        assert_eq!(told["reserve"]["amount"], "0.350000");
        let prices: Vec<&str> = (0..4).map(|hour| {
            told["intervals"][hour]["per_kwh"]["amount"].as_str().unwrap()
        }).collect();
        assert_eq!(prices, ["1.000000", "1.000000", "0.100000", "0.100000"]);
        let reserve = |app: &TestApp, wanted: &str| app.eventually(|| {
            // A token lives ten minutes.
            let olga = app.log_in("olga@example.org");
            let shown = olga.get(&format!("/v1/vehicles/{id}")).expect(200);
            (shown["reserve"] == wanted).then_some(olga)
        });
        app.db.clock.advance_s(2 * 3_600);
        let olga = reserve(&app, "0.090000");
        let feed = json!({ "tariff": { "kind": "feed", "per_kwh": "2", "prices": [
            { "from": "2026-11-24T00:00:00Z", "per_kwh": "0.5" },
            { "from": "2026-11-24T03:00:00Z", "per_kwh": "0.8" },
        ] } });
        assert_eq!(olga.put(&tariff, &feed).expect(200)["reserve"]["amount"], "0.175000");
        app.db.clock.advance_s(3_600);
        reserve(&app, "0.280000");
        // The last price holds for a day.
        app.db.clock.advance_s(24 * 3_600);
        reserve(&app, "0.700000");
    }
}

store::on_both_databases! {
    fn tariffs_that_are_none_are_refused(db) {
        let app = TestApp::start(db);
        let (olga, eve) = (app.owner("olga"), app.owner("eve"));
        let (id, _) = car(&app, &olga, "cash");
        let path = format!("/v1/vehicles/{id}/tariff");
        let price = |from: &str| json!({ "from": from, "per_kwh": "0.1" });
        let at = "2026-11-24T00:00:00Z";
        let many = vec![price(at); 1_001];
        let none = json!({ "monday": null });
        for (tariff, pointer) in [
            (json!({ "kind": "flat", "per_kwh": "-0.01" }), "/tariff"),
            (json!({ "kind": "flat", "per_kwh": "100.000001" }), "/tariff"),
            (json!({ "kind": "flat", "per_kwh": 0.16 }), "/tariff"),
            (json!({ "kind": "free" }), "/tariff/kind"),
            (json!({ "kind": "time_of_use", "per_kwh": "1",
                "bands": [{ "per_kwh": "1", "hours": none }] }), "/tariff/bands"),
            (json!({ "kind": "feed", "per_kwh": "1", "prices": [] }), "/tariff/prices"),
            (json!({ "kind": "feed", "per_kwh": "1", "prices": [price(at), price(at)] }), "/tariff/prices"),
            (json!({ "kind": "feed", "per_kwh": "1", "prices": many }), "/tariff/prices"),
        ] {
            let problem = olga.put(&path, &json!({ "tariff": tariff })).refused(422, "invalid_body");
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
        }
        let mut margin = flat("0.1");
        margin["margin"] = json!("-1");
        olga.put(&path, &margin).refused(422, "invalid_body");
        eve.put(&path, &flat("0.1")).refused(404, "not_found");
        eve.delete(&path).refused(404, "not_found");
        eve.get(&format!("/v1/vehicles/{id}/reserve")).refused(404, "not_found");
        eve.get(&format!("/v1/vehicles/{id}/estimate")).refused(404, "not_found");
        assert_eq!(olga.get(&format!("/v1/vehicles/{id}")).expect(200)["reserve"], "0.090000");
    }
}

store::on_both_databases! {
    fn an_estimate_says_what_the_past_was_worth_and_nothing_without_one(db) {
        let app = TestApp::start(db);
        let olga = app.owner("olga");
        let node = node(&app);
        let (id, ..) = at_work(&app, &olga, node);
        let path = format!("/v1/vehicles/{id}/estimate");
        let none = olga.get(&path).expect(200);
        assert_eq!((&none["days"], &none["p50"]), (&json!(0), &Value::Null));
        // Of two ticks in this hour the car was idle in one and let in the other: half.
        app.db.clock.advance_s(20);
        tick(&app, node);
        app.db.clock.advance_s(3_600);
        let olga = app.log_in("olga@example.org");
        let told = olga.get(&path).expect(200);
        let lease = olga.get("/v1/earnings/leases").expect(200);
        let micro = |text: &Value| text.as_str().unwrap().replace('.', "").parse::<i64>().unwrap();
        let price = micro(&lease["data"][0]["price"]["amount"]);
        assert_eq!((&told["days"], &told["hours_per_day"]), (&json!(1), &json!(24)));
        // Half an hour's price, less 15 %, thirty times.
        assert_eq!(micro(&told["p50"]["amount"]), price / 2 * 850_000 / 1_000_000 * 30);
        assert_eq!(told["p10"], told["p90"]);
        assert_eq!(told["caveats"].as_array().unwrap().len(), 4);
        // A car that asks more than anybody paid would have earned nothing.
        change(&olga, &id, &json!({ "reserve": "9" }));
        assert_eq!(olga.get(&path).expect(200)["p90"]["amount"], "0.000000");
    }
}
