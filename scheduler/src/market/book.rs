//! From supply and demand to a book that prices can be found for. Pure.

use std::collections::BTreeMap;

use pricing::{Bid, Book, Cell, Level, gross_reserve, lane_value};
use store::{Amount, JobId, Rounding, mul_div};

use super::CellKey;
use super::leader::MarketRow;
use super::snapshot::{Demand, IdleCar, Snapshot};
use crate::{Config, Error, Result};

/// A book, and what its numbers stand for.
#[derive(Clone, Debug)]
pub(super) struct OpenBook {
    pub book: Book,
    /// By cell id.
    pub cells: Vec<CellKey>,
    /// What a bid's leases are: by bid id.
    pub terms: BTreeMap<u128, Terms>,
    /// Jobs whose budget does not reach for one more lease, though they have none that runs.
    pub exhausted: Vec<JobId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub job: JobId,
    pub term_s: i32,
}

/// Counts the cars by cell and reserve, and cuts each bid to its budget.
pub(super) fn open_book(
    market: &MarketRow,
    snapshot: &Snapshot,
    config: &Config,
) -> Result<OpenBook> {
    let supply = count_supply(market, &snapshot.cars)?;
    let cells: Vec<CellKey> = supply.keys().cloned().collect();
    let mut open = OpenBook {
        book: Book { grid: market.grid, k_ppm: config.price_rule_ppm, cells: vec![], bids: vec![] },
        cells,
        terms: BTreeMap::new(),
        exhausted: vec![],
    };
    for ((key, levels), id) in supply.into_iter().zip(0..) {
        let levels = levels.into_iter().map(|(reserve, lanes)| Level { reserve, lanes }).collect();
        open.book.cells.push(Cell { id, speed_ppm: speed(snapshot, &key.class)?, levels });
    }
    for demand in &snapshot.demand {
        add_bid(&mut open, demand, snapshot, config)?;
    }
    Ok(open)
}

fn count_supply(
    market: &MarketRow,
    cars: &[IdleCar],
) -> Result<BTreeMap<CellKey, BTreeMap<i64, u32>>> {
    let mut supply: BTreeMap<CellKey, BTreeMap<i64, u32>> = BTreeMap::new();
    for car in cars {
        let ask = ask(market, car.reserve)?;
        *supply.entry(cell_of(car)).or_default().entry(ask).or_default() += 1;
    }
    Ok(supply)
}

/// The owner's net reserve as the market sees it: with the fee on top, on the grid.
pub(super) fn ask(market: &MarketRow, net: Amount) -> Result<i64> {
    gross_reserve(net.0, market.fee_ppm.unsigned_abs(), market.grid)
        .ok_or_else(|| Error::corrupt(format!("reserve {net} overflows")))
}

pub(super) fn cell_of(car: &IdleCar) -> CellKey {
    CellKey { region: car.region.clone(), class: car.class.clone(), permits: car.permits }
}

fn speed(snapshot: &Snapshot, class: &str) -> Result<u32> {
    let speed = snapshot.speeds.get(class).copied();
    speed.ok_or_else(|| Error::corrupt(format!("no hardware class {class}")))
}

/// Puts a bid in the book for the cells it accepts and can afford. A job that can afford no class
/// at all is exhausted, unless a lease of its still runs.
fn add_bid(
    open: &mut OpenBook,
    demand: &Demand,
    snapshot: &Snapshot,
    config: &Config,
) -> Result<()> {
    let lane = |class: &str| Ok::<_, Error>(lane_value(demand.price.0, speed(snapshot, class)?));
    let (mut cells, mut dearest) = (vec![], 0);
    for (id, key) in (0..).zip(&open.cells) {
        let price = lane(&key.class)?;
        if accepts(demand, key) && affords(demand.free, price, config) {
            cells.push(id);
            dearest = price.max(dearest);
        }
    }
    match plan_term(demand.free, demand.lanes, dearest, config) {
        Some((lanes, term_s)) if !cells.is_empty() => {
            let id = u128::from_be_bytes(*demand.bid.as_bytes());
            open.terms.insert(id, Terms { job: demand.job, term_s });
            let (time, price) = (demand.placed_at.0, demand.price.0);
            open.book.bids.push(Bid { id, time, price, lanes, cells });
        }
        _ => {
            let classes = snapshot.speeds.keys().filter(|class| has(&demand.classes, class));
            let prices = classes.map(|class| lane(class)).collect::<Result<Vec<_>>>()?;
            let hope = prices.iter().any(|price| affords(demand.free, *price, config));
            if !hope && demand.live == 0 {
                open.exhausted.push(demand.job);
            }
        }
    }
    Ok(())
}

/// The shortest lease of one lane, at this price.
fn shortest(price: i64, config: &Config) -> Option<i64> {
    mul_div(price, config.min_term_s.into(), 3_600, Rounding::Up)
}

fn affords(free: Amount, price: i64, config: &Config) -> bool {
    free.is_positive() && shortest(price, config).is_some_and(|cost| cost <= free.0)
}

/// An empty list is any.
fn has(list: &[String], word: &str) -> bool {
    list.is_empty() || list.iter().any(|item| item == word)
}

fn accepts(demand: &Demand, key: &CellKey) -> bool {
    key.permits.allows(demand.purpose, demand.data_class)
        && has(&demand.regions, &key.region)
        && has(&demand.classes, &key.class)
}

/// How many lanes for how long the free budget can bear at the dearest price: all the lanes for
/// the full term if it can, else shorter leases, else fewer. `None` if not even one lane for the
/// shortest term. In any case `lanes × price × term ≤ free`, whatever the clearing price.
fn plan_term(free: Amount, lanes: i64, dearest: i64, config: &Config) -> Option<(u32, i32)> {
    let shortest = shortest(dearest, config)?;
    let affordable = if shortest == 0 { lanes } else { free.0 / shortest };
    let lanes = lanes.min(affordable);
    if lanes <= 0 {
        return None;
    }
    // A share in whole micro-units, so that rounding a lease's earmark cannot pass it.
    let share = free.0 / lanes;
    let affordable_s = match dearest {
        0 => i64::from(config.term_s),
        _ => mul_div(share, 3_600, dearest, Rounding::Down).unwrap_or(i64::MAX),
    };
    let term_s = i32::try_from(affordable_s.min(config.term_s.into())).ok()?;
    Some((u32::try_from(lanes).ok()?, term_s.max(1)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_budget_buys_full_terms_then_shorter_then_fewer() {
        let config = Config { term_s: 900, min_term_s: 10, ..Config::default() };
        // 360,000 an hour is 100 a second.
        for (free, lanes, planned) in [
            (1_000_000, 4, Some((4, 900))),
            (100_000, 4, Some((4, 250))),
            (4_000, 4, Some((4, 10))),
            (3_999, 4, Some((3, 13))),
            (1_000, 4, Some((1, 10))),
            (999, 4, None),
            (0, 4, None),
            (-5, 4, None),
        ] {
            assert_eq!(plan_term(Amount(free), lanes, 360_000, &config), planned, "{free}");
        }
        assert_eq!(plan_term(Amount(1), 4, 0, &config), Some((4, 900)));
    }

    proptest! {
        #[test]
        fn leases_side_by_side_never_outrun_the_budget(
            free in 0..10_000_000_000_i64,
            lanes in 1..10_000_i64,
            dearest in 1..1_000_000_000_000_i64,
            percent in 0..=100_i64,
        ) {
            let config = Config::default();
            if let Some((lanes, term_s)) = plan_term(Amount(free), lanes, dearest, &config) {
                let price = Amount(dearest / 100 * percent);
                let each = crate::lease::earmark(price, term_s.into()).unwrap();
                prop_assert!(each.0 * i64::from(lanes) <= free);
                prop_assert!((config.min_term_s..=config.term_s).contains(&term_s));
            }
        }
    }
}
