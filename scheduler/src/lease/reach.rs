//! Which blobs a car may move: those of the attempt that it has now, and no others.

use diesel::prelude::*;
use store::schema::{attempt, job, job_stage, lease, task};
use store::{AttemptId, JobId, Tx, VehicleId};

use super::store::is_live;
use crate::Result;

/// Whether the car may have this blob: program, input or checkpoint of its attempt.
pub fn may_fetch(tx: &mut Tx<'_>, vehicle: VehicleId, digest: &str) -> Result<bool> {
    let Some(id) = current(tx, vehicle)? else { return Ok(false) };
    let (input, checkpoint, job): (String, Option<String>, JobId) = attempt::table
        .inner_join(task::table.on(task::id.eq(attempt::task_id)))
        .filter(attempt::id.eq(id))
        .select((task::input, task::checkpoint, task::job_id))
        .first(tx.conn)?;
    if input == digest || checkpoint.as_deref() == Some(digest) {
        return Ok(true);
    }
    let own: i64 =
        job::table.find(job).filter(job::program.eq(digest)).count().get_result(tx.conn)?;
    let staged: i64 = job_stage::table
        .filter(job_stage::job_id.eq(job))
        .filter(job_stage::program.eq(digest))
        .count()
        .get_result(tx.conn)?;
    Ok(own + staged > 0)
}

/// Whether the car may store what an attempt made: only while it has one.
pub fn may_store(tx: &mut Tx<'_>, vehicle: VehicleId) -> Result<bool> {
    Ok(current(tx, vehicle)?.is_some())
}

/// The attempt of the car's live lease.
fn current(tx: &mut Tx<'_>, vehicle: VehicleId) -> Result<Option<AttemptId>> {
    let found: Option<Option<AttemptId>> = lease::table
        .filter(lease::vehicle_id.eq(vehicle))
        .filter(is_live())
        .select(lease::attempt_id)
        .first(tx.conn)
        .optional()?;
    Ok(found.flatten())
}
