//! The least and the greatest supporting price of every cell.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::flow::Flow;
use super::index::Index;
use crate::price::Price;

/// `(lo, hi)` per cell. `hi` is what a lane costs at the end of the flow. `lo` is the greatest of
/// the dearest sold reserve and the best value left short, here or in a cell from which a holder
/// would otherwise move here: `lo_c = max(base_c, max_d lo_d + gain(d → c))`.
///
/// In the widths `hi − lo`, which never grow along a move, this is a shortest path.
pub(super) fn ranges(index: &Index, flow: &Flow) -> Vec<(Price, Price)> {
    let hi: Vec<Price> = flow.reach.cost.iter().map(|cost| cost.value()).collect();
    let base = base(index, flow);
    let mut width: Vec<Price> = hi.iter().zip(base).map(|(hi, base)| hi - base).collect();
    let mut settled = vec![false; hi.len()];
    let mut queue: BinaryHeap<Reverse<(Price, usize)>> =
        width.iter().enumerate().map(|(cell, width)| Reverse((*width, cell))).collect();
    while let Some(Reverse((_, cell))) = queue.pop() {
        if std::mem::replace(&mut settled[cell], true) {
            continue;
        }
        for &to in &index.near[cell] {
            let to = to as usize;
            let Some(gain) = flow.best_move(cell, to) else { continue };
            let narrowed = width[cell] + (hi[to] - gain - hi[cell]);
            if narrowed < width[to] {
                width[to] = narrowed;
                queue.push(Reverse((narrowed, to)));
            }
        }
    }
    hi.into_iter().zip(width).map(|(hi, width)| (hi - width, hi)).collect()
}

/// The bounds from below that a cell has by itself.
fn base(index: &Index, flow: &Flow) -> Vec<Price> {
    let dearest = |cell| flow.sold(cell).last().map_or(0, |level| level.reserve);
    let mut base: Vec<Price> = (0..index.cells.len()).map(dearest).collect();
    for bid in (0..index.bids.len()).filter(|bid| flow.short[*bid] > 0) {
        for slot in &index.slots[index.slots_of(bid)] {
            let base = &mut base[slot.cell as usize];
            *base = slot.value.max(*base);
        }
    }
    base
}
