//! A job's bid: what became of it in a tick, and changing it while the job runs.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, get, patch, web};
use garde::Validate;
use scheduler::Stay;
use scheduler::job::BidChange;
use scheduler::market::{self, BidOutcome, Fate, Reason, SetterView, Why, explain_bid};
use serde::{Deserialize, Serialize};
use store::{Amount, ClearingId, JobId, Timestamp};
use utoipa::{IntoParams, ToSchema};

use super::model::{Bid, Job};
use crate::app::App;
use crate::auth::Customer;
use crate::body::Body;
use crate::money::Money;
use crate::problem::{Code, Problem, ProblemBody, Result};

/// A bid as it stands, and what became of it.
#[derive(Serialize, ToSchema)]
pub struct BidReport {
    bid: Bid,
    /// None before the first tick.
    outcome: Option<Outcome>,
}

#[derive(Serialize, ToSchema)]
struct Outcome {
    #[schema(value_type = String, example = "clearing_01kayz3v8ne7m9xqk2y4t6w8b0")]
    clearing: ClearingId,
    tick: i64,
    #[schema(value_type = String, format = "date-time")]
    at: Timestamp,
    /// `filled`, `partly_filled`, `unfilled`, `not_in_book` (it waited, and `reason` says why it
    /// was not considered) or `not_waiting` (the job has as many cars as it may or can use).
    state: &'static str,
    /// Cars it wanted on top of those it had, and those it won.
    wanted: i64,
    won: i64,
    /// Of those won, the lanes that found no car, by reason.
    unplaced: BTreeMap<&'static str, i64>,
    /// Why it won no more: `no_supply`, `price_too_low`, `outbid`, `sold_out`, `min_fill`,
    /// `budget`, `share_cap`, `expired` or `halted`.
    reason: Option<&'static str>,
    /// The maximum price, per hw4-equivalent hour, that would have won one more car (or the
    /// minimum fill), all else as it was.
    would_have_won: Option<Money>,
    /// What the cars won and one more cost per hour, at least, if the budget is what was short.
    would_have_cost: Option<Money>,
    /// The cells it accepts: those it won in first, then the cheapest; at most 100.
    cells: Vec<CellOutcome>,
}

/// A cell that the bid accepts, prices per lane-hour.
#[derive(Serialize, ToSchema)]
pub struct CellOutcome {
    region: String,
    class: String,
    /// Bit set of what the cell's owners allow.
    permits: i32,
    #[schema(value_type = String, example = "term")]
    stay: Stay,
    /// Cars won here.
    lanes: i64,
    /// One for all who won here; none if nothing was sold.
    price: Option<Money>,
    /// The least and the greatest that would have cleared.
    low: Money,
    high: Money,
    /// What an hour of a car here was worth to the bid.
    worth: Money,
    /// What keeps the price from being lower: `reserve` of the dearest car sold, `own_bid`,
    /// `another_bid` that went short, or `nothing`.
    set_by: &'static str,
    /// That reserve, with the fee on top.
    set_at: Option<Money>,
}

impl Outcome {
    fn new(outcome: BidOutcome, asset: &str) -> Self {
        let money = |amount: i64| Money::new(Amount(amount), asset);
        let (reason, won, cost) = outcome.why.as_ref().map_or((None, None, None), explain);
        let mut unplaced = BTreeMap::new();
        for lost in &outcome.lost {
            *unplaced.entry(lost.reason.as_str()).or_default() += i64::from(lost.lanes);
        }
        Self {
            clearing: outcome.tick.clearing,
            tick: outcome.tick.tick,
            at: outcome.tick.at,
            state: match outcome.fate {
                Fate::Filled => "filled",
                Fate::Partly => "partly_filled",
                Fate::Unfilled => "unfilled",
                Fate::NotInBook => "not_in_book",
                Fate::NotWaiting => "not_waiting",
            },
            wanted: outcome.wanted,
            won: outcome.won,
            unplaced,
            reason,
            would_have_won: won.map(money),
            would_have_cost: cost.map(money),
            cells: outcome.cells.into_iter().map(|cell| CellOutcome::new(cell, asset)).collect(),
        }
    }
}

/// The word for it, the price that would have won, and what it would have cost; a price that does
/// not fit is none.
pub(crate) fn explain(why: &Why) -> (Option<&'static str>, Option<i64>, Option<i64>) {
    let (word, won, cost) = match why {
        Why::LeftOut(left_out) => (left_out.as_str(), None, None),
        Why::Short(reason) => match reason {
            Reason::NoSupply => ("no_supply", None, None),
            Reason::PriceTooLow { would_win } => ("price_too_low", Some(*would_win), None),
            Reason::Outbid { would_win } => ("outbid", Some(*would_win), None),
            Reason::SoldOut => ("sold_out", None, None),
            Reason::MinFill { would_win } => ("min_fill", Some(*would_win), None),
            Reason::Budget { would_need } => ("budget", None, Some(*would_need)),
            Reason::ShareCap => ("share_cap", None, None),
        },
    };
    (Some(word), won.filter(|price| *price < i64::MAX), cost.filter(|cost| *cost < i64::MAX))
}

impl CellOutcome {
    pub fn new(cell: market::CellOutcome, asset: &str) -> Self {
        let money = |amount: Amount| Money::new(amount, asset);
        let (set_by, set_at) = set_by(cell.set_by);
        Self {
            region: cell.key.region,
            class: cell.key.class,
            permits: cell.key.permits.0,
            stay: cell.key.stay,
            lanes: cell.lanes,
            price: cell.price.map(money),
            low: money(cell.low),
            high: money(cell.high),
            worth: money(cell.worth),
            set_by,
            set_at: set_at.map(money),
        }
    }
}

pub(crate) fn set_by(setter: SetterView) -> (&'static str, Option<Amount>) {
    match setter {
        SetterView::Nothing => ("nothing", None),
        SetterView::Reserve(reserve) => ("reserve", Some(reserve)),
        SetterView::OwnBid => ("own_bid", None),
        SetterView::AnotherBid => ("another_bid", None),
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TickQuery {
    /// A tick of `/v1/markets/{id}/ticks`; the last that had the bid if not named.
    tick: Option<i64>,
}

/// Explain a job's bid
///
/// Whether it was filled in a tick, why not, and what would have won.
#[utoipa::path(operation_id = "show_bid", tag = "jobs", security(("bearer" = [])),
    params(("id" = String, Path, description = "The job."), TickQuery),
    responses((status = 200, description = "The bid and what became of it.", body = BidReport)))]
#[get("/v1/jobs/{id}/bid")]
pub async fn show(
    app: App,
    customer: Customer,
    id: web::Path<JobId>,
    query: web::Query<TickQuery>,
) -> Result<HttpResponse> {
    let party = customer.party;
    let report = app
        .read(move |tx| {
            let outcome = explain_bid(tx, party, *id, query.tick)?;
            let view = scheduler::job::load(tx, party, *id)?;
            let outcome = outcome.map(|outcome| Outcome::new(outcome, &view.asset));
            Ok(BidReport { bid: Job::from(view).bid, outcome })
        })
        .await?;
    Ok(HttpResponse::Ok().json(report))
}

/// What is not named stays. The budget cannot be changed: it is held.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeBid {
    /// Most you pay from the next tick on, per hw4-equivalent hour.
    #[garde(dive)]
    max_price: Option<Money>,
    /// When the bid takes no more cars.
    #[garde(skip)]
    #[schema(value_type = Option<String>, format = "date-time")]
    expires_at: Option<Timestamp>,
}

/// Change the bid of a live job
///
/// From the next tick on; leases that run keep their price. Among equal prices a new one goes last.
#[utoipa::path(operation_id = "change_bid", tag = "jobs", security(("bearer" = [])),
    request_body = ChangeBid,
    params(("id" = String, Path, description = "The job.")),
    responses(
        (status = 200, description = "The job.", body = Job),
        (status = 409, description = "`wrong_state`: it has ended.", body = ProblemBody,
            content_type = "application/problem+json"),
    ))]
#[patch("/v1/jobs/{id}/bid")]
pub async fn change(
    app: App,
    customer: Customer,
    id: web::Path<JobId>,
    body: Body<ChangeBid>,
) -> Result<HttpResponse> {
    let party = customer.party;
    let ChangeBid { max_price, expires_at } = body.value;
    let view = app
        .write(move |tx| {
            let asset = scheduler::job::load(tx, party, *id)?.asset;
            if max_price.as_ref().is_some_and(|price| price.currency != asset) {
                let why = format!("the market settles in {asset}");
                return Err(Problem::new(Code::InvalidBody).at("/max_price/currency", why));
            }
            let change = BidChange { price: max_price.map(|price| price.amount), expires_at };
            scheduler::job::change_bid(tx, party, *id, &change)?;
            Ok(scheduler::job::load(tx, party, *id)?)
        })
        .await?;
    Ok(HttpResponse::Ok().json(Job::from(view)))
}
