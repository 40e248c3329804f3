//! The operator's hand: cars leave at their next poll, by an order that no program delays.

use diesel::prelude::*;
use store::schema::{lease, vehicle};
use store::{JobId, LeaseId, Tx, VehicleId};

use super::store::{is_live, is_open};
use crate::market::lock_market;
use crate::{Error, Result};

/// Whose leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evict<'a> {
    Vehicle(VehicleId),
    Region(&'a str),
    Job(JobId),
}

/// Tells every car with such a lease of this market to leave at once: it checkpoints what it can
/// and the task goes on elsewhere, unless its job has ended. Answers how many leases that are.
/// New leases are not kept from being made: halt the region, retire the car or cancel the job first.
///
/// # Errors
/// [`Error::Invalid`] for a reason that is empty or over 500 characters.
pub fn evict(tx: &mut Tx<'_>, market: &str, whose: Evict<'_>, reason: &str) -> Result<usize> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > 500 {
        return Err(Error::invalid("/reason", "1 to 500 characters"));
    }
    lock_market(tx, market)?;
    let mut live = lease::table
        .inner_join(vehicle::table.on(vehicle::id.eq(lease::vehicle_id)))
        .filter(lease::market_id.eq(market))
        .filter(is_live())
        .filter(is_open())
        .select(lease::id)
        .into_boxed();
    live = match whose {
        Evict::Vehicle(id) => live.filter(lease::vehicle_id.eq(id)),
        Evict::Region(id) => live.filter(vehicle::region_id.eq(id)),
        Evict::Job(id) => live.filter(lease::job_id.eq(id)),
    };
    let ids: Vec<LeaseId> = live.load(tx.conn)?;
    let texts = ids.iter().map(|_| reason);
    let set = store::sets::Set::default().ids("id", ids.iter().copied()).texts("reason", texts);
    Ok(set.execute(
        tx.conn,
        "UPDATE lease SET evicted = w.reason FROM {set}
        WHERE lease.id = w.id AND lease.evicted IS NULL",
    )?)
}
