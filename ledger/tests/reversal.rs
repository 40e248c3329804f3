//! Undoing: whole, in parts, and with a reference.
#![allow(clippy::unwrap_used)]

mod common;

use common::{PayIn, People, assert_clean, new_hold, read, transfer, usd, write};
use ledger::chart::Settlement;
use ledger::{
    Code, Error, NewTransaction, Refund, Reversal, chart, place_hold, post, refund, report, reverse,
};
use proptest::prelude::*;
use store::testing::TestDb;
use store::{Amount, Timestamp, TransactionId, on_both_databases};

fn reversal(key: &str, of: TransactionId) -> Reversal {
    Reversal { key: key.into(), of, reason: "booked twice".into(), effective_at: None }
}

/// A settlement in credits of a customer's hold.
fn settled(db: &TestDb, people: &People, amount: Amount, pay_in: PayIn) -> TransactionId {
    write(&db.store, |tx| {
        let lease = tx.id();
        let key = format!("hold of {lease}");
        let hold = place_hold(tx, &new_hold(&key, people.wallet, amount))?.id;
        let settlement = people.settlement(lease, hold, amount);
        Ok(chart::settle(tx, &Settlement { pay_in, ..settlement })?.id)
    })
}

fn balances(db: &TestDb) -> Vec<(ledger::Code, Amount)> {
    let rows = read(&db.store, report::balances);
    rows.into_iter().map(|row| (row.code, row.balance.posted)).collect()
}

on_both_databases! {
    fn a_transaction_is_reversed_once(db) {
        let people = People::with(&db, usd(100));
        let before = people.balance(&db, Code::CustomerWallet, "USD");
        let id = settled(&db, &people, usd(10), PayIn::Credits { bonus_ppm: 100_000 });
        let first = write(&db.store, |tx| reverse(tx, &reversal("r", id)));
        assert_eq!(people.balance(&db, Code::CustomerWallet, "USD"), before);
        for code in [Code::OwnerCredits, Code::FeeIncome, Code::BonusExpense, Code::CreditClearing] {
            assert_eq!(people.balance(&db, code, "USD").posted, Amount::ZERO, "{code}");
        }
        let again = write(&db.store, |tx| reverse(tx, &reversal("r", id)));
        assert_eq!((again.id, again.replayed), (first.id, true));
        let twice = db.store.write(|tx| reverse(tx, &reversal("s", id)));
        assert!(matches!(twice, Err(Error::AlreadyReversed(of)) if of == id));
        let part = Refund { key: "p".into(), of: id, account: people.wallet, amount: usd(1), reason: "x".into() };
        assert!(matches!(db.store.write(|tx| refund(tx, &part)), Err(Error::AlreadyReversed(_))));
        // What was undone can be done again: a reversal is a transaction like any other.
        write(&db.store, |tx| reverse(tx, &reversal("t", first.id)));
        assert_eq!(people.balance(&db, Code::CustomerWallet, "USD").posted, usd(90));
        let nothing = write(&db.store, |tx| Ok(tx.id()));
        let unknown = db.store.write(|tx| reverse(tx, &reversal("u", nothing)));
        assert!(matches!(unknown, Err(Error::UnknownTransaction(_))));
        assert_clean(&db.store);
    }
}

on_both_databases! {
    fn what_was_spent_since_cannot_be_taken_back(db) {
        let people = People::with(&db, usd(100));
        let id = settled(&db, &people, usd(10), PayIn::Cash);
        let spent = transfer("spent", people.cash, people.wallet, Amount(1));
        write(&db.store, |tx| post(tx, &spent));
        let refused = db.store.write(|tx| reverse(tx, &reversal("r", id)));
        assert!(matches!(refused, Err(Error::InsufficientFunds { account, .. }) if account == people.cash));
        assert_clean(&db.store);
    }
}

on_both_databases! {
    fn refunds_that_add_up_undo_every_leg_exactly(db) {
        let people = People::with(&db, usd(1_000));
        // Owners, fee and clearing have other money, so that a bad split would not be seen as zero.
        settled(&db, &people, usd(50), PayIn::Credits { bonus_ppm: 33_333 });
        let before = balances(&db);
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
            cases: 12, failure_persistence: None, ..ProptestConfig::default()
        });
        let parts = (1..9_999_999_i64, prop::collection::vec(1..400_000_i64, 1..6), any::<bool>());
        let number = std::cell::Cell::new(0);
        runner.run(&parts, |(amount, parts, cash)| {
            let pay_in = if cash { PayIn::Cash } else { PayIn::Credits { bonus_ppm: 123_457 } };
            let id = settled(&db, &people, Amount(amount), pay_in);
            let mut left = amount;
            let give = |amount: i64| {
                number.set(number.get() + 1);
                let key = format!("refund {}", number.get());
                let part = Refund { key, of: id, account: people.wallet, amount: Amount(amount), reason: "late".into() };
                db.store.write(|tx| refund(tx, &part))
            };
            for part in parts {
                if part <= left {
                    give(part).unwrap();
                    left -= part;
                } else {
                    let refused = give(part);
                    let over = matches!(refused, Err(Error::OverRefund { remaining, .. }) if remaining == Amount(left));
                    prop_assert!(over, "{refused:?}");
                }
            }
            if left < amount {
                let whole = db.store.write(|tx| reverse(tx, &reversal("whole", id)));
                let refused = matches!(whole, Err(Error::AlreadyRefunded(_)));
                prop_assert!(refused);
            }
            if left > 0 {
                give(left).unwrap();
            }
            // The first settlement in cash opens an account.
            let after: Vec<_> = balances(&db).into_iter().filter(|(_, sum)| *sum != Amount::ZERO).collect();
            let before: Vec<_> = before.iter().copied().filter(|(_, sum)| *sum != Amount::ZERO).collect();
            prop_assert_eq!(after, before);
            Ok(())
        }).unwrap();
        assert_clean(&db.store);
    }
}

on_both_databases! {
    fn a_refund_names_an_account_of_the_transaction(db) {
        let people = People::with(&db, usd(100));
        let id = settled(&db, &people, usd(10), PayIn::Cash);
        let give = |account, amount| {
            let part = Refund { key: "p".into(), of: id, account, amount, reason: "x".into() };
            db.store.write(|tx| refund(tx, &part))
        };
        let other = write(&db.store, |tx| ledger::open_account(tx, Code::Bank, store::PartyId::NIL, "EUR"));
        assert!(matches!(give(other, usd(1)), Err(Error::UnknownAccount(_))));
        assert!(matches!(give(people.wallet, Amount::ZERO), Err(Error::NotPositive)));
        assert!(matches!(give(people.wallet, usd(11)), Err(Error::OverRefund { .. })));
        // From the owner's side: two of the 8.50 that it got.
        give(people.cash, usd(2)).unwrap();
        assert_eq!(people.balance(&db, Code::OwnerCash, "USD").posted, Amount(6_500_000));
        assert_clean(&db.store);
    }
}

on_both_databases! {
    fn a_correction_refers_to_what_it_puts_right(db) {
        let people = People::with(&db, usd(100));
        let id = settled(&db, &people, usd(10), PayIn::Cash);
        let new = NewTransaction {
            corrects: Some(id),
            metadata: [("ticket".to_owned(), "T-1".to_owned())].into(),
            effective_at: Timestamp(5),
            ..transfer("put right", people.cash, people.wallet, usd(1))
        };
        let first = write(&db.store, |tx| post(tx, &new));
        assert!(!first.replayed);
        for other in [
            NewTransaction { corrects: None, ..new.clone() },
            NewTransaction { metadata: Default::default(), ..new.clone() },
        ] {
            let refused = db.store.write(|tx| post(tx, &other));
            assert!(matches!(refused, Err(Error::KeyReused { .. })), "{refused:?}");
        }
        // It can still be reversed: a correction takes nothing of it.
        write(&db.store, |tx| reverse(tx, &reversal("r", first.id)));
        assert_clean(&db.store);
    }
}

on_both_databases! {
    fn parts_of_a_coarse_asset_are_whole_units(db) {
        let people = People::with(&db, Amount::ZERO);
        let id = write(&db.store, |tx| {
            let yen = ledger::Asset { code: "JPY".into(), scale: 0, redemption: None };
            ledger::add_asset(tx, &yen)?;
            let open = |tx: &mut store::Tx<'_>, code| ledger::open_account(tx, code, people.owner, "JPY");
            let wallet = open(tx, Code::Bank)?;
            let legs = [(wallet, 10), (open(tx, Code::OwnerCash)?, -7), (open(tx, Code::FeeIncome)?, -3)];
            let leg = |(account, units)| ledger::Leg { account, amount: usd(units) };
            let legs = legs.map(leg).to_vec();
            let new = NewTransaction { legs, ..transfer("yen", wallet, wallet, Amount(1)) };
            let id = post(tx, &new)?.id;
            for (key, units) in [("a", 3), ("b", 3), ("c", 4)] {
                let (key, amount) = (key.to_owned(), usd(units));
                refund(tx, &Refund { key, of: id, account: wallet, amount, reason: "x".into() })?;
            }
            Ok(id)
        });
        assert!(balances(&db).iter().all(|(_, posted)| *posted == Amount::ZERO));
        let refused = db.store.write(|tx| reverse(tx, &reversal("r", id)));
        assert!(matches!(refused, Err(Error::AlreadyRefunded(_))));
        assert_clean(&db.store);
    }
}
