//! The connection that is SQLite or PostgreSQL.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::r2d2::{ManageConnection, R2D2Connection};
use diesel::{Connection, PgConnection, SqliteConnection};

use crate::Error;

// The derive writes the module that holds the common backend; it is not ours to document.
pub use multi::{AnyConnection, MultiBackend};

mod multi {
    use diesel::{PgConnection, SqliteConnection};

    /// One of the two databases. Queries that both understand run on it as on any connection.
    #[derive(diesel::MultiConnection)]
    pub enum AnyConnection {
        Postgres(PgConnection),
        Sqlite(SqliteConnection),
    }
}

/// Where the database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    Postgres(String),
    /// Path of the file.
    Sqlite(std::path::PathBuf),
}

impl Location {
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(url.to_owned()));
        }
        match url.strip_prefix("sqlite://") {
            Some(path) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            _ => Err(Error::Url),
        }
    }

    pub(crate) fn connect(&self) -> Result<AnyConnection, Error> {
        match self {
            Self::Postgres(url) => {
                let mut connection = PgConnection::establish(url).map_err(Error::connect)?;
                connection.batch_execute("SET client_min_messages = warning")?;
                Ok(AnyConnection::Postgres(connection))
            }
            Self::Sqlite(path) => {
                let path = path.to_string_lossy();
                let mut connection = SqliteConnection::establish(&path).map_err(Error::connect)?;
                connection.batch_execute(SQLITE_PRAGMAS)?;
                Ok(AnyConnection::Sqlite(connection))
            }
        }
    }
}

/// `busy_timeout` first: the others may have to wait for a lock. FULL: a commit is on the disk
/// before it is acknowledged.
const SQLITE_PRAGMAS: &str = "
    PRAGMA busy_timeout = 10000;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA cache_size = -65536;
    PRAGMA wal_autocheckpoint = 20000;
";

/// For the writer alone, once the schema is up to date: what savepoints keep for being undone stays
/// in memory, not in a file. It is no larger than what a transaction changes; what readers sort and
/// what a migration indexes may be.
pub(crate) const SQLITE_WRITER: &str = "PRAGMA temp_store = MEMORY";

/// Opens connections for the pool.
pub(crate) struct Manager(pub(crate) Location);

/// A connection of the pool, and when it was last known to be alive.
pub(crate) struct Pooled {
    pub(crate) conn: AnyConnection,
    alive_at: Instant,
}

/// A connection that was idle for so long is tried before it is used: a round trip that a busy one
/// does without.
const TRY_AFTER: Duration = Duration::from_secs(1);

impl ManageConnection for Manager {
    type Connection = Pooled;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> Result<Pooled, Self::Error> {
        let conn = self.0.connect().map_err(|error| {
            let error = diesel::ConnectionError::BadConnection(error.to_string());
            diesel::r2d2::Error::ConnectionError(error)
        })?;
        Ok(Pooled { conn, alive_at: Instant::now() })
    }

    fn is_valid(&self, pooled: &mut Pooled) -> Result<(), Self::Error> {
        if pooled.alive_at.elapsed() >= TRY_AFTER {
            pooled.conn.ping().map_err(diesel::r2d2::Error::QueryError)?;
        }
        pooled.alive_at = Instant::now();
        Ok(())
    }

    fn has_broken(&self, pooled: &mut Pooled) -> bool {
        pooled.conn.is_broken()
    }
}
