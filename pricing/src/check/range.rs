//! The ends of the supporting range, what sets them, and the price rule between them.

use super::Violation;
use super::view::{CellView, SlotView, View};
use crate::clearing::{SetBy, Setter};
use crate::price::{Price, price_at};

/// Whether `lo` and `hi` are the ends of the supporting range, and the price follows the rule.
pub(super) fn check_range(view: &View) -> Result<(), Violation> {
    let bounds = own_bounds(view);
    let (lo, hi) = ends(view, &bounds);
    for (c, cell) in view.cells.iter().enumerate() {
        let id = cell.cell.id;
        if (cell.told.lo, cell.told.hi) != (lo[c], hi[c]) {
            return Err(Violation::Range { cell: id, lo: lo[c], hi: hi[c] });
        }
        let expected = price_at(lo[c], hi[c], view.book.k_ppm);
        if cell.price != expected {
            return Err(Violation::PriceRule { cell: id, expected });
        }
    }
    check_setters(view, &bounds)
}

/// The bounds that each cell has by itself.
struct Bounds {
    lo: Vec<Price>,
    hi: Vec<Price>,
    /// The rank of the first bid left short that sets it, if one does.
    lo_by: Vec<Option<usize>>,
    /// The rank of the last holder that sets it, if one does.
    hi_by: Vec<Option<usize>>,
}

/// Bellman-Ford on `lo_d ≥ lo_c + gain(c → d)` and `hi_c ≤ hi_d − gain(c → d)`. It ends because
/// the prices, already found to support the allocation, bound both; values are in range.
fn ends(view: &View, own: &Bounds) -> (Vec<Price>, Vec<Price>) {
    let (mut lo, mut hi) = (own.lo.clone(), own.hi.clone());
    let moves = best_moves(view);
    loop {
        let mut changed = false;
        for &(from, to, gain) in &moves {
            if lo[from] + gain > lo[to] {
                (lo[to], changed) = (lo[from] + gain, true);
            }
            if hi[to] - gain < hi[from] {
                (hi[from], changed) = (hi[to] - gain, true);
            }
        }
        if !changed {
            return (lo, hi);
        }
    }
}

/// A cell without supply has none and counts as 0.
fn own_bounds(view: &View) -> Bounds {
    let dearest = |cell: &CellView| cell.told.sold.last().map(|level| level.reserve);
    // A cell without an unsold lane that has any lane has holders, which bound it below.
    let unsold = |cell: &CellView| match cell.unsold {
        Some((reserve, _)) => reserve,
        None if cell.levels.is_empty() => 0,
        None => Price::MAX / 2,
    };
    let n = view.cells.len();
    let mut lo: Vec<Option<Price>> = view.cells.iter().map(dearest).collect();
    let mut hi: Vec<Price> = view.cells.iter().map(unsold).collect();
    let (mut lo_by, mut hi_by) = (vec![None; n], vec![None; n]);
    for (rank, bid) in view.bids.iter().enumerate() {
        for &SlotView { cell, value, .. } in view.fills_of(bid) {
            let cell = cell as usize;
            if value <= hi[cell] {
                (hi[cell], hi_by[cell]) = (value, Some(rank));
            }
        }
        if bid.is_short_by_price() {
            for &SlotView { cell, value, .. } in view.slots_of(bid) {
                let cell = cell as usize;
                if Some(value) > lo[cell] {
                    (lo[cell], lo_by[cell]) = (Some(value), Some(rank));
                }
            }
        }
    }
    let lo = lo.into_iter().map(|lo| lo.unwrap_or(0)).collect();
    Bounds { lo, hi, lo_by, hi_by }
}

/// The greatest gain of a holder by a move, for each pair of cells that has one.
fn best_moves(view: &View) -> Vec<(usize, usize, Price)> {
    let n = view.cells.len();
    let mut best = vec![Price::MIN; n * n];
    for bid in &view.bids {
        for from in view.fills_of(bid) {
            let row = &mut best[from.cell as usize * n..][..n];
            for to in view.slots_of(bid) {
                let gain = &mut row[to.cell as usize];
                *gain = (to.value - from.value).max(*gain);
            }
        }
    }
    let moves = best.into_iter().enumerate().filter(|(_, gain)| *gain != Price::MIN);
    moves.map(|(at, gain)| (at / n, at % n, gain)).filter(|(from, to, _)| from != to).collect()
}

/// Whether what is said to set an end is there, in the cell named, and is that cell's own bound.
/// (That moves lead from there to here is not followed up: the figures are proved above.)
fn check_setters(view: &View, own: &Bounds) -> Result<(), Violation> {
    for cell in &view.cells {
        let ends = [(cell.told.lo_by, true), (cell.told.hi_by, false)];
        if !ends.iter().all(|(setter, is_lo)| sets(view, own, *setter, *is_lo)) {
            return Err(Violation::Setter { cell: cell.cell.id });
        }
    }
    Ok(())
}

fn sets(view: &View, own: &Bounds, setter: Setter, is_lo: bool) -> bool {
    let Ok(at) = view.cells.binary_search_by_key(&setter.cell, |c| c.cell.id) else {
        return false;
    };
    let there = &view.cells[at];
    let (end, bound, by, reserve) = match is_lo {
        true => {
            let dearest = there.told.sold.last().map(|level| level.reserve);
            (there.told.lo, own.lo[at], own.lo_by[at], dearest)
        }
        false => (there.told.hi, own.hi[at], own.hi_by[at], there.unsold.map(|u| u.0)),
    };
    let is_bound = match setter.by {
        SetBy::Nothing => bound == 0 && by.is_none() && (reserve.is_none() || !is_lo),
        SetBy::Reserve(told) => reserve == Some(told) && told == bound,
        SetBy::Bid(told) => by.is_some_and(|rank| view.bids[rank].bid.id == told),
    };
    end == bound && is_bound
}
