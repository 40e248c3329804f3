//! What time alone changes: cars that fell silent, offers nobody took, leases past their term, jobs
//! past their deadline. After a restart this is also the recovery: everything it needs is in rows.

use store::{LeaseId, TaskId, Tx};

use super::engine::{Scope, World, change, load_due};
use super::plan::lost;
use crate::assurance::load_waits;
use crate::market::lock_market;
use crate::{Config, EndReason, JobReason, JobState, LeaseState, Result};

/// The most leases, and the most jobs, that one transaction looks at.
pub const AT_ONCE: usize = 1_000;

/// What a sweep found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    pub lost: usize,
    pub not_taken: usize,
    pub expired_jobs: usize,
    /// Tasks that found no further car to confirm their result in time.
    pub unconfirmed: usize,
    /// There may be more to do at this moment: it looked at as much as it may at once.
    pub more: bool,
}

/// Ends what is over in one market and settles what follows, at most [`AT_ONCE`] leases and jobs.
/// It looks only at what is due.
pub fn sweep(tx: &mut Tx<'_>, config: &Config, market: &str) -> Result<Swept> {
    lock_market(tx, market)?;
    let late = crate::job::load_late(tx, market, AT_ONCE)?;
    let leases = load_due(tx, market, AT_ONCE as i64)?;
    let waiting = load_waits(tx, market, AT_ONCE as i64)?;
    let more = [late.len(), leases.len(), waiting.len()].contains(&AT_ONCE);
    let (expired_jobs, unconfirmed) = (late.len(), waiting.len());
    let mut swept = Swept { expired_jobs, unconfirmed, more, ..Swept::default() };
    if late.is_empty() && leases.is_empty() && waiting.is_empty() {
        return Ok(swept);
    }
    let due: Vec<LeaseId> = leases.iter().map(|row| row.id).collect();
    let unconfirmed: Vec<TaskId> = waiting.iter().map(|row| row.id).collect();
    let scope = Scope { leases, ending: late.clone(), waiting, ..Scope::default() };
    change(tx, config, market, scope, |world| {
        late.iter()
            .try_for_each(|id| world.end_early(*id, JobState::Failed, Some(JobReason::Deadline)))?;
        unconfirmed.iter().try_for_each(|id| world.stop_waiting(*id))?;
        due.iter().try_for_each(|id| look(world, *id, &mut swept))
    })?;
    Ok(swept)
}

/// Ends a lease that is silent or overdue, or says when to look again.
fn look(world: &mut World<'_>, id: LeaseId, swept: &mut Swept) -> Result<()> {
    let row = world.leases.get(id)?;
    let next = row.next_look(world.config);
    match row.state {
        LeaseState::Offered | LeaseState::Running if next > world.now => {
            world.leases.edit(id)?.due_at = next;
            Ok(())
        }
        LeaseState::Offered => {
            swept.not_taken += 1;
            world.end_lease(id, EndReason::NotTaken)
        }
        LeaseState::Running => {
            swept.lost += 1;
            if let Some(attempt) = row.attempt_id {
                world.close_attempt(attempt, &lost())?;
            }
            world.end_lease(id, EndReason::Lost)
        }
        // An earlier one of this sweep may have settled it.
        LeaseState::Ended | LeaseState::Settled => Ok(()),
    }
}
