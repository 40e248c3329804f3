//! A job is paused, goes on, is asked for again.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, post, web};
use garde::Validate;
use scheduler::Pause;
use scheduler::job::CloneChange;
use serde::{Deserialize, Serialize};
use store::JobId;
use utoipa::ToSchema;

use super::model::Job;
use crate::app::App;
use crate::auth::Customer;
use crate::blobs::parse_digest;
use crate::body::Body;
use crate::fingerprint::Fingerprint;
use crate::idempotency::IdempotencyKey;
use crate::money::Money;
use crate::problem::{Code, Problem, ProblemBody, Result};

#[derive(Deserialize, Serialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseJob {
    /// What becomes of running tasks: `finish`, they run to their end, or `vacate`, their cars leave
    /// at their next poll; you pay for them up to then, and they go on later from what they saved.
    #[garde(skip)]
    #[schema(value_type = String, example = "finish", pattern = "^(finish|vacate)$")]
    running: Pause,
}

/// Pause a job
///
/// It takes no new cars and no new tasks. Budget and deadline stay as they are.
#[utoipa::path(operation_id = "pause_job", tag = "jobs", security(("bearer" = [])),
    request_body = PauseJob,
    params(
        ("id" = String, Path, description = "The job."),
        ("Idempotency-Key" = String, Header, description = "A new random key for new work."),
    ),
    responses(
        (status = 200, description = "The job.", body = Job),
        (status = 409, description = "`wrong_state`: it has ended.", body = ProblemBody,
            content_type = "application/problem+json"),
    ))]
#[post("/v1/jobs/{id}/pause")]
pub async fn pause(
    app: App,
    customer: Customer,
    key: IdempotencyKey,
    id: web::Path<JobId>,
    body: Body<PauseJob>,
) -> Result<HttpResponse> {
    let party = customer.party;
    let Body { value, fingerprint } = body;
    key.once(&app.store, party, fingerprint, StatusCode::OK, move |tx| {
        scheduler::job::pause(tx, party, *id, value.running)?;
        Ok(Job::from(scheduler::job::load(tx, party, *id)?))
    })
    .await
}

/// Let a paused job go on
#[utoipa::path(operation_id = "resume_job", tag = "jobs", security(("bearer" = [])),
    params(
        ("id" = String, Path, description = "The job."),
        ("Idempotency-Key" = String, Header, description = "A new random key for new work."),
    ),
    responses(
        (status = 200, description = "The job.", body = Job),
        (status = 409, description = "`wrong_state`: it has ended.", body = ProblemBody,
            content_type = "application/problem+json"),
    ))]
#[post("/v1/jobs/{id}/resume")]
pub async fn resume(
    app: App,
    customer: Customer,
    key: IdempotencyKey,
    id: web::Path<JobId>,
) -> Result<HttpResponse> {
    let party = customer.party;
    key.once(&app.store, party, Fingerprint::none(), StatusCode::OK, move |tx| {
        scheduler::job::resume(tx, party, *id)?;
        Ok(Job::from(scheduler::job::load(tx, party, *id)?))
    })
    .await
}

/// What is not named is as in the job.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloneJob {
    #[garde(length(chars, min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    #[garde(dive)]
    budget: Option<Money>,
    /// SHA-256 of each task's input, of a job that has neither an array nor stages.
    #[garde(inner(length(min = 1)))]
    inputs: Option<Vec<String>>,
}

/// Submit a job again
///
/// The same program, inputs and bid, but deadline and time in force: they were moments.
#[utoipa::path(operation_id = "clone_job", tag = "jobs", security(("bearer" = [])),
    request_body = CloneJob,
    params(
        ("id" = String, Path, description = "The job."),
        ("Idempotency-Key" = String, Header, description = "A new random key for new work."),
    ),
    responses(
        (status = 201, description = "The new job.", body = Job),
        (status = 403, description = "`banned`: the program, or your account.", body = ProblemBody,
            content_type = "application/problem+json"),
    ))]
#[post("/v1/jobs/{id}/clone")]
pub async fn clone(
    app: App,
    customer: Customer,
    key: IdempotencyKey,
    id: web::Path<JobId>,
    body: Body<CloneJob>,
) -> Result<HttpResponse> {
    let party = customer.party;
    let Body { value: CloneJob { name, budget, inputs }, fingerprint } = body;
    for (n, input) in inputs.iter().flatten().enumerate() {
        if parse_digest(input).is_none() {
            let why = "a SHA-256 in 64 lower-case hexadecimal digits";
            return Err(Problem::new(Code::InvalidBody).at(format!("/inputs/{n}"), why));
        }
    }
    key.once(&app.store, party, fingerprint, StatusCode::CREATED, move |tx| {
        let asset = scheduler::job::load(tx, party, *id)?.asset;
        if budget.as_ref().is_some_and(|budget| budget.currency != asset) {
            let why = format!("the market settles in {asset}");
            return Err(Problem::new(Code::InvalidBody).at("/budget/currency", why));
        }
        let change = CloneChange { name, budget: budget.map(|budget| budget.amount), inputs };
        let (new, extras) = scheduler::job::clone_of(tx, party, *id, &change)?;
        let new = scheduler::job::submit_with(tx, party, &new, &extras)?;
        Ok(Job::from(scheduler::job::load(tx, party, new)?))
    })
    .await
}
