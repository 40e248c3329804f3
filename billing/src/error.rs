//! Refusals of billing, and faults.

use store::{Amount, PayoutId};

/// Why a document was not made or a payout not taken on. Refusals changed nothing if the caller's
/// transaction is rolled back, as [`store::Store::write`] does.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the IBAN is not valid: {0}")]
    Iban(String),
    /// Banks spell names in Latin letters; see [`crate::bank_file`].
    #[error(
        "a holder is a line of 1 to 70 characters, some of them Latin, Greek or Cyrillic or digits"
    )]
    Holder,
    /// The asset is a credit, or none of ours.
    #[error("{0} is not paid out")]
    NotPayable(String),
    /// The owner named no account to pay to.
    #[error("there is no account to pay to")]
    NoPayoutAccount,
    #[error("a payout is of a cent or more, in whole cents")]
    NotWholeCents,
    /// Less than a cent is available.
    #[error("there is nothing to pay out")]
    NothingToPay,
    #[error("{available} is available, {needed} is asked for")]
    InsufficientFunds { available: Amount, needed: Amount },
    #[error("no such payout: {0}")]
    UnknownPayout(PayoutId),
    #[error("{0} was approved before")]
    AlreadyApproved(PayoutId),
    /// A run pays 1 to [`crate::bank_file::MAX_PAYMENTS`] payouts, each once, all in one asset, and
    /// none to its approver.
    #[error(
        "a run pays 1 to {max} different payouts in one asset, none of them the approver's own",
        max = crate::bank_file::MAX_PAYMENTS
    )]
    MixedRun,
    #[error("no such bank file")]
    UnknownFile,
    #[error("the bank file cannot be written: {0}")]
    BankFile(String),
    /// The document does not agree with the book: it is not issued.
    #[error("the statement does not agree with the book: {0}")]
    Disagrees(String),
    #[error("the document cannot be written: {0}")]
    Render(String),
    #[error(transparent)]
    Ledger(ledger::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
}

pub type Result<T> = std::result::Result<T, Error>;

impl From<diesel::result::Error> for Error {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<ledger::Error> for Error {
    fn from(error: ledger::Error) -> Self {
        match error {
            ledger::Error::Store(error) => Self::Store(error),
            error => Self::Ledger(error),
        }
    }
}
