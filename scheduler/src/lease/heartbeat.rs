//! A car's poll: load, ask the plan, do what it says, answer.

use diesel::prelude::*;
use store::schema::{attempt, task};
use store::{AttemptId, Store, Tx, VehicleId};
use vehicle::protocol::{AttemptState, Digest, Heartbeat, HeartbeatReply, Order, VacateReason};

use super::attempt::close_attempt;
use super::close::end_lease;
use super::plan::{Next, Report, RunningAttempt, View, plan};
use super::store::{AttemptRow, LeaseRow, load_live, load_running_attempt, set_running, touch};
use crate::fleet::{
    Presence, VehicleRow, eligible, load_permits, load_presence, load_vehicle, market_of,
    store_presence,
};
use crate::job::{JobRow, load_job, load_task, next_queued};
use crate::market::lock_market;
use crate::{AttemptOutcome, Config, EndReason, Error, JobState, Result, TaskState, Verdict, blob};

/// Takes a car's word and answers with what it should do. An idle car whose word is not new costs
/// one read.
///
/// # Errors
/// [`Error::NotFound`] for a vehicle that does not exist or is retired.
pub fn heartbeat(
    store: &Store,
    config: &Config,
    id: VehicleId,
    beat: &Heartbeat,
) -> Result<HeartbeatReply> {
    if let Some(reply) = store.read(|tx| answer_idle(tx, config, id, beat))? {
        return Ok(reply);
    }
    store.write(|tx| {
        let car = active_vehicle(tx, id)?;
        let market = market_of(tx, &car)?;
        lock_market(tx, &market)?;
        let verdict = eligible(&beat.telemetry, car.policy());
        store_presence(tx, &Presence::new(id, tx.now, verdict, &beat.telemetry)?)?;
        match load_live(tx, id)? {
            Some(lease) => serve_lease(tx, config, &lease, verdict.is_ok(), beat),
            None => Ok(idle_reply(config, beat)),
        }
    })
}

/// The answer to a car without a lease whose presence need not be written again.
fn answer_idle(
    tx: &mut Tx<'_>,
    config: &Config,
    id: VehicleId,
    beat: &Heartbeat,
) -> Result<Option<HeartbeatReply>> {
    let car = active_vehicle(tx, id)?;
    let verdict = eligible(&beat.telemetry, car.policy());
    let word = Presence::new(id, tx.now, verdict, &beat.telemetry)?;
    let refresh_us = config.heartbeat_timeout_s * 1_000_000 / 3;
    let stored = load_presence(tx, id)?;
    let quiet = !word.supersedes(stored.as_ref(), refresh_us) && load_live(tx, id)?.is_none();
    Ok(quiet.then(|| idle_reply(config, beat)))
}

fn active_vehicle(tx: &mut Tx<'_>, id: VehicleId) -> Result<VehicleRow> {
    load_vehicle(tx, id)?.filter(|car| car.active).ok_or(Error::NotFound("vehicle"))
}

/// Nothing to do; what the car thinks it runs is not its own.
fn idle_reply(config: &Config, beat: &Heartbeat) -> HeartbeatReply {
    let runs = beat.attempt.as_ref().is_some_and(|report| !report.state.is_terminal());
    HeartbeatReply {
        next_poll_ms: config.idle_poll_ms,
        order: None,
        vacate: runs.then_some(VacateReason::NotYours),
    }
}

fn serve_lease(
    tx: &mut Tx<'_>,
    config: &Config,
    lease: &LeaseRow,
    eligible: bool,
    beat: &Heartbeat,
) -> Result<HeartbeatReply> {
    touch(tx, lease.id)?;
    let job = load_job(tx, lease.job_id)?.ok_or_else(|| Error::corrupt("a lease has a job"))?;
    let running = load_running_attempt(tx, lease.id)?;
    let view = View {
        now: tx.now,
        lease: lease.state,
        ends_at: lease.ends_at(),
        eligible,
        permitted: load_permits(tx, lease.vehicle_id)?.allows(job.purpose, job.data_class),
        job_active: job.state == JobState::Active,
        attempt: running
            .as_ref()
            .map(|row| RunningAttempt { id: row.id, started_at: row.started_at }),
        report: load_report(tx, beat)?,
    };
    let plan = plan(&view);
    if let (Some(row), Some(close)) = (&running, &plan.close) {
        close_attempt(tx, config, row, close)?;
    }
    let mut reply =
        HeartbeatReply { next_poll_ms: config.leased_poll_ms, order: None, vacate: None };
    match plan.next {
        Next::Continue => {}
        Next::Vacate(reason) => reply.vacate = Some(reason),
        Next::Deliver => {
            let row = running.ok_or_else(|| Error::corrupt("nothing to deliver"))?;
            reply.order = Some(order(tx, config, &job, &row)?);
        }
        Next::Start => {
            set_running(tx, lease.id)?;
            reply.order = take_task(tx, config, lease, &job)?;
        }
        Next::TakeTask => reply.order = take_task(tx, config, lease, &job)?,
        Next::End(reason) => {
            end_lease(tx, lease.id, reason)?;
            reply.vacate = still_running(beat).then_some(VacateReason::NotYours);
        }
    }
    Ok(reply)
}

/// What the car says of its attempt, and whether the blob it names is there.
fn load_report(tx: &mut Tx<'_>, beat: &Heartbeat) -> Result<Option<Report>> {
    let Some(report) = &beat.attempt else { return Ok(None) };
    let blob_stored = match &report.state {
        AttemptState::Completed { output: named, .. }
        | AttemptState::Checkpointed { checkpoint: named, .. } => {
            blob::recorded(tx, &named.0)?.is_some()
        }
        _ => false,
    };
    let attempt = report.attempt_id.parse().ok();
    Ok(Some(Report { attempt, state: report.state.clone(), blob_stored }))
}

fn still_running(beat: &Heartbeat) -> bool {
    let state = beat.attempt.as_ref().map(|report| &report.state);
    matches!(state, Some(AttemptState::Running { .. }))
}

/// Gives the car the job's next task; without one the lease has ended.
fn take_task(
    tx: &mut Tx<'_>,
    config: &Config,
    lease: &LeaseRow,
    job: &JobRow,
) -> Result<Option<Order>> {
    // The last report may have ended the job.
    let active = load_job(tx, job.id)?.is_some_and(|job| job.state == JobState::Active);
    let next = if active { next_queued(tx, job.id)? } else { None };
    let Some(task) = next else {
        end_lease(tx, lease.id, EndReason::NoWork)?;
        return Ok(None);
    };
    diesel::update(task::table.find(task.id))
        .set(task::state.eq(TaskState::Leased))
        .execute(tx.conn)?;
    let row = AttemptRow {
        id: tx.id(),
        lease_id: lease.id,
        task_id: task.id,
        state: AttemptOutcome::Running,
        verdict: Verdict::Pending,
        resumed: task.resume_attempt,
        reason: String::new(),
        started_at: tx.now,
        ended_at: None,
        metered_us: 0,
        billable_us: 0,
    };
    insert_attempt(tx, &row)?;
    order(tx, config, job, &row).map(Some)
}

fn insert_attempt(tx: &mut Tx<'_>, row: &AttemptRow) -> Result<()> {
    diesel::insert_into(attempt::table)
        .values((
            attempt::id.eq(row.id),
            attempt::lease_id.eq(row.lease_id),
            attempt::task_id.eq(row.task_id),
            attempt::state.eq(row.state),
            attempt::verdict.eq(row.verdict),
            attempt::resumed.eq(row.resumed),
            attempt::reason.eq(&row.reason),
            attempt::started_at.eq(row.started_at),
            attempt::metered_us.eq(row.metered_us),
            attempt::billable_us.eq(row.billable_us),
        ))
        .execute(tx.conn)?;
    Ok(())
}

fn order(tx: &mut Tx<'_>, config: &Config, job: &JobRow, row: &AttemptRow) -> Result<Order> {
    let task = load_task(tx, row.task_id)?;
    let id: AttemptId = row.id;
    Ok(Order {
        lease_id: row.lease_id.to_string(),
        attempt_id: id.to_string(),
        runtime: job.runtime.into(),
        program: Digest(job.program.clone()),
        input: Digest(task.input),
        checkpoint: task.checkpoint.map(Digest),
        limits: config.limits.clone(),
    })
}
