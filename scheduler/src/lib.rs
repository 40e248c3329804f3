//! Who works for whom, when, and what follows from it for money.
//!
//! - [`fleet`]: vehicles, owners' policy and consent, presence, and the pure rule of eligibility.
//! - [`ban`]: programs and customers that no car works for.
//! - [`job`]: jobs, their bids and tasks; a job is accepted together with the hold on its budget.
//! - [`market`]: the tick of a market: leader, book, clearing, choice of cars, leases.
//! - [`lease`]: heartbeats, attempts, the end of a lease and its settlement.
//! - [`assurance`]: results are compared before they are paid; what a car's past says of it.
//! - [`desk`]: where a process takes its cars' polls.
//! - [`engine`]: the loop that ticks and sweeps; [`embedded`]: cars that live in this process.
//!
//! Inside: `plan_*`, `choose_*`, `bill_*` are pure; the rest loads, asks them, and stores. Every
//! write of a market takes the market's row lock first, so writers of one market follow each other
//! and every decision is taken on rows that cannot change under it.

#![deny(clippy::float_arithmetic)]

pub mod assurance;
pub mod ban;
#[cfg(feature = "bench")]
pub mod bench;
pub mod blob;
pub mod config;
pub mod desk;
pub mod embedded;
pub mod engine;
mod error;
pub mod fleet;
pub mod job;
pub mod lease;
pub mod market;
mod model;
mod past;

pub use config::Config;
pub use desk::Desk;
pub use error::{Error, Result};
pub use model::{
    AttemptOutcome, BanKind, Chemistry, ClaimState, DataClass, EndReason, Gather, JobReason,
    JobState, LeaseState, LeftOut, NoCar, Pause, PayIn, Permits, Purpose, Runtime, Source, Stay,
    TaskState, Verdict,
};
