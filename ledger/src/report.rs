//! Reading the book: trial balance, balances, and an account's entries.

use store::{AccountId, Amount, PartyId, Timestamp, TransactionId, Tx};

use crate::{Balance, Code, Result};

/// A line of the trial balance, micro-units of `asset`. Over all lines of an asset debits are equal
/// to credits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialLine {
    pub code: Code,
    pub asset: String,
    /// Sum of the accounts under this code with a debit balance.
    pub debit: Amount,
    /// Sum of those with a credit balance.
    pub credit: Amount,
}

/// An account and what it has, in its own direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountBalance {
    pub account: AccountId,
    pub code: Code,
    pub party: PartyId,
    pub asset: String,
    pub balance: Balance,
}

/// A line of an account's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryLine {
    pub transaction: TransactionId,
    /// Text of the transaction's [`crate::Kind`].
    pub kind: String,
    pub subject: String,
    pub posted_at: Timestamp,
    pub effective_at: Timestamp,
    /// In the account's own direction: positive makes it grow.
    pub amount: Amount,
    /// In the account's own direction.
    pub balance_after: Amount,
    /// Position in the account's history, from 1: the cursor of the next page.
    pub number: i64,
}

/// Debit and credit balances by code and asset, in that order.
///
/// # Errors
/// Faults of storage only.
pub fn trial_balance(tx: &mut Tx<'_>) -> Result<Vec<TrialLine>> {
    let _ = tx;
    Ok(Vec::new())
}

/// All accounts, in order of their ids.
///
/// # Errors
/// Faults of storage only.
pub fn balances(tx: &mut Tx<'_>) -> Result<Vec<AccountBalance>> {
    let _ = tx;
    Ok(Vec::new())
}

/// Up to `limit` entries of an account posted in `from..to`, in their order, after the one numbered
/// `after`.
///
/// # Errors
/// [`crate::Error::UnknownAccount`].
pub fn entries(
    tx: &mut Tx<'_>,
    account: AccountId,
    from: Timestamp,
    to: Timestamp,
    after: Option<i64>,
    limit: usize,
) -> Result<Vec<EntryLine>> {
    let _ = (tx, account, from, to, after, limit);
    Ok(Vec::new())
}

/// What was posted to an account before a moment, in its own direction: the opening balance of a
/// period that starts then.
///
/// # Errors
/// [`crate::Error::UnknownAccount`].
pub fn balance_at(tx: &mut Tx<'_>, account: AccountId, before: Timestamp) -> Result<Amount> {
    let _ = (tx, account, before);
    Ok(Amount::ZERO)
}
