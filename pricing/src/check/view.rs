//! A book and its clearing side by side.

use std::collections::{BTreeMap, HashMap};

use super::Violation;
use crate::book::{Bid, Book, Cell};
use crate::clearing::{CellClearing, Clearing};
use crate::price::{Price, lane_value, price_at};

pub(super) struct CellView<'a> {
    pub cell: &'a Cell,
    pub told: &'a CellClearing,
    /// Lanes offered per reserve.
    pub levels: BTreeMap<Price, u64>,
    /// Lanes filled.
    pub filled: u64,
    /// The price, or what it would be where nothing was sold.
    pub price: Price,
}

impl CellView<'_> {
    pub fn offered(&self) -> u64 {
        self.levels.values().sum()
    }
}

pub(super) struct BidView<'a> {
    pub bid: &'a Bid,
    /// Cells it accepts, as positions in [`View::cells`].
    pub accepts: Vec<usize>,
    /// Cell and lanes.
    pub fills: Vec<(usize, u32)>,
}

impl BidView<'_> {
    pub fn filled(&self) -> u64 {
        self.fills.iter().map(|(_, lanes)| u64::from(*lanes)).sum()
    }

    pub fn short(&self) -> u64 {
        u64::from(self.bid.lanes).saturating_sub(self.filled())
    }
}

pub(super) struct View<'a> {
    pub k_ppm: u32,
    /// By id.
    pub cells: Vec<CellView<'a>>,
    /// By rank.
    pub bids: Vec<BidView<'a>>,
}

impl<'a> View<'a> {
    /// Joins the two, or says why they do not belong together.
    pub fn of(book: &'a Book, clearing: &'a Clearing) -> Result<View<'a>, Violation> {
        let mut view = View { k_ppm: book.k_ppm, cells: cells(book, clearing)?, bids: bids(book) };
        view.place_fills(clearing)?;
        Ok(view)
    }

    pub fn value(&self, bid: usize, cell: usize) -> Price {
        lane_value(self.bids[bid].bid.price, self.cells[cell].cell.speed_ppm)
    }

    /// What a lane of a cell leaves a bid.
    pub fn gain(&self, bid: usize, cell: usize) -> i128 {
        i128::from(self.value(bid, cell)) - i128::from(self.cells[cell].price)
    }

    /// The cells a bid accepts that offer lanes: only these bind prices.
    pub fn open_to(&self, bid: usize) -> impl Iterator<Item = usize> {
        self.bids[bid].accepts.iter().copied().filter(|c| !self.cells[*c].levels.is_empty())
    }

    fn place_fills(&mut self, clearing: &Clearing) -> Result<(), Violation> {
        let ranks: HashMap<u128, usize> =
            self.bids.iter().enumerate().map(|(rank, bid)| (bid.bid.id, rank)).collect();
        let mut last = None;
        for fill in &clearing.fills {
            let (bid, cell) = (fill.bid, fill.cell);
            let rank = *ranks.get(&bid).ok_or(Violation::UnknownBid { bid })?;
            if last >= Some((rank, cell)) {
                return Err(Violation::FillOrder { bid, cell });
            }
            last = Some((rank, cell));
            if fill.lanes == 0 {
                return Err(Violation::EmptyFill { bid, cell });
            }
            let position = self.cells.binary_search_by_key(&cell, |c| c.cell.id);
            let accepted =
                position.ok().filter(|c| self.bids[rank].accepts.binary_search(c).is_ok());
            let c = accepted.ok_or(Violation::NotAccepted { bid, cell })?;
            self.bids[rank].fills.push((c, fill.lanes));
            self.cells[c].filled += u64::from(fill.lanes);
        }
        Ok(())
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
        let mut levels = BTreeMap::new();
        for level in &cell.levels {
            *levels.entry(level.reserve).or_default() += u64::from(level.lanes);
        }
        let price = told.price.unwrap_or_else(|| price_at(told.lo, told.hi, book.k_ppm));
        CellView { cell, told, levels, filled: 0, price }
    });
    Ok(views.collect())
}

fn bids(book: &Book) -> Vec<BidView<'_>> {
    let mut ids: Vec<u32> = book.cells.iter().map(|cell| cell.id).collect();
    ids.sort_unstable();
    let mut bids: Vec<&Bid> = book.bids.iter().collect();
    bids.sort_unstable_by(|a, b| (b.price, a.time, a.id).cmp(&(a.price, b.time, b.id)));
    let view = |bid: &'_ Bid| {
        let mut accepts: Vec<usize> =
            bid.cells.iter().filter_map(|id| ids.binary_search(id).ok()).collect();
        accepts.sort_unstable();
        accepts
    };
    bids.into_iter().map(|bid| BidView { bid, accepts: view(bid), fills: Vec::new() }).collect()
}
