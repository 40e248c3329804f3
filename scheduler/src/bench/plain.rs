//! The peer: the plain way to give tasks out, each step a transaction of its own, row by row. On
//! PostgreSQL workers claim with SKIP LOCKED.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::{PgConnection, SqliteConnection};

use super::{Fault, Line, line};

const MAKE: &str = "
    CREATE TABLE IF NOT EXISTS plain_task (id BIGINT PRIMARY KEY, state TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS plain_queued ON plain_task (id) WHERE state = 'queued';
    CREATE TABLE IF NOT EXISTS plain_lease (id BIGINT PRIMARY KEY, car BIGINT NOT NULL,
        state TEXT NOT NULL, amount BIGINT);
    CREATE UNIQUE INDEX IF NOT EXISTS plain_live ON plain_lease (car)
        WHERE state IN ('offered', 'running');
    CREATE TABLE IF NOT EXISTS plain_attempt (id BIGINT PRIMARY KEY, state TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS plain_balance (id BIGINT PRIMARY KEY, amount BIGINT NOT NULL);
    CREATE TABLE IF NOT EXISTS plain_entry (lease BIGINT NOT NULL, account BIGINT NOT NULL,
        amount BIGINT NOT NULL, PRIMARY KEY (lease, account));
    DELETE FROM plain_task; DELETE FROM plain_lease; DELETE FROM plain_attempt;
    DELETE FROM plain_balance; DELETE FROM plain_entry;
    INSERT INTO plain_balance VALUES (0, 0), (1, 1000000000000);";

/// Most tasks that a run can use up.
const TASKS: i64 = 400_000;
/// Where owners' accounts begin; the customer is 1, the fee 0.
const OWNERS: i64 = 10;

/// A lease's life in four transactions. `$1` is the task and the lease, `$2` the car.
const LET: [&str; 2] = [
    "UPDATE plain_task SET state = 'leased' WHERE id = $1",
    "INSERT INTO plain_lease (id, car, state) VALUES ($1, $2, 'offered')",
];
const DELIVER: [&str; 2] = [
    "UPDATE plain_lease SET state = 'running' WHERE id = $1",
    "INSERT INTO plain_attempt (id, state) VALUES ($1, 'running')",
];
const COMPLETE: [&str; 3] = [
    "UPDATE plain_attempt SET state = 'completed' WHERE id = $1",
    "UPDATE plain_task SET state = 'completed' WHERE id = $1",
    "UPDATE plain_lease SET state = 'ended' WHERE id = $1",
];
const SETTLE: [&str; 7] = [
    "UPDATE plain_lease SET state = 'settled', amount = 33 WHERE id = $1",
    "INSERT INTO plain_entry (lease, account, amount) VALUES ($1, 1, -33)",
    "INSERT INTO plain_entry (lease, account, amount) VALUES ($1, $2, 28)",
    "INSERT INTO plain_entry (lease, account, amount) VALUES ($1, 0, 5)",
    "UPDATE plain_balance SET amount = amount + 28 WHERE id = $2",
    "UPDATE plain_balance SET amount = amount - 33 WHERE id = 1",
    "UPDATE plain_balance SET amount = amount + 5 WHERE id = 0",
];

pub(super) fn run(url: &str, time: Duration) -> Result<Line, Fault> {
    match url.strip_prefix("sqlite://") {
        Some(path) => {
            // Beside the market: a file of one owner.
            let path = format!("{path}.plain");
            measure(move || sqlite(&path), 1, time)
        }
        None => {
            let url = url.to_owned();
            measure(move || Ok(PgConnection::establish(&url)?), 8, time)
        }
    }
}

fn sqlite(path: &str) -> Result<SqliteConnection, Fault> {
    let mut conn = SqliteConnection::establish(path)?;
    conn.batch_execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
    Ok(conn)
}

#[derive(QueryableByName)]
struct Claimed {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

trait Peer: Connection + SimpleConnection + Send + 'static {
    /// Lets a task to a car; none if there is none left.
    fn claim(&mut self, car: i64) -> QueryResult<Option<i64>>;
    /// Runs statements in a transaction.
    fn step(&mut self, statements: &[&str], task: i64, car: i64) -> QueryResult<()>;
}

macro_rules! peer {
    ($($conn:ty, $claim:literal;)*) => { $(
        impl Peer for $conn {
            fn claim(&mut self, car: i64) -> QueryResult<Option<i64>> {
                self.transaction(|conn| {
                    let free: Vec<Claimed> = diesel::sql_query($claim).load(conn)?;
                    let Some(task) = free.first().map(|row| row.id) else { return Ok(None) };
                    for sql in LET {
                        let bound = diesel::sql_query(sql).bind::<BigInt, _>(task);
                        match sql.contains("$2") {
                            true => bound.bind::<BigInt, _>(car).execute(conn)?,
                            false => bound.execute(conn)?,
                        };
                    }
                    Ok(Some(task))
                })
            }

            fn step(&mut self, statements: &[&str], task: i64, car: i64) -> QueryResult<()> {
                self.transaction(|conn| {
                    for sql in statements {
                        match (sql.contains("$1"), sql.contains("$2")) {
                            (true, true) => diesel::sql_query(*sql)
                                .bind::<BigInt, _>(task)
                                .bind::<BigInt, _>(car)
                                .execute(conn)?,
                            (true, false) => {
                                diesel::sql_query(*sql).bind::<BigInt, _>(task).execute(conn)?
                            }
                            (false, true) => diesel::sql_query(sql.replace("$2", "$1"))
                                .bind::<BigInt, _>(car)
                                .execute(conn)?,
                            (false, false) => diesel::sql_query(*sql).execute(conn)?,
                        };
                    }
                    Ok(())
                })
            }
        }
    )* };
}

peer! {
    PgConnection,
        "SELECT id FROM plain_task WHERE state = 'queued' ORDER BY id LIMIT 1
        FOR UPDATE SKIP LOCKED";
    SqliteConnection, "SELECT id FROM plain_task WHERE state = 'queued' ORDER BY id LIMIT 1";
}

fn measure<C: Peer>(
    connect: impl Fn() -> Result<C, Fault>,
    clients: i64,
    time: Duration,
) -> Result<Line, Fault> {
    let mut first = connect()?;
    first.batch_execute(MAKE)?;
    let fill = format!(
        "INSERT INTO plain_task WITH RECURSIVE n (n) AS
            (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {TASKS}) SELECT n, 'queued' FROM n;
        INSERT INTO plain_balance WITH RECURSIVE n (n) AS
            (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < {clients}) SELECT {OWNERS} + n, 0 FROM n"
    );
    first.batch_execute(&fill)?;
    let start = Instant::now();
    let client = |n: i64| -> Result<_, Fault> {
        let mut conn = connect()?;
        Ok(std::thread::spawn(move || -> Result<Vec<Duration>, Fault> {
            let car = OWNERS + n;
            let mut took = Vec::new();
            while start.elapsed() < time {
                let sent = Instant::now();
                let Some(task) = conn.claim(car)? else { break };
                conn.step(&DELIVER, task, car)?;
                conn.step(&COMPLETE, task, car)?;
                conn.step(&SETTLE, task, car)?;
                took.push(sent.elapsed());
            }
            Ok(took)
        }))
    };
    let threads: Vec<_> = (0..clients).map(client).collect::<Result<_, Fault>>()?;
    let mut took = Vec::new();
    for thread in threads {
        took.extend(thread.join().map_err(|_| "a client panicked")??);
    }
    took.sort_unstable();
    let spent = start.elapsed();
    let clients = usize::try_from(clients)?;
    Ok(line("plain", clients, 1, took.len() as u64, spent, &took, Duration::ZERO, None))
}
