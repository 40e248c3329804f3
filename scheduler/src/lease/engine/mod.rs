//! Serves cars with a lease, and what time brings to leases: one heartbeat, or a thousand in one
//! transaction.
//!
//! # Phases
//! 1. The market's row is locked; whoever changes leases, tasks or the progress of jobs has it.
//! 2. Load: cars, their words and live leases; the attempts that run; jobs; the tasks that run and
//!    the first that wait, as many as the batch can take; the attempts whose checkpoints they go on
//!    from; owners; blobs that reports name. A query for each ([`load`]).
//! 3. Decide in memory, heartbeat after heartbeat, by the plan ([`World::beat`]).
//! 4. Write: a statement for each table ([`write`]), and one [`ledger::execute`] for all
//!    settlements and releases of holds.
//!
//! About 12 queries and 8 statements, whatever the number of heartbeats, beside those of the book.
//! Nothing is kept in memory between batches. A world decides as one batch what it would decide one
//! by one: `scheduler/tests/differential.rs`.

mod attempt;
mod beat;
mod close;
mod load;
mod note;
mod verify;
mod world;
mod write;

use ::store::{JobId, Tx, VehicleId};
use vehicle::protocol::{Heartbeat, HeartbeatReply};

pub(crate) use beat::{IdleCar, Served, waiting_reply};
pub(crate) use load::{Scope, load_due, load_world};
pub(crate) use world::World;

use crate::market::lock_market;
use crate::{Config, JobReason, JobState, Result};

/// A car and its word.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub vehicle: VehicleId,
    pub beat: &'a Heartbeat,
}

/// Takes the words of cars in their order and answers in that order.
///
/// # Errors
/// Faults only; then nothing of it is done.
pub(crate) fn serve(
    tx: &mut Tx<'_>,
    config: &Config,
    market: &str,
    calls: &[Call<'_>],
) -> Result<Vec<Served>> {
    change(tx, config, market, Scope { calls, ..Scope::default() }, |world| {
        calls.iter().map(|call| world.beat(call.vehicle, call.beat)).collect()
    })
}

/// Ends jobs of a market before their tasks are done.
pub(crate) fn end_jobs(
    tx: &mut Tx<'_>,
    market: &str,
    jobs: &[JobId],
    state: JobState,
    reason: Option<JobReason>,
) -> Result<()> {
    if jobs.is_empty() {
        return Ok(());
    }
    // It is the same under all settings.
    let config = Config::default();
    let scope = Scope { ending: jobs.to_vec(), ..Scope::default() };
    change(tx, &config, market, scope, |world| {
        jobs.iter().try_for_each(|id| world.end_early(*id, state, reason))
    })
}

/// Locks, loads, decides, writes.
pub(crate) fn change<T>(
    tx: &mut Tx<'_>,
    config: &Config,
    market: &str,
    scope: Scope<'_>,
    decide: impl FnOnce(&mut World<'_>) -> Result<T>,
) -> Result<T> {
    lock_market(tx, market)?;
    let mut world = load_world(tx, config, market, scope)?;
    let answer = decide(&mut world)?;
    write::store(tx, &world)?;
    let hopeless: Vec<JobId> = world.effects.hopeless.iter().copied().collect();
    let why = JobReason::ProgramFailsEverywhere;
    end_jobs(tx, market, &hopeless, JobState::Failed, Some(why))?;
    Ok(answer)
}

/// What a look at a car's word without any lock tells.
#[expect(clippy::large_enum_variant, reason = "an answer is handed on once, and most are replies")]
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Glance {
    /// An idle car whose word is not worth a write.
    Reply {
        reply: HeartbeatReply,
        idle: Box<IdleCar>,
    },
    Unknown,
    /// This market has to take the word.
    Market(String),
}

/// Looks at cars' words without changing anything: most cars are idle, and say what they said.
pub(crate) fn glance(tx: &mut Tx<'_>, config: &Config, calls: &[Call<'_>]) -> Result<Vec<Glance>> {
    let mut world = World::new(tx.now, tx.ids(), config, "", String::new());
    load::load_cars(tx, &mut world, calls)?;
    load::load_reported(tx, &mut world, calls)?;
    Ok(calls.iter().map(|call| world.glance(call.vehicle, call.beat)).collect())
}
