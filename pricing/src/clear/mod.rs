//! From a book to its clearing.

mod alike;
mod cost;
mod flow;
mod index;
mod ladder;
mod limits;
mod lots;
mod outcome;
mod range;
mod reach;
mod reasons;
mod release;
mod spread;

use crate::book::{Book, BookError, validate};
use crate::clearing::Clearing;
use crate::price::{Price, price_at};
use flow::Flow;
use index::Index;
use limits::Limits;
use range::Range;
use release::Release;

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
    let mut flow = Flow::new(&index, &limits.lanes);
    let bound = outcome::welfare(&index, &flow.lots);
    if !limits.none() {
        limits.look_at(&flow.lots);
        flow = relax_and_reject(book, &index, &mut limits, flow);
    }
    let ranges = top_up(book, &index, &mut limits, &mut flow);
    Ok(outcome::clearing(book, &index, &mut flow, &limits, &ranges, bound))
}

/// Lowers limits until nobody holds what it must not, the lanes given up going where they are
/// worth most.
fn relax_and_reject<'a>(
    book: &Book,
    index: &'a Index<'a>,
    limits: &mut Limits<'a>,
    flow: Flow<'a>,
) -> Flow<'a> {
    let mut hi: Vec<Price> = flow.reach.cost.iter().map(|cost| cost.value).collect();
    let mut release = Release::new(index, flow);
    loop {
        let lo = release.lo();
        let ends = lo.iter().zip(&hi);
        let prices: Vec<Price> = ends.map(|(lo, hi)| price_at(*lo, *hi, book.k_ppm)).collect();
        let shrunk = limits.shrink(&release.lots, &prices);
        if shrunk.is_empty() {
            return Flow::supported(index, release.lots, &lo);
        }
        shrunk.iter().for_each(|bid| release.shrink(*bid, limits.lanes[*bid]));
        if book.k_ppm > 0 {
            hi = release.hi();
        }
    }
}

/// Serves from what is left who was rejected, at prices that stay.
fn top_up<'a>(
    book: &Book,
    index: &'a Index<'a>,
    limits: &mut Limits<'a>,
    flow: &mut Flow<'a>,
) -> Vec<Range> {
    loop {
        let ranges = range::ranges(index, flow);
        let prices = prices(book, &ranges);
        if !limits.top_up(&mut flow.lots, &prices) {
            return ranges;
        }
        flow.resettle(&prices);
    }
}

fn prices(book: &Book, ranges: &[Range]) -> Vec<Price> {
    ranges.iter().map(|range| price_at(range.lo, range.hi, book.k_ppm)).collect()
}
