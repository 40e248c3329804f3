//! Rows of leases and attempts.

use diesel::prelude::*;
use store::schema::{attempt, lease};
use store::{
    Amount, AttemptId, ClearingId, JobId, LeaseId, Rounding, TaskId, Timestamp, TransactionId, Tx,
    VehicleId, mul_div,
};

use crate::{AttemptOutcome, EndReason, Error, LeaseState, Result, Verdict};

/// A row of `lease`.
#[derive(Clone, Debug, Queryable)]
pub struct LeaseRow {
    pub id: LeaseId,
    pub market_id: String,
    pub clearing_id: ClearingId,
    pub job_id: JobId,
    pub vehicle_id: VehicleId,
    /// Per lane-hour.
    pub price: Amount,
    pub fee_ppm: i32,
    pub bonus_ppm: i32,
    pub term_s: i32,
    pub earmark: Amount,
    pub state: LeaseState,
    pub seen_at: Timestamp,
    pub offered_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub end_reason: Option<EndReason>,
    pub settled_at: Option<Timestamp>,
    pub billed_s: Option<i32>,
    pub amount: Option<Amount>,
    pub transaction_id: Option<TransactionId>,
}

impl LeaseRow {
    /// When the term is over; none before it started.
    pub fn ends_at(&self) -> Option<Timestamp> {
        self.started_at.map(|started| started.plus_s(self.term_s.into()))
    }
}

/// A row of `attempt`.
#[derive(Clone, Debug, Queryable)]
pub struct AttemptRow {
    pub id: AttemptId,
    pub lease_id: LeaseId,
    pub task_id: TaskId,
    pub state: AttemptOutcome,
    pub verdict: Verdict,
    pub resumed: Option<AttemptId>,
    pub reason: String,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    pub metered_us: i64,
    pub billable_us: i64,
}

/// What a tick grants.
pub(crate) struct NewLease {
    pub market: String,
    pub clearing: ClearingId,
    pub job: JobId,
    pub vehicle: VehicleId,
    pub price: Amount,
    pub fee_ppm: i32,
    pub bonus_ppm: i32,
    pub term_s: i32,
}

/// The most that `seconds` can cost at `price` per hour; the price itself never overflows here,
/// for prices and terms are bounded.
pub(crate) fn earmark(price: Amount, seconds: i64) -> Result<Amount> {
    mul_div(price.0, seconds, 3_600, Rounding::HalfEven)
        .map(Amount)
        .ok_or_else(|| Error::corrupt(format!("{price} for {seconds} s overflows")))
}

pub(crate) fn insert_lease(tx: &mut Tx<'_>, new: &NewLease) -> Result<LeaseId> {
    let id = tx.id();
    diesel::insert_into(lease::table)
        .values((
            lease::id.eq(id),
            lease::market_id.eq(&new.market),
            lease::clearing_id.eq(new.clearing),
            lease::job_id.eq(new.job),
            lease::vehicle_id.eq(new.vehicle),
            lease::price.eq(new.price),
            lease::fee_ppm.eq(new.fee_ppm),
            lease::bonus_ppm.eq(new.bonus_ppm),
            lease::term_s.eq(new.term_s),
            lease::earmark.eq(earmark(new.price, new.term_s.into())?),
            lease::state.eq(LeaseState::Offered),
            lease::seen_at.eq(tx.now),
            lease::offered_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(id)
}

pub(super) fn load_lease(tx: &mut Tx<'_>, id: LeaseId) -> Result<LeaseRow> {
    Ok(lease::table.find(id).first(tx.conn)?)
}

/// The car's live lease: at most one (a unique index is the second lock).
pub(super) fn load_live(tx: &mut Tx<'_>, vehicle: VehicleId) -> Result<Option<LeaseRow>> {
    let live = lease::table
        .filter(lease::vehicle_id.eq(vehicle))
        .filter(lease::state.eq(LeaseState::Offered).or(lease::state.eq(LeaseState::Running)))
        .first(tx.conn)
        .optional()?;
    Ok(live)
}

pub(super) fn load_attempts(tx: &mut Tx<'_>, id: LeaseId) -> Result<Vec<AttemptRow>> {
    let rows = attempt::table.filter(attempt::lease_id.eq(id)).order(attempt::id).load(tx.conn)?;
    Ok(rows)
}

pub(super) fn load_running_attempt(tx: &mut Tx<'_>, id: LeaseId) -> Result<Option<AttemptRow>> {
    let running = attempt::table
        .filter(attempt::lease_id.eq(id))
        .filter(attempt::state.eq(AttemptOutcome::Running))
        .first(tx.conn)
        .optional()?;
    Ok(running)
}

pub(super) fn touch(tx: &mut Tx<'_>, id: LeaseId) -> Result<()> {
    diesel::update(lease::table.find(id)).set(lease::seen_at.eq(tx.now)).execute(tx.conn)?;
    Ok(())
}

pub(super) fn set_running(tx: &mut Tx<'_>, id: LeaseId) -> Result<()> {
    diesel::update(lease::table.find(id))
        .set((
            lease::state.eq(LeaseState::Running),
            lease::started_at.eq(Some(tx.now)),
            lease::seen_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(())
}
