//! Supply and demand as they are at a tick.

use std::collections::{BTreeMap, HashMap, HashSet};

use diesel::dsl::count_star;
use diesel::prelude::*;
use store::schema::{bid, consent, hardware_class, job, lease, presence, region, task, vehicle};
use store::{Amount, BidId, HoldId, JobId, Timestamp, Tx, VehicleId};

use crate::job::{BidRow, JobRow};
use crate::{Config, DataClass, JobState, LeaseState, Permits, Purpose, Result, TaskState};

/// A car that waits for work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IdleCar {
    pub id: VehicleId,
    pub region: String,
    pub class: String,
    pub permits: Permits,
    /// Net of the fee, per lane-hour.
    pub reserve: Amount,
}

/// A job that could use cars.
#[derive(Clone, Debug)]
pub(super) struct Demand {
    pub job: JobId,
    pub bid: BidId,
    pub placed_at: Timestamp,
    pub price: Amount,
    pub purpose: Purpose,
    pub data_class: DataClass,
    /// Empty: any.
    pub regions: Vec<String>,
    pub classes: Vec<String>,
    /// Lanes it can use on top of those it has.
    pub lanes: i64,
    /// Of the budget, what neither was spent nor is kept back for a lease.
    pub free: Amount,
    /// Leases offered or running.
    pub live: i64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    pub cars: Vec<IdleCar>,
    pub demand: Vec<Demand>,
    /// Speed of each hardware class, hw4 = 1,000,000.
    pub speeds: BTreeMap<String, u32>,
}

pub(super) fn load_snapshot(tx: &mut Tx<'_>, config: &Config, market: &str) -> Result<Snapshot> {
    Ok(Snapshot {
        demand: load_demand(tx, market)?,
        cars: load_cars(tx, config, market)?,
        speeds: load_speeds(tx)?,
    })
}

fn load_speeds(tx: &mut Tx<'_>) -> Result<BTreeMap<String, u32>> {
    let rows: Vec<(String, i32)> = hardware_class::table
        .select((hardware_class::id, hardware_class::speed_ppm))
        .load(tx.conn)?;
    Ok(rows.into_iter().map(|(id, ppm)| (id, ppm.unsigned_abs())).collect())
}

fn load_cars(tx: &mut Tx<'_>, config: &Config, market: &str) -> Result<Vec<IdleCar>> {
    let since = tx.now.plus_s(-config.heartbeat_timeout_s);
    let rows: Vec<(VehicleId, String, String, Amount)> = vehicle::table
        .inner_join(region::table.on(region::id.eq(vehicle::region_id)))
        .inner_join(presence::table.on(presence::vehicle_id.eq(vehicle::id)))
        .filter(region::market_id.eq(market))
        .filter(vehicle::active.eq(true))
        .filter(presence::eligible.eq(true))
        .filter(presence::seen_at.ge(since))
        .order(vehicle::id)
        .select((vehicle::id, vehicle::region_id, vehicle::class_id, vehicle::reserve))
        .load(tx.conn)?;
    let busy: Vec<VehicleId> = lease::table
        .filter(lease::state.eq(LeaseState::Offered).or(lease::state.eq(LeaseState::Running)))
        .select(lease::vehicle_id)
        .load(tx.conn)?;
    let busy: HashSet<VehicleId> = busy.into_iter().collect();
    let permits = load_all_permits(tx)?;
    let idle = rows.into_iter().filter(|(id, ..)| !busy.contains(id));
    let cars = idle.filter_map(|(id, region, class, reserve)| {
        let permits = *permits.get(&id)?;
        Some(IdleCar { id, region, class, permits, reserve })
    });
    Ok(cars.collect())
}

fn load_all_permits(tx: &mut Tx<'_>) -> Result<HashMap<VehicleId, Permits>> {
    let rows: Vec<(VehicleId, Purpose, DataClass)> = consent::table
        .filter(consent::withdrawn_at.is_null())
        .select((consent::vehicle_id, consent::purpose, consent::data_class))
        .load(tx.conn)?;
    let mut all: HashMap<VehicleId, Permits> = HashMap::new();
    for (id, purpose, data_class) in rows {
        let permits = all.entry(id).or_default();
        *permits = permits.with(purpose, data_class);
    }
    Ok(all)
}

fn load_demand(tx: &mut Tx<'_>, market: &str) -> Result<Vec<Demand>> {
    let jobs: Vec<(JobRow, BidRow)> = job::table
        .inner_join(bid::table.on(bid::job_id.eq(job::id)))
        .filter(job::market_id.eq(market))
        .filter(job::state.eq(JobState::Active))
        .order(bid::id)
        .select((job::all_columns, bid::all_columns))
        .load(tx.conn)?;
    let queued = load_queued(tx, market)?;
    let leases = load_leases(tx, market)?;
    let mut demand = Vec::new();
    for (job, bid) in jobs {
        let queued = queued.get(&job.id).copied().unwrap_or(0);
        let leased = leases.get(&job.id).copied().unwrap_or_default();
        // An offer will take a queued task of its own.
        let lanes = (i64::from(bid.lanes) - leased.live).min(queued - leased.offered);
        if lanes > 0 {
            let free = remaining(tx, job.hold_id)? - leased.earmarked;
            demand.push(to_demand(job, bid, lanes, free, leased.live));
        }
    }
    Ok(demand)
}

fn remaining(tx: &mut Tx<'_>, hold: HoldId) -> Result<Amount> {
    Ok(ledger::hold(tx, hold)?.remaining())
}

fn to_demand(job: JobRow, bid: BidRow, lanes: i64, free: Amount, live: i64) -> Demand {
    let list = |text: &str| crate::job::split_list(text).into_iter().map(str::to_owned).collect();
    Demand {
        job: job.id,
        bid: bid.id,
        placed_at: bid.placed_at,
        price: bid.price,
        purpose: job.purpose,
        data_class: job.data_class,
        regions: list(&bid.regions),
        classes: list(&bid.classes),
        lanes,
        free,
        live,
    }
}

fn load_queued(tx: &mut Tx<'_>, market: &str) -> Result<HashMap<JobId, i64>> {
    let rows: Vec<(JobId, i64)> = task::table
        .inner_join(job::table.on(job::id.eq(task::job_id)))
        .filter(job::market_id.eq(market))
        .filter(task::state.eq(TaskState::Queued))
        .group_by(task::job_id)
        .select((task::job_id, count_star()))
        .load(tx.conn)?;
    Ok(rows.into_iter().collect())
}

#[derive(Clone, Copy, Default)]
struct Leased {
    live: i64,
    offered: i64,
    earmarked: Amount,
}

fn load_leases(tx: &mut Tx<'_>, market: &str) -> Result<HashMap<JobId, Leased>> {
    let rows: Vec<(JobId, LeaseState, Amount)> = lease::table
        .filter(lease::market_id.eq(market))
        .filter(lease::state.ne(LeaseState::Settled))
        .select((lease::job_id, lease::state, lease::earmark))
        .load(tx.conn)?;
    let mut leases: HashMap<JobId, Leased> = HashMap::new();
    for (job, state, earmark) in rows {
        let leased = leases.entry(job).or_default();
        leased.live += i64::from(state != LeaseState::Ended);
        leased.offered += i64::from(state == LeaseState::Offered);
        leased.earmarked = leased.earmarked + earmark;
    }
    Ok(leases)
}
