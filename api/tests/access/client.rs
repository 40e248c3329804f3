//! A server on a random port, and what a client sees of it.

use std::sync::Mutex;

use api::config::{Config, DataConfig};
use api::identity::model::Role;
use api::identity::token::TokenKey;
use api::server::{self, Running};
use diesel::prelude::*;
use reqwest::Method;
use reqwest::blocking::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use store::PartyId;
use store::schema::{
    approval, blob, deposit, entry, hold, idempotency, job, ledger_transaction, vehicle,
};
use store::testing::TestDb;

/// A server on `db`. When it goes, the book must check.
pub struct Api {
    pub db: TestDb,
    running: Mutex<Option<Running>>,
    base: String,
    http: Client,
    tokens: TokenKey,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub kind: String,
    pub replayed: bool,
    pub text: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Demands a success.
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.json()
    }

    /// Demands a problem document with this code.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!(self.kind, "application/problem+json", "{self:?}");
        let body = self.json();
        assert_eq!((self.status, body["code"].as_str()), (status, Some(code)), "{self:?}");
        assert_eq!(body["status"], status);
        assert_eq!(body["type"], format!("/problems#{code}"));
        assert!(body["request_id"].as_str().unwrap().starts_with("req_"), "{body}");
        body
    }
}

impl Api {
    pub fn new(db: TestDb) -> Self {
        let data = DataConfig::in_folder(db.dir.path());
        let config = Config { allow_test_deposits: true, workers: Some(2), ..Config::local(data) };
        Self::with(db, config)
    }

    pub fn with(db: TestDb, config: Config) -> Self {
        let running = server::start_on(db.store.clone(), &config).unwrap();
        let tokens = TokenKey::load(&db.store, 600).unwrap();
        let base = running.url();
        Self { db, running: Mutex::new(Some(running)), base, http: Client::new(), tokens }
    }

    /// A party and its token, without the cost of a password.
    pub fn party(&self, email: &str, role: Role) -> (PartyId, String) {
        let party = self
            .db
            .store
            .write(|tx| api::identity::store::create(tx, email, "Somebody", role, "no password"))
            .unwrap();
        (party.id, self.tokens.issue(party.id, role, self.db.store.now()).unwrap())
    }

    pub fn token(&self, email: &str, role: Role) -> String {
        self.party(email, role).1
    }

    pub fn request(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        if token.is_empty() { request } else { request.bearer_auth(token) }
    }

    pub fn get(&self, path: &str, token: &str) -> Reply {
        send(self.request(Method::GET, path, token))
    }

    pub fn post(&self, path: &str, token: &str, key: &str, body: &Value) -> Reply {
        let request = self.request(Method::POST, path, token).json(body);
        send(if key.is_empty() { request } else { request.header("Idempotency-Key", key) })
    }

    pub fn put_blob(&self, digest: &str, token: &str, bytes: &[u8]) -> Reply {
        let request = self.request(Method::PUT, &format!("/v1/blobs/{digest}"), token);
        send(request.body(bytes.to_vec()))
    }

    pub fn deposit(&self, token: &str, key: &str, amount: &str) -> Reply {
        self.post("/v1/deposits", token, key, &deposit_of(amount, "USD", "test"))
    }

    pub fn available(&self, token: &str) -> String {
        let wallet = self.get("/v1/wallet", token).ok();
        wallet["available"]["amount"].as_str().unwrap().to_owned()
    }

    /// How many rows there are of what requests make.
    pub fn rows(&self) -> Vec<(&'static str, i64)> {
        let counted = self.db.store.read(|tx| {
            macro_rules! count {
                ($($table:ident),*) => {
                    vec![$((stringify!($table), $table::table.count().get_result(tx.conn)?)),*]
                };
            }
            Ok::<_, store::Error>(count![
                blob,
                approval,
                deposit,
                entry,
                hold,
                idempotency,
                job,
                ledger_transaction,
                vehicle
            ])
        });
        counted.unwrap()
    }

    /// Files of the blob store.
    pub fn blob_files(&self) -> usize {
        fn files(folder: &std::path::Path) -> usize {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            entries.map(|e| if e.path().is_dir() { files(&e.path()) } else { 1 }).sum()
        }
        files(&self.db.dir.path().join("blobs"))
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let running = self.running.lock().unwrap_or_else(|e| e.into_inner()).take();
        let stopped = running.map(Running::stop);
        if !std::thread::panicking() {
            stopped.transpose().expect("the server stops");
            let report = self.db.store.read(ledger::check::check).expect("the book is read");
            assert!(report.is_clean(), "{report:?}");
        }
    }
}

pub fn send(request: RequestBuilder) -> Reply {
    let response: Response = request.send().unwrap();
    let header = |name: &str| {
        let value = response.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let replayed = header("idempotent-replayed") == "true";
    assert!(header("x-request-id").starts_with("req_"), "{response:?}");
    let (status, kind) = (response.status().as_u16(), header("content-type"));
    Reply { status, kind, replayed, text: response.text().unwrap_or_default() }
}

pub fn deposit_of(amount: &str, currency: &str, source: &str) -> Value {
    json!({ "amount": { "amount": amount, "currency": currency }, "source": source })
}
