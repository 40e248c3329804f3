//! Several processes and one book: any number on PostgreSQL, one on SQLite.
#![allow(clippy::unwrap_used)]

mod load;

use std::collections::BTreeSet;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use end_to_end::{Place, long};
use ledger::{Code, Error, party_balance};
use load::{Load, assert_whole};
use store::{AnyConnection, Env, PartyId, Store};

#[test]
fn four_processes_on_one_database_postgres() {
    let place = load::alone(Place::postgres);
    let steps = if long() { "1200" } else { "60" };
    let args = ["--threads", "8", "--steps", steps];
    // Two of them send the same commands.
    let names = ["both", "both", "left", "right"];
    let loads = names.map(|name| Load::start(&place, name, &args));
    let acknowledged = loads.map(Load::finish);
    assert_eq!(acknowledged[0], acknowledged[1], "what one has done is a replay to the other");
    let all: BTreeSet<String> = acknowledged.into_iter().flatten().collect();
    let keys = assert_whole(&place, &all);
    // Each thread of each name was given money once.
    let (filled, in_book) = (3 * 8, keys.transactions.len() + keys.holds.len());
    assert_eq!(in_book, all.len() + filled, "each key once, and nothing else");

    let store = Store::open(&place.url, Env::system()).unwrap();
    let fee = store.read(|tx| party_balance(tx, Code::FeeIncome, PartyId::NIL, "USD")).unwrap();
    let undone = keys.transactions.keys().filter(|key| key.ends_with("/undone")).count();
    let paid = keys.transactions.values().filter(|legs| **legs == 3).count() - undone;
    assert_eq!(fee.posted.0, 2 * (paid - undone) as i64, "the hot account has all of it");
    // The writer would have tried again after one: nothing of it would be seen above.
    let deadlocks = store.read(|tx| match tx.conn {
        AnyConnection::Postgres(conn) => {
            let deadlocks = "(SELECT deadlocks FROM pg_stat_database
                WHERE datname = current_database())";
            Ok::<_, Error>(diesel::select(sql::<BigInt>(deadlocks)).get_result::<i64>(conn)?)
        }
        AnyConnection::Sqlite(_) => unreachable!("this is PostgreSQL"),
    });
    assert_eq!(deadlocks.unwrap(), 0);
}

#[test]
fn a_second_process_is_refused_sqlite() {
    let place = Place::sqlite();
    let mut first = Load::start(&place, "first", &[]);
    first.wait_for_first();
    let second = load::output(&place, "second", &[]);
    let text = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(3), "{text}");
    assert!(text.contains("another process owns") && text.contains("driveway.sqlite"), "{text}");
    assert!(second.stdout.is_empty());
    // So is the program itself, to read as well as to write.
    for args in [&["ledger", "check"][..], &["ledger", "balances"]] {
        let output = load::alone(|| place.run(args));
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{args:?}: {text}");
        assert!(text.contains("another process owns"), "{args:?}: {text}");
    }
    // The first goes on as if nothing had been, and when it is gone the file is free.
    let acknowledged = first.kill();
    assert!(!acknowledged.is_empty());
    assert_whole(&place, &acknowledged);
    assert!(!Load::start(&place, "second", &["--steps", "6"]).finish().is_empty());
}
