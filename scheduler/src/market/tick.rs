//! A tick: a snapshot, the clearing made from it outside of any transaction, and a short
//! transaction that sees what of it still stands, makes the leases, and stores all of it.

use diesel::prelude::*;
use pricing::Clearing;
use store::schema::{job, lease};
use store::{Amount, HoldId, JobId, NodeId, Store, Tx, VehicleId};

use super::book::{OpenBook, open_book};
use super::capacity::count_cars;
use super::clearing::{Cleared, store_clearing};
use super::confirm::{load_now, plan_confirmed};
use super::leader::{Reign, lead, resume};
use super::place::{Placement, candidates, choose_cars};
use super::snapshot::{Snapshot, load_snapshot};
use crate::lease::engine::end_jobs;
use crate::lease::{NewLease, insert_leases};
use crate::past::load_past;
use crate::{Config, Error, JobReason, JobState, Result};

/// What a tick did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TickReport {
    pub tick: i64,
    /// Idle cars and bids that met.
    pub cars: usize,
    pub bids: usize,
    pub leases: usize,
    /// Lanes sold that found no car.
    pub unplaced: i32,
    /// Jobs ended because their budget does not reach for one more lease.
    pub exhausted: usize,
}

/// Clears the market once, as its leader.
///
/// # Errors
/// [`Error::NotLeader`] if another node leads, or took over while this one cleared: then nothing
/// is stored. [`Error::Clearing`] if the clearing fails its own optimality check: nothing either.
pub fn tick(store: &Store, config: &Config, market: &str, node: NodeId) -> Result<TickReport> {
    let draft = draft(store, config, market, node)?;
    commit(store, config, draft)
}

/// A tick that is decided and not yet done.
pub struct Draft {
    reign: Reign,
    snapshot: Snapshot,
    open: OpenBook,
    result: Clearing,
    placements: Vec<Placement>,
}

/// Begins a tick and decides it: writes nothing but that it began.
///
/// # Errors
/// As [`tick`].
pub fn draft(store: &Store, config: &Config, market: &str, node: NodeId) -> Result<Draft> {
    let reign = store.write(|tx| lead(tx, config, market, node))?;
    let mut snapshot = store.read(|tx| load_snapshot(tx, config, market))?;
    let open = open_book(&reign, &snapshot, config)?;
    let result = clear(&open)?;
    let cars = candidates(&reign, &open, &result, &snapshot, config)?;
    let cars: Vec<VehicleId> = cars.into_iter().map(|(_, _, car)| car.id).collect();
    let jobs: Vec<JobId> = snapshot.demand.iter().map(|demand| demand.job).collect();
    snapshot.past = store.read(|tx| load_past(tx, &cars, &jobs, config.term_s))?;
    let placements = choose_cars(&reign, &open, &result, &snapshot, config)?;
    Ok(Draft { reign, snapshot, open, result, placements })
}

/// Clears and checks: a clearing that is not optimal is a fault of ours, and moves nobody.
pub(super) fn clear(open: &OpenBook) -> Result<Clearing> {
    let result = pricing::clear(&open.book).map_err(|error| Error::Clearing(error.to_string()))?;
    pricing::check(&open.book, &result).map_err(|error| Error::Clearing(error.to_string()))?;
    Ok(result)
}

/// Does what still stands of it.
///
/// # Errors
/// As [`tick`].
pub fn commit(store: &Store, config: &Config, draft: Draft) -> Result<TickReport> {
    let Draft { reign, snapshot, open, result, placements } = draft;
    store.write(|tx| {
        resume(tx, &reign)?;
        count_cars(tx, &reign.row.id, &snapshot)?;
        let mut report = TickReport {
            tick: reign.row.tick,
            cars: snapshot.cars.len(),
            bids: open.book.bids.len(),
            ..TickReport::default()
        };
        let mut exhausted = Vec::new();
        for (job, free) in &open.exhausted {
            if is_exhausted(tx, *job, *free)? {
                exhausted.push(*job);
            }
        }
        end_jobs(tx, &reign.row.id, &exhausted, JobState::Failed, Some(JobReason::Budget))?;
        report.exhausted = exhausted.len();
        if open.book.bids.is_empty() && open.left_out.is_empty() {
            return Ok(report);
        }
        let now = load_now(tx, config, &reign, &placements)?;
        let (standing, fallen) =
            plan_confirmed(&reign, &open, &snapshot, config, placements, &now)?;
        report.leases = standing.len();
        report.unplaced = i32::try_from(fallen.len()).unwrap_or(i32::MAX);
        let cleared = Cleared { reign: &reign, open, result, fallen };
        let id = store_clearing(tx, cleared)?;
        let leases: Vec<NewLease> =
            standing.iter().map(|placed| new_lease(&reign, id, placed)).collect();
        insert_leases(tx, config, &leases)?;
        Ok(report)
    })
}

fn new_lease(reign: &Reign, clearing: store::ClearingId, placed: &Placement) -> NewLease {
    NewLease {
        market: reign.row.id.clone(),
        clearing,
        job: placed.job,
        vehicle: placed.vehicle,
        price: placed.price,
        fee_ppm: reign.rate.fee_ppm,
        bonus_ppm: reign.rate.bonus_ppm,
        term_s: placed.term_s,
    }
}

/// True for a job whose budget is used up, unless it has ended or got money back since.
fn is_exhausted(tx: &mut Tx<'_>, id: JobId, free: Amount) -> Result<bool> {
    let active: Option<HoldId> = job::table
        .find(id)
        .filter(job::state.eq(JobState::Active))
        .select(job::hold_id)
        .first(tx.conn)
        .optional()?;
    let Some(hold) = active else { return Ok(false) };
    let earmarks: Vec<Amount> = lease::table
        .filter(lease::job_id.eq(id))
        .filter(crate::lease::is_open())
        .select(lease::earmark)
        .load(tx.conn)?;
    let earmarked: Amount = earmarks.into_iter().sum();
    Ok(ledger::hold(tx, hold)?.remaining() - earmarked <= free)
}
