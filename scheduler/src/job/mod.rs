//! Jobs: a program, its inputs, and a standing bid with a budget.

mod act;
pub mod archive;
mod check;
mod make;
mod rows;
mod stage;
mod store;
mod view;

pub use act::{CloneChange, clone_of, pause, resume};
pub(crate) use check::check_quote;
pub use make::{Files, Made, Maker, make};
pub use rows::{BadRow, RowCounter};
pub use stage::{
    Extras, Inputs, MAX_ARRAY, MAX_STAGES, MAX_TEMPLATE, NewStage, StageRow, load_stages,
};
pub(crate) use stage::{Tally, end_of, fails_everywhere};
pub use store::{BidRow, JobRow, NewBid, NewJob, TaskRow};
pub(crate) use store::{load_bid, load_job, split_list};
pub use view::{AttemptView, JobView, ResultView, TaskView, attempts, list, load, results, tasks};

use ::store::schema::job;
use ::store::{Amount, JobId, PartyId, Timestamp, Tx};
use diesel::prelude::*;

use crate::lease::engine::end_jobs;
use crate::market::lock_market;
use crate::{Error, JobState, Result};

/// Accepts a job: the job, its bid and tasks, and the hold of the whole budget on the customer's
/// wallet, all or nothing.
///
/// # Errors
/// [`Error::Invalid`] with the field that is wrong, [`Error::UnknownBlob`],
/// [`Error::BudgetAboveWallet`].
pub fn submit(tx: &mut Tx<'_>, customer: PartyId, new: &NewJob) -> Result<JobId> {
    submit_with(tx, customer, new, &Extras::default())
}

/// As [`submit`], with what a job may say beside inputs and bid. Tasks of arrays and of stages that
/// wait are counted here and made later, so that a million of them are accepted at once.
///
/// # Errors
/// As [`submit`], and [`Error::Banned`].
pub fn submit_with(
    tx: &mut Tx<'_>,
    customer: PartyId,
    new: &NewJob,
    extras: &Extras,
) -> Result<JobId> {
    let asset = check::check(tx, customer, new, extras)?;
    let id: JobId = tx.id();
    let stages = stage::plan_stages(id, &extras.stages);
    let stages = if extras.stages.is_empty() { vec![] } else { stages? };
    let tasks = match stages.is_empty() {
        true => i32::try_from(new.inputs.len()).unwrap_or(i32::MAX),
        false => stages.iter().map(|row| row.tasks).sum(),
    };
    let hold = store::hold_budget(tx, customer, id, &asset, new.bid.budget)?;
    store::insert(tx, customer, id, hold, new, extras, tasks)?;
    stage::insert_stages(tx, &stages)?;
    for (row, stage) in stages.iter().zip(&extras.stages) {
        if let Inputs::List(inputs) = &stage.inputs {
            store::insert_tasks(tx, id, row.first, inputs)?;
        }
    }
    Ok(id)
}

/// Cancels what has not ended: queued tasks at once, running ones at their car's next poll; they
/// are billed up to then. Cancelling twice is the same as once.
///
/// # Errors
/// [`Error::NotFound`], [`Error::JobEnded`] if it completed or failed before.
pub fn cancel(tx: &mut Tx<'_>, customer: PartyId, id: JobId) -> Result<()> {
    let market = owned(load_job(tx, id)?, customer)?.market_id;
    lock_market(tx, &market)?;
    match owned(load_job(tx, id)?, customer)?.state {
        JobState::Cancelled => Ok(()),
        JobState::Completed | JobState::Failed => Err(Error::JobEnded),
        JobState::Active => end_jobs(tx, &market, &[id], JobState::Cancelled, None),
    }
}

/// What a customer may change of a bid while its job runs; what is none stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BidChange {
    /// Most the customer pays, per hw4-equivalent hour.
    pub price: Option<Amount>,
    /// When the bid takes no more cars, in the future.
    pub expires_at: Option<Timestamp>,
}

/// Changes a live job's bid from the next tick on. Another price takes another place in the queue
/// of equal prices; leases that run keep their own. The budget stays what it is: a hard cap.
///
/// # Errors
/// [`Error::NotFound`] for another's job, [`Error::JobEnded`], [`Error::Invalid`].
pub fn change_bid(tx: &mut Tx<'_>, customer: PartyId, id: JobId, change: &BidChange) -> Result<()> {
    let market = owned(load_job(tx, id)?, customer)?.market_id;
    lock_market(tx, &market)?;
    if owned(load_job(tx, id)?, customer)?.state != JobState::Active {
        return Err(Error::JobEnded);
    }
    check::check_change(tx, change)?;
    let bid = load_bid(tx, id)?;
    let price = change.price.unwrap_or(bid.price);
    let placed_at = if price == bid.price { bid.placed_at } else { tx.now };
    store::update_bid(tx, bid.id, price, change.expires_at.or(bid.expires_at), placed_at)
}

fn owned(job: Option<JobRow>, customer: PartyId) -> Result<JobRow> {
    job.filter(|job| job.customer_id == customer).ok_or(Error::NotFound("job"))
}

/// The market's active jobs whose deadline has passed, and those whose bid is in force no more and
/// that have no car left; up to `limit`, by id.
pub(crate) fn load_late(tx: &mut Tx<'_>, market: &str, limit: usize) -> Result<Vec<JobId>> {
    use ::store::schema::{bid, lease};
    use diesel::dsl::{exists, not};
    let late = bid::deadline.le(Some(tx.now)).assume_not_null();
    let lapsed = bid::expires_at.le(Some(tx.now)).assume_not_null();
    let live = lease::table.filter(lease::job_id.eq(job::id)).filter(crate::lease::is_live());
    let ids = job::table
        .inner_join(bid::table.on(bid::job_id.eq(job::id)))
        .filter(job::market_id.eq(market))
        .filter(job::state.eq(JobState::Active))
        .filter(late.or(lapsed.and(not(exists(live)))))
        .order(job::id)
        .select(job::id)
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .load(tx.conn)?;
    Ok(ids)
}
