//! Bans, by operators.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, delete, get, post, web};
use garde::Validate;
use scheduler::BanKind;
use scheduler::ban::{self, BanRow};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{PartyId, Timestamp, Tx};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::audit::{self, Actor};
use crate::auth::Operator;
use crate::body::Body;
use crate::idempotency::IdempotencyKey;
use crate::problem::{Code, Problem, Result};

pub fn configure(routes: &mut ServiceConfig<'_>) {
    routes.service(impose).service(list).service(lift);
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewBan {
    /// `program` or `customer`.
    #[garde(skip)]
    #[schema(value_type = String, example = "program", pattern = "^(program|customer)$")]
    kind: BanKind,
    /// A program's SHA-256, or a customer's id.
    #[garde(length(max = 100))]
    subject: String,
    /// The customer is told.
    #[garde(length(chars, min = 1, max = 500))]
    #[schema(min_length = 1, max_length = 500, example = "it mines coins")]
    reason: String,
    /// Until it is lifted if not named.
    #[garde(skip)]
    #[schema(value_type = Option<String>, format = "date-time")]
    until: Option<Timestamp>,
}

/// A ban: who, when, why, until when.
#[derive(Serialize, ToSchema)]
pub struct Ban {
    kind: &'static str,
    subject: String,
    reason: String,
    #[schema(value_type = String, format = "date-time")]
    banned_at: Timestamp,
    /// The nil id: from the command line.
    #[schema(value_type = String)]
    banned_by: PartyId,
    #[schema(value_type = Option<String>, format = "date-time")]
    until: Option<Timestamp>,
    /// None while it is in force.
    #[schema(value_type = Option<String>, format = "date-time")]
    lifted_at: Option<Timestamp>,
    /// None if its time was over.
    #[schema(value_type = Option<String>)]
    lifted_by: Option<PartyId>,
}

impl From<BanRow> for Ban {
    fn from(row: BanRow) -> Self {
        Self {
            kind: row.kind.as_str(),
            subject: row.subject,
            reason: row.reason,
            banned_at: row.banned_at,
            banned_by: row.banned_by,
            until: row.until,
            lifted_at: row.lifted_at,
            lifted_by: row.lifted_by,
        }
    }
}

/// Ban a program or a customer
///
/// Nothing of it is accepted any more, no car is given its tasks, and cars that run one leave at
/// their next poll, within seconds. Its jobs stand still. A ban in force is replaced.
#[utoipa::path(operation_id = "impose_ban", tag = "operator", security(("bearer" = [])),
    request_body = NewBan,
    params(("Idempotency-Key" = String, Header, description = "A new random key for new work.")),
    responses((status = 201, description = "The ban.", body = Ban)))]
#[post("/v1/bans")]
async fn impose(
    app: App,
    operator: Operator,
    key: IdempotencyKey,
    body: Body<NewBan>,
) -> Result<HttpResponse> {
    let by = *operator;
    let Body { value: NewBan { kind, subject, reason, until }, fingerprint } = body;
    let new = ban::NewBan { kind, subject, reason, until };
    key.once(&app.store, by.party, fingerprint, StatusCode::CREATED, move |tx| {
        impose_as(tx, by.party, by.actor(), &new)
    })
    .await
}

/// Bans, and keeps that in the log of privileged acts.
pub fn impose_as(tx: &mut Tx<'_>, party: PartyId, by: Actor, new: &ban::NewBan) -> Result<Ban> {
    let row = ban::impose(tx, party, new)?;
    let after = json!({ "kind": row.kind.as_str(), "until": row.until });
    audit::record(tx, by, "ban.imposed", &row.subject, Value::Null, after)?;
    Ok(row.into())
}

/// Lifts a ban, and keeps that in the log of privileged acts.
pub fn lift_as(
    tx: &mut Tx<'_>,
    party: PartyId,
    by: Actor,
    kind: BanKind,
    subject: &str,
) -> Result<()> {
    ban::lift(tx, party, kind, subject)?;
    let before = json!({ "kind": kind.as_str() });
    Ok(audit::record(tx, by, "ban.lifted", subject, before, Value::Null)?)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct BansQuery {
    /// Those that were lifted too.
    #[serde(default)]
    all: bool,
}

/// Most bans of one answer.
const MAX_BANS: i64 = 1_000;

/// List bans
///
/// The last 1000, the latest first.
#[utoipa::path(operation_id = "list_bans", tag = "operator", security(("bearer" = [])),
    params(BansQuery), responses((status = 200, description = "Bans.", body = Vec<Ban>)))]
#[get("/v1/bans")]
async fn list(app: App, _operator: Operator, query: web::Query<BansQuery>) -> Result<HttpResponse> {
    let rows = app.read(move |tx| Ok(ban::list(tx, query.all, MAX_BANS)?)).await?;
    Ok(HttpResponse::Ok().json(rows.into_iter().map(Ban::from).collect::<Vec<_>>()))
}

/// Lift a ban
///
/// Jobs that still live go on.
#[utoipa::path(operation_id = "lift_ban", tag = "operator", security(("bearer" = [])),
    params(
        ("kind" = String, Path, description = "`program` or `customer`."),
        ("subject" = String, Path, description = "The digest or the id."),
    ),
    responses((status = 204, description = "It is lifted.")))]
#[delete("/v1/bans/{kind}/{subject}")]
async fn lift(
    app: App,
    operator: Operator,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse> {
    let (kind, subject) = path.into_inner();
    let kind = BanKind::parse(&kind).ok_or_else(|| Problem::new(Code::NotFound))?;
    let by = *operator;
    app.write(move |tx| lift_as(tx, by.party, by.actor(), kind, &subject)).await?;
    Ok(HttpResponse::NoContent().finish())
}
