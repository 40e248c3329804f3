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
    /// The welfare that would have been, had every bid taken any number of lanes and had there
    /// been no budget and no cap: no clearing can have more. The same as `welfare` where nothing
    /// of the kind bound. Micro-units per hour.
    pub bound: i128,
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
    /// What keeps the price from being under `lo`.
    pub lo_by: Setter,
    /// What keeps the price from being above `hi`.
    pub hi_by: Setter,
}

/// What sets an end of a cell's range of prices. In `cell` it is met: the cell itself or, where a
/// bid's choice between two cells ties their prices, another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setter {
    pub cell: u32,
    pub by: SetBy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SetBy {
    /// Nothing: no lane was sold and no bid wants one (`lo` is 0), or no lane was offered.
    Nothing,
    /// The reserve of the dearest lane sold (`lo`) or of the cheapest one unsold (`hi`).
    Reserve(Price),
    /// The value of a lane to a bid left short (`lo`) or to the weakest holder (`hi`).
    Bid(u128),
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

/// Why a bid won no more lanes. A bid whose price no supporting price is low enough for is told
/// so, even if a condition of its own would have held it short as well.
///
/// Unless said otherwise `would_win` is a price per hw4-equivalent hour, always above the bid's own, that would have won
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
    /// In the money, but fewer lanes were left to it than its `min_fill`. At `would_win` it would
    /// have had so many, all other bids as they are, its own budget and cap aside: a bound from
    /// above, that counts on no bid moving to another cell for it nor on others being rejected
    /// (not proved where displaced bids go round several classes; no exception is known).
    /// Saturates at `i64::MAX`, also where its cells do not offer so many lanes.
    MinFill { would_win: Price },
    /// Its budget reaches no further. Caps are set at the prices of an earlier round and only
    /// shrink, so one more lane may be within the budget at the final prices. `would_need` is what
    /// its lanes and one more (or its `min_fill`, if it won none) cost at the final prices, at
    /// least.
    Budget { would_need: Price },
    /// Its customer's cap of lanes is used up by the customer's bids ahead of it.
    ShareCap,
}
