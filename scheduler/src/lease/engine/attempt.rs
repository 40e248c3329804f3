//! The end of an attempt: its task goes on, completes or fails, and it is known what is paid. This
//! is the pay table of the market.

use store::{AttemptId, JobId, TaskId};

use super::world::World;
use crate::lease::plan::Close;
use crate::{AttemptOutcome, JobState, Result, TaskState, Verdict};

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

/// An attempt that has just ended.
struct Ended<'c> {
    id: AttemptId,
    task: TaskId,
    resumed: Option<AttemptId>,
    close: &'c Close,
}

impl World<'_> {
    /// Ends the running attempt and moves its task on.
    pub fn close_attempt(&mut self, id: AttemptId, close: &Close) -> Result<()> {
        let now = self.now;
        let row = self.attempts.edit(id)?;
        row.state = close.outcome;
        row.verdict = verdict(close.outcome);
        row.reason.clone_from(&close.reason);
        row.ended_at = Some(now);
        row.metered_us = close.metered_us;
        row.billable_us = close.billable_us;
        let (lease, verdict) = (row.lease_id, row.verdict);
        let ended = Ended { id, task: row.task_id, resumed: row.resumed, close };
        let lease = self.leases.edit(lease)?;
        lease.attempt_id = None;
        lease.count(verdict, close.billable_us);
        match close.outcome {
            AttemptOutcome::Running => Ok(()),
            AttemptOutcome::Completed => self.complete(&ended),
            AttemptOutcome::Checkpointed => self.checkpoint(&ended),
            AttemptOutcome::Cancelled => self.cancel(&ended),
            // Whatever checkpoint there was still waits for the next attempt.
            AttemptOutcome::Vacated => self.requeue(ended.task),
            AttemptOutcome::FailedProgram => self.fail_program(&ended),
            AttemptOutcome::FailedCar | AttemptOutcome::Lost => self.fail_car(&ended),
        }
    }

    fn complete(&mut self, ended: &Ended<'_>) -> Result<()> {
        let task = self.tasks.edit(ended.task)?;
        task.state = TaskState::Completed;
        task.output.clone_from(&ended.close.blob);
        task.resume_attempt = None;
        task.checkpoint = None;
        let job = task.job_id;
        if let Some(output) = &ended.close.blob {
            let size = self.blobs.get(output).copied().unwrap_or(0);
            let customer = self.jobs.get(job)?.customer_id;
            self.effects.grants.insert((output.clone(), customer), size);
        }
        self.decide_checkpoint(ended.resumed, Verdict::Paid, "")?;
        self.count_task(job, true)
    }

    fn checkpoint(&mut self, ended: &Ended<'_>) -> Result<()> {
        let task = self.tasks.edit(ended.task)?;
        task.resume_attempt = Some(ended.id);
        task.checkpoint.clone_from(&ended.close.blob);
        // It went on from the older checkpoint, so that one was good.
        self.decide_checkpoint(ended.resumed, Verdict::Paid, "")?;
        self.requeue(ended.task)
    }

    fn cancel(&mut self, ended: &Ended<'_>) -> Result<()> {
        let task = self.tasks.edit(ended.task)?;
        task.state = TaskState::Cancelled;
        task.resume_attempt = None;
        self.decide_checkpoint(ended.resumed, Verdict::Paid, "")
    }

    /// Back into the queue; out of it for good if the job has ended meanwhile.
    fn requeue(&mut self, id: TaskId) -> Result<()> {
        let task = self.tasks.edit(id)?;
        task.state = TaskState::Queued;
        let (job, number) = (task.job_id, task.number);
        if self.jobs.get(job)?.state != JobState::Active {
            return self.cancel_task(id);
        }
        self.enqueue(job, number, id);
        Ok(())
    }

    /// Tried again from the start: a checkpoint that a program fails on is not accepted.
    fn fail_program(&mut self, ended: &Ended<'_>) -> Result<()> {
        let task = self.tasks.edit(ended.task)?;
        task.program_failures += 1;
        task.last_error = Some(ended.close.reason.clone());
        task.resume_attempt = None;
        task.checkpoint = None;
        let failures = task.program_failures;
        let why = "the program failed on the checkpoint";
        self.decide_checkpoint(ended.resumed, Verdict::Unpaid, why)?;
        if ended.close.fatal || failures > self.config.program_retries {
            self.fail(ended.task)
        } else {
            self.requeue(ended.task)
        }
    }

    fn fail_car(&mut self, ended: &Ended<'_>) -> Result<()> {
        let task = self.tasks.edit(ended.task)?;
        task.car_failures += 1;
        task.last_error = Some(ended.close.reason.clone());
        if task.car_failures > self.config.car_retries {
            self.fail(ended.task)
        } else {
            self.requeue(ended.task)
        }
    }

    fn fail(&mut self, id: TaskId) -> Result<()> {
        let task = self.tasks.edit(id)?;
        task.state = TaskState::Failed;
        let (job, pending) = (task.job_id, task.resume_attempt.take());
        let why = "the task failed before it was resumed";
        self.decide_checkpoint(pending, Verdict::Unpaid, why)?;
        self.count_task(job, false)
    }

    /// Takes a task out of the queue for good.
    fn cancel_task(&mut self, id: TaskId) -> Result<()> {
        let task = self.tasks.edit(id)?;
        task.state = TaskState::Cancelled;
        let resumed = task.resume_attempt.take();
        let why = "the job ended before it was resumed";
        self.decide_checkpoint(resumed, Verdict::Paid, why)
    }

    /// Decides the attempt that left a checkpoint, if it is still pending, and settles its lease if
    /// that was the last open question.
    fn decide_checkpoint(
        &mut self,
        id: Option<AttemptId>,
        verdict: Verdict,
        reason: &str,
    ) -> Result<()> {
        let Some(id) = id else { return Ok(()) };
        if self.attempts.get(id)?.verdict != Verdict::Pending {
            return Ok(());
        }
        let row = self.attempts.edit(id)?;
        row.verdict = verdict;
        reason.clone_into(&mut row.reason);
        let (lease, billable_us) = (row.lease_id, row.billable_us);
        self.leases.edit(lease)?.decide(verdict, billable_us);
        self.settle_if_ready(lease)
    }

    /// Counts a task that completed or failed for good; with the last one the job has ended.
    fn count_task(&mut self, id: JobId, completed: bool) -> Result<()> {
        let job = self.jobs.edit(id)?;
        job.tasks_completed += i32::from(completed);
        job.tasks_failed += i32::from(!completed);
        if job.state == JobState::Active && job.tasks_completed + job.tasks_failed == job.tasks {
            let state = if job.tasks_failed == 0 { JobState::Completed } else { JobState::Failed };
            self.set_ended(id, state)?;
        }
        Ok(())
    }

    /// Ends a job before its tasks are done: what is queued is cancelled; what runs is told to leave
    /// at the car's next poll. Checkpoints that nobody will resume are paid: the customer gave up.
    /// All its queued tasks with a checkpoint are in this world.
    pub fn end_early(&mut self, id: JobId, state: JobState) -> Result<()> {
        self.set_ended(id, state)?;
        self.effects.emptied.insert(id);
        while let Some(task) = self.dequeue(id) {
            self.cancel_task(task)?;
        }
        Ok(())
    }

    fn set_ended(&mut self, id: JobId, state: JobState) -> Result<()> {
        let now = self.now;
        let job = self.jobs.edit(id)?;
        job.state = state;
        job.ended_at = Some(now);
        self.effects.ended.insert(id);
        Ok(())
    }
}
