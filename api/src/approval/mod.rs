//! What takes two people: one proposes, another carries it out or turns it down. It is done in the
//! transaction of the approval, and tried out in that of the proposal, so that what cannot be done
//! is refused at once.

mod act;
mod model;
mod store;

use ::store::ApprovalId;
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, web};
use billing::preview::fee_effect;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::auth::Books;
use crate::body::Body;
use crate::fingerprint::Fingerprint;
use crate::idempotency::IdempotencyKey;
use crate::pagination::{Page, PageQuery};
use crate::problem::{Code, Problem, ProblemBody, Result};

use model::Effect;
pub use model::{Approval, Fee, NewApproval, Proposal, Why};
pub use store::{propose, refund_limit};

pub fn configure(routes: &mut ServiceConfig<'_>) {
    routes
        .service(create)
        .service(list)
        .service(show)
        .service(effect)
        .service(approve)
        .service(reject);
}

/// Propose
///
/// For finance: a manual journal, a refund above the limit, or another limit. For operators: a fee.
/// Another person of your role approves it. It is tried out now: what cannot be done is refused.
#[utoipa::path(operation_id = "propose", tag = "finance", security(("bearer" = [])),
    request_body = NewApproval,
    params(("Idempotency-Key" = String, Header, description = "A new random key for new work.")),
    responses(
        (status = 201, description = "It waits for another person.", body = Approval),
        (status = 422, description = "It cannot be done: a journal that does not balance, a day in a \
            closed month (`period_closed`), an account that has not enough.", body = ProblemBody,
            content_type = "application/problem+json"),
    ))]
#[post("/v1/approvals")]
async fn create(
    app: App,
    user: Books,
    key: IdempotencyKey,
    body: Body<NewApproval>,
) -> Result<HttpResponse> {
    let Body { value: NewApproval { proposal, reason }, fingerprint } = body;
    proposal.check_role(user.role)?;
    let who = user.0;
    key.once(&app.store, who.party, fingerprint, StatusCode::CREATED, move |tx| {
        store::propose(tx, who, &proposal, &reason)
    })
    .await
}

/// List what was proposed
///
/// Oldest first, whatever became of it.
#[utoipa::path(operation_id = "list_approvals", tag = "finance", security(("bearer" = [])),
    params(PageQuery), responses(
    (status = 200, description = "A page of proposals.", body = Page<Approval>),
))]
#[get("/v1/approvals")]
async fn list(app: App, _books: Books, query: web::Query<PageQuery>) -> Result<HttpResponse> {
    let page = query.of::<ApprovalId>()?;
    let rows = app.read(move |tx| store::list(tx, page.after, page.rows())).await?;
    Ok(HttpResponse::Ok().json(page.page(rows, |approval| approval.id)))
}

/// What was proposed
#[utoipa::path(operation_id = "show_approval", tag = "finance", security(("bearer" = [])),
    params(("id" = String, Path, description = "The proposal.")), responses(
    (status = 200, description = "The proposal and what became of it.", body = Approval),
))]
#[get("/v1/approvals/{id}")]
async fn show(app: App, _books: Books, id: web::Path<ApprovalId>) -> Result<HttpResponse> {
    let approval = app.read(move |tx| store::load(tx, *id)).await?;
    Ok(HttpResponse::Ok().json(approval))
}

/// What a proposed fee would have made of the last 30 days
///
/// Every settlement of the market computed again at the proposed rates, beside what was booked.
#[utoipa::path(operation_id = "preview_fee", tag = "finance", security(("bearer" = [])),
    params(("id" = String, Path, description = "A proposal of kind `fee`.")), responses(
    (status = 200, description = "Fee and bonus as they were and as they would have been.",
        body = Effect),
))]
#[get("/v1/approvals/{id}/effect")]
async fn effect(app: App, _books: Books, id: web::Path<ApprovalId>) -> Result<HttpResponse> {
    let effect = app
        .read(move |tx| {
            let Proposal::Fee(fee) = store::load(tx, *id)?.proposal else {
                return Err(Problem::new(Code::NotFound).detail("It is not a fee."));
            };
            let since = tx.now.plus_s(-30 * 86_400);
            Ok(Effect::new(since, fee_effect(tx, &fee.market, since, fee.rates()?)?))
        })
        .await?;
    Ok(HttpResponse::Ok().json(effect))
}

/// Approve
///
/// For another person than the one who proposed it, of the same role. It is done at once.
#[utoipa::path(operation_id = "approve", tag = "finance", security(("bearer" = [])),
    params(
        ("id" = String, Path, description = "The proposal."),
        ("Idempotency-Key" = String, Header, description = "A new random key for new work."),
    ),
    responses(
        (status = 200, description = "What was made of it is in `result`.", body = Approval),
        (status = 409, description = "`wrong_state`: it was decided before, or you proposed it.",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "It can no longer be done; it waits.", body = ProblemBody,
            content_type = "application/problem+json"),
    ))]
#[post("/v1/approvals/{id}/approve")]
async fn approve(
    app: App,
    user: Books,
    key: IdempotencyKey,
    id: web::Path<ApprovalId>,
) -> Result<HttpResponse> {
    let who = user.0;
    key.once(&app.store, who.party, Fingerprint::none(), StatusCode::OK, move |tx| {
        store::approve(tx, *id, who)
    })
    .await
}

/// Turn down
///
/// Whoever proposed it may take it back this way.
#[utoipa::path(operation_id = "reject", tag = "finance", security(("bearer" = [])),
    request_body = Why,
    params(
        ("id" = String, Path, description = "The proposal."),
        ("Idempotency-Key" = String, Header, description = "A new random key for new work."),
    ),
    responses(
        (status = 200, description = "Nothing was made of it.", body = Approval),
        (status = 409, description = "`wrong_state`: it was decided before.", body = ProblemBody,
            content_type = "application/problem+json"),
    ))]
#[post("/v1/approvals/{id}/reject")]
async fn reject(
    app: App,
    user: Books,
    key: IdempotencyKey,
    id: web::Path<ApprovalId>,
    body: Body<Why>,
) -> Result<HttpResponse> {
    let (who, Body { value: Why { reason }, fingerprint }) = (user.0, body);
    key.once(&app.store, who.party, fingerprint, StatusCode::OK, move |tx| {
        store::reject(tx, *id, who, &reason)
    })
    .await
}
