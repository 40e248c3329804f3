//! Deposits: how money comes in. A bank transfer waits until finance has seen it on the account.

mod store;

use ::store::{DepositId, PartyId, Timestamp};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, web};
use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::audit;
use crate::auth::{Customer, Finance};
use crate::body::Body;
use crate::fingerprint::Fingerprint;
use crate::idempotency::IdempotencyKey;
use crate::money::Money;
use crate::pagination::{Page, PageQuery};
use crate::problem::{Code, Problem, ProblemBody, Result};

pub fn configure(routes: &mut ServiceConfig<'_>) {
    routes.service(create).service(list).service(list_pending).service(confirm);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Pending until finance confirms that the transfer has come.
    BankTransfer,
    /// Posts at once, out of thin air; only where the server allows it.
    Test,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewDeposit {
    #[garde(dive)]
    amount: Money,
    #[garde(skip)]
    source: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Pending,
    Confirmed,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Deposit {
    #[schema(value_type = String, example = "deposit_01kayz3v8ne7m9xqk2y4t6w8b0")]
    pub id: DepositId,
    #[schema(value_type = String, example = "party_01kayz3v8ne7m9xqk2y4t6w8b0")]
    pub customer_id: PartyId,
    pub amount: Money,
    pub source: Source,
    /// Write it on the transfer.
    #[schema(example = "DW-7K3M-9QXZ")]
    pub reference: String,
    pub state: State,
    #[schema(value_type = String, format = "date-time")]
    pub created_at: Timestamp,
    #[schema(value_type = Option<String>, format = "date-time")]
    pub confirmed_at: Option<Timestamp>,
}

/// Pay in
///
/// A bank transfer is `pending`: write `reference` on it. It counts once finance has confirmed it.
#[utoipa::path(operation_id = "create_deposit", tag = "money",
    security(("bearer" = [])), request_body = NewDeposit,
    params(("Idempotency-Key" = String, Header, description = "A new random key for new work.")),
    responses(
        (status = 201, description = "The deposit.", body = Deposit),
        (status = 422, description = "A field or the amount is not valid; nothing was stored.",
            body = ProblemBody, content_type = "application/problem+json"),
    ))]
#[post("/v1/deposits")]
async fn create(
    app: App,
    customer: Customer,
    key: IdempotencyKey,
    body: Body<NewDeposit>,
) -> Result<HttpResponse> {
    let Body { value: NewDeposit { amount, source }, fingerprint } = body;
    if source == Source::Test && !app.allow_test_deposits {
        return Err(Problem::new(Code::TestDepositsDisabled));
    }
    let party = customer.party;
    key.once(&app.store, party, fingerprint, StatusCode::CREATED, move |tx| {
        store::create(tx, party, &amount, source)
    })
    .await
}

/// List your deposits
#[utoipa::path(operation_id = "list_deposits", tag = "money",
    security(("bearer" = [])), params(PageQuery), responses(
    (status = 200, description = "A page of deposits.", body = Page<Deposit>),
))]
#[get("/v1/deposits")]
async fn list(app: App, customer: Customer, query: web::Query<PageQuery>) -> Result<HttpResponse> {
    let page = query.of()?;
    let party = Some(customer.party);
    let rows = app.read(move |tx| store::list(tx, party, page.after, page.rows())).await?;
    Ok(HttpResponse::Ok().json(page.page(rows, |deposit| deposit.id)))
}

/// List the deposits of all customers that wait for their transfer
///
/// For finance.
#[utoipa::path(operation_id = "list_pending_deposits", tag = "finance",
    security(("bearer" = [])), params(PageQuery), responses(
    (status = 200, description = "A page of pending deposits.", body = Page<Deposit>),
))]
#[get("/v1/deposits/pending")]
async fn list_pending(
    app: App,
    _finance: Finance,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse> {
    let page = query.of()?;
    let rows = app.read(move |tx| store::list(tx, None, page.after, page.rows())).await?;
    Ok(HttpResponse::Ok().json(page.page(rows, |deposit| deposit.id)))
}

/// Confirm that a transfer has come
///
/// For finance. Posts the money to the customer's wallet.
#[utoipa::path(operation_id = "confirm_deposit", tag = "finance", security(("bearer" = [])),
    params(
        ("id" = String, Path, description = "The deposit."),
        ("Idempotency-Key" = String, Header, description = "A new random key for new work."),
    ),
    responses(
        (status = 200, description = "The confirmed deposit.", body = Deposit),
        (status = 409, description = "`wrong_state`: it was confirmed before.", body = ProblemBody,
            content_type = "application/problem+json"),
    ))]
#[post("/v1/deposits/{id}/confirm")]
async fn confirm(
    app: App,
    finance: Finance,
    key: IdempotencyKey,
    id: web::Path<DepositId>,
) -> Result<HttpResponse> {
    let (party, by) = (finance.party, finance.actor());
    key.once(&app.store, party, Fingerprint::none(), StatusCode::OK, move |tx| {
        let confirmed = store::confirm(tx, *id, party)?;
        let after = json!({ "state": "confirmed", "amount": confirmed.amount });
        audit::record(tx, by, "deposit.confirmed", *id, json!({ "state": "pending" }), after)?;
        Ok(confirmed)
    })
    .await
}
