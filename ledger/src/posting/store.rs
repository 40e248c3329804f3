//! Transactions in the database.

/// Runs one Diesel statement on whichever database it is, for those that both render and the
/// common backend does not.
macro_rules! each_backend {
    ($conn:expr, |$c:ident| $statement:expr) => {
        match $conn {
            ::store::AnyConnection::Postgres($c) => $statement,
            ::store::AnyConnection::Sqlite($c) => $statement,
        }
    };
}
pub(crate) use each_backend;
