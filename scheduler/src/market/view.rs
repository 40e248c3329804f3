//! What everybody may see of a market.

use diesel::dsl::max;
use diesel::prelude::*;
use store::schema::{cell_price, market, region};
use store::{Amount, Timestamp, Tx};

use super::fee::rate_now;
use super::known;
use super::leader::MarketRow;
use crate::{Result, Stay};

#[derive(Clone, Debug)]
pub struct MarketView {
    pub id: String,
    /// Settlement asset: the currency of bids and reserves.
    pub asset: String,
    pub fee_ppm: i32,
    pub bonus_ppm: i32,
    pub regions: Vec<String>,
}

/// A price of a cell, as a tick found it.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct CellPrice {
    pub market_id: String,
    pub region: String,
    pub class: String,
    pub permits: i32,
    pub stay: Stay,
    pub tick: i64,
    pub at: Timestamp,
    /// Per lane-hour; with the least and the greatest that would have cleared.
    pub price: Amount,
    pub low: Amount,
    pub high: Amount,
    /// Lanes sold, and offered.
    pub lanes: i64,
    pub offered: i64,
}

pub fn list(tx: &mut Tx<'_>) -> Result<Vec<MarketView>> {
    let rows: Vec<MarketRow> = market::table.order(market::id).load(tx.conn)?;
    rows.into_iter()
        .map(|row| {
            let regions = region::table
                .filter(region::market_id.eq(&row.id))
                .order(region::id)
                .select(region::id)
                .load(tx.conn)?;
            let rate = rate_now(tx, &row.id)?;
            Ok(MarketView {
                id: row.id,
                asset: row.asset,
                fee_ppm: rate.fee_ppm,
                bonus_ppm: rate.bonus_ppm,
                regions,
            })
        })
        .collect()
}

/// The latest price of every cell that ever sold.
///
/// # Errors
/// [`Error::NotFound`] for an unknown market.
pub fn prices(tx: &mut Tx<'_>, market: &str) -> Result<Vec<CellPrice>> {
    known(tx, market)?;
    // The last tick of each cell first: the history grows for ever, the cells do not.
    type Cell = (String, String, i32, Stay, Option<i64>);
    let cells: Vec<Cell> = cell_price::table
        .filter(cell_price::market_id.eq(market))
        .group_by((
            cell_price::region_id,
            cell_price::class_id,
            cell_price::permits,
            cell_price::stay,
        ))
        .order((cell_price::region_id, cell_price::class_id, cell_price::permits, cell_price::stay))
        .select((
            cell_price::region_id,
            cell_price::class_id,
            cell_price::permits,
            cell_price::stay,
            max(cell_price::tick),
        ))
        .load(tx.conn)?;
    let mut latest = Vec::with_capacity(cells.len());
    for (region, class, permits, stay, tick) in cells {
        let key = (market, region, class, permits, stay, tick.unwrap_or_default());
        latest.push(cell_price::table.find(key).first(tx.conn)?);
    }
    Ok(latest)
}

/// Prices since `from`, oldest first, at most `limit`.
pub fn history(
    tx: &mut Tx<'_>,
    market: &str,
    from: Timestamp,
    limit: i64,
) -> Result<Vec<CellPrice>> {
    known(tx, market)?;
    let rows = cell_price::table
        .filter(cell_price::market_id.eq(market))
        .filter(cell_price::at.ge(from))
        .order((cell_price::tick, cell_price::region_id, cell_price::class_id))
        .limit(limit)
        .load(tx.conn)?;
    Ok(rows)
}
