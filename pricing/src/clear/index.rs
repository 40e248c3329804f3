//! The book in canonical order and dense numbers. Everything after it depends on the order of
//! rank and cell ids alone, which is why a permuted book clears the same.

use std::cmp::Reverse;

use super::alike::{Kind, Kinds, kinds};
use crate::book::{Bid, Book, Level, NOWHERE};
use crate::price::{Price, lane_value};

/// No arc between two cells.
const NO_ARC: u32 = u32::MAX;

/// A bid in one of its cells.
#[derive(Debug)]
pub(super) struct Slot {
    pub bid: u32,
    pub cell: u32,
    /// Of one lane, per hour.
    pub value: Price,
}

/// A valid book, indexed. Cells without lanes are left out: no price makes them matter. Cells alike
/// are one: from here to `spread.rs`, *cell* means the cells of a kind.
#[derive(Debug)]
pub(super) struct Index<'a> {
    /// By the id of the first.
    pub cells: Vec<Kind<'a>>,
    /// Per cell, cheapest first, one level per reserve.
    pub levels: Vec<Vec<Level>>,
    /// By rank.
    pub bids: Vec<&'a Bid>,
    /// By bid, then cell: a later slot in the same cell is of a worse rank.
    pub slots: Vec<Slot>,
    /// `slots[first[b]..first[b + 1]]` are those of bid `b`.
    first: Vec<u32>,
    /// Per arc, by cell and then by the cell it leads to, where it leads: to a cell that some bid
    /// accepts together with the first.
    to: Vec<u32>,
    /// `first_arc[c]..first_arc[c + 1]` are the arcs from cell `c`.
    first_arc: Vec<usize>,
    /// Per pair of cells, the arc or [`NO_ARC`].
    arcs: Vec<u32>,
}

impl<'a> Index<'a> {
    pub fn of(book: &'a Book) -> Index<'a> {
        let mut bids: Vec<&Bid> = book.bids.iter().collect();
        bids.sort_unstable_by_key(|bid| (Reverse(bid.price), bid.time, bid.id));
        let kinds = kinds(book, &bids);
        let (slots, first) = slots(book, &kinds, &bids);
        let cells = kinds.kinds;
        let levels = |kind: &Kind| -> Vec<Level> {
            kind.cells.iter().flat_map(|cell| cell.levels.iter().cloned()).collect()
        };
        let levels = cells.iter().map(|kind| ladder(levels(kind))).collect();
        let mut index = Index {
            to: Vec::new(),
            first_arc: vec![0],
            arcs: vec![NO_ARC; cells.len() * cells.len()],
            cells,
            levels,
            bids,
            slots,
            first,
        };
        index.connect();
        index
    }

    /// The slots of a bid, by cell.
    pub fn slots_of(&self, bid: usize) -> std::ops::Range<usize> {
        self.first[bid] as usize..self.first[bid + 1] as usize
    }

    /// The number of the arc from one cell to another; only for cells that are near.
    pub fn arc(&self, from: usize, to: usize) -> usize {
        self.arcs[from * self.cells.len() + to] as usize
    }

    pub fn arc_count(&self) -> usize {
        self.to.len()
    }

    /// The cells that some bid accepts together with this one, ascending.
    pub fn near(&self, cell: usize) -> &[u32] {
        &self.to[self.first_arc[cell]..self.first_arc[cell + 1]]
    }

    /// The slot of the same bid in another of its cells.
    pub fn sibling(&self, slot: usize, cell: u32) -> Option<usize> {
        let range = self.slots_of(self.slots[slot].bid as usize);
        let found = self.slots[range.clone()].binary_search_by_key(&cell, |s| s.cell);
        found.ok().map(|at| range.start + at)
    }

    fn connect(&mut self) {
        let n = self.cells.len();
        let words = n.div_ceil(64);
        let mut together = vec![0_u64; n * words];
        let mut accepted = vec![0_u64; words];
        for bid in 0..self.bids.len() {
            let slots = &self.slots[self.slots_of(bid)];
            accepted.fill(0);
            for slot in slots {
                accepted[slot.cell as usize / 64] |= 1 << (slot.cell % 64);
            }
            for slot in slots {
                let row = &mut together[slot.cell as usize * words..][..words];
                row.iter_mut().zip(&accepted).for_each(|(have, more)| *have |= more);
            }
        }
        for from in 0..n {
            for to in (0..n).filter(|to| *to != from) {
                if together[from * words + to / 64] >> (to % 64) & 1 == 1 {
                    self.arcs[from * n + to] = self.to.len() as u32;
                    self.to.push(to as u32);
                }
            }
            self.first_arc.push(self.to.len());
        }
    }
}

/// Levels cheapest first, those of the same reserve added up. The sum fits: the book is valid.
pub(super) fn ladder(mut ladder: Vec<Level>) -> Vec<Level> {
    ladder.sort_unstable_by_key(|level| level.reserve);
    ladder.dedup_by(|next, kept| {
        let same = next.reserve == kept.reserve;
        if same {
            kept.lanes = kept.lanes.saturating_add(next.lanes);
        }
        same
    });
    ladder
}

fn slots(book: &Book, kinds: &Kinds, bids: &[&Bid]) -> (Vec<Slot>, Vec<u32>) {
    let ids = book.cell_ids();
    let mut slots = Vec::new();
    let mut first = Vec::with_capacity(bids.len() + 1);
    first.push(0);
    let mut accepted: Vec<u32> = Vec::new();
    for (rank, bid) in (0..).zip(bids) {
        let positions = bid.cells.iter().filter_map(|id| ids.position(*id));
        accepted.extend(positions.map(|position| kinds.of[position]));
        accepted.retain(|kind| *kind != NOWHERE);
        accepted.sort_unstable();
        accepted.dedup();
        slots.extend(accepted.drain(..).map(|cell| {
            let value = lane_value(bid.price, kinds.kinds[cell as usize].speed_ppm);
            Slot { bid: rank, cell, value }
        }));
        // Fits: acceptances are bounded.
        first.push(slots.len() as u32);
    }
    (slots, first)
}
