//! A client of the public API, as a customer's or owner's program would have one.

use anyhow::{Context, bail};
use rand::RngCore;
use reqwest::Method;
use reqwest::blocking::{Client as Http, RequestBuilder, Response};
use serde_json::{Value, json};
use vehicle::protocol::Digest;

/// Signed in as one party, or as nobody yet.
#[derive(Clone)]
pub struct Client {
    http: Http,
    base: String,
    token: Option<String>,
}

impl Client {
    pub fn new(base: &str) -> anyhow::Result<Self> {
        let http = Http::builder().timeout(std::time::Duration::from_secs(60)).build()?;
        Ok(Self { http, base: base.to_owned(), token: None })
    }

    /// Makes an account and logs in.
    pub fn sign_up(&self, email: &str, name: &str, role: &str) -> anyhow::Result<Self> {
        let password = "an example password";
        self.post(
            "/v1/signup",
            &json!({ "email": email, "password": password, "name": name, "role": role }),
        )?;
        self.log_in(email, password)
    }

    pub fn log_in(&self, email: &str, password: &str) -> anyhow::Result<Self> {
        let answer = self.post("/v1/login", &json!({ "email": email, "password": password }))?;
        let token = answer["access_token"].as_str().context("no token")?.to_owned();
        Ok(Self { token: Some(token), ..self.clone() })
    }

    pub fn get(&self, path: &str) -> anyhow::Result<Value> {
        Ok(accepted(self.request(Method::GET, path).send()?)?.json()?)
    }

    pub fn text(&self, path: &str) -> anyhow::Result<String> {
        Ok(accepted(self.request(Method::GET, path).send()?)?.text()?)
    }

    /// All rows of a paged list.
    pub fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let (mut rows, mut cursor) = (Vec::new(), String::new());
        loop {
            let mut page = self.get(&format!("{path}?limit=100{cursor}"))?;
            if let Value::Array(data) = page["data"].take() {
                rows.extend(data);
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(rows),
            }
        }
    }

    /// New work: with an idempotency key of its own.
    pub fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let mut key = [0; 16];
        rand::rng().fill_bytes(&mut key);
        let request = self.request(Method::POST, path);
        let request = request.header("Idempotency-Key", hex::encode(key)).json(body);
        Ok(accepted(request.send()?)?.json()?)
    }

    pub fn put(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        accepted(self.request(Method::PUT, path).json(body).send()?)?;
        Ok(())
    }

    pub fn upload(&self, bytes: &[u8]) -> anyhow::Result<String> {
        let digest = Digest::of(bytes).0;
        let request = self.request(Method::PUT, &format!("/v1/blobs/{digest}"));
        let request = request.header("Content-Type", "application/octet-stream");
        accepted(request.body(bytes.to_vec()).send()?)?;
        Ok(digest)
    }

    pub fn download(&self, digest: &str) -> anyhow::Result<Vec<u8>> {
        let request = self.request(Method::GET, &format!("/v1/blobs/{digest}"));
        Ok(accepted(request.send()?)?.bytes()?.to_vec())
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}

fn accepted(response: Response) -> anyhow::Result<Response> {
    let (status, url) = (response.status(), response.url().clone());
    if !status.is_success() {
        bail!("{url}: {status}: {}", response.text().unwrap_or_default());
    }
    Ok(response)
}
