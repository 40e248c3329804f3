//! Cars on the road: enrolled, signed in, refused.

use ::store::NodeId;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64_URL;
use reqwest::Method;
use serde_json::{Value, json};
use vehicle::protocol::{Digest, Heartbeat};
use vehicle::road::{Key, Net, Road, enrol};
use vehicle::{Transport, TransportError};

use crate::app::{Answer, Client, PROGRAM, TestApp, new_job};
use crate::work::{car, tick};

fn code(owner: &Client, vehicle: &str) -> String {
    let asked = owner.post(&format!("/v1/vehicles/{vehicle}/enrolment"), &Value::Null);
    asked.expect(201)["code"].as_str().unwrap().to_owned()
}

fn net(app: &TestApp) -> Net {
    Net::new(&app.base, None).unwrap()
}

/// A car of this owner's with a key.
fn enrolled(app: &TestApp, owner: &Client) -> (String, Key) {
    let (id, _) = car(app, owner, "cash");
    let key = Key::generate().unwrap();
    assert_eq!(enrol(&net(app), &code(owner, &id), &key).unwrap(), id);
    (id, key)
}

/// The time of the server, seconds.
fn now_s(app: &TestApp) -> i64 {
    app.db.store.now().0 / 1_000_000
}

fn sign_in(app: &TestApp, assertion: &str) -> Answer {
    app.client(None).post("/v1/vehicles/token", &json!({ "assertion": assertion }))
}

/// A client with the car's token.
fn signed_in(app: &TestApp, key: &Key) -> Client {
    let answer = sign_in(app, &key.assertion(now_s(app)).unwrap()).expect(200);
    app.client(answer["token"].as_str())
}

/// A heartbeat with this number.
fn beat(app: &TestApp, car: &Client, number: Option<u64>) -> Answer {
    let mut ask = car.ask(Method::POST, "/v1/vehicles/heartbeat", &word());
    ask.sequence = number;
    app.client(None).send(&ask)
}

fn word() -> Value {
    json!({ "telemetry": telemetry(), "attempt": null })
}

fn telemetry() -> Value {
    json!({
        "Gear": "P", "VehicleSpeed": 0.0, "DriverSeatOccupied": false, "Locked": true,
        "ServiceMode": false, "ValetMode": false, "DetailedChargeState": "Charging",
        "Soc": 70.0, "ModuleTempMax": 25.0,
        "DoorState": { "DriverFront": false, "DriverRear": false, "PassengerFront": false,
            "PassengerRear": false, "TrunkFront": false, "TrunkRear": false },
    })
}

fn at_home() -> Heartbeat {
    Heartbeat { telemetry: serde_json::from_value(telemetry()).unwrap(), attempt: None }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, TransportError>, code: &str) {
    match answer {
        Err(TransportError::Refused(why)) => assert!(why.contains(code), "{why}"),
        other => panic!("{other:?}"),
    }
}

store::on_both_databases! {
    fn a_code_enrols_one_key_once(db) {
        let app = TestApp::start(db);
        let (owner, other) = (app.owner("olga"), app.owner("otto"));
        let (id, bearer) = car(&app, &owner, "cash");
        let path = format!("/v1/vehicles/{id}/enrolment");
        other.post(&path, &Value::Null).refused(404, "not_found");
        app.customer("ada").post(&path, &Value::Null).refused(403, "wrong_role");

        let (key, net) = (Key::generate().unwrap(), net(&app));
        let void = code(&owner, &id);
        let good = code(&owner, &id);
        refused(enrol(&net, &void, &key), "code_invalid");
        refused(enrol(&net, "AAAAA", &key), "code_invalid");
        let forged = json!({
            "code": good,
            "public_key": BASE64_URL.encode(key.public()),
            "proof": BASE64_URL.encode(key.prove(&void)),
        });
        app.client(None).post("/v1/vehicles/enrol", &forged).refused(401, "proof_invalid");

        bearer.post("/v1/vehicles/heartbeat", &word()).expect(200);
        assert_eq!(enrol(&net, &good, &key).unwrap(), id);
        refused(enrol(&net, &good, &key), "code_invalid");
        bearer.post("/v1/vehicles/heartbeat", &word()).refused(401, "token_invalid");

        // No two cars have one key, and a code does not live for ever.
        let (second, _) = car(&app, &owner, "cash");
        refused(enrol(&net, &code(&owner, &second), &key), "invalid_body");
        let late = code(&owner, &second);
        app.db.clock.advance_s(30 * 60);
        refused(enrol(&net, &late, &Key::generate().unwrap()), "code_invalid");
    }
}

store::on_both_databases! {
    fn an_assertion_is_taken_once_and_in_its_minute(db) {
        let app = TestApp::start(db);
        let owner = app.owner("olga");
        let (id, key) = enrolled(&app, &owner);
        let now = now_s(&app);
        let good = key.assertion(now).unwrap();
        let answer = sign_in(&app, &good).expect(200);
        assert_eq!((&answer["vehicle"], &answer["expires_in_s"]), (&json!(id), &json!(900)));
        sign_in(&app, &good).refused(401, "assertion_replayed");
        for wrong in [now - 86_400, now - 61, now + 31, now + 86_400] {
            let told = sign_in(&app, &key.assertion(wrong).unwrap()).refused(401, "clock_wrong");
            assert_eq!(told["now_ms"].as_i64().unwrap() / 1_000, now_s(&app));
        }
        let stranger = Key::generate().unwrap().assertion(now).unwrap();
        sign_in(&app, &stranger).refused(401, "assertion_invalid");
        // Another's claims under this car's signature, and the other way round.
        let mixed = |head: &str, tail: &str| {
            let (head, _) = head.rsplit_once('.').unwrap();
            let (_, tail) = tail.rsplit_once('.').unwrap();
            format!("{head}.{tail}")
        };
        let fresh = key.assertion(now).unwrap();
        sign_in(&app, &mixed(&fresh, &stranger)).refused(401, "assertion_invalid");
        sign_in(&app, &mixed(&stranger, &fresh)).refused(401, "assertion_invalid");
        sign_in(&app, "a.b.c").refused(401, "assertion_invalid");
        // Expired ones are forgotten, and still not taken.
        app.db.clock.advance_s(61);
        sign_in(&app, &good).refused(401, "clock_wrong");
        sign_in(&app, &key.assertion(now_s(&app)).unwrap()).expect(200);
    }
}

store::on_both_databases! {
    fn forged_replayed_stale_and_old_heartbeats_are_refused(db) {
        let app = TestApp::start(db);
        let owner = app.owner("olga");
        let (id, key) = enrolled(&app, &owner);
        let first = signed_in(&app, &key);
        for missing in [None, Some(0)] {
            beat(&app, &first, missing).refused(409, "stale_heartbeat");
        }
        for number in [1, 2, 7] {
            beat(&app, &first, Some(number)).expect(200);
        }
        for number in [7, 6, 1] {
            beat(&app, &first, Some(number)).refused(409, "stale_heartbeat");
        }
        // A session ends with the first heartbeat of the next.
        app.db.clock.advance_s(1);
        let next = signed_in(&app, &key);
        beat(&app, &first, Some(8)).expect(200);
        beat(&app, &next, Some(1)).expect(200);
        beat(&app, &first, Some(9)).refused(409, "stale_heartbeat");

        let token = next.token.clone().unwrap();
        let (head, text) = token.split_once('.').unwrap();
        let bytes = BASE64_URL.decode(text).unwrap();
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            let forged = app.client(Some(&format!("{head}.{}", BASE64_URL.encode(bytes))));
            beat(&app, &forged, Some(100)).refused(401, "token_invalid");
        }

        // Another key is the car's: the tokens of the earlier one end within seconds.
        let new = Key::generate().unwrap();
        assert_eq!(enrol(&net(&app), &code(&owner, &id), &new).unwrap(), id);
        app.db.clock.advance_s(2);
        beat(&app, &next, Some(2)).refused(401, "token_invalid");
        sign_in(&app, &key.assertion(now_s(&app)).unwrap()).refused(401, "assertion_invalid");
        let newest = signed_in(&app, &new);
        beat(&app, &newest, Some(1)).expect(200);
        app.db.clock.advance_s(15 * 60);
        beat(&app, &newest, Some(2)).refused(401, "token_expired");
    }
}

store::on_both_databases! {
    fn a_car_moves_the_blobs_of_its_own_attempt_only(db) {
        let app = TestApp::start(db);
        let node: NodeId = app.db.store.env().ids.id(app.db.store.now());
        let (customer, owner) = (app.customer("ada"), app.owner("olga"));
        customer.deposit("5.00");
        customer.post("/v1/jobs", &new_job(&customer)).expect(201);
        let secret = customer.upload(b"another job's");
        let (_, key) = enrolled(&app, &owner);
        let (_, idle) = enrolled(&app, &owner);
        // The clocks of car and server are years apart: told so, the car signs in all the same.
        let (road, idle) = (Road::new(net(&app), key), Road::new(net(&app), idle));
        let program = Digest::of(PROGRAM);
        refused(road.fetch_blob(&program), "not_found");
        refused(road.store_blob(b"result"), "no_attempt");
        assert!(road.heartbeat(&at_home()).unwrap().order.is_none());
        tick(&app, node);
        let order = road.heartbeat(&at_home()).unwrap().order.unwrap();
        assert_eq!(road.fetch_blob(&order.program).unwrap(), PROGRAM);
        assert_eq!(road.fetch_blob(&order.input).unwrap(), b"input");
        refused(road.fetch_blob(&Digest(secret)), "not_found");
        refused(idle.fetch_blob(&program), "not_found");
        refused(idle.store_blob(b"result"), "no_attempt");

        let result = vec![7; 1 << 20];
        assert_eq!(road.store_blob(&result).unwrap(), Digest::of(&result));
        // What it stored it cannot read, nor can the customer before it is a result.
        refused(road.fetch_blob(&Digest::of(&result)), "not_found");
        customer.get(&format!("/v1/blobs/{}", Digest::of(&result).0)).refused(404, "not_found");
        app.db.clock.advance_s(15 * 60);
        assert!(road.heartbeat(&at_home()).is_ok(), "it signs in again when its token is old");
    }
}

#[test]
fn a_car_sends_its_secrets_to_no_plain_address() {
    for url in ["http://driveway.example", "ftp://127.0.0.1", "driveway.example"] {
        assert!(Net::new(url, None).is_err(), "{url}");
    }
    assert!(Net::new("https://driveway.example", Some(b"no certificate")).is_err());
}

/// A car with a running attempt: its way, its token, and its order as it came.
fn at_work(app: &TestApp) -> (Road, String, Value) {
    let node: NodeId = app.db.store.env().ids.id(app.db.store.now());
    let (customer, owner) = (app.customer("ada"), app.owner("olga"));
    customer.deposit("5.00");
    customer.post("/v1/jobs", &new_job(&customer)).expect(201);
    let (_, key) = enrolled(app, &owner);
    let client = signed_in(app, &key);
    beat(app, &client, Some(1)).expect(200);
    tick(app, node);
    let order = beat(app, &client, Some(2)).expect(200)["order"].clone();
    (Road::new(net(app), key), client.token.unwrap(), order)
}

store::on_both_databases! {
    fn a_transfer_that_was_cut_goes_on_in_both_directions(db) {
        let app = TestApp::start(db);
        let (road, token, order) = at_work(&app);
        let program = order["program"].as_str().unwrap();
        let http = reqwest::blocking::Client::new();
        let url = |digest: &str| format!("{}/v1/vehicles/blobs/{digest}", app.base);
        for (range, status, expected) in [
            ("bytes=5-", 206, &PROGRAM[5..]),
            ("bytes=0-", 200, PROGRAM),
            ("bytes=5-6", 200, PROGRAM),
            ("bytes=999999-", 200, PROGRAM),
            ("bytes=-1", 200, PROGRAM),
            ("lines=5-", 200, PROGRAM),
        ] {
            let request = http.get(url(program)).bearer_auth(&token).header("range", range);
            let answer = request.send().unwrap();
            assert_eq!(answer.status(), status, "{range}");
            if status == 206 {
                let said = format!("bytes 5-{}/{}", PROGRAM.len() - 1, PROGRAM.len());
                assert_eq!(answer.headers()["content-range"], said.as_str());
            }
            assert_eq!(answer.bytes().unwrap(), expected, "{range}");
        }
        let mut rest = Vec::new();
        road.fetch_blob_from(&Digest(program.to_owned()), 5, &mut rest).unwrap();
        assert_eq!(rest, &PROGRAM[5..]);

        // Half of a result comes, then the connection ends.
        let result: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
        let digest = Digest::of(&result);
        let offset = || {
            let answer = http.head(url(&digest.0)).bearer_auth(&token).send().unwrap();
            answer.headers()["upload-offset"].to_str().unwrap().parse::<usize>().unwrap()
        };
        assert_eq!(offset(), 0);
        let put = |range: String, body: Vec<u8>| {
            let request = http.put(url(&digest.0)).bearer_auth(&token);
            let request = request.header("content-type", "application/octet-stream");
            request.header("content-range", range).body(body).send().unwrap()
        };
        let last = result.len() - 1;
        let all = format!("bytes 0-{last}/{}", result.len());
        {
            use std::io::Write;
            let host = app.base.strip_prefix("http://").unwrap();
            let mut line = std::net::TcpStream::connect(host).unwrap();
            write!(
                line,
                "PUT /v1/vehicles/blobs/{} HTTP/1.1\r\nhost: {host}\r\n\
                authorization: Bearer {token}\r\ncontent-type: application/octet-stream\r\n\
                content-range: {all}\r\ncontent-length: {}\r\n\r\n",
                digest.0,
                result.len(),
            )
            .unwrap();
            line.write_all(&result[..1_500_000]).unwrap();
        }
        let began = std::time::Instant::now();
        while offset() == 0 {
            assert!(began.elapsed().as_secs() < 20, "what came is lost");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let came = offset();
        assert!(came <= 1_500_000);
        // Only the right rest is taken, and refusals lose nothing.
        for wrong in [came - 1, came + 1] {
            let range = format!("bytes {wrong}-{last}/{}", result.len());
            let refused = put(range, result[wrong..].to_vec());
            assert_eq!(refused.status(), 409);
            assert_eq!(refused.json::<Value>().unwrap()["code"], "wrong_offset");
        }
        for unread in ["bytes 1-2/9", "nonsense"] {
            assert_eq!(put(unread.to_owned(), vec![1; 9]).status(), 422, "{unread}");
        }
        assert_eq!(offset(), came);
        assert_eq!(road.store_blob(&result).unwrap(), digest);
        assert_eq!(offset(), 0, "it is whole now");
        // A rest that makes another blob of it is found out.
        let small = put(format!("bytes 0-3/{}", 4), vec![1; 4]);
        assert_eq!(small.json::<Value>().unwrap()["code"], "digest_mismatch");
        let large = format!("bytes 0-{}/{}", (1u64 << 40) - 1, 1u64 << 40);
        assert_eq!(put(large, vec![1; 4]).status(), 413);
    }
}

store::on_both_databases! {
    fn an_order_brings_the_programs_key_and_a_ban_wipes_it(db) {
        let app = TestApp::start(db);
        let (road, _, order) = at_work(&app);
        assert_eq!(order["program_key"].as_str().unwrap().len(), 64);
        assert!((1..=900_000).contains(&order["term_ms"].as_u64().unwrap()), "{order}");
        app.db.clock.advance_s(1);
        assert_eq!(road.heartbeat(&at_home()).unwrap().forget, []);
        let program = Digest(order["program"].as_str().unwrap().to_owned());
        let ban = json!({ "kind": "program", "subject": program.0, "reason": "it mines" });
        crate::market::operator(&app).post("/v1/bans", &ban).expect(201);
        app.db.clock.advance_s(2);
        assert_eq!(road.heartbeat(&at_home()).unwrap().forget, [program]);
        // Told for as long as a word may be late, and not for ever.
        app.db.clock.advance_s(20);
        road.heartbeat(&at_home()).unwrap();
        app.db.clock.advance_s(1);
        assert_eq!(road.heartbeat(&at_home()).unwrap().forget, []);
    }
}

store::on_both_databases! {
    fn a_sign_in_sweeps_a_bounded_number_of_expired_assertions(db) {
        use diesel::prelude::*;
        use scheduler::fleet::key::take_assertion;
        use store::schema::vehicle_assertion;
        let app = TestApp::start(db);
        let owner = app.owner("olga");
        let (_, key) = enrolled(&app, &owner);
        let store = &app.db.store;
        let soon = store.now().plus_us(1_000_000);
        for n in 0..40 {
            let fresh = store.write(|tx| take_assertion(tx, &[7; 32], &format!("old {n}"), soon));
            assert!(fresh.unwrap());
        }
        let left = || -> i64 {
            let count = |tx: &mut store::Tx<'_>| -> scheduler::Result<i64> {
                Ok(vehicle_assertion::table.count().get_result(tx.conn)?)
            };
            store.read(count).unwrap()
        };
        assert_eq!(left(), 40);
        app.db.clock.advance_s(2);
        for expected in [40 - 16 + 1, 40 - 32 + 2, 3, 4] {
            sign_in(&app, &key.assertion(now_s(&app)).unwrap()).expect(200);
            assert_eq!(left(), expected);
        }
    }
}
