//! Acting on the book: undoing transactions, closing months. For finance; each with a reason.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, web};
use billing::close::Item;
use garde::Validate;
use ledger::period;
use ledger::{Command, Refund, Reversal};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{AccountId, Month, PartyId, Timestamp, TransactionId, Tx};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::approval;
use crate::audit;
use crate::auth::{Books, Finance};
use crate::body::Body;
use crate::idempotency::IdempotencyKey;
use crate::money::Money;
use crate::problem::{Code, Problem, ProblemBody, Result};

pub fn configure(routes: &mut ServiceConfig<'_>) {
    routes.service(reverse).service(refund);
    routes
        .service(show_period)
        .service(check_list)
        .service(soft_close)
        .service(close)
        .service(ask_to_reopen)
        .service(reopen);
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct Why {
    /// Kept in the book.
    #[garde(length(bytes, min = 1, max = 200))]
    #[schema(example = "Booked twice")]
    reason: String,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewRefund {
    /// Who gets it back: an account of the transaction.
    #[garde(skip)]
    #[schema(value_type = String, example = "acct_01kayz3v8ne7m9xqk2y4t6w8b0")]
    account: AccountId,
    /// At most what is left of what the transaction moved there, in that account's currency.
    #[garde(dive)]
    amount: Money,
    #[garde(length(bytes, min = 1, max = 200))]
    reason: String,
}

#[derive(Serialize, ToSchema)]
struct Made {
    /// Explained at `/v1/ledger/transactions/{id}`.
    #[schema(value_type = String, example = "tx_01kayz3v8ne7m9xqk2y4t6w8b0")]
    transaction: TransactionId,
}

/// Reverse a transaction
///
/// For finance. Posts all its legs the other way, once, with a reference to it.
#[utoipa::path(operation_id = "reverse_transaction", tag = "finance",
    security(("bearer" = [])), request_body = Why,
    params(("id" = String, Path, description = "The transaction."),
        ("Idempotency-Key" = String, Header, description = "A new random key for new work.")),
    responses(
        (status = 201, description = "The reversal.", body = Made),
        (status = 409, description = "`wrong_state`: it was reversed or refunded before.",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`insufficient_funds`: what it gave was spent since.",
            body = ProblemBody, content_type = "application/problem+json"),
    ))]
#[post("/v1/ledger/transactions/{id}/reverse")]
async fn reverse(
    app: App,
    finance: Finance,
    key: IdempotencyKey,
    id: web::Path<TransactionId>,
    body: Body<Why>,
) -> Result<HttpResponse> {
    let Body { value: Why { reason }, fingerprint } = body;
    let (party, by) = (finance.party, finance.actor());
    key.once(&app.store, party, fingerprint, StatusCode::CREATED, move |tx| {
        let key = tx.id::<store::kind::Transaction>().to_string();
        let reversal = Reversal { key, of: *id, reason, effective_at: None };
        let made = run(tx, Command::from(reversal), party)?;
        let after = json!({ "by": made.transaction });
        audit::record(tx, by, "transaction.reversed", *id, Value::Null, after)?;
        Ok(made)
    })
    .await
}

/// Refund a part of a transaction
///
/// For finance. Gives a part back to one of its accounts; every other leg bears its share.
#[utoipa::path(operation_id = "refund_transaction", tag = "finance",
    security(("bearer" = [])), request_body = NewRefund,
    params(("id" = String, Path, description = "The transaction."),
        ("Idempotency-Key" = String, Header, description = "A new random key for new work.")),
    responses(
        (status = 201, description = "The refund.", body = Made),
        (status = 403, description = "`approval_needed`: above the limit.", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "`wrong_state`: it was reversed before.", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 422, description = "`insufficient_funds`, or more than is left of it.",
            body = ProblemBody, content_type = "application/problem+json"),
    ))]
#[post("/v1/ledger/transactions/{id}/refund")]
async fn refund(
    app: App,
    finance: Finance,
    key: IdempotencyKey,
    id: web::Path<TransactionId>,
    body: Body<NewRefund>,
) -> Result<HttpResponse> {
    let Body { value: NewRefund { account, amount, reason }, fingerprint } = body;
    let (party, by) = (finance.party, finance.actor());
    key.once(&app.store, party, fingerprint, StatusCode::CREATED, move |tx| {
        let asset = ledger::account_asset(tx, account).map_err(refund_account)?;
        if asset != amount.currency {
            return Err(Problem::new(Code::InvalidBody)
                .at("/amount/currency", format!("the account is in {asset}")));
        }
        let limit = approval::refund_limit(tx, &asset)?;
        if amount.amount > limit {
            let detail = format!("Alone you may refund {limit} {asset}.");
            return Err(Problem::new(Code::ApprovalNeeded).detail(detail));
        }
        let key = tx.id::<store::kind::Transaction>().to_string();
        let refund = Refund { key, of: *id, account, amount: amount.amount, reason };
        let made = run(tx, Command::from(refund), party)?;
        let after = json!({ "by": made.transaction, "account": account, "amount": amount });
        audit::record(tx, by, "transaction.refunded", *id, Value::Null, after)?;
        Ok(made)
    })
    .await
}

fn refund_account(error: ledger::Error) -> Problem {
    match error {
        ledger::Error::UnknownAccount(_) => {
            Problem::new(Code::InvalidBody).at("/account", "not an account of the transaction")
        }
        other => other.into(),
    }
}

/// Runs a command, and keeps who asked for it.
fn run(tx: &mut Tx<'_>, command: Command, by: PartyId) -> Result<Made> {
    let command = command.tagged("by", &by.to_string());
    let posted = ledger::run(tx, &command).and_then(ledger::Outcome::posted);
    Ok(Made { transaction: posted.map_err(refund_account)?.id })
}

#[derive(Serialize, ToSchema)]
struct Period {
    #[schema(value_type = String, example = "2026-10")]
    month: Month,
    /// `open`; `soft`: closed but for what finance puts right; `closed`; or `reopening`: closed until
    /// a second person opens it again.
    #[schema(example = "closed")]
    state: &'static str,
    history: Vec<PeriodEvent>,
}

#[derive(Serialize, ToSchema)]
struct PeriodEvent {
    /// `soft_closed`, `closed`, `reopen_asked` or `reopened`.
    kind: String,
    #[schema(value_type = String)]
    by: PartyId,
    reason: String,
    #[schema(value_type = String, format = "date-time")]
    at: Timestamp,
}

fn month(text: &str) -> Result<Month> {
    Month::parse(text).ok_or_else(|| Problem::new(Code::NotFound).detail("A month is `2026-10`."))
}

fn load_period(tx: &mut Tx<'_>, month: Month) -> Result<Period> {
    let state = period::state(tx, month)?.text();
    let events = period::events(tx, month)?.into_iter();
    let event = |period::Event { kind, by, reason, at, .. }| PeriodEvent { kind, by, reason, at };
    Ok(Period { month, state, history: events.map(event).collect() })
}

/// A month of the books
///
/// Whether it is open, and what was done to it.
#[utoipa::path(operation_id = "show_period", tag = "finance", security(("bearer" = [])),
    params(("month" = String, Path, description = "Such as `2026-10`.")), responses(
    (status = 200, description = "The month.", body = Period),
))]
#[get("/v1/ledger/periods/{month}")]
async fn show_period(app: App, _books: Books, path: web::Path<String>) -> Result<HttpResponse> {
    let month = month(&path)?;
    let period = app.read(move |tx| load_period(tx, month)).await?;
    Ok(HttpResponse::Ok().json(period))
}

macro_rules! period_action {
    ($(#[$doc:meta])* $name:ident, $act:path, $route:literal, $operation:literal,
        $audit:literal) => {
        $(#[$doc])*
        #[utoipa::path(operation_id = $operation, tag = "finance",
            security(("bearer" = [])), request_body = Why,
            params(("month" = String, Path, description = "Such as `2026-10`."),
                ("Idempotency-Key" = String, Header, description = "A new random key for new work.")),
            responses(
                (status = 200, description = "The month as it is now.", body = Period),
                (status = 409, description = "`wrong_state`", body = ProblemBody,
                    content_type = "application/problem+json"),
                (status = 422, description = "`period_closed`, or the reason is missing.",
                    body = ProblemBody, content_type = "application/problem+json"),
            ))]
        #[post($route)]
        async fn $name(
            app: App,
            finance: Finance,
            key: IdempotencyKey,
            path: web::Path<String>,
            body: Body<Why>,
        ) -> Result<HttpResponse> {
            let Body { value: Why { reason }, fingerprint } = body;
            let (party, by, month) = (finance.party, finance.actor(), month(&path)?);
            key.once(&app.store, party, fingerprint, StatusCode::OK, move |tx| {
                let before = json!({ "state": load_period(tx, month)?.state });
                $act(tx, month, party, &reason)?;
                let period = load_period(tx, month)?;
                let after = json!({ "state": period.state });
                audit::record(tx, by, $audit, month, before, after)?;
                Ok(period)
            })
            .await
        }
    };
}

/// What has to be done before a month is closed.
#[derive(Serialize, ToSchema)]
struct CheckItem {
    #[schema(example = "unsettled_leases")]
    name: &'static str,
    about: &'static str,
    /// How many there are; none is as it should be.
    open: i64,
    /// The month is not closed while there are any, unless the reason says `despite`.
    blocks: bool,
}

impl From<Item> for CheckItem {
    fn from(Item { name, about, open, blocks }: Item) -> Self {
        Self { name, about, open, blocks }
    }
}

/// What is to be done before a month is closed
///
/// Found in the books, as they are now.
#[utoipa::path(operation_id = "show_check_list", tag = "finance", security(("bearer" = [])),
    params(("month" = String, Path, description = "Such as `2026-10`.")), responses(
    (status = 200, description = "Every line of the list.", body = Vec<CheckItem>),
))]
#[get("/v1/ledger/periods/{month}/check-list")]
async fn check_list(app: App, _books: Books, path: web::Path<String>) -> Result<HttpResponse> {
    let month = month(&path)?;
    let items = app.read(move |tx| Ok(billing::close::check_list(tx, month)?)).await?;
    Ok(HttpResponse::Ok().json(items.into_iter().map(CheckItem::from).collect::<Vec<_>>()))
}

/// Closes a month whose check list is done, or despite what is left if the reason begins with that
/// word: then the reason is what an auditor asks for.
fn close_checked(tx: &mut Tx<'_>, month: Month, by: PartyId, reason: &str) -> Result<()> {
    if !reason.to_lowercase().starts_with("despite ") {
        let items = billing::close::check_list(tx, month)?;
        let left: Vec<String> = items
            .iter()
            .filter(|item| item.blocks && item.open > 0)
            .map(|item| format!("{} {}", item.open, item.name))
            .collect();
        if !left.is_empty() && tx.now >= month.end().plus_us(period::GRACE) {
            let detail = format!("On the check list: {}.", left.join(", "));
            return Err(Problem::new(Code::NotReady).detail(detail));
        }
    }
    Ok(period::close(tx, month, by, reason)?)
}

period_action! {
    /// Close a month softly
    ///
    /// For finance, from an hour after its end. Business that counts in it and comes later is booked
    /// in the next open month; manual journals still go into it.
    soft_close, period::soft_close, "/v1/ledger/periods/{month}/soft-close", "soft_close_period",
    "period.soft_closed"
}

period_action! {
    /// Close a month
    ///
    /// For finance, from an hour after its end, when its check list is done, or despite what is left
    /// on it: then the reason begins with `despite`. Nothing is booked in it any more: what counts in
    /// it and comes later is booked in the next open month.
    close, close_checked, "/v1/ledger/periods/{month}/close", "close_period",
    "period.closed"
}

period_action! {
    /// Ask to open a month again
    ///
    /// For finance. Another person opens it.
    ask_to_reopen, period::ask_to_reopen, "/v1/ledger/periods/{month}/ask-to-reopen",
    "ask_to_reopen_period", "period.reopen_asked"
}

period_action! {
    /// Open a month again
    ///
    /// For finance: for another person than the one who asked.
    reopen, period::reopen, "/v1/ledger/periods/{month}/reopen", "reopen_period",
    "period.reopened"
}
