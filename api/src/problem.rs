//! Refusals on the wire: RFC 9457 problem documents, from one table of codes.
//!
//! A client acts on `code`; the text is for people. What went wrong inside goes to the log, with
//! the request's id, and never into the answer.

use std::fmt;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::{REQUEST_ID, request_id};

pub const CONTENT_TYPE: &str = "application/problem+json";

macro_rules! codes {
    ($($variant:ident $code:literal $status:literal $title:literal $advice:literal;)*) => {
        /// Every way in which a request can be refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($variant),* }

        impl Code {
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The code, the status, what happened, and what to do about it.
            pub const fn row(self) -> (&'static str, u16, &'static str, &'static str) {
                match self { $(Self::$variant => ($code, $status, $title, $advice)),* }
            }
        }
    };
}

codes! {
    InvalidJson "invalid_json" 400 "The body is not JSON" "Send one JSON value in UTF-8.";
    InvalidQuery "invalid_query" 400 "The query is not valid" "Correct the query parameters; `detail` names the one at fault.";
    MissingIdempotencyKey "missing_idempotency_key" 400 "The Idempotency-Key header is missing" "Send a new random key (a UUID) with each new piece of work, and the same key when you retry it.";
    InvalidIdempotencyKey "invalid_idempotency_key" 400 "The Idempotency-Key is not valid" "Use 1 to 255 printable ASCII characters without spaces.";
    TokenMissing "token_missing" 401 "An access token is needed" "Log in at /v1/login and send `Authorization: Bearer TOKEN`.";
    TokenInvalid "token_invalid" 401 "The access token is not valid" "Log in again; send the token exactly as it was given.";
    TokenExpired "token_expired" 401 "The access token has expired" "Log in again.";
    CodeInvalid "code_invalid" 401 "The code is not good" "It is wrong, used, or older than half an hour: ask for a new one.";
    ProofInvalid "proof_invalid" 401 "The proof of the key does not hold" "Sign the code with the private half of the key that is sent.";
    AssertionInvalid "assertion_invalid" 401 "The assertion is not good" "Sign it with the key that the car was enrolled with; see /openapi.json for its claims.";
    AssertionReplayed "assertion_replayed" 401 "The assertion was used before" "Make a new one, with another `jti`, for each sign-in.";
    ClockWrong "clock_wrong" 401 "The car's clock is wrong" "Sign again by `now_ms`, which is the time here.";
    WrongCredentials "wrong_credentials" 401 "Wrong e-mail address or password" "Check both; they are not told apart on purpose.";
    WrongRole "wrong_role" 403 "Your role may not do this" "Use an account of the role that the documentation names.";
    ApprovalNeeded "approval_needed" 403 "It takes another person" "Propose it at /v1/approvals; another person of your role approves it.";
    NotAllowedHere "not_allowed_here" 403 "The law of the place does not allow it" "Where your cars park, credits cannot be changed into money; spend them, or take cash from now on.";
    Banned "banned" 403 "The program or the account is banned" "`detail` says why; write to the operator if you think it is wrong.";
    TestDepositsDisabled "test_deposits_disabled" 403 "Test deposits are switched off" "Use a bank transfer, or start the server with --allow-test-deposits.";
    NotFound "not_found" 404 "There is no such thing" "Check the id; you only see what is yours.";
    NoProof "no_proof" 404 "There is no proof yet" "What is owed is stated and signed from time to time, at least every hour by default: ask again after the next time.";
    UnknownRoute "unknown_route" 404 "There is no such route" "See /openapi.json for the routes.";
    MethodNotAllowed "method_not_allowed" 405 "The route does not take this method" "See the Allow header.";
    RequestTimeout "request_timeout" 408 "The request came too slowly" "Send it again over a faster connection.";
    EmailTaken "email_taken" 409 "The e-mail address has an account" "Log in, or sign up with another address.";
    Conflict "conflict" 409 "It was changed by another request at the same time" "Try again.";
    WrongState "wrong_state" 409 "Its state does not allow this" "Read it again and decide anew.";
    NotReady "not_ready" 409 "Something is to be done first" "`detail` says what.";
    NoAttempt "no_attempt" 409 "The car has no attempt" "Its lease has ended: drop what it made.";
    StaleHeartbeat "stale_heartbeat" 409 "The heartbeat is an old one" "Number the heartbeats of a session upwards in Driveway-Sequence; sign in again if the count was lost.";
    BodyTooLarge "body_too_large" 413 "The body is too large" "A JSON body may have 1 MiB, a blob 64 MiB.";
    RangeNotSatisfiable "range_not_satisfiable" 416 "There are not so many bytes" "Ask for a range that begins before the end.";
    UnsupportedMediaType "unsupported_media_type" 415 "The body's media type is not taken here" "Send `Content-Type: application/json`.";
    InvalidBody "invalid_body" 422 "A field is not valid" "Correct the fields that `errors` points at.";
    CodeWrong "code_wrong" 422 "The code is not good" "It is wrong, used, or too old: ask whoever gave it for a new one.";
    IdempotencyKeyReused "idempotency_key_reused" 422 "This Idempotency-Key was used for another request" "Send a new key with new work; retry only with the same body. `errors` points at what differs.";
    AmountNotPositive "amount_not_positive" 422 "The amount is not above zero" "Name an amount above zero.";
    AmountOutOfRange "amount_out_of_range" 422 "The amount is out of range" "Name a smaller amount.";
    AmountNotInCents "amount_not_in_cents" 422 "The amount is not in whole cents" "Money moves between banks in whole cents.";
    UnknownCurrency "unknown_currency" 422 "The currency is not dealt in here" "Use a currency that the market names, such as USD.";
    InsufficientFunds "insufficient_funds" 422 "The account has not enough available" "Deposit more, or ask for less; `available` in /v1/wallet is what you can use.";
    PeriodClosed "period_closed" 422 "The accounting period is closed" "Post it in an open period.";
    InvalidDigest "invalid_digest" 422 "The digest is not valid" "A digest is SHA-256 in 64 lower-case hexadecimal digits.";
    UnknownBlob "unknown_blob" 422 "The blob is not there" "Store it with PUT /v1/blobs/{digest} first.";
    InvalidProgram "invalid_program" 422 "The program is not a valid module" "Send a WebAssembly module, in binary, that validates.";
    DigestMismatch "digest_mismatch" 422 "The bytes have another digest" "Send the bytes whose SHA-256 is in the path. Nothing was stored.";
    Internal "internal" 500 "Something went wrong on our side" "Try again with the same Idempotency-Key; quote the request id if it goes on.";
    Unavailable "unavailable" 503 "The server is busy" "Try again in a moment with the same Idempotency-Key.";
}

impl Code {
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().1).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// One field at fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer into the request's body.
    #[schema(example = "/amount/currency")]
    pub pointer: String,
    pub detail: String,
}

/// A refusal: what every function of this crate answers instead of what was asked.
#[derive(Clone, Debug)]
pub struct Problem {
    pub code: Code,
    detail: String,
    errors: Vec<FieldError>,
    now_ms: Option<i64>,
    request_id: Option<String>,
}

/// A problem document (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    #[schema(example = "/problems#insufficient_funds")]
    r#type: String,
    title: String,
    #[schema(example = 422)]
    status: u16,
    /// What to act on. The whole list is at `/problems`.
    #[schema(example = "insufficient_funds")]
    code: String,
    detail: String,
    request_id: String,
    /// The fields at fault, if it is about fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// The time here, milliseconds of Unix time, if it is about the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    now_ms: Option<i64>,
}

pub type Result<T> = std::result::Result<T, Problem>;

impl Problem {
    pub fn new(code: Code) -> Self {
        let detail = code.row().3.to_owned();
        Self { code, detail, errors: Vec::new(), now_ms: None, request_id: request_id() }
    }

    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Points at a field of the body.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.errors.push(FieldError { pointer: pointer.into(), detail: detail.into() });
        self
    }

    /// Tells the time here, milliseconds of Unix time.
    #[must_use]
    pub fn now_ms(mut self, now_ms: i64) -> Self {
        self.now_ms = Some(now_ms);
        self
    }

    /// For what makes an answer outside of the request's task.
    #[must_use]
    pub fn for_request(mut self, id: &str) -> Self {
        self.request_id = Some(id.to_owned());
        self
    }

    /// A fault of ours. The cause is logged here and told to nobody.
    pub fn internal(cause: impl fmt::Display) -> Self {
        let problem = Self::new(Code::Internal);
        tracing::error!(request_id = problem.request_id, %cause, "internal error");
        problem
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)?;
        self.errors.iter().try_for_each(|e| write!(f, " ({}: {})", e.pointer, e.detail))
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let (code, status, title, _) = self.code.row();
        // Made on a thread of its own, the problem does not know its request: ask here.
        let request_id = self.request_id.clone().or_else(request_id).unwrap_or_default();
        let id = HeaderValue::from_str(&request_id);
        let mut response = HttpResponse::build(self.status_code()).json(ProblemBody {
            r#type: format!("/problems#{code}"),
            title: title.to_owned(),
            status,
            code: code.to_owned(),
            detail: self.detail.clone(),
            request_id,
            errors: self.errors.clone(),
            now_ms: self.now_ms,
        });
        let headers = response.headers_mut();
        headers
            .insert(actix_web::http::header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        if let Ok(id) = id {
            headers.insert(REQUEST_ID, id);
        }
        if status == 401 {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == 503 {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Pool(cause) => {
                tracing::warn!(cause, "no database connection");
                Self::new(Code::Unavailable)
            }
            conflict if conflict.is_unique_violation() => {
                tracing::warn!(%conflict, "two requests wrote one row");
                Self::new(Code::Conflict)
            }
            other => Self::internal(other),
        }
    }
}

impl From<diesel::result::Error> for Problem {
    fn from(error: diesel::result::Error) -> Self {
        store::Error::from(error).into()
    }
}

impl From<ledger::Error> for Problem {
    fn from(error: ledger::Error) -> Self {
        use ledger::Error as E;
        match error {
            E::Store(error) => error.into(),
            E::NotPositive => Self::new(Code::AmountNotPositive),
            E::Overflow => Self::new(Code::AmountOutOfRange),
            E::UnknownAsset(_) | E::NotRedeemable(_) => Self::new(Code::UnknownCurrency),
            E::HoldEnded(_) => Self::new(Code::WrongState),
            E::UnknownTransaction(_) => Self::new(Code::NotFound),
            E::MonthClosed(_) => Self::new(Code::PeriodClosed).detail(sentence(&error)),
            E::MonthNotOver { .. }
            | E::MonthNotClosed(_)
            | E::SamePerson
            | E::AlreadyReversed(_)
            | E::AlreadyRefunded(_) => Self::new(Code::WrongState).detail(sentence(&error)),
            E::OverRefund { .. } => Self::new(Code::AmountOutOfRange).detail(sentence(&error)),
            E::BadText => Self::new(Code::InvalidBody).at("/reason", "1 to 200 bytes, none zero"),
            E::InsufficientFunds { available, needed, .. } => Self::new(Code::InsufficientFunds)
                .detail(format!("{needed} are needed, {available} are available.")),
            // The rest is about how we call the book, not about what the client asked.
            other => Self::internal(other),
        }
    }
}

/// An error's text as a sentence.
fn sentence(error: &ledger::Error) -> String {
    let text = error.to_string();
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

impl From<scheduler::Error> for Problem {
    fn from(error: scheduler::Error) -> Self {
        use scheduler::Error as E;
        match error {
            E::Store(error) => error.into(),
            E::Ledger(error) => error.into(),
            E::NotFound(noun) => {
                Self::new(Code::NotFound).detail(format!("There is no such {noun}."))
            }
            E::Invalid { pointer, why } => Self::new(Code::InvalidBody).at(pointer, why),
            E::UnknownBlob(digest) => Self::new(Code::UnknownBlob)
                .detail(format!("Store {digest} with PUT /v1/blobs/{digest} first.")),
            E::BudgetAboveWallet { available, needed } => Self::new(Code::InsufficientFunds)
                .detail(format!("The budget is {needed}, the wallet has {available} available."))
                .at("/bid/budget", "above the wallet"),
            E::WrongState(why) => Self::new(Code::WrongState).detail(why),
            E::JobEnded => Self::new(Code::WrongState).detail("The job has ended."),
            E::Banned(reason) => Self::new(Code::Banned).detail(reason),
            E::NotLeader | E::Busy => Self::new(Code::Unavailable),
            other => Self::internal(other),
        }
    }
}

impl From<actix_web::error::BlockingError> for Problem {
    fn from(error: actix_web::error::BlockingError) -> Self {
        Self::internal(error)
    }
}

/// The table of codes, for people.
pub fn table() -> String {
    let mut text =
        String::from("| code | status | what happened | what to do |\n|---|---|---|---|\n");
    for code in Code::ALL {
        let (name, status, title, advice) = code.row();
        text.push_str(&format!("| `{name}` | {status} | {title}. | {advice} |\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_statuses_are_refusals() {
        let names: std::collections::HashSet<_> = Code::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(code.status().is_client_error() || code.status().is_server_error());
        }
    }
}
