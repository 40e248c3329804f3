//! From fills to concrete cars: the lowest reserve first, and how long each is let. Pure.

use std::collections::HashMap;

use pricing::{Clearing, Fill};
use store::{Amount, BidId, JobId, VehicleId};

use super::CellRef;
use super::book::{OpenBook, Terms};
use super::fit::choosy;
use super::leader::Reign;
use super::queue::Queue;
use super::snapshot::Snapshot;
use super::supply::{IdleCar, ask, cell_of, lease_s};
use super::term::{fit_term, plan_term};
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
        let past = snapshot.past.jobs.get(&terms.job);
        let program = past.map(|past| &*past.program);
        let least_s = past.and_then(|past| past.typical_s).unwrap_or(0).max(config.min_term_s);
        for Won { cell, price, lanes } in won {
            let longest_s = lease_s(open.cells[cell].stay, config);
            let term_s = bearable_s.min(longest_s).min(until(terms, snapshot));
            for _ in 0..lanes {
                let waits = choosy.get(&terms.bid).copied();
                let queue = queues.get_mut(&cell).ok_or_else(fault)?;
                let car = queue.take(program, waits, &snapshot.past).ok_or_else(fault)?;
                let term_s = fit_term(term_s, least_s, stay_s(car, term_s, snapshot, config));
                let (bid, job, vehicle, price) = (terms.bid, terms.job, car.id, Amount(price));
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

/// How long the car is worth letting, at most `term_s` seconds: as long as it stays with the chance
/// that is asked for, and not into an hour in which its region's cars leave together.
fn stay_s(car: &IdleCar, term_s: i32, snapshot: &Snapshot, config: &Config) -> i32 {
    let (past, now) = (&snapshot.past, snapshot.now);
    let stays = past.longest_s(car.id, &car.region, now, config.stay_ppm, term_s);
    past.exodus_in_s(&car.region, now, config.exodus_ppm, term_s).map_or(stays, |at| stays.min(at))
}

/// The cars that could be chosen: those of cells that sold which ask no more than the price, each
/// with its cell and what it asks.
pub(super) fn candidates<'a>(
    reign: &Reign,
    open: &OpenBook,
    clearing: &Clearing,
    snapshot: &'a Snapshot,
    config: &Config,
) -> Result<Vec<(usize, i64, &'a IdleCar)>> {
    let places: HashMap<CellRef<'_>, usize> =
        open.cells.iter().zip(0..).map(|(key, cell)| (key.borrowed(), cell)).collect();
    let mut found = Vec::new();
    for car in &snapshot.cars {
        let key = cell_of(car, snapshot.now, config);
        let Some(cell) = key.and_then(|key| places.get(&key).copied()) else { continue };
        let asks = ask(reign, car.reserve)?;
        let sold = clearing.cells.get(cell).filter(|cell| cell.lanes > 0);
        if sold.and_then(|cell| cell.price).is_some_and(|price| asks <= price) {
            found.push((cell, asks, car));
        }
    }
    Ok(found)
}

fn queues<'a>(
    reign: &Reign,
    open: &OpenBook,
    clearing: &Clearing,
    snapshot: &'a Snapshot,
    config: &Config,
) -> Result<HashMap<usize, Queue<'a>>> {
    let mut cars: HashMap<usize, Vec<(i64, &IdleCar)>> = HashMap::new();
    for (cell, asks, car) in candidates(reign, open, clearing, snapshot, config)? {
        cars.entry(cell).or_default().push((asks, car));
    }
    let queue = |(cell, cars): (usize, Vec<(i64, &'a IdleCar)>)| {
        let longest_s = lease_s(open.cells[cell].stay, config);
        let (tick, past) = (reign.row.tick, &snapshot.past);
        (cell, Queue::new(cars.into_iter(), tick, past, snapshot.now, longest_s))
    };
    Ok(cars.into_iter().map(queue).collect())
}
