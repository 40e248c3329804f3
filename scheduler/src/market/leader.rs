//! One leader a market: a row with a fencing number, checked by every write of a tick.

use diesel::prelude::*;
use store::schema::market;
use store::{NodeId, Timestamp, Tx};

use super::lock_market;
use crate::{Config, Error, Result};

/// A row of `market`.
#[derive(Clone, Debug, Queryable)]
pub(crate) struct MarketRow {
    pub id: String,
    pub asset: String,
    pub fee_ppm: i32,
    pub bonus_ppm: i32,
    pub grid: i64,
    pub leader: Option<NodeId>,
    pub leader_until: Timestamp,
    pub fence: i64,
    pub tick: i64,
}

/// Leads the market for this transaction and a while longer, or refuses because another node does.
/// Whoever comes after a leader that fell silent begins a new reign, with the next fence.
///
/// # Errors
/// [`Error::NotLeader`]; [`Error::NotFound`] for an unknown market.
pub(super) fn lead(tx: &mut Tx<'_>, config: &Config, id: &str, node: NodeId) -> Result<MarketRow> {
    lock_market(tx, id)?;
    let row: Option<MarketRow> = market::table.find(id).first(tx.conn).optional()?;
    let mut row = row.ok_or(Error::NotFound("market"))?;
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
    Ok(row)
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
