//! The program from outside: the binary, its HTTP interface, its exit codes. Build it first:
//! `cargo build -p api`.
#![allow(clippy::unwrap_used)]

mod proxy;

use std::fs::OpenOptions;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rand::RngCore;
pub use reqwest::Method;
pub use reqwest::blocking::Client as Http;
use reqwest::blocking::Response;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::testing::{create_database, database_url, drop_database};
use tempfile::TempDir;

pub use proxy::{Cut, Proxy};

/// A folder, and the database that goes with it; both are gone when it is dropped.
pub struct Place {
    pub dir: TempDir,
    pub url: String,
    postgres: Option<(String, String)>,
}

impl Place {
    pub fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", dir.path().join("data/driveway.sqlite").display());
        Self { dir, url, postgres: None }
    }

    pub fn postgres() -> Self {
        let (base, name) = create_database();
        let url = database_url(&base, &name);
        Self { dir: tempfile::tempdir().unwrap(), url, postgres: Some((base, name)) }
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// What its servers said, one after the other.
    pub fn log(&self) -> PathBuf {
        self.dir.path().join("serve.log")
    }

    /// Runs the program on this place to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        let data = self.data();
        let place = ["--data", data.to_str().unwrap(), "--database-url", &self.url];
        Command::new(driveway()).args(args).args(place).output().unwrap()
    }

    /// The last line of `--json`.
    pub fn json(&self, args: &[&str]) -> Value {
        let output = self.run(&[args, &["--json"]].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        let last = text.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|error| {
            panic!("{args:?}: {error}: {text}{}", String::from_utf8_lossy(&output.stderr))
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((base, name)) = self.postgres.take() {
            drop_database(&base, &name);
        }
    }
}

/// The program under test: `DRIVEWAY_BIN`, or the one that cargo built beside this test.
pub fn driveway() -> PathBuf {
    if let Ok(path) = std::env::var("DRIVEWAY_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().unwrap();
    let built = test.parent().and_then(Path::parent).unwrap().join("driveway");
    assert!(built.exists(), "{} is not there: cargo build -p api", built.display());
    built
}

/// A running `driveway serve`. Dropping it kills it, as a power cut would.
pub struct Server {
    child: Child,
    pub base: String,
}

impl Server {
    /// Starts it and waits until it answers.
    pub fn start(place: &Place, vehicles: usize) -> Self {
        let vehicles = vehicles.to_string();
        Self::start_with(place, &["--vehicles", &vehicles, "--tick-ms", "100"])
    }

    /// Starts it with these arguments beside those of every test.
    pub fn start_with(place: &Place, args: &[&str]) -> Self {
        Self::start_for(place, args, "http", &Http::new())
    }

    /// Starts it with the certificate and the key of these files; `http` trusts it.
    pub fn start_tls(place: &Place, args: &[&str], cert: &Path, key: &Path, http: &Http) -> Self {
        let files = ["--tls-cert", cert.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
        Self::start_for(place, &[args, &files].concat(), "https", http)
    }

    fn start_for(place: &Place, args: &[&str], scheme: &str, http: &Http) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = format!("127.0.0.1:{port}");
        let log = OpenOptions::new().create(true).append(true).open(place.log()).unwrap();
        let child = Command::new(driveway())
            .args(["serve", "--listen", &listen])
            .args(args)
            .args(["--allow-test-deposits", "--token-lifetime", "86400", "--data"])
            .arg(place.data())
            .args(["--database-url", &place.url])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self { child, base: format!("{scheme}://{listen}") };
        server.wait_until_up(place, http);
        server
    }

    fn wait_until_up(&mut self, place: &Place, http: &Http) {
        let began = Instant::now();
        while http.get(format!("{}/healthz", self.base)).send().is_err() {
            if let Some(status) = self.child.try_wait().unwrap() {
                let text = std::fs::read_to_string(place.log()).unwrap();
                panic!("serve ended with {status}: {text}");
            }
            assert!(began.elapsed() < Duration::from_secs(30), "serve does not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ctrl-C; its exit code.
    pub fn interrupt(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that knows its token.
#[derive(Clone, Default)]
pub struct Client {
    http: Http,
    pub token: String,
}

impl Client {
    /// One that waits no longer than this for an answer, and makes a connection for each question
    /// so that none is asked on one that died.
    pub fn impatient(mut self, timeout: Duration) -> Self {
        self.http = Http::builder().timeout(timeout).pool_max_idle_per_host(0).build().unwrap();
        self
    }

    /// Signs up and logs in.
    pub fn sign_up(base: &str, email: &str, role: &str) -> Self {
        Self::sign_up_by(Http::new(), base, email, role)
    }

    /// The same by a client that trusts the server's certificate.
    pub fn sign_up_by(http: Http, base: &str, email: &str, role: &str) -> Self {
        let mut client = Self { http, token: String::new() };
        let password = "an example password";
        let new = json!({ "email": email, "password": password, "name": "Example", "role": role });
        client.post(base, "/v1/signup", "", &new).unwrap();
        client.log_in(base, email, password);
        client
    }

    pub fn log_in(&mut self, base: &str, email: &str, password: &str) {
        let body = json!({ "email": email, "password": password });
        let answer = self.post(base, "/v1/login", "", &body).unwrap();
        self.token = answer["access_token"].as_str().unwrap().to_owned();
    }

    /// `None` if the server did not answer: then nobody knows whether it was done.
    pub fn post(&self, base: &str, path: &str, key: &str, body: &Value) -> Option<Value> {
        let request = self.http.post(format!("{base}{path}")).bearer_auth(&self.token);
        let request = request.header("Idempotency-Key", key).json(body);
        request.send().ok().and_then(accepted)
    }

    /// Asks with one key until there is an answer, however often it takes.
    ///
    /// # Errors
    /// The code of a refusal.
    pub fn insist(
        &self,
        way: Method,
        base: &str,
        path: &str,
        body: &Value,
    ) -> Result<Value, String> {
        let (key, began) = (new_key(), Instant::now());
        loop {
            let request = self.http.request(way.clone(), format!("{base}{path}"));
            let request = request.bearer_auth(&self.token).header("Idempotency-Key", &key);
            let request = if body.is_null() { request } else { request.json(body) };
            let answer = request.send().ok().and_then(|r| Some((r.status(), r.text().ok()?)));
            if let Some((status, text)) = answer {
                let value: Value = serde_json::from_str(&text).unwrap_or_default();
                let code = value["code"].as_str().unwrap_or_default();
                match (status.is_success(), code) {
                    (true, _) => return Ok(value),
                    // It is busy, or still at work on the first request with this key.
                    (_, "unavailable" | "conflict") => {}
                    (_, "internal" | "") => panic!("{way} {path}: {status}: {text}"),
                    (_, code) => return Err(code.to_owned()),
                }
            }
            assert!(began.elapsed() < Duration::from_secs(120), "{way} {path}: no answer");
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    /// The bytes of a blob.
    pub fn download(&self, base: &str, digest: &str) -> Vec<u8> {
        let request = self.http.get(format!("{base}/v1/blobs/{digest}")).bearer_auth(&self.token);
        let response = request.send().unwrap();
        assert!(response.status().is_success(), "{digest}: {}", response.status());
        response.bytes().unwrap().to_vec()
    }

    /// All rows of what comes in pages.
    pub fn pages(&self, base: &str, path: &str) -> Vec<Value> {
        let (mut rows, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.get(base, &format!("{path}?limit=100{cursor}")).unwrap();
            rows.extend(page["data"].as_array().unwrap().iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return rows,
            }
        }
    }

    pub fn get(&self, base: &str, path: &str) -> Option<Value> {
        let request = self.http.get(format!("{base}{path}")).bearer_auth(&self.token);
        request.send().ok().and_then(accepted)
    }

    pub fn upload(&self, base: &str, bytes: &[u8]) -> String {
        let digest = hex::encode(Sha256::digest(bytes));
        let request = self.http.put(format!("{base}/v1/blobs/{digest}")).bearer_auth(&self.token);
        let request = request.header("Content-Type", "application/octet-stream");
        let response = request.body(bytes.to_vec()).send().unwrap();
        assert!(response.status().is_success(), "{}", response.text().unwrap());
        digest
    }
}

/// The answer's JSON; a refusal is a failure of the test, half an answer is none.
fn accepted(response: Response) -> Option<Value> {
    let (status, url) = (response.status(), response.url().clone());
    let text = response.text().ok()?;
    assert!(status.is_success(), "{url}: {status}: {text}");
    serde_json::from_str(&text).ok()
}

/// A new idempotency key.
pub fn new_key() -> String {
    let mut key = [0; 16];
    rand::rng().fill_bytes(&mut key);
    hex::encode(key)
}

/// A file of `workloads/`.
pub fn workload(path: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../workloads").join(path)).unwrap()
}

/// Long counts, for `tests/run --long`.
pub fn long() -> bool {
    std::env::var_os("DRIVEWAY_TEST_LONG").is_some()
}

/// The Python that has the packages of `tests/requirements.txt`.
pub fn python() -> String {
    std::env::var("DRIVEWAY_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}
