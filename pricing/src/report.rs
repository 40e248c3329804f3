//! What a tick was worth, and what it left undone.

use serde::{Deserialize, Serialize};

use crate::book::Book;
use crate::clearing::{CellClearing, Clearing, Reason, SetBy};
use crate::price::Price;

/// The figures of one clearing that a market is judged by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// As in [`Clearing`].
    pub welfare: i128,
    /// As in [`Clearing`]: the optimum of the linear programme without min fills, budgets, caps.
    pub bound: i128,
    /// What buyers pay, and so what sellers receive gross of the fee: micro-units per hour.
    pub turnover: i128,
    /// Lanes sold.
    pub lanes: u64,
    pub unmet: Unmet,
    /// Cells with lanes unsold, by id.
    pub idle: Vec<Idle>,
}

/// Lanes wanted and not won, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmet {
    /// Their cells have no lanes.
    pub no_supply: u64,
    /// Their bids hold all there are.
    pub sold_out: u64,
    /// No car asks for so little.
    pub price_too_low: u64,
    /// Others pay more.
    pub outbid: u64,
    /// In the money, but too few were left.
    pub min_fill: u64,
    /// In the money, but not within the budget.
    pub budget: u64,
    /// In the money, but not within the customer's cap.
    pub share_cap: u64,
}

/// Lanes of a cell that nobody took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idle {
    pub cell: u32,
    /// At least 1.
    pub lanes: u64,
    /// The least that one of them asks for.
    pub reserve: Price,
    /// See [`CellClearing::would_sell`].
    pub would_sell: Option<Price>,
}

impl Unmet {
    /// Lanes that their bids would have paid the price for.
    pub fn above_price(&self) -> u64 {
        self.min_fill + self.budget + self.share_cap
    }
}

impl CellClearing {
    /// The reserve at which one more lane of this cell would have been sold, all else as it is:
    /// surely below it, and not above it. At it, surely if a bid sets it; if a sold lane's reserve
    /// does, that lane and this one are alike. `None` if nobody would have been better off
    /// with a lane for nothing.
    pub fn would_sell(&self) -> Option<Price> {
        (self.lo_by.by != SetBy::Nothing).then_some(self.lo)
    }
}

/// Sums up the clearing of a book. Meaningful if the two [`check`](crate::check).
pub fn report(book: &Book, clearing: &Clearing) -> Report {
    let turnover = clearing
        .cells
        .iter()
        .map(|cell| i128::from(cell.price.unwrap_or(0)) * i128::from(cell.lanes));
    Report {
        welfare: clearing.welfare,
        bound: clearing.bound,
        turnover: turnover.sum(),
        lanes: clearing.cells.iter().map(|cell| u64::from(cell.lanes)).sum(),
        unmet: unmet(clearing),
        idle: idle(book, clearing),
    }
}

fn unmet(clearing: &Clearing) -> Unmet {
    let mut unmet = Unmet::default();
    for short in &clearing.unfilled {
        let lanes = match short.reason {
            Reason::NoSupply => &mut unmet.no_supply,
            Reason::SoldOut => &mut unmet.sold_out,
            Reason::PriceTooLow { .. } => &mut unmet.price_too_low,
            Reason::Outbid { .. } => &mut unmet.outbid,
            Reason::MinFill { .. } => &mut unmet.min_fill,
            Reason::Budget { .. } => &mut unmet.budget,
            Reason::ShareCap => &mut unmet.share_cap,
        };
        *lanes += u64::from(short.lanes);
    }
    unmet
}

fn idle(book: &Book, clearing: &Clearing) -> Vec<Idle> {
    let ids = book.cell_ids();
    let mut cells = vec![None; book.cells.len()];
    for cell in &book.cells {
        ids.position(cell.id).into_iter().for_each(|at| cells[at] = Some(cell));
    }
    let idle = |told: &CellClearing| {
        let cell = (*cells.get(ids.position(told.cell)?)?)?;
        let offered: u64 = cell.levels.iter().map(|level| u64::from(level.lanes)).sum();
        let lanes = offered.saturating_sub(u64::from(told.lanes));
        // Cars are sold from the cheapest: count them off.
        let mut levels: Vec<_> = cell.levels.iter().collect();
        levels.sort_unstable_by_key(|level| level.reserve);
        let mut sold = u64::from(told.lanes);
        let first_unsold = levels.into_iter().find(|level| {
            let all = sold >= u64::from(level.lanes);
            sold = sold.saturating_sub(u64::from(level.lanes));
            !all
        })?;
        let (reserve, would_sell) = (first_unsold.reserve, told.would_sell());
        Some(Idle { cell: told.cell, lanes, reserve, would_sell })
    };
    clearing.cells.iter().filter_map(idle).collect()
}
