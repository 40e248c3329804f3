//! From supply and demand to a book that prices can be found for. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pricing::{Bid, Book, Cap, Cell, Level, lane_value};
use store::{Amount, BidId, JobId, PartyId, Rounding, Timestamp, mul_div};

use super::fit::{Owners, owners};
use super::leader::Reign;
use super::snapshot::{Demand, Snapshot};
use super::supply::{ask, cell_of, lease_s};
use super::{CellKey, CellRef};
use crate::{Config, Error, LeftOut, Result};

/// A book, and what its numbers stand for.
#[derive(Clone, Debug)]
pub(super) struct OpenBook {
    pub book: Book,
    /// By cell id.
    pub cells: Vec<CellKey>,
    /// What a bid's leases are: by bid id.
    pub terms: BTreeMap<u128, Terms>,
    /// Who waits and is not in the book.
    pub left_out: Vec<(BidId, LeftOut)>,
    /// Jobs whose budget does not reach for one more lease, though they have none that runs, and
    /// what is left of it.
    pub exhausted: Vec<(JobId, Amount)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub bid: BidId,
    pub job: JobId,
    pub free: Amount,
    pub wanted: i64,
    pub min_fill: i64,
    pub deadline: Option<Timestamp>,
}

/// Counts the cars by cell and reserve, and puts each bid on the cells that it accepts.
pub(super) fn open_book(reign: &Reign, snapshot: &Snapshot, config: &Config) -> Result<OpenBook> {
    let supply = count_supply(reign, snapshot, config)?;
    let mut open = OpenBook {
        cells: supply.iter().map(|(key, _)| key.to_key()).collect(),
        book: Book {
            grid: reign.row.grid,
            k_ppm: config.price_rule_ppm,
            caps: caps(snapshot, config),
            ..Book::default()
        },
        terms: BTreeMap::new(),
        left_out: vec![],
        exhausted: vec![],
    };
    for ((key, levels), id) in supply.into_iter().zip(0..) {
        let levels = levels.into_iter().map(|(reserve, lanes)| Level { reserve, lanes }).collect();
        open.book.cells.push(Cell { id, speed_ppm: speed(snapshot, key.class)?, levels });
    }
    let owners = owners(snapshot, config);
    for demand in &snapshot.demand {
        match plan_bid(&open.cells, demand, snapshot, &owners, config)? {
            Ok(bid) => {
                open.terms.insert(bid.id, terms(demand));
                open.book.bids.push(bid);
            }
            Err(LeftOut::Budget) if demand.live == 0 => {
                open.exhausted.push((demand.job, demand.free));
            }
            Err(why) => open.left_out.push((demand.bid, why)),
        }
    }
    Ok(open)
}

type Supply<'a> = Vec<(CellRef<'a>, BTreeMap<i64, u32>)>;

/// Cars by cell and ask, cells in the order of their keys.
fn count_supply<'a>(reign: &Reign, snapshot: &'a Snapshot, config: &Config) -> Result<Supply<'a>> {
    let mut supply: HashMap<CellRef<'_>, BTreeMap<i64, u32>> = HashMap::new();
    for car in snapshot.cars.iter().filter(|car| !snapshot.halted.contains(&car.region)) {
        if let Some(key) = cell_of(car, snapshot.now, config) {
            *supply.entry(key).or_default().entry(ask(reign, car.reserve)?).or_default() += 1;
        }
    }
    let mut supply: Supply<'_> = supply.into_iter().collect();
    supply.sort_unstable_by_key(|(key, _)| *key);
    Ok(supply)
}

/// What each customer may still have of its share of all lanes, at work or idle.
fn caps(snapshot: &Snapshot, config: &Config) -> Vec<Cap> {
    if config.share_cap_ppm >= 1_000_000 {
        return vec![];
    }
    let share = mul_div(snapshot.lanes(), config.share_cap_ppm.into(), 1_000_000, Rounding::Down);
    // One car at least: a share of a small market is not nothing.
    let share = share.unwrap_or(0).max(1);
    let customers: BTreeSet<PartyId> =
        snapshot.demand.iter().map(|demand| demand.customer).collect();
    let cap = |id: PartyId| {
        let has = snapshot.leased_to.get(&id).copied().unwrap_or(0);
        Cap { customer: number(id.as_bytes()), lanes: clamp_lanes((share - has).max(0)) }
    };
    customers.into_iter().map(cap).collect()
}

pub(super) fn number(bytes: &[u8; 16]) -> u128 {
    u128::from_be_bytes(*bytes)
}

fn clamp_lanes(lanes: i64) -> u32 {
    u32::try_from(lanes).unwrap_or(u32::MAX)
}

pub(super) fn speed(snapshot: &Snapshot, class: &str) -> Result<u32> {
    let speed = snapshot.speeds.get(class).copied();
    speed.ok_or_else(|| Error::corrupt(format!("no hardware class {class}")))
}

fn terms(demand: &Demand) -> Terms {
    Terms {
        bid: demand.bid,
        job: demand.job,
        free: demand.free,
        wanted: demand.lanes,
        min_fill: demand.min_fill,
        deadline: demand.deadline,
    }
}

/// The bid as the book has it, or why it is not in there.
pub(super) fn plan_bid(
    cells: &[CellKey],
    demand: &Demand,
    snapshot: &Snapshot,
    owners: &Owners<'_>,
    config: &Config,
) -> Result<std::result::Result<Bid, LeftOut>> {
    if demand.expires_at.is_some_and(|at| at <= snapshot.now) {
        return Ok(Err(LeftOut::Expired));
    }
    if !has_budget(demand, snapshot, config)? {
        return Ok(Err(LeftOut::Budget));
    }
    let takes = |key: &CellKey| {
        accepts(demand, key, snapshot.now, config) && demand.waits.fit_cell(key, owners)
    };
    let accepted: Vec<(u32, &CellKey)> = (0..).zip(cells).filter(|(_, key)| takes(key)).collect();
    if accepted.is_empty() {
        let halted = |id: &String| snapshot.halted.contains(id);
        let all = !demand.regions.is_empty() && demand.regions.iter().all(halted);
        return Ok(Err(if all { LeftOut::Halted } else { LeftOut::NoSupply }));
    }
    let mut dearest = 0;
    for (_, key) in &accepted {
        dearest = lane_value(demand.price.0, speed(snapshot, &key.class)?).max(dearest);
    }
    // A cap that cannot bind is none: it would only make the clearing harder.
    let rate = rate(demand.free, config);
    let binds = i128::from(demand.lanes) * i128::from(dearest) > i128::from(rate);
    Ok(Ok(Bid {
        id: number(demand.bid.as_bytes()),
        time: demand.placed_at.0,
        price: demand.price.0,
        lanes: clamp_lanes(demand.lanes),
        cells: accepted.into_iter().map(|(id, _)| id).collect(),
        min_fill: clamp_lanes(demand.min_fill),
        budget: binds.then_some(rate),
        customer: Some(number(demand.customer.as_bytes())),
    }))
}

/// The most that can be paid per hour for all lanes together, if they run no longer than the
/// shortest lease.
fn rate(free: Amount, config: &Config) -> i64 {
    mul_div(free.0, 3_600, config.min_term_s.max(1).into(), Rounding::Down).unwrap_or(i64::MAX)
}

/// Whether one more lease, the shortest in the slowest class, is affordable at the bid's own price.
fn has_budget(demand: &Demand, snapshot: &Snapshot, config: &Config) -> Result<bool> {
    let rate = rate(demand.free, config);
    let classes = snapshot.speeds.iter().filter(|(class, _)| has(&demand.classes, class));
    let least = classes.map(|(_, speed)| lane_value(demand.price.0, *speed)).min();
    let least = least.ok_or_else(|| Error::corrupt("a bid of no hardware class"))?;
    Ok(demand.free.is_positive() && least <= rate)
}

/// An empty list is any.
fn has(list: &[String], word: &str) -> bool {
    list.is_empty() || list.iter().any(|item| item == word)
}

/// Whoever takes no short leases still takes a car that stays until the deadline.
fn accepts(demand: &Demand, key: &CellKey, now: Timestamp, config: &Config) -> bool {
    let lasts = i64::from(lease_s(key.stay, config)).saturating_mul(1_000_000);
    let needs = i64::from(config.term_s).saturating_mul(1_000_000);
    let needs = demand.deadline.map_or(needs, |deadline| deadline.since(now).min(needs));
    key.permits.allows(demand.purpose, demand.data_class)
        && has(&demand.regions, &key.region)
        && has(&demand.classes, &key.class)
        && (demand.short_leases || lasts >= needs)
}
