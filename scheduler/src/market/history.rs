//! Prices as they were: where they changed, and candles.

use std::collections::BTreeMap;

use diesel::dsl::max;
use diesel::prelude::*;
use store::schema::cell_price;
use store::{Amount, Rounding, Timestamp, Tx, mul_div};

use super::{CellKey, known};
use crate::{Error, Permits, Result, Stay};

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

impl CellPrice {
    pub fn key(&self) -> CellKey {
        CellKey {
            region: self.region.clone(),
            class: self.class.clone(),
            permits: Permits(self.permits),
            stay: self.stay,
        }
    }
}

/// Which cells: none is any.
#[derive(Clone, Debug, Default)]
pub struct CellFilter {
    pub region: Option<String>,
    pub class: Option<String>,
}

impl CellFilter {
    pub(super) fn takes(&self, region: &str, class: &str) -> bool {
        self.region.as_deref().is_none_or(|id| id == region)
            && self.class.as_deref().is_none_or(|id| id == class)
    }
}

/// The latest price of every cell that ever sold.
///
/// # Errors
/// [`Error::NotFound`] for an unknown market.
pub fn prices(tx: &mut Tx<'_>, market: &str) -> Result<Vec<CellPrice>> {
    known(tx, market)?;
    last_before(tx, market, Timestamp(i64::MAX))
}

/// The last price of every cell before a moment.
fn last_before(tx: &mut Tx<'_>, market: &str, before: Timestamp) -> Result<Vec<CellPrice>> {
    // The last tick of each cell first: the history grows for ever, the cells do not.
    type Cell = (String, String, i32, Stay, Option<i64>);
    let cells: Vec<Cell> = cell_price::table
        .filter(cell_price::market_id.eq(market))
        .filter(cell_price::at.lt(before))
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

/// Where prices changed since `from`, oldest first, at most `limit`; and before them, for each
/// cell, the last price before `from`, which held then.
///
/// # Errors
/// [`Error::NotFound`] for an unknown market.
pub fn price_changes(
    tx: &mut Tx<'_>,
    market: &str,
    cells: &CellFilter,
    from: Timestamp,
    limit: usize,
) -> Result<Vec<CellPrice>> {
    known(tx, market)?;
    let mut points = last_before(tx, market, from)?;
    points.retain(|row| cells.takes(&row.region, &row.class));
    let mut last: BTreeMap<CellKey, Amount> =
        points.iter().map(|row| (row.key(), row.price)).collect();
    each_price(tx, market, cells, from, Timestamp(i64::MAX), |row| {
        if last.insert(row.key(), row.price) != Some(row.price) {
            points.push(row);
        }
        points.len() < limit
    })?;
    points.truncate(limit);
    Ok(points)
}

/// Rows of one query: more than a tick has cells.
const PAGE: i64 = 10_000;

/// Reads prices from `from` up to but without `to`, in the order of ticks, until `take` says that
/// it has enough.
pub(super) fn each_price(
    tx: &mut Tx<'_>,
    market: &str,
    cells: &CellFilter,
    from: Timestamp,
    to: Timestamp,
    mut take: impl FnMut(CellPrice) -> bool,
) -> Result<()> {
    let mut after = -1;
    loop {
        let mut page: Vec<CellPrice> = cell_price::table
            .filter(cell_price::market_id.eq(market))
            .filter(cell_price::at.ge(from))
            .filter(cell_price::at.lt(to))
            .filter(cell_price::tick.gt(after))
            .order((
                cell_price::tick,
                cell_price::region_id,
                cell_price::class_id,
                cell_price::permits,
                cell_price::stay,
            ))
            .limit(PAGE)
            .load(tx.conn)?;
        let full = i64::try_from(page.len()).unwrap_or(PAGE) == PAGE;
        let Some(last) = page.last().map(|row| row.tick) else { return Ok(()) };
        // The last tick of a full page may be cut: the next page has it whole.
        after = if full { last - 1 } else { last };
        page.retain(|row| row.tick <= after);
        for row in page.into_iter().filter(|row| cells.takes(&row.region, &row.class)) {
            if !take(row) {
                return Ok(());
            }
        }
        if !full {
            return Ok(());
        }
    }
}

/// What a cell's price did in a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candle {
    pub from: Timestamp,
    pub key: CellKey,
    pub open: Amount,
    pub high: Amount,
    pub low: Amount,
    pub close: Amount,
    /// Lanes let, and the mean price of them.
    pub volume: i64,
    pub mean: Amount,
    /// Ticks in which the cell sold.
    pub ticks: i64,
}

/// What lengths candles may have, seconds.
pub const INTERVALS_S: [i64; 5] = [60, 300, 900, 3_600, 86_400];
/// Most intervals of one answer.
pub const MAX_INTERVALS: i64 = 1_000;

/// Candles of `interval_s` from `from` up to `to`, oldest first, aligned to whole intervals since
/// 1970. A while in which a cell sold nothing has none.
///
/// # Errors
/// [`Error::NotFound`] for an unknown market, [`Error::Invalid`] for another interval, or for a
/// range that is empty or longer than [`MAX_INTERVALS`].
pub fn candles(
    tx: &mut Tx<'_>,
    market: &str,
    cells: &CellFilter,
    (from, to): (Timestamp, Timestamp),
    interval_s: i64,
) -> Result<Vec<Candle>> {
    known(tx, market)?;
    if !INTERVALS_S.contains(&interval_s) {
        return Err(Error::invalid("/interval_s", format!("one of {INTERVALS_S:?}")));
    }
    let interval_us = interval_s * 1_000_000;
    if from >= to || to.since(from) > interval_us * MAX_INTERVALS {
        let why = format!("after `from`, by no more than {MAX_INTERVALS} intervals");
        return Err(Error::invalid("/to", why));
    }
    let mut candles: BTreeMap<(Timestamp, CellKey), Fold> = BTreeMap::new();
    each_price(tx, market, cells, from, to, |row| {
        let begins = Timestamp(row.at.0 - row.at.0.rem_euclid(interval_us));
        candles.entry((begins, row.key())).or_default().add(&row);
        true
    })?;
    Ok(candles.into_iter().map(|((from, key), fold)| fold.candle(from, key)).collect())
}

#[derive(Default)]
struct Fold {
    prices: Option<(Amount, Amount, Amount, Amount)>,
    lanes: i64,
    paid: i128,
    ticks: i64,
}

impl Fold {
    fn add(&mut self, row: &CellPrice) {
        let (open, high, low, _) =
            self.prices.unwrap_or((row.price, row.price, row.price, row.price));
        self.prices = Some((open, high.max(row.price), low.min(row.price), row.price));
        self.lanes = self.lanes.saturating_add(row.lanes);
        self.paid += i128::from(row.price.0) * i128::from(row.lanes);
        self.ticks += 1;
    }

    fn candle(self, from: Timestamp, key: CellKey) -> Candle {
        let (open, high, low, close) = self.prices.unwrap_or_default();
        let mean = self.paid.checked_div(self.lanes.into()).unwrap_or(0);
        Candle {
            from,
            key,
            open,
            high,
            low,
            close,
            volume: self.lanes,
            // A mean is within what it is the mean of.
            mean: Amount(i64::try_from(mean).unwrap_or(i64::MAX)),
            ticks: self.ticks,
        }
    }
}

/// A price per lane-hour of a class of this speed, per hw4-equivalent hour: the least bid that is
/// worth it. None if it does not fit.
pub(super) fn per_hw4_hour(price: i64, speed_ppm: u32) -> Option<i64> {
    mul_div(price, 1_000_000, i64::from(speed_ppm.max(1)), Rounding::Up)
}
