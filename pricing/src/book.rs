//! The book of one market at one tick, and what is refused in it.

use serde::{Deserialize, Serialize};

use crate::price::Price;

/// Highest price of a bid and highest reserve: 10^15 micro-units, a thousand million units of the
/// asset per hour. With [`MAX_SPEED_PPM`] it keeps a lane's value under 10^17, so that sums and
/// differences of a few values stay far inside `i64`, and welfare far inside `i128`.
pub const MAX_PRICE: Price = 1_000_000_000_000_000;
/// Fastest hardware class: a hundred times hw4.
pub const MAX_SPEED_PPM: u32 = 100_000_000;
/// Most cells of a book. Memory grows with the square of it (20 bytes a pair, 28 more for a pair
/// that some bid accepts).
pub const MAX_CELLS: usize = 2_048;
/// Most bids of a book.
pub const MAX_BIDS: usize = 1 << 24;
/// Most entries of all bids' lists of cells together.
pub const MAX_ACCEPTANCES: usize = 1 << 28;

/// Supply and demand of one market at one tick.
///
/// The default is an empty book that [`validate`] refuses for its grid of 0; use it to fill in
/// the rest: `Book { grid: 100, cells, bids, ..Book::default() }`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    /// Step of the price grid, 1 to [`MAX_PRICE`]: reserves are multiples of it.
    pub grid: Price,
    /// Price rule in millionths: 0 takes the lowest supporting price, 1 000 000 the highest.
    pub k_ppm: u32,
    pub cells: Vec<Cell>,
    pub bids: Vec<Bid>,
    /// Most lanes of some customers over all their bids. A customer without one has no cap.
    #[serde(default)]
    pub caps: Vec<Cap>,
}

impl Book {
    /// Where each cell stands among all cells by id.
    pub(crate) fn cell_ids(&self) -> CellIds {
        let sorted = sorted(self.cells.iter().map(|cell| cell.id));
        let mut near = vec![NOWHERE; sorted.last().map_or(0, |id| *id as usize + 1).min(NEAR_IDS)];
        for (id, position) in sorted.iter().zip(0..) {
            if let Some(slot) = near.get_mut(*id as usize) {
                *slot = position;
            }
        }
        CellIds { near, sorted }
    }
}

/// Cell ids and their positions. Ids under [`NEAR_IDS`], as those of most books are, are found
/// in one step.
pub(crate) struct CellIds {
    near: Vec<u32>,
    sorted: Vec<u32>,
}

const NEAR_IDS: usize = 1 << 16;
/// The position of what has none.
pub(crate) const NOWHERE: u32 = u32::MAX;

impl CellIds {
    pub fn position(&self, id: u32) -> Option<usize> {
        match self.near.get(id as usize) {
            Some(&position) => (position != NOWHERE).then_some(position as usize),
            None => self.sorted.binary_search(&id).ok(),
        }
    }
}

/// The most lanes that all bids of one customer together may win in a tick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cap {
    /// Unique among the caps; a customer without a bid in the book is lawful.
    pub customer: u128,
    /// 0 bars the customer from this tick.
    pub lanes: u32,
}

/// A cell: lanes that are alike to a bid, sold at one price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// Unique in the book.
    pub id: u32,
    /// Speed of its hardware class, 1 to [`MAX_SPEED_PPM`]; hw4 is 1 000 000.
    pub speed_ppm: u32,
    /// Its supply, in any order; levels of the same reserve are added up. Empty: no lane today.
    /// All lanes of a cell together are at most `u32::MAX`.
    pub levels: Vec<Level>,
}

/// A count of lanes at one reserve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// Per lane-hour as asked by the seller's side, gross of fee: 0 to [`MAX_PRICE`], on the grid.
    pub reserve: Price,
    /// At least 1.
    pub lanes: u32,
}

/// A standing demand for lanes.
///
/// The default has no price and no lanes and is refused; use it to leave out what does not apply:
/// `Bid { id, time, price, lanes, cells, ..Bid::default() }` takes any number of lanes, has no
/// budget and belongs to nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bid {
    /// Unique in the book; the last tie-breaker.
    pub id: u128,
    /// When it was placed (any unit, any epoch): the earlier of two equal prices goes first.
    pub time: i64,
    /// Most it pays per hw4-equivalent hour: 1 to [`MAX_PRICE`].
    pub price: Price,
    /// Lanes wanted, at least 1; fewer are welcome down to `min_fill`.
    pub lanes: u32,
    /// Ids of the cells it accepts, each once, in any order. Empty is lawful: nothing suits it.
    pub cells: Vec<u32>,
    /// Fewest lanes that are of use, over all its cells: it wins none, or at least so many. 0 and
    /// 1: any number; `lanes`: all or none. At most `lanes`.
    #[serde(default)]
    pub min_fill: u32,
    /// Most it pays per hour for all its lanes together, micro-units: `Σ lanes_c · price_c` over
    /// the cells it wins in is at most this. 0 or more; `None`: no bound but price and lanes.
    /// A sum of money turns into it by the time it must last: `money · 3600 / seconds`, rounded
    /// down.
    #[serde(default)]
    pub budget: Option<Price>,
    /// Whose it is, for the book's [`Cap`]s; `None`: nobody's, never capped.
    #[serde(default)]
    pub customer: Option<u128>,
}

/// Why a book is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum BookError {
    #[error("{cells} cells are more than {MAX_CELLS}")]
    TooManyCells { cells: usize },
    #[error("{bids} bids are more than {MAX_BIDS}")]
    TooManyBids { bids: usize },
    #[error("bids name {acceptances} cells in all, more than {MAX_ACCEPTANCES}")]
    TooManyAcceptances { acceptances: usize },
    #[error("grid {grid} is not within 1 and {MAX_PRICE}")]
    GridOutOfRange { grid: Price },
    #[error("price rule {k_ppm} is above 1000000")]
    PriceRuleOutOfRange { k_ppm: u32 },
    #[error("cell {cell} is listed twice")]
    DuplicateCell { cell: u32 },
    #[error("cell {cell}: speed {speed_ppm} is not within 1 and {MAX_SPEED_PPM}")]
    SpeedOutOfRange { cell: u32, speed_ppm: u32 },
    #[error("cell {cell}: the level at {reserve} has no lane")]
    LevelWithoutLanes { cell: u32, reserve: Price },
    #[error("cell {cell}: reserve {reserve} is not within 0 and {MAX_PRICE}")]
    ReserveOutOfRange { cell: u32, reserve: Price },
    #[error("cell {cell}: reserve {reserve} is off the grid")]
    ReserveOffGrid { cell: u32, reserve: Price },
    #[error("cell {cell}: more lanes than u32::MAX")]
    TooManyLanes { cell: u32 },
    #[error("bid {bid:032x} is listed twice")]
    DuplicateBid { bid: u128 },
    #[error("bid {bid:032x}: price {price} is not within 1 and {MAX_PRICE}")]
    PriceOutOfRange { bid: u128, price: Price },
    #[error("bid {bid:032x} wants no lane")]
    BidWithoutLanes { bid: u128 },
    #[error("bid {bid:032x} wants at least {min_fill} lanes, and at most {lanes}")]
    MinFillAboveLanes { bid: u128, min_fill: u32, lanes: u32 },
    #[error("bid {bid:032x}: budget {budget} is negative")]
    NegativeBudget { bid: u128, budget: Price },
    #[error("bid {bid:032x} names the unknown cell {cell}")]
    UnknownCell { bid: u128, cell: u32 },
    #[error("bid {bid:032x} names cell {cell} twice")]
    RepeatedCell { bid: u128, cell: u32 },
    #[error("customer {customer:032x} has two caps")]
    DuplicateCap { customer: u128 },
}

/// Refuses a book that cannot be cleared, with the first fault found in the order of
/// [`BookError`]'s variants: sizes, rules, then cell by cell, then bid by bid, then caps.
///
/// A reserve of zero is lawful (an owner may give time away), a bid of zero is not.
pub fn validate(book: &Book) -> Result<(), BookError> {
    let acceptances = book.bids.iter().fold(0_usize, |sum, b| sum.saturating_add(b.cells.len()));
    validate_size(book.cells.len(), book.bids.len(), acceptances)?;
    if !(1..=MAX_PRICE).contains(&book.grid) {
        return Err(BookError::GridOutOfRange { grid: book.grid });
    }
    if book.k_ppm > 1_000_000 {
        return Err(BookError::PriceRuleOutOfRange { k_ppm: book.k_ppm });
    }
    let cells = sorted(book.cells.iter().map(|c| c.id));
    if let Some(cell) = first_repeated(&cells) {
        return Err(BookError::DuplicateCell { cell });
    }
    for cell in &book.cells {
        validate_cell(cell, book.grid)?;
    }
    if let Some(bid) = first_repeated(&sorted(book.bids.iter().map(|b| b.id))) {
        return Err(BookError::DuplicateBid { bid });
    }
    let ids = book.cell_ids();
    let mut named_by = vec![usize::MAX; cells.len()];
    for (at, bid) in book.bids.iter().enumerate() {
        validate_bid(bid, at, &ids, &mut named_by)?;
    }
    match first_repeated(&sorted(book.caps.iter().map(|cap| cap.customer))) {
        Some(customer) => Err(BookError::DuplicateCap { customer }),
        None => Ok(()),
    }
}

fn validate_size(cells: usize, bids: usize, acceptances: usize) -> Result<(), BookError> {
    if cells > MAX_CELLS {
        return Err(BookError::TooManyCells { cells });
    }
    if bids > MAX_BIDS {
        return Err(BookError::TooManyBids { bids });
    }
    if acceptances > MAX_ACCEPTANCES {
        return Err(BookError::TooManyAcceptances { acceptances });
    }
    Ok(())
}

fn validate_cell(cell: &Cell, grid: Price) -> Result<(), BookError> {
    let Cell { id, speed_ppm, ref levels } = *cell;
    if !(1..=MAX_SPEED_PPM).contains(&speed_ppm) {
        return Err(BookError::SpeedOutOfRange { cell: id, speed_ppm });
    }
    let mut lanes = 0_u32;
    for level in levels {
        let reserve = level.reserve;
        if level.lanes == 0 {
            return Err(BookError::LevelWithoutLanes { cell: id, reserve });
        }
        if !(0..=MAX_PRICE).contains(&reserve) {
            return Err(BookError::ReserveOutOfRange { cell: id, reserve });
        }
        if reserve % grid != 0 {
            return Err(BookError::ReserveOffGrid { cell: id, reserve });
        }
        lanes = lanes.checked_add(level.lanes).ok_or(BookError::TooManyLanes { cell: id })?;
    }
    Ok(())
}

/// `named_by[c]` is the position of the last bid seen to name cell `c`.
fn validate_bid(
    bid: &Bid,
    at: usize,
    cells: &CellIds,
    named_by: &mut [usize],
) -> Result<(), BookError> {
    if !(1..=MAX_PRICE).contains(&bid.price) {
        return Err(BookError::PriceOutOfRange { bid: bid.id, price: bid.price });
    }
    if bid.lanes == 0 {
        return Err(BookError::BidWithoutLanes { bid: bid.id });
    }
    let Bid { min_fill, lanes, .. } = *bid;
    if min_fill > lanes {
        return Err(BookError::MinFillAboveLanes { bid: bid.id, min_fill, lanes });
    }
    if let Some(budget) = bid.budget.filter(|budget| *budget < 0) {
        return Err(BookError::NegativeBudget { bid: bid.id, budget });
    }
    for &cell in &bid.cells {
        let Some(c) = cells.position(cell) else {
            return Err(BookError::UnknownCell { bid: bid.id, cell });
        };
        if named_by[c] == at {
            return Err(BookError::RepeatedCell { bid: bid.id, cell });
        }
        named_by[c] = at;
    }
    Ok(())
}

fn sorted<T: Ord>(ids: impl Iterator<Item = T>) -> Vec<T> {
    let mut ids: Vec<T> = ids.collect();
    ids.sort_unstable();
    ids
}

fn first_repeated<T: Copy + PartialEq>(sorted: &[T]) -> Option<T> {
    sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bounded() {
        assert_eq!(validate_size(MAX_CELLS, MAX_BIDS, MAX_ACCEPTANCES), Ok(()));
        let (cells, bids, acceptances) = (MAX_CELLS + 1, MAX_BIDS + 1, MAX_ACCEPTANCES + 1);
        assert_eq!(validate_size(cells, bids, acceptances), Err(BookError::TooManyCells { cells }));
        assert_eq!(validate_size(0, bids, acceptances), Err(BookError::TooManyBids { bids }));
        assert_eq!(
            validate_size(0, 0, acceptances),
            Err(BookError::TooManyAcceptances { acceptances })
        );
    }
}
