//! A tick in figures: what was wanted, offered and sold, and who gained. Pure.

use pricing::{Book, Clearing};

/// Lanes, and micro-units per hour; what does not fit stops at the ends of `i64`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub bids: i64,
    pub wanted: i64,
    pub offered: i64,
    pub sold: i64,
    /// What the lanes sold are worth to their bids, less their reserves.
    pub welfare: i64,
    /// The most welfare there was, had every bid taken any number of lanes: the LP's optimum.
    pub bound: i64,
    pub payments: i64,
    /// What of the payments is above the reserves.
    pub owner_surplus: i64,
    /// Over the lanes sold, the greatest price that would have cleared less the least: how much
    /// could have changed hands by bids or reserves that were not meant.
    pub spread: i64,
}

impl Figures {
    pub(super) fn of(book: &Book, result: &Clearing) -> Self {
        let lanes = |lanes: u32| i128::from(lanes);
        let (mut payments, mut reserves, mut spread) = (0_i128, 0_i128, 0_i128);
        for cell in &result.cells {
            payments += i128::from(cell.price.unwrap_or(0)) * lanes(cell.lanes);
            spread += (i128::from(cell.hi) - i128::from(cell.lo)) * lanes(cell.lanes);
            reserves += cell
                .sold
                .iter()
                .map(|level| i128::from(level.reserve) * lanes(level.lanes))
                .sum::<i128>();
        }
        let offered = book.cells.iter().flat_map(|cell| &cell.levels);
        Self {
            bids: fit(book.bids.len() as i128),
            wanted: fit(book.bids.iter().map(|bid| lanes(bid.lanes)).sum()),
            offered: fit(offered.map(|level| lanes(level.lanes)).sum()),
            sold: fit(result.cells.iter().map(|cell| lanes(cell.lanes)).sum()),
            welfare: fit(result.welfare),
            bound: fit(result.bound),
            payments: fit(payments),
            owner_surplus: fit(payments - reserves),
            spread: fit(spread),
        }
    }

    /// What the lanes were worth to their bids beyond what they pay.
    pub fn customer_surplus(&self) -> i64 {
        self.welfare.saturating_sub(self.owner_surplus)
    }
}

fn fit(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}
