//! What an operator may do to a market: halt a region, and set the fee to come.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, delete, get, post, put, web};
use garde::Validate;
use scheduler::market::{FeeRate, Halt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{PartyId, Timestamp, Tx};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::approval::{self, Approval, Proposal};
use crate::audit;
use crate::auth::{AnyUser, Operator};
use crate::body::Body;
use crate::idempotency::IdempotencyKey;
use crate::problem::Result;

pub fn configure(routes: &mut ServiceConfig<'_>) {
    routes
        .service(list_halts)
        .service(halt_region)
        .service(lift_halt)
        .service(list_fees)
        .service(set_fee);
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct HaltReason {
    /// For everybody to read.
    #[garde(length(chars, min = 1, max = 500))]
    #[schema(min_length = 1, max_length = 500, example = "prices of us-ca are being looked at")]
    reason: String,
}

/// A halt: who, when, why, and until when.
#[derive(Serialize, ToSchema)]
struct HaltRow {
    region: String,
    reason: String,
    #[schema(value_type = String, format = "date-time")]
    halted_at: Timestamp,
    #[schema(value_type = String)]
    halted_by: PartyId,
    /// None while it is in force.
    #[schema(value_type = Option<String>, format = "date-time")]
    lifted_at: Option<Timestamp>,
    #[schema(value_type = Option<String>)]
    lifted_by: Option<PartyId>,
}

impl From<Halt> for HaltRow {
    fn from(halt: Halt) -> Self {
        let Halt { region, halted_at, halted_by, reason, lifted_at, lifted_by } = halt;
        Self { region, reason, halted_at, halted_by, lifted_at, lifted_by }
    }
}

/// Most halts of one answer.
const MAX_HALTS: i64 = 100;

/// List halts
///
/// The last 100, the latest first.
#[utoipa::path(operation_id = "list_halts", tag = "operator", security(("bearer" = [])),
    params(("id" = String, Path, description = "The market.")),
    responses((status = 200, description = "Halts.", body = Vec<HaltRow>)))]
#[get("/v1/markets/{id}/halts")]
async fn list_halts(app: App, _operator: Operator, id: web::Path<String>) -> Result<HttpResponse> {
    let rows = app.read(move |tx| Ok(scheduler::market::halts(tx, &id, MAX_HALTS)?)).await?;
    Ok(HttpResponse::Ok().json(rows.into_iter().map(HaltRow::from).collect::<Vec<_>>()))
}

/// Halt a region
///
/// Its cars take no new leases, those that run go on. Halted twice it stays as it was halted first.
#[utoipa::path(operation_id = "halt_region", tag = "operator", security(("bearer" = [])),
    request_body = HaltReason,
    params(
        ("id" = String, Path, description = "The market."),
        ("region" = String, Path, description = "A region of it."),
    ),
    responses((status = 200, description = "The halt.", body = HaltRow)))]
#[put("/v1/markets/{id}/regions/{region}/halt")]
async fn halt_region(
    app: App,
    operator: Operator,
    path: web::Path<(String, String)>,
    body: Body<HaltReason>,
) -> Result<HttpResponse> {
    let (by, reason) = (*operator, body.value.reason);
    let (id, region) = path.into_inner();
    let halt = app.write(move |tx| {
        let (halt, new) = scheduler::market::halt(tx, by.party, &id, &region, &reason)?;
        if new {
            let after = json!({ "halted": true });
            audit::record(tx, by.actor(), "region.halted", &region, Value::Null, after)?;
        }
        Ok(HaltRow::from(halt))
    });
    Ok(HttpResponse::Ok().json(halt.await?))
}

/// Lift a halt
///
/// What is not halted stays so.
#[utoipa::path(operation_id = "lift_halt", tag = "operator", security(("bearer" = [])),
    params(
        ("id" = String, Path, description = "The market."),
        ("region" = String, Path, description = "A region of it."),
    ),
    responses((status = 204, description = "It is open.")))]
#[delete("/v1/markets/{id}/regions/{region}/halt")]
async fn lift_halt(
    app: App,
    operator: Operator,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse> {
    let by = *operator;
    let (id, region) = path.into_inner();
    let lift = move |tx: &mut Tx<'_>| {
        let halts = scheduler::market::halts(tx, &id, MAX_HALTS)?;
        let halted = halts.iter().any(|halt| halt.region == region && halt.lifted_at.is_none());
        scheduler::market::lift_halt(tx, by.party, &id, &region)?;
        if halted {
            let before = json!({ "halted": true });
            audit::record(tx, by.actor(), "region.halt_lifted", &region, before, Value::Null)?;
        }
        Ok(())
    };
    app.write(lift).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A rate, in force from a moment until the next.
#[derive(Serialize, ToSchema)]
struct Fee {
    #[schema(value_type = String, format = "date-time")]
    from: Timestamp,
    /// Parts per million of what the customer pays.
    fee_ppm: i32,
    /// Bonus on earnings taken in credits, parts per million.
    credit_bonus_ppm: i32,
}

impl From<FeeRate> for Fee {
    fn from(rate: FeeRate) -> Self {
        Self { from: rate.from_at, fee_ppm: rate.fee_ppm, credit_bonus_ppm: rate.bonus_ppm }
    }
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewFee {
    /// In the future.
    #[garde(skip)]
    #[schema(value_type = String, format = "date-time")]
    from: Timestamp,
    #[garde(skip)]
    #[schema(minimum = 0, maximum = 500_000)]
    fee_ppm: i32,
    #[garde(skip)]
    #[schema(minimum = 0, maximum = 1_000_000)]
    credit_bonus_ppm: i32,
}

/// List the fees
///
/// Those that were, the one in force, and those to come. A lease keeps the rate of the tick that
/// made it.
#[utoipa::path(operation_id = "list_fees", tag = "market", security(("bearer" = [])),
    params(("id" = String, Path, description = "The market.")),
    responses((status = 200, description = "Rates, oldest first.", body = Vec<Fee>)))]
#[get("/v1/markets/{id}/fees")]
async fn list_fees(app: App, _user: AnyUser, id: web::Path<String>) -> Result<HttpResponse> {
    let rates = app.read(move |tx| Ok(scheduler::market::fees(tx, &id)?)).await?;
    Ok(HttpResponse::Ok().json(rates.into_iter().map(Fee::from).collect::<Vec<_>>()))
}

/// Propose a fee from a coming moment on
///
/// Another operator approves it at `/v1/approvals/{id}/approve`.
#[utoipa::path(operation_id = "set_fee", tag = "operator", security(("bearer" = [])),
    request_body = NewFee,
    params(
        ("id" = String, Path, description = "The market."),
        ("Idempotency-Key" = String, Header, description = "A new random key for new work."),
    ),
    responses((status = 202, description = "It waits for another operator.", body = Approval)))]
#[post("/v1/markets/{id}/fees")]
async fn set_fee(
    app: App,
    operator: Operator,
    key: IdempotencyKey,
    id: web::Path<String>,
    body: Body<NewFee>,
) -> Result<HttpResponse> {
    let who = operator.0;
    let Body { value: NewFee { from, fee_ppm, credit_bonus_ppm }, fingerprint } = body;
    key.once(&app.store, who.party, fingerprint, StatusCode::ACCEPTED, move |tx| {
        let market = id.into_inner();
        let fee = approval::Fee { market, from, fee_ppm, credit_bonus_ppm };
        approval::propose(tx, who, &Proposal::Fee(fee), "a new fee")
    })
    .await
}
