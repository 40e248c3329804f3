//! The end of an attempt: its task goes on, completes or fails, and it is known what is paid. This
//! is the pay table of the market.

use diesel::prelude::*;
use store::schema::{attempt, task};
use store::{AttemptId, Tx};

use super::close::settle_if_ready;
use super::plan::Close;
use super::store::AttemptRow;
use crate::job::{TaskRow, count_task, load_task};
use crate::{AttemptOutcome, Config, Error, JobState, Result, TaskState, Verdict, blob};

/// Stores how the attempt ended and moves its task on.
pub(super) fn close_attempt(
    tx: &mut Tx<'_>,
    config: &Config,
    row: &AttemptRow,
    close: &Close,
) -> Result<()> {
    diesel::update(attempt::table.find(row.id))
        .set((
            attempt::state.eq(close.outcome),
            attempt::verdict.eq(verdict(close.outcome)),
            attempt::reason.eq(&close.reason),
            attempt::ended_at.eq(Some(tx.now)),
            attempt::metered_us.eq(close.metered_us),
            attempt::billable_us.eq(close.billable_us),
        ))
        .execute(tx.conn)?;
    let task = load_task(tx, row.task_id)?;
    match close.outcome {
        AttemptOutcome::Running => Ok(()),
        AttemptOutcome::Completed => complete(tx, &task, row, close),
        AttemptOutcome::Checkpointed => checkpoint(tx, &task, row, close),
        AttemptOutcome::Cancelled => cancel(tx, &task, row),
        // Whatever checkpoint there was still waits for the next attempt.
        AttemptOutcome::Vacated => requeue(tx, &task),
        AttemptOutcome::FailedProgram => fail_program(tx, config, &task, row, close),
        AttemptOutcome::FailedCar | AttemptOutcome::Lost => fail_car(tx, config, &task, close),
    }
}

/// The pay table. A checkpoint's fate is decided by who resumes from it.
fn verdict(outcome: AttemptOutcome) -> Verdict {
    match outcome {
        AttemptOutcome::Completed | AttemptOutcome::FailedProgram | AttemptOutcome::Cancelled => {
            Verdict::Paid
        }
        AttemptOutcome::Running | AttemptOutcome::Checkpointed => Verdict::Pending,
        AttemptOutcome::Vacated | AttemptOutcome::FailedCar | AttemptOutcome::Lost => {
            Verdict::Unpaid
        }
    }
}

fn complete(tx: &mut Tx<'_>, task: &TaskRow, row: &AttemptRow, close: &Close) -> Result<()> {
    if let Some(output) = &close.blob {
        let job = crate::job::load_job(tx, task.job_id)?;
        let job = job.ok_or_else(|| Error::corrupt("a task has a job"))?;
        let size = blob::recorded(tx, output)?.unwrap_or(0);
        blob::grant(tx, output, job.customer_id, size)?;
    }
    diesel::update(task::table.find(task.id))
        .set((
            task::state.eq(TaskState::Completed),
            task::output.eq(&close.blob),
            task::resume_attempt.eq(None::<AttemptId>),
            task::checkpoint.eq(None::<String>),
        ))
        .execute(tx.conn)?;
    decide_checkpoint(tx, row.resumed, Verdict::Paid, "")?;
    count_task(tx, task.job_id, true)
}

fn checkpoint(tx: &mut Tx<'_>, task: &TaskRow, row: &AttemptRow, close: &Close) -> Result<()> {
    diesel::update(task::table.find(task.id))
        .set((task::resume_attempt.eq(Some(row.id)), task::checkpoint.eq(&close.blob)))
        .execute(tx.conn)?;
    // It went on from the older checkpoint, so that one was good.
    decide_checkpoint(tx, row.resumed, Verdict::Paid, "")?;
    requeue(tx, task)
}

fn cancel(tx: &mut Tx<'_>, task: &TaskRow, row: &AttemptRow) -> Result<()> {
    diesel::update(task::table.find(task.id))
        .set((task::state.eq(TaskState::Cancelled), task::resume_attempt.eq(None::<AttemptId>)))
        .execute(tx.conn)?;
    decide_checkpoint(tx, row.resumed, Verdict::Paid, "")
}

/// Back into the queue; out of it for good if the job has ended meanwhile.
fn requeue(tx: &mut Tx<'_>, task: &TaskRow) -> Result<()> {
    diesel::update(task::table.find(task.id))
        .set(task::state.eq(TaskState::Queued))
        .execute(tx.conn)?;
    let job = crate::job::load_job(tx, task.job_id)?;
    if job.is_some_and(|job| job.state != JobState::Active) {
        crate::job::cancel_task(tx, task.id)?;
    }
    Ok(())
}

/// Tried again from the start: a checkpoint that a program fails on is not accepted.
fn fail_program(
    tx: &mut Tx<'_>,
    config: &Config,
    task: &TaskRow,
    row: &AttemptRow,
    close: &Close,
) -> Result<()> {
    let failures = task.program_failures + 1;
    diesel::update(task::table.find(task.id))
        .set((
            task::program_failures.eq(failures),
            task::last_error.eq(Some(&close.reason)),
            task::resume_attempt.eq(None::<AttemptId>),
            task::checkpoint.eq(None::<String>),
        ))
        .execute(tx.conn)?;
    decide_checkpoint(tx, row.resumed, Verdict::Unpaid, "the program failed on the checkpoint")?;
    if close.fatal || failures > config.program_retries {
        fail(tx, task)
    } else {
        requeue(tx, task)
    }
}

fn fail_car(tx: &mut Tx<'_>, config: &Config, task: &TaskRow, close: &Close) -> Result<()> {
    let failures = task.car_failures + 1;
    diesel::update(task::table.find(task.id))
        .set((task::car_failures.eq(failures), task::last_error.eq(Some(&close.reason))))
        .execute(tx.conn)?;
    if failures > config.car_retries { fail(tx, task) } else { requeue(tx, task) }
}

fn fail(tx: &mut Tx<'_>, task: &TaskRow) -> Result<()> {
    let pending = task::table.find(task.id).select(task::resume_attempt).first(tx.conn)?;
    diesel::update(task::table.find(task.id))
        .set((task::state.eq(TaskState::Failed), task::resume_attempt.eq(None::<AttemptId>)))
        .execute(tx.conn)?;
    decide_checkpoint(tx, pending, Verdict::Unpaid, "the task failed before it was resumed")?;
    count_task(tx, task.job_id, false)
}

/// Decides the attempt that left a checkpoint, if it is still pending, and settles its lease if
/// that was the last open question.
pub(crate) fn decide_checkpoint(
    tx: &mut Tx<'_>,
    id: Option<AttemptId>,
    verdict: Verdict,
    reason: &str,
) -> Result<()> {
    let Some(id) = id else { return Ok(()) };
    let decided = diesel::update(attempt::table.find(id))
        .filter(attempt::verdict.eq(Verdict::Pending))
        .set((attempt::verdict.eq(verdict), attempt::reason.eq(reason)))
        .execute(tx.conn)?;
    if decided > 0 {
        let lease = attempt::table.find(id).select(attempt::lease_id).first(tx.conn)?;
        settle_if_ready(tx, lease)?;
    }
    Ok(())
}
