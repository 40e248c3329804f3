//! Transactions: what a caller posts.

use std::collections::BTreeMap;

use ::store::{AccountId, Amount, Timestamp, TransactionId, Tx};

use crate::{Command, Result, engine};

/// The most legs that one transaction can have.
pub const MAX_LEGS: usize = 64;
/// The most names that one transaction can be found by.
pub const MAX_METADATA: usize = 16;
/// The most bytes of a key, a subject, or the name or value of metadata.
pub const MAX_TEXT: usize = 200;

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
    /// A part of another transaction was given back.
    Refund,
    /// An owner changed credits into cash.
    Redemption,
    /// One asset was changed into another.
    Conversion,
    /// Put right by hand.
    Adjustment,
    /// Undoes another transaction.
    Reversal,
}

impl Kind {
    pub const ALL: [Self; 10] = [
        Self::Deposit,
        Self::Settlement,
        Self::Payout,
        Self::PayoutConfirmed,
        Self::PayoutReturned,
        Self::Refund,
        Self::Redemption,
        Self::Conversion,
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
            Self::Conversion => "conversion",
            Self::Adjustment => "adjustment",
            Self::Reversal => "reversal",
        }
    }

    /// The kind with this text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.text() == text)
    }
}

/// How a transaction stands to the one that it refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    /// Undoes all of it; at most one transaction does.
    Reverses,
    /// Gives a part of it back.
    Refunds,
    /// Puts it right.
    Corrects,
}

impl Relation {
    pub const ALL: [Self; 3] = [Self::Reverses, Self::Refunds, Self::Corrects];

    /// As stored.
    pub fn text(self) -> &'static str {
        match self {
            Self::Reverses => "reverses",
            Self::Refunds => "refunds",
            Self::Corrects => "corrects",
        }
    }

    /// The relation with this text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|relation| relation.text() == text)
    }
}

/// What becomes of a transaction whose month is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Late {
    /// It is booked on the first day of the next month that is open, and keeps the moment at which
    /// it counts.
    #[default]
    NextOpen,
    /// It is refused.
    Refuse,
    /// It is booked in its month if that is softly closed, and refused if it is closed: for what
    /// finance puts right at a month's end.
    Adjust,
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
    /// The transaction that this one puts right.
    pub corrects: Option<TransactionId>,
    /// Names and values to find it by, at most [`MAX_METADATA`].
    pub metadata: BTreeMap<String, String>,
    pub late: Late,
}

impl NewTransaction {
    /// A transaction of these legs and nothing else.
    pub fn new(
        key: &str,
        kind: Kind,
        subject: &str,
        effective_at: Timestamp,
        legs: Vec<Leg>,
    ) -> Self {
        Self {
            key: key.to_owned(),
            kind,
            subject: subject.to_owned(),
            effective_at,
            legs,
            corrects: None,
            metadata: BTreeMap::new(),
            late: Late::default(),
        }
    }
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
/// Every refusal but those about holds; see [`crate::Error`] for their order.
pub fn post(tx: &mut Tx<'_>, new: &NewTransaction) -> Result<Posted> {
    engine::run_one(tx, &Command::post(new.clone()))?.posted()
}
