//! The ticks of a market in figures, newest first.

use std::collections::BTreeMap;

use diesel::prelude::*;
use pricing::{Idle, Unmet};
use store::schema::{clearing, unplaced_fill};
use store::{ClearingId, Timestamp, Tx};

use super::explain::load_tick;
use super::{CellKey, Figures, known};
use crate::{Error, LeftOut, NoCar, Result};

/// A tick that was cleared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TickView {
    pub clearing: ClearingId,
    pub tick: i64,
    pub at: Timestamp,
    pub figures: Figures,
    /// Lanes sold that found no car, by reason.
    pub unplaced: BTreeMap<NoCar, i64>,
    /// Whether it can be made again.
    pub replayable: bool,
}

/// A tick, and what it left undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TickDetail {
    pub view: TickView,
    /// Lanes wanted and not won, by reason; of bids that were in the book.
    pub unmet: Unmet,
    /// Bids that waited and were not in the book, by reason.
    pub left_out: BTreeMap<LeftOut, i64>,
    /// Cells with cars unsold: lanes, the least that one asks, and the reserve below which one
    /// more lane would have been sold.
    pub idle: Vec<(CellKey, Idle)>,
}

/// One tick in full.
///
/// # Errors
/// [`Error::NotFound`] for an unknown market or tick, and for one from before there were records.
pub fn tick_detail(tx: &mut Tx<'_>, market: &str, tick: i64) -> Result<TickDetail> {
    let view = ticks(tx, market, tick.checked_add(1), 1)?;
    let view = view.into_iter().find(|view| view.tick == tick).ok_or(Error::NotFound("tick"))?;
    let (_, record) = load_tick(tx, market, tick)?.ok_or(Error::NotFound("tick"))?;
    let report = pricing::report(&record.book, &record.result);
    let mut left_out = BTreeMap::new();
    for (_, why) in &record.left_out {
        *left_out.entry(*why).or_default() += 1;
    }
    let idle = report.idle.into_iter().filter_map(|idle| {
        let key = record.cells.get(usize::try_from(idle.cell).ok()?)?;
        Some((key.clone(), idle))
    });
    Ok(TickDetail { view, unmet: report.unmet, left_out, idle: idle.collect() })
}

type Row = (ClearingId, i64, Timestamp, Option<Vec<u8>>, FigureRow);
type FigureRow = (i64, i64, i64, i64, i64, i64, i64, i64, i64);

/// The ticks before `before`, newest first, at most `limit`.
///
/// # Errors
/// [`crate::Error::NotFound`] for an unknown market.
pub fn ticks(
    tx: &mut Tx<'_>,
    market: &str,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<TickView>> {
    known(tx, market)?;
    let rows: Vec<Row> = clearing::table
        .filter(clearing::market_id.eq(market))
        .filter(clearing::tick.lt(before.unwrap_or(i64::MAX)))
        .order(clearing::tick.desc())
        .limit(limit)
        .select((
            clearing::id,
            clearing::tick,
            clearing::at,
            clearing::record,
            (
                clearing::bids,
                clearing::wanted,
                clearing::offered,
                clearing::sold,
                clearing::welfare,
                clearing::bound,
                clearing::payments,
                clearing::owner_surplus,
                clearing::spread,
            ),
        ))
        .load(tx.conn)?;
    let mut views = Vec::with_capacity(rows.len());
    for (clearing, tick, at, record, figures) in rows {
        let unplaced = load_unplaced(tx, clearing)?;
        let figures = to_figures(figures);
        views.push(TickView {
            clearing,
            tick,
            at,
            figures,
            unplaced,
            replayable: record.is_some(),
        });
    }
    Ok(views)
}

fn to_figures(row: FigureRow) -> Figures {
    let (bids, wanted, offered, sold, welfare, bound, payments, owner_surplus, spread) = row;
    Figures { bids, wanted, offered, sold, welfare, bound, payments, owner_surplus, spread }
}

fn load_unplaced(tx: &mut Tx<'_>, clearing: ClearingId) -> Result<BTreeMap<NoCar, i64>> {
    let rows: Vec<(NoCar, i32)> = unplaced_fill::table
        .filter(unplaced_fill::clearing_id.eq(clearing))
        .select((unplaced_fill::reason, unplaced_fill::lanes))
        .load(tx.conn)?;
    let mut lanes = BTreeMap::new();
    for (reason, count) in rows {
        *lanes.entry(reason).or_default() += i64::from(count);
    }
    Ok(lanes)
}
