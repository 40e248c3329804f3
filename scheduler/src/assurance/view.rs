//! Records and dissents as owners and operators see them.

use ::store::schema::{claim, task};
use ::store::{AttemptId, JobId, PartyId, TaskId, Timestamp, Tx, VehicleId};
use diesel::prelude::*;

use super::Reputation;
use super::store::load_reputations;
use crate::{ClaimState, Result, fleet};

/// What is known of an owner's car.
///
/// # Errors
/// [`crate::Error::NotFound`] for another's car.
pub fn reputation_of(tx: &mut Tx<'_>, owner: PartyId, id: VehicleId) -> Result<Reputation> {
    fleet::view(tx, owner, id)?;
    Ok(load_reputations(tx, std::iter::once(id))?.remove(&id).unwrap_or_default())
}

/// A result that others did not agree with.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct Dissent {
    pub attempt: AttemptId,
    pub vehicle: VehicleId,
    pub owner: PartyId,
    pub job: JobId,
    pub task: TaskId,
    /// What the car named, and what the others did.
    pub got: String,
    pub expected: Option<String>,
    /// How many others.
    pub agreeing: Option<i32>,
    pub decided_at: Option<Timestamp>,
}

/// Dissents of all cars after `after`, in the order of the attempts.
pub fn dissents(tx: &mut Tx<'_>, after: Option<AttemptId>, limit: i64) -> Result<Vec<Dissent>> {
    page(tx, None, after, limit)
}

/// The same of one car of this owner's.
///
/// # Errors
/// [`crate::Error::NotFound`] for another's car.
pub fn dissents_of(
    tx: &mut Tx<'_>,
    owner: PartyId,
    id: VehicleId,
    limit: i64,
) -> Result<Vec<Dissent>> {
    fleet::view(tx, owner, id)?;
    page(tx, Some(id), None, limit)
}

fn page(
    tx: &mut Tx<'_>,
    car: Option<VehicleId>,
    after: Option<AttemptId>,
    limit: i64,
) -> Result<Vec<Dissent>> {
    let rows = claim::table
        .inner_join(task::table.on(task::id.eq(claim::task_id)))
        .filter(claim::state.eq(ClaimState::Dissent))
        .filter(claim::attempt_id.gt(after.unwrap_or(AttemptId::NIL)))
        .order(claim::attempt_id)
        .limit(limit)
        .select((
            claim::attempt_id,
            claim::vehicle_id,
            claim::owner_id,
            task::job_id,
            claim::task_id,
            claim::output,
            claim::expected,
            claim::agreeing,
            claim::decided_at,
        ));
    let rows = match car {
        Some(id) => rows.filter(claim::vehicle_id.eq(id)).load(tx.conn)?,
        None => rows.load(tx.conn)?,
    };
    Ok(rows)
}
