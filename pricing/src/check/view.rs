//! A book and its clearing side by side.

use std::cmp::Reverse;
use std::collections::HashSet;

use super::Violation;
use crate::book::{Bid, Book, Cell};
use crate::clearing::{CellClearing, Clearing, Reason, Unfilled};
use crate::price::{Price, lane_value, price_at};

pub(super) struct CellView<'a> {
    pub cell: &'a Cell,
    pub told: &'a CellClearing,
    /// Reserves and the lanes offered at each, cheapest first.
    pub levels: Vec<(Price, u64)>,
    /// Lanes filled.
    pub filled: u64,
    /// The price, or what it would be where nothing was sold.
    pub price: Price,
    /// The reserve of the cheapest unsold lane, and how many there are at that.
    pub unsold: Option<(Price, u64)>,
}

pub(super) struct BidView<'a> {
    pub bid: &'a Bid,
    /// Lanes it won.
    pub filled: u64,
    /// Told that it is held short by its own conditions, so that prices need not hold it off.
    pub limited: bool,
    /// The greatest of what a lane would leave it, and the last cell where it would; none if no
    /// cell of its has lanes.
    pub best: Option<(i128, u32)>,
    slots: std::ops::Range<usize>,
    fills: std::ops::Range<usize>,
}

impl BidView<'_> {
    pub fn short(&self) -> u64 {
        u64::from(self.bid.lanes).saturating_sub(self.filled)
    }

    /// Whether only the price keeps it from more lanes.
    pub fn is_short_by_price(&self) -> bool {
        !self.limited && self.short() > 0
    }
}

/// A bid in a cell that it accepts and that offers lanes: only these bind prices.
#[derive(Debug, Clone, Copy)]
pub(super) struct SlotView {
    pub cell: u32,
    pub value: Price,
    /// Lanes won.
    pub lanes: u32,
}

pub(super) struct View<'a> {
    pub book: &'a Book,
    /// By id.
    pub cells: Vec<CellView<'a>>,
    /// By rank.
    pub bids: Vec<BidView<'a>>,
    /// By bid, then in the order of the bid's list.
    slots: Vec<SlotView>,
    /// Positions of slots that hold lanes, ascending.
    held: Vec<usize>,
}

impl<'a> View<'a> {
    /// Joins the two, or says why they do not belong together.
    pub fn of(book: &'a Book, clearing: &'a Clearing) -> Result<View<'a>, Violation> {
        let mut view = View {
            book,
            cells: cells(book, clearing)?,
            bids: Vec::with_capacity(book.bids.len()),
            slots: Vec::with_capacity(book.bids.iter().map(|bid| bid.cells.len()).sum()),
            held: Vec::with_capacity(clearing.fills.len()),
        };
        view.place_bids(book);
        view.place_fills(clearing)?;
        view.place_limits(&clearing.unfilled);
        Ok(view)
    }

    pub fn slots_of(&self, bid: &BidView) -> &[SlotView] {
        &self.slots[bid.slots.clone()]
    }

    /// The slots in which a bid won lanes.
    pub fn fills_of(&self, bid: &BidView) -> impl Iterator<Item = &SlotView> {
        self.held[bid.fills.clone()].iter().map(|slot| &self.slots[*slot])
    }

    /// What a lane leaves a bid.
    pub fn gain(&self, slot: &SlotView) -> i128 {
        i128::from(slot.value) - i128::from(self.cells[slot.cell as usize].price)
    }

    fn place_bids(&mut self, book: &'a Book) {
        let mut ranks: Vec<(Reverse<Price>, i64, u128, u32)> =
            (0..).zip(&book.bids).map(|(at, b)| (Reverse(b.price), b.time, b.id, at)).collect();
        ranks.sort_unstable();
        let ids = book.cell_ids();
        // Speeds of the cells that offer lanes, and 0, which is no speed, of the others.
        let speed = |cell: &CellView| if cell.levels.is_empty() { 0 } else { cell.cell.speed_ppm };
        let speeds: Vec<u32> = self.cells.iter().map(speed).collect();
        // A few bids at a time are looked up ahead: by rank they are all over the memory.
        let ahead = ranks.chunks(16).flat_map(|ranks| {
            let bids = ranks.iter().map(|(_, _, _, at)| &book.bids[*at as usize]);
            bids.map(|bid| (bid, bid.cells.first().copied())).collect::<Vec<_>>()
        });
        for (bid, _) in ahead {
            let start = self.slots.len();
            let (mut best, mut last) = (None, (0, 0));
            for cell in bid.cells.iter().filter_map(|id| ids.position(*id)) {
                let speed = speeds[cell];
                if speed == 0 {
                    continue;
                }
                // Most cells of a bid are of one class.
                if speed != last.0 {
                    last = (speed, lane_value(bid.price, speed));
                }
                let slot = SlotView { cell: cell as u32, value: last.1, lanes: 0 };
                best = best.max(Some((self.gain(&slot), slot.cell)));
                self.slots.push(slot);
            }
            let slots = start..self.slots.len();
            self.bids.push(BidView { bid, filled: 0, limited: false, best, slots, fills: 0..0 });
        }
    }

    fn place_fills(&mut self, clearing: &Clearing) -> Result<(), Violation> {
        let ids = self.book.cell_ids();
        let mut fills = clearing.fills.iter().peekable();
        for rank in 0..self.bids.len() {
            let start = self.held.len();
            let mut last = None;
            while let Some(fill) = fills.next_if(|fill| fill.bid == self.bids[rank].bid.id) {
                let (bid, cell) = (fill.bid, fill.cell);
                if last >= Some(cell) {
                    return Err(Violation::FillOrder { bid, cell });
                }
                last = Some(cell);
                if fill.lanes == 0 {
                    return Err(Violation::EmptyFill { bid, cell });
                }
                let slots = self.bids[rank].slots.clone();
                let found = ids.position(cell).and_then(|position| {
                    self.slots[slots.clone()].iter().position(|s| s.cell as usize == position)
                });
                let at = slots.start + found.ok_or(Violation::NotAccepted { bid, cell })?;
                self.slots[at].lanes = fill.lanes;
                self.held.push(at);
                self.bids[rank].filled += u64::from(fill.lanes);
                self.cells[self.slots[at].cell as usize].filled += u64::from(fill.lanes);
            }
            self.bids[rank].fills = start..self.held.len();
        }
        let Some(extra) = fills.next() else { return Ok(()) };
        let (bid, cell) = (extra.bid, extra.cell);
        match self.bids.iter().any(|known| known.bid.id == bid) {
            true => Err(Violation::FillOrder { bid, cell }),
            false => Err(Violation::UnknownBid { bid }),
        }
    }

    /// What is told is taken as it is; whether it can be is checked later, as is the list's order.
    fn place_limits(&mut self, unfilled: &[Unfilled]) {
        let is_limit = |told: &&Unfilled| match told.reason {
            Reason::MinFill { .. } | Reason::Budget { .. } | Reason::ShareCap => true,
            Reason::NoSupply
            | Reason::PriceTooLow { .. }
            | Reason::Outbid { .. }
            | Reason::SoldOut => false,
        };
        let limited: HashSet<u128> = unfilled.iter().filter(is_limit).map(|u| u.bid).collect();
        if !limited.is_empty() {
            self.bids.iter_mut().for_each(|bid| bid.limited = limited.contains(&bid.bid.id));
        }
    }
}

fn cells<'a>(book: &'a Book, clearing: &'a Clearing) -> Result<Vec<CellView<'a>>, Violation> {
    let mut cells: Vec<&Cell> = book.cells.iter().collect();
    cells.sort_unstable_by_key(|cell| cell.id);
    for at in 0..cells.len().max(clearing.cells.len()) {
        let expected = cells.get(at).map(|cell| cell.id);
        let found = clearing.cells.get(at).map(|cell| cell.cell);
        if expected != found {
            return Err(Violation::CellList { expected, found });
        }
    }
    let views = cells.into_iter().zip(&clearing.cells).map(|(cell, told)| {
        let levels = levels(cell);
        let price = told.price.unwrap_or_else(|| price_at(told.lo, told.hi, book.k_ppm));
        let unsold = unsold(&levels, told);
        CellView { cell, told, levels, filled: 0, price, unsold }
    });
    Ok(views.collect())
}

fn levels(cell: &Cell) -> Vec<(Price, u64)> {
    let mut levels: Vec<(Price, u64)> =
        cell.levels.iter().map(|level| (level.reserve, u64::from(level.lanes))).collect();
    levels.sort_unstable();
    levels.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    levels
}

fn unsold(levels: &[(Price, u64)], told: &CellClearing) -> Option<(Price, u64)> {
    let mut sold = told.sold.iter().peekable();
    levels.iter().find_map(|&(reserve, offered)| {
        let sold = sold.next_if(|sold| sold.reserve == reserve);
        let left = offered.saturating_sub(sold.map_or(0, |level| u64::from(level.lanes)));
        (left > 0).then_some((reserve, left))
    })
}
