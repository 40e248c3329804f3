//! What a customer hears of its bid, and an owner of its car: their own, and nobody else's.

use reqwest::Method;
use serde_json::{Value, json};
use store::NodeId;

use crate::app::{TestApp, new_job};
use crate::work::{beat, car, tick};

store::on_both_databases! {
    fn bids_and_cars_are_explained_to_whose_they_are(db) {
        let app = TestApp::start(db);
        let node: NodeId = app.db.store.env().ids.id(app.db.store.now());
        let (ada, eve) = (app.customer("ada"), app.customer("eve"));
        let (olga, otto) = (app.owner("olga"), app.owner("otto"));
        ada.deposit("5.00");
        let job = ada.post("/v1/jobs", &new_job(&ada)).expect(201);
        let bid = format!("/v1/jobs/{}/bid", job["id"].as_str().unwrap());
        let before = ada.get(&bid).expect(200);
        assert_eq!((&before["outcome"], &before["bid"]["min_fill"]), (&Value::Null, &json!(1)));

        let (vehicle, vehicle_client) = car(&app, &olga, "cash");
        let market = format!("/v1/vehicles/{vehicle}/market");
        assert_eq!(olga.get(&market).expect(200)["reason"], "no_heartbeat");
        beat(&vehicle_client, Value::Null);
        assert_eq!(olga.get(&market).expect(200)["state"], "waiting");
        let dear = olga.ask(Method::PATCH, &format!("/v1/vehicles/{vehicle}"),
            &json!({ "reserve": "0.50", "available_until": "2026-11-25T06:00:00Z" }));
        let changed = olga.send(&dear).expect(200);
        assert_eq!(changed["available_until"], "2026-11-25T06:00:00Z");
        tick(&app, node);

        let told = ada.get(&bid).expect(200);
        let outcome = &told["outcome"];
        assert_eq!((&outcome["state"], &outcome["reason"]),
            (&json!("unfilled"), &json!("price_too_low")), "{told}");
        // $0.50 net are 0.588235... with the fee of 15 %, on the grid of a tenth of a cent.
        let needed = json!({ "amount": "0.589000", "currency": "USD" });
        assert_eq!(outcome["would_have_won"], needed);
        assert_eq!(outcome["cells"][0]["price"], Value::Null);
        let tick_number = outcome["tick"].as_i64().unwrap();
        assert_eq!(ada.get(&format!("{bid}?tick={tick_number}")).expect(200), told);
        let told = olga.get(&market).expect(200);
        assert_eq!((&told["state"], &told["reason"]), (&json!("unsold"), &json!("reserve_too_high")));
        assert_eq!(told["asks"], needed);
        // Just under the bid of $0.36, less the fee.
        assert_eq!(told["would_sell_at"]["amount"], "0.305150");

        // The tick in figures, for everybody; and nothing of another's.
        let ticks = olga.get("/v1/markets/us/ticks").expect(200);
        let figures = &ticks["data"][0];
        assert_eq!((&figures["wanted"], &figures["unmet"], &figures["idle"]), (&json!(1), &json!(1), &json!(1)));
        assert_eq!(figures["clearing"], outcome["clearing"]);
        let report = olga.get(&format!("/v1/markets/us/ticks/{tick_number}")).expect(200);
        assert_eq!(report["unmet_by_reason"]["price_too_low"], 1, "{report}");
        assert_eq!((&report["left_out"], &report["idle_cells"][0]["least_ask"]),
            (&json!({}), &json!("0.589000")));
        assert_eq!(report["idle_cells"][0]["would_sell_below"], "0.360000");
        for none in ["77", "-1", "9223372036854775807", "x"] {
            olga.get(&format!("/v1/markets/us/ticks/{none}")).refused(404, "not_found");
        }
        eve.get(&bid).refused(404, "not_found");
        otto.get(&market).refused(404, "not_found");
        olga.get(&bid).refused(403, "wrong_role");
        ada.get(&market).refused(403, "wrong_role");
        ada.get(&format!("{bid}?tick=77")).refused(404, "not_found");
        ada.get(&format!("{bid}?tick=x")).refused(400, "invalid_query");
        ada.get("/v1/markets/moon/ticks").refused(404, "not_found");

        // The bid is raised while the job lives, and the car is let.
        let change = |client: &crate::app::Client, body: Value| {
            client.send(&client.ask(Method::PATCH, &bid, &body))
        };
        for (body, pointer) in [
            (json!({ "max_price": { "amount": "0", "currency": "USD" } }), "/max_price"),
            (json!({ "max_price": { "amount": "-1", "currency": "USD" } }), "/max_price"),
            (json!({ "max_price": { "amount": "1", "currency": "EUR" } }), "/max_price/currency"),
            (json!({ "max_price": { "amount": "1e3", "currency": "USD" } }), "/max_price/amount"),
            (json!({ "max_price": 1 }), "/max_price"),
            (json!({ "expires_at": "2020-01-01T00:00:00Z" }), "/expires_at"),
            (json!({ "budget": { "amount": "9", "currency": "USD" } }), "/budget"),
        ] {
            let refused = change(&ada, body).refused(422, "invalid_body");
            assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
        }
        assert_eq!(ada.get(&bid).expect(200)["bid"], before["bid"], "nothing was stored");
        change(&eve, json!({ "max_price": needed })).refused(404, "not_found");
        let changed = change(&ada, json!({ "max_price": needed })).expect(200);
        assert_eq!(changed["bid"]["max_price"], needed);
        tick(&app, node);
        assert_eq!(ada.get(&bid).expect(200)["outcome"]["state"], "filled");
        let told = olga.get(&market).expect(200);
        assert_eq!((&told["state"], &told["price"]), (&json!("leased"), &needed));

        let cancel = format!("/v1/jobs/{}/cancel", job["id"].as_str().unwrap());
        ada.post(&cancel, &Value::Null).expect(200);
        change(&ada, json!({ "max_price": needed })).refused(409, "wrong_state");
        let free = olga.ask(Method::PATCH, &format!("/v1/vehicles/{vehicle}"),
            &json!({ "available_until": null }));
        assert_eq!(olga.send(&free).expect(200)["available_until"], Value::Null);
        let past = olga.ask(Method::PATCH, &format!("/v1/vehicles/{vehicle}"),
            &json!({ "available_until": "2020-01-01T00:00:00Z" }));
        olga.send(&past).refused(422, "invalid_body");
    }
}
