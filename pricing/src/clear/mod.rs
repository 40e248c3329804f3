//! From a book to its clearing.

mod cost;
mod flow;
mod index;
mod range;
mod reasons;

use crate::book::{Book, BookError, Level, validate};
use crate::clearing::{CellClearing, Clearing, Fill, Unfilled};
use crate::price::price_at;
use flow::Flow;
use index::Index;

/// Clears a book: the welfare optimum, a uniform supporting price per cell, and the reason of
/// every bid left short.
///
/// # Errors
/// Those of [`validate`]; a valid book always clears.
pub fn clear(book: &Book) -> Result<Clearing, BookError> {
    validate(book)?;
    let index = Index::of(book);
    let mut flow = Flow::new(&index);
    for bid in 0..index.bids.len() {
        flow.enter(bid);
    }
    Ok(Clearing {
        cells: cells(book, &index, &flow),
        fills: fills(&index, &flow),
        unfilled: unfilled(&index, &flow),
        welfare: welfare(&index, &flow),
    })
}

fn cells(book: &Book, index: &Index, flow: &Flow) -> Vec<CellClearing> {
    let ranges = range::ranges(index, flow);
    let mut cells: Vec<CellClearing> = book
        .cells
        .iter()
        .filter(|cell| cell.levels.is_empty())
        .map(|cell| CellClearing {
            cell: cell.id,
            price: None,
            lo: 0,
            hi: 0,
            lanes: 0,
            sold: Vec::new(),
        })
        .collect();
    for (c, (lo, hi)) in ranges.into_iter().enumerate() {
        let sold = flow.sold(c);
        let lanes = sold.iter().map(|level| level.lanes).sum();
        let price = (lanes > 0).then(|| price_at(lo, hi, book.k_ppm));
        cells.push(CellClearing { cell: index.cells[c].id, price, lo, hi, lanes, sold });
    }
    cells.sort_unstable_by_key(|cell| cell.cell);
    cells
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

fn unfilled(index: &Index, flow: &Flow) -> Vec<Unfilled> {
    let reasons = reasons::Reasons::new(index, flow);
    let short = index.bids.iter().enumerate().filter(|(b, _)| flow.short[*b] > 0);
    short
        .map(|(b, bid)| Unfilled { bid: bid.id, lanes: flow.short[b], reason: reasons.of(b) })
        .collect()
}

fn welfare(index: &Index, flow: &Flow) -> i128 {
    let values = index.slots.iter().zip(&flow.held);
    let value: i128 = values.map(|(slot, &n)| i128::from(slot.value) * i128::from(n)).sum();
    let cost = |level: Level| i128::from(level.reserve) * i128::from(level.lanes);
    let reserves: i128 = (0..index.cells.len()).flat_map(|c| flow.sold(c)).map(cost).sum();
    value - reserves
}
