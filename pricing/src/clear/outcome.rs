//! The end of the flow, told as a clearing.

use super::flow::Flow;
use super::index::Index;
use super::limits::Limits;
use super::lots::Lots;
use super::range::Range;
use super::reasons::Reasons;
use crate::book::{Book, Level};
use crate::clearing::{CellClearing, Clearing, Fill, SetBy, Setter, Unfilled};
use crate::price::price_at;

pub(super) fn clearing(
    book: &Book,
    index: &Index,
    flow: &mut Flow,
    limits: &Limits,
    ranges: &[Range],
    bound: i128,
) -> Clearing {
    let lots = &flow.lots;
    Clearing {
        cells: cells(book, index, lots, ranges),
        fills: fills(index, lots),
        welfare: welfare(index, lots),
        bound,
        unfilled: unfilled(book, index, flow, limits, ranges),
    }
}

fn cells(book: &Book, index: &Index, lots: &Lots, ranges: &[Range]) -> Vec<CellClearing> {
    let empty = book.cells.iter().filter(|cell| cell.levels.is_empty());
    let mut cells: Vec<CellClearing> = empty.map(|cell| without_supply(cell.id)).collect();
    for (c, &Range { lo, hi, lo_by, hi_by }) in ranges.iter().enumerate() {
        let sold = lots.sold(c);
        let lanes = sold.iter().map(|level| level.lanes).sum();
        let price = (lanes > 0).then(|| price_at(lo, hi, book.k_ppm));
        let cell = index.cells[c].id;
        cells.push(CellClearing { cell, price, lo, hi, lanes, sold, lo_by, hi_by });
    }
    cells.sort_unstable_by_key(|cell| cell.cell);
    cells
}

fn without_supply(cell: u32) -> CellClearing {
    let by = Setter { cell, by: SetBy::Nothing };
    CellClearing { cell, price: None, lo: 0, hi: 0, lanes: 0, sold: vec![], lo_by: by, hi_by: by }
}

fn fills(index: &Index, lots: &Lots) -> Vec<Fill> {
    let held = index.slots.iter().zip(&lots.held).filter(|(_, lanes)| **lanes > 0);
    held.map(|(slot, &lanes)| Fill {
        bid: index.bids[slot.bid as usize].id,
        cell: index.cells[slot.cell as usize].id,
        lanes,
    })
    .collect()
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
