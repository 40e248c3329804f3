//! The convex core of the market: a book in, one uniform price per cell and the fills out.
//!
//! Pure and deterministic: no I/O, no clock, no floating point, no panic on any input. The same
//! book, in whatever order its cells, levels and bids are listed, gives the same [`Clearing`].
//!
//! # The mechanism
//!
//! A sealed batch exchange. Bid `j` wants up to `q_j` lanes in any of the cells it accepts and
//! values one lane of cell `c` at `v_jc = floor(price_j · speed_c / 10^6)` ([`lane_value`]). Cell
//! `c` offers lanes at reserve levels `r_c1 < r_c2 < …`. The clearing maximises
//!
//! ```text
//! welfare = Σ v_jc · x_jc − Σ r_cl · y_cl      x_jc lanes of c filled to j, y_cl sold of level l
//! ```
//!
//! a transportation problem, whose optimum is integral and whose duals are the prices (Koopmans
//! and Beckmann 1957; Shapley and Shubik 1971, "The assignment game"). A price vector supports the
//! allocation when
//!
//! ```text
//! reserve of a sold lane ≤ p_c ≤ reserve of an unsold lane
//! p_c ≤ v_jc                      for every lane that j holds in c
//! p_c ≥ v_jc                      for every bid j left short that accepts c
//! v_jc − p_c ≥ v_jd − p_d         for every lane that j holds in c and every d it accepts
//! ```
//!
//! Such vectors form a lattice; its least and greatest elements are `lo` and `hi`, and the price
//! is `lo + floor((hi − lo) · k / 10^6)`. Rounding down keeps all four conditions, because they
//! bound integers and differences by integers.
//!
//! # How it is computed
//!
//! Bids enter in the order of rank (price descending, time, id), each by successive shortest paths
//! over the *cells*: a bid that enters a cell takes its next unsold lane, displaces its weakest
//! holder, or makes a holder move to another cell, where the same choice is met again. Lanes of a
//! level are one count, so the cost depends on cells and bids, never on cars, and a path carries
//! as many lanes as its narrowest step, so it does not depend on lanes wanted either. See
//! `clear/flow.rs` for the potentials that make one entry cheap.
//!
//! [`check`] proves a clearing optimal from the book alone, by the conditions above and by the
//! equality of primal and dual objective; it shares no code with [`clear`] but the two formulas of
//! this crate ([`lane_value`] and the price rule).
#![deny(clippy::float_arithmetic)]

#[cfg(feature = "bench")]
pub mod bench;
mod book;
mod check;
mod clear;
mod clearing;
mod price;
mod report;

pub use book::{
    Bid, Book, BookError, Cap, Cell, Level, MAX_ACCEPTANCES, MAX_BIDS, MAX_CELLS, MAX_PRICE,
    MAX_SPEED_PPM, validate,
};
pub use check::{Violation, check};
pub use clear::clear;
pub use clearing::{CellClearing, Clearing, Fill, Reason, SetBy, Setter, Unfilled};
pub use price::{Price, gross_reserve, lane_value};
pub use report::{Idle, Report, Unmet, report};
