//! Work done once, however often it is asked for.

use reqwest::Method;
use serde_json::json;

use crate::app::{Ask, TestApp, new_job};

store::on_both_databases! {
    fn a_key_gives_the_first_answer(db) {
        let app = TestApp::start(db);
        let customer = app.customer("ada");
        customer.deposit("5.00");
        let ask = customer.ask(Method::POST, "/v1/jobs", &new_job(&customer));
        let first = customer.send(&ask);
        first.expect(201);
        assert!(!first.replayed);
        let rows = app.rows();
        // The same with other spaces is the same body.
        let mut body = ask.body.clone();
        body.splice(1..1, *b"  \n");
        for again in [ask.clone(), Ask { body, ..ask.clone() }] {
            let again = customer.send(&again);
            assert_eq!((again.status, again.replayed), (201, true));
            assert_eq!(again.text, first.text);
        }
        // Another body, or another route, under the same key.
        let mut job = new_job(&customer);
        job["name"] = json!("other");
        let reused = Ask { body: job.to_string().into_bytes(), ..ask.clone() };
        let differs = customer.send(&reused).refused(422, "idempotency_key_reused");
        assert_eq!(differs["errors"][0]["pointer"], "/name", "{differs}");
        assert_eq!(differs["errors"].as_array().unwrap().len(), 1);
        let path = format!("/v1/jobs/{}/cancel", first.json()["id"].as_str().unwrap());
        customer.send(&Ask { path, ..ask.clone() }).refused(422, "idempotency_key_reused");
        assert_eq!(app.rows(), rows);
        assert_eq!(customer.wallet().1, "1.000000");
        // A key is its party's own.
        let eve = app.customer("eve");
        let deposit = json!({ "amount": { "amount": "1", "currency": "USD" }, "source": "test" });
        let theirs = eve.ask(Method::POST, "/v1/deposits", &deposit);
        assert!(!eve.send(&Ask { key: ask.key.clone(), ..theirs }).replayed);
    }
}

store::on_both_databases! {
    fn a_refusal_leaves_the_key_free(db) {
        let app = TestApp::start(db);
        let customer = app.customer("ada");
        let ask = customer.ask(Method::POST, "/v1/jobs", &new_job(&customer));
        customer.send(&ask).refused(422, "insufficient_funds");
        customer.deposit("5.00");
        let accepted = customer.send(&ask);
        accepted.expect(201);
        assert!(!accepted.replayed);
    }
}

store::on_both_databases! {
    fn twenty_at_once_make_one(db) {
        let app = TestApp::start(db);
        let customer = app.customer("ada");
        customer.deposit("50.00");
        let ask = customer.ask(Method::POST, "/v1/jobs", &new_job(&customer));
        let answers: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..20).map(|_| scope.spawn(|| customer.send(&ask))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for answer in &answers {
            assert_eq!((answer.status, &answer.text), (201, &answers[0].text));
        }
        assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
        let jobs = customer.get("/v1/jobs").expect(200);
        assert_eq!(jobs["data"].as_array().unwrap().len(), 1);
        assert_eq!(customer.wallet(), ("50.000000".to_owned(), "1.000000".to_owned()));
    }
}

store::on_both_databases! {
    fn a_wallet_is_spent_once(db) {
        let app = TestApp::start(db);
        let customer = app.customer("ada");
        customer.deposit("5.00");
        let job = new_job(&customer);
        // Twenty jobs of one dollar each, with keys of their own: five are paid for.
        let answers: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..20).map(|_| scope.spawn(|| customer.post("/v1/jobs", &job))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let accepted = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(accepted, 5);
        for refusal in answers.iter().filter(|answer| answer.status != 201) {
            refusal.refused(422, "insufficient_funds");
        }
        assert_eq!(customer.wallet(), ("5.000000".to_owned(), "5.000000".to_owned()));
    }
}

store::on_both_databases! {
    fn a_cars_token_is_told_once_and_stored_nowhere(db) {
        let app = TestApp::start(db);
        let owner = app.owner("ada");
        let new = json!({ "region": "us-ca", "class": "hw4", "reserve": "0.09", "pay_in": "cash" });
        let ask = owner.ask(Method::POST, "/v1/vehicles", &new);
        let first = owner.send(&ask).expect(201);
        assert!(first["token"].as_str().unwrap().starts_with("car_"));
        let again = owner.send(&ask);
        assert!(again.replayed);
        assert_eq!(again.json()["id"], first["id"]);
        assert_eq!(again.json()["token"], json!(null));
    }
}
