//! The end of the flow, told as a clearing.

use super::flow::Flow;
use super::index::Index;
use super::limits::Limits;
use super::range::Range;
use super::reasons::Reasons;
use crate::book::{Book, Level};
use crate::clearing::{CellClearing, Clearing, Fill, SetBy, Setter, Unfilled};
use crate::price::price_at;

pub(super) fn clearing(
    book: &Book,
    index: &Index,
    flow: &Flow,
    limits: &Limits,
    ranges: &[Range],
    bound: i128,
) -> Clearing {
    Clearing {
        cells: cells(book, index, flow, ranges),
        fills: fills(index, flow),
        unfilled: unfilled(book, index, flow, limits, ranges),
        welfare: welfare(index, flow),
        bound,
    }
}

fn cells(book: &Book, index: &Index, flow: &Flow, ranges: &[Range]) -> Vec<CellClearing> {
    let empty = book.cells.iter().filter(|cell| cell.levels.is_empty());
    let mut cells: Vec<CellClearing> = empty.map(|cell| without_supply(cell.id)).collect();
    for (c, &Range { lo, hi, lo_by, hi_by }) in ranges.iter().enumerate() {
        let sold = flow.sold(c);
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

fn fills(index: &Index, flow: &Flow) -> Vec<Fill> {
    let held = index.slots.iter().zip(&flow.held).filter(|(_, lanes)| **lanes > 0);
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
    flow: &Flow,
    limits: &Limits,
    ranges: &[Range],
) -> Vec<Unfilled> {
    let prices = super::prices(book, ranges);
    let reasons = Reasons::new(index, flow, limits, &prices);
    let short = index.bids.iter().enumerate().map(|(b, bid)| (b, bid, bid.lanes - flow.held_by(b)));
    short
        .filter(|(_, _, lanes)| *lanes > 0)
        .map(|(b, bid, lanes)| Unfilled { bid: bid.id, lanes, reason: reasons.of(b) })
        .collect()
}

pub(super) fn welfare(index: &Index, flow: &Flow) -> i128 {
    let values = index.slots.iter().zip(&flow.held);
    let value: i128 = values.map(|(slot, &n)| i128::from(slot.value) * i128::from(n)).sum();
    let cost = |level: Level| i128::from(level.reserve) * i128::from(level.lanes);
    let reserves: i128 = (0..index.cells.len()).flat_map(|c| flow.sold(c)).map(cost).sum();
    value - reserves
}
