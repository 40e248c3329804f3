//! Jobs as their customer sees them.

use diesel::prelude::*;
use store::schema::{job, task};
use store::{Amount, JobId, PartyId, Tx};

use super::store::{BidRow, JobRow, TaskRow, load_bid, load_job};
use crate::{Error, Result};

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
    Ok(JobView { asset, spent: hold.captured, held: hold.remaining(), bid, row })
}
