//! Leases as customers and owners see them.

use diesel::prelude::*;
use store::schema::{job, lease, vehicle};
use store::{JobId, LeaseId, PartyId, Tx};

use super::bill::{BillLine, bill};
use super::store::{AttemptRow, LeaseRow, load_attempts};
use crate::{Error, Result};

/// A lease with its attempts and what each of them costs.
#[derive(Clone, Debug)]
pub struct LeaseView {
    pub row: LeaseRow,
    /// The market's: what the amounts are in.
    pub asset: String,
    pub attempts: Vec<AttemptRow>,
    /// Of a settled lease.
    pub lines: Vec<BillLine>,
}

/// The leases of a customer's job after `after`, oldest first.
pub fn of_job(
    tx: &mut Tx<'_>,
    customer: PartyId,
    id: JobId,
    after: Option<LeaseId>,
    limit: i64,
) -> Result<Vec<LeaseView>> {
    let owner: Option<PartyId> =
        job::table.find(id).select(job::customer_id).first(tx.conn).optional()?;
    if owner != Some(customer) {
        return Err(Error::NotFound("job"));
    }
    let rows = lease::table
        .filter(lease::job_id.eq(id))
        .filter(lease::id.gt(after.unwrap_or(LeaseId::NIL)))
        .order(lease::id)
        .limit(limit)
        .load(tx.conn)?;
    views(tx, rows)
}

/// The leases of an owner's cars after `after`, oldest first.
pub fn of_owner(
    tx: &mut Tx<'_>,
    owner: PartyId,
    after: Option<LeaseId>,
    limit: i64,
) -> Result<Vec<LeaseView>> {
    let rows = lease::table
        .inner_join(vehicle::table.on(vehicle::id.eq(lease::vehicle_id)))
        .filter(vehicle::owner_id.eq(owner))
        .filter(lease::id.gt(after.unwrap_or(LeaseId::NIL)))
        .order(lease::id)
        .limit(limit)
        .select(lease::all_columns)
        .load(tx.conn)?;
    views(tx, rows)
}

fn views(tx: &mut Tx<'_>, rows: Vec<LeaseRow>) -> Result<Vec<LeaseView>> {
    rows.into_iter()
        .map(|row| {
            let attempts = load_attempts(tx, row.id)?;
            let lines = match row.settled_at {
                Some(_) => bill(row.price, row.term_s, &attempts).map_or(vec![], |bill| bill.lines),
                None => vec![],
            };
            let asset = crate::market::asset(tx, &row.market_id)?;
            Ok(LeaseView { asset, row, attempts, lines })
        })
        .collect()
}
