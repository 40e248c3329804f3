//! Lanes of cells cleared as one, dealt out to the cells: sales by reserve, equal ones by cell id,
//! and to the bids by rank.

use super::flow::Flow;
use super::index::{Index, ladder};
use super::lots::Lots;
use super::range::{Origin, Range};
use crate::book::{Cell, Level};
use crate::clearing::{CellClearing, Fill, SetBy, Setter};
use crate::price::{Price, price_at};

/// One cell's part.
struct Part {
    id: u32,
    sold: Vec<Level>,
    lanes: u32,
    next_unsold: Option<Price>,
}

pub(super) struct Spread<'a> {
    index: &'a Index<'a>,
    /// Per cell of the index, its cells by id.
    parts: Vec<Vec<Part>>,
    pub fills: Vec<Fill>,
    /// Per cell of the index, the cell in which the worst-ranked holder has lanes.
    last: Vec<Option<u32>>,
}

impl<'a> Spread<'a> {
    pub fn of(index: &'a Index<'a>, flow: &Flow) -> Spread<'a> {
        let of = |c: usize| parts(&index.cells[c].cells, &flow.lots.sold(c));
        let parts = (0..index.cells.len()).map(of).collect();
        let last = vec![None; index.cells.len()];
        let mut spread = Spread { index, parts, fills: Vec::new(), last };
        spread.fill(&flow.lots);
        spread
    }

    fn fill(&mut self, lots: &Lots) {
        // Per cell of the index, the part that deals and the lanes that it has dealt.
        let mut dealt = vec![(0, 0); self.parts.len()];
        for (b, bid) in self.index.bids.iter().enumerate() {
            let start = self.fills.len();
            for slot in self.index.slots_of(b).filter(|slot| lots.held[*slot] > 0) {
                let cell = self.index.slots[slot].cell as usize;
                let (part, used) = &mut dealt[cell];
                let mut wants = lots.held[slot];
                while let Some(Part { id, lanes, .. }) = self.parts[cell].get(*part) {
                    let lanes = wants.min(lanes - *used);
                    if lanes > 0 {
                        self.fills.push(Fill { bid: bid.id, cell: *id, lanes });
                        self.last[cell] = Some(*id);
                    }
                    (wants, *used) = (wants - lanes, *used + lanes);
                    if wants == 0 {
                        break;
                    }
                    (*part, *used) = (*part + 1, 0);
                }
            }
            self.fills[start..].sort_unstable_by_key(|fill| fill.cell);
        }
    }

    /// The cells of one cell of the index, told.
    pub fn cells(&self, cell: usize, range: &Range, k_ppm: u32) -> Vec<CellClearing> {
        let told = |part: &Part| {
            let lo_by = self.setter(range.lo_by, true);
            // Whoever holds a lane in one of them could have one in each, which ties the greatest
            // prices of those with holders; one that sold nothing has only its own reserve.
            let (hi, hi_by) = match part.next_unsold.filter(|_| part.lanes == 0) {
                Some(reserve) => (reserve, Setter { cell: part.id, by: SetBy::Reserve(reserve) }),
                None => (range.hi, self.setter(range.hi_by, false)),
            };
            let price = (part.lanes > 0).then(|| price_at(range.lo, hi, k_ppm));
            let (cell, lo, lanes, sold) = (part.id, range.lo, part.lanes, part.sold.clone());
            CellClearing { cell, price, lo, hi, lanes, sold, lo_by, hi_by }
        };
        self.parts[cell].iter().map(told).collect()
    }

    /// The cell in which a range's end is met, among those of the index's.
    fn setter(&self, origin: Origin, is_lo: bool) -> Setter {
        let parts = &self.parts[origin.cell];
        let found = match origin.by {
            SetBy::Bid(_) if !is_lo => self.last[origin.cell],
            SetBy::Reserve(reserve) => {
                let sells = |part: &&Part| match is_lo {
                    true => part.sold.last().is_some_and(|level| level.reserve == reserve),
                    false => part.next_unsold == Some(reserve),
                };
                parts.iter().find(sells).map(|part| part.id)
            }
            SetBy::Bid(_) | SetBy::Nothing => None,
        };
        Setter { cell: found.unwrap_or(parts[0].id), by: origin.by }
    }
}

/// Deals out the lanes sold per level.
fn parts(cells: &[&Cell], sold: &[Level]) -> Vec<Part> {
    let mut sold = sold.to_vec();
    let part = |cell: &&Cell| {
        let mut part = Part { id: cell.id, sold: Vec::new(), lanes: 0, next_unsold: None };
        for level in ladder(cell.levels.clone()) {
            let at = sold.binary_search_by_key(&level.reserve, |level| level.reserve);
            let lanes = at.map_or(0, |at| {
                let lanes = sold[at].lanes.min(level.lanes);
                sold[at].lanes -= lanes;
                lanes
            });
            if lanes > 0 {
                part.lanes += lanes;
                part.sold.push(Level { reserve: level.reserve, lanes });
            }
            if lanes < level.lanes {
                part.next_unsold = Some(level.reserve);
                break;
            }
        }
        part
    };
    cells.iter().map(part).collect()
}
