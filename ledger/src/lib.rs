//! The double-entry book: accounts, transactions, holds, and the few templates that post to them.
//!
//! Every function takes the caller's [`store::Tx`], so that a posting commits with what it belongs
//! to: a lease with its settlement, a job with its hold.
//!
//! - [`post`] moves amounts between accounts; [`place_hold`], [`capture_hold`], [`release_hold`] and
//!   [`expire_holds`] keep money back and take it; [`reverse`] and [`refund`] undo.
//! - [`chart`] holds the posting templates of the house: deposit, settlement, payout, conversion.
//! - Each of them is a [`Command`]. [`execute`] runs many in one transaction, [`execute_linked`] all
//!   or none, and a [`Writer`] commits those of many callers together. All go through one engine;
//!   nothing else writes to the book.
//! - [`period`] closes months.
//! - [`check`] derives the book from its entries; [`report`] and [`export`] read it, [`explain`] says
//!   why a transaction moved what it moved; [`proof`] signs it, so that what was changed afterwards
//!   shows.
//!
//! # What always holds
//! Every transaction sums to zero per asset. A balance is the fold of its account's entries, which
//! are numbered from 1 without gaps, in order of the moments of posting, and never updated. What an account holds back is what is left of
//! its open holds, and an account that may not be overdrawn never has less than that.
//!
//! # Order of locks
//! The only locks are the `balance` rows, taken by ascending account id. The row guards its
//! account's holds too: whoever changes a hold has its account first. A caller that runs several
//! commands in one transaction and can meet another such caller orders them itself, or holds a lock
//! above all of them (the market's row).
//!
//! # Amounts
//! Micro-units (1e-6) of the account's asset. In storage and in a [`Leg`] a debit is positive and a
//! credit negative; a [`Balance`] is in its account's own direction. No floats, no SQL arithmetic.

#![deny(clippy::float_arithmetic)]

mod account;
mod asset;
#[cfg(feature = "bench")]
pub mod bench;
pub mod chart;
pub mod check;
mod command;
mod engine;
mod error;
pub mod explain;
pub mod export;
mod fingerprint;
mod hold;
mod pages;
pub mod period;
mod posting;
pub mod proof;
pub mod report;
mod reversal;
mod writer;

pub use account::{
    Balance, Code, Side, account_asset, balance, find_account, open_account, party_balance,
};
pub use asset::{Asset, add_asset};
pub use command::{Command, Outcome};
pub use engine::{execute, execute_groups, execute_linked, run_one as run};
pub use error::{Difference, Error, Result};
pub use hold::{
    HoldState, NewHold, Placed, capture_hold, expire_holds, hold, place_hold, release_hold,
};
pub use posting::{
    Kind, Late, Leg, MAX_LEGS, MAX_METADATA, MAX_TEXT, NewTransaction, Posted, Relation, post,
};
pub use reversal::{Refund, Reversal, refund, reverse};
pub use writer::{Writer, WriterConfig};
