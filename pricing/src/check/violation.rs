//! What can be wrong with a clearing.

use serde::{Deserialize, Serialize};

use crate::book::BookError;
use crate::price::Price;

/// The first condition found broken, naming the cell or bid. [`check`](crate::check) looks in the
/// order of the variants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Violation {
    #[error("the book is refused: {0}")]
    Book(#[from] BookError),

    // The clearing speaks about this book, in canonical order.
    #[error("the clearing lists {found:?} where the book's next cell by id is {expected:?}")]
    CellList { expected: Option<u32>, found: Option<u32> },
    #[error("unknown bid {bid:032x}")]
    UnknownBid { bid: u128 },
    #[error("the fill of bid {bid:032x} in cell {cell} is out of order or listed twice")]
    FillOrder { bid: u128, cell: u32 },
    #[error("the fill of bid {bid:032x} in cell {cell} has no lane")]
    EmptyFill { bid: u128, cell: u32 },

    // Lanes: only in accepted cells, conserved per bid, level and cell.
    #[error("bid {bid:032x} does not accept cell {cell}")]
    NotAccepted { bid: u128, cell: u32 },
    #[error("bid {bid:032x} got more lanes than it wants")]
    Overfilled { bid: u128 },
    #[error("bid {bid:032x} got lanes, but fewer than are of use to it")]
    UnderMinFill { bid: u128 },
    #[error("customer {customer:032x} got more lanes than its cap")]
    AboveCap { customer: u128 },
    #[error("cell {cell}: sold levels are not distinct levels of the book, cheapest first")]
    LevelList { cell: u32 },
    #[error("cell {cell}: more lanes sold at {reserve} than offered")]
    Oversold { cell: u32, reserve: Price },
    #[error("cell {cell}: {filled} lanes filled, {sold} sold by level, {stated} stated")]
    LanesDiffer { cell: u32, filled: u64, sold: u64, stated: u32 },
    #[error("cell {cell}: a price without a sale, or a sale without a price")]
    PriceWithoutSale { cell: u32 },

    // The price supports the allocation.
    #[error("bid {bid:032x} pays more in cell {cell} than a lane is worth to it")]
    AboveValue { bid: u128, cell: u32 },
    #[error("cell {cell}: a lane was sold under its reserve {reserve}")]
    BelowReserve { cell: u32, reserve: Price },
    #[error("cell {cell}: an unsold lane asks for {reserve}, less than the price")]
    CheaperUnsold { cell: u32, reserve: Price },
    #[error(
        "bid {bid:032x} was left short, though a lane of cell {cell} is worth more than it costs"
    )]
    ShortButGains { bid: u128, cell: u32 },
    #[error("bid {bid:032x} holds a lane of cell {cell} and would be better off in {better}")]
    BetterCell { bid: u128, cell: u32, better: u32 },
    #[error("bid {bid:032x} pays {pays} an hour, more than its budget")]
    AboveBudget { bid: u128, pays: i128 },
    #[error("bid {bid:032x} was left short while its equal {behind:032x}, behind it, won")]
    OutOfRank { bid: u128, behind: u128 },
    #[error("bid {bid:032x} was rejected, though cars to serve it whole are left at the price")]
    RejectedInVain { bid: u128 },
    #[error("cell {cell}: supporting prices are {lo} to {hi}, as stated they are others")]
    Range { cell: u32, lo: Price, hi: Price },
    #[error("cell {cell}: the price rule gives {expected}")]
    PriceRule { cell: u32, expected: Price },
    #[error("cell {cell}: what is said to set the range of prices does not")]
    Setter { cell: u32 },

    // The objectives agree.
    #[error("the welfare is {found}, as stated it is {stated}")]
    Welfare { stated: i128, found: i128 },
    #[error("the welfare {primal} is not the dual objective {dual}")]
    Dual { primal: i128, dual: i128 },
    #[error("the bound {stated} is not within the welfare {welfare} and {at_most}")]
    Bound { welfare: i128, stated: i128, at_most: i128 },

    // Bids left short are told so.
    #[error("the list of bids left short is wrong at bid {bid:032x}")]
    UnfilledList { bid: u128 },
    #[error("the reason given to bid {bid:032x} cannot be")]
    Reason { bid: u128 },
}
