//! The proof that a clearing is optimal, from the book and the clearing alone.

mod lanes;
mod objective;
mod prices;
mod range;
mod reasons;
mod view;
mod violation;

use crate::book::{Book, validate};
use crate::clearing::Clearing;
use view::View;

pub use violation::Violation;

/// Checks a clearing against its book: lanes are conserved and accepted, prices support the
/// allocation, nobody gains by more, fewer or other lanes, ranks are kept, `lo` and `hi` are the
/// ends of the supporting range, and welfare equals the dual objective
/// `Σ_cl max(0, p_c − r_cl) · lanes_cl + Σ_j max(0, max_c (v_jc − p_c)) · lanes_j`, which no
/// allocation can exceed.
///
/// A bid said to be held short by its own min fill, budget or cap counts in this as wanting what
/// it won; that the excuse can be is checked, that no better limits were to be had is not. What
/// such bids won fills their min fill, stays within budgets and caps, and no bid without a budget
/// and a cap was rejected that could be served whole at these prices. That buyers pay what sellers receive follows: each cell has one price,
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
    prices::check_rejected(&view)?;
    range::check_range(&view)?;
    objective::check_objectives(&view, clearing)?;
    reasons::check_unfilled(&view, clearing)
}
