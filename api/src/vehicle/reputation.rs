//! What a car's past says of it, and results that others did not agree with.

use actix_web::{HttpResponse, get, web};
use scheduler::assurance;
use serde::Serialize;
use store::{AttemptId, JobId, PartyId, Timestamp, VehicleId};
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::{Operator, Owner};
use crate::pagination::{Page, PageQuery};
use crate::problem::Result;

/// What is known of a car. Counts fade: about the last hundred events count.
#[derive(Serialize, ToSchema)]
pub struct Reputation {
    /// The chance that its next result is right, parts per million; half of it without a record.
    reliability_ppm: i32,
    /// Thousandths of events: results that others confirmed, results that others did not agree
    /// with, attempts that the car failed, and that it fell silent in.
    right_milli: i64,
    dissent_milli: i64,
    failed_milli: i64,
    lost_milli: i64,
    /// It takes no work until then.
    #[schema(value_type = Option<String>, format = "date-time")]
    resting_until: Option<Timestamp>,
    /// `failed_often` or `wrong_results`: why it rests.
    resting_because: Option<&'static str>,
    /// Its last 100 wrong results.
    dissents: Vec<Dissent>,
}

/// A result that other owners' cars did not agree with: it is not paid.
#[derive(Serialize, ToSchema)]
pub struct Dissent {
    #[schema(value_type = String)]
    attempt: AttemptId,
    #[schema(value_type = String)]
    vehicle: VehicleId,
    #[schema(value_type = String)]
    job: JobId,
    /// SHA-256 of what the car stored, and of what the others did; `failed:CODE` for a program that
    /// failed.
    got: String,
    expected: Option<String>,
    /// How many others.
    agreeing: Option<i32>,
    #[schema(value_type = Option<String>, format = "date-time")]
    decided_at: Option<Timestamp>,
}

impl From<assurance::Dissent> for Dissent {
    fn from(row: assurance::Dissent) -> Self {
        Self {
            attempt: row.attempt,
            vehicle: row.vehicle,
            job: row.job,
            got: row.got,
            expected: row.expected,
            agreeing: row.agreeing,
            decided_at: row.decided_at,
        }
    }
}

/// Most dissents of one car that are shown.
const MAX_DISSENTS: i64 = 100;

/// Show a car's record
///
/// How its results were judged, whether it rests, and until when.
#[utoipa::path(operation_id = "show_reputation", tag = "vehicles", security(("bearer" = [])),
    params(("id" = String, Path, description = "The car.")),
    responses((status = 200, description = "Its record.", body = Reputation)))]
#[get("/v1/vehicles/{id}/reputation")]
pub async fn show_reputation(
    app: App,
    owner: Owner,
    id: web::Path<VehicleId>,
) -> Result<HttpResponse> {
    let party: PartyId = owner.party;
    let shown = app
        .read(move |tx| {
            let known = assurance::reputation_of(tx, party, *id)?;
            let rests = known.rests_at(tx.now);
            let dissents = assurance::dissents_of(tx, party, *id, MAX_DISSENTS)?;
            Ok(Reputation {
                reliability_ppm: known.reliability_ppm(),
                right_milli: known.right,
                dissent_milli: known.dissent,
                failed_milli: known.failed,
                lost_milli: known.lost,
                resting_until: known.resting_until.filter(|_| rests),
                resting_because: known.rest_reason.filter(|_| rests),
                dissents: dissents.into_iter().map(Dissent::from).collect(),
            })
        })
        .await?;
    Ok(HttpResponse::Ok().json(shown))
}

/// List wrong results
///
/// Those of all cars, by the attempts' ids.
#[utoipa::path(operation_id = "list_dissents", tag = "operator", security(("bearer" = [])),
    params(PageQuery), responses(
    (status = 200, description = "A page of results that others did not agree with.",
        body = Page<Dissent>)))]
#[get("/v1/dissents")]
pub async fn list_dissents(
    app: App,
    _operator: Operator,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse> {
    let page = query.of::<AttemptId>()?;
    let rows = app.read(move |tx| Ok(assurance::dissents(tx, page.after, page.rows())?)).await?;
    let rows: Vec<Dissent> = rows.into_iter().map(Dissent::from).collect();
    Ok(HttpResponse::Ok().json(page.page(rows, |row| row.attempt)))
}
