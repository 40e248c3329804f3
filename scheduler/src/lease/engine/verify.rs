//! Results of jobs with assurance: each is a claim until enough of other owners' cars name the same
//! output; then who named it is paid, and who named another is not and is told why.

use store::{AttemptId, JobId, LeaseId, TaskId, VehicleId};

use super::attempt::{Counted, Ended};
use super::world::World;
use crate::assurance::judge::{judge, judge_dropped, judge_late};
use crate::assurance::{Assurance, ClaimRow, Event, Ruling, spot};
use crate::{ClaimState, Error, Result, TaskState, Verdict};

const NEVER_AGREED: &str = "the results of the task differ, and none was named often enough";
const UNCONFIRMED: &str = "no further car confirmed the result in time";
const FAILED_ON_IT: &str = "the program failed on the checkpoint";
/// How a failure is named among results; no digest begins so.
const FAILED: &str = "failed:";
const DROPPED: &str = "the job ended before its results, which differ, were told apart";

impl World<'_> {
    /// Takes in a result as the database has it.
    pub fn put_claim(&mut self, row: ClaimRow) {
        let attempts = self.claims_of.entry(row.task_id).or_default();
        if !attempts.contains(&row.attempt_id) {
            attempts.push(row.attempt_id);
            self.claims.load(row.attempt_id, row);
        }
    }

    pub(super) fn is_assured(&self, task: TaskId) -> Result<bool> {
        let job = self.tasks.get(task)?.job_id;
        Ok(self.jobs.get(job)?.assurance != Assurance::None)
    }

    /// Takes the first task out of the job's queue that the lease's car may run: none that its
    /// owner has a result of, and of its class if there is one.
    pub(super) fn dequeue_for(&mut self, job: JobId, lease: LeaseId) -> Option<TaskId> {
        let car = &self.cars.get(&self.leases.find(lease)?.vehicle_id)?.row;
        let fits = |id: &TaskId| {
            let Some(task) = self.tasks.find(*id) else { return false };
            let class = task.class_id.as_ref().is_none_or(|class| *class == car.class_id);
            class && self.claims_of(*id).all(|claim| claim.owner_id != car.owner_id)
        };
        let (number, id) = self.queues.get(&job)?.iter().find(|(_, id)| fits(id))?;
        let (number, id) = (*number, *id);
        self.queues.get_mut(&job)?.remove(&number);
        Some(id)
    }

    fn claims_of(&self, task: TaskId) -> impl Iterator<Item = &ClaimRow> {
        let attempts = self.claims_of.get(&task).map(Vec::as_slice).unwrap_or_default();
        attempts.iter().filter_map(|id| self.claims.find(*id))
    }

    /// A car's past has one more event.
    pub(super) fn learn(&mut self, car: VehicleId, event: Event) {
        let known = self.reputations.get(&car).copied().unwrap_or_default();
        if known.is_moved_by(event) {
            let next = known.after(event, self.now);
            self.reputations.insert(car, next);
            self.effects.reputations.insert(car, next);
        }
    }

    /// Whether the lease's car failed so often that it takes no work now.
    pub(super) fn rests(&self, lease: LeaseId) -> Result<bool> {
        let car = self.leases.get(lease)?.vehicle_id;
        Ok(self.reputations.get(&car).is_some_and(|known| known.rests_at(self.now)))
    }

    /// A car names a result.
    pub(super) fn claim(&mut self, ended: &Ended<'_>) -> Result<()> {
        let vehicle = self.leases.get(self.attempts.get(ended.id)?.lease_id)?.vehicle_id;
        let car = self.cars.get(&vehicle).ok_or_else(|| Error::corrupt("a result of no car"))?;
        let (owner_id, class_id) = (car.row.owner_id, car.row.class_id.clone());
        let failed = ended.close.blob.is_none();
        let output = ended.close.blob.clone().unwrap_or_else(|| failure(&ended.close.reason));
        let dice: AttemptId = self.id();
        let reputation = self.reputations.get(&vehicle).copied().unwrap_or_default();
        let level = self.jobs.get(self.tasks.get(ended.task)?.job_id)?.assurance;
        let task = self.tasks.edit(ended.task)?;
        if task.wanted == 0 {
            // Who says that the program fails is always checked: it would end the task.
            let least = if failed { 2 } else { 1 };
            task.wanted = spot::wanted(level, &reputation, dice.as_bytes()).max(least);
            task.class_id = Some(class_id.clone());
        }
        // The next car begins anew.
        task.resume_attempt = None;
        task.checkpoint = None;
        if failed {
            task.last_error = Some(ended.close.reason.clone());
        }
        let row = ClaimRow {
            attempt_id: ended.id,
            task_id: ended.task,
            vehicle_id: vehicle,
            owner_id,
            class_id,
            output,
            state: ClaimState::Pending,
            expected: None,
            agreeing: None,
            claimed_at: self.now,
            decided_at: None,
        };
        self.claims_of.entry(ended.task).or_default().push(ended.id);
        self.claims.add(ended.id, row);
        match failed {
            true => self.decide(ended.resumed, Verdict::Unpaid, FAILED_ON_IT)?,
            false => self.decide(ended.resumed, Verdict::Paid, "")?,
        }
        match self.rule(ended.task, judge)? {
            Ruling::Again => {
                let by = self.now.plus_s(self.config.verify_wait_s);
                self.tasks.edit(ended.task)?.verify_by = Some(by);
                self.requeue(ended.task)
            }
            ruling => self.finish(ended.task, &ruling, NEVER_AGREED),
        }
    }

    fn rule(&self, id: TaskId, judge: fn(usize, &[&str]) -> Ruling) -> Result<Ruling> {
        let wanted = usize::try_from(self.tasks.get(id)?.wanted).unwrap_or(0);
        let outputs: Vec<&str> = self.claims_of(id).map(|claim| &*claim.output).collect();
        Ok(judge(wanted, &outputs))
    }

    /// The task found no further car in time: what it has must do.
    pub fn stop_waiting(&mut self, id: TaskId) -> Result<()> {
        // A job of this sweep may have ended.
        if self.tasks.get(id)?.state != TaskState::Queued {
            return Ok(());
        }
        let (job, number) = (self.tasks.get(id)?.job_id, self.tasks.get(id)?.number);
        if let Some(queue) = self.queues.get_mut(&job) {
            queue.remove(&number);
        }
        self.finish_late(id)
    }

    /// The task ends with what it has: without any result it has failed.
    pub(super) fn finish_late(&mut self, id: TaskId) -> Result<()> {
        if self.claims_of(id).next().is_none() {
            return self.fail(id, Counted::FailedByCars);
        }
        let ruling = self.rule(id, judge_late)?;
        let task = self.tasks.edit(id)?;
        let left = task.resume_attempt.take();
        task.checkpoint = None;
        self.decide(left, Verdict::Unpaid, UNCONFIRMED)?;
        self.finish(id, &ruling, UNCONFIRMED)
    }

    /// The task completes with the accepted output, or fails if there is none.
    fn finish(&mut self, id: TaskId, ruling: &Ruling, why: &str) -> Result<()> {
        self.settle_claims(id, ruling, why)?;
        let task = self.tasks.edit(id)?;
        task.verify_by = None;
        let Ruling::Accept { output, agreeing } = ruling else {
            task.last_error = Some(why.to_owned());
            return self.fail(id, Counted::FailedByCars);
        };
        if is_failure(output) {
            task.program_failures += 1;
            return self.fail(id, Counted::FailedByProgram);
        }
        task.state = TaskState::Completed;
        task.output = Some(output.clone());
        task.last_error = None;
        task.agreed = i32::try_from(*agreeing).unwrap_or(i32::MAX);
        let job = task.job_id;
        let size = self.blobs.get(output).copied().unwrap_or(0);
        let customer = self.jobs.get(job)?.customer_id;
        self.effects.grants.insert((output.clone(), customer), size);
        self.count_task(id, Counted::Completed)
    }

    /// Nobody waits for the task any more: the customer gave up after cars had named results.
    pub(super) fn drop_claims(&mut self, id: TaskId) -> Result<()> {
        let outputs: Vec<&str> = self.claims_of(id).map(|claim| &*claim.output).collect();
        if outputs.is_empty() {
            return Ok(());
        }
        let ruling = judge_dropped(&outputs);
        self.tasks.edit(id)?.verify_by = None;
        self.settle_claims(id, &ruling, DROPPED)
    }

    /// Decides every result of a task: paid who agrees with the ruling, unpaid who does not. With
    /// one result there is nothing that it was compared with, so nothing is learnt of its car.
    fn settle_claims(&mut self, id: TaskId, ruling: &Ruling, why: &str) -> Result<()> {
        let now = self.now;
        for attempt in self.claims_of.remove(&id).unwrap_or_default() {
            let claim = self.claims.edit(attempt)?;
            claim.decided_at = Some(now);
            let (verdict, reason) = match ruling {
                Ruling::Accept { output, agreeing } => {
                    let compared = *agreeing > 1;
                    let right = claim.output == *output;
                    claim.expected = Some(output.clone());
                    claim.agreeing = i32::try_from(*agreeing).ok();
                    claim.state = match (compared, right) {
                        (false, _) => ClaimState::Undecided,
                        (true, true) => ClaimState::Right,
                        (true, false) => ClaimState::Dissent,
                    };
                    match right {
                        true => (Verdict::Paid, String::new()),
                        false => (Verdict::Unpaid, dissent(*agreeing, output)),
                    }
                }
                Ruling::Again | Ruling::GiveUp => {
                    claim.state = ClaimState::Undecided;
                    (Verdict::Unpaid, why.to_owned())
                }
            };
            let (car, state, failed) = (claim.vehicle_id, claim.state, is_failure(&claim.output));
            match state {
                ClaimState::Right => self.learn(car, Event::Right),
                // A slow car may run out of time where others do not: no lie.
                ClaimState::Dissent if failed => self.learn(car, Event::Failed),
                ClaimState::Dissent => self.learn(car, Event::Dissent),
                ClaimState::Pending | ClaimState::Undecided => {}
            }
            self.decide(Some(attempt), verdict, &reason)?;
        }
        Ok(())
    }
}

/// A failure as a result: what others are to agree on is its code.
fn failure(reason: &str) -> String {
    format!("{FAILED}{}", reason.split(':').next().unwrap_or_default())
}

fn is_failure(output: &str) -> bool {
    output.starts_with(FAILED)
}

/// Why a dissenting result is not paid, for its owner to read.
fn dissent(agreeing: usize, expected: &str) -> String {
    format!("wrong result: {agreeing} cars of other owners named {expected}")
}
