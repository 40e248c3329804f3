//! From fills to concrete cars: the lowest reserve first, ties by a hash of tick and car. Pure.

use std::collections::HashMap;

use pricing::{Clearing, Fill};
use sha2::{Digest, Sha256};
use store::{Amount, BidId, JobId, VehicleId};

use super::CellRef;
use super::book::{OpenBook, Terms};
use super::fit::{Waits, choosy};
use super::leader::Reign;
use super::snapshot::Snapshot;
use super::supply::{IdleCar, ask, cell_of, lease_s};
use super::term::plan_term;
use crate::{Config, Error, NoCar, Result};

/// A car let to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placement {
    pub bid: BidId,
    pub job: JobId,
    /// Where in the open book's cells it is.
    pub cell: usize,
    pub vehicle: VehicleId,
    pub price: Amount,
    pub term_s: i32,
}

/// A lane that was sold and found no lawful car.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unplaced {
    pub bid: BidId,
    pub cell: usize,
    pub reason: NoCar,
}

/// Chooses the cars.
///
/// # Errors
/// [`Error::Clearing`] if a fill has no car in the snapshot that it was made from: cells hold only
/// what may lawfully be placed, so that cannot be.
pub(super) fn choose_cars(
    reign: &Reign,
    open: &OpenBook,
    clearing: &Clearing,
    snapshot: &Snapshot,
    config: &Config,
) -> Result<Vec<Placement>> {
    let fault = || Error::Clearing("a fill of nothing that was in the book".to_owned());
    let mut queues = queues(reign, open, clearing, snapshot, config)?;
    let choosy = choosy(snapshot);
    let mut placements = Vec::new();
    for fills in clearing.fills.chunk_by(|a, b| a.bid == b.bid) {
        let won = won(open, clearing, fills).ok_or_else(fault)?;
        let terms = open.terms.get(&fills[0].bid).ok_or_else(fault)?;
        let rates: Vec<(i64, i64)> = won.iter().map(|won| (won.price, won.lanes)).collect();
        let bearable_s = plan_term(terms.free, terms.wanted, &rates, config.term_s, config);
        for Won { cell, price, lanes } in won {
            let longest_s = lease_s(open.cells[cell].stay, config);
            let term_s = bearable_s.min(longest_s).min(until(terms, snapshot));
            for _ in 0..lanes {
                let waits = choosy.get(&terms.bid).copied();
                let vehicle = take(&mut queues[cell], waits).ok_or_else(fault)?;
                let (bid, job, price) = (terms.bid, terms.job, Amount(price));
                placements.push(Placement { bid, job, cell, vehicle, price, term_s });
            }
        }
    }
    Ok(placements)
}

struct Won {
    cell: usize,
    price: i64,
    lanes: i64,
}

fn won(open: &OpenBook, clearing: &Clearing, fills: &[Fill]) -> Option<Vec<Won>> {
    let won = fills.iter().map(|fill| {
        let cell = usize::try_from(fill.cell).ok().filter(|cell| *cell < open.cells.len())?;
        // The clearing has every cell of the book, by id, which counts up from 0.
        let price = clearing.cells.get(cell)?.price?;
        Some(Won { cell, price, lanes: fill.lanes.into() })
    });
    won.collect()
}

/// No lease is longer than the job may run.
fn until(terms: &Terms, snapshot: &Snapshot) -> i32 {
    let left_us = terms.deadline.map_or(i64::MAX, |deadline| deadline.since(snapshot.now));
    i32::try_from(left_us / 1_000_000).unwrap_or(i32::MAX).max(1)
}

type Queue<'a> = Vec<(i64, [u8; 32], VehicleId, &'a IdleCar)>;

/// The first car that there is a task for; if there is none, the first: the confirmation will say
/// that it found no lawful car.
fn take(queue: &mut Queue<'_>, waits: Option<&Waits>) -> Option<VehicleId> {
    let fits = |car: &IdleCar| waits.is_none_or(|waits| waits.fit(car.owner, &car.class));
    let last = queue.len().checked_sub(1)?;
    let place = queue.iter().rposition(|(.., car)| fits(car)).unwrap_or(last);
    let (.., car) = queue.remove(place);
    Some(car.id)
}

/// Each cell's cars that ask no more than its price, the last to take first.
fn queues<'a>(
    reign: &Reign,
    open: &OpenBook,
    clearing: &Clearing,
    snapshot: &'a Snapshot,
    config: &Config,
) -> Result<Vec<Queue<'a>>> {
    let places: HashMap<CellRef<'_>, usize> =
        open.cells.iter().zip(0..).map(|(key, cell)| (key.borrowed(), cell)).collect();
    let mut queues: Vec<Queue<'_>> = vec![Vec::new(); open.cells.len()];
    for car in &snapshot.cars {
        let key = cell_of(car, snapshot.now, config);
        let Some(cell) = key.and_then(|key| places.get(&key).copied()) else { continue };
        let asks = ask(reign, car.reserve)?;
        let price = clearing.cells.get(cell).and_then(|cell| cell.price);
        if price.is_some_and(|price| asks <= price) {
            queues[cell].push((asks, tie(reign.row.tick, car.id), car.id, car));
        }
    }
    for queue in &mut queues {
        queue.sort_unstable_by_key(|car| std::cmp::Reverse((car.0, car.1, car.2)));
    }
    Ok(queues)
}

/// Fair among equals: another order each tick, the same for everybody who replays it.
fn tie(tick: i64, vehicle: VehicleId) -> [u8; 32] {
    Sha256::new()
        .chain_update(tick.to_be_bytes())
        .chain_update(vehicle.as_bytes())
        .finalize()
        .into()
}
