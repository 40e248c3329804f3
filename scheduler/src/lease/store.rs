//! Rows of leases and attempts.

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use store::schema::{attempt, lease};
use store::sets::Set;
use store::{
    Amount, AttemptId, ClearingId, JobId, LeaseId, Rounding, TaskId, Timestamp, TransactionId, Tx,
    VehicleId, mul_div,
};

use crate::{AttemptOutcome, Config, EndReason, Error, LeaseState, Result, Verdict};

/// A row of `lease`.
#[derive(Clone, Debug, PartialEq, Queryable, QueryableByName)]
#[diesel(table_name = lease)]
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
    /// The attempt that runs in it.
    pub attempt_id: Option<AttemptId>,
    /// When the sweep looks at it: never after it could be silent or overdue.
    pub due_at: Timestamp,
    /// Its attempts that are paid, and their billable time together, microseconds.
    pub paid: i32,
    pub paid_us: i64,
    /// The same of those that ended and of which it is not known yet.
    pub pending: i32,
    pub pending_us: i64,
    /// Why an operator wants the car to leave at once.
    pub evicted: Option<String>,
}

impl LeaseRow {
    /// When the term is over; none before it started.
    pub fn ends_at(&self) -> Option<Timestamp> {
        self.started_at.map(|started| started.plus_s(self.term_s.into()))
    }

    /// Offered or running: at most one of a car.
    pub fn is_live(&self) -> bool {
        matches!(self.state, LeaseState::Offered | LeaseState::Running)
    }

    /// When it will be silent or overdue: the car was told to leave at the end of the term and
    /// still has not.
    pub(super) fn next_look(&self, config: &Config) -> Timestamp {
        let overdue = self.ends_at().map(|at| at.plus_us(config.term_grace_s * 1_000_000 + 1));
        let silent = silent_at(self.seen_at, config);
        overdue.map_or(silent, |overdue| overdue.min(silent))
    }
}

/// A row of `attempt`.
#[derive(Clone, Debug, PartialEq, Queryable, QueryableByName)]
#[diesel(table_name = attempt)]
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

/// Leases offered or running, in the words of the index `lease_live`: a bound state finds none.
pub(crate) fn is_live() -> SqlLiteral<Bool> {
    sql("lease.state IN ('offered', 'running')")
}

/// Leases that are not settled, in the words of the index `lease_due`.
pub(crate) fn is_open() -> SqlLiteral<Bool> {
    sql("lease.state <> 'settled'")
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

/// Offers leases, all of one moment.
pub(crate) fn insert_leases(tx: &mut Tx<'_>, config: &Config, new: &[NewLease]) -> Result<()> {
    let mut earmarks = Vec::with_capacity(new.len());
    for lease in new {
        earmarks.push(earmark(lease.price, lease.term_s.into())?.0);
    }
    let ids: Vec<LeaseId> = new.iter().map(|_| tx.id()).collect();
    let now = tx.now;
    let rows = || new.iter();
    Set::default()
        .ids("id", ids)
        .texts("market_id", rows().map(|row| &*row.market))
        .ids("clearing_id", rows().map(|row| row.clearing))
        .ids("job_id", rows().map(|row| row.job))
        .ids("vehicle_id", rows().map(|row| row.vehicle))
        .numbers("price", rows().map(|row| row.price.0))
        .integers("fee_ppm", rows().map(|row| row.fee_ppm))
        .integers("bonus_ppm", rows().map(|row| row.bonus_ppm))
        .integers("term_s", rows().map(|row| row.term_s))
        .numbers("earmark", earmarks.into_iter())
        .texts("state", rows().map(|_| LeaseState::Offered.as_str()))
        .numbers("seen_at", rows().map(|_| now.0))
        .numbers("offered_at", rows().map(|_| now.0))
        .numbers("due_at", rows().map(|_| silent_at(now, config).0))
        .insert(tx.conn, "lease", "")?;
    Ok(())
}

/// When a car that was last heard of at this moment is silent.
pub(super) fn silent_at(seen_at: Timestamp, config: &Config) -> Timestamp {
    seen_at.plus_us(config.heartbeat_timeout_s * 1_000_000 + 1)
}

pub(super) fn load_attempts(tx: &mut Tx<'_>, id: LeaseId) -> Result<Vec<AttemptRow>> {
    let rows = attempt::table.filter(attempt::lease_id.eq(id)).order(attempt::id).load(tx.conn)?;
    Ok(rows)
}
