//! What can go wrong in storage itself. Refusals by the domain are the crates' own errors.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// A fault of storage. A client never sees its text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the database URL must be sqlite://FILE or postgres://...")]
    Url,
    #[error("another process owns {0}: a SQLite database has one owner; stop that process first")]
    Owned(String),
    #[error("cannot connect to the database: {0}")]
    Connect(String),
    #[error("migration failed: {0}")]
    Migration(String),
    #[error("no database connection came free: {0}")]
    Pool(String),
    #[error("database: {0}")]
    Database(#[from] DieselError),
    /// The transaction that a command shared with others could not be committed: none of it is kept.
    #[error("a shared transaction was undone: {0}")]
    Shared(String),
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    /// A row says what no row of ours can say.
    #[error("stored data is not valid: {0}")]
    Corrupt(String),
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn connect(error: diesel::ConnectionError) -> Self {
        Self::Connect(error.to_string())
    }

    /// True for a row that a unique constraint refused. On PostgreSQL the transaction is over
    /// then: look first, and take this as the second lock.
    pub fn is_unique_violation(&self) -> bool {
        matches!(
            self,
            Self::Database(DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _))
        )
    }
}
