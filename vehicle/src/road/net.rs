//! The platform over HTTPS.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64_URL;
use reqwest::StatusCode;
use reqwest::blocking::{Body, Client, RequestBuilder, Response};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::copy::{Slow, copy};
use super::key::{Key, KeyError};
use crate::protocol::{Digest, Heartbeat, HeartbeatReply};
use crate::{Made, Transport, TransportError};

/// The header of a heartbeat that says its number in the session: each is taken once.
pub const SEQUENCE: &str = "driveway-sequence";
/// The header of an answer that says how many bytes of a blob have been stored.
pub const UPLOAD_OFFSET: &str = "upload-offset";
/// A blob has no more bytes than this.
const MAX_BLOB: u64 = 64 << 20;
/// Of what else the platform answers no more is read.
const MAX_ANSWER: u64 = 1 << 20;
const CONNECT: Duration = Duration::from_secs(5);
/// How long a heartbeat or a sign-in may take.
const CALL: Duration = Duration::from_secs(10);
/// How long nothing may come of a blob.
const PIECE: Duration = Duration::from_secs(30);
/// How long a blob may take on its way up.
const TRANSFER: Duration = Duration::from_secs(600);

#[derive(Debug, Error)]
pub enum NetError {
    #[error("the platform's URL is no https:// URL (http:// only to this machine)")]
    Url,
    #[error("the certificate authority: {0}")]
    Authority(String),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// The way to one platform. Cheap to clone; connections are shared.
#[derive(Clone)]
pub struct Net {
    http: Client,
    server: String,
}

impl Net {
    /// `server` is `https://HOST[:PORT]`; plain HTTP is for this machine alone. `authority`, in
    /// PEM, is trusted instead of those of the system.
    ///
    /// # Errors
    /// For another URL, or what is no certificate.
    pub fn new(server: &str, authority: Option<&[u8]>) -> Result<Self, NetError> {
        let url = reqwest::Url::parse(server).map_err(|_| NetError::Url)?;
        let here = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
        if url.scheme() != "https" && !(url.scheme() == "http" && here) {
            return Err(NetError::Url);
        }
        let bad = |error: reqwest::Error| NetError::Authority(error.to_string());
        let mut http = Client::builder().connect_timeout(CONNECT).timeout(CALL);
        http = http.redirect(reqwest::redirect::Policy::none());
        if let Some(pem) = authority {
            let roots = reqwest::Certificate::from_pem_bundle(pem).map_err(bad)?;
            if roots.is_empty() {
                return Err(NetError::Authority("there is no certificate in it".to_owned()));
            }
            http = http.tls_certs_only(roots);
        }
        let http = http.build().map_err(bad)?;
        Ok(Self { http, server: server.trim_end_matches('/').to_owned() })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server)
    }
}

/// What a car says when it is enrolled. Bytes are in base64url without padding.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    pub code: String,
    pub public_key: String,
    /// [`Key::prove`] of the code.
    pub proof: String,
}

/// The answer to a car that signed in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SignIn {
    pub vehicle: String,
    /// What heartbeats and blobs carry from now on.
    pub token: String,
    /// Seconds that the token lives.
    pub expires_in_s: u32,
    /// The fastest that the car may send or fetch blobs, bytes a second.
    pub bytes_per_s: u64,
}

/// Enrols a car: its key is the vehicle's from now on, and any earlier one no more. Answers the
/// vehicle's id.
///
/// # Errors
/// Refused for a code that is wrong, used or too old.
pub fn enrol(net: &Net, code: &str, key: &Key) -> Result<String, TransportError> {
    #[derive(Deserialize)]
    struct Enrolled {
        vehicle: String,
    }
    let body = Enrolment {
        code: code.to_owned(),
        public_key: BASE64_URL.encode(key.public()),
        proof: BASE64_URL.encode(key.prove(code)),
    };
    let answer = call(net.http.post(net.url("/v1/vehicles/enrol")).json(&body));
    Ok(json::<Enrolled>(answer.map_err(Refusal::plain)?)?.vehicle)
}

/// One car's way to the platform: signs in by itself, again when it must. Cheap to clone; the session
/// is shared.
#[derive(Clone)]
pub struct Road {
    net: Net,
    key: Arc<Key>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    session: Option<SignIn>,
    sequence: u64,
    /// What the platform's clock is ahead of the car's, seconds.
    ahead_s: i64,
}

impl Road {
    pub fn new(net: Net, key: Key) -> Self {
        Self { net, key: Arc::new(key), state: Arc::default() }
    }

    /// The vehicle's id; signs in if need be.
    ///
    /// # Errors
    /// If the platform cannot be reached or does not know the key.
    pub fn vehicle(&self) -> Result<String, TransportError> {
        Ok(self.session()?.0.vehicle)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session, and the number of its next heartbeat.
    fn session(&self) -> Result<(SignIn, u64), TransportError> {
        let mut state = self.lock();
        if state.session.is_none() {
            state.session = Some(self.sign_in(&mut state.ahead_s)?);
            state.sequence = 0;
        }
        state.sequence += 1;
        let sequence = state.sequence;
        let session = state.session.clone();
        session.map(|session| (session, sequence)).ok_or_else(|| unreachable("no session"))
    }

    /// A car with a wrong clock is told the right time and signs once more.
    fn sign_in(&self, ahead_s: &mut i64) -> Result<SignIn, TransportError> {
        let once = |ahead_s: i64| {
            let assertion = self.key.assertion(unix_s() + ahead_s);
            let assertion = assertion.map_err(|error| Refusal::plainly(unreachable(error)))?;
            let body = serde_json::json!({ "assertion": assertion });
            call(self.net.http.post(self.net.url("/v1/vehicles/token")).json(&body))
        };
        let answer = match once(*ahead_s) {
            Err(Refusal { now_ms: Some(now_ms), .. }) => {
                *ahead_s = now_ms / 1_000 - unix_s();
                once(*ahead_s)
            }
            answer => answer,
        };
        json(answer.map_err(Refusal::plain)?)
    }

    fn with_session(
        &self,
        call_with: impl Fn(&SignIn, u64) -> Result<Response, Refusal>,
    ) -> Result<(Response, SignIn), TransportError> {
        self.refused_with_session(call_with).map_err(Refusal::plain)
    }

    /// Calls with the session's token; if that is not taken any more, once again with a new one.
    fn refused_with_session(
        &self,
        call_with: impl Fn(&SignIn, u64) -> Result<Response, Refusal>,
    ) -> Result<(Response, SignIn), Refusal> {
        let (session, sequence) = self.session().map_err(Refusal::plainly)?;
        match call_with(&session, sequence) {
            Err(refusal) if refusal.signed_out => {
                self.lock().session.take_if(|held| held.token == session.token);
                let (session, sequence) = self.session().map_err(Refusal::plainly)?;
                Ok((call_with(&session, sequence)?, session))
            }
            answer => Ok((answer?, session)),
        }
    }

    fn blob_url(&self, digest: &Digest) -> String {
        self.net.url(&format!("/v1/vehicles/blobs/{}", digest.0))
    }

    /// How much of a blob the platform has, if a transfer of it was cut.
    fn stored(&self, digest: &Digest) -> Result<u64, TransportError> {
        let url = self.blob_url(digest);
        let (answer, _) = self.with_session(|session, _| {
            call(self.net.http.head(&url).bearer_auth(&session.token))
        })?;
        let offset = answer.headers().get(UPLOAD_OFFSET).and_then(|value| value.to_str().ok());
        Ok(offset.and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    /// Sends a blob without its first `from` bytes, which the platform has.
    fn send(&self, made: &Made, from: u64) -> Result<Digest, Refusal> {
        #[derive(Deserialize)]
        struct Stored {
            digest: Digest,
        }
        let url = self.blob_url(&made.digest);
        let range = match made.size {
            0 => "bytes */0".to_owned(),
            size => format!("bytes {from}-{}/{size}", size - 1),
        };
        let put = |session: &SignIn, _| {
            let body =
                made.reader(from).map_err(|e| Refusal::plainly(TransportError::on_the_car(e)))?;
            let body = Body::sized(Slow::new(body, session.bytes_per_s), made.size - from);
            let request = self.net.http.put(&url).timeout(TRANSFER).bearer_auth(&session.token);
            let request = request.header("content-type", "application/octet-stream");
            call(request.header("content-range", &range).body(body))
        };
        let (answer, _) = self.refused_with_session(put)?;
        Ok(json::<Stored>(answer).map_err(Refusal::plainly)?.digest)
    }
}

impl Transport for Road {
    fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<HeartbeatReply, TransportError> {
        let url = self.net.url("/v1/vehicles/heartbeat");
        let (answer, _) = self.with_session(|session, sequence| {
            let request = self.net.http.post(&url).bearer_auth(&session.token);
            call(request.header(SEQUENCE, sequence).json(heartbeat))
        })?;
        json(answer)
    }

    fn fetch_blob(&self, digest: &Digest) -> Result<Vec<u8>, TransportError> {
        let mut bytes = Vec::new();
        self.fetch_blob_from(digest, 0, &mut bytes)?;
        Ok(bytes)
    }

    fn store_blob(&self, bytes: &[u8]) -> Result<Digest, TransportError> {
        self.store_made(&Made::of(bytes.to_vec(), Arc::default()))
    }

    fn fetch_blob_from(
        &self,
        digest: &Digest,
        from: u64,
        into: &mut dyn Write,
    ) -> Result<(), TransportError> {
        let url = self.blob_url(digest);
        let (answer, session) = self.with_session(|session, _| {
            let request = self.net.http.get(&url).timeout(PIECE).bearer_auth(&session.token);
            call(match from {
                0 => request,
                from => request.header("range", format!("bytes={from}-")),
            })
        })?;
        // Who does not know ranges sends all of it.
        let skip = if answer.status() == StatusCode::PARTIAL_CONTENT { 0 } else { from };
        let mut answer = Slow::new(answer, session.bytes_per_s);
        copy(answer.by_ref().take(skip), &mut std::io::sink(), MAX_BLOB)?;
        copy(answer, into, MAX_BLOB.saturating_sub(from)).map(drop)
    }

    fn store_made(&self, made: &Made) -> Result<Digest, TransportError> {
        match self.send(made, self.stored(&made.digest)?.min(made.size)) {
            // Another try has been there meanwhile, or what was there is gone.
            Err(refusal) if refusal.wrong_offset => {
                let from = self.stored(&made.digest)?.min(made.size);
                self.send(made, from).map_err(Refusal::plain)
            }
            sent => sent.map_err(Refusal::plain),
        }
    }

    fn aside(&self) -> Option<Arc<dyn Transport>> {
        Some(Arc::new(self.clone()))
    }
}

/// No, and what follows from it.
struct Refusal {
    error: TransportError,
    /// The token is not taken any more.
    signed_out: bool,
    /// The platform has another part of the blob than was thought.
    wrong_offset: bool,
    /// The platform's time, if the car's is wrong: milliseconds of Unix time.
    now_ms: Option<i64>,
}

impl Refusal {
    fn plainly(error: TransportError) -> Self {
        Self { error, signed_out: false, wrong_offset: false, now_ms: None }
    }

    fn plain(self) -> TransportError {
        self.error
    }
}

fn unreachable(why: impl ToString) -> TransportError {
    TransportError::Unreachable(why.to_string())
}

fn call(request: RequestBuilder) -> Result<Response, Refusal> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Problem {
        code: String,
        detail: String,
        now_ms: Option<i64>,
    }
    let response = request.send().map_err(|error| Refusal::plainly(unreachable(chain(&error))))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let mut text = Vec::new();
    let read = response.take(MAX_ANSWER).read_to_end(&mut text);
    let problem: Problem =
        read.ok().and_then(|_| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let why = format!("{} {}: {}", status.as_u16(), problem.code, problem.detail);
    let later = status.is_server_error()
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    let error = if later { TransportError::Unreachable(why) } else { TransportError::Refused(why) };
    let signed_out =
        matches!(problem.code.as_str(), "token_expired" | "token_invalid" | "stale_heartbeat");
    let wrong_offset = problem.code == "wrong_offset";
    Err(Refusal { error, signed_out, wrong_offset, now_ms: problem.now_ms })
}

fn json<T: serde::de::DeserializeOwned>(answer: Response) -> Result<T, TransportError> {
    let mut text = Vec::new();
    answer.take(MAX_ANSWER).read_to_end(&mut text).map_err(unreachable)?;
    serde_json::from_slice(&text).map_err(unreachable)
}

/// An error with its causes: reqwest's own text lacks them.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    text
}

/// Seconds of Unix time, as the car has it.
fn unix_s() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
