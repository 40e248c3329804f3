//! Jobs as their customer sees them.

use diesel::prelude::*;
use store::schema::{attempt, attempt_report, blob, job, lease, task};
use store::{Amount, AttemptId, JobId, PartyId, Timestamp, Tx, VehicleId};

use super::archive::OutputRow;
use super::stage::{StageRow, load_stages};
use super::store::{BidRow, JobRow, TaskRow, load_bid, load_job};
use crate::{AttemptOutcome, Error, Result, Verdict};

/// A job, its bid, and where its budget is.
#[derive(Clone, Debug)]
pub struct JobView {
    pub row: JobRow,
    pub bid: BidRow,
    /// The market's: what the amounts are in.
    pub asset: String,
    /// What was paid of the budget, and what is still held; the rest went back to the wallet.
    pub spent: Amount,
    pub held: Amount,
    /// By number; none of a job that is told by its inputs.
    pub stages: Vec<StageRow>,
}

pub type TaskView = TaskRow;

/// One job of this customer's.
pub fn load(tx: &mut Tx<'_>, customer: PartyId, id: JobId) -> Result<JobView> {
    let row = owned(tx, customer, id)?;
    view(tx, row)
}

/// The customer's jobs after `after`, oldest first.
pub fn list(
    tx: &mut Tx<'_>,
    customer: PartyId,
    after: Option<JobId>,
    limit: i64,
) -> Result<Vec<JobView>> {
    let rows: Vec<JobRow> = job::table
        .filter(job::customer_id.eq(customer))
        .filter(job::id.gt(after.unwrap_or(JobId::NIL)))
        .order(job::id)
        .limit(limit)
        .load(tx.conn)?;
    rows.into_iter().map(|row| view(tx, row)).collect()
}

/// The job's tasks with numbers above `after`, by number.
pub fn tasks(
    tx: &mut Tx<'_>,
    customer: PartyId,
    id: JobId,
    after: Option<i32>,
    limit: i64,
) -> Result<Vec<TaskView>> {
    owned(tx, customer, id)?;
    let rows = task::table
        .filter(task::job_id.eq(id))
        .filter(task::number.gt(after.unwrap_or(-1)))
        .order(task::number)
        .limit(limit)
        .load(tx.conn)?;
    Ok(rows)
}

pub type ResultView = OutputRow;

/// The job's completed tasks after the `after`-th to complete, in order of completion.
pub fn results(
    tx: &mut Tx<'_>,
    customer: PartyId,
    id: JobId,
    after: Option<i32>,
    limit: i64,
) -> Result<Vec<ResultView>> {
    owned(tx, customer, id)?;
    let mine = blob::digest.nullable().eq(task::output).and(blob::party_id.eq(customer));
    let rows = task::table
        .inner_join(blob::table.on(mine))
        .filter(task::job_id.eq(id))
        .filter(task::done.gt(Some(after.unwrap_or(0))))
        .order(task::done)
        .limit(limit)
        .select((task::number, task::done, task::output, blob::size))
        .load(tx.conn)?;
    Ok(rows)
}

/// An attempt of a task, and what its car said of it.
#[derive(Clone, Debug, PartialEq, Queryable)]
pub struct AttemptView {
    pub id: AttemptId,
    pub vehicle: VehicleId,
    pub state: AttemptOutcome,
    pub verdict: Verdict,
    pub reason: String,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    pub billable_us: i64,
    /// Fuel, CPU microseconds, most bytes of memory, the end of the log, and numbers as JSON.
    pub report: Option<(i64, i64, i64, String, String)>,
}

/// The attempts of a job's task, oldest first; the last hundred.
///
/// # Errors
/// [`Error::NotFound`] for another's job and for a task that is not there, or not made yet.
pub fn attempts(
    tx: &mut Tx<'_>,
    customer: PartyId,
    id: JobId,
    number: i32,
) -> Result<Vec<AttemptView>> {
    owned(tx, customer, id)?;
    let of: Option<store::TaskId> = task::table
        .filter(task::job_id.eq(id).and(task::number.eq(number)))
        .select(task::id)
        .first(tx.conn)
        .optional()?;
    let of = of.ok_or(Error::NotFound("task"))?;
    let said = (
        attempt_report::fuel,
        attempt_report::cpu_us,
        attempt_report::peak_memory_bytes,
        attempt_report::log,
        attempt_report::metrics,
    );
    let mut rows: Vec<AttemptView> = attempt::table
        .inner_join(lease::table.on(lease::id.eq(attempt::lease_id)))
        .left_join(attempt_report::table.on(attempt_report::attempt_id.eq(attempt::id)))
        .filter(attempt::task_id.eq(of))
        .order(attempt::id.desc())
        .limit(100)
        .select((
            attempt::id,
            lease::vehicle_id,
            attempt::state,
            attempt::verdict,
            attempt::reason,
            attempt::started_at,
            attempt::ended_at,
            attempt::billable_us,
            said.nullable(),
        ))
        .load(tx.conn)?;
    rows.reverse();
    Ok(rows)
}

fn owned(tx: &mut Tx<'_>, customer: PartyId, id: JobId) -> Result<JobRow> {
    match load_job(tx, id)? {
        Some(row) if row.customer_id == customer => Ok(row),
        _ => Err(Error::NotFound("job")),
    }
}

fn view(tx: &mut Tx<'_>, row: JobRow) -> Result<JobView> {
    let hold = ledger::hold(tx, row.hold_id)?;
    let bid = load_bid(tx, row.id)?;
    let asset = crate::market::asset(tx, &row.market_id)?;
    let stages = if row.staged { load_stages(tx, row.id)? } else { vec![] };
    Ok(JobView { asset, spent: hold.captured, held: hold.remaining(), bid, row, stages })
}
