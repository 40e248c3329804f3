//! The end of an attempt: its task goes on, completes or fails, and it is known what is paid. This
//! is the pay table of the market.

use store::{AttemptId, JobId, TaskId};

use super::world::World;
use crate::assurance::Event;
use crate::job::{Tally, end_of, fails_everywhere};
use crate::lease::plan::Close;
use crate::{AttemptOutcome, JobReason, JobState, Result, TaskState, Verdict};

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

/// How a task ended for good.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    Completed,
    FailedByProgram,
    FailedByCars,
}

/// An attempt that has just ended.
pub(super) struct Ended<'c> {
    pub id: AttemptId,
    pub task: TaskId,
    pub resumed: Option<AttemptId>,
    pub close: &'c Close,
}

/// What the end of an attempt says of its car.
fn event(outcome: AttemptOutcome) -> Option<Event> {
    match outcome {
        AttemptOutcome::Completed | AttemptOutcome::FailedProgram => Some(Event::Done),
        AttemptOutcome::FailedCar => Some(Event::Failed),
        AttemptOutcome::Lost => Some(Event::Lost),
        // The driver comes first, and a customer may think better of it.
        AttemptOutcome::Running
        | AttemptOutcome::Checkpointed
        | AttemptOutcome::Vacated
        | AttemptOutcome::Cancelled => None,
    }
}

impl World<'_> {
    /// Ends the running attempt and moves its task on.
    pub fn close_attempt(&mut self, id: AttemptId, close: &Close) -> Result<()> {
        let now = self.now;
        let assured = self.is_assured(self.attempts.get(id)?.task_id)?;
        let row = self.attempts.edit(id)?;
        row.state = close.outcome;
        row.verdict = match close.outcome {
            // Not before others have named the same output, or the same failure.
            AttemptOutcome::Completed | AttemptOutcome::FailedProgram if assured => {
                Verdict::Pending
            }
            outcome => verdict(outcome),
        };
        row.reason.clone_from(&close.reason);
        row.ended_at = Some(now);
        row.metered_us = close.metered_us;
        row.billable_us = close.billable_us;
        let (lease, verdict) = (row.lease_id, row.verdict);
        let ended = Ended { id, task: row.task_id, resumed: row.resumed, close };
        let lease = self.leases.edit(lease)?;
        lease.attempt_id = None;
        lease.count(verdict, close.billable_us);
        let car = lease.vehicle_id;
        if let Some(event) = event(close.outcome) {
            self.learn(car, event);
        }
        match close.outcome {
            AttemptOutcome::Running => Ok(()),
            AttemptOutcome::Completed | AttemptOutcome::FailedProgram if assured => {
                self.claim(&ended)
            }
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
        self.decide(ended.resumed, Verdict::Paid, "")?;
        self.count_task(ended.task, Counted::Completed)
    }

    fn checkpoint(&mut self, ended: &Ended<'_>) -> Result<()> {
        let task = self.tasks.edit(ended.task)?;
        task.resume_attempt = Some(ended.id);
        task.checkpoint.clone_from(&ended.close.blob);
        // It went on from the older checkpoint, so that one was good.
        self.decide(ended.resumed, Verdict::Paid, "")?;
        self.requeue(ended.task)
    }

    /// For good if the job has ended; a job that only pauses goes on with it from the start.
    fn cancel(&mut self, ended: &Ended<'_>) -> Result<()> {
        let task = self.tasks.edit(ended.task)?;
        if self.jobs.get(task.job_id)?.state == JobState::Active {
            return self.requeue(ended.task);
        }
        task.state = TaskState::Cancelled;
        task.resume_attempt = None;
        self.drop_claims(ended.task)?;
        self.decide(ended.resumed, Verdict::Paid, "")
    }

    /// Back into the queue; out of it for good if the job has ended meanwhile.
    pub(super) fn requeue(&mut self, id: TaskId) -> Result<()> {
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
        let retries = self.jobs.get(task.job_id)?.program_retries;
        let why = "the program failed on the checkpoint";
        self.decide(ended.resumed, Verdict::Unpaid, why)?;
        if ended.close.fatal || failures > retries {
            self.fail(ended.task, Counted::FailedByProgram)
        } else {
            self.requeue(ended.task)
        }
    }

    fn fail_car(&mut self, ended: &Ended<'_>) -> Result<()> {
        let task = self.tasks.edit(ended.task)?;
        task.car_failures += 1;
        task.last_error = Some(ended.close.reason.clone());
        if task.car_failures > self.config.car_retries {
            self.finish_late(ended.task)
        } else {
            self.requeue(ended.task)
        }
    }

    pub(super) fn fail(&mut self, id: TaskId, why_failed: Counted) -> Result<()> {
        let task = self.tasks.edit(id)?;
        task.state = TaskState::Failed;
        let pending = task.resume_attempt.take();
        let why = "the task failed before it was resumed";
        self.decide(pending, Verdict::Unpaid, why)?;
        self.count_task(id, why_failed)
    }

    /// Takes a task out of the queue for good.
    fn cancel_task(&mut self, id: TaskId) -> Result<()> {
        let task = self.tasks.edit(id)?;
        task.state = TaskState::Cancelled;
        let resumed = task.resume_attempt.take();
        self.drop_claims(id)?;
        let why = "the job ended before it was resumed";
        self.decide(resumed, Verdict::Paid, why)
    }

    /// Decides an attempt that left a checkpoint or a result, if it is still pending, and settles its
    /// lease if that was the last open question.
    pub(super) fn decide(
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

    /// Counts a task that completed or failed for good; with the last one the job has ended, and
    /// with a program that fails everywhere it is to end.
    pub(super) fn count_task(&mut self, id: TaskId, how: Counted) -> Result<()> {
        let task = self.tasks.edit(id)?;
        let job = self.jobs.edit(task.job_id)?;
        let completed = how == Counted::Completed;
        let by_program = i32::from(how == Counted::FailedByProgram);
        job.tasks_completed += i32::from(completed);
        job.tasks_failed += i32::from(!completed);
        job.program_failed += by_program;
        task.done = completed.then_some(job.tasks_completed);
        let whole = Tally {
            tasks: job.tasks,
            completed: job.tasks_completed,
            failed: job.tasks_failed,
            program_failed: job.program_failed,
        };
        let mut part = whole;
        let (mut forgiven, mut allowed) = (0, false);
        for stage in self.stages.get_mut(&task.job_id).into_iter().flatten() {
            if stage.has(task.number) {
                stage.completed += i32::from(completed);
                stage.failed += i32::from(!completed);
                stage.program_failed += by_program;
                part = Tally {
                    tasks: stage.tasks,
                    completed: stage.completed,
                    failed: stage.failed,
                    program_failed: stage.program_failed,
                };
                allowed = stage.allow_failed;
                self.effects.stages.insert((stage.job_id, stage.number));
            }
            forgiven += if stage.allow_failed { stage.failed } else { 0 };
        }
        if job.state != JobState::Active {
            return Ok(());
        }
        let (id, early_stop) = (job.id, job.early_stop);
        if whole.completed + whole.failed == whole.tasks {
            let (state, mut reason) = end_of(whole, forgiven);
            if state == JobState::Failed && fails_everywhere(part, early_stop) {
                reason = Some(JobReason::ProgramFailsEverywhere);
            }
            self.set_ended(id, state, reason)?;
        } else if fails_everywhere(part, early_stop) && !(allowed && part.failed == part.tasks) {
            self.effects.hopeless.insert(id);
        }
        Ok(())
    }

    /// Ends a job before its tasks are done: what is queued is cancelled; what runs is told to leave
    /// at the car's next poll. Checkpoints that nobody will resume are paid: the customer gave up.
    /// All its queued tasks with a checkpoint are in this world.
    pub fn end_early(
        &mut self,
        id: JobId,
        state: JobState,
        reason: Option<JobReason>,
    ) -> Result<()> {
        if self.jobs.get(id)?.state != JobState::Active {
            return Ok(());
        }
        self.set_ended(id, state, reason)?;
        self.effects.emptied.insert(id);
        while let Some(task) = self.dequeue(id) {
            self.cancel_task(task)?;
        }
        Ok(())
    }

    fn set_ended(&mut self, id: JobId, state: JobState, reason: Option<JobReason>) -> Result<()> {
        let now = self.now;
        let job = self.jobs.edit(id)?;
        job.state = state;
        job.reason = reason;
        job.ended_at = Some(now);
        self.effects.ended.insert(id);
        Ok(())
    }
}
