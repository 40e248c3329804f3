//! The least and the greatest supporting price of every cell, and what sets them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::flow::Flow;
use super::index::Index;
use super::reach::NO_MOVE;
use crate::clearing::SetBy;
use crate::price::Price;

/// The supporting prices of a cell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub lo: Price,
    pub hi: Price,
    pub lo_by: Origin,
    pub hi_by: Origin,
}

/// Where an end of a range comes from: the cell of the index, and what there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub cell: usize,
    pub by: SetBy,
}

/// Per cell. `hi` is what a lane costs at the end of the flow. `lo` is the greatest of the dearest
/// sold reserve and the best value left short, here or in a cell from which a holder would
/// otherwise move here: `lo_c = max(base_c, max_d lo_d + gain(d → c))`.
///
/// In the widths `hi − lo`, which never grow along a move, this is a shortest path.
pub(super) fn ranges(index: &Index, flow: &Flow) -> Vec<Range> {
    let hi: Vec<Price> = flow.reach.cost.iter().map(|cost| cost.value).collect();
    let (base, mut lo_by) = base(index, flow);
    let mut width: Vec<Price> =
        hi.iter().zip(base).map(|(hi, base)| hi - base.unwrap_or(0)).collect();
    let mut settled = vec![false; hi.len()];
    let mut queue: BinaryHeap<Reverse<(Price, usize)>> =
        width.iter().enumerate().map(|(cell, width)| Reverse((*width, cell))).collect();
    while let Some(Reverse((_, cell))) = queue.pop() {
        if std::mem::replace(&mut settled[cell], true) {
            continue;
        }
        let gains = &flow.lots.gain[cell * hi.len()..][..hi.len()];
        for (to, &gain) in gains.iter().enumerate().filter(|(_, gain)| **gain != NO_MOVE) {
            let narrowed = width[cell] + (hi[to] - gain - hi[cell]);
            if narrowed < width[to] {
                width[to] = narrowed;
                lo_by[to] = lo_by[cell];
                queue.push(Reverse((narrowed, to)));
            }
        }
    }
    let range = |c: usize| Range {
        lo: hi[c] - width[c],
        hi: hi[c],
        lo_by: lo_by[c],
        hi_by: hi_by(index, flow, c),
    };
    (0..hi.len()).map(range).collect()
}

/// The bounds from below that a cell has by itself, and what sets them.
fn base(index: &Index, flow: &Flow) -> (Vec<Option<Price>>, Vec<Origin>) {
    let mut base = Vec::with_capacity(index.cells.len());
    let mut by = Vec::with_capacity(index.cells.len());
    for cell in 0..index.cells.len() {
        let dearest = flow.lots.dearest_sold(cell).map(|(reserve, _)| reserve);
        base.push(dearest);
        by.push(Origin { cell, by: dearest.map_or(SetBy::Nothing, SetBy::Reserve) });
    }
    for bid in (0..index.bids.len()).filter(|bid| flow.lots.short[*bid] > 0) {
        for slot in &index.slots[index.slots_of(bid)] {
            let cell = slot.cell as usize;
            if Some(slot.value) > base[cell] {
                base[cell] = Some(slot.value);
                by[cell].by = SetBy::Bid(index.bids[bid].id);
            }
        }
    }
    (base, by)
}

fn hi_by(index: &Index, flow: &Flow, cell: usize) -> Origin {
    let (exit, lot) = flow.exit_of(cell);
    let by = match lot {
        Some(lot) => SetBy::Bid(index.bids[index.slots[lot].bid as usize].id),
        None => flow.lots.next_unsold(exit).map_or(SetBy::Nothing, SetBy::Reserve),
    };
    Origin { cell: exit, by }
}
