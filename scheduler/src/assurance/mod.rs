//! What makes a result worth its money: results are compared before they are paid.
//!
//! A task is done when as many cars of different owners, and of one hardware class, have named the
//! same output as its job's [`Assurance`] wants. Cars take the task one after the other: a car cannot
//! know whether it is the first, a check of another, or checked itself, and no result is bought that
//! turns out not to be needed. Until then a completed attempt's verdict is pending and its output is
//! nobody's to read.
//!
//! - [`Assurance`]: what the customer asks for.
//! - [`judge`]: from the results so far to: accept one, run again, or give up. Pure.
//! - [`spot`]: which results are checked. Pure.
//! - [`reputation`]: what a car's past says, and when it has to rest. Pure.
//! - [`store`], [`view`]: rows, and what owners, customers and operators see of them.

pub mod judge;
mod level;
pub mod reputation;
pub mod spot;
mod store;
mod view;

pub use judge::Ruling;
pub use level::{Assurance, MAX_QUORUM, MIN_QUORUM};
pub use reputation::{Event, Reputation};
pub(crate) use store::{
    ClaimRow, Wait, load_claims, load_job_waits, load_reputations, load_resting, load_waits,
    store_claims, store_reputations,
};
pub use view::{Dissent, dissents, dissents_of, reputation_of};
