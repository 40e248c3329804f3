//! The end of the flow, told as a clearing.

use super::flow::Flow;
use super::index::Index;
use super::limits::Limits;
use super::lots::Lots;
use super::range::Range;
use super::reasons::Reasons;
use super::spread::Spread;
use crate::book::{Book, Level};
use crate::clearing::{CellClearing, Clearing, SetBy, Setter, Unfilled};

pub(super) fn clearing(
    book: &Book,
    index: &Index,
    flow: &mut Flow,
    limits: &Limits,
    ranges: &[Range],
    bound: i128,
) -> Clearing {
    let spread = Spread::of(index, flow);
    Clearing {
        cells: cells(book, &spread, ranges),
        fills: spread.fills,
        welfare: welfare(index, &flow.lots),
        bound,
        unfilled: unfilled(book, index, flow, limits, ranges),
    }
}

fn cells(book: &Book, spread: &Spread, ranges: &[Range]) -> Vec<CellClearing> {
    let empty = book.cells.iter().filter(|cell| cell.levels.is_empty());
    let mut cells: Vec<CellClearing> = empty.map(|cell| without_supply(cell.id)).collect();
    for (c, range) in ranges.iter().enumerate() {
        cells.extend(spread.cells(c, range, book.k_ppm));
    }
    cells.sort_unstable_by_key(|cell| cell.cell);
    cells
}

fn without_supply(cell: u32) -> CellClearing {
    let by = Setter { cell, by: SetBy::Nothing };
    CellClearing { cell, price: None, lo: 0, hi: 0, lanes: 0, sold: vec![], lo_by: by, hi_by: by }
}

fn unfilled(
    book: &Book,
    index: &Index,
    flow: &mut Flow,
    limits: &Limits,
    ranges: &[Range],
) -> Vec<Unfilled> {
    let prices = super::prices(book, ranges);
    let short = |b: usize| index.bids[b].lanes - flow.lots.held_by(b);
    let short: Vec<(usize, u32)> =
        (0..index.bids.len()).map(|b| (b, short(b))).filter(|(_, lanes)| *lanes > 0).collect();
    let mut reasons = Reasons::new(index, flow, limits, ranges, &prices);
    let told =
        |(b, lanes): (usize, u32)| Unfilled { bid: index.bids[b].id, lanes, reason: reasons.of(b) };
    short.into_iter().map(told).collect()
}

pub(super) fn welfare(index: &Index, lots: &Lots) -> i128 {
    let values = index.slots.iter().zip(&lots.held);
    let value: i128 = values.map(|(slot, &n)| i128::from(slot.value) * i128::from(n)).sum();
    let cost = |level: Level| i128::from(level.reserve) * i128::from(level.lanes);
    let reserves: i128 = (0..index.cells.len()).flat_map(|c| lots.sold(c)).map(cost).sum();
    value - reserves
}
