//! The refusals of templates, undoings, months and linked commands: which comes first, and that it
//! changes not one row. Each line of a table is wrong in the ways of all lines under it that it can
//! share. Those of transactions, captures and holds are in `refusals.rs`.
#![allow(clippy::unwrap_used)]

mod common;

use common::{
    PayIn, People, Settlement, assert_clean, assert_in_order, fields, name, new_hold, refused,
    rows, transfer, usd, write,
};
use ledger::chart::{self, Conversion, Redemption};
use ledger::{
    Code, Command, Error, Refund, Reversal, capture_hold, execute_groups, execute_linked,
    open_account, period, place_hold, post, refund, release_hold, reverse,
};
use store::testing::TestDb;
use store::{
    AccountId, Amount, Day, HoldId, LeaseId, PartyId, Timestamp, TransactionId, on_both_databases,
};

const NOWHERE: TransactionId = TransactionId::from_bytes([1; 16]);
const NOBODY: AccountId = AccountId::from_bytes([1; 16]);

/// Runs each line and compares all rows before and after.
fn walk(db: &TestDb, table: &[(&str, Command)]) {
    assert_in_order(table.iter().map(|(name, _)| *name));
    for (expected, command) in table {
        assert_eq!(refused(db, |tx| ledger::run(tx, command)), *expected, "{command:?}");
    }
    assert_clean(&db.store);
}

on_both_databases! {
    fn conversions_are_refused_in_order(db) {
        let people = People::with(&db, usd(5));
        let new = |key: &str, from: &str, sold, to: &str, rate_ppm| Command::from(Conversion {
            key: key.to_owned(),
            customer: people.customer,
            sold_asset: from.to_owned(),
            sold: Amount(sold),
            bought_asset: to.to_owned(),
            rate_ppm,
        });
        write(&db.store, |tx| ledger::run(tx, &new("known", "USD", 1, "EUR", 1_000_000)));
        walk(&db, &[
            ("KeyReused", new("known", "XAU", 0, "XAU", 0)),
            ("BadKey", new("", "XAU", 0, "XAU", 0)),
            ("BadRate", new("k", "XAU", 0, "XAU", 0)),
            ("BadRate", new("k", "XAU", 0, "XAU", -1)),
            ("NotPositive", new("k", "XAU", 0, "XAU", 1)),
            // It would buy nothing.
            ("NotPositive", new("k", "XAU", 1, "XAU", 1)),
            ("SameAsset", new("k", "XAU", i64::MAX, "XAU", i64::MAX)),
            ("UnknownAsset", new("k", "XAU", i64::MAX, "EUR", i64::MAX)),
            ("UnknownAsset", new("k", "USD", i64::MAX, "XAU", i64::MAX)),
            ("Overflow", new("k", "USD", i64::MAX, "EUR", i64::MAX)),
            ("InsufficientFunds", new("k", "USD", 5_000_000, "EUR", 1_000_000)),
        ]);
    }
}

on_both_databases! {
    fn redemptions_are_refused_in_order(db) {
        let people = People::with(&db, usd(5));
        let new = |key: &str, asset: &str, credits| Command::from(Redemption {
            key: key.to_owned(),
            owner: people.owner,
            asset: asset.to_owned(),
            credits: Amount(credits),
        });
        write(&db.store, |tx| post(tx, &transfer("known", people.wallet, people.cash, usd(1))));
        let rate = "UPDATE asset SET redemption_ppm = 2500000 WHERE code = 'CREDIT'";
        write(&db.store, |tx| Ok(diesel::RunQueryDsl::execute(diesel::sql_query(rate), tx.conn)?));
        walk(&db, &[
            ("KeyReused", new("known", "XAU", 0)),
            ("BadKey", new("k\0", "XAU", 0)),
            ("NotPositive", new("k", "XAU", -1)),
            ("UnknownAsset", new("k", "XAU", i64::MAX)),
            ("NotRedeemable", new("k", "EUR", i64::MAX)),
            ("Overflow", new("k", "USD", i64::MAX)),
            ("InsufficientFunds", new("k", "USD", 5)),
        ]);
    }
}

on_both_databases! {
    fn settlements_are_refused_in_order(db) {
        let people = People::with(&db, usd(5));
        let (open, ended) = write(&db.store, |tx| {
            let open = place_hold(tx, &new_hold("open", people.wallet, usd(3)))?.id;
            let ended = place_hold(tx, &new_hold("ended", people.wallet, usd(1)))?.id;
            release_hold(tx, ended)?;
            Ok((open, ended))
        });
        let lease = |number| LeaseId::from_bytes([number; 16]);
        let (nothing, credits) = (HoldId::from_bytes([1; 16]), PayIn::Credits { bonus_ppm: 1 });
        let new = |hold, amount| people.settlement(lease(2), hold, usd(amount));
        let gold = |amount| Settlement {
            asset: "XAU".to_owned(), pay_in: credits, ..new(nothing, amount)
        };
        let euros = Settlement { asset: "EUR".to_owned(), ..gold(9) };
        let known = people.settlement(lease(1), open, usd(1));
        write(&db.store, |tx| chart::settle(tx, &known));
        let reused = Settlement { lease: lease(1), fee_ppm: 1_000_001, ..gold(0) };
        let other = Settlement { customer: people.owner, ..new(ended, 9) };
        let table = [
            ("KeyReused", reused),
            ("BadRate", Settlement { fee_ppm: 1_000_001, ..gold(0) }),
            ("NotPositive", Settlement { seconds: 7, ..gold(0) }),
            ("WrongAmount", Settlement { seconds: 7, ..gold(9) }),
            ("UnknownAsset", gold(9)),
            ("NotRedeemable", euros),
            ("UnknownHold", new(nothing, 9)),
            ("NothingCaptured", other),
            ("HoldEnded", new(ended, 9)),
            ("OverCapture", new(open, 3)),
        ];
        walk(&db, &table.map(|(name, settlement)| (name, Command::from(settlement))));
    }
}

/// What was done to the book that the tables of undoing find: transactions that were reversed and
/// refunded, and one whose money was spent.
struct Done {
    people: People,
    reversed: TransactionId,
    refunded: TransactionId,
    spent: TransactionId,
}

fn done(db: &TestDb) -> Done {
    let people = People::with(db, usd(9));
    let (reversed, refunded, spent) = write(&db.store, |tx| {
        let mut pay = |key: &str| {
            Ok::<_, Error>(post(tx, &transfer(key, people.wallet, people.cash, usd(2)))?.id)
        };
        let (reversed, refunded, spent) = (pay("reversed")?, pay("refunded")?, pay("spent")?);
        reverse(tx, &reversal("undone", reversed, "x"))?;
        refund(tx, &part("part", refunded, people.wallet, usd(1), "x"))?;
        post(tx, &transfer("drain", people.cash, people.wallet, usd(3)))?;
        Ok((reversed, refunded, spent))
    });
    Done { people, reversed, refunded, spent }
}

fn reversal(key: &str, of: TransactionId, reason: &str) -> Reversal {
    Reversal { key: key.to_owned(), of, reason: reason.to_owned(), effective_at: None }
}

fn part(key: &str, of: TransactionId, account: AccountId, amount: Amount, reason: &str) -> Refund {
    Refund { key: key.to_owned(), of, account, amount, reason: reason.to_owned() }
}

on_both_databases! {
    fn reversals_are_refused_in_order(db) {
        let done = done(&db);
        let long = "r".repeat(201);
        let new = |key: &str, of, reason: &str| Command::from(reversal(key, of, reason));
        walk(&db, &[
            ("KeyReused", new("drain", NOWHERE, "")),
            ("KeyReused", new("undone", done.reversed, "another")),
            ("BadKey", new("", NOWHERE, "")),
            ("BadText", new("k", NOWHERE, "")),
            ("BadText", new("k", NOWHERE, " ")),
            ("BadText", new("k", NOWHERE, &long)),
            ("UnknownTransaction", new("k", NOWHERE, "x")),
            ("AlreadyReversed", new("k", done.reversed, "x")),
            ("AlreadyRefunded", new("k", done.refunded, "x")),
            ("InsufficientFunds", new("k", done.spent, "x")),
        ]);
    }
}

on_both_databases! {
    fn refunds_are_refused_in_order(db) {
        let done = done(&db);
        let (wallet, much) = (done.people.wallet, Amount(i64::MAX));
        let new = |key: &str, of, account, amount, reason: &str| {
            Command::from(part(key, of, account, amount, reason))
        };
        walk(&db, &[
            ("KeyReused", new("part", NOWHERE, NOBODY, usd(0), "")),
            ("BadKey", new("", NOWHERE, NOBODY, usd(0), "")),
            ("BadText", new("k", NOWHERE, NOBODY, usd(0), "")),
            ("NotPositive", new("k", NOWHERE, NOBODY, usd(0), "x")),
            ("UnknownTransaction", new("k", NOWHERE, NOBODY, much, "x")),
            ("UnknownAccount", new("k", done.reversed, NOBODY, much, "x")),
            ("AlreadyReversed", new("k", done.reversed, wallet, much, "x")),
            ("OverRefund", new("k", done.refunded, wallet, much, "x")),
            ("OverRefund", new("k", done.refunded, wallet, Amount(1_000_001), "x")),
            ("InsufficientFunds", new("k", done.spent, wallet, usd(1), "x")),
        ]);
    }
}

on_both_databases! {
    fn months_are_refused_in_order(db) {
        let month = |text: &str| Day::parse(text).unwrap().month();
        let (august, september, october, november) = (
            month("2026-08-01"), month("2026-09-01"), month("2026-10-01"), month("2026-11-01"),
        );
        let (one, other) = (PartyId::from_bytes([1; 16]), PartyId::from_bytes([2; 16]));
        write(&db.store, |tx| {
            period::close(tx, september, one, "x")?;
            period::close(tx, october, one, "x")?;
            period::ask_to_reopen(tx, october, one, "x")
        });
        // The tests' clock starts on 2026-11-24.
        // A month that is closed was over: the first two cannot meet.
        let close = [
            ("BadText", november, ""),
            ("MonthClosed", september, "x"),
            ("MonthClosed", october, "x"),
            ("MonthNotOver", november, "x"),
        ];
        let ask = [
            ("BadText", august, " "), ("MonthNotClosed", august, "x"),
            ("MonthNotClosed", october, "x"),
        ];
        let reopen = [
            ("BadText", august, "a\0b"), ("MonthNotClosed", august, "x"),
            ("MonthNotClosed", september, "x"), ("SamePerson", october, "x"),
        ];
        assert_in_order(close.iter().map(|line| line.0));
        assert_in_order(reopen.iter().map(|line| line.0));
        for (expected, month, reason) in close {
            let answer = refused(&db, |tx| period::close(tx, month, one, reason));
            assert_eq!(answer, expected, "close {month}");
        }
        for (expected, month, reason) in ask {
            let answer = refused(&db, |tx| period::ask_to_reopen(tx, month, other, reason));
            assert_eq!(answer, expected, "ask to open {month}");
        }
        for (expected, month, reason) in reopen {
            let answer = refused(&db, |tx| period::reopen(tx, month, one, reason));
            assert_eq!(answer, expected, "open {month}");
        }
        write(&db.store, |tx| period::reopen(tx, october, other, "x"));
    }
}

on_both_databases! {
    fn linked_commands_fail_of_the_first_refusal(db) {
        let people = People::with(&db, usd(5));
        let pay = |key: &str, amount| {
            Command::post(transfer(key, people.wallet, people.cash, usd(amount)))
        };
        let held = |key: &str, amount| Command::hold(new_hold(key, people.wallet, usd(amount)));
        let known = write(&db.store, |tx| ledger::run(tx, &pay("known", 1)));
        let groups = [
            // Refused of the second though the third is wrong before it in precedence.
            (vec![pay("a", 1), pay("b", 9), pay("", 1)], 1, "InsufficientFunds"),
            (vec![pay("a", 4), held("h", 1), pay("c", 0)], 1, "InsufficientFunds"),
            (vec![pay("known", 1), pay("a", 1), pay("known", 2)], 2, "KeyReused"),
            // The key's first command is of the group and undone with it.
            (vec![pay("a", 1), pay("a", 2), pay("b", 1)], 1, "KeyReused"),
            (vec![held("h", 1), pay("a", 1), held("h", 2)], 2, "KeyReused"),
        ];
        for (group, at, expected) in &groups {
            assert_eq!(refused(&db, |tx| execute_linked(tx, group)), *expected, "{group:?}");
            let answers = write(&db.store, |tx| {
                let before = rows(tx);
                let answers = execute_groups(tx, &[group])?;
                assert_eq!(rows(tx), before);
                Ok(answers)
            });
            let names: Vec<_> = answers.iter().map(|answer| name(answer.as_ref().unwrap_err())).collect();
            let mut all = vec!["LinkedFailed"; group.len()];
            all[*at] = expected;
            assert_eq!(names, all);
        }
        // Between others that go on, and no key is consumed.
        let between = [pay("before", 1)];
        let answers = write(&db.store, |tx| {
            execute_groups(tx, &[&between, &groups[3].0, &[pay("a", 2)], &[pay("known", 1)]])
        });
        let posted = |n: usize| answers[n].as_ref().unwrap().posted().unwrap();
        assert!(!posted(0).replayed && !posted(4).replayed);
        assert_eq!(posted(5).id, known.posted().unwrap().id);
        let Err(Error::KeyReused { key, differs }) = &answers[2] else { panic!("{answers:?}") };
        assert_eq!((&**key, fields(differs)), ("a", vec!["command"]));
        assert_clean(&db.store);
    }
}

on_both_databases! {
    fn a_closed_month_comes_before_the_hold(db) {
        let people = People::with(&db, usd(5));
        let october = Timestamp::parse("2026-10-31").unwrap();
        write(&db.store, |tx| {
            let by = PartyId::from_bytes([1; 16]);
            period::close(tx, Day::of(october).month(), by, "month's end")?;
            open_account(tx, Code::Bank, by, "EUR")
        });
        let late = ledger::NewTransaction {
            effective_at: october,
            late: ledger::Late::Refuse,
            ..transfer("k", people.wallet, people.cash, usd(9))
        };
        let nothing = HoldId::from_bytes([1; 16]);
        assert_eq!(refused(&db, |tx| capture_hold(tx, nothing, &late)), "MonthClosed");
        let in_time = ledger::NewTransaction { late: ledger::Late::NextOpen, ..late };
        assert_eq!(refused(&db, |tx| capture_hold(tx, nothing, &in_time)), "UnknownHold");
    }
}

on_both_databases! {
    fn assets_and_their_scale_are_refused_in_order(db) {
        let asset = |code: &str, scale, redemption: Option<(&str, i64)>| ledger::Asset {
            code: code.to_owned(),
            scale,
            redemption: redemption.map(|(code, ppm)| (code.to_owned(), ppm)),
        };
        let table = [
            ("BadAsset", asset("usd", 2, Some(("XAU", 0)))),
            ("BadAsset", asset("USD", 7, Some(("XAU", 0)))),
            ("BadRate", asset("USD", 2, Some(("XAU", 0)))),
            ("UnknownAsset", asset("USD", 2, Some(("XAU", 1)))),
            ("AssetExists", asset("USD", 2, None)),
        ];
        assert_in_order(table.iter().map(|line| line.0));
        for (expected, new) in &table {
            assert_eq!(refused(&db, |tx| ledger::add_asset(tx, new)), *expected, "{new:?}");
        }
        let (from, to) = write(&db.store, |tx| {
            ledger::add_asset(tx, &asset("JPY", 0, None))?;
            let party = PartyId::from_bytes([1; 16]);
            let from = open_account(tx, Code::Bank, party, "JPY")?;
            Ok((from, open_account(tx, Code::CustomerWallet, party, "JPY")?))
        });
        let legs = |legs: &[(AccountId, i64)]| Command::post(ledger::NewTransaction {
            legs: legs.iter().map(|(id, n)| ledger::Leg { account: *id, amount: Amount(*n) }).collect(),
            ..transfer("k", from, to, Amount(1))
        });
        walk(&db, &[
            ("UnknownAccount", legs(&[(from, 500_000), (NOBODY, 500_000)])),
            ("TooFine", legs(&[(from, 1_500_000), (to, 7)])),
            ("TooFine", legs(&[(from, 1_000_000), (to, 500_000)])),
            ("Unbalanced", legs(&[(from, 1_000_000), (to, 1_000_000)])),
            ("InsufficientFunds", legs(&[(to, 1_000_000), (from, -1_000_000)])),
        ]);
    }
}
