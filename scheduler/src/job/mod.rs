//! Jobs: a program, its inputs, and a standing bid with a budget.

mod check;
mod close;
mod store;
mod view;

pub(crate) use close::{cancel_task, count_task, end_early, release_if_done};
pub use store::{BidRow, JobRow, NewBid, NewJob, TaskRow};
pub(crate) use store::{load_job, load_task, next_queued, split_list};
pub use view::{JobView, TaskView, list, load, tasks};

use ::store::schema::job;
use ::store::{JobId, PartyId, Tx};
use diesel::prelude::*;

use crate::market::lock_market;
use crate::{Error, JobState, Result};

/// Accepts a job: the job, its bid and tasks, and the hold of the whole budget on the customer's
/// wallet, all or nothing.
///
/// # Errors
/// [`Error::Invalid`] with the field that is wrong, [`Error::UnknownBlob`],
/// [`Error::BudgetAboveWallet`].
pub fn submit(tx: &mut Tx<'_>, customer: PartyId, new: &NewJob) -> Result<JobId> {
    let asset = check::check(tx, customer, new)?;
    let id: JobId = tx.id();
    let hold = store::hold_budget(tx, customer, id, &asset, new.bid.budget)?;
    store::insert(tx, customer, id, hold, new)?;
    Ok(id)
}

/// Cancels what has not ended: queued tasks at once, running ones at their car's next poll; they
/// are billed up to then. Cancelling twice is the same as once.
///
/// # Errors
/// [`Error::NotFound`], [`Error::JobEnded`] if it completed or failed before.
pub fn cancel(tx: &mut Tx<'_>, customer: PartyId, id: JobId) -> Result<()> {
    let owned = |job: Option<JobRow>| match job {
        Some(job) if job.customer_id == customer => Ok(job),
        _ => Err(Error::NotFound("job")),
    };
    let market = owned(load_job(tx, id)?)?.market_id;
    lock_market(tx, &market)?;
    match owned(load_job(tx, id)?)?.state {
        JobState::Cancelled => Ok(()),
        JobState::Completed | JobState::Failed => Err(Error::JobEnded),
        JobState::Active => end_early(tx, id, JobState::Cancelled),
    }
}

/// Ends the market's jobs whose deadline has passed; returns how many.
pub(crate) fn expire(tx: &mut Tx<'_>, market: &str) -> Result<usize> {
    use ::store::schema::bid;
    let late: Vec<JobId> = job::table
        .inner_join(bid::table.on(bid::job_id.eq(job::id)))
        .filter(job::market_id.eq(market))
        .filter(job::state.eq(JobState::Active))
        .filter(bid::deadline.le(Some(tx.now)))
        .select(job::id)
        .load(tx.conn)?;
    for id in &late {
        end_early(tx, *id, JobState::Failed)?;
    }
    Ok(late.len())
}
