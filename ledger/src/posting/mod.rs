//! Transactions: what a caller posts, and posting it.
//!
//! # Phases
//! 1. The key: known with the same body, the first answer; known with another, a refusal.
//! 2. The shape of the legs, then their accounts (immutable rows, no lock), then the sums.
//! 3. Lock the balances in order of account id, and read the hold that is captured.
//! 4. Fold in Rust ([`fold`]): new balances and entries, or a refusal.
//! 5. Write transaction, entries, balances, hold.
//!
//! The key is looked up without a lock. Of two commands with one key at once, one waits for the
//! other, in phase 3 or at the key's unique index in phase 5, and then finds it: before a refusal
//! and after a lost insert the key is looked up again.

pub(crate) mod fingerprint;
pub(crate) mod fold;
pub(crate) mod store;

use ::store::{AccountId, Amount, HoldId, Timestamp, TransactionId, Tx};

use crate::{Error, Result};

/// The most legs that one transaction can have.
pub const MAX_LEGS: usize = 64;

/// What kind of business a transaction records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A customer paid in.
    Deposit,
    /// A lease was paid for.
    Settlement,
    /// An owner's money was ordered to be paid out.
    Payout,
    /// The bank confirmed a payout.
    PayoutConfirmed,
    /// The bank sent a payout back.
    PayoutReturned,
    /// A customer got money back.
    Refund,
    /// An owner changed credits into cash or compute.
    Redemption,
    /// Put right by hand.
    Adjustment,
    /// Undoes another transaction.
    Reversal,
}

impl Kind {
    pub const ALL: [Self; 9] = [
        Self::Deposit,
        Self::Settlement,
        Self::Payout,
        Self::PayoutConfirmed,
        Self::PayoutReturned,
        Self::Refund,
        Self::Redemption,
        Self::Adjustment,
        Self::Reversal,
    ];

    /// As stored.
    pub fn text(self) -> &'static str {
        match self {
            Self::Deposit => "deposit",
            Self::Settlement => "settlement",
            Self::Payout => "payout",
            Self::PayoutConfirmed => "payout_confirmed",
            Self::PayoutReturned => "payout_returned",
            Self::Refund => "refund",
            Self::Redemption => "redemption",
            Self::Adjustment => "adjustment",
            Self::Reversal => "reversal",
        }
    }

    /// The kind with this text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.text() == text)
    }
}

/// One line of a transaction: an amount into or out of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leg {
    pub account: AccountId,
    /// Positive for a debit, negative for a credit, in micro-units of the account's asset.
    pub amount: Amount,
}

/// A transaction to post. Its body is all of it but the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTransaction {
    /// Idempotency key, unique among transactions; usually the id of `subject`.
    pub key: String,
    pub kind: Kind,
    /// TypeID of what it is about.
    pub subject: String,
    /// When it counts. A part of the body: a retry names the same moment, not its own.
    pub effective_at: Timestamp,
    /// Two at least, in as many assets as need be, each account at most once.
    pub legs: Vec<Leg>,
}

/// A transaction in the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posted {
    pub id: TransactionId,
    /// True if it was there already: the same key with the same body.
    pub replayed: bool,
}

/// Posts a transaction.
///
/// # Errors
/// Every refusal but those about holds; see [`Error`] for their order.
pub fn post(tx: &mut Tx<'_>, new: &NewTransaction) -> Result<Posted> {
    let _ = (tx, new);
    Err(Error::NoLegs)
}
