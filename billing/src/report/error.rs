//! Refusals of reports, and faults.

/// Why a report was not written, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no report {0}")]
    Unknown(String),
    /// The question names what the report does not take, or not what it needs.
    #[error("{0}")]
    Question(String),
    /// What a report says twice, from different rows, is not the same.
    #[error("the report does not agree with the book: {0}")]
    Disagrees(String),
    /// A sheet takes no more.
    #[error("{0}")]
    TooLarge(String),
    #[error("the report cannot be written: {0}")]
    Output(#[from] std::io::Error),
    #[error(transparent)]
    Ledger(ledger::Error),
    #[error(transparent)]
    Store(#[from] ::store::Error),
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
            ledger::Error::Output(error) => Self::Output(error),
            error => Self::Ledger(error),
        }
    }
}

/// A sum that does not fit.
pub(super) fn overflow() -> Error {
    Error::Ledger(ledger::Error::Overflow)
}
