//! Storage of the house: one code base on SQLite (embedded) and PostgreSQL.
//!
//! [`Store`] opens a database by URL and runs commands in transactions: [`Store::write`] for what
//! changes it, [`Store::read`] for a consistent view. A command gets a [`Tx`]: the connection, the
//! moment, and a source of ids; it asks neither the clock nor chance itself.
//!
//! One order of locks holds everywhere, so that nothing deadlocks on PostgreSQL: the market's row
//! first (`scheduler`), then accounts by ascending id (`ledger`).

mod amount;
mod connection;
mod database;
mod day;
mod error;
pub mod gather;
mod id;
pub mod schema;
pub mod seal;
pub mod sets;
#[cfg(feature = "testing")]
pub mod testing;
mod time;
mod writer;

pub use amount::{Amount, AmountError, Rounding, mul_div};
pub use connection::{AnyConnection, MultiBackend};
pub use database::{Env, Store, Tx, lock_row};
pub use day::{Day, Month};
pub use error::{Error, Result};
pub use id::{
    AccountId, ApprovalId, AttemptId, AuditEventId, BankFileId, BidId, ClearingId, ConsentId,
    DepositId, HoldEventId, HoldId, Id, IdSource, JobId, Kind, LeaseId, MailId, NodeId, PartyId,
    PayoutId, PeriodEventId, RequestId, TaskId, TransactionId, VehicleId, kind,
};
pub use time::{Clock, ManualClock, SystemClock, Timestamp};
