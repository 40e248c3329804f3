//! What the store promises, on both databases.

#![allow(clippy::unwrap_used)]

use diesel::prelude::*;
use store::schema::{market, party};
use store::{Env, Error, PartyId, Store, Timestamp, on_both_databases};

fn add_party(tx: &mut store::Tx<'_>) -> Result<PartyId, Error> {
    let id: PartyId = tx.id();
    diesel::insert_into(party::table)
        .values((party::id.eq(id), party::role.eq("owner"), party::created_at.eq(tx.now)))
        .execute(tx.conn)?;
    Ok(id)
}

fn parties(store: &Store) -> Vec<(PartyId, Timestamp)> {
    let query = |tx: &mut store::Tx<'_>| {
        Ok::<_, Error>(party::table.select((party::id, party::created_at)).load(tx.conn)?)
    };
    store.read(query).unwrap()
}

on_both_databases! {
    fn a_write_is_kept_and_a_refusal_leaves_no_trace(db) {
        let kept = db.store.write(add_party).unwrap();
        let refused: Result<(), Error> = db.store.write(|tx| {
            add_party(tx)?;
            Err(Error::Corrupt("refused".into()))
        });
        assert!(refused.is_err());
        assert_eq!(parties(&db.store), [(kept, db.store.now())]);
    }
}

on_both_databases! {
    fn a_panic_leaves_no_trace_and_the_store_usable(db) {
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            db.store.write(|tx| -> Result<(), Error> {
                add_party(tx)?;
                panic!("in the middle");
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(parties(&db.store), []);
        db.store.write(add_party).unwrap();
        assert_eq!(parties(&db.store).len(), 1);
    }
}

on_both_databases! {
    fn a_read_changes_nothing(db) {
        // SQLite lets the statement run and undoes it; PostgreSQL refuses it.
        let refused = db.store.read(add_party).is_err();
        assert_eq!(refused, db.store.database() == "postgres");
        assert_eq!(parties(&db.store), []);
    }
}

on_both_databases! {
    fn a_second_row_with_one_key_is_a_unique_violation(db) {
        let id = db.store.write(add_party).unwrap();
        let twice = db.store.write(|tx| {
            let row = (party::id.eq(id), party::role.eq("owner"), party::created_at.eq(tx.now));
            diesel::insert_into(party::table).values(row).execute(tx.conn)?;
            Ok::<_, Error>(())
        });
        assert!(twice.unwrap_err().is_unique_violation());
    }
}

on_both_databases! {
    fn writers_side_by_side_lose_nothing(db) {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        db.store.write(|tx| {
                            store::lock_row(tx.conn, "market", "us")?;
                            let tick: i64 = market::table.select(market::tick).first(tx.conn)?;
                            let set = market::tick.eq(tick + 1);
                            diesel::update(market::table).set(set).execute(tx.conn)?;
                            Ok::<_, Error>(())
                        }).unwrap();
                    }
                });
            }
        });
        let tick = db.store.read(|tx| {
            Ok::<i64, Error>(market::table.select(market::tick).first(tx.conn)?)
        });
        assert_eq!(tick.unwrap(), 80);
    }
}

on_both_databases! {
    fn callers_share_a_commit_and_not_each_others_refusals(db) {
        let (threads, rounds) = (16, 25);
        let answers: Vec<bool> = std::thread::scope(|scope| {
            let caller = |n: usize| {
                let store = &db.store;
                scope.spawn(move || (0..rounds).map(|round| {
                    let refuse = (n + round).is_multiple_of(3);
                    let command = |tx: &mut store::Tx<'_>| {
                        let id = add_party(tx)?;
                        assert!(!refuse || round % 2 == 0, "a panic in the middle");
                        if refuse { Err(Error::Corrupt("refused".into())) } else { Ok(id) }
                    };
                    let run = std::panic::AssertUnwindSafe(|| store.write(command));
                    let answer = std::panic::catch_unwind(run);
                    // Whatever was answered is there for all to see.
                    let kept = matches!(&answer, Ok(Ok(id)) if parties(store).iter().any(|p| p.0 == *id));
                    assert_eq!(kept, !refuse);
                    kept
                }).collect::<Vec<_>>())
            };
            let threads: Vec<_> = (0..threads).map(caller).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let kept = answers.iter().filter(|kept| **kept).count();
        assert_eq!(parties(&db.store).len(), kept);
    }
}

on_both_databases! {
    fn it_opens_again_with_what_was_there(db) {
        let id = db.store.write(add_party).unwrap();
        if db.store.database() == "sqlite" {
            let second = Store::open(&db.url, Env::system());
            assert!(matches!(second, Err(Error::Owned(_))), "one process owns a SQLite file");
            db.store.write(add_party).unwrap();
            return;
        }
        let again = Store::open(&db.url, Env::system()).unwrap();
        assert_eq!(parties(&again)[0].0, id);
    }
}

#[test]
fn a_sqlite_file_opens_again_with_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().join("new/folder/d.sqlite").display());
    let first = Store::open(&url, Env::system()).unwrap();
    let id = first.write(add_party).unwrap();
    drop(first);
    assert_eq!(parties(&Store::open(&url, Env::system()).unwrap())[0].0, id);
}

#[test]
fn urls_are_checked() {
    for url in ["", "driveway.sqlite", "sqlite://", "mysql://host/db"] {
        assert!(matches!(Store::open(url, Env::system()), Err(Error::Url)), "{url}");
    }
}
