//! Quotes: nothing is stored, nothing is held.

use actix_web::{HttpResponse, post, web};
use garde::Validate;
use scheduler::market::{
    ESTIMATE_METHOD, Estimate, PAST_METHOD, Past, QuoteRequest, quote, would_clear,
};
use scheduler::{DataClass, Purpose};
use serde::{Deserialize, Serialize};
use store::{Amount, Timestamp};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::auth::Customer;
use crate::body::Body;
use crate::job::{CellOutcome, NewBid, explain};
use crate::money::Money;
use crate::problem::{Problem, Result};

pub fn configure(routes: &mut ServiceConfig<'_>) {
    routes.service(ask);
}

/// A bid that you may make: nothing is stored, nothing is held.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewQuote {
    #[garde(skip)]
    #[schema(value_type = String, example = "simulation")]
    purpose: Purpose,
    #[garde(skip)]
    #[schema(value_type = String, example = "synthetic")]
    data_class: DataClass,
    #[garde(dive)]
    bid: NewBid,
    /// How far to look back, hours.
    #[serde(default = "a_day")]
    #[garde(skip)]
    #[schema(minimum = 1, maximum = 168, default = 24)]
    hours: i64,
    /// For cost and finish.
    #[serde(default)]
    #[garde(dive)]
    work: Option<Work>,
}

fn a_day() -> i64 {
    24
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct Work {
    #[garde(skip)]
    #[schema(minimum = 1, maximum = 10_000)]
    tasks: i64,
    /// What one takes on hw4.
    #[garde(skip)]
    #[schema(minimum = 1, maximum = 86_400)]
    task_seconds: i64,
}

#[derive(Serialize, ToSchema)]
struct Quote {
    now: Now,
    past: PastView,
    /// If `work` was named.
    estimate: Option<EstimateView>,
}

/// The market cleared with the bid in it, as it is at this moment.
#[derive(Serialize, ToSchema)]
struct Now {
    #[schema(value_type = String, format = "date-time")]
    at: Timestamp,
    /// Whether it would win a car.
    would_clear: bool,
    wanted: i64,
    won: i64,
    /// Why it would win no more, as in `/v1/jobs/{id}/bid`.
    reason: Option<&'static str>,
    /// The maximum price that would win one more car (or the minimum fill).
    would_win: Option<Money>,
    /// The cells it accepts, with their prices: those it would win in first; at most 100.
    cells: Vec<CellOutcome>,
}

/// Prices per hw4-equivalent hour of the cheapest cell it accepts, tick by tick.
#[derive(Serialize, ToSchema)]
struct PastView {
    method: &'static str,
    hours: i64,
    /// Ticks that sold, and those in which the bid's price would have won.
    ticks: i64,
    won: i64,
    least: Option<Money>,
    median: Option<Money>,
    most: Option<Money>,
}

impl PastView {
    fn new(past: Past, hours: i64, asset: &str) -> Self {
        let money = |amount: Option<Amount>| amount.map(|amount| Money::new(amount, asset));
        Self {
            method: PAST_METHOD,
            hours,
            ticks: past.ticks,
            won: past.won,
            least: money(past.least),
            median: money(past.median),
            most: money(past.most),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct EstimateView {
    method: &'static str,
    cost: CostRange,
    /// Whether the budget reaches at the bid's own price.
    within_budget: bool,
    finish: FinishRange,
}

#[derive(Serialize, ToSchema)]
struct CostRange {
    low: Money,
    median: Money,
    high: Money,
}

/// Seconds, and the moments that they make from now.
#[derive(Serialize, ToSchema)]
struct FinishRange {
    low_s: i64,
    #[schema(value_type = String, format = "date-time")]
    earliest: Timestamp,
    /// None where the bid never would have won.
    high_s: Option<i64>,
    #[schema(value_type = Option<String>, format = "date-time")]
    latest: Option<Timestamp>,
}

impl EstimateView {
    fn new(estimate: Estimate, now: Timestamp, asset: &str) -> Self {
        let money = |amount: Amount| Money::new(amount, asset);
        Self {
            method: ESTIMATE_METHOD,
            cost: CostRange {
                low: money(estimate.cost_low),
                median: money(estimate.cost_median),
                high: money(estimate.cost_high),
            },
            within_budget: estimate.within_budget,
            finish: FinishRange {
                low_s: estimate.finish_low_s,
                earliest: now.plus_s(estimate.finish_low_s),
                high_s: estimate.finish_high_s,
                latest: estimate.finish_high_s.map(|seconds| now.plus_s(seconds)),
            },
        }
    }
}

/// Ask for a quote
///
/// Would this bid win now, at what price; what would have won over the last hours; and what a job
/// would cost and take. Stores nothing and holds nothing; it is no promise.
#[utoipa::path(operation_id = "ask_quote", tag = "market", security(("bearer" = [])),
    request_body = NewQuote,
    params(("id" = String, Path, description = "The market.")),
    responses((status = 200, description = "The quote.", body = Quote)))]
#[post("/v1/markets/{id}/quotes")]
async fn ask(
    app: App,
    customer: Customer,
    id: web::Path<String>,
    body: Body<NewQuote>,
) -> Result<HttpResponse> {
    let party = customer.party;
    let request = body.value.into_domain()?;
    // Each clears a whole market: one at a time, or quotes would starve everything else.
    let _turn = app.quotes.acquire().await.map_err(Problem::internal)?;
    let (store, config) = (app.store.clone(), app.scheduler.clone());
    let hours = request.hours;
    let told = web::block(move || quote(&store, &config, party, &id, &request)).await??;
    Ok(HttpResponse::Ok().json(Quote::new(told, hours)))
}

impl NewQuote {
    fn into_domain(self) -> Result<QuoteRequest> {
        Ok(QuoteRequest {
            purpose: self.purpose,
            data_class: self.data_class,
            bid: self.bid.into_domain()?,
            hours: self.hours,
            work: self.work.map(|work| scheduler::market::Work {
                tasks: work.tasks,
                task_s: work.task_seconds,
            }),
        })
    }
}

impl Quote {
    fn new(told: scheduler::market::Quote, hours: i64) -> Self {
        let asset = told.asset.clone();
        let would_clear = would_clear(&told);
        let (reason, would_win, _) = told.now.why.as_ref().map_or((None, None, None), explain);
        let at = told.now.tick.at;
        Self {
            now: Now {
                at,
                would_clear,
                wanted: told.now.wanted,
                won: told.now.won,
                reason,
                would_win: would_win.map(|price| Money::new(Amount(price), &asset)),
                cells: told
                    .now
                    .cells
                    .into_iter()
                    .map(|cell| CellOutcome::new(cell, &asset))
                    .collect(),
            },
            past: PastView::new(told.past, hours, &asset),
            estimate: told.estimate.map(|estimate| EstimateView::new(estimate, at, &asset)),
        }
    }
}
