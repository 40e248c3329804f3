//! A car's way to the platform: its own token for heartbeats. Blobs go by the account of a carrier
//! that was given programs and inputs before.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::blocking::{Client, RequestBuilder, Response};
use vehicle::protocol::{Digest, Heartbeat, HeartbeatReply};
use vehicle::{Transport, TransportError};

/// What the cars share.
pub struct Wire {
    http: Client,
    server: String,
    carrier: String,
}

/// One car's.
pub struct Car<'a> {
    pub wire: &'a Wire,
    pub token: &'a str,
}

impl Wire {
    pub fn new(server: String, carrier: String) -> reqwest::Result<Self> {
        let http = Client::builder().timeout(Duration::from_secs(2)).build()?;
        Ok(Self { http, server, carrier })
    }
}

impl Transport for Car<'_> {
    fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<HeartbeatReply, TransportError> {
        let url = format!("{}/v1/vehicles/heartbeat", self.wire.server);
        let request = self.wire.http.post(url).bearer_auth(self.token).json(heartbeat);
        answer(request)?.json().map_err(unreachable)
    }

    fn fetch_blob(&self, digest: &Digest) -> Result<Vec<u8>, TransportError> {
        let url = format!("{}/v1/blobs/{}", self.wire.server, digest.0);
        let request = self.wire.http.get(url).bearer_auth(&self.wire.carrier);
        Ok(answer(request)?.bytes().map_err(unreachable)?.to_vec())
    }

    fn store_blob(&self, bytes: &[u8]) -> Result<Digest, TransportError> {
        let digest = Digest::of(bytes);
        let url = format!("{}/v1/blobs/{}", self.wire.server, digest.0);
        let request = self.wire.http.put(url).bearer_auth(&self.wire.carrier);
        let request = request.header("Content-Type", "application/octet-stream");
        answer(request.body(bytes.to_vec()))?;
        Ok(digest)
    }
}

/// What the server refused is told on stderr: no car of this fleet asks for what it may not.
fn answer(request: RequestBuilder) -> Result<Response, TransportError> {
    let response = request.send().map_err(unreachable)?;
    let (status, url) = (response.status(), response.url().path().to_owned());
    if status.is_success() {
        return Ok(response);
    }
    let text = response.text().unwrap_or_default();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        return Err(TransportError::Unreachable(text));
    }
    eprintln!("{url}: {status}: {text}");
    match status.is_server_error() || status == StatusCode::CONFLICT {
        true => Err(TransportError::Unreachable(text)),
        false => Err(TransportError::Refused(text)),
    }
}

fn unreachable(error: reqwest::Error) -> TransportError {
    TransportError::Unreachable(error.to_string())
}
