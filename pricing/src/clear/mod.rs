//! From a book to its clearing.

mod cost;
mod flow;
mod index;
mod limits;
mod outcome;
mod range;
mod reasons;

use crate::book::{Book, BookError, validate};
use crate::clearing::Clearing;
use crate::price::{Price, price_at};
use flow::Flow;
use index::Index;
use limits::Limits;
use range::Range;

/// Clears a book: the welfare optimum, a uniform supporting price per cell, and the reason of
/// every bid left short.
///
/// Where bids have a min fill or a budget, or customers a cap, it is the optimum among the lanes
/// that the bids' final limits leave; see the crate's page for how those come about.
///
/// # Errors
/// Those of [`validate`]; a valid book always clears.
pub fn clear(book: &Book) -> Result<Clearing, BookError> {
    validate(book)?;
    let index = Index::of(book);
    let mut limits = Limits::new(book, &index);
    let mut flow = enter_all(&index, &limits.lanes);
    let bound = outcome::welfare(&index, &flow);
    let ranges = match limits.none() {
        true => range::ranges(&index, &flow),
        false => relax_and_reject(book, &index, &mut limits, &mut flow),
    };
    Ok(outcome::clearing(book, &index, &flow, &limits, &ranges, bound))
}

fn enter_all<'a>(index: &'a Index<'a>, limits: &[u32]) -> Flow<'a> {
    let mut flow = Flow::new(index, limits);
    (0..index.bids.len()).for_each(|bid| flow.enter(bid));
    flow
}

/// Lowers limits and clears anew until nobody holds what it must not; then tops up.
fn relax_and_reject<'a>(
    book: &Book,
    index: &'a Index<'a>,
    limits: &mut Limits<'a>,
    flow: &mut Flow<'a>,
) -> Vec<Range> {
    loop {
        let ranges = range::ranges(index, flow);
        let shrunk = limits.shrink(flow, &prices(book, &ranges));
        if shrunk.is_empty() {
            break;
        }
        *flow = enter_all(index, &limits.lanes);
    }
    loop {
        let ranges = range::ranges(index, flow);
        let prices = prices(book, &ranges);
        if !limits.top_up(flow, &prices) {
            return ranges;
        }
        flow.settle_above(&prices);
    }
}

fn prices(book: &Book, ranges: &[Range]) -> Vec<Price> {
    ranges.iter().map(|range| price_at(range.lo, range.hi, book.k_ppm)).collect()
}
