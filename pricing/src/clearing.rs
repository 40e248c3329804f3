//! What a clearing says.

use serde::{Deserialize, Serialize};

use crate::book::Level;
use crate::price::Price;

/// The result of one tick. Its order is canonical, so equal clearings are equal byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clearing {
    /// Every cell of the book, by id.
    pub cells: Vec<CellClearing>,
    /// Lanes won, by rank of the bid (price descending, time, id), then by cell id.
    pub fills: Vec<Fill>,
    /// Bids left short, wholly or in part, by rank.
    pub unfilled: Vec<Unfilled>,
    /// Value of all lanes filled less the reserves of all lanes sold, micro-units per hour.
    pub welfare: i128,
}

/// One cell's price and sales.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellClearing {
    pub cell: u32,
    /// Per lane-hour, for every lane sold here; `None` if nothing was sold. Not necessarily on the
    /// price grid.
    pub price: Option<Price>,
    /// The least supporting price. Where nothing was sold, `lo..=hi` are the prices at which that
    /// would still be so; 0 and 0 where no lane was offered.
    pub lo: Price,
    /// The greatest supporting price.
    pub hi: Price,
    /// Lanes sold.
    pub lanes: u32,
    /// Lanes sold per reserve level, cheapest first, levels of the same reserve added up, levels
    /// that sold nothing left out. Only the last can be sold in part.
    pub sold: Vec<Level>,
}

/// Lanes of one cell won by one bid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    pub bid: u128,
    pub cell: u32,
    /// At least 1.
    pub lanes: u32,
}

/// A bid left short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfilled {
    pub bid: u128,
    /// Lanes wanted and not won, at least 1.
    pub lanes: u32,
    pub reason: Reason,
}

/// Why a bid won no more lanes.
///
/// `would_win` is a price per hw4-equivalent hour, always above the bid's own, that would have won
/// one more lane, all other bids as they are. To a bid that won nothing it is exact up to ties
/// (outbidding takes a value one micro-unit above the bid in the way, though rank might do).
/// To a bid that won some it is the price of one lane beside those it holds. Bidding more it wins
/// more computing, but that may be a faster lane in exchange for one it holds, and where both are
/// worth the same the rounding of [`lane_value`](crate::lane_value) may ask for a micro-unit or
/// two more per lane held. Saturates at `i64::MAX`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// No lane was offered in its cells.
    NoSupply,
    /// Nobody stood in the way: the lanes it did not win ask for more than it pays.
    PriceTooLow { would_win: Price },
    /// Lanes that it could have paid for went to other bids.
    Outbid { would_win: Price },
    /// No price would have won more: it holds every lane of its cells.
    SoldOut,
}
