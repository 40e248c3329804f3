//! The check finds whatever was changed behind the book's back.
#![allow(clippy::unwrap_used)]

mod common;

use common::{People, assert_clean, new_hold, usd, write};
use diesel::prelude::*;
use ledger::{
    Code, Error, capture_hold, chart, check, open_account, place_hold, post, release_hold,
};
use store::{Amount, PartyId, on_both_databases};

/// What is done, and what must be among the differences then.
const TAMPERING: &[(&str, &[&str])] = &[
    (
        "UPDATE balance SET posted = posted + 1 WHERE account_id = (WALLET)",
        &["balance.posted", "trial_balance"],
    ),
    ("UPDATE balance SET held = held + 1 WHERE account_id = (WALLET)", &["balance.held"]),
    ("UPDATE balance SET entries = entries + 1 WHERE account_id = (WALLET)", &["balance.entries"]),
    (
        "UPDATE entry SET amount = amount + 1 WHERE account_id = (WALLET) AND number = 2",
        &["transaction.sum", "balance.posted", "entry.balance_after"],
    ),
    (
        "UPDATE entry SET balance_after = balance_after + 1 WHERE account_id = (WALLET) AND number = 2",
        &["entry.balance_after"],
    ),
    (
        "UPDATE entry SET number = number + 50 WHERE account_id = (WALLET) AND number = 2",
        &["entry.number"],
    ),
    (
        "UPDATE entry SET line = line + 50 WHERE account_id = (WALLET) AND number = 2",
        &["entry.line"],
    ),
    (
        "UPDATE entry SET account_id = (CASH), number = number + 50 WHERE account_id = (WALLET) AND number = 2",
        &["balance.posted", "balance.entries", "entry.number"],
    ),
    (
        "DELETE FROM entry WHERE account_id = (WALLET) AND number = 2",
        &["transaction.sum", "balance.posted", "balance.entries"],
    ),
    (
        "DELETE FROM entry WHERE transaction_id = (DEPOSIT)",
        &["transaction.entries", "balance.posted"],
    ),
    ("DELETE FROM ledger_transaction WHERE id = (DEPOSIT)", &["entry.transaction_id"]),
    ("DELETE FROM balance WHERE account_id = (WALLET)", &["balance", "trial_balance"]),
    (
        "DELETE FROM account WHERE code = 'customer_wallet'",
        &["entry.account_id", "balance.account_id", "hold.account_id"],
    ),
    ("UPDATE account SET code = 'petty_cash' WHERE code = 'bank'", &["account.code"]),
    ("UPDATE account SET side = 'debit' WHERE code = 'customer_wallet'", &["account.side"]),
    (
        "UPDATE account SET may_overdraw = TRUE WHERE code = 'customer_wallet'",
        &["account.may_overdraw"],
    ),
    ("UPDATE account SET asset = 'EUR' WHERE code = 'bank'", &["transaction.sum", "trial_balance"]),
    ("UPDATE hold SET captured = captured + 1 WHERE open", &["hold.captured", "balance.held"]),
    ("UPDATE hold SET amount = amount + 1 WHERE open", &["hold.amount", "balance.held"]),
    (
        "UPDATE hold SET open = FALSE, released = amount - captured WHERE open",
        &["hold.released", "hold.open", "balance.held"],
    ),
    ("UPDATE hold SET open = TRUE WHERE NOT open", &["hold.open"]),
    ("UPDATE hold SET ended_at = 1 WHERE open", &["hold.ended_at"]),
    ("UPDATE hold SET account_id = (CASH) WHERE open", &["balance.held", "hold_event.amount"]),
    (
        "UPDATE hold_event SET amount = amount + 1 WHERE kind = 'captured'",
        &["hold_event.amount", "hold.captured"],
    ),
    (
        "UPDATE hold_event SET kind = 'released' WHERE kind = 'captured'",
        &["hold.captured", "hold.released", "hold_event.transaction_id"],
    ),
    ("UPDATE hold_event SET kind = 'placed' WHERE kind = 'released'", &["hold_event.kind"]),
    ("UPDATE hold_event SET transaction_id = NULL WHERE kind = 'captured'", &["hold_event.amount"]),
    // A transaction that moved as much, the other way.
    (
        "UPDATE hold_event SET transaction_id = (RETURN) WHERE kind = 'captured'",
        &["hold_event.amount"],
    ),
    (
        "DELETE FROM hold_event WHERE kind = 'placed'",
        &["hold_event.number", "hold_event.kind", "hold.amount", "hold.remaining"],
    ),
    ("DELETE FROM hold WHERE open", &["hold_event.hold_id", "balance.held"]),
    (
        "INSERT INTO balance (account_id, posted, held, entries, last_posted_at)
        SELECT transaction_id, 0, 0, 0, 0 FROM entry LIMIT 1",
        &["balance.account_id"],
    ),
    // Consistent in itself, but more is held than there is.
    (
        "UPDATE hold SET amount = amount + 900000000 WHERE open;
      UPDATE hold_event SET amount = amount + 900000000
        WHERE kind = 'placed' AND hold_id = (SELECT id FROM hold WHERE open);
      UPDATE balance SET held = held + 900000000 WHERE account_id = (WALLET)",
        &["balance.available"],
    ),
];

on_both_databases! {
    fn every_kind_of_tampering_is_found(db) {
        let people = People::with(&db, usd(100));
        write(&db.store, |tx| {
            let open = place_hold(tx, &new_hold("job", people.wallet, usd(40)))?.id;
            let lease = tx.id();
            chart::settle(tx, &people.settlement(lease, open, usd(10)))?;
            let other = place_hold(tx, &new_hold("other", people.wallet, usd(1)))?.id;
            release_hold(tx, other)?;
            let bank = open_account(tx, Code::Bank, PartyId::NIL, "USD")?;
            post(tx, &common::transfer("return", bank, people.wallet, usd(10))).map(drop)
        });
        assert_clean(&db.store);
        for (sql, expected) in TAMPERING {
            let sql = sql
                .replace("(WALLET)", "(SELECT id FROM account WHERE code = 'customer_wallet')")
                .replace("(CASH)", "(SELECT id FROM account WHERE code = 'owner_cash')")
                .replace("(DEPOSIT)", "(SELECT id FROM ledger_transaction WHERE kind = 'deposit')")
                .replace("(RETURN)", "(SELECT id FROM ledger_transaction WHERE key = 'return')");
            let undone: Result<(), Error> = db.store.write(|tx| {
                for statement in sql.split(';') {
                    let changed = diesel::sql_query(statement).execute(tx.conn).unwrap();
                    assert!(changed > 0, "{statement}");
                }
                let report = check::check(tx)?;
                let found: Vec<_> = report.differences.iter().map(|found| found.what).collect();
                for what in *expected {
                    assert!(found.contains(what), "{sql}: {what} is not in {found:?}");
                }
                assert!(!report.is_clean());
                Err(Error::NoLegs)
            });
            assert!(undone.is_err());
        }
        assert_clean(&db.store);
    }
}

on_both_databases! {
    fn the_check_turns_pages(db) {
        let people = People::with(&db, usd(100));
        write(&db.store, |tx| {
            let hold = place_hold(tx, &new_hold("job", people.wallet, Amount(5_000)))?.id;
            for number in 0..2_100 {
                let new = common::transfer(&number.to_string(), people.wallet, people.cash, Amount(1));
                capture_hold(tx, hold, &new)?;
            }
            Ok(())
        });
        let report = assert_clean(&db.store);
        assert_eq!((report.transactions, report.entries), (2_101, 4_202));
        // In the second page of each pass.
        let undone: Result<(), Error> = db.store.write(|tx| {
            diesel::sql_query("UPDATE entry SET balance_after = 7 WHERE number = 2080")
                .execute(tx.conn)
                .unwrap();
            let report = check::check(tx)?;
            let found: Vec<_> = report.differences.iter().map(|found| found.what).collect();
            assert_eq!(found, ["entry.balance_after"; 2]);
            Err(Error::NoLegs)
        });
        assert!(undone.is_err());
    }
}
