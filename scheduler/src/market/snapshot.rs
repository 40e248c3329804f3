//! Supply and demand as they are at a tick.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use diesel::dsl::count_star;
use diesel::prelude::*;
use store::schema::{bid, hardware_class, job, lease, task, vehicle};
use store::{Amount, BidId, HoldId, JobId, PartyId, Timestamp, Tx};

use super::fit::{Waits, limit_lanes};
use super::halt::halted_regions;
use super::supply::{IdleCar, load_idle};
use crate::assurance::load_job_waits;
use crate::job::{BidRow, JobRow};
use crate::past::Past;
use crate::{Config, DataClass, JobState, LeaseState, Purpose, Result, TaskState};

/// A job that could use cars.
#[derive(Clone, Debug)]
pub(super) struct Demand {
    pub job: JobId,
    pub customer: PartyId,
    pub bid: BidId,
    pub placed_at: Timestamp,
    pub price: Amount,
    pub purpose: Purpose,
    pub data_class: DataClass,
    /// Empty: any.
    pub regions: Vec<String>,
    pub classes: Vec<String>,
    pub deadline: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    pub short_leases: bool,
    /// Lanes it can use on top of those it has, at least 1.
    pub lanes: i64,
    /// Fewest of them that are of use, 1 to `lanes`.
    pub min_fill: i64,
    /// Of the budget, what neither was spent nor is kept back for a lease.
    pub free: Amount,
    /// Leases offered or running.
    pub live: i64,
    /// Who may take its tasks, if not everybody may.
    pub waits: Waits,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    pub now: Timestamp,
    pub cars: Vec<IdleCar>,
    pub demand: Vec<Demand>,
    /// Speed of each hardware class, hw4 = 1,000,000.
    pub speeds: BTreeMap<String, u32>,
    pub halted: BTreeSet<String>,
    /// Lanes let, by region and class, and by customer.
    pub leased: BTreeMap<(String, String), i64>,
    pub leased_to: HashMap<PartyId, i64>,
    /// Of the cars that can be chosen, loaded when it is known which these are.
    pub past: Past,
}

impl Snapshot {
    /// Cars at work or waiting for it: what shares are shares of.
    pub fn lanes(&self) -> i64 {
        let idle = i64::try_from(self.cars.len()).unwrap_or(i64::MAX);
        self.leased.values().fold(idle, |sum, lanes| sum.saturating_add(*lanes))
    }
}

pub(super) fn load_snapshot(tx: &mut Tx<'_>, config: &Config, market: &str) -> Result<Snapshot> {
    let live = load_live(tx, market)?;
    let mut snapshot = Snapshot {
        now: tx.now,
        demand: load_demand(tx, market)?,
        cars: load_idle(tx, config, market)?,
        speeds: load_speeds(tx)?,
        halted: halted_regions(tx, market)?,
        ..Snapshot::default()
    };
    limit_lanes(&mut snapshot.demand, &snapshot.cars);
    for (region, class, customer) in live {
        *snapshot.leased.entry((region, class)).or_default() += 1;
        *snapshot.leased_to.entry(customer).or_default() += 1;
    }
    Ok(snapshot)
}

fn load_speeds(tx: &mut Tx<'_>) -> Result<BTreeMap<String, u32>> {
    let rows: Vec<(String, i32)> = hardware_class::table
        .select((hardware_class::id, hardware_class::speed_ppm))
        .load(tx.conn)?;
    Ok(rows.into_iter().map(|(id, ppm)| (id, ppm.unsigned_abs())).collect())
}

/// Region, class and customer of each lease offered or running.
fn load_live(tx: &mut Tx<'_>, market: &str) -> Result<Vec<(String, String, PartyId)>> {
    let rows = lease::table
        .inner_join(vehicle::table.on(vehicle::id.eq(lease::vehicle_id)))
        .inner_join(job::table.on(job::id.eq(lease::job_id)))
        .filter(lease::market_id.eq(market))
        .filter(crate::lease::is_live())
        .filter(crate::lease::is_open())
        .select((vehicle::region_id, vehicle::class_id, job::customer_id))
        .load(tx.conn)?;
    Ok(rows)
}

fn load_demand(tx: &mut Tx<'_>, market: &str) -> Result<Vec<Demand>> {
    let jobs: Vec<(JobRow, BidRow)> = job::table
        .inner_join(bid::table.on(bid::job_id.eq(job::id)))
        .filter(job::market_id.eq(market))
        .filter(job::state.eq(JobState::Active))
        .filter(job::pause.is_null().and(job::banned.eq(false)))
        .order(bid::id)
        .select((job::all_columns, bid::all_columns))
        .load(tx.conn)?;
    let queued = load_queued(tx, market)?;
    let leases = load_leases(tx, market)?;
    let mut waits = load_job_waits(tx, market)?;
    let mut demand = Vec::new();
    let mut priorities = HashMap::new();
    for (job, bid) in jobs {
        priorities.insert(job.id, job.priority);
        let queued = queued.get(&job.id).copied().unwrap_or(0);
        let leased = leases.get(&job.id).copied().unwrap_or_default();
        // An offer will take a queued task of its own.
        let lanes = (i64::from(bid.lanes) - leased.live).min(queued - leased.offered);
        if lanes > 0 {
            let free = remaining(tx, job.hold_id)? - leased.earmarked;
            let tasks = waits.remove(&job.id).unwrap_or_default();
            let waiting = i64::try_from(tasks.len()).unwrap_or(i64::MAX);
            let waits = Waits { fresh: queued - leased.offered - waiting, tasks };
            demand.push(Demand { waits, ..to_demand(job, bid, lanes, free, leased.live) });
        }
    }
    order_own(&mut demand, &priorities);
    Ok(demand)
}

/// Among equal prices earlier bids go first. A customer's own bids of one price change places
/// there by the priority of their jobs: their places stay the customer's, so nobody else's chances
/// change. Pure.
fn order_own(demand: &mut [Demand], priorities: &HashMap<JobId, i32>) {
    let mut groups: BTreeMap<(PartyId, Amount), Vec<usize>> = BTreeMap::new();
    for (n, one) in demand.iter().enumerate() {
        groups.entry((one.customer, one.price)).or_default().push(n);
    }
    let priority = |job: &JobId| priorities.get(job).copied().unwrap_or(0);
    for mut group in groups.into_values().filter(|group| group.len() > 1) {
        let mut places: Vec<Timestamp> = group.iter().map(|n| demand[*n].placed_at).collect();
        if group.iter().all(|n| priority(&demand[*n].job) == priority(&demand[group[0]].job)) {
            continue;
        }
        places.sort_unstable();
        // Of one moment: one after the other, at nobody's cost but their own.
        for n in 1..places.len() {
            places[n] = places[n].max(Timestamp(places[n - 1].0 + 1));
        }
        let own = |n: &usize| {
            let one = &demand[*n];
            (std::cmp::Reverse(priority(&one.job)), one.placed_at, one.bid)
        };
        group.sort_unstable_by_key(own);
        for (n, place) in group.into_iter().zip(places) {
            demand[n].placed_at = place;
        }
    }
}

fn remaining(tx: &mut Tx<'_>, hold: HoldId) -> Result<Amount> {
    Ok(ledger::hold(tx, hold)?.remaining())
}

fn to_demand(job: JobRow, bid: BidRow, lanes: i64, free: Amount, live: i64) -> Demand {
    let list = |text: &str| crate::job::split_list(text).into_iter().map(str::to_owned).collect();
    Demand {
        job: job.id,
        customer: job.customer_id,
        bid: bid.id,
        placed_at: bid.placed_at,
        price: bid.price,
        purpose: job.purpose,
        data_class: job.data_class,
        regions: list(&bid.regions),
        classes: list(&bid.classes),
        deadline: bid.deadline,
        expires_at: bid.expires_at,
        short_leases: bid.short_leases,
        lanes,
        // What it has counts; the last tasks of a job need no more lanes than there are tasks.
        min_fill: (i64::from(bid.min_fill) - live).clamp(1, lanes),
        free,
        live,
        waits: Waits::default(),
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
        .filter(crate::lease::is_open())
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

/// What has changed of bids that were filled: those whose job has ended are not in the answer.
pub(super) fn load_bids_now(tx: &mut Tx<'_>, jobs: &[JobId]) -> Result<HashMap<JobId, BidRow>> {
    let distinct: HashSet<JobId> = jobs.iter().copied().collect();
    let distinct: Vec<JobId> = distinct.into_iter().collect();
    let mut found = HashMap::new();
    for chunk in distinct.chunks(super::supply::CHUNK) {
        let rows: Vec<BidRow> = bid::table
            .inner_join(job::table.on(job::id.eq(bid::job_id)))
            .filter(job::id.eq_any(chunk))
            .filter(job::state.eq(JobState::Active))
            .filter(job::pause.is_null().and(job::banned.eq(false)))
            .select(bid::all_columns)
            .load(tx.conn)?;
        found.extend(rows.into_iter().map(|row| (row.job_id, row)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use store::IdSource;

    use super::*;

    fn demand(ids: &IdSource, customer: PartyId, price: i64, placed_at: i64) -> Demand {
        Demand {
            job: ids.id(Timestamp(placed_at)),
            customer,
            bid: ids.id(Timestamp(placed_at)),
            placed_at: Timestamp(placed_at),
            price: Amount(price),
            purpose: Purpose::Simulation,
            data_class: DataClass::Synthetic,
            regions: vec![],
            classes: vec![],
            deadline: None,
            expires_at: None,
            short_leases: true,
            lanes: 1,
            min_fill: 1,
            free: Amount(1),
            live: 0,
            waits: Waits::default(),
        }
    }

    #[test]
    fn priorities_change_places_among_ones_own_bids_of_one_price_only() {
        let ids = IdSource::seeded(7);
        let (one, other): (PartyId, PartyId) = (ids.id(Timestamp(1)), ids.id(Timestamp(2)));
        let mut all = vec![
            demand(&ids, one, 5, 10),
            demand(&ids, other, 5, 20),
            demand(&ids, one, 5, 30),
            demand(&ids, one, 6, 40),
            demand(&ids, one, 5, 30),
        ];
        let priorities = HashMap::from([(all[1].job, 0), (all[2].job, 3), (all[4].job, 9)]);
        order_own(&mut all, &priorities);
        let places: Vec<i64> = all.iter().map(|one| one.placed_at.0).collect();
        assert_eq!(places, [31, 20, 30, 40, 10]);
        // Without priorities nothing moves.
        let before: Vec<Timestamp> = all.iter().map(|one| one.placed_at).collect();
        order_own(&mut all, &HashMap::new());
        assert_eq!(all.iter().map(|one| one.placed_at).collect::<Vec<_>>(), before);
    }
}
