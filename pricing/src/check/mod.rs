//! The proof that a clearing is optimal, from the book and the clearing alone.

mod lanes;
mod prices;
mod view;
mod violation;

use crate::book::{Book, validate};
use crate::clearing::{Clearing, Reason};
use view::View;

pub use violation::Violation;

/// Checks a clearing against its book: lanes are conserved and accepted, prices support the
/// allocation, nobody gains by more, fewer or other lanes, ranks are kept, `lo` and `hi` are the
/// ends of the supporting range, and welfare equals the dual objective
/// `Σ_cl max(0, p_c − r_cl) · lanes_cl + Σ_j max(0, max_c (v_jc − p_c)) · lanes_j`, which no
/// allocation can exceed. That buyers pay what sellers receive follows: each cell has one price,
/// and as many lanes filled as sold.
///
/// Never panics, whatever the two hold.
///
/// # Errors
/// The first [`Violation`] in the order of its variants.
pub fn check(book: &Book, clearing: &Clearing) -> Result<(), Violation> {
    validate(book)?;
    let view = View::of(book, clearing)?;
    lanes::check_bids(&view)?;
    lanes::check_cells(&view)?;
    prices::check_support(&view)?;
    prices::check_rank(&view)?;
    prices::check_range(&view)?;
    prices::check_objectives(&view, clearing.welfare)?;
    check_unfilled(&view, clearing)
}

fn check_unfilled(view: &View, clearing: &Clearing) -> Result<(), Violation> {
    let mut listed = clearing.unfilled.iter();
    for bid in view.bids.iter().filter(|bid| bid.short() > 0) {
        let id = bid.bid.id;
        let told = listed.next().filter(|told| told.bid == id);
        let told = told.filter(|told| u64::from(told.lanes) == bid.short());
        let told = told.ok_or(Violation::UnfilledList { bid: id })?;
        let offered = bid.accepts.iter().any(|c| view.cells[*c].offered() > 0);
        let can_be = match told.reason {
            Reason::NoSupply => !offered,
            Reason::PriceTooLow { would_win } | Reason::Outbid { would_win } => {
                offered && would_win > bid.bid.price
            }
            // Whoever holds all lanes of its cells holds some.
            Reason::SoldOut => !bid.fills.is_empty(),
        };
        if !can_be {
            return Err(Violation::Reason { bid: id });
        }
    }
    listed.next().map_or(Ok(()), |extra| Err(Violation::UnfilledList { bid: extra.bid }))
}
