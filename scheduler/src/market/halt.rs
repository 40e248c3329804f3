//! Regions that an operator halted: they take no new leases, and leases that run go on.

use std::collections::BTreeSet;

use diesel::prelude::*;
use store::schema::{region, region_halt};
use store::{PartyId, Timestamp, Tx};

use super::lock_market;
use crate::{Error, Result};

/// A row of `region_halt`: who, when, why, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct Halt {
    pub region: String,
    pub halted_at: Timestamp,
    pub halted_by: PartyId,
    pub reason: String,
    pub lifted_at: Option<Timestamp>,
    pub lifted_by: Option<PartyId>,
}

/// Halts a region from the next placing on, and tells whether this did it: halted twice it stays as it
/// was halted first.
///
/// # Errors
/// [`Error::NotFound`] for a region that is not of this market; [`Error::Invalid`] without a
/// reason of 1 to 500 characters.
pub fn halt(
    tx: &mut Tx<'_>,
    operator: PartyId,
    market: &str,
    region: &str,
    reason: &str,
) -> Result<(Halt, bool)> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > 500 {
        return Err(Error::invalid("/reason", "1 to 500 characters"));
    }
    own_region(tx, market, region)?;
    lock_market(tx, market)?;
    if let Some(live) = live_halt(tx, region)? {
        return Ok((live, false));
    }
    diesel::insert_into(region_halt::table)
        .values((
            region_halt::region_id.eq(region),
            region_halt::halted_at.eq(tx.now),
            region_halt::halted_by.eq(operator),
            region_halt::reason.eq(reason),
        ))
        .execute(tx.conn)?;
    let halt = live_halt(tx, region)?.ok_or_else(|| Error::corrupt("the halt is not there"))?;
    Ok((halt, true))
}

/// Opens the region again. What is not halted stays so.
///
/// # Errors
/// [`Error::NotFound`] for a region that is not of this market.
pub fn lift_halt(tx: &mut Tx<'_>, operator: PartyId, market: &str, region: &str) -> Result<()> {
    own_region(tx, market, region)?;
    lock_market(tx, market)?;
    diesel::update(region_halt::table)
        .filter(region_halt::region_id.eq(region))
        .filter(region_halt::lifted_at.is_null())
        .set((region_halt::lifted_at.eq(Some(tx.now)), region_halt::lifted_by.eq(Some(operator))))
        .execute(tx.conn)?;
    Ok(())
}

/// Every halt of a market's regions, the latest first; for operators.
pub fn halts(tx: &mut Tx<'_>, market: &str, limit: i64) -> Result<Vec<Halt>> {
    super::known(tx, market)?;
    let rows = region_halt::table
        .inner_join(region::table.on(region::id.eq(region_halt::region_id)))
        .filter(region::market_id.eq(market))
        .order((region_halt::halted_at.desc(), region_halt::region_id))
        .limit(limit)
        .select(region_halt::all_columns)
        .load(tx.conn)?;
    Ok(rows)
}

/// The halts in force.
pub(super) fn live_halts(tx: &mut Tx<'_>, market: &str) -> Result<Vec<Halt>> {
    let rows = region_halt::table
        .inner_join(region::table.on(region::id.eq(region_halt::region_id)))
        .filter(region::market_id.eq(market))
        .filter(region_halt::lifted_at.is_null())
        .order(region_halt::region_id)
        .select(region_halt::all_columns)
        .load(tx.conn)?;
    Ok(rows)
}

pub(super) fn halted_regions(tx: &mut Tx<'_>, market: &str) -> Result<BTreeSet<String>> {
    Ok(live_halts(tx, market)?.into_iter().map(|halt| halt.region).collect())
}

fn live_halt(tx: &mut Tx<'_>, region: &str) -> Result<Option<Halt>> {
    let live = region_halt::table
        .filter(region_halt::region_id.eq(region))
        .filter(region_halt::lifted_at.is_null())
        .first(tx.conn)
        .optional()?;
    Ok(live)
}

fn own_region(tx: &mut Tx<'_>, market: &str, id: &str) -> Result<()> {
    let own: Option<String> =
        region::table.find(id).select(region::market_id).first(tx.conn).optional()?;
    if own.as_deref() == Some(market) { Ok(()) } else { Err(Error::NotFound("region")) }
}
