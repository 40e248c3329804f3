//! The market's mechanism: a book in, one uniform price per cell, the fills and the reasons out.
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
//! # Conditions that are not convex
//!
//! A bid may have a min fill (up to all or none) and a budget, a customer a cap of lanes. They are
//! met by *limits*, most lanes per bid, that only ever shrink (relax and reject):
//!
//! 1. Clear as if there were none. Its welfare is [`Clearing::bound`].
//! 2. A customer above its cap keeps what its best-ranked bids hold; if all caps hold, a bid above
//!    its budget keeps the share of its lanes that the budget pays for; if all budgets hold, of the
//!    bids that hold lanes, but fewer than their min fill, the worse-ranked half is rejected. What
//!    they give up goes to where it is worth most. Again, until nobody holds what it must not; after
//!    a number of rounds limits are set that hold at any price, so that it ends.
//! 3. At these prices, rejected bids are served whole from unsold lanes that ask for no more.
//!
//! The prices support what everybody holds, with the limits for the lanes wanted: so nobody is
//! accepted at a loss, while a bid may be rejected though in the money, and is told so
//! ([`Reason::MinFill`], [`Reason::Budget`], [`Reason::ShareCap`]).
//!
//! # How it is computed
//!
//! Bids enter in the order of rank (price descending, time, id), each by successive shortest paths
//! over the *cells*: a bid that enters a cell takes its next unsold lane, displaces its weakest
//! holder, or makes a holder move to another cell, where the same choice is met again. Lanes of a
//! level are one count, so the cost depends on cells and bids, never on cars, and a path carries
//! as many lanes as its narrowest step, so it does not depend on lanes wanted either. Cells that no
//! bid tells apart are cleared as one. See `clear/flow.rs` for the potentials that make one entry
//! cheap, and `clear/release.rs` for the same backwards, by which lanes are given up.
//!
//! [`check`] proves a clearing optimal from the book alone, by the conditions above and by the
//! equality of primal and dual objective; it shares no code with [`clear`] but the formulas of this
//! crate ([`lane_value`] and the price rule) and the look-up of cell ids.
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
