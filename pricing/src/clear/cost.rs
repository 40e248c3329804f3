//! The cost of a lane in a cell, with the tie-breaks that make it a total order.

use crate::price::Price;

/// A lexicographic triple, most significant first:
/// 1. micro-units per lane-hour: the reserve paid, or the value lost by the bid displaced, less
///    what the bids moved on the way gain by it;
/// 2. the tie: 0 for an unsold lane, else higher the better the rank of the bid displaced. So an
///    unsold lane goes before a displacement, and of two equal bids the later one yields;
/// 3. moves on the way. Fewest moves first is what bounds the number of augmentations whatever
///    the lanes (as in Edmonds and Karp 1972).
///
/// For a lane that becomes free the first two are negated: what it is worth, and to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cost {
    /// Within ±10^17, but for [`Cost::NEVER`].
    pub value: Price,
    /// The tie times 2^32, and the moves.
    pub tail: i64,
}

/// The difference of two costs, in the same order.
pub(super) type Rise = (i64, i64);

impl Cost {
    /// Above every cost, with room for differences.
    pub const NEVER: Cost = Cost { value: 1 << 60, tail: 0 };

    pub fn exit(value: Price, tie: u32) -> Cost {
        Cost { value, tail: i64::from(tie) << 32 }
    }

    /// What such a lane is worth when it becomes free, as a cost.
    pub fn negated(self) -> Cost {
        Cost { value: -self.value, tail: -self.tail }
    }

    pub fn is_never(self) -> bool {
        self.value >= Cost::NEVER.value / 2
    }

    /// What it costs one move earlier, if the move gains `gain`.
    pub fn before_move(self, gain: Price) -> Cost {
        Cost { value: self.value - gain, tail: self.tail + 1 }
    }

    /// Whether a bid that values the lane so much shall have it: at no loss from an unsold lane,
    /// at a gain from another bid. The number of moves does not matter.
    pub fn is_worth(self, value: Price) -> bool {
        self.value < value || (self.value == value && !self.displaces())
    }

    /// How far this cost is above an earlier one.
    pub fn above(self, earlier: Cost) -> Rise {
        (self.value - earlier.value, self.tail - earlier.tail)
    }

    /// Moves on the way: also of a negated cost, for the tie leaves these bits alone.
    pub fn moves(self) -> u32 {
        self.tail as u32
    }

    /// Whether the lane is taken from another bid.
    pub fn displaces(self) -> bool {
        self.tail >> 32 > 0
    }
}
