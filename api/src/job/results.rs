//! What came out of a job so far, and how each task got there.

use actix_web::{HttpResponse, get, web};
use scheduler::job::{AttemptView, ResultView};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{JobId, Timestamp};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::auth::Customer;
use crate::problem::{Code, Problem, Result};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ResultsQuery {
    /// Results after this one: `after` of the answer before.
    #[param(minimum = 0, default = 0)]
    after: Option<i32>,
    /// Rows, 1 to 1000; 100 if not named.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<i64>,
}

/// Results in order of completion. No result ever comes before one that was told.
#[derive(Serialize, ToSchema)]
pub struct Results {
    data: Vec<TaskResult>,
    /// What to ask after next, now or when more has completed.
    after: i32,
    has_more: bool,
}

#[derive(Serialize, ToSchema)]
pub struct TaskResult {
    /// From 1, in order of completion.
    order: i32,
    /// The task's number.
    task: i32,
    /// SHA-256 of the output: get it at `/v1/blobs/{digest}`.
    digest: String,
    /// Bytes.
    size: i64,
}

impl From<ResultView> for TaskResult {
    fn from(row: ResultView) -> Self {
        Self {
            order: row.done.unwrap_or_default(),
            task: row.number,
            digest: row.digest.unwrap_or_default(),
            size: row.size,
        }
    }
}

/// Read a job's results as they come
///
/// Ask again after the last one, as often as you like: what completed meanwhile comes next.
#[utoipa::path(operation_id = "list_job_results", tag = "jobs", security(("bearer" = [])),
    params(("id" = String, Path, description = "The job."), ResultsQuery),
    responses((status = 200, description = "Results.", body = Results)))]
#[get("/v1/jobs/{id}/results")]
pub async fn results(
    app: App,
    customer: Customer,
    id: web::Path<JobId>,
    query: web::Query<ResultsQuery>,
) -> Result<HttpResponse> {
    let limit = query.limit.unwrap_or(100);
    let after = query.after.unwrap_or(0);
    if !(1..=1_000).contains(&limit) || after < 0 {
        return Err(Problem::new(Code::InvalidQuery).detail("`limit` is 1 to 1000, `after` 0 on"));
    }
    let party = customer.party;
    let mut rows = app
        .read(move |tx| Ok(scheduler::job::results(tx, party, *id, Some(after), limit + 1)?))
        .await?;
    let most = usize::try_from(limit).unwrap_or_default();
    let has_more = rows.len() > most;
    rows.truncate(most);
    let data: Vec<TaskResult> = rows.into_iter().map(TaskResult::from).collect();
    let after = data.last().map_or(after, |last| last.order);
    Ok(HttpResponse::Ok().json(Results { data, after, has_more }))
}

/// One run of a task in one car.
#[derive(Serialize, ToSchema)]
pub struct TaskAttempt {
    id: String,
    vehicle: String,
    /// `running`, `completed`, `checkpointed`, `vacated`, `failed_program`, `failed_car`,
    /// `cancelled` or `lost`.
    state: &'static str,
    /// `pending`, `paid` or `unpaid`.
    verdict: &'static str,
    /// Why it failed or is not paid; empty if there is nothing to say.
    reason: String,
    #[schema(value_type = String, format = "date-time")]
    started_at: Timestamp,
    #[schema(value_type = Option<String>, format = "date-time")]
    ended_at: Option<Timestamp>,
    /// Microseconds that you pay for, if it is paid.
    billed_us: i64,
    /// What the car said of it, once it has ended; never a ground for money.
    report: Option<Report>,
}

#[derive(Serialize, ToSchema)]
pub struct Report {
    fuel: i64,
    /// Microseconds of CPU.
    cpu_us: i64,
    peak_memory_bytes: i64,
    /// The end of the program's log.
    log: String,
    /// The program's own numbers by name.
    #[schema(value_type = std::collections::BTreeMap<String, f64>)]
    metrics: Value,
}

impl From<AttemptView> for TaskAttempt {
    fn from(view: AttemptView) -> Self {
        let report = |(fuel, cpu_us, peak_memory_bytes, log, metrics): (_, _, _, _, String)| {
            let metrics = serde_json::from_str(&metrics).unwrap_or_else(|_| serde_json::json!({}));
            Report { fuel, cpu_us, peak_memory_bytes, log, metrics }
        };
        Self {
            id: view.id.to_string(),
            vehicle: view.vehicle.to_string(),
            state: view.state.as_str(),
            verdict: view.verdict.as_str(),
            reason: view.reason,
            started_at: view.started_at,
            ended_at: view.ended_at,
            billed_us: view.billable_us,
            report: view.report.map(report),
        }
    }
}

/// List the attempts of a task
///
/// The last hundred, oldest first: where it ran, how that ended, what it cost, the end of its log.
#[utoipa::path(operation_id = "list_task_attempts", tag = "jobs", security(("bearer" = [])),
    params(
        ("id" = String, Path, description = "The job."),
        ("number" = i32, Path, description = "The task's number."),
    ),
    responses((status = 200, description = "Attempts.", body = Vec<TaskAttempt>)))]
#[get("/v1/jobs/{id}/tasks/{number}/attempts")]
pub async fn attempts(
    app: App,
    customer: Customer,
    path: web::Path<(JobId, i32)>,
) -> Result<HttpResponse> {
    let (id, number) = path.into_inner();
    let party = customer.party;
    let rows = app.read(move |tx| Ok(scheduler::job::attempts(tx, party, id, number)?)).await?;
    let rows: Vec<TaskAttempt> = rows.into_iter().map(TaskAttempt::from).collect();
    Ok(HttpResponse::Ok().json(rows))
}
