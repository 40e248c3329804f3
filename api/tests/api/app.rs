//! A server on a free port, its clients, and what must hold when a test is over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::config::{Config, DataConfig};
use api::identity::{self, model::Role};
use api::server::{self, Running};
use diesel::prelude::*;
use reqwest::Method;
use reqwest::blocking::{Client as Http, Response};
use scheduler::embedded::Fleet;
use serde_json::{Value, json};
use store::Amount;
use store::schema as s;
use store::testing::TestDb;
use vehicle::protocol::Digest;
use vehicle::{WorkerConfig, WorkerPool};

pub const PASSWORD: &str = "correct horse battery";

pub struct TestApp {
    running: Option<Running>,
    pub base: String,
    pub db: TestDb,
    http: Http,
}

/// Dropped, it stops, and the books must check.
impl Drop for TestApp {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().unwrap();
        }
        if !std::thread::panicking() {
            let report = self.db.store.read(ledger::check::check).unwrap();
            assert!(report.is_clean(), "{report:?}");
            assert!(report.trial_balance.values().all(|sum| *sum == Amount::ZERO));
        }
    }
}

impl TestApp {
    pub fn start(db: TestDb) -> Self {
        Self::start_with(db, |_| {})
    }

    pub fn start_with(db: TestDb, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::local(DataConfig::in_folder(db.dir.path()));
        config.allow_test_deposits = true;
        config.workers = Some(2);
        change(&mut config);
        let running = server::start_on(db.store.clone(), &config).unwrap();
        let http = Http::builder().timeout(Duration::from_secs(30)).build().unwrap();
        Self { base: running.url(), running: Some(running), db, http }
    }

    pub fn client(&self, token: Option<&str>) -> Client {
        let (http, base) = (self.http.clone(), self.base.clone());
        Client { http, base, token: token.map(str::to_owned) }
    }

    /// A fleet of embedded cars that are told what this server says.
    pub fn fleet(&self) -> Fleet {
        let running = self.running.as_ref().unwrap();
        let executable = env!("CARGO_BIN_EXE_driveway").into();
        let config = WorkerConfig { executable, args: vec!["worker".to_owned()], size: 1 };
        let pool = WorkerPool::new(config).unwrap();
        Fleet::start(running.desk.clone(), Arc::new(running.blobs.clone()), Arc::new(pool))
    }

    pub fn customer(&self, name: &str) -> Client {
        self.sign_up(name, "customer")
    }

    pub fn owner(&self, name: &str) -> Client {
        self.sign_up(name, "owner")
    }

    fn sign_up(&self, name: &str, role: &str) -> Client {
        let email = format!("{name}@example.org");
        let new = json!({ "email": email, "password": PASSWORD, "name": name, "role": role });
        self.client(None).post("/v1/signup", &new).expect(201);
        self.log_in(&email)
    }

    pub fn finance(&self) -> Client {
        let email = "finance@example.org";
        identity::add_user(&self.db.store, email, "Finance", Role::Finance, PASSWORD).unwrap();
        self.log_in(email)
    }

    pub fn log_in(&self, email: &str) -> Client {
        let login = json!({ "email": email, "password": PASSWORD });
        let token = self.client(None).post("/v1/login", &login).expect(200);
        self.client(token["access_token"].as_str())
    }

    /// How many rows each table has that a request may write to.
    pub fn rows(&self) -> Vec<(&'static str, i64)> {
        macro_rules! count {
            ($tx:ident: $($table:ident)*) => {
                vec![$((stringify!($table), s::$table::table.count().get_result($tx.conn)?)),*]
            };
        }
        let counted = self.db.store.read(|tx| {
            Ok::<_, store::Error>(count!(tx: account ledger_transaction entry hold hold_event party
                party_profile payout_account blob deposit bank_file payout idempotency outbox
                vehicle consent presence job bid task lease attempt clearing region_halt fee_rate job_stage small_blob ban program_check))
        });
        counted.unwrap()
    }

    /// Waits, in real time, for what another thread does.
    pub fn eventually<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "it did not happen");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Signed in as one party, or as nobody.
#[derive(Clone)]
pub struct Client {
    http: Http,
    base: String,
    pub token: Option<String>,
}

/// A request, to be changed before it is sent.
#[derive(Clone)]
pub struct Ask {
    pub method: Method,
    pub path: String,
    pub token: Option<String>,
    pub key: Option<String>,
    /// The number of a heartbeat.
    pub sequence: Option<u64>,
    pub kind: &'static str,
    pub body: Vec<u8>,
}

impl Client {
    /// JSON, under an idempotency key of its own.
    pub fn ask(&self, method: Method, path: &str, body: &Value) -> Ask {
        Ask {
            method,
            path: path.to_owned(),
            token: self.token.clone(),
            key: Some(format!("{:032x}", rand::random::<u128>())),
            sequence: None,
            kind: "application/json",
            body: body.to_string().into_bytes(),
        }
    }

    pub fn send(&self, ask: &Ask) -> Answer {
        let url = format!("{}{}", self.base, ask.path);
        let mut request = self.http.request(ask.method.clone(), url);
        if let Some(token) = &ask.token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = &ask.key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(number) = ask.sequence {
            request = request.header("Driveway-Sequence", number);
        }
        let request = request.header("Content-Type", ask.kind).body(ask.body.clone());
        Answer::of(request.send().unwrap())
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send(&self.ask(Method::GET, path, &Value::Null))
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(&self.ask(Method::POST, path, body))
    }

    pub fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(&self.ask(Method::PUT, path, body))
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.send(&self.ask(Method::DELETE, path, &Value::Null))
    }

    pub fn upload(&self, bytes: &[u8]) -> String {
        let digest = Digest::of(bytes).0;
        self.send(&self.blob(&digest, bytes)).expect(200);
        digest
    }

    pub fn blob(&self, digest: &str, bytes: &[u8]) -> Ask {
        let ask = self.ask(Method::PUT, &format!("/v1/blobs/{digest}"), &Value::Null);
        Ask { kind: "application/octet-stream", body: bytes.to_vec(), ..ask }
    }

    pub fn deposit(&self, amount: &str) -> Value {
        let amount = json!({ "amount": amount, "currency": "USD" });
        self.post("/v1/deposits", &json!({ "amount": amount, "source": "test" })).expect(201)
    }

    /// `(posted, held)` of the wallet.
    pub fn wallet(&self) -> (String, String) {
        let wallet = self.get("/v1/wallet").expect(200);
        let amount = |part: &str| wallet[part]["amount"].as_str().unwrap().to_owned();
        (amount("posted"), amount("held"))
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub kind: String,
    pub request_id: String,
    pub replayed: bool,
    pub text: String,
}

impl Answer {
    fn of(response: Response) -> Self {
        let header = |name: &str| {
            let value = response.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        Self {
            status: response.status().as_u16(),
            kind: header("content-type"),
            request_id: header("x-request-id"),
            replayed: header("idempotent-replayed") == "true",
            text: response.text().unwrap(),
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.json()
    }

    /// It is a problem document with this code.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Value {
        let body = self.json();
        assert_eq!((self.status, body["code"].as_str()), (status, Some(code)), "{self:?}");
        assert_eq!(self.kind, "application/problem+json");
        assert_eq!(body["status"], status);
        assert_eq!(body["type"], format!("/problems#{code}"));
        assert!(!body["title"].as_str().unwrap().is_empty());
        assert!(!self.request_id.is_empty());
        assert_eq!(body["request_id"], self.request_id);
        body
    }
}

/// A WebAssembly module of nothing.
pub const PROGRAM: &[u8] = b"\0asm\x01\0\0\0";

/// A job of two tasks on blobs that the customer stores here, of $1.
pub fn new_job(customer: &Client) -> Value {
    let (program, input) = (customer.upload(PROGRAM), customer.upload(b"input"));
    json!({
        "name": "sweep",
        "market": "us",
        "runtime": "wasm",
        "program": program,
        "purpose": "simulation",
        "data_class": "synthetic",
        "inputs": [input, input],
        "bid": {
            "max_price": { "amount": "0.360000", "currency": "USD" },
            "lanes": 1,
            "budget": { "amount": "1.000000", "currency": "USD" },
        },
    })
}
