//! A database of its own for every test, on both engines.
//!
//! `on_both_databases!(fn name(db) { ... })` makes two tests, `name::sqlite` and `name::postgres`.
//! PostgreSQL is `DRIVEWAY_TEST_POSTGRES` (a URL without a database name, for instance
//! `postgres://postgres@localhost`) or else a private cluster in the temporary folder, started by
//! the first test that needs it and left running for the next; `tests/run` stops it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use tempfile::TempDir;

use crate::{Env, IdSource, ManualClock, Store, Timestamp};

/// The moment at which every test starts: 2026-11-24T00:00:00Z.
pub const START: Timestamp = Timestamp(1_795_478_400_000_000);

/// A fresh database with its schema, and the clock that drives it.
pub struct TestDb {
    pub store: Store,
    pub clock: Arc<ManualClock>,
    pub url: String,
    pub dir: TempDir,
    /// PostgreSQL: the server's base URL and this database's name.
    postgres: Option<(String, String)>,
}

impl TestDb {
    pub fn sqlite() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite://{}", dir.path().join("driveway.sqlite").display());
        Self::open(url, dir, None)
    }

    pub fn postgres() -> Self {
        let (base, name) = create_database();
        let dir = tempfile::tempdir().expect("a temporary folder");
        Self::open(database_url(&base, &name), dir, Some((base, name)))
    }

    fn open(url: String, dir: TempDir, postgres: Option<(String, String)>) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let env = Env { clock: clock.clone(), ids: Arc::new(IdSource::seeded(42)) };
        let store = Store::open(&url, env).expect("the test database opens");
        Self { store, clock, url, dir, postgres }
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        if let Some((base, name)) = self.postgres.take() {
            drop_database(&base, &name);
        }
    }
}

/// A new PostgreSQL database with the schema: the server's base URL and the database's name. Whoever
/// asks drops it with [`drop_database`].
pub fn create_database() -> (String, String) {
    let base = server();
    let template = template(&base);
    let mut random = [0; 8];
    rand::RngCore::fill_bytes(&mut rand::rng(), &mut random);
    let name = format!("t_{:016x}", u64::from_be_bytes(random));
    admin(&base, &format!("CREATE DATABASE {name} TEMPLATE {template}"));
    (base, name)
}

/// Ends its connections and drops it.
pub fn drop_database(base: &str, name: &str) {
    admin(base, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
}

/// The URL of a database on the server with this base URL.
pub fn database_url(base: &str, name: &str) -> String {
    match base.split_once('?') {
        Some((server, query)) => format!("{}/{name}?{query}", server.trim_end_matches('/')),
        None => format!("{}/{name}", base.trim_end_matches('/')),
    }
}

/// Makes two tests of one body: `NAME::sqlite` and `NAME::postgres`.
#[macro_export]
macro_rules! on_both_databases {
    ($(#[$meta:meta])* fn $name:ident($db:ident) $body:block) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            fn run($db: $crate::testing::TestDb) $body

            $(#[$meta])*
            #[test]
            fn sqlite() {
                run($crate::testing::TestDb::sqlite());
            }

            $(#[$meta])*
            #[test]
            fn postgres() {
                run($crate::testing::TestDb::postgres());
            }
        }
    };
}

fn admin(base: &str, sql: &str) {
    let url = database_url(base, "postgres");
    let mut conn = PgConnection::establish(&url)
        .unwrap_or_else(|error| panic!("PostgreSQL for tests at {url}: {error}"));
    conn.batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// The template database of the migrations as they are now, made once.
fn template(base: &str) -> String {
    let mut hasher = DefaultHasher::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations/postgres");
    let mut migrations: Vec<_> = std::fs::read_dir(folder)
        .expect("migrations")
        .flatten()
        .map(|entry| entry.path())
        .collect();
    migrations.sort();
    for migration in migrations {
        std::fs::read(migration.join("up.sql")).expect("up.sql").hash(&mut hasher);
    }
    let name = format!("template_{:016x}", hasher.finish());
    let _lock = lock("template");
    let url = database_url(base, "postgres");
    let mut conn = PgConnection::establish(&url).expect("PostgreSQL for tests");
    let known = diesel::RunQueryDsl::execute(
        diesel::sql_query(format!("SELECT 1 FROM pg_database WHERE datname = '{name}'")),
        &mut conn,
    );
    if known.expect("a list of databases") == 0 {
        let making = format!("{name}_new");
        admin(base, &format!("DROP DATABASE IF EXISTS {making}"));
        admin(base, &format!("CREATE DATABASE {making} TEMPLATE template0 ENCODING 'UTF8'"));
        drop(Store::open(&database_url(base, &making), Env::system()).expect("migrations run"));
        admin(base, &format!("ALTER DATABASE {making} RENAME TO {name}"));
    }
    name
}

/// The base URL of the server, started if need be.
fn server() -> String {
    if let Ok(url) = std::env::var("DRIVEWAY_TEST_POSTGRES") {
        return url;
    }
    let _lock = lock("cluster");
    let folder = cluster_folder();
    let data = folder.join("data");
    if !data.join("postmaster.pid").exists() || !run(&folder, "pg_ctl", &["-D", "data", "status"]) {
        start(&folder, &data);
    }
    format!("postgres://postgres@?host={}", folder.display())
}

/// Where the private cluster lives; its socket is in it, and it listens nowhere else.
pub fn cluster_folder() -> PathBuf {
    std::env::temp_dir().join("driveway-test-postgres")
}

fn start(folder: &Path, data: &Path) {
    std::fs::create_dir_all(folder).expect("the cluster's folder");
    if is_root() {
        let owned = Command::new("chown").arg("postgres").arg(folder).status();
        assert!(owned.is_ok_and(|status| status.success()), "no user postgres: run tests/run");
    }
    if !data.join("PG_VERSION").exists() {
        let made = run(folder, "initdb", &["-D", "data", "-U", "postgres", "-A", "trust", "-N"]);
        assert!(made, "initdb failed or is not installed: run tests/run once");
    }
    // The tests kill our processes, never the database: it need not wait for the disk.
    let options = format!(
        "-c listen_addresses='' -c unix_socket_directories='{}' -c fsync=off \
         -c max_connections=300 -c autovacuum=off",
        folder.display()
    );
    let args = ["-D", "data", "-w", "-l", "log", "-o", &options, "start"];
    assert!(run(folder, "pg_ctl", &args), "PostgreSQL did not start: see {}", folder.display());
}

/// Runs a program of PostgreSQL's, which refuses to run as root.
fn run(folder: &Path, program: &str, args: &[&str]) -> bool {
    let program = postgres_bin().map_or_else(|| program.into(), |bin| bin.join(program));
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.args(args).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Debian keeps the server's programs out of PATH.
fn postgres_bin() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut bins: Vec<_> = versions.flatten().map(|entry| entry.path().join("bin")).collect();
    bins.sort();
    bins.pop().filter(|bin| bin.join("initdb").exists())
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.starts_with("Uid:\t0\t"))
}

/// One process at a time.
fn lock(name: &str) -> std::fs::File {
    let path = std::env::temp_dir().join(format!("driveway-test-{name}.lock"));
    let file = std::fs::File::create(path).expect("a lock file");
    file.lock().expect("a lock");
    file
}
