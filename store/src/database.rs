//! Opening a database and running commands in it.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::migration::MigrationSource;
use diesel::r2d2::Pool;
use diesel::{Connection, PgConnection, SqliteConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::connection::{Location, Manager, SQLITE_WRITER};
use crate::id::{Id, IdSource, Kind};
use crate::writer::Writer;
use crate::{AnyConnection, Clock, Error, Result, SystemClock, Timestamp};

const POSTGRES: EmbeddedMigrations = embed_migrations!("../migrations/postgres");
const SQLITE: EmbeddedMigrations = embed_migrations!("../migrations/sqlite");

/// Connections for reading on SQLite, for everything on PostgreSQL.
const POOL_SIZE: u32 = 12;
const POOL_TIMEOUT: Duration = Duration::from_secs(10);

/// What the world gives: time and chance.
#[derive(Clone)]
pub struct Env {
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<IdSource>,
}

impl Env {
    /// The machine's clock and the operating system's randomness.
    pub fn system() -> Self {
        Self { clock: Arc::new(SystemClock::default()), ids: Arc::new(IdSource::random()) }
    }
}

/// A command's hands: the connection inside a transaction, the moment, and new ids.
pub struct Tx<'a> {
    pub conn: &'a mut AnyConnection,
    pub now: Timestamp,
    ids: &'a IdSource,
}

impl<'a> Tx<'a> {
    pub fn id<K: Kind>(&self) -> Id<K> {
        self.ids.id(self.now)
    }

    /// The source of ids, for what is decided without the connection.
    pub fn ids(&self) -> &'a IdSource {
        self.ids
    }
}

/// A database and its connections. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    env: Env,
    pool: Pool<Manager>,
    /// SQLite has one writer; PostgreSQL writes through the pool.
    writer: Option<Writer>,
    /// Says to other processes that the SQLite file is ours, until the last clone is dropped.
    _owner: Option<File>,
}

impl Store {
    /// Opens `sqlite://FILE` (made if missing) or `postgres://...` and brings its schema up to
    /// date. A SQLite file that another process owns is refused with [`Error::Owned`].
    pub fn open(url: &str, env: Env) -> Result<Self> {
        let location = Location::parse(url)?;
        let owner = match &location {
            Location::Sqlite(path) => Some(own(path)?),
            Location::Postgres(_) => None,
        };
        let mut first = location.connect()?;
        migrate(&mut first)?;
        if let AnyConnection::Sqlite(conn) = &mut first {
            conn.batch_execute(SQLITE_WRITER)?;
        }
        let writer = matches!(first, AnyConnection::Sqlite(_)).then(|| Writer::new(first));
        let pool = Pool::builder()
            .max_size(POOL_SIZE)
            .min_idle(Some(0))
            .connection_timeout(POOL_TIMEOUT)
            .test_on_check_out(writer.is_none())
            .build(Manager(location))
            .map_err(|error| Error::Pool(error.to_string()))?;
        Ok(Self(Arc::new(Inner { env, pool, writer, _owner: owner })))
    }

    pub fn now(&self) -> Timestamp {
        self.0.env.clock.now()
    }

    pub fn env(&self) -> &Env {
        &self.0.env
    }

    /// `sqlite` or `postgres`.
    pub fn database(&self) -> &'static str {
        if self.0.writer.is_some() { "sqlite" } else { "postgres" }
    }

    /// Runs a command in one transaction and commits it if it answers `Ok`; once this returns, the
    /// command is on the disk. `Err` and panics leave no trace. The moment in [`Tx`] is read after
    /// the writer is ours. On SQLite callers that wait for the writer share a commit.
    pub fn write<T, E: From<Error>>(
        &self,
        command: impl FnOnce(&mut Tx<'_>) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        match &self.0.writer {
            Some(writer) => {
                let ids = &self.0.env.ids;
                writer.write(|conn| command(&mut Tx { conn, now: self.now(), ids }))
            }
            None => {
                let mut conn = self.pooled()?;
                self.transaction(&mut conn.conn, "BEGIN", true, command)
            }
        }
    }

    /// Runs a query over one consistent snapshot. What it writes is undone.
    pub fn read<T, E: From<Error>>(
        &self,
        query: impl FnOnce(&mut Tx<'_>) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let begin = match &self.0.writer {
            Some(_) => "BEGIN",
            None => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        let mut conn = self.pooled()?;
        self.transaction(&mut conn.conn, begin, false, query)
    }

    fn pooled(&self) -> Result<diesel::r2d2::PooledConnection<Manager>> {
        self.0.pool.get().map_err(|error| Error::Pool(error.to_string()))
    }

    fn transaction<T, E: From<Error>>(
        &self,
        conn: &mut AnyConnection,
        begin: &str,
        commit: bool,
        work: impl FnOnce(&mut Tx<'_>) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        begin_transaction(conn, begin)?;
        let mut open = Open { conn, ended: false };
        let answer = work(&mut Tx { conn: open.conn, now: self.now(), ids: &self.0.env.ids })?;
        open.ended = true;
        end_transaction(open.conn, commit)?;
        Ok(answer)
    }
}

/// A transaction that is rolled back unless it was ended, whatever leaves the scope.
struct Open<'a> {
    conn: &'a mut AnyConnection,
    ended: bool,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.ended
            && let Err(error) = end_transaction(self.conn, false)
        {
            tracing::warn!(%error, "rollback failed");
        }
    }
}

/// Through Diesel's manager, so that a nested `transaction` becomes a savepoint.
pub(crate) fn begin_transaction(conn: &mut AnyConnection, sql: &str) -> Result<()> {
    match conn {
        AnyConnection::Postgres(conn) => {
            AnsiTransactionManager::begin_transaction_sql(conn, sql)?;
        }
        AnyConnection::Sqlite(conn) => {
            AnsiTransactionManager::begin_transaction_sql(conn, sql)?;
        }
    }
    Ok(())
}

pub(crate) fn end_transaction(conn: &mut AnyConnection, commit: bool) -> Result<()> {
    fn end<C: Connection>(conn: &mut C, commit: bool) -> diesel::QueryResult<()> {
        if commit {
            C::TransactionManager::commit_transaction(conn)
        } else {
            C::TransactionManager::rollback_transaction(conn)
        }
    }
    match conn {
        AnyConnection::Postgres(conn) => end::<PgConnection>(conn, commit)?,
        AnyConnection::Sqlite(conn) => end::<SqliteConnection>(conn, commit)?,
    }
    Ok(())
}

/// Waits for the row of `table` with this text id and keeps it until the transaction ends. On
/// SQLite the writer has the whole database already.
pub fn lock_row(conn: &mut AnyConnection, table: &'static str, id: &str) -> Result<()> {
    use diesel::RunQueryDsl;
    if let AnyConnection::Postgres(conn) = conn {
        let sql = format!("SELECT 1 FROM {table} WHERE id = $1 FOR NO KEY UPDATE");
        diesel::sql_query(sql).bind::<diesel::sql_types::Text, _>(id).execute(conn)?;
    }
    Ok(())
}

/// Takes the lock file beside the database for the life of the process.
fn own(path: &Path) -> Result<File> {
    let fault = |error| Error::File(path.display().to_string(), error);
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(fault)?;
    }
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    let file = File::create(&lock).map_err(fault)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::Owned(path.display().to_string())),
        Err(std::fs::TryLockError::Error(error)) => Err(fault(error)),
    }
}

fn migrate(conn: &mut AnyConnection) -> Result<()> {
    fn run<C>(conn: &mut C, source: impl MigrationSource<C::Backend>) -> Result<()>
    where
        C: MigrationHarness<C::Backend> + Connection,
    {
        let done = conn.run_pending_migrations(source);
        done.map(|_| ()).map_err(|error| Error::Migration(error.to_string()))
    }
    match conn {
        AnyConnection::Postgres(conn) => {
            // Several nodes may start at once: one migrates, the others wait and find it done.
            conn.batch_execute("SELECT pg_advisory_lock(4729301)")?;
            let done = run(conn, POSTGRES);
            conn.batch_execute("SELECT pg_advisory_unlock(4729301)")?;
            done
        }
        AnyConnection::Sqlite(conn) => run(conn, SQLITE),
    }
}
