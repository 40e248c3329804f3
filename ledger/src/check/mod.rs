//! Proves the book: everything that can be derived is derived from the entries again.
//!
//! Three passes, each a merge of ordered pages, so that memory does not grow with the book:
//! accounts with their entries and open holds, transactions with their entries, holds with their
//! events. They find a changed, missing or added row wherever another row says otherwise; what was
//! changed consistently everywhere they cannot see.

mod accounts;
mod holds;
mod store;
mod transactions;

use std::collections::BTreeMap;
use std::fmt::Display;

use ::store::{Amount, Tx};

use crate::Result;

/// What was read and what does not agree.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CheckReport {
    pub accounts: u64,
    pub transactions: u64,
    pub entries: u64,
    pub holds: u64,
    /// Empty if the book is right. At most [`MAX_DIFFERENCES`] are listed.
    pub differences: Vec<Difference>,
    /// Debits less credits over all stored balances, by asset: zero if the book is right. A sum out
    /// of range is cut to it.
    pub trial_balance: BTreeMap<String, Amount>,
}

/// The check lists no more differences than this.
pub const MAX_DIFFERENCES: usize = 1_000;

/// A stored value that is not what the entries and hold events say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What is compared, for instance `balance.posted`.
    pub what: &'static str,
    /// TypeID of the account, transaction or hold, or an asset's code.
    pub id: String,
    pub stored: String,
    pub derived: String,
}

impl CheckReport {
    /// True if the book is right.
    pub fn is_clean(&self) -> bool {
        self.differences.is_empty()
    }

    /// Lists a difference if there is one, and answers whether.
    fn compare<T: PartialEq + Display>(
        &mut self,
        what: &'static str,
        id: &dyn Display,
        stored: T,
        derived: T,
    ) -> bool {
        let differ = stored != derived;
        if differ {
            self.list(what, id, &stored, &derived);
        }
        differ
    }

    fn list(
        &mut self,
        what: &'static str,
        id: &dyn Display,
        stored: &dyn Display,
        derived: &dyn Display,
    ) {
        if self.differences.len() < MAX_DIFFERENCES {
            let (id, stored, derived) = (id.to_string(), stored.to_string(), derived.to_string());
            self.differences.push(Difference { what, id, stored, derived });
        }
    }
}

/// Checks the whole book as of the transaction's snapshot. Call it in [`::store::Store::read`]: on
/// PostgreSQL a write transaction sees others' commits between its pages.
///
/// # Errors
/// Faults of storage only: what is wrong with the book is in the report.
pub fn check(tx: &mut Tx<'_>) -> Result<CheckReport> {
    let mut report = CheckReport::default();
    accounts::check(tx.conn, &mut report)?;
    transactions::check(tx.conn, &mut report)?;
    holds::check(tx.conn, &mut report)?;
    Ok(report)
}

/// True if there is any transaction in the book.
///
/// # Errors
/// Faults of storage only.
pub fn is_used(tx: &mut Tx<'_>) -> Result<bool> {
    Ok(store::transactions().next(tx.conn)?.is_some())
}

/// A sum of micro-units, of any size, as an amount would be shown.
struct Sum(i128);

impl Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match i64::try_from(self.0) {
            Ok(sum) => Amount(sum).fmt(f),
            Err(_) => write!(f, "{} micro-units", self.0),
        }
    }
}

impl PartialEq for Sum {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
