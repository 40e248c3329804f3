//! The book of the last tick by price: what was offered and what was bid.

use std::collections::BTreeMap;

use pricing::lane_value;
use store::{Amount, Tx};

use super::explain::{TickRef, load_last};
use super::record::Record;
use super::{CellFilter, CellKey, known};
use crate::Result;

/// Lanes at one price per lane-hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    pub price: Amount,
    pub lanes: i64,
}

/// A cell's side of the book, before it was cleared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellDepth {
    pub key: CellKey,
    pub price: Option<Amount>,
    /// Lanes sold.
    pub lanes: i64,
    /// Cheapest first, with the fee; at most [`MAX_LEVELS`].
    pub asks: Vec<Depth>,
    /// Dearest first; at most [`MAX_LEVELS`]. A bid stands in every cell that it accepts.
    pub bids: Vec<Depth>,
}

/// Most prices of each side.
pub const MAX_LEVELS: usize = 50;

/// The depth of each cell in the market's last tick; none before it.
///
/// # Errors
/// [`crate::Error::NotFound`] for an unknown market.
pub fn depth(
    tx: &mut Tx<'_>,
    market: &str,
    cells: &CellFilter,
) -> Result<Option<(TickRef, Vec<CellDepth>)>> {
    known(tx, market)?;
    let last = load_last(tx, market)?;
    Ok(last.map(|(tick, record)| (tick, fold_depth(&record, cells))))
}

fn fold_depth(record: &Record, filter: &CellFilter) -> Vec<CellDepth> {
    let mut bids: Vec<BTreeMap<i64, i64>> = vec![BTreeMap::new(); record.cells.len()];
    for bid in &record.book.bids {
        for cell in bid.cells.iter().filter_map(|cell| usize::try_from(*cell).ok()) {
            if let (Some(side), Some(offer)) = (bids.get_mut(cell), record.book.cells.get(cell)) {
                let worth = lane_value(bid.price, offer.speed_ppm);
                *side.entry(worth).or_default() += i64::from(bid.lanes);
            }
        }
    }
    let cells = record.cells.iter().zip(&record.book.cells).zip(&record.result.cells).zip(bids);
    let taken = cells.filter(|(((key, _), _), _)| filter.takes(&key.region, &key.class));
    let level = |(price, lanes)| Depth { price: Amount(price), lanes };
    taken
        .map(|(((key, offer), cleared), bids)| CellDepth {
            key: key.clone(),
            price: cleared.price.map(Amount),
            lanes: cleared.lanes.into(),
            asks: offer
                .levels
                .iter()
                .map(|row| level((row.reserve, i64::from(row.lanes))))
                .take(MAX_LEVELS)
                .collect(),
            bids: bids.into_iter().rev().map(level).take(MAX_LEVELS).collect(),
        })
        .collect()
}
