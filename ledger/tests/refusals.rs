//! Every refusal: which comes first, and that it changes not one row.
#![allow(clippy::unwrap_used)]

mod common;

use common::{assert_clean, assert_in_order, new_hold, refused, transfer, write};
use ledger::{
    Code, Error, Late, Leg, MAX_LEGS, MAX_METADATA, NewHold, NewTransaction, capture_hold, hold,
    open_account, period, place_hold, post, release_hold,
};
use store::testing::TestDb;
use store::{AccountId, Amount, Day, HoldId, PartyId, Timestamp, TransactionId, on_both_databases};

/// A wallet with 100, 30 of it held, a poor one, an account in euros, and one at the edge.
struct Book {
    rich: AccountId,
    poor: AccountId,
    euros: AccountId,
    edge: AccountId,
    open: HoldId,
    ended: HoldId,
    unknown: AccountId,
}

/// A moment of the month that is closed in [`book`]: 2026-10-31.
const OCTOBER: Timestamp = Timestamp(1_793_404_800_000_000);

fn book(db: &TestDb) -> Book {
    write(&db.store, |tx| {
        let mut open = |code, asset| {
            let party = tx.id();
            open_account(tx, code, party, asset)
        };
        let bank = open(Code::Bank, "USD")?;
        let (rich, poor) = (open(Code::CustomerWallet, "USD")?, open(Code::OwnerCash, "USD")?);
        let (euros, edge) = (open(Code::Bank, "EUR")?, open(Code::TaxPayable, "USD")?);
        post(tx, &transfer("fill", bank, rich, Amount(100)))?;
        post(tx, &transfer("edge", bank, edge, Amount(i64::MAX - 200)))?;
        let open = place_hold(tx, &new_hold("open", rich, Amount(30)))?.id;
        let ended = place_hold(tx, &new_hold("ended", rich, Amount(1)))?.id;
        release_hold(tx, ended)?;
        let october = Day::of(OCTOBER).month();
        period::close(tx, october, PartyId::from_bytes([1; 16]), "month's end")?;
        Ok(Book { rich, poor, euros, edge, open, ended, unknown: tx.id() })
    })
}

/// Each line is wrong in the ways of all lines under it that it can share, so that the order shows.
fn wrong_transactions(book: &Book) -> Vec<(&'static str, NewTransaction)> {
    let with = |key: &str, legs: &[(AccountId, i64)]| NewTransaction {
        legs: legs
            .iter()
            .map(|&(account, amount)| Leg { account, amount: Amount(amount) })
            .collect(),
        ..transfer(key, book.rich, book.poor, Amount(1))
    };
    let long = "k".repeat(201);
    let nowhere = TransactionId::from_bytes([1; 16]);
    let text = |subject: &str| NewTransaction { subject: subject.to_owned(), ..with("k", &[]) };
    let named = |count: usize, value: &str| {
        let metadata = (0..count).map(|n| (n.to_string(), value.to_owned())).collect();
        NewTransaction { corrects: Some(nowhere), metadata, ..with("k", &[]) }
    };
    let many: Vec<_> = (0..=MAX_LEGS).map(|_| (book.unknown, 0)).collect();
    let (rich, poor, unknown) = (book.rich, book.poor, book.unknown);
    vec![
        ("KeyReused", with("fill", &[])),
        ("BadKey", with("", &[])),
        ("BadKey", with(&long, &[])),
        ("BadKey", with("k\0", &[])),
        ("BadText", text(&long)),
        ("BadText", text("a\0b")),
        ("BadText", named(MAX_METADATA + 1, "v")),
        ("BadText", named(1, &long)),
        ("UnknownTransaction", named(1, "v")),
        ("NoLegs", with("k", &[])),
        ("TooManyLegs", with("k", &many)),
        ("ZeroLeg", with("k", &[(unknown, 5), (unknown, 0)])),
        ("SameAccount", with("k", &[(unknown, 5), (unknown, 5)])),
        ("UnknownAccount", with("k", &[(rich, 500), (unknown, 5)])),
        ("Unbalanced", with("k", &[(rich, 500)])),
        ("Unbalanced", with("k", &[(rich, i64::MAX), (poor, i64::MIN)])),
        ("Unbalanced", with("k", &[(rich, 500), (book.euros, -500)])),
        (
            "MonthClosed",
            NewTransaction {
                late: Late::Refuse,
                effective_at: OCTOBER,
                ..with("k", &[(rich, 500), (book.edge, -500)])
            },
        ),
        ("Overflow", with("k", &[(rich, 500), (book.edge, -500)])),
        ("InsufficientFunds", with("k", &[(rich, 71), (poor, -71)])),
        ("InsufficientFunds", with("k", &[(poor, 1), (rich, -1)])),
    ]
}

on_both_databases! {
    fn wrong_transactions_are_refused_in_order(db) {
        let book = book(&db);
        assert_in_order(wrong_transactions(&book).iter().map(|(name, _)| *name));
        for (expected, new) in wrong_transactions(&book) {
            assert_eq!(refused(&db, |tx| post(tx, &new)), expected, "{new:?}");
        }
        // None of them consumed its key, and what is available can be taken to the last unit.
        let all = transfer("k", book.rich, book.poor, Amount(70));
        assert!(!write(&db.store, |tx| post(tx, &all)).replayed);
        assert_clean(&db.store);
    }
}

on_both_databases! {
    fn wrong_captures_are_refused_in_order(db) {
        let book = book(&db);
        let take = |amount| transfer("k", book.rich, book.poor, Amount(amount));
        let give = transfer("k", book.poor, book.rich, Amount(5));
        let unknown = HoldId::from_bytes([1; 16]);
        let (open, ended) = (book.open, book.ended);
        let mut cases = vec![
            ("UnknownHold", unknown, take(500)),
            ("NothingCaptured", ended, give.clone()),
            ("NothingCaptured", open, give),
            ("NothingCaptured", open, transfer("k", book.edge, book.poor, Amount(5))),
            ("HoldEnded", ended, take(500)),
            ("OverCapture", open, take(31)),
            ("OverCapture", open, transfer("k", book.rich, book.edge, Amount(500))),
        ];
        let shapes = wrong_transactions(&book).into_iter().take_while(|(name, _)| *name != "Overflow");
        cases.extend(shapes.map(|(name, new)| (name, unknown, new)));
        for (expected, hold, new) in cases {
            assert_eq!(refused(&db, |tx| capture_hold(tx, hold, &new)), expected, "{new:?}");
        }
        // A capture frees nothing for the other legs, and is not short of funds itself.
        let short = NewTransaction {
            legs: vec![
                Leg { account: book.rich, amount: Amount(30) },
                Leg { account: book.poor, amount: Amount(1) },
                Leg { account: book.edge, amount: Amount(-31) },
            ],
            ..take(1)
        };
        assert_eq!(refused(&db, |tx| capture_hold(tx, open, &short)), "InsufficientFunds");
        write(&db.store, |tx| {
            let whole = capture_hold(tx, open, &take(30))?;
            assert!(!hold(tx, open)?.open);
            // The replay of what ended the hold is a replay.
            assert_eq!(capture_hold(tx, open, &take(30))?.id, whole.id);
            Ok(())
        });
        // A capture is not a transfer with the same legs, nor a capture of another hold.
        assert_eq!(refused(&db, |tx| post(tx, &take(30))), "KeyReused");
        assert_eq!(refused(&db, |tx| capture_hold(tx, ended, &take(30))), "KeyReused");
        assert_clean(&db.store);
    }
}

on_both_databases! {
    fn wrong_holds_are_refused_in_order(db) {
        let book = book(&db);
        let new = |key: &str, account, amount| new_hold(key, account, Amount(amount));
        for (expected, new) in [
            ("KeyReused", new("open", book.unknown, 0)),
            ("BadKey", NewHold { subject: "s".repeat(201), ..new("", book.unknown, 0) }),
            ("BadText", NewHold { subject: "s".repeat(201), ..new("k", book.unknown, 0) }),
            ("NotPositive", new("k", book.unknown, 0)),
            ("NotPositive", new("k", book.unknown, i64::MIN)),
            ("UnknownAccount", new("k", book.unknown, 500)),
            ("Overflow", new("k", book.rich, i64::MAX)),
            ("InsufficientFunds", new("k", book.rich, 71)),
            ("InsufficientFunds", new("k", book.poor, 1)),
        ] {
            assert_eq!(refused(&db, |tx| place_hold(tx, &new)), expected, "{new:?}");
        }
        let unknown = HoldId::from_bytes([1; 16]);
        assert_eq!(refused(&db, |tx| release_hold(tx, unknown)), "UnknownHold");
        assert_eq!(refused(&db, |tx| hold(tx, unknown)), "UnknownHold");
        let nobody = store::PartyId::NIL;
        assert_eq!(refused(&db, |tx| open_account(tx, Code::Bank, nobody, "XAU")), "UnknownAsset");
        assert!(!write(&db.store, |tx| place_hold(tx, &new("k", book.rich, 70))).replayed);
        assert_clean(&db.store);
    }
}

on_both_databases! {
    fn a_replay_is_a_replay_even_of_what_drained_the_account(db) {
        let book = book(&db);
        let drain = transfer("drain", book.rich, book.poor, Amount(70));
        let last = NewHold { expires_at: Some(Timestamp(5)), ..new_hold("h", book.poor, Amount(70)) };
        write(&db.store, |tx| {
            let first = post(tx, &drain)?;
            let placed = place_hold(tx, &last)?;
            let turned = NewTransaction { legs: drain.legs.iter().rev().copied().collect(), ..drain.clone() };
            for again in [&drain, &turned] {
                let again = post(tx, again)?;
                assert_eq!((again.id, again.replayed), (first.id, true));
            }
            let again = place_hold(tx, &last)?;
            assert_eq!((again.id, again.replayed), (placed.id, true));
            Ok(())
        });
        let differs = |error: Error| match error {
            Error::KeyReused { differs, .. } => common::fields(&differs),
            error => panic!("{error}"),
        };
        let other = NewTransaction {
            kind: ledger::Kind::Refund, subject: "x".into(), effective_at: Timestamp(2), ..drain.clone()
        };
        let error = db.store.write(|tx| post(tx, &other)).unwrap_err();
        assert_eq!(differs(error), ["kind", "subject", "effective_at"]);
        let error = db.store.write(|tx| post(tx, &transfer("drain", book.rich, book.poor, Amount(7))));
        assert_eq!(differs(error.unwrap_err()), ["legs"]);
        let other = NewHold { amount: Amount(1), expires_at: None, ..last };
        let error = db.store.write(|tx| place_hold(tx, &other)).unwrap_err();
        assert_eq!(differs(error), ["amount", "expires_at"]);
        assert_clean(&db.store);
    }
}
