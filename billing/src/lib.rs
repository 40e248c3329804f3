//! Documents on top of the book: what an owner is owed and why, and the files that pay it.
//!
//! - [`statement`]: an owner's account over a period, line by line, as HTML and CSV.
//! - [`payout`]: an owner's request, finance's approval, and the payment it makes.
//! - [`close`]: what has to be done before a month is closed.
//! - [`report`]: what finance asks the books, in every format.
//! - [`bank_file`]: the format a bank takes, pain.001.001.09.

#![deny(clippy::float_arithmetic)]

pub mod bank_file;
pub mod close;
mod error;
pub mod payout;
pub mod report;
pub mod statement;

pub use error::{Error, Result};
