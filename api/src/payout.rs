//! Payouts and statements: owners ask, finance approves, the bank is told.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, put, web};
use billing::bank_file::Debtor;
use billing::payout as runs;
use billing::statement::{Statement, render_csv, render_html, statement};
use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{BankFileId, PartyId, PayoutId, Timestamp};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::audit;
use crate::auth::{Finance, Owner, OwnerOrFinance};
use crate::body::Body;
use crate::idempotency::IdempotencyKey;
use crate::identity::model::Role;
use crate::mail;
use crate::money::Money;
use crate::pagination::{Page, PageQuery};
use crate::problem::{Code, Problem, ProblemBody, Result};

pub fn configure(routes: &mut ServiceConfig<'_>) {
    routes.service(set_account).service(request).service(list).service(approve);
    routes.service(show_file).service(show_statement);
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct PayoutAccount {
    #[garde(length(chars, min = 1, max = 70))]
    #[schema(example = "Example Owner", min_length = 1, max_length = 70)]
    holder: String,
    #[garde(length(max = 42))]
    #[schema(example = "GB33BUKB20201555555555")]
    iban: String,
}

/// Name the account you are paid to
#[utoipa::path(operation_id = "set_payout_account", tag = "owners",
    security(("bearer" = [])), request_body = PayoutAccount,
    responses((status = 204, description = "Kept.")))]
#[put("/v1/payout-account")]
async fn set_account(app: App, owner: Owner, body: Body<PayoutAccount>) -> Result<HttpResponse> {
    let party = owner.party;
    let PayoutAccount { holder, iban } = body.value;
    app.write(move |tx| Ok(runs::set_payout_account(tx, party, &holder, &iban)?)).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPayout {
    #[serde(default = "usd")]
    #[garde(length(max = 16))]
    #[schema(example = "USD", default = "USD")]
    currency: String,
    /// All whole cents if not named.
    #[serde(default)]
    #[garde(dive)]
    amount: Option<Money>,
}

fn usd() -> String {
    "USD".to_owned()
}

#[derive(Serialize, ToSchema)]
struct Payout {
    #[schema(value_type = String, example = "po_01kayz3v8ne7m9xqk2y4t6w8b0")]
    id: PayoutId,
    #[schema(value_type = String)]
    owner: PartyId,
    amount: Money,
    /// `requested` or `approved`.
    state: String,
    #[schema(value_type = Option<String>)]
    bank_file: Option<BankFileId>,
    #[schema(value_type = String, format = "date-time")]
    requested_at: Timestamp,
    #[schema(value_type = Option<String>, format = "date-time")]
    approved_at: Option<Timestamp>,
}

impl From<runs::Payout> for Payout {
    fn from(row: runs::Payout) -> Self {
        Self {
            id: row.id,
            owner: row.owner,
            amount: Money::new(row.amount, &row.asset),
            state: row.state,
            bank_file: row.bank_file,
            requested_at: row.requested_at,
            approved_at: row.approved_at,
        }
    }
}

/// Ask for a payout
///
/// Whole cents; what is less stays. It is held back until finance approves.
#[utoipa::path(operation_id = "request_payout", tag = "owners",
    security(("bearer" = [])), request_body = NewPayout,
    params(("Idempotency-Key" = String, Header, description = "A new random key for new work.")),
    responses(
        (status = 201, description = "The payout.", body = Payout),
        (status = 409, description = "`wrong_state`: name an account first.", body = ProblemBody,
            content_type = "application/problem+json"),
    ))]
#[post("/v1/payouts")]
async fn request(
    app: App,
    owner: Owner,
    key: IdempotencyKey,
    body: Body<NewPayout>,
) -> Result<HttpResponse> {
    let party = owner.party;
    let Body { value: NewPayout { currency, amount }, fingerprint } = body;
    if amount.as_ref().is_some_and(|amount| amount.currency != currency) {
        return Err(Problem::new(Code::InvalidBody).at("/amount/currency", "not `currency`"));
    }
    key.once(&app.store, party, fingerprint, StatusCode::CREATED, move |tx| {
        let id = runs::request(tx, party, &currency, amount.map(|amount| amount.amount))?;
        Ok(Payout::from(runs::load(tx, id)?))
    })
    .await
}

/// List payouts
///
/// An owner sees their own, finance sees all.
#[utoipa::path(operation_id = "list_payouts", tag = "owners",
    security(("bearer" = [])), params(PageQuery), responses(
    (status = 200, description = "A page of payouts.", body = Page<Payout>),
))]
#[get("/v1/payouts")]
async fn list(
    app: App,
    user: OwnerOrFinance,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse> {
    let page = query.of::<PayoutId>()?;
    let owner = (user.role == Role::Owner).then_some(user.party);
    let rows = app.read(move |tx| Ok(runs::list(tx, owner, page.after, page.rows())?)).await?;
    let payouts: Vec<Payout> = rows.into_iter().map(Payout::from).collect();
    Ok(HttpResponse::Ok().json(page.page(payouts, |payout| payout.id)))
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct PayoutRun {
    /// All in one currency; all are approved or none.
    #[garde(length(min = 1, max = 1000))]
    #[schema(value_type = Vec<String>)]
    payouts: Vec<PayoutId>,
}

#[derive(Serialize, ToSchema)]
struct ApprovedRun {
    /// Get it at `/v1/bank-files/{id}`.
    #[schema(value_type = String)]
    bank_file: BankFileId,
}

/// Approve payouts
///
/// For finance. Posts them and writes the bank file that pays them.
#[utoipa::path(operation_id = "approve_payouts", tag = "finance",
    security(("bearer" = [])), request_body = PayoutRun,
    params(("Idempotency-Key" = String, Header, description = "A new random key for new work.")),
    responses(
        (status = 201, description = "The bank file.", body = ApprovedRun),
        (status = 409, description = "`wrong_state`: one was approved before.", body = ProblemBody,
            content_type = "application/problem+json"),
    ))]
#[post("/v1/payouts/approve")]
async fn approve(
    app: App,
    finance: Finance,
    key: IdempotencyKey,
    body: Body<PayoutRun>,
) -> Result<HttpResponse> {
    let (party, by) = (finance.party, finance.actor());
    let Body { value: PayoutRun { payouts }, fingerprint } = body;
    key.once(&app.store, party, fingerprint, StatusCode::CREATED, move |tx| {
        let bank_file = runs::approve(tx, party, &payouts, &Debtor::default())?;
        for id in payouts {
            let payout = runs::load(tx, id)?;
            let amount = Money::new(payout.amount, &payout.asset);
            let after = json!({ "state": "approved", "amount": amount, "bank_file": bank_file });
            audit::record(tx, by, "payout.approved", id, json!({ "state": "requested" }), after)?;
            mail::enqueue(tx, payout.owner, &mail::Template::PayoutApproved { amount })?;
        }
        Ok(ApprovedRun { bank_file })
    })
    .await
}

/// A bank file
///
/// For finance. ISO 20022 pain.001.001.09.
#[utoipa::path(operation_id = "show_bank_file", tag = "finance", security(("bearer" = [])),
    params(("id" = String, Path, description = "The bank file.")),
    responses((status = 200, description = "The file.", body = String,
        content_type = "application/xml")))]
#[get("/v1/bank-files/{id}")]
async fn show_file(app: App, _finance: Finance, id: web::Path<BankFileId>) -> Result<HttpResponse> {
    let text = app.read(move |tx| Ok(runs::bank_file(tx, *id)?)).await?;
    Ok(HttpResponse::Ok().content_type("application/xml").body(text))
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    #[default]
    Html,
    Csv,
    Json,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Period {
    /// First moment, RFC 3339 or a date.
    from: String,
    /// First moment after the period.
    to: String,
    #[serde(default)]
    #[param(required = false, inline)]
    format: Format,
}

/// Your statement of a period
///
/// Opening balance, every lease and payout, closing balance.
#[utoipa::path(tag = "owners", security(("bearer" = [])), params(Period), responses(
    (status = 200, description = "The statement.", body = String, content_type = "text/html"),
))]
#[get("/v1/statements")]
async fn show_statement(
    app: App,
    owner: Owner,
    period: web::Query<Period>,
) -> Result<HttpResponse> {
    let (Some(from), Some(to)) = (Timestamp::parse(&period.from), Timestamp::parse(&period.to))
    else {
        return Err(Problem::new(Code::InvalidQuery).detail("`from` and `to` are RFC 3339 times"));
    };
    if from >= to {
        return Err(Problem::new(Code::InvalidQuery).detail("`to` is after `from`"));
    }
    let party = owner.party;
    let document = app.read(move |tx| Ok(statement(tx, party, from, to)?)).await?;
    render(&document, period.format)
}

fn render(document: &Statement, format: Format) -> Result<HttpResponse> {
    Ok(match format {
        Format::Html => {
            HttpResponse::Ok().content_type("text/html; charset=utf-8").body(render_html(document))
        }
        Format::Csv => {
            HttpResponse::Ok().content_type("text/csv; charset=utf-8").body(render_csv(document)?)
        }
        Format::Json => HttpResponse::Ok().json(document),
    })
}

impl From<billing::Error> for Problem {
    fn from(error: billing::Error) -> Self {
        use billing::Error as E;
        let detail = error.to_string();
        let invalid = |pointer: &str| Self::new(Code::InvalidBody).at(pointer, detail.clone());
        match error {
            E::Store(error) => error.into(),
            E::Ledger(error) => error.into(),
            E::Iban(_) => invalid("/iban"),
            E::Holder => invalid("/holder"),
            E::NotPayable(_) => invalid("/currency"),
            E::NotWholeCents => invalid("/amount"),
            E::MixedRun => invalid("/payouts"),
            E::NothingToPay | E::InsufficientFunds { .. } => {
                Self::new(Code::InsufficientFunds).detail(detail)
            }
            E::NoPayoutAccount | E::AlreadyApproved(_) => {
                Self::new(Code::WrongState).detail(detail)
            }
            E::UnknownPayout(_) | E::UnknownFile => Self::new(Code::NotFound).detail(detail),
            E::BankFile(_) | E::Disagrees(_) | E::Render(_) => Self::internal(detail),
        }
    }
}
