//! The cost of getting one lane in a cell, with the tie-breaks that make it a total order.

use crate::price::Price;

/// A lexicographic triple in one integer, most significant first:
/// 1. micro-units per lane-hour: the reserve paid, or the value lost by the bid displaced, less
///    what the bids moved on the way gain by it;
/// 2. the tie: 0 for an unsold lane, else higher the better the rank of the bid displaced. So an
///    unsold lane goes before a displacement, and of two equal bids the later one yields;
/// 3. moves on the way. Fewest moves first is what bounds the number of augmentations whatever
///    the lanes (as in Edmonds and Karp 1972).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cost(i128);

const VALUE: u32 = 64;
const TIE: u32 = 32;

impl Cost {
    /// Above every cost, with room for differences.
    pub const NEVER: Cost = Cost(i128::MAX / 4);

    pub fn exit(value: Price, tie: u32) -> Cost {
        Cost((i128::from(value) << VALUE) + (i128::from(tie) << TIE))
    }

    /// What it costs one move earlier, if the move gains `gain`.
    pub fn before_move(self, gain: Price) -> Cost {
        Cost(self.0 - (i128::from(gain) << VALUE) + 1)
    }

    /// What is left of a lane's value after this cost.
    pub fn surplus_of(self, value: Price) -> i128 {
        (i128::from(value) << VALUE) - self.0
    }

    /// Whether a bid that values the lane so much shall have it: at no loss from an unsold lane,
    /// at a gain from another bid. The number of moves does not matter.
    pub fn is_worth(self, value: Price) -> bool {
        (i128::from(value) << (VALUE - TIE)) >= (self.0 >> TIE)
    }

    /// How far this cost is above an earlier one.
    pub fn above(self, earlier: Cost) -> i128 {
        self.0 - earlier.0
    }

    pub fn value(self) -> Price {
        // An exit's value is within i64 and a move only brings it nearer to another exit's.
        (self.0 >> VALUE) as Price
    }

    /// Whether the lane is taken from another bid.
    pub fn displaces(self) -> bool {
        ((self.0 >> TIE) as u32) > 0
    }
}
