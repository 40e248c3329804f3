//! Who may come in.

use api::identity::model::Role;
use aws_lc_rs::signature::Ed25519KeyPair;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use store::on_both_databases;

use crate::client::Api;

const PASSWORD: &str = "correct horse battery";

on_both_databases! {
    fn sign_up_log_in_and_be_known(db) {
        let api = Api::new(db);
        let asked = json!({ "email": "Ada@Example.org", "password": PASSWORD, "name": "Ada",
            "role": "customer" });
        let party = api.post("/v1/signup", "", "", &asked).ok();
        assert_eq!((&party["email"], &party["role"]), (&json!("ada@example.org"), &json!("customer")));
        assert!(!party.to_string().contains("assword"));
        api.post("/v1/signup", "", "", &asked).refused(409, "email_taken");

        let log_in = |email: &str, password: &str| {
            api.post("/v1/login", "", "", &json!({ "email": email, "password": password }))
        };
        let wrong = log_in("ada@example.org", "wrong").refused(401, "wrong_credentials");
        let unknown = log_in("eve@example.org", "wrong").refused(401, "wrong_credentials");
        assert_eq!(wrong["detail"], unknown["detail"]);
        let token = log_in(" ADA@example.org ", PASSWORD).ok();
        assert_eq!((&token["token_type"], &token["expires_in"]), (&json!("Bearer"), &json!(600)));
        let token = token["access_token"].as_str().unwrap();
        assert_eq!(api.get("/v1/me", token).ok()["id"], party["id"]);
    }
}

#[test]
fn sign_ups_that_are_refused() {
    let api = Api::new(store::testing::TestDb::sqlite());
    let valid = json!({ "email": "a@example.org", "password": PASSWORD, "name": "Ada",
        "role": "customer" });
    for (field, value) in [
        ("email", json!("no address")),
        ("email", json!("a@example.org\r\nBcc: b@example.org")),
        ("password", json!("short")),
        ("password", json!("x".repeat(201))),
        ("name", json!("")),
        ("name", json!("Ada\r\nBcc: b@example.org")),
        ("role", json!("finance")),
        ("role", json!("operator")),
        ("id", json!("party_01kayz3v8ne7m9xqk2y4t6w8b0")),
    ] {
        let mut asked = valid.clone();
        asked[field] = value;
        let problem = api.post("/v1/signup", "", "", &asked).refused(422, "invalid_body");
        assert!(problem["errors"][0]["pointer"].as_str().unwrap().contains(field), "{problem}");
    }
}

on_both_databases! {
    fn tokens_that_are_refused(db) {
        let api = Api::new(db);
        let (party, token) = api.party("c@example.org", Role::Customer);
        let refused = |token: &str, code: &str| {
            for path in ["/v1/me", "/v1/wallet"] {
                api.get(path, token).refused(401, code);
            }
        };
        refused("", "token_missing");
        let [header, claims, signature]: [&str; 3] =
            token.split('.').collect::<Vec<_>>().try_into().unwrap();
        // {"alg":"none","typ":"at+jwt"}, with and without the signature.
        let none = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0";
        refused("rubbish", "token_invalid");
        refused(&format!("{none}.{claims}."), "token_invalid");
        refused(&format!("{none}.{claims}.{signature}"), "token_invalid");
        refused(&format!("{header}.{claims}."), "token_invalid");
        refused(&format!("{header}.{claims}.{}", "A".repeat(86)), "token_invalid");

        let now = api.db.store.now().0 / 1_000_000;
        let good = json!({ "iss": "driveway", "aud": "driveway-api", "sub": party,
            "role": "finance", "iat": now, "exp": now + 600 });
        // Another key under our key's name, and our words under another algorithm.
        let pair = Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap();
        let (foreign, secret) =
            (EncodingKey::from_ed_der(pair.as_ref()), EncodingKey::from_secret(b"public key"));
        refused(&signed(Algorithm::EdDSA, "at+jwt", &good, &foreign), "token_invalid");
        refused(&signed(Algorithm::HS256, "at+jwt", &good, &secret), "token_invalid");

        // With the right key every claim is still looked at.
        let own = own_key(&api);
        let with = |name: &str, value: Value| {
            let mut claims = good.clone();
            claims[name] = value;
            signed(Algorithm::EdDSA, "at+jwt", &claims, &own)
        };
        api.get("/v1/ledger/check", &with("role", json!("finance"))).ok();
        refused(&signed(Algorithm::EdDSA, "JWT", &good, &own), "token_invalid");
        refused(&with("iss", json!("another")), "token_invalid");
        refused(&with("aud", json!("another")), "token_invalid");
        refused(&with("exp", Value::Null), "token_invalid");
        refused(&with("role", json!("god")), "token_invalid");
        refused(&with("iat", json!(now + 3600)), "token_invalid");
        refused(&with("exp", json!(now)), "token_expired");

        api.get("/v1/me", &token).ok();
        api.db.clock.advance_s(600);
        refused(&token, "token_expired");
    }
}

fn signed(alg: Algorithm, kind: &str, claims: &Value, key: &EncodingKey) -> String {
    let mut header = Header::new(alg);
    header.typ = Some(kind.to_owned());
    header.kid = Some("1".to_owned());
    encode(&header, claims, key).unwrap()
}

fn own_key(api: &Api) -> EncodingKey {
    use diesel::prelude::*;
    use store::schema::signing_key;
    let private: Vec<u8> = api
        .db
        .store
        .read(|tx| {
            Ok::<_, store::Error>(signing_key::table.select(signing_key::private).first(tx.conn)?)
        })
        .unwrap();
    EncodingKey::from_ed_der(&private)
}

on_both_databases! {
    fn a_car_signs_in_with_its_own_token(db) {
        let api = Api::new(db);
        let owner = api.token("o@example.org", Role::Owner);
        let car = json!({ "region": "us-ca", "class": "hw4", "reserve": "0.09", "pay_in": "cash" });
        let added = api.post("/v1/vehicles", &owner, "car", &car).ok();
        let token = added["token"].as_str().unwrap();
        let beat = json!({ "telemetry": { "Gear": "P", "VehicleSpeed": 0.0,
            "DriverSeatOccupied": false, "Locked": true, "Soc": 80.0,
            "DetailedChargeState": "Charging" }, "attempt": null });
        let path = "/v1/vehicles/heartbeat";
        let reply = api.post(path, token, "", &beat).ok();
        assert!(reply["next_poll_ms"].as_u64().unwrap() > 0, "{reply}");
        api.post(path, "", "", &beat).refused(401, "token_missing");
        api.post(path, &owner, "", &beat).refused(401, "token_invalid");
        api.post(path, "car_0000", "", &beat).refused(401, "token_invalid");
        api.post(path, token, "", &json!({ "telemetry": 1 })).refused(422, "invalid_body");
        // And it is a car's token only.
        api.get("/v1/me", token).refused(401, "token_invalid");
        let shown = api.get(&format!("/v1/vehicles/{}", added["id"].as_str().unwrap()), &owner);
        assert!(!shown.text.contains(token), "a token is shown once");
    }
}
