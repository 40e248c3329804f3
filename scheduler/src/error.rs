//! Refusals of the scheduler.

use store::Amount;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The noun, as a client knows it: no such thing, or another's.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// A field of a request, as a JSON pointer, and what is wrong with it.
    #[error("{pointer}: {why}")]
    Invalid { pointer: &'static str, why: String },
    /// A blob that the customer did not upload.
    #[error("blob {0} is not there")]
    UnknownBlob(String),
    #[error("the wallet has {available} available, the budget is {needed}")]
    BudgetAboveWallet { available: Amount, needed: Amount },
    #[error("the job has ended")]
    JobEnded,
    /// Its state does not allow this, and why, as a sentence.
    #[error("{0}")]
    WrongState(&'static str),
    /// The program or the customer is banned, and why.
    #[error("banned: {0}")]
    Banned(String),
    /// Another process leads the market.
    #[error("another process leads the market")]
    NotLeader,
    /// More is waiting than may: try again in a moment.
    #[error("too much is waiting")]
    Busy,
    #[error("the clearing does not hold: {0}")]
    Clearing(String),
    #[error(transparent)]
    Ledger(ledger::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn invalid(pointer: &'static str, why: impl Into<String>) -> Self {
        Self::Invalid { pointer, why: why.into() }
    }

    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Store(store::Error::Corrupt(what.into()))
    }
}

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
