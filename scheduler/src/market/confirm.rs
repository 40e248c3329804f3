//! Between the snapshot and the transaction that makes the leases the world went on: what of the
//! placements still stands. The rest is a fill that found no car, counted with its reason.

use std::collections::{BTreeSet, HashMap, HashSet};

use pricing::lane_value;
use store::{BidId, JobId, Timestamp, Tx, VehicleId};

use super::book::{OpenBook, speed};
use super::fit::{Waits, choosy};
use super::halt::halted_regions;
use super::leader::Reign;
use super::place::{Placement, Unplaced};
use super::snapshot::{Snapshot, load_bids_now};
use super::supply::{IdleCar, ask, cell_of, load_idle_of};
use crate::job::BidRow;
use crate::{Config, NoCar, Result};

/// What the placements are held against.
pub(super) struct Now {
    pub at: Timestamp,
    pub cars: HashMap<VehicleId, IdleCar>,
    pub bids: HashMap<JobId, BidRow>,
    pub halted: BTreeSet<String>,
}

pub(super) fn load_now(
    tx: &mut Tx<'_>,
    config: &Config,
    reign: &Reign,
    placements: &[Placement],
) -> Result<Now> {
    let cars: Vec<VehicleId> = placements.iter().map(|placed| placed.vehicle).collect();
    let jobs: Vec<JobId> = placements.iter().map(|placed| placed.job).collect();
    Ok(Now {
        at: tx.now,
        cars: load_idle_of(tx, config, &cars)?,
        bids: load_bids_now(tx, &jobs)?,
        halted: halted_regions(tx, &reign.row.id)?,
    })
}

/// Tells what stands from what does not. A bid of which too little stands gets nothing.
pub(super) fn plan_confirmed(
    reign: &Reign,
    open: &OpenBook,
    snapshot: &Snapshot,
    config: &Config,
    placements: Vec<Placement>,
    now: &Now,
) -> Result<(Vec<Placement>, Vec<Unplaced>)> {
    let (mut standing, mut fallen) = (Vec::new(), Vec::new());
    let choosy = choosy(snapshot);
    for placed in placements {
        let waits = choosy.get(&placed.bid).copied();
        match objection(reign, open, snapshot, config, &placed, now)?.or(unfit(&placed, waits, now))
        {
            None => standing.push(placed),
            Some(reason) => {
                fallen.push(Unplaced { bid: placed.bid, cell: placed.cell, reason });
            }
        }
    }
    let poor = below_min_fill(open, &standing, &fallen);
    let (poor, standing): (Vec<_>, Vec<_>) =
        standing.into_iter().partition(|placed| poor.contains(&placed.bid));
    let reason = NoCar::BelowMinFill;
    fallen.extend(poor.into_iter().map(|p| Unplaced { bid: p.bid, cell: p.cell, reason }));
    Ok((standing, fallen))
}

fn below_min_fill(open: &OpenBook, standing: &[Placement], fallen: &[Unplaced]) -> HashSet<BidId> {
    let mut lanes: HashMap<BidId, i64> = fallen.iter().map(|lost| (lost.bid, 0)).collect();
    for placed in standing {
        lanes.entry(placed.bid).and_modify(|lanes| *lanes += 1);
    }
    let least = |bid: &BidId| {
        let terms = open.terms.get(&super::book::number(bid.as_bytes()));
        terms.map_or(0, |terms| terms.min_fill)
    };
    lanes.into_iter().filter(|(bid, lanes)| *lanes < least(bid)).map(|(bid, _)| bid).collect()
}

/// What the job waits for has been run by this owner's cars, or on another class.
fn unfit(placed: &Placement, waits: Option<&Waits>, now: &Now) -> Option<NoCar> {
    let car = now.cars.get(&placed.vehicle)?;
    let fits = waits.is_none_or(|waits| waits.fit(car.owner, &car.class));
    (!fits).then_some(NoCar::AlreadyRan)
}

fn objection(
    reign: &Reign,
    open: &OpenBook,
    snapshot: &Snapshot,
    config: &Config,
    placed: &Placement,
    now: &Now,
) -> Result<Option<NoCar>> {
    let key = &open.cells[placed.cell];
    let Some(bid) = now.bids.get(&placed.job) else { return Ok(Some(NoCar::JobEnded)) };
    let worth = lane_value(bid.price.0, speed(snapshot, &key.class)?);
    if worth < placed.price.0 || bid.expires_at.is_some_and(|at| at <= now.at) {
        return Ok(Some(NoCar::BidChanged));
    }
    if placed.term_s < 1 {
        return Ok(Some(NoCar::Budget));
    }
    if now.halted.contains(&key.region) {
        return Ok(Some(NoCar::Halted));
    }
    let Some(car) = now.cars.get(&placed.vehicle) else { return Ok(Some(NoCar::CarGone)) };
    // The window is as it was at the snapshot, else every tick would lose the cars at its edge;
    // the lease's own start is what the margin in it is for.
    let same = cell_of(car, snapshot.now, config) == Some(key.borrowed());
    let asks = ask(reign, car.reserve)?;
    Ok((!same || asks > placed.price.0).then_some(NoCar::CarChanged))
}
