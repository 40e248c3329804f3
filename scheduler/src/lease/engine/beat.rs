//! One heartbeat in a world: what the plan says is done to the rows, and answered.

use store::{AttemptId, JobId, LeaseId, Timestamp, VehicleId};
use vehicle::protocol::{AttemptState, Digest, Heartbeat, HeartbeatReply, Order, VacateReason};

use super::Glance;
use super::note::note;
use super::world::{Car, World};
use crate::assurance::Assurance;
use crate::fleet::{Circumstances, Eligibility, VehicleRow, Word, judge};
use crate::lease::plan::{Next, Report, RunningAttempt, View, plan};
use crate::lease::store::AttemptRow;
use crate::{
    AttemptOutcome, Config, EndReason, Error, JobState, LeaseState, Result, TaskState, Verdict,
};

/// What came of a heartbeat.
#[expect(clippy::large_enum_variant, reason = "an answer is handed on once, and most are replies")]
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Served {
    Reply {
        reply: HeartbeatReply,
        /// None if it has a lease now.
        idle: Option<Box<IdleCar>>,
    },
    /// No such vehicle, or it is retired.
    Unknown,
    /// It is to be told to this market.
    Elsewhere(String),
}

/// A car without a lease, as the rows have it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct IdleCar {
    pub row: VehicleRow,
    /// By the word that it came with.
    pub eligible: bool,
    /// When its owner will want it, or its charge or rules end its work; none: not known.
    pub until: Option<Timestamp>,
}

impl IdleCar {
    fn new(row: &VehicleRow, verdict: &Eligibility) -> Self {
        let until = row.available_until.into_iter().chain(verdict.until).min();
        Self { row: row.clone(), eligible: verdict.is_ok(), until }
    }
}

/// How old a car's last word in a row may be before it is written again: a third of the timeout.
pub(super) fn refresh_us(config: &Config) -> i64 {
    config.heartbeat_timeout_s * 1_000_000 / 3
}

/// The attempt that a heartbeat reports of, if that is an id.
pub(super) fn reported(beat: &Heartbeat) -> Option<AttemptId> {
    beat.attempt.as_ref().and_then(|report| report.attempt_id.parse().ok())
}

/// The blob that a report names.
pub(super) fn named(beat: &Heartbeat) -> Option<&str> {
    match &beat.attempt.as_ref()?.state {
        AttemptState::Completed { output: named, .. }
        | AttemptState::Checkpointed { checkpoint: named, .. } => Some(&named.0),
        _ => None,
    }
}

/// The answer to a car without a lease; what it thinks it runs is not its own.
pub(super) fn idle_reply(config: &Config, beat: &Heartbeat, own: bool) -> HeartbeatReply {
    let stray = beat.attempt.as_ref().is_some_and(|it| !own || !it.state.is_terminal());
    HeartbeatReply {
        next_poll_ms: config.idle_poll_ms,
        vacate: stray.then_some(VacateReason::NotYours),
        ..HeartbeatReply::default()
    }
}

/// The answer to a car that waits and reports of nothing.
pub(crate) fn waiting_reply(config: &Config) -> HeartbeatReply {
    HeartbeatReply { next_poll_ms: config.idle_poll_ms, ..HeartbeatReply::default() }
}

fn still_running(beat: &Heartbeat) -> bool {
    beat.attempt.as_ref().is_some_and(|report| !report.state.is_terminal())
}

impl World<'_> {
    /// Takes a car's word. Its rows are loaded.
    ///
    /// # Errors
    /// Corrupt only: nothing of this world is to be stored then.
    pub fn beat(&mut self, id: VehicleId, beat: &Heartbeat) -> Result<Served> {
        let Some(car) = self.cars.get(&id).filter(|car| car.row.active) else {
            return Ok(Served::Unknown);
        };
        let lease = self.live.get(&id).copied();
        let home = match lease {
            Some(lease) => &self.leases.get(lease)?.market_id,
            None => &car.place.market,
        };
        if *home != self.market {
            return Ok(Served::Elsewhere(home.clone()));
        }
        let verdict = self.judge(car, beat);
        self.hear(Word::new(id, self.now, &verdict), beat)?;
        let own = reported(beat).is_some_and(|it| self.reported.get(&it) == Some(&id));
        let reply = match lease {
            Some(lease) => self.serve(lease, verdict.is_ok(), own, beat)?,
            None => idle_reply(self.config, beat, own),
        };
        let waits = !self.live.contains_key(&id);
        let car = self.cars.get(&id).filter(|_| waits);
        let idle = car.map(|car| Box::new(IdleCar::new(&car.row, &verdict)));
        Ok(Served::Reply { reply, idle })
    }

    /// What of a car's word can be answered without a change. Only cars and live leases are loaded.
    pub fn glance(&self, id: VehicleId, beat: &Heartbeat) -> Glance {
        let Some(car) = self.cars.get(&id).filter(|car| car.row.active) else {
            return Glance::Unknown;
        };
        if let Some(lease) = self.live.get(&id).and_then(|lease| self.leases.find(*lease)) {
            return Glance::Market(lease.market_id.clone());
        }
        let verdict = self.judge(car, beat);
        let word = Word::new(id, self.now, &verdict);
        if word.supersedes(car.word.as_ref(), refresh_us(self.config)) {
            return Glance::Market(car.place.market.clone());
        }
        let own = reported(beat).is_some_and(|it| self.reported.get(&it) == Some(&id));
        let idle = Box::new(IdleCar::new(&car.row, &verdict));
        Glance::Reply { reply: idle_reply(self.config, beat, own), idle }
    }

    fn judge(&self, car: &Car, beat: &Heartbeat) -> Eligibility {
        let around = Circumstances {
            now: self.now,
            utc_offset_min: car.place.utc_offset_min,
            draw_w: car.place.draw_w,
            used_us: car.used_us,
            hold_s: self.config.resume_hold_s,
        };
        let last = car.word.as_ref().map(Word::verdict);
        judge(&beat.telemetry, &car.row.policy(), last.as_ref(), &around)
    }

    /// Keeps the word if it is worth it.
    fn hear(&mut self, word: Word, beat: &Heartbeat) -> Result<()> {
        let Some(car) = self.cars.get_mut(&word.vehicle_id) else { return Ok(()) };
        if word.supersedes(car.word.as_ref(), refresh_us(self.config)) {
            self.effects.words.insert(word.vehicle_id, word.with(&beat.telemetry)?);
            car.word = Some(word);
        }
        Ok(())
    }

    fn serve(
        &mut self,
        id: LeaseId,
        eligible: bool,
        own: bool,
        beat: &Heartbeat,
    ) -> Result<HeartbeatReply> {
        let view = self.view(id, eligible, own, beat)?;
        let plan = plan(&view);
        let running = view.attempt.as_ref().map(|attempt| attempt.id);
        let goes_on = plan.close.is_none()
            && matches!(plan.next, Next::Continue | Next::Vacate(_) | Next::Deliver);
        if plan.next != Next::Refuse {
            self.touch(id, goes_on)?;
        }
        if let (Some(attempt), Some(close)) = (running, &plan.close) {
            if let Some(report) = &beat.attempt
                && reported(beat) == Some(attempt)
            {
                self.effects.notes.extend(note(attempt, report)?);
            }
            self.close_attempt(attempt, close)?;
        }
        let next_poll_ms = self.config.leased_poll_ms;
        let mut reply = HeartbeatReply { next_poll_ms, ..HeartbeatReply::default() };
        match plan.next {
            Next::Continue => {}
            Next::Refuse => reply.vacate = Some(VacateReason::NotYours),
            Next::Vacate(reason) => reply.vacate = Some(reason),
            Next::Deliver => {
                let running = running.ok_or_else(|| Error::corrupt("nothing to deliver"))?;
                reply.order = Some(self.order(running)?);
            }
            Next::Start => {
                self.start(id)?;
                reply.order = self.take_task(id)?;
            }
            Next::TakeTask => reply.order = self.take_task(id)?,
            Next::End(reason) => {
                self.end_lease(id, reason)?;
                reply.vacate = still_running(beat).then_some(VacateReason::NotYours);
            }
        }
        Ok(reply)
    }

    fn view(&self, id: LeaseId, eligible: bool, own: bool, beat: &Heartbeat) -> Result<View> {
        let lease = self.leases.get(id)?;
        let job = self.jobs.get(lease.job_id)?;
        let permits = self.cars.get(&lease.vehicle_id).map(|car| car.permits).unwrap_or_default();
        let attempt = match lease.attempt_id {
            Some(id) => {
                let started_at = self.attempts.get(id)?.started_at;
                Some(RunningAttempt { id, started_at })
            }
            None => None,
        };
        let report = beat.attempt.as_ref().map(|report| Report {
            attempt: reported(beat),
            own,
            state: report.state.clone(),
            blob_stored: named(beat).is_some_and(|digest| self.blobs.contains_key(digest)),
        });
        Ok(View {
            now: self.now,
            lease: lease.state,
            ends_at: lease.ends_at(),
            eligible,
            permitted: permits.allows(job.purpose, job.data_class),
            evicted: lease.evicted.is_some(),
            job_active: job.state == JobState::Active,
            called_off: job.called_off(),
            attempt,
            report,
        })
    }

    /// Notes that the car was heard of: if that is all that is new, only once in a while.
    fn touch(&mut self, id: LeaseId, goes_on: bool) -> Result<()> {
        let old = self.now.since(self.leases.get(id)?.seen_at) >= refresh_us(self.config);
        if old || !goes_on {
            self.leases.edit(id)?.seen_at = self.now;
        }
        Ok(())
    }

    fn start(&mut self, id: LeaseId) -> Result<()> {
        let (now, config) = (self.now, self.config);
        let row = self.leases.edit(id)?;
        row.state = LeaseState::Running;
        row.started_at = Some(now);
        row.due_at = row.next_look(config);
        Ok(())
    }

    /// Gives the car the job's next task; without one the lease has ended.
    fn take_task(&mut self, id: LeaseId) -> Result<Option<Order>> {
        let job: JobId = self.leases.get(id)?.job_id;
        // The last report may have ended the job.
        let goes = self.jobs.get(job)?.goes() && !self.effects.hopeless.contains(&job);
        if goes && self.rests(id)? {
            self.end_lease(id, EndReason::Failed)?;
            return Ok(None);
        }
        let Some(task_id) = goes.then(|| self.dequeue_for(job, id)).flatten() else {
            self.end_lease(id, EndReason::NoWork)?;
            return Ok(None);
        };
        let task = self.tasks.edit(task_id)?;
        task.state = TaskState::Leased;
        let resumed = task.resume_attempt;
        let row = AttemptRow {
            id: self.id(),
            lease_id: id,
            task_id,
            state: AttemptOutcome::Running,
            verdict: Verdict::Pending,
            resumed,
            reason: String::new(),
            started_at: self.now,
            ended_at: None,
            metered_us: 0,
            billable_us: 0,
        };
        let attempt = row.id;
        let lease = self.leases.edit(id)?;
        lease.attempt_id = Some(attempt);
        self.reported.insert(attempt, lease.vehicle_id);
        self.attempts.add(attempt, row);
        self.order(attempt).map(Some)
    }

    fn order(&self, id: AttemptId) -> Result<Order> {
        let row = self.attempts.get(id)?;
        let task = self.tasks.get(row.task_id)?;
        let job = self.jobs.get(task.job_id)?;
        let lease = self.leases.get(row.lease_id)?;
        let left_us = lease.ends_at().map_or(0, |ends_at| ends_at.since(self.now)).max(0);
        let car = self.cars.get(&lease.vehicle_id);
        let mut stages = self.stages.get(&job.id).into_iter().flatten();
        let (runtime, program) = match stages.find(|stage| stage.has(task.number)) {
            Some(stage) => (stage.runtime, &stage.program),
            None => (job.runtime, &job.program),
        };
        Ok(Order {
            lease_id: row.lease_id.to_string(),
            attempt_id: id.to_string(),
            runtime: runtime.into(),
            program: Digest(program.clone()),
            input: Digest(task.input.clone()),
            checkpoint: task.checkpoint.clone().map(Digest),
            limits: vehicle::protocol::Limits {
                // Else honest cars could differ in the bits of a NaN.
                deterministic: job.assurance != Assurance::None,
                ..self.config.limits.clone()
            },
            term_ms: left_us.unsigned_abs() / 1_000,
            wifi_only: car.is_some_and(|car| car.row.rules.wifi_only),
            program_key: None,
        })
    }
}
