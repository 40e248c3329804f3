//! JSON bodies: bounded, typed, validated, and with a fingerprint for idempotency.

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use garde::Validate;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::fingerprint::{Fingerprint, escape};
use crate::problem::{Code, Problem, Result};

/// The most bytes a JSON body may have.
pub const MAX_JSON: usize = 1 << 20;

/// A body that was read and found valid.
pub struct Body<T> {
    pub value: T,
    /// What the body says, whatever its spaces and the order of its members.
    pub fingerprint: Fingerprint,
}

impl<T> FromRequest for Body<T>
where
    T: DeserializeOwned + Validate<Context = ()> + 'static,
{
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let is_json = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
        let payload = payload.take();
        Box::pin(async move {
            if !is_json {
                return Err(Problem::new(Code::UnsupportedMediaType));
            }
            parse(&read(payload).await?)
        })
    }
}

async fn read(mut payload: Payload) -> Result<web::BytesMut> {
    let mut bytes = web::BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(broken)?;
        if bytes.len() + chunk.len() > MAX_JSON {
            return Err(Problem::new(Code::BodyTooLarge));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The client went away or sent what HTTP does not allow.
pub fn broken(error: actix_web::error::PayloadError) -> Problem {
    Problem::new(Code::InvalidJson).detail(format!("The body could not be read: {error}"))
}

fn parse<T: DeserializeOwned + Validate<Context = ()>>(bytes: &[u8]) -> Result<Body<T>> {
    // Members sorted: the canonical form that is fingerprinted.
    let canonical: Value = serde_json::from_slice(bytes)
        .map_err(|error| Problem::new(Code::InvalidJson).detail(error.to_string()))?;
    if let Some(at) = nul(&canonical) {
        return Err(Problem::new(Code::InvalidBody).at(at, "text without the character U+0000"));
    }
    let fingerprint = Fingerprint::of(&canonical);
    // From the text again, not from the value: so a member that stands twice is refused.
    let reader = &mut serde_json::Deserializer::from_slice(bytes);
    let value: T = serde_path_to_error::deserialize(reader).map_err(|error| {
        let text = error.inner().to_string();
        let detail = text.split(" at line ").next().unwrap_or(&text).to_owned();
        Problem::new(Code::InvalidBody).at(pointer(error.path()), detail)
    })?;
    value.validate().map_err(|report| {
        report.iter().fold(Problem::new(Code::InvalidBody), |problem, (path, error)| {
            let path = path.to_string().replace('[', ".").replace(']', "");
            problem.at(format!("/{}", path.replace('.', "/")), error.message())
        })
    })?;
    Ok(Body { value, fingerprint })
}

/// Where a text holds NUL, which PostgreSQL cannot keep. SQLite can, but the two answer alike.
fn nul(value: &Value) -> Option<String> {
    let inside = |key: &str, inner| nul(inner).map(|rest| format!("/{}{rest}", escape(key)));
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(list) => {
            list.iter().enumerate().find_map(|(n, inner)| inside(&n.to_string(), inner))
        }
        Value::Object(map) => map.iter().find_map(|(key, inner)| inside(key, inner)),
        _ => None,
    }
}

fn pointer(path: &Path) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => text.push_str(&format!("/{index}")),
            Segment::Map { key } => {
                text.push_str(&format!("/{}", escape(key)));
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, Validate, Debug)]
    #[serde(deny_unknown_fields)]
    struct Order {
        #[garde(dive)]
        lines: Vec<Line>,
    }

    #[derive(serde::Deserialize, Validate, Debug)]
    #[serde(deny_unknown_fields)]
    struct Line {
        #[garde(range(min = 1))]
        count: u8,
    }

    fn refusal(text: &str) -> String {
        parse::<Order>(text.as_bytes()).err().unwrap().to_string()
    }

    #[test]
    fn a_refusal_points_at_the_field() {
        for (text, expected) in [
            ("{", "invalid_json"),
            (r#"{"lines":[{"count":1},{"count":-1}]}"#, "(/lines/1/count: "),
            (r#"{"lines":[{"count":0}]}"#, "(/lines/0/count: "),
            (r#"{"lines":[{"count":1,"x":1}]}"#, "unknown field `x`"),
            (r#"{"lines":[],"lines":[]}"#, "duplicate field"),
        ] {
            assert!(refusal(text).contains(expected), "{text}: {}", refusal(text));
        }
    }

    #[test]
    fn the_fingerprint_is_of_the_meaning() {
        let of = |text: &str| parse::<Order>(text.as_bytes()).map(|b| b.fingerprint).unwrap();
        assert_eq!(of(r#"{"lines":[{"count":1}]}"#), of("{ \"lines\": [ {\"count\": 1} ] }"));
        assert_ne!(of(r#"{"lines":[{"count":1}]}"#), of(r#"{"lines":[{"count":2}]}"#));
    }
}
