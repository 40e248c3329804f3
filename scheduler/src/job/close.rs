//! How a job ends: by its last task, or early.

use diesel::prelude::*;
use store::schema::{job, lease, task};
use store::{JobId, LeaseId, TaskId, Tx};

use super::store::load_job;
use crate::lease::{decide_checkpoint, settle_if_ready};
use crate::{Error, JobState, LeaseState, Result, TaskState, Verdict};

/// Counts a task that completed or failed for good; with the last one the job has ended.
pub(crate) fn count_task(tx: &mut Tx<'_>, id: JobId, completed: bool) -> Result<()> {
    let job = load_job(tx, id)?.ok_or_else(|| Error::corrupt(format!("no {id}")))?;
    let tasks_completed = job.tasks_completed + i32::from(completed);
    let tasks_failed = job.tasks_failed + i32::from(!completed);
    diesel::update(job::table.find(id))
        .set((job::tasks_completed.eq(tasks_completed), job::tasks_failed.eq(tasks_failed)))
        .execute(tx.conn)?;
    if job.state == JobState::Active && tasks_completed + tasks_failed == job.tasks {
        let state = if tasks_failed == 0 { JobState::Completed } else { JobState::Failed };
        set_ended(tx, id, state)?;
    }
    Ok(())
}

/// Ends a job before its tasks are done: what is queued is cancelled; what runs is told to leave at
/// the car's next poll. Checkpoints that nobody will resume are paid: the customer gave up.
pub(crate) fn end_early(tx: &mut Tx<'_>, id: JobId, state: JobState) -> Result<()> {
    set_ended(tx, id, state)?;
    let queued: Vec<TaskId> = task::table
        .filter(task::job_id.eq(id))
        .filter(task::state.eq(TaskState::Queued))
        .select(task::id)
        .load(tx.conn)?;
    for task_id in queued {
        cancel_task(tx, task_id)?;
    }
    let ended: Vec<LeaseId> = lease::table
        .filter(lease::job_id.eq(id))
        .filter(lease::state.eq(LeaseState::Ended))
        .select(lease::id)
        .load(tx.conn)?;
    for lease_id in ended {
        settle_if_ready(tx, lease_id)?;
    }
    release_if_done(tx, id)
}

/// Takes a task out of the queue for good.
pub(crate) fn cancel_task(tx: &mut Tx<'_>, id: TaskId) -> Result<()> {
    let resumed = task::table.find(id).select(task::resume_attempt).first(tx.conn)?;
    diesel::update(task::table.find(id))
        .set((
            task::state.eq(TaskState::Cancelled),
            task::resume_attempt.eq(None::<store::AttemptId>),
        ))
        .execute(tx.conn)?;
    decide_checkpoint(tx, resumed, Verdict::Paid, "the job ended before it was resumed")
}

fn set_ended(tx: &mut Tx<'_>, id: JobId, state: JobState) -> Result<()> {
    diesel::update(job::table.find(id))
        .set((job::state.eq(state), job::ended_at.eq(Some(tx.now))))
        .execute(tx.conn)?;
    Ok(())
}

/// Releases the rest of the budget once the job has ended and each of its leases is settled.
pub(crate) fn release_if_done(tx: &mut Tx<'_>, id: JobId) -> Result<()> {
    let job = load_job(tx, id)?.ok_or_else(|| Error::corrupt(format!("no {id}")))?;
    let unsettled: i64 = lease::table
        .filter(lease::job_id.eq(id))
        .filter(lease::state.ne(LeaseState::Settled))
        .count()
        .get_result(tx.conn)?;
    if job.state != JobState::Active && unsettled == 0 {
        ledger::release_hold(tx, job.hold_id)?;
    }
    Ok(())
}
