//! Quotes: what a bid would get now, what it would have got, and what a job would cost and take.
//! Nothing is stored, nothing is held.

use std::collections::BTreeMap;

use diesel::prelude::*;
use store::schema::hardware_class;
use store::{Amount, BidId, JobId, PartyId, Rounding, Store, Timestamp, Tx, mul_div};

use super::book::open_book;
use super::explain::{BidOutcome, Fate, TickRef, fold_outcome};
use super::fit::Waits;
use super::history::{CellFilter, CellPrice, each_price, per_hw4_hour};
use super::leader::{Reign, observe};
use super::record::Record;
use super::snapshot::{Demand, Snapshot, load_snapshot};
use super::tick::clear;
use crate::job::{NewBid, check_quote};
use crate::{Config, DataClass, Error, LeftOut, Permits, Purpose, Result};

/// What is asked about.
#[derive(Clone, Debug)]
pub struct QuoteRequest {
    pub purpose: Purpose,
    pub data_class: DataClass,
    pub bid: NewBid,
    /// How far to look back, hours, 1 to 168.
    pub hours: i64,
    pub work: Option<Work>,
}

/// Tasks, and how long one takes on hw4.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// 1 to 10,000.
    pub tasks: i64,
    /// 1 to 86,400.
    pub task_s: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    pub asset: String,
    /// As of now; its tick has no clearing.
    pub now: BidOutcome,
    pub past: Past,
    pub estimate: Option<Estimate>,
}

/// The prices per hw4-equivalent hour, of the cheapest cell it accepts, tick by tick.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// Ticks in which a cell that it accepts sold, and those in which its price would have won.
    pub ticks: i64,
    pub won: i64,
    pub least: Option<Amount>,
    pub median: Option<Amount>,
    pub most: Option<Amount>,
}

pub const PAST_METHOD: &str = "In each tick in which a cell that the bid accepts sold, the least \
    clearing price of these cells per hw4-equivalent hour. The bid would have won a car in a tick \
    if its price was above that, or the same, on the assumption that it would not have moved the \
    price itself: true of small bids only.";

/// What a job would cost and take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// At the least price of the past that it would have won at, at the median, and at its own.
    pub cost_low: Amount,
    pub cost_median: Amount,
    pub cost_high: Amount,
    pub within_budget: bool,
    /// Seconds to the end of the last task. The greatest is none where it never would have won.
    pub finish_low_s: i64,
    pub finish_high_s: Option<i64>,
}

pub const ESTIMATE_METHOD: &str = "Cost: tasks × seconds on hw4 × price, at the least and the \
    median price of the past hours up to the bid's own, and at the bid's own price. Finish: at \
    best all lanes are had at once in the fastest class it accepts; at worst those that it would \
    win now (one at least) in the slowest, and for no greater part of the time than that in which \
    it would have won in the past hours. Vacated cars, retries and the rounding of leases are left \
    out, and it has not been tested against what came.";

/// # Errors
/// [`Error::NotFound`] for an unknown market; [`Error::Invalid`] as for a job, with pointers into
/// `/bid`, and for `/hours`, `/work/tasks` and `/work/task_seconds` out of range.
pub fn quote(
    store: &Store,
    config: &Config,
    customer: PartyId,
    market: &str,
    request: &QuoteRequest,
) -> Result<Quote> {
    let (reign, snapshot, past) = store.read(|tx| {
        super::known(tx, market)?;
        check(tx, market, request)?;
        let past = load_past(tx, market, request)?;
        Ok::<_, Error>((observe(tx, market)?, load_snapshot(tx, config, market)?, past))
    })?;
    let speeds = speeds(&snapshot, &request.bid);
    let now = dry_run(&reign, snapshot, config, customer, request)?;
    let estimate = match request.work {
        Some(work) => Some(plan_estimate(work, &request.bid, &past, now.won, speeds)?),
        None => None,
    };
    Ok(Quote { asset: reign.row.asset, now, past: past.summary(request.bid.price), estimate })
}

fn check(tx: &mut Tx<'_>, market: &str, request: &QuoteRequest) -> Result<()> {
    check_quote(tx, market, &request.bid)?;
    let within = |value: i64, most: i64, pointer| match (1..=most).contains(&value) {
        true => Ok(()),
        false => Err(Error::invalid(pointer, format!("1 to {most}"))),
    };
    within(request.hours, 168, "/hours")?;
    if let Some(work) = request.work {
        within(work.tasks, 10_000, "/work/tasks")?;
        within(work.task_s, 86_400, "/work/task_seconds")?;
    }
    Ok(())
}

/// Clears the market as it is with the bid in it.
fn dry_run(
    reign: &Reign,
    mut snapshot: Snapshot,
    config: &Config,
    customer: PartyId,
    request: &QuoteRequest,
) -> Result<BidOutcome> {
    let demand = demand(&snapshot, customer, request);
    let id = demand.bid;
    snapshot.demand.push(demand);
    let mut open = open_book(reign, &snapshot, config)?;
    if open.exhausted.iter().any(|(job, _)| *job == JobId::NIL) {
        open.left_out.push((id, LeftOut::Budget));
    }
    let result = clear(&open)?;
    let record = Record { cells: open.cells, book: open.book, result, left_out: open.left_out };
    let tick = TickRef { clearing: store::ClearingId::NIL, tick: reign.row.tick, at: snapshot.now };
    Ok(fold_outcome(id, tick, &record, vec![]))
}

/// The newest of all bids: last among equals.
fn demand(snapshot: &Snapshot, customer: PartyId, request: &QuoteRequest) -> Demand {
    let bid = &request.bid;
    let lanes = i64::from(bid.lanes);
    let lanes = request.work.map_or(lanes, |work| lanes.min(work.tasks));
    Demand {
        job: JobId::NIL,
        customer,
        bid: BidId::from_bytes([0xff; 16]),
        placed_at: snapshot.now,
        price: bid.price,
        purpose: request.purpose,
        data_class: request.data_class,
        regions: bid.regions.clone(),
        classes: bid.classes.clone(),
        deadline: bid.deadline,
        expires_at: bid.expires_at,
        short_leases: bid.short_leases,
        lanes,
        min_fill: i64::from(bid.min_fill).clamp(1, lanes),
        free: bid.budget,
        live: 0,
        waits: Waits::default(),
    }
}

/// Prices by tick, cheapest cell only, sorted.
struct Prices(Vec<i64>);

impl Prices {
    fn up_to(&self, price: Amount) -> &[i64] {
        &self.0[..self.0.partition_point(|past| *past <= price.0)]
    }

    fn summary(&self, price: Amount) -> Past {
        let count = |prices: &[i64]| i64::try_from(prices.len()).unwrap_or(i64::MAX);
        Past {
            ticks: count(&self.0),
            won: count(self.up_to(price)),
            least: self.0.first().copied().map(Amount),
            median: median(&self.0),
            most: self.0.last().copied().map(Amount),
        }
    }
}

/// The lower one of two.
fn median(sorted: &[i64]) -> Option<Amount> {
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().map(Amount)
}

fn load_past(tx: &mut Tx<'_>, market: &str, request: &QuoteRequest) -> Result<Prices> {
    let speeds: Vec<(String, i32)> = hardware_class::table
        .select((hardware_class::id, hardware_class::speed_ppm))
        .load(tx.conn)?;
    let speeds: BTreeMap<String, u32> =
        speeds.into_iter().map(|(id, ppm)| (id, ppm.unsigned_abs())).collect();
    let from = tx.now.plus_s(-request.hours * 3_600);
    let mut cheapest: BTreeMap<i64, i64> = BTreeMap::new();
    let any = CellFilter::default();
    each_price(tx, market, &any, from, Timestamp(i64::MAX), |row| {
        let speed = speeds.get(&row.class).copied().filter(|_| accepts(request, &row));
        if let Some(price) = speed.and_then(|speed| per_hw4_hour(row.price.0, speed)) {
            let least = cheapest.entry(row.tick).or_insert(price);
            *least = price.min(*least);
        }
        true
    })?;
    let mut prices: Vec<i64> = cheapest.into_values().collect();
    prices.sort_unstable();
    Ok(Prices(prices))
}

fn accepts(request: &QuoteRequest, row: &CellPrice) -> bool {
    let has = |list: &[String], word: &String| list.is_empty() || list.contains(word);
    Permits(row.permits).allows(request.purpose, request.data_class)
        && has(&request.bid.regions, &row.region)
        && has(&request.bid.classes, &row.class)
}

/// The slowest and the fastest class that the bid accepts.
fn speeds(snapshot: &Snapshot, bid: &NewBid) -> (u32, u32) {
    let accepted = snapshot.speeds.iter();
    let accepted = accepted.filter(|(id, _)| bid.classes.is_empty() || bid.classes.contains(id));
    let speeds: Vec<u32> = accepted.map(|(_, speed)| *speed).collect();
    let slowest = speeds.iter().min().copied().unwrap_or(1_000_000);
    (slowest, speeds.iter().max().copied().unwrap_or(slowest))
}

fn plan_estimate(
    work: Work,
    bid: &NewBid,
    past: &Prices,
    won_now: i64,
    (slowest, fastest): (u32, u32),
) -> Result<Estimate> {
    let overflow = || Error::invalid("/work", "so much work has no price");
    let cost = |price: i64| {
        let seconds = work.tasks * work.task_s;
        mul_div(price, seconds, 3_600, Rounding::Up).map(Amount).ok_or_else(overflow)
    };
    let won = past.up_to(bid.price);
    let cost_high = cost(bid.price.0)?;
    let finish = |lanes: i64, speed: u32| {
        let waves = work.tasks / lanes + i64::from(work.tasks % lanes != 0);
        let each = mul_div(work.task_s, 1_000_000, speed.max(1).into(), Rounding::Up);
        each.and_then(|each| each.checked_mul(waves)).ok_or_else(overflow)
    };
    let lanes = i64::from(bid.lanes).max(1);
    let slow = finish(won_now.clamp(1, lanes), slowest)?;
    let (ticks, wins) = (past.0.len() as i64, won.len() as i64);
    Ok(Estimate {
        cost_low: won.first().map_or(Ok(cost_high), |price| cost(*price))?,
        cost_median: median(won).map_or(Ok(cost_high), |price| cost(price.0))?,
        cost_high,
        within_budget: cost_high <= bid.budget,
        finish_low_s: finish(lanes, fastest)?,
        finish_high_s: mul_div(slow, ticks, wins, Rounding::Up),
    })
}

/// Whether the bid would win something now.
pub fn would_clear(quote: &Quote) -> bool {
    matches!(quote.now.fate, Fate::Filled | Fate::Partly)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bid(price: i64, lanes: i32, budget: i64) -> NewBid {
        NewBid {
            price: Amount(price),
            lanes,
            budget: Amount(budget),
            currency: "USD".to_owned(),
            regions: vec![],
            classes: vec![],
            deadline: None,
            min_fill: 1,
            short_leases: true,
            expires_at: None,
        }
    }

    #[test]
    fn an_estimate_is_a_range() {
        let past = Prices(vec![100_000, 200_000, 300_000, 900_000]);
        let work = Work { tasks: 10, task_s: 360 };
        let told = plan_estimate(work, &bid(400_000, 4, 400_000), &past, 2, (500_000, 4_000_000));
        assert_eq!(
            told.unwrap(),
            Estimate {
                // An hour of hw4 in all.
                cost_low: Amount(100_000),
                cost_median: Amount(200_000),
                cost_high: Amount(400_000),
                within_budget: true,
                // Three waves of 90 s; five of 720 s, for three quarters of the time.
                finish_low_s: 270,
                finish_high_s: Some(4_800),
            }
        );
        let summary = past.summary(Amount(400_000));
        assert_eq!((summary.ticks, summary.won, summary.median), (4, 3, Some(Amount(200_000))));
    }

    #[test]
    fn without_a_past_there_is_no_end_in_sight() {
        let (past, work) = (Prices(vec![]), Work { tasks: 1, task_s: 1 });
        let told = plan_estimate(work, &bid(3_600, 1, 0), &past, 0, (500_000, 500_000)).unwrap();
        assert_eq!((told.cost_low, told.cost_high), (Amount(1), Amount(1)));
        assert_eq!((told.finish_low_s, told.finish_high_s), (2, None));
        assert!(!told.within_budget);
        assert_eq!(past.summary(Amount(1)), Past::default());
    }
}
