//! One leader a market: a row with a fencing number, checked by every write of a tick.

use diesel::prelude::*;
use store::schema::market;
use store::{NodeId, Timestamp, Tx};

use super::fee::{FeeRate, rate_now};
use super::lock_market;
use crate::{Config, Error, Result};

/// A row of `market`.
#[derive(Clone, Debug, Queryable)]
pub(crate) struct MarketRow {
    pub id: String,
    pub asset: String,
    pub grid: i64,
    pub leader: Option<NodeId>,
    pub leader_until: Timestamp,
    pub fence: i64,
    pub tick: i64,
}

/// What a tick works under: the market as its leader found it, and the rate in force.
#[derive(Clone, Debug)]
pub(super) struct Reign {
    pub row: MarketRow,
    pub rate: FeeRate,
}

/// The market's row and the rate in force, whoever leads.
///
/// # Errors
/// [`Error::NotFound`] for an unknown market.
pub(super) fn observe(tx: &mut Tx<'_>, id: &str) -> Result<Reign> {
    let row: Option<MarketRow> = market::table.find(id).first(tx.conn).optional()?;
    let row = row.ok_or(Error::NotFound("market"))?;
    Ok(Reign { row, rate: rate_now(tx, id)? })
}

/// Leads the market for a while, or refuses because another node does, and begins its next tick.
/// Whoever comes after a leader that fell silent begins a new reign, with the next fence.
///
/// # Errors
/// [`Error::NotLeader`]; [`Error::NotFound`] for an unknown market.
pub(super) fn lead(tx: &mut Tx<'_>, config: &Config, id: &str, node: NodeId) -> Result<Reign> {
    lock_market(tx, id)?;
    let Reign { mut row, rate } = observe(tx, id)?;
    let mine = row.leader == Some(node);
    if !mine && row.leader.is_some() && tx.now < row.leader_until {
        return Err(Error::NotLeader);
    }
    // A SQLite file has one process: whoever opened it follows at once.
    let reign = match tx.conn {
        store::AnyConnection::Sqlite(_) => 0,
        store::AnyConnection::Postgres(_) => config.leader_ttl_s,
    };
    row.leader = Some(node);
    row.leader_until = tx.now.plus_s(reign);
    row.fence += i64::from(!mine);
    row.tick += 1;
    diesel::update(market::table.find(id))
        .set((
            market::leader.eq(row.leader),
            market::leader_until.eq(row.leader_until),
            market::fence.eq(row.fence),
            market::tick.eq(row.tick),
        ))
        .execute(tx.conn)?;
    Ok(Reign { row, rate })
}

/// Takes the market's row again for what the tick found outside of a transaction.
///
/// # Errors
/// [`Error::NotLeader`] if somebody began another reign or another tick meanwhile.
pub(super) fn resume(tx: &mut Tx<'_>, reign: &Reign) -> Result<()> {
    lock_market(tx, &reign.row.id)?;
    let now: (i64, i64) =
        market::table.find(&reign.row.id).select((market::fence, market::tick)).first(tx.conn)?;
    if now == (reign.row.fence, reign.row.tick) { Ok(()) } else { Err(Error::NotLeader) }
}

/// Steps down, so that a standby need not wait.
pub fn resign(tx: &mut Tx<'_>, id: &str, node: NodeId) -> Result<()> {
    lock_market(tx, id)?;
    diesel::update(market::table.find(id))
        .filter(market::leader.eq(Some(node)))
        .set(market::leader_until.eq(Timestamp(0)))
        .execute(tx.conn)?;
    Ok(())
}
