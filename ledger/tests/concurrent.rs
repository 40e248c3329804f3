//! Many writers at once: nothing is lost, nothing is spent twice, nothing deadlocks.
#![allow(clippy::unwrap_used)]

mod common;

use common::{assert_clean, new_hold, read, transfer, write};
use diesel::connection::SimpleConnection;
use ledger::{
    Code, Command, Error, Leg, NewTransaction, balance, capture_hold, execute, expire_holds, hold,
    open_account, place_hold, post, release_hold,
};
use store::testing::TestDb;
use store::{AccountId, Amount, on_both_databases};

const THREADS: usize = 8;

fn open(db: &TestDb, code: Code) -> AccountId {
    write(&db.store, |tx| {
        let party = tx.id();
        open_account(tx, code, party, "USD")
    })
}

fn together<T: Send>(work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || work(n))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

on_both_databases! {
    fn a_hot_account_in_every_transaction(db) {
        let rounds = if std::env::var_os("DRIVEWAY_TEST_LONG").is_some() { 400 } else { 30 };
        let hot = open(&db, Code::FeeIncome);
        let cold: Vec<_> = (0..5).map(|_| open(&db, Code::Bank)).collect();
        together(|thread| {
            for round in 0..rounds {
                // Every order of accounts: only the sorted locking keeps them from waiting in a ring.
                let (a, b) = (cold[(thread + round) % 5], cold[(thread * 3 + round * 2 + 1) % 5]);
                let mut legs = vec![Leg { account: hot, amount: Amount(-3) }];
                if a == b {
                    legs.push(Leg { account: a, amount: Amount(3) });
                } else {
                    legs.push(Leg { account: a, amount: Amount(2) });
                    legs.insert(round % 3 / 2, Leg { account: b, amount: Amount(1) });
                }
                let new = NewTransaction { legs, ..transfer(&format!("{thread} {round}"), a, b, Amount(1)) };
                write(&db.store, |tx| post(tx, &new));
            }
        });
        let report = assert_clean(&db.store);
        assert_eq!(report.transactions, (THREADS * rounds) as u64);
        let posted = read(&db.store, |tx| balance(tx, hot)).posted;
        assert_eq!(posted, Amount(3 * (THREADS * rounds) as i64));
    }
}

on_both_databases! {
    fn one_key_posts_once(db) {
        let (bank, wallet) = (open(&db, Code::Bank), open(&db, Code::CustomerWallet));
        for round in 0..5 {
            let key = format!("race {round}");
            let fill = transfer(&key, bank, wallet, Amount(10));
            let posted = together(|_| write(&db.store, |tx| post(tx, &fill)));
            assert_eq!(posted.iter().filter(|posted| !posted.replayed).count(), 1);
            assert!(posted.iter().all(|other| other.id == posted[0].id));
            // It drains the account: whoever comes second sees a replay and no lack of funds.
            let drain = transfer(&format!("drain {round}"), wallet, bank, Amount(10));
            let posted = together(|_| write(&db.store, |tx| post(tx, &drain)));
            assert_eq!(posted.iter().filter(|posted| !posted.replayed).count(), 1);
        }
        // With other bodies and other accounts: one wins, the others are told that the key is used.
        let accounts: Vec<_> = (0..THREADS).map(|_| open(&db, Code::Bank)).collect();
        let outcomes = together(|n| {
            let new = transfer("contended", accounts[n], accounts[(n + 1) % 2], Amount(1));
            let legs = vec![new.legs[0], Leg { account: bank, amount: Amount(-1) }];
            db.store.write(|tx| post(tx, &NewTransaction { legs, ..new }))
        });
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        let used = |outcome: &Result<_, Error>| matches!(outcome, Err(Error::KeyReused { .. }));
        assert_eq!(outcomes.iter().filter(|outcome| used(outcome)).count(), THREADS - 1);
        assert_clean(&db.store);
    }
}

on_both_databases! {
    fn no_unit_is_spent_or_held_twice(db) {
        let (bank, wallet) = (open(&db, Code::Bank), open(&db, Code::CustomerWallet));
        write(&db.store, |tx| post(tx, &transfer("fill", bank, wallet, Amount(100))));
        let outcomes = together(|n| {
            db.store.write(|tx| match n % 2 {
                0 => post(tx, &transfer(&n.to_string(), wallet, bank, Amount(30))).map(drop),
                _ => place_hold(tx, &new_hold(&n.to_string(), wallet, Amount(30))).map(drop),
            })
        });
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 3);
        assert_eq!(read(&db.store, |tx| balance(tx, wallet)).available(), Amount(10));
        assert_clean(&db.store);
    }
}

on_both_databases! {
    fn a_hold_is_captured_and_released_once(db) {
        let (bank, wallet) = (open(&db, Code::Bank), open(&db, Code::CustomerWallet));
        write(&db.store, |tx| post(tx, &transfer("fill", bank, wallet, Amount(1_000))));
        for round in 0..6 {
            let id = write(&db.store, |tx| {
                let expires_at = Some(tx.now);
                let new = ledger::NewHold {
                    expires_at,
                    ..new_hold(&format!("h{round}"), wallet, Amount(40))
                };
                Ok(place_hold(tx, &new)?.id)
            });
            let moved = together(|n| {
                let key = format!("c{round} {n}");
                db.store.write(|tx| match n % 4 {
                    0 => release_hold(tx, id).map(|amount| amount.0),
                    1 => expire_holds(tx, 10).map(|_| 0),
                    _ => capture_hold(tx, id, &transfer(&key, wallet, bank, Amount(10))).map(|_| 10),
                })
            });
            let moved: i64 = moved
                .into_iter()
                .map(|outcome| match outcome {
                    Ok(amount) => amount,
                    Err(Error::HoldEnded(_)) => 0,
                    Err(error) => panic!("{error}"),
                })
                .sum();
            let state = read(&db.store, |tx| hold(tx, id));
            assert!(!state.open && moved <= 40, "{moved}");
        }
        assert_clean(&db.store);
    }
}

on_both_databases! {
    fn an_account_is_opened_once(db) {
        let party = write(&db.store, |tx| Ok(tx.id()));
        let opened = together(|_| {
            write(&db.store, |tx| open_account(tx, Code::OwnerCash, party, "USD"))
        });
        assert!(opened.iter().all(|id| *id == opened[0]));
        assert_eq!(assert_clean(&db.store).accounts, 1);
    }
}

on_both_databases! {
    fn the_same_keys_in_another_order_do_not_wait_in_a_ring(db) {
        let pairs = [0, 1].map(|_| (open(&db, Code::Bank), open(&db, Code::TaxPayable)));
        for (round, count) in [4, 50, 800].into_iter().enumerate() {
            // No account in common: nothing but the keys orders the two.
            let commands = |thread: usize| -> Vec<Command> {
                let (from, to) = pairs[thread];
                let new = |n: usize| transfer(&format!("ring {round} {n}"), from, to, Amount(1));
                let post = (0..count).map(|n| Command::post(new(n)));
                let held = (0..count).map(|n| {
                    Command::hold(new_hold(&format!("ring {round} {n}"), to, Amount(1)))
                });
                let mut all: Vec<Command> = post.chain(held).collect();
                if thread == 1 {
                    all.reverse();
                }
                all
            };
            let start = std::sync::Barrier::new(3);
            let done: usize = std::thread::scope(|scope| {
                let threads = [0, 1].map(|thread| {
                    let (commands, start, db) = (commands(thread), &start, &db);
                    scope.spawn(move || {
                        start.wait();
                        let answers = write(&db.store, |tx| execute(tx, &commands));
                        answers.iter().filter(|answer| answer.is_ok()).count()
                    })
                });
                if db.store.database() == "postgres" {
                    // Both come to their first insert, and then go on at the same moment.
                    write(&db.store, |tx| {
                        let lock = "LOCK TABLE ledger_transaction IN SHARE MODE";
                        tx.conn.batch_execute(lock)?;
                        start.wait();
                        std::thread::sleep(std::time::Duration::from_millis(400));
                        Ok(())
                    });
                } else {
                    start.wait();
                }
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            assert_eq!(done, 2 * count, "each key once");
        }
        assert_clean(&db.store);
    }
}
