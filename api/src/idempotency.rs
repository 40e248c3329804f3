//! Work done once, however often it is asked for.
//!
//! The key's row is written first and in the transaction of the work, so that the two commit
//! together: of requests side by side with one key, one works and the others wait for its row and
//! replay its answer. A refusal rolls the row back and leaves the key free.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use diesel::prelude::*;
use serde::Serialize;
use serde_json::Value;
use store::schema::idempotency;
use store::{PartyId, Store, Tx};

use crate::fingerprint::Fingerprint;
use crate::problem::{Code, Problem, Result};

const HEADER: &str = "idempotency-key";
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The `Idempotency-Key` header, and the route it was sent to.
pub struct IdempotencyKey {
    key: String,
    route: String,
}

impl FromRequest for IdempotencyKey {
    type Error = Problem;
    type Future = Ready<Result<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let Some(value) = request.headers().get(HEADER) else {
            return ready(Err(Problem::new(Code::MissingIdempotencyKey)));
        };
        let key = value.to_str().unwrap_or_default();
        let valid = (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
        ready(if valid {
            let route = format!("{} {}", request.method(), request.path());
            Ok(Self { key: key.to_owned(), route })
        } else {
            Err(Problem::new(Code::InvalidIdempotencyKey))
        })
    }
}

impl IdempotencyKey {
    /// Runs `work` in a transaction unless `party` had it done under this key before, and answers
    /// with its result as JSON. `body` is the fingerprint of the request's body.
    pub async fn once<T: Serialize>(
        self,
        store: &Store,
        party: PartyId,
        body: Fingerprint,
        status: StatusCode,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<HttpResponse> {
        let store = store.clone();
        let answer = web::block(move || self.run(&store, party, body, status, work)).await??;
        Ok(answer.response())
    }

    /// As [`Self::once`], with a member that only the first answer has: a secret that is told once
    /// and stored nowhere. A replay lacks it.
    pub async fn once_with_secret<T: Serialize>(
        self,
        store: &Store,
        party: PartyId,
        body: Fingerprint,
        (name, secret): (&'static str, String),
        work: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<HttpResponse> {
        let store = store.clone();
        let status = StatusCode::CREATED;
        let run = web::block(move || self.run(&store, party, body, status, work));
        let mut answer = run.await??;
        if !answer.replayed {
            let mut value: Value = serde_json::from_str(&answer.body).map_err(Problem::internal)?;
            value[name] = secret.into();
            answer.body = value.to_string();
        }
        Ok(answer.response())
    }

    fn run<T: Serialize>(
        self,
        store: &Store,
        party: PartyId,
        body: Fingerprint,
        status: StatusCode,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T>,
    ) -> Result<Answer> {
        let fingerprint = body.stored(&self.route);
        let mut work = Some(work);
        loop {
            let mut lost_race = false;
            let outcome = store.write(|tx| {
                if let Some(answer) = find(tx, party, &self.key, &fingerprint, &body)? {
                    return Ok(Some(answer));
                }
                match reserve(tx, party, &self.key, &fingerprint) {
                    Err(error) if error.is_unique_violation() => {
                        lost_race = true;
                        return Err(Problem::new(Code::Unavailable));
                    }
                    reserved => reserved?,
                }
                let Some(work) = work.take() else { return Ok(None) };
                let body = serde_json::to_string(&work(tx)?).map_err(Problem::internal)?;
                keep(tx, party, &self.key, status, &body)?;
                Ok(Some(Answer { status, body, replayed: false }))
            });
            match outcome {
                // Another request with this key has just committed: its answer is there now.
                Err(_) if lost_race => {}
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => return Err(Problem::internal("work was taken twice")),
                Err(problem) => return Err(problem),
            }
        }
    }
}

struct Answer {
    status: StatusCode,
    body: String,
    replayed: bool,
}

impl Answer {
    fn response(self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if self.replayed {
            response.insert_header((REPLAYED, HeaderValue::from_static("true")));
        }
        response.content_type("application/json").body(self.body)
    }
}

fn find(
    tx: &mut Tx<'_>,
    party: PartyId,
    key: &str,
    fingerprint: &[u8],
    asked: &Fingerprint,
) -> Result<Option<Answer>> {
    let row: Option<(Vec<u8>, i32, String)> = idempotency::table
        .filter(idempotency::party_id.eq(party).and(idempotency::key.eq(key)))
        .select((idempotency::fingerprint, idempotency::status, idempotency::body))
        .first(tx.conn)
        .optional()?;
    let Some((earlier, status, body)) = row else { return Ok(None) };
    if !Fingerprint::is(fingerprint, &earlier) {
        let reused = Problem::new(Code::IdempotencyKeyReused);
        let differs = asked.differs(&earlier);
        return Err(
            differs.fold(reused, |problem, at| problem.at(at, "not as in the first request"))
        );
    }
    let status = u16::try_from(status).ok().and_then(|s| StatusCode::from_u16(s).ok());
    let status = status.ok_or_else(|| Problem::internal("an answer without a status"))?;
    Ok(Some(Answer { status, body, replayed: true }))
}

fn reserve(tx: &mut Tx<'_>, party: PartyId, key: &str, fingerprint: &[u8]) -> store::Result<()> {
    diesel::insert_into(idempotency::table)
        .values((
            idempotency::party_id.eq(party),
            idempotency::key.eq(key),
            idempotency::fingerprint.eq(fingerprint),
            idempotency::status.eq(0),
            idempotency::body.eq(""),
            idempotency::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(())
}

fn keep(
    tx: &mut Tx<'_>,
    party: PartyId,
    key: &str,
    status: StatusCode,
    body: &str,
) -> store::Result<()> {
    let row = idempotency::party_id.eq(party).and(idempotency::key.eq(key));
    diesel::update(idempotency::table.filter(row))
        .set((idempotency::status.eq(i32::from(status.as_u16())), idempotency::body.eq(body)))
        .execute(tx.conn)?;
    Ok(())
}
