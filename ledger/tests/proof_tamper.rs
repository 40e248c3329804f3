//! Whatever is changed in the book after it was sealed, `verify` finds.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/proof.rs"]
mod proofs;

use common::{People, transfer, usd, write};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use ledger::proof::{Extent, VerifyReport, verify};
use ledger::{Error, post};
use proofs::{assert_holds, keys, rich_book, seal_now};
use store::testing::TestDb;
use store::{AnyConnection, on_both_databases};

/// Every table of the book, and its key.
const TABLES: &[(&str, &str)] = &[
    ("asset", "code"),
    ("account", "id"),
    ("balance", "account_id"),
    ("ledger_transaction", "id"),
    ("entry", "transaction_id, line"),
    ("hold", "id"),
    ("hold_event", "id"),
    ("transaction_metadata", "transaction_id, name"),
    ("settlement_record", "transaction_id"),
    ("conversion_record", "transaction_id"),
    ("period", "month"),
    ("period_event", "id"),
    ("block", "number"),
    ("block_head", "id"),
    ("block_span", "kind, moment, block"),
    ("liability_root", "block, asset"),
    ("liability_page", "block, asset, page"),
    ("day_balance", "account_id, day"),
];

/// Columns that may say anything.
const FREE: &[(&str, &str)] = &[
    // Where the next quick look begins. A wrong one delays sealing until the next look at everything.
    ("block_head", "watermark"),
];

/// Rows whose loss says nothing: an open month needs no row.
const NEEDLESS: &[(&str, &str)] = &[("period", "state = 'open'")];

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

fn columns(conn: &mut AnyConnection, table: &str) -> Vec<Name> {
    let sql = match conn {
        AnyConnection::Sqlite(_) => {
            format!("SELECT name, type AS kind FROM pragma_table_info('{table}')")
        }
        AnyConnection::Postgres(_) => format!(
            "SELECT column_name::text AS name, data_type::text AS kind \
             FROM information_schema.columns WHERE table_name = '{table}'"
        ),
    };
    let columns: Vec<Name> = diesel::sql_query(sql).load(conn).unwrap();
    assert!(!columns.is_empty(), "{table}");
    columns
}

fn count(conn: &mut AnyConnection, from: &str) -> i64 {
    let sql = format!("SELECT COUNT(*) AS number FROM {from}");
    diesel::sql_query(sql).get_result::<Number>(conn).unwrap().number
}

/// What a column of this type could say instead: a flipped bit, high enough to meet no other row's
/// key, or something for nothing.
fn other_value(conn: &AnyConnection, column: &Name) -> String {
    let name = &column.name;
    let sqlite = matches!(conn, AnyConnection::Sqlite(_));
    let other = match column.kind.to_lowercase().as_str() {
        "boolean" => return format!("NOT {name}"),
        "integer" | "bigint" if sqlite => format!("({name} | 1048576) - ({name} & 1048576)"),
        "integer" | "bigint" => format!("{name} # 1048576"),
        "text" => format!("{name} || 'x'"),
        "blob" => format!(
            "CAST(substr({name}, 1, length({name}) - 1) || \
             CASE substr({name}, -1, 1) WHEN x'00' THEN x'01' ELSE x'00' END AS BLOB)"
        ),
        "bytea" => format!(
            "set_byte({name}, length({name}) - 1, get_byte({name}, length({name}) - 1) # 1)"
        ),
        other => panic!("a column of type {other}"),
    };
    let something = match column.kind.to_lowercase().as_str() {
        "text" => "'USD'",
        "blob" => "x'01'",
        "bytea" => "'\\x01'::bytea",
        _ => "1",
    };
    format!("CASE WHEN {name} IS NULL THEN {something} ELSE {other} END")
}

/// The tamperer is the database's owner: no check and no foreign key is in the way.
fn unlock(conn: &mut AnyConnection) {
    match conn {
        AnyConnection::Postgres(conn) => conn.batch_execute(
            "DO $$ DECLARE c record; BEGIN FOR c IN
                 SELECT conrelid::regclass AS t, conname FROM pg_constraint
                 WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'f')
             LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.t, c.conname);
             END LOOP; END $$",
        ),
        AnyConnection::Sqlite(conn) => conn
            .batch_execute("PRAGMA ignore_check_constraints = ON; PRAGMA defer_foreign_keys = ON"),
    }
    .unwrap();
}

/// What `verify` says when this was done to the book, `None` if it changed nothing. It is undone.
fn after(db: &TestDb, sql: &str) -> Option<VerifyReport> {
    let mut report = None;
    let undone: Result<(), Error> = db.store.write(|tx| {
        unlock(tx.conn);
        let changed = diesel::sql_query(sql).execute(tx.conn);
        if changed.unwrap_or_else(|error| panic!("{sql}: {error}")) > 0 {
            report = Some(verify(tx, &keys())?);
        }
        Err(Error::NoLegs)
    });
    assert!(matches!(undone, Err(Error::NoLegs)), "{sql}: {undone:?}");
    report
}

fn sealed_book(db: &TestDb) -> People {
    let people = rich_book(db);
    seal_now(&db.store, Extent::Recent);
    write(&db.store, |tx| post(tx, &transfer("second", people.wallet, people.cash, usd(1))));
    seal_now(&db.store, Extent::All);
    assert_holds(&db.store);
    people
}

on_both_databases! {
    fn every_changed_value_is_found(db) {
        sealed_book(&db);
        let (mut changed, mut missed) = (0, Vec::new());
        for (table, key) in TABLES {
            let (columns, rows, value) = write(&db.store, |tx| {
                let columns = columns(tx.conn, table);
                let values: Vec<_> =
                    columns.iter().map(|column| other_value(tx.conn, column)).collect();
                Ok((columns, count(tx.conn, table), values))
            });
            assert!(rows > 0, "{table} has a row");
            for (column, value) in columns.iter().zip(value) {
                if FREE.contains(&(*table, column.name.as_str())) {
                    continue;
                }
                for row in 0..rows {
                    let name = &column.name;
                    let sql = format!(
                        "UPDATE {table} SET {name} = {value} WHERE ({key}) = \
                         (SELECT {key} FROM {table} ORDER BY {key} LIMIT 1 OFFSET {row})"
                    );
                    let Some(report) = after(&db, &sql) else { panic!("{sql} changes nothing") };
                    changed += 1;
                    if report.holds() {
                        missed.push(format!("{table}.{name} of row {row}"));
                    }
                }
            }
        }
        assert!(missed.is_empty(), "{missed:#?}");
        assert!(changed > 500, "{changed}");
    }
}

on_both_databases! {
    fn every_row_that_is_gone_is_found(db) {
        sealed_book(&db);
        let mut missed = Vec::new();
        for (table, key) in TABLES {
            let rows = write(&db.store, |tx| Ok(count(tx.conn, table)));
            for row in 0..rows {
                let which = format!("(SELECT {key} FROM {table} ORDER BY {key} LIMIT 1 OFFSET {row})");
                let needless = NEEDLESS.iter().find(|(needless, _)| needless == table);
                let unless = needless.map_or(String::new(), |(_, rows)| format!("AND NOT ({rows})"));
                let sql = format!("DELETE FROM {table} WHERE ({key}) = {which} {unless}");
                if after(&db, &sql).is_some_and(|report| report.holds()) {
                    missed.push(format!("row {row} of {table}"));
                }
            }
        }
        assert!(missed.is_empty(), "{missed:#?}");
    }
}

/// What is added, and what must be the first to be named.
const ADDED: &[(&str, &str)] = &[
    (
        "INSERT INTO entry SELECT transaction_id, line + 50, account_id, amount, number + 500, \
         balance_after FROM entry WHERE number = 2 AND line = 1",
        "ledger_transaction",
    ),
    (
        "INSERT INTO transaction_metadata SELECT transaction_id, 'zzz', value \
         FROM transaction_metadata WHERE name = 'team'",
        "ledger_transaction",
    ),
    (
        "INSERT INTO settlement_record (transaction_id, lease_id, seconds, price, fee_ppm) \
         SELECT id, id, 1, 1, 1 FROM ledger_transaction WHERE key = 'second'",
        "ledger_transaction",
    ),
    (
        "INSERT INTO conversion_record SELECT id, 'USD', 1, 'EUR', 1, 1 FROM ledger_transaction \
         WHERE key = 'second'",
        "ledger_transaction",
    ),
    (
        "INSERT INTO transaction_metadata SELECT id, 'a', 'b' FROM account WHERE code = 'bank'",
        "transaction_metadata",
    ),
    (
        "INSERT INTO settlement_record (transaction_id, lease_id, seconds, price, fee_ppm) \
         SELECT id, id, 1, 1, 1 FROM account WHERE code = 'bank'",
        "settlement_record",
    ),
    (
        "INSERT INTO conversion_record SELECT id, 'USD', 1, 'EUR', 1, 1 FROM account \
         WHERE code = 'bank'",
        "conversion_record",
    ),
    (
        "INSERT INTO hold_event (hold_id, number, kind, amount, transaction_id, at, id) \
         SELECT hold_id, number + 7, 'released', 1, NULL, at, hold_id FROM hold_event \
         WHERE kind = 'expired'",
        "hold_event.number",
    ),
    ("INSERT INTO period VALUES (7, 'closed')", "period.month"),
    ("INSERT INTO block_head VALUES ('other', 2, 0)", "block_head"),
    ("INSERT INTO block_span SELECT kind, moment, 77, 1 FROM block_span LIMIT 1", "block_span"),
    (
        "INSERT INTO liability_root SELECT 1, asset, accounts, total, root FROM liability_root",
        "liability_root",
    ),
    (
        "INSERT INTO liability_page SELECT 1, asset, page, first_id, last_id, leaves, total, hash \
      FROM liability_page",
        "liability_page",
    ),
    (
        "INSERT INTO day_balance SELECT account_id, day + 1, 0, 0 FROM day_balance LIMIT 1",
        "day_balance",
    ),
    ("INSERT INTO day_balance SELECT id, 1, 5, 5 FROM hold LIMIT 1", "day_balance.account_id"),
    (
        "INSERT INTO block SELECT number + 1, hash, records, liabilities, sealed_at, hash, key_id, \
         signature FROM block WHERE number = 2",
        "block",
    ),
];

on_both_databases! {
    fn added_rows_are_found_and_named(db) {
        sealed_book(&db);
        for (sql, first) in ADDED {
            let report = after(&db, sql).unwrap();
            assert!(!report.holds(), "{sql}");
            assert_eq!(report.tampered[0].what, *first, "{sql}: {:#?}", report.tampered);
        }
    }
}

/// What is done, and the first row that is named.
const NAMED: &[(&str, &str, &str)] = &[
    (
        "UPDATE ledger_transaction SET subject = 'x' WHERE key = 'second'",
        "ledger_transaction",
        "SELECT id FROM ledger_transaction WHERE subject = 'x'",
    ),
    (
        "UPDATE account SET party_id = id WHERE code = 'owner_cash'",
        "account",
        "SELECT id FROM account WHERE party_id = id",
    ),
    ("UPDATE asset SET scale = 2 WHERE code = 'EUR'", "asset", ""),
];

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = diesel::sql_types::Binary)]
    id: Vec<u8>,
}

on_both_databases! {
    fn the_first_row_is_named_with_its_block(db) {
        sealed_book(&db);
        for (sql, what, find) in NAMED {
            let undone: Result<(), Error> = db.store.write(|tx| {
                assert_eq!(diesel::sql_query(*sql).execute(tx.conn).unwrap(), 1);
                let report = verify(tx, &keys()).unwrap();
                let first = &report.tampered[0];
                assert_eq!(first.what, *what);
                let (id, block) = match *what {
                    "asset" => ("EUR".to_owned(), 1),
                    _ => {
                        let row: Id = diesel::sql_query(*find).get_result(tx.conn).unwrap();
                        let id = row.id.try_into().unwrap();
                        match *what {
                            "account" => (store::AccountId::from_bytes(id).to_string(), 1),
                            _ => (store::TransactionId::from_bytes(id).to_string(), 2),
                        }
                    }
                };
                assert_eq!((&first.id, first.block), (&id, Some(block)));
                Err(Error::NoLegs)
            });
            assert!(undone.is_err());
        }
    }
}

on_both_databases! {
    fn a_book_changed_consistently_everywhere_is_found(db) {
        let people = sealed_book(&db);
        // A transaction, its entries, the balances and the days: the check alone would not see it.
        let wallet = hex(people.wallet.as_bytes(), &db);
        let cash = hex(people.cash.as_bytes(), &db);
        let statements = [
            String::from(
                "UPDATE entry SET amount = amount * 2, balance_after = balance_after + amount \
                 WHERE transaction_id = (SELECT id FROM ledger_transaction WHERE key = 'second')"
            ),
            format!("UPDATE balance SET posted = posted + 1000000 WHERE account_id = {wallet}"),
            format!("UPDATE balance SET posted = posted - 1000000 WHERE account_id = {cash}"),
        ];
        let undone: Result<(), Error> = db.store.write(|tx| {
            for sql in &statements {
                diesel::sql_query(sql).execute(tx.conn).unwrap();
            }
            assert!(ledger::check::check(tx)?.is_clean());
            let report = verify(tx, &keys())?;
            assert_eq!(report.tampered[0].what, "ledger_transaction");
            assert_eq!(report.tampered[0].block, Some(2));
            Err(Error::NoLegs)
        });
        assert!(matches!(undone, Err(Error::NoLegs)));
    }
}

fn hex(bytes: &[u8], db: &TestDb) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    match db.store.database() {
        "sqlite" => format!("x'{digits}'"),
        _ => format!("'\\x{digits}'::bytea"),
    }
}
