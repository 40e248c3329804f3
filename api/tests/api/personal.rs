//! What an owner can see of what ran and what it earned, have a copy of, and have erased.

use std::path::Path;
use std::process::Command;

use diesel::prelude::*;
use diesel::sql_types::Text;
use serde_json::{Value, json};
use store::AnyConnection;
use store::testing::TestDb;

use crate::app::{Client, TestApp};
use crate::owners::{at_work, leaves, node};
use crate::work::complete;

const VIN: &str = "1M8GDM9AXKP042788";
const IBAN: &str = "GB33BUKB20201555555555";
const DEVICE: &str = "Example-Phone/7.1";

store::on_both_databases! {
    fn everything_that_ran_is_told_in_words_and_adds_up(db) {
        let app = TestApp::start(db);
        let (olga, eve) = (app.owner("olga"), app.owner("eve"));
        let (id, car, order) = at_work(&app, &olga, node(&app));
        let path = format!("/v1/vehicles/{id}/activity");
        let running = olga.get(&path).expect(200);
        assert!(running["data"][0]["text"].as_str().unwrap().contains("still runs"), "{running}");
        let reply = complete(&app, &car, &order);
        leaves_when_paused(&olga, &id, &car, &reply["order"]);
        let told = olga.get(&path).expect(200)["data"][0].clone();
        let earned = olga.get("/v1/earnings").expect(200)["cash"].clone();
        assert_eq!(told["earned"], earned);
        let amount = earned["amount"].as_str().unwrap();
        assert_eq!(told["text"], format!("Computed simulations with data that was made up, for 10 \
            seconds. It was stopped: by you, by a driver, or by an operator. It earned {amount} USD."));
        // 10 seconds of 100 W and the 250 W of a car that is awake are 0.97 Wh.
        assert_eq!((&told["energy_wh"], &told["wear_at_most"]["amount"]),
            (&json!(1), &json!("0.000000")));
        let csv = olga.get(&format!("{path}?format=csv")).text;
        let lines: Vec<&str> = csv.lines().collect();
        assert!(lines.len() == 2 && lines[0].starts_with("lease,from,to") && lines[1].contains(amount));
        eve.get(&path).refused(404, "not_found");
        olga.get(&format!("{path}?format=pdf")).refused(400, "invalid_query");

        let days = olga.get("/v1/earnings/days?from=2026-11-01&to=2026-12-01").expect(200);
        let day = &days[0];
        assert_eq!((&day["day"], &day["vehicle"], &day["cash"]),
            (&json!("2026-11-24"), &json!(id), &earned));
        assert_eq!((&day["leases"], &day["billed_s"]), (&json!(1), &json!(10)));
        assert_eq!(day["net_of_wear"], earned);
        let micro = |money: &Value| {
            money["amount"].as_str().unwrap().replace('.', "").parse::<i64>().unwrap()
        };
        assert_eq!(micro(&day["gross"]), micro(&day["fee"]) + micro(&day["cash"]));
        for query in ["from=2026-11-01&to=2026-11-01", "from=x&to=2026-11-02",
            "from=2026-01-01&to=2026-11-02", "from=2026-11-01"]
        {
            olga.get(&format!("/v1/earnings/days?{query}")).refused(400, "invalid_query");
        }
        let of_car = format!("/v1/earnings/days?from=2026-11-01&to=2026-12-01&vehicle={id}");
        assert_eq!(olga.get(&of_car).expect(200), days);
        eve.get(&of_car).refused(404, "not_found");
        assert_eq!(eve.get("/v1/earnings/days?from=2026-11-01&to=2026-12-01").expect(200), json!([]));
    }
}

fn leaves_when_paused(owner: &Client, id: &str, car: &Client, order: &Value) {
    owner.put(&format!("/v1/vehicles/{id}/pause"), &Value::Null).expect(200);
    leaves(car, order);
}

store::on_both_databases! {
    fn credits_are_changed_into_cash_where_the_law_allows_it(db) {
        let app = TestApp::start(db);
        let olga = app.owner("olga");
        let (id, car, order) = at_work(&app, &olga, node(&app));
        let change = olga.ask(reqwest::Method::PATCH, &format!("/v1/vehicles/{id}"),
            &json!({ "pay_in": "credits" }));
        olga.send(&change).expect(200);
        let reply = complete(&app, &car, &order);
        leaves_when_paused(&olga, &id, &car, &reply["order"]);
        let before = olga.get("/v1/earnings").expect(200);
        assert_eq!(before["cash"]["amount"], "0.000000");
        let all = before["credits"]["amount"].clone();
        let day = olga.get("/v1/earnings/days?from=2026-11-01&to=2026-12-01").expect(200)[0].clone();
        assert_eq!(day["credits"]["amount"], all);
        assert_ne!(day["bonus"]["amount"], "0.000000");
        let redeem = |credits: Value, currency: &str| {
            olga.post("/v1/earnings/redemptions", &json!({ "credits": credits, "currency": currency }))
        };
        for (credits, currency, code) in [
            (json!("1000000"), "USD", "insufficient_funds"),
            (json!("0"), "USD", "amount_not_positive"),
            (json!("-1"), "USD", "amount_not_positive"),
            (json!("0.0001"), "XYZ", "unknown_currency"),
        ] {
            redeem(credits, currency).refused(422, code);
        }
        assert_eq!(olga.get("/v1/earnings").expect(200), before);
        let changed = redeem(all.clone(), "USD").expect(201);
        assert_eq!((&changed["cash"]["amount"], &changed["credits"]["amount"]),
            (&all, &json!("0.000000")));
        // One car where the law is another, and none are changed.
        app.db.store.write(|tx| {
            use store::schema::region;
            diesel::insert_into(region::table).values((region::id.eq("de"),
                region::market_id.eq("us"), region::jurisdiction.eq("DE"))).execute(tx.conn)?;
            Ok::<_, store::Error>(())
        }).unwrap();
        let german = json!({ "region": "de", "class": "hw4", "reserve": "0.09", "pay_in": "cash" });
        let german = olga.post("/v1/vehicles", &german).expect(201);
        let words = olga.get(&format!("/v1/vehicles/{}/consents", german["id"].as_str().unwrap()));
        assert_eq!(words.expect(200)["law"], "EU");
        redeem(json!("0.0001"), "USD").refused(403, "not_allowed_here");
    }
}

/// An owner with everything that can be told of one, whose car is at work.
fn known_owner(app: &TestApp) -> (Client, String, Client, Value) {
    let olga = app.owner("olga");
    let (id, car, order) = at_work(app, &olga, node(app));
    let added = json!({ "region": "us-ca", "class": "hw4", "reserve": "0.09", "pay_in": "cash",
        "vin": VIN, "rules": { "ready_by": { "monday": { "at": "07:31", "soc": 83 } } } });
    let other = olga.post("/v1/vehicles", &added).expect(201)["id"].as_str().unwrap().to_owned();
    let url = format!("{}/v1/vehicles/{other}/consents/video/synthetic", app.base);
    let given = reqwest::blocking::Client::new()
        .put(url)
        .header("User-Agent", DEVICE)
        .bearer_auth(olga.token.as_deref().unwrap())
        .send()
        .unwrap();
    assert_eq!(given.status(), 200);
    olga.post(&format!("/v1/vehicles/{other}/codes"), &json!({ "for": "driver" })).expect(201);
    olga.put("/v1/payout-account", &json!({ "holder": "Olga Example", "iban": IBAN })).expect(204);
    (olga, id, car, order)
}

fn done(app: &TestApp, owner: &Client, request: &Value) {
    let path = format!("/v1/personal-data/requests/{}", request["id"].as_str().unwrap());
    app.eventually(|| (owner.get(&path).expect(200)["state"] == "done").then_some(()));
}

store::on_both_databases! {
    fn an_owner_has_a_copy_of_everything_within_minutes(db) {
        let app = TestApp::start(db);
        let (olga, id, car, order) = known_owner(&app);
        complete(&app, &car, &order);
        let eve = app.owner("eve");
        let request = olga.post("/v1/personal-data/exports", &Value::Null).expect(202);
        done(&app, &olga, &request);
        let path = format!("/v1/personal-data/exports/{}", request["id"].as_str().unwrap());
        eve.get(&path).refused(404, "not_found");
        // At rest it says nothing.
        for needle in ["olga@example.org", VIN] {
            assert!(!found(&app.db, needle).iter().any(|table| table == "personal_request"));
        }
        let folder = app.db.dir.path().join("copy");
        std::fs::create_dir(&folder).unwrap();
        let bytes = reqwest::blocking::Client::new().get(format!("{}{path}", app.base))
            .bearer_auth(olga.token.as_deref().unwrap()).send().unwrap().bytes().unwrap();
        std::fs::write(folder.join("copy.tar"), &bytes).unwrap();
        let unpacked = Command::new("tar").args(["-xf", "copy.tar"]).current_dir(&folder).status();
        assert!(unpacked.unwrap().success());
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        assert!(read("vehicles.json").contains(VIN));
        assert!(read("activity.csv").contains("Computed simulations"));
        assert!(read("data/payout_account.json").contains(IBAN));
        assert!(read("data/consent.json").contains(DEVICE));
        assert!(read("data/vehicle.json").contains("07:31"));
        assert!(read("data/presence.json").contains("DetailedChargeState"));
        let profile: Value = serde_json::from_str(&read("data/party_profile.json")).unwrap();
        assert_eq!(profile[0]["email"], "olga@example.org");
        assert!(profile[0].get("password_hash").is_none());
        assert!(read("README.txt").contains("activity.csv") && read("kept.json").contains("entry"));
        assert!(!id.is_empty());
        app.db.clock.advance_s(7 * 24 * 3_600);
        let olga = app.log_in("olga@example.org");
        app.eventually(|| (olga.get(&path).status == 409).then_some(()));
        olga.get(&path).refused(409, "wrong_state");
    }
}

store::on_both_databases! {
    fn an_erasure_leaves_nothing_of_the_person_and_the_books_check(db) {
        let app = TestApp::start(db);
        let (olga, id, car, order) = known_owner(&app);
        let copy = olga.post("/v1/personal-data/exports", &Value::Null).expect(202);
        done(&app, &olga, &copy);
        for needle in ["olga@example.org", IBAN, DEVICE, "07:31"] {
            assert!(!found(&app.db, needle).is_empty(), "{needle} is found while it is there");
        }
        let reply = complete(&app, &car, &order);
        let ask = |confirm: &str, give_up: bool| olga.post("/v1/personal-data/erasure",
            &json!({ "confirm": confirm, "give_up_balance": give_up }));
        ask("eve@example.org", true).refused(422, "invalid_body");
        assert_eq!(olga.get(&format!("/v1/vehicles/{id}")).expect(200)["state"], "active");
        let request = ask("Olga@example.org", true).expect(202);
        // The car is at work: it leaves at its next poll, and only then all is deleted.
        std::thread::sleep(std::time::Duration::from_millis(700));
        assert!(!found(&app.db, "olga@example.org").is_empty());
        let login = json!({ "email": "olga@example.org", "password": crate::app::PASSWORD });
        olga.post("/v1/login", &login).refused(401, "wrong_credentials");
        leaves(&car, &reply["order"]);
        done(&app, &olga, &request);
        for needle in ["olga@example.org", "Olga Example", IBAN, VIN, DEVICE, "07:31",
            "*************2788", "DetailedChargeState"]
        {
            assert_eq!(found(&app.db, needle), Vec::<String>::new(), "{needle}");
        }
        // The books name a number, and add up: TestApp checks them at its end.
        let eve = app.owner("olga");
        assert_eq!(eve.get("/v1/vehicles").expect(200)["data"], json!([]));
        assert_eq!(eve.get("/v1/earnings").expect(200)["cash"]["amount"], "0.000000");
        let customer = app.log_in("ada@example.org");
        let jobs = customer.get("/v1/jobs").expect(200);
        let job = jobs["data"][0]["id"].as_str().unwrap();
        let leases = customer.get(&format!("/v1/jobs/{job}/leases")).expect(200);
        assert_eq!(leases["data"][0]["state"], "settled", "{leases}");
    }
}

store::on_both_databases! {
    fn what_is_owed_is_not_erased_by_mistake(db) {
        let app = TestApp::start(db);
        let (olga, id, car, order) = known_owner(&app);
        let owed: store::Amount = "0.01".parse().unwrap();
        let earned = complete(&app, &car, &order);
        leaves_when_paused(&olga, &id, &car, &earned["order"]);
        let me = olga.get("/v1/me").expect(200)["id"].as_str().unwrap().parse().unwrap();
        // As a deposit and a correction by hand would: a cent from the bank.
        app.db.store.write(|tx| {
            let bank = ledger::open_account(tx, ledger::Code::Bank, store::PartyId::NIL, "USD")?;
            let cash = ledger::open_account(tx, ledger::Code::OwnerCash, me, "USD")?;
            let legs = vec![ledger::Leg { account: bank, amount: owed },
                ledger::Leg { account: cash, amount: store::Amount(-owed.0) }];
            let now = tx.now;
            ledger::post(tx, &ledger::NewTransaction::new("by hand", ledger::Kind::Adjustment,
                "by hand", now, legs))
        }).unwrap();
        let ask = |give_up: bool| olga.post("/v1/personal-data/erasure",
            &json!({ "confirm": "olga@example.org", "give_up_balance": give_up }));
        let problem = ask(false).refused(409, "wrong_state");
        assert!(problem["detail"].as_str().unwrap().contains("owed to you"), "{problem}");
        assert_eq!(olga.get(&format!("/v1/vehicles/{id}")).expect(200)["state"], "paused");
        let request = ask(true).expect(202);
        done(&app, &olga, &request);
        // What was given up stays in the book, owed to a number.
        let still = app.db.store.read(|tx| {
            ledger::party_balance(tx, ledger::Code::OwnerCash, me, "USD")
        });
        assert!(still.unwrap().posted >= owed);
    }
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// Every table with a row that says this, in words or in bytes, and every file of the blob store
/// that does.
fn found(db: &TestDb, needle: &str) -> Vec<String> {
    let hex: String = needle.bytes().map(|byte| format!("{byte:02x}")).collect();
    let says = |text: &str| text.contains(needle) || text.to_lowercase().contains(&hex);
    let mut found: Vec<String> = db
        .store
        .read(|tx| {
            let mut found = Vec::new();
            for table in tables(tx.conn) {
                if rows(tx.conn, &table).iter().any(|row| says(row)) {
                    found.push(table);
                }
            }
            Ok::<_, store::Error>(found)
        })
        .unwrap();
    let blobs = db.dir.path().join("blobs");
    found.extend(files(&blobs).into_iter().filter(|file| {
        std::fs::read(file).is_ok_and(|bytes| says(&String::from_utf8_lossy(&bytes)))
    }));
    found
}

fn tables(conn: &mut AnyConnection) -> Vec<String> {
    let lines: Vec<Line> = match conn {
        AnyConnection::Postgres(conn) => diesel::sql_query(
            "SELECT table_name::text AS line FROM \
            information_schema.tables WHERE table_schema = 'public'",
        )
        .load(conn),
        AnyConnection::Sqlite(conn) => {
            diesel::sql_query("SELECT name AS line FROM sqlite_schema WHERE type = 'table'")
                .load(conn)
        }
    }
    .unwrap();
    assert!(lines.len() > 40);
    lines.into_iter().map(|line| line.line).collect()
}

fn rows(conn: &mut AnyConnection, table: &str) -> Vec<String> {
    let lines: Vec<Line> = match conn {
        AnyConnection::Postgres(conn) => {
            diesel::sql_query(format!("SELECT t::text AS line FROM {table} t")).load(conn)
        }
        AnyConnection::Sqlite(conn) => {
            let columns: Vec<Line> = diesel::sql_query(format!(
                "SELECT 'coalesce(CASE typeof(' || \
                name || ') WHEN ''blob'' THEN hex(' || name || ') ELSE ' || name || ' END, '''')' \
                AS line FROM pragma_table_info('{table}')"
            ))
            .load(conn)
            .unwrap();
            let columns: Vec<String> = columns.into_iter().map(|column| column.line).collect();
            let columns = columns.join(" || '|' || ");
            diesel::sql_query(format!("SELECT {columns} AS line FROM {table}")).load(conn)
        }
    }
    .unwrap();
    lines.into_iter().map(|line| line.line).collect()
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| match entry.path().is_dir() {
            true => files(&entry.path()),
            false => vec![entry.path().display().to_string()],
        })
        .collect()
}
