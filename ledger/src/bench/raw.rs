//! The peer: plain SQL, one transfer a transaction, three statements.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary};
use diesel::{PgConnection, SqliteConnection};
use store::{IdSource, Store, TransactionId};

use super::load::random;
use super::{Fault, Line, line};

const MAKE: &str = "
    CREATE TABLE IF NOT EXISTS raw_account (id BIGINT PRIMARY KEY, balance BIGINT NOT NULL);
    CREATE TABLE IF NOT EXISTS raw_transfer (id BYTEA PRIMARY KEY, debit BIGINT NOT NULL,
        credit BIGINT NOT NULL, amount BIGINT NOT NULL);
    DELETE FROM raw_transfer;
    DELETE FROM raw_account;";

/// Wallet, the hot account, the transfer.
const STATEMENTS: [&str; 3] = [
    "UPDATE raw_account SET balance = balance - 1 WHERE id = $1 AND balance >= 1",
    "UPDATE raw_account SET balance = balance + 1 WHERE id = 0",
    "INSERT INTO raw_transfer (id, debit, credit, amount) VALUES ($1, $2, 0, 1)",
];

pub(super) fn run(
    store: &Store,
    url: &str,
    accounts: usize,
    clients: usize,
    time: Duration,
) -> Result<Line, Fault> {
    let accounts = i64::try_from(accounts)?;
    match url.strip_prefix("sqlite://") {
        Some(path) => {
            // Beside the book: a file of one owner.
            let path = format!("{path}.raw");
            let connect = move || sqlite(&path);
            measure(store, connect, accounts, 1, time)
        }
        None => {
            let url = url.to_owned();
            measure(store, move || Ok(PgConnection::establish(&url)?), accounts, clients, time)
        }
    }
}

fn sqlite(path: &str) -> Result<SqliteConnection, Fault> {
    let mut conn = SqliteConnection::establish(path)?;
    conn.batch_execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
    Ok(conn)
}

trait Peer: Connection + SimpleConnection + Send + 'static {
    fn transfer(&mut self, id: TransactionId, wallet: i64) -> diesel::QueryResult<()>;
}

macro_rules! peer {
    ($($conn:ty)*) => { $(
        impl Peer for $conn {
            fn transfer(&mut self, id: TransactionId, wallet: i64) -> diesel::QueryResult<()> {
                self.transaction(|conn| {
                    diesel::sql_query(STATEMENTS[0]).bind::<BigInt, _>(wallet).execute(conn)?;
                    diesel::sql_query(STATEMENTS[1]).execute(conn)?;
                    diesel::sql_query(STATEMENTS[2])
                        .bind::<Binary, _>(id)
                        .bind::<BigInt, _>(wallet)
                        .execute(conn)
                })?;
                Ok(())
            }
        }
    )* };
}

peer! { PgConnection SqliteConnection }

fn measure<C: Peer>(
    store: &Store,
    connect: impl Fn() -> Result<C, Fault>,
    accounts: i64,
    clients: usize,
    time: Duration,
) -> Result<Line, Fault> {
    let mut first = connect()?;
    first.batch_execute(MAKE)?;
    let all = format!(
        "INSERT INTO raw_account WITH RECURSIVE n (n) AS
            (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < {accounts})
        SELECT n, 1000000000000 FROM n"
    );
    first.batch_execute(&all)?;
    let start = Instant::now();
    let client = |n: u64| -> Result<_, Fault> {
        let (mut conn, store) = (connect()?, store.clone());
        Ok(std::thread::spawn(move || -> Result<Vec<Duration>, Fault> {
            let (ids, mut state) = (IdSource::random(), n);
            let mut took = Vec::new();
            while start.elapsed() < time {
                let id = ids.id(store.now());
                let wallet = 1 + i64::try_from(random(&mut state) % accounts.unsigned_abs())?;
                let sent = Instant::now();
                conn.transfer(id, wallet)?;
                took.push(sent.elapsed());
            }
            Ok(took)
        }))
    };
    let threads: Vec<_> = (0..clients as u64).map(client).collect::<Result<_, Fault>>()?;
    let mut took = Vec::new();
    for thread in threads {
        took.extend(thread.join().map_err(|_| "a client panicked")??);
    }
    Ok(line("raw", 1, clients, start.elapsed(), took))
}
