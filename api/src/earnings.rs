//! What an owner has earned, and by which leases.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, web};
use garde::Validate;
use ledger::Code as Account;
use scheduler::fleet;
use scheduler::lease::{DayIncome, income_days};
use serde::{Deserialize, Serialize};
use store::{Amount, LeaseId, Timestamp, VehicleId};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::auth::Owner;
use crate::body::Body;
use crate::idempotency::IdempotencyKey;
use crate::job::Lease;
use crate::money::Money;
use crate::pagination::{Page, PageQuery};
use crate::problem::{Code, Problem, ProblemBody, Result};

pub fn configure(routes: &mut ServiceConfig<'_>) {
    routes.service(earnings).service(leases).service(days).service(redeem);
}

#[derive(Serialize, ToSchema)]
struct Earnings {
    /// Not paid out yet.
    cash: Money,
    /// Of it, what a payout that waits for approval keeps back.
    cash_held: Money,
    credits: Money,
}

/// What you have earned
#[utoipa::path(tag = "owners", security(("bearer" = [])), responses(
    (status = 200, description = "Your balances.", body = Earnings),
))]
#[get("/v1/earnings")]
async fn earnings(app: App, owner: Owner) -> Result<HttpResponse> {
    let party = owner.party;
    let (cash, credits) = app
        .read(move |tx| {
            let cash = ledger::party_balance(tx, Account::OwnerCash, party, "USD")?;
            let credits = ledger::party_balance(tx, Account::OwnerCredits, party, "CREDIT")?;
            Ok((cash, credits))
        })
        .await?;
    Ok(HttpResponse::Ok().json(Earnings {
        cash: Money::new(cash.posted, "USD"),
        cash_held: Money::new(cash.held, "USD"),
        credits: Money::new(credits.posted, "CREDIT"),
    }))
}

/// The leases of your cars
///
/// Every one, unpaid ones with the reason.
#[utoipa::path(operation_id = "list_earning_leases", tag = "owners",
    security(("bearer" = [])), params(PageQuery), responses(
    (status = 200, description = "A page of leases.", body = Page<Lease>),
))]
#[get("/v1/earnings/leases")]
async fn leases(app: App, owner: Owner, query: web::Query<PageQuery>) -> Result<HttpResponse> {
    let page = query.of::<LeaseId>()?;
    let party = owner.party;
    let rows = app
        .read(move |tx| Ok(scheduler::lease::of_owner(tx, party, page.after, page.rows())?))
        .await?;
    let leases: Vec<Lease> = rows.into_iter().map(Lease::from).collect();
    Ok(HttpResponse::Ok().json(page.page(leases, |lease| lease.id)))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DaysQuery {
    /// First day, as `2026-11-01`, or a moment.
    from: String,
    /// First day after: at most 92 days later.
    to: String,
    /// Of this car only.
    #[param(value_type = Option<String>)]
    vehicle: Option<VehicleId>,
}

/// What a car earned on a day, by the day (UTC) on which its leases were settled.
#[derive(Serialize, ToSchema)]
struct Day {
    #[schema(example = "2026-11-24")]
    day: String,
    #[schema(value_type = String)]
    vehicle: VehicleId,
    leases: i64,
    billed_s: i64,
    /// What customers paid, and the platform's fee of it.
    gross: Money,
    fee: Money,
    /// What is yours: cash, or credits with the bonus, which the platform paid.
    cash: Money,
    credits: Money,
    bonus: Money,
    /// What computer and car drew while let, watt-hours.
    energy_wh: i64,
    /// What wear of the battery that cost at most.
    wear_at_most: Money,
    /// What is left: yours less that. Electricity is not taken off: we do not know your tariff.
    net_of_wear: Money,
}

impl Day {
    fn new(((day, vehicle, asset), income): ((String, VehicleId, String), DayIncome)) -> Self {
        let money = |amount: Amount| Money::new(amount, &asset);
        // Credits count as what customers paid for them and the platform added.
        let yours = income.money.gross.0 - income.money.fee.0 + income.money.bonus.0;
        Self {
            day,
            vehicle,
            leases: income.leases,
            billed_s: income.billed_s,
            gross: money(income.money.gross),
            fee: money(income.money.fee),
            cash: money(income.money.cash),
            credits: Money::new(income.money.credits, "CREDIT"),
            bonus: money(income.money.bonus),
            energy_wh: income.energy_wh,
            wear_at_most: money(income.wear_at_most),
            net_of_wear: money(Amount(yours - income.wear_at_most.0)),
        }
    }
}

/// The most days that are told at once, microseconds.
const MOST_US: i64 = 92 * 24 * 3_600 * 1_000_000;

/// What you have earned by day and car
///
/// To the micro-unit, with energy and wear beside it.
#[utoipa::path(operation_id = "list_earning_days", tag = "owners", security(("bearer" = [])),
    params(DaysQuery),
    responses((status = 200, description = "A line for each day and car that earned, and each currency.",
        body = Vec<Day>), (status = 404, description = "There is no such car, or it is another's.",
        body = ProblemBody, content_type = "application/problem+json")))]
#[get("/v1/earnings/days")]
async fn days(app: App, owner: Owner, query: web::Query<DaysQuery>) -> Result<HttpResponse> {
    let bad = |detail: &str| Problem::new(Code::InvalidQuery).detail(detail);
    let moment = |text: &str| Timestamp::parse(text).ok_or_else(|| bad("not a day or a moment"));
    let (from, to) = (moment(&query.from)?, moment(&query.to)?);
    if from >= to || to.since(from) > MOST_US {
        return Err(bad("`to` is after `from`, by at most 92 days"));
    }
    let (party, vehicle) = (owner.party, query.vehicle);
    let days = app.read(move |tx| Ok(income_days(tx, party, vehicle, (from, to))?)).await?;
    Ok(HttpResponse::Ok().json(days.into_iter().map(Day::new).collect::<Vec<_>>()))
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewRedemption {
    /// Credits to change.
    #[garde(skip)]
    #[schema(value_type = String, example = "12.500000")]
    credits: Amount,
    /// What they are changed into: the currency that they are redeemable in.
    #[garde(length(min = 1, max = 16))]
    #[schema(example = "USD")]
    currency: String,
}

/// Credits that were changed into cash.
#[derive(Serialize, ToSchema)]
struct Redeemed {
    #[schema(value_type = String)]
    transaction: store::TransactionId,
    /// What you have now.
    cash: Money,
    credits: Money,
}

/// Change credits into cash
///
/// By the published rate, where the law of every region that your cars park in allows it. They do not expire.
#[utoipa::path(operation_id = "redeem_credits", tag = "owners", security(("bearer" = [])),
    request_body = NewRedemption,
    params(("Idempotency-Key" = String, Header, description = "A new random key for new work.")),
    responses((status = 201, description = "Done.", body = Redeemed),
        (status = 403, description = "`not_allowed_here`, or your role may not do this.",
            body = ProblemBody, content_type = "application/problem+json")))]
#[post("/v1/earnings/redemptions")]
async fn redeem(
    app: App,
    owner: Owner,
    key: IdempotencyKey,
    body: Body<NewRedemption>,
) -> Result<HttpResponse> {
    let party = owner.party;
    let Body { value: NewRedemption { credits, currency }, fingerprint } = body;
    key.once(&app.store, party, fingerprint, StatusCode::CREATED, move |tx| {
        if !fleet::laws_of(tx, party)?.iter().all(|law| law.cash_out) {
            return Err(Problem::new(Code::NotAllowedHere));
        }
        let id: store::MailId = tx.id();
        let redemption = ledger::chart::Redemption {
            key: format!("redemption:{id}"),
            owner: party,
            asset: currency.clone(),
            credits,
        };
        let posted = ledger::chart::redeem(tx, &redemption)?;
        let cash = ledger::party_balance(tx, Account::OwnerCash, party, &currency)?;
        let left = ledger::party_balance(tx, Account::OwnerCredits, party, "CREDIT")?;
        Ok(Redeemed {
            transaction: posted.id,
            cash: Money::new(cash.posted, &currency),
            credits: Money::new(left.posted, "CREDIT"),
        })
    })
    .await
}
