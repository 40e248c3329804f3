//! A market as everybody may see it: its regions, its rate, and whether something is wrong.

use diesel::prelude::*;
use store::schema::{cell_price, clearing, market, region};
use store::{Timestamp, Tx};

use super::explain::TickRef;
use super::fee::rate_now;
use super::halt::live_halts;
use super::history::CellPrice;
use super::leader::{MarketRow, observe};
use super::{FeeRate, Halt};
use crate::{Config, Result};

#[derive(Clone, Debug)]
pub struct MarketView {
    pub id: String,
    /// Settlement asset: the currency of bids and reserves.
    pub asset: String,
    pub rate: FeeRate,
    pub regions: Vec<String>,
    /// The halts in force.
    pub halts: Vec<Halt>,
}

pub fn list(tx: &mut Tx<'_>) -> Result<Vec<MarketView>> {
    let rows: Vec<MarketRow> = market::table.order(market::id).load(tx.conn)?;
    rows.into_iter()
        .map(|row| {
            let rate = rate_now(tx, &row.id)?;
            view(tx, row, rate)
        })
        .collect()
}

fn view(tx: &mut Tx<'_>, row: MarketRow, rate: FeeRate) -> Result<MarketView> {
    let regions = region::table
        .filter(region::market_id.eq(&row.id))
        .order(region::id)
        .select(region::id)
        .load(tx.conn)?;
    let halts = live_halts(tx, &row.id)?;
    Ok(MarketView { id: row.id, asset: row.asset, rate, regions, halts })
}

/// What is wrong with a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// So few cars were on offer that one owner could set the price.
    Thin,
    /// The price could have lain far from where it does.
    Wide,
}

/// The alarms that a price raises. Pure.
pub fn alarms(price: &CellPrice, config: &Config) -> Vec<Alarm> {
    let width = i128::from(price.high.0) - i128::from(price.low.0);
    let wide = width * 1_000_000 > i128::from(config.wide_ppm) * i128::from(price.high.0);
    let thin = price.offered < config.thin_lanes;
    let found = [(thin, Alarm::Thin), (wide, Alarm::Wide)];
    found.into_iter().filter(|(is, _)| *is).map(|(_, alarm)| alarm).collect()
}

/// A market, and what its last tick that sold says.
#[derive(Clone, Debug)]
pub struct Status {
    pub market: MarketView,
    /// The last tick that was cleared.
    pub last: Option<TickRef>,
    /// The prices that raise an alarm, in the last tick that sold within the last hour.
    pub alarms: Vec<(CellPrice, Vec<Alarm>)>,
}

/// # Errors
/// [`crate::Error::NotFound`] for an unknown market.
pub fn status(tx: &mut Tx<'_>, config: &Config, id: &str) -> Result<Status> {
    let reign = observe(tx, id)?;
    let market = view(tx, reign.row, reign.rate)?;
    let last = clearing::table
        .filter(clearing::market_id.eq(id))
        .order(clearing::tick.desc())
        .select((clearing::id, clearing::tick, clearing::at))
        .first(tx.conn)
        .optional()?;
    let prices = last_sales(tx, id, tx.now.plus_s(-3_600))?;
    let alarming = prices.into_iter().map(|price| {
        let alarms = alarms(&price, config);
        (price, alarms)
    });
    let alarms = alarming.filter(|(_, alarms)| !alarms.is_empty()).collect();
    Ok(Status { market, last, alarms })
}

/// The prices of the last tick since `since` that sold.
fn last_sales(tx: &mut Tx<'_>, id: &str, since: Timestamp) -> Result<Vec<CellPrice>> {
    let tick: Option<i64> = clearing::table
        .filter(clearing::market_id.eq(id))
        .filter(clearing::sold.gt(0))
        .filter(clearing::at.ge(since))
        .order(clearing::tick.desc())
        .select(clearing::tick)
        .first(tx.conn)
        .optional()?;
    let Some(tick) = tick else { return Ok(vec![]) };
    let rows = cell_price::table
        .filter(cell_price::market_id.eq(id))
        .filter(cell_price::tick.eq(tick))
        .order((cell_price::region_id, cell_price::class_id, cell_price::permits, cell_price::stay))
        .load(tx.conn)?;
    Ok(rows)
}
