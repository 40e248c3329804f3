//! From fills to concrete cars: the lowest reserve first, ties by a hash of tick and car. Pure.

use std::collections::HashMap;

use pricing::Clearing;
use sha2::{Digest, Sha256};
use store::{Amount, JobId, VehicleId};

use super::CellKey;
use super::book::{OpenBook, ask, cell_of};
use super::leader::MarketRow;
use super::snapshot::IdleCar;
use crate::{Error, Result};

/// A car let to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placement {
    pub job: JobId,
    pub vehicle: VehicleId,
    pub price: Amount,
    pub term_s: i32,
}

/// Chooses the cars. The second figure counts the lanes that found none: it is reported, not
/// forced, and is zero while cells hold only what may lawfully be placed.
pub(super) fn choose_cars(
    market: &MarketRow,
    open: &OpenBook,
    clearing: &Clearing,
    cars: &[IdleCar],
) -> Result<(Vec<Placement>, i32)> {
    let mut queues = queues(market, cars)?;
    let mut placements = Vec::new();
    let mut unplaced = 0;
    for fill in &clearing.fills {
        let price = clearing.cells.iter().find(|cell| cell.cell == fill.cell);
        let price = price.and_then(|cell| cell.price);
        let key = usize::try_from(fill.cell).ok().and_then(|cell| open.cells.get(cell));
        let terms = open.terms.get(&fill.bid);
        let (Some(price), Some(key), Some(terms)) = (price, key, terms) else {
            return Err(Error::Clearing("a fill of nothing that was in the book".to_owned()));
        };
        for _ in 0..fill.lanes {
            match queues.get_mut(key).and_then(|queue| pop_below(queue, price)) {
                Some(vehicle) => placements.push(Placement {
                    job: terms.job,
                    vehicle,
                    price: Amount(price),
                    term_s: terms.term_s,
                }),
                None => unplaced += 1,
            }
        }
    }
    Ok((placements, unplaced))
}

type Queue = Vec<(i64, [u8; 32], VehicleId)>;

/// Each cell's cars, the last to take first.
fn queues(market: &MarketRow, cars: &[IdleCar]) -> Result<HashMap<CellKey, Queue>> {
    let mut queues: HashMap<CellKey, Queue> = HashMap::new();
    for car in cars {
        let rank = (ask(market, car.reserve)?, tie(market.tick, car.id), car.id);
        queues.entry(cell_of(car)).or_default().push(rank);
    }
    for queue in queues.values_mut() {
        queue.sort_unstable_by(|a, b| b.cmp(a));
    }
    Ok(queues)
}

fn pop_below(queue: &mut Queue, price: i64) -> Option<VehicleId> {
    queue.pop_if(|(ask, ..)| *ask <= price).map(|(_, _, id)| id)
}

/// Fair among equals: another order each tick, the same for everybody who replays it.
fn tie(tick: i64, vehicle: VehicleId) -> [u8; 32] {
    Sha256::new()
        .chain_update(tick.to_be_bytes())
        .chain_update(vehicle.as_bytes())
        .finalize()
        .into()
}
