//! Jobs: a program, its inputs, and a bid with a budget.

mod act;
mod archive;
mod assurance;
mod bid;
mod model;
mod program;
mod results;
mod stages;

use ::store::{JobId, LeaseId};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, web};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::auth::Customer;
use crate::body::Body;
use crate::fingerprint::Fingerprint;
use crate::idempotency::IdempotencyKey;
use crate::pagination::{Page, PageQuery};
use crate::problem::{ProblemBody, Result};
pub(crate) use bid::{CellOutcome, explain, set_by};
pub use model::{Job, Lease, NewBid, NewJob, Task};

pub fn configure(routes: &mut ServiceConfig<'_>) {
    routes.service(submit).service(list).service(show).service(tasks).service(leases);
    routes.service(cancel).service(bid::show).service(bid::change);
    routes.service(act::pause).service(act::resume).service(act::clone);
    routes.service(results::results).service(results::attempts).service(archive::archive);
}

/// Submit a job
///
/// The whole budget is held on your wallet; what is not spent comes back when the job ends.
#[utoipa::path(operation_id = "submit_job", tag = "jobs",
    security(("bearer" = [])), request_body = NewJob,
    params(("Idempotency-Key" = String, Header, description = "A new random key for new work.")),
    responses(
        (status = 201, description = "The job.", body = Job),
        (status = 403, description = "`banned`: the program, or your account.", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 422, description = "A field is not valid, a blob is missing or the budget is \
            above the wallet; nothing was stored or held.", body = ProblemBody,
            content_type = "application/problem+json"),
    ))]
#[post("/v1/jobs")]
async fn submit(
    app: App,
    customer: Customer,
    key: IdempotencyKey,
    body: Body<NewJob>,
) -> Result<HttpResponse> {
    let party = customer.party;
    let Body { value, fingerprint } = body;
    let mut new = value.into_domain()?;
    program::check(&app, party, &mut new).await?;
    key.once(&app.store, party, fingerprint, StatusCode::CREATED, move |tx| {
        let id = scheduler::job::submit_with(tx, party, &new.job, &new.extras)?;
        Ok(Job::from(scheduler::job::load(tx, party, id)?))
    })
    .await
}

/// List your jobs
#[utoipa::path(operation_id = "list_jobs", tag = "jobs",
    security(("bearer" = [])), params(PageQuery), responses(
    (status = 200, description = "A page of jobs.", body = Page<Job>),
))]
#[get("/v1/jobs")]
async fn list(app: App, customer: Customer, query: web::Query<PageQuery>) -> Result<HttpResponse> {
    let page = query.of::<JobId>()?;
    let party = customer.party;
    let jobs =
        app.read(move |tx| Ok(scheduler::job::list(tx, party, page.after, page.rows())?)).await?;
    let jobs: Vec<Job> = jobs.into_iter().map(Job::from).collect();
    Ok(HttpResponse::Ok().json(page.page(jobs, |job| job.id)))
}

/// Show a job
#[utoipa::path(operation_id = "show_job", tag = "jobs", security(("bearer" = [])),
    params(("id" = String, Path, description = "The job.")),
    responses((status = 200, description = "The job.", body = Job)))]
#[get("/v1/jobs/{id}")]
async fn show(app: App, customer: Customer, id: web::Path<JobId>) -> Result<HttpResponse> {
    let party = customer.party;
    let job = app.read(move |tx| Ok(scheduler::job::load(tx, party, *id)?)).await?;
    Ok(HttpResponse::Ok().json(Job::from(job)))
}

/// List a job's tasks
///
/// By number. A completed task names its output: get it at `/v1/blobs/{digest}`. Tasks of arrays and
/// of stages appear as they are made.
#[utoipa::path(operation_id = "list_job_tasks", tag = "jobs", security(("bearer" = [])),
    params(("id" = String, Path, description = "The job."), PageQuery),
    responses((status = 200, description = "A page of tasks.", body = Page<Task>)))]
#[get("/v1/jobs/{id}/tasks")]
async fn tasks(
    app: App,
    customer: Customer,
    id: web::Path<JobId>,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse> {
    let page = query.of::<i32>()?;
    let party = customer.party;
    let tasks = app
        .read(move |tx| Ok(scheduler::job::tasks(tx, party, *id, page.after, page.rows())?))
        .await?;
    let tasks: Vec<Task> = tasks.into_iter().map(Task::from).collect();
    Ok(HttpResponse::Ok().json(page.page(tasks, |task| task.number)))
}

/// List a job's leases
///
/// Which cars worked for it, for how long, at what price.
#[utoipa::path(operation_id = "list_job_leases", tag = "jobs", security(("bearer" = [])),
    params(("id" = String, Path, description = "The job."), PageQuery),
    responses((status = 200, description = "A page of leases.", body = Page<Lease>)))]
#[get("/v1/jobs/{id}/leases")]
async fn leases(
    app: App,
    customer: Customer,
    id: web::Path<JobId>,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse> {
    let page = query.of::<LeaseId>()?;
    let party = customer.party;
    let leases = app
        .read(move |tx| Ok(scheduler::lease::of_job(tx, party, *id, page.after, page.rows())?))
        .await?;
    let leases: Vec<Lease> = leases.into_iter().map(Lease::from).collect();
    Ok(HttpResponse::Ok().json(page.page(leases, |lease| lease.id)))
}

/// Cancel a job
///
/// Queued tasks are cancelled at once. Running ones are told to leave and are billed up to then.
#[utoipa::path(operation_id = "cancel_job", tag = "jobs", security(("bearer" = [])),
    params(
        ("id" = String, Path, description = "The job."),
        ("Idempotency-Key" = String, Header, description = "A new random key for new work."),
    ),
    responses(
        (status = 200, description = "The job.", body = Job),
        (status = 409, description = "`wrong_state`: it has ended.", body = ProblemBody,
            content_type = "application/problem+json"),
    ))]
#[post("/v1/jobs/{id}/cancel")]
async fn cancel(
    app: App,
    customer: Customer,
    key: IdempotencyKey,
    id: web::Path<JobId>,
) -> Result<HttpResponse> {
    let party = customer.party;
    key.once(&app.store, party, Fingerprint::none(), StatusCode::OK, move |tx| {
        scheduler::job::cancel(tx, party, *id)?;
        Ok(Job::from(scheduler::job::load(tx, party, *id)?))
    })
    .await
}
