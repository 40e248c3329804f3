//! Months that are closed.
#![allow(clippy::unwrap_used)]

mod common;

use common::{People, assert_clean, read, transfer, usd, write};
use diesel::prelude::*;
use ledger::period::{self, State};
use ledger::{Error, Late, NewTransaction, post};
use store::schema::ledger_transaction;
use store::testing::TestDb;
use store::{Day, Month, PartyId, Timestamp, on_both_databases};

fn month(text: &str) -> Month {
    Month::parse(text).unwrap()
}

/// Posts what counts on a day, and answers the day on which it is booked.
fn booked(db: &TestDb, people: &People, key: &str, day: &str) -> String {
    let new = NewTransaction {
        effective_at: Timestamp::parse(day).unwrap(),
        ..transfer(key, people.wallet, people.cash, store::Amount(1))
    };
    let id = write(&db.store, |tx| post(tx, &new)).id;
    let day: Day = read(&db.store, |tx| {
        Ok(ledger_transaction::table
            .find(id)
            .select(ledger_transaction::booked_on)
            .first(tx.conn)?)
    });
    day.to_string()
}

on_both_databases! {
    fn what_is_late_is_booked_in_the_next_open_month(db) {
        // The tests' clock starts on 2026-11-24.
        let people = People::with(&db, usd(10));
        let (ann, ben): (PartyId, PartyId) = write(&db.store, |tx| Ok((tx.id(), tx.id())));
        let close = |text: &str, by| db.store.write(|tx| period::close(tx, month(text), by, "month's end"));
        assert_eq!(booked(&db, &people, "a", "2026-09-30"), "2026-09-30");
        close("2026-09", ann).unwrap();
        close("2026-10", ann).unwrap();
        assert_eq!(booked(&db, &people, "b", "2026-09-30"), "2026-11-01");
        assert_eq!(booked(&db, &people, "c", "2026-10-31T23:59:59.999999Z"), "2026-11-01");
        assert_eq!(booked(&db, &people, "d", "2026-11-23"), "2026-11-23");
        assert_eq!(booked(&db, &people, "e", "2026-08-15"), "2026-08-15");
        // Next month is open as well.
        assert_eq!(booked(&db, &people, "f", "2026-12-02"), "2026-12-02");
        let strict = NewTransaction {
            effective_at: Timestamp::parse("2026-10-05").unwrap(),
            late: Late::Refuse,
            ..transfer("g", people.wallet, people.cash, usd(1))
        };
        let refused = db.store.write(|tx| post(tx, &strict));
        assert!(matches!(refused, Err(Error::MonthClosed(closed)) if closed == month("2026-10")));

        let ask = |by| db.store.write(|tx| period::ask_to_reopen(tx, month("2026-10"), by, "an invoice came late"));
        let reopen = |by| db.store.write(|tx| period::reopen(tx, month("2026-10"), by, "yes"));
        assert!(matches!(reopen(ben), Err(Error::MonthNotClosed(_))), "nobody has asked");
        ask(ann).unwrap();
        assert!(matches!(ask(ben), Err(Error::MonthNotClosed(_))));
        assert_eq!(booked(&db, &people, "h", "2026-10-31"), "2026-11-01", "still closed");
        assert!(matches!(reopen(ann), Err(Error::SamePerson)));
        reopen(ben).unwrap();
        write(&db.store, |tx| post(tx, &strict));
        assert_eq!(booked(&db, &people, "i", "2026-09-01"), "2026-10-01");
        close("2026-10", ben).unwrap();
        let events = read(&db.store, |tx| period::events(tx, month("2026-10")));
        let kinds: Vec<_> = events.iter().map(|event| (&*event.kind, event.by)).collect();
        assert_eq!(kinds, [("closed", ann), ("reopen_asked", ann), ("reopened", ben), ("closed", ben)]);
        assert_clean(&db.store);
    }
}

on_both_databases! {
    fn a_month_is_closed_when_it_is_over(db) {
        let ann: PartyId = write(&db.store, |tx| Ok(tx.id()));
        let close = |text: &str, reason: &str| {
            db.store.write(|tx| period::close(tx, month(text), ann, reason))
        };
        assert!(matches!(close("2026-11", "early"), Err(Error::MonthNotOver { .. })));
        assert!(matches!(close("2027-01", "early"), Err(Error::MonthNotOver { .. })));
        for reason in ["", " ", &"x".repeat(201), "a\0b"] {
            assert!(matches!(close("2026-10", reason), Err(Error::BadText)));
        }
        // 2026-12-01T00:59:59Z, and a second later.
        db.clock.advance_s(7 * 86_400 + 3_599);
        let early = close("2026-11", "a minute early");
        let from = Timestamp::parse("2026-12-01T01:00:00Z").unwrap();
        assert!(matches!(early, Err(Error::MonthNotOver { from: at, .. }) if at == from));
        db.clock.advance_s(1);
        close("2026-11", "in time").unwrap();
        assert!(matches!(close("2026-11", "twice"), Err(Error::MonthClosed(_))));
        let state = |text: &str| read(&db.store, |tx| period::state(tx, month(text)));
        assert_eq!((state("2026-11"), state("2026-10")), (State::Closed, State::Open));
    }
}

on_both_databases! {
    fn closing_waits_for_what_is_on_its_way(db) {
        let people = People::with(&db, usd(10));
        let ann: PartyId = write(&db.store, |tx| Ok(tx.id()));
        let october = month("2026-10");
        let (posted, go) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                write(&db.store, |tx| {
                    let new = NewTransaction {
                        effective_at: october.first_day().start(),
                        ..transfer("on its way", people.wallet, people.cash, usd(1))
                    };
                    let first = post(tx, &new)?;
                    posted.wait();
                    go.wait();
                    // Enough for the other to be waiting.
                    std::thread::sleep(std::time::Duration::from_millis(100));
                    Ok(first)
                });
            });
            posted.wait();
            go.wait();
            write(&db.store, |tx| {
                period::close(tx, october, ann, "month's end")?;
                let booked: i64 = ledger_transaction::table
                    .filter(ledger_transaction::booked_on.lt(october.next().first_day()))
                    .filter(ledger_transaction::booked_on.ge(october.first_day()))
                    .count()
                    .get_result(tx.conn)?;
                assert_eq!(booked, 1, "it is there before the month is closed");
                Ok(())
            });
        });
    }
}

on_both_databases! {
    fn a_softly_closed_month_takes_what_finance_puts_right(db) {
        let people = People::with(&db, usd(10));
        let (ann, ben): (PartyId, PartyId) = write(&db.store, |tx| Ok((tx.id(), tx.id())));
        let october = month("2026-10");
        let soft = || db.store.write(|tx| period::soft_close(tx, october, ann, "month's end"));
        let close = || db.store.write(|tx| period::close(tx, october, ann, "month's end"));
        let adjust = |key: &str| {
            let new = NewTransaction {
                effective_at: Timestamp::parse("2026-10-31").unwrap(),
                late: Late::Adjust,
                ..transfer(key, people.wallet, people.cash, usd(1))
            };
            let id = db.store.write(|tx| post(tx, &new))?.id;
            let booked_on = ledger_transaction::table.find(id).select(ledger_transaction::booked_on);
            let day: Day = read(&db.store, |tx| Ok(booked_on.first(tx.conn)?));
            Ok::<_, Error>(day.to_string())
        };
        assert_eq!(adjust("open").unwrap(), "2026-10-31");
        soft().unwrap();
        assert!(matches!(soft(), Err(Error::MonthClosed(_))));
        assert_eq!(read(&db.store, |tx| period::state(tx, october)), State::Soft);
        assert_eq!(booked(&db, &people, "business", "2026-10-31"), "2026-11-01");
        assert_eq!(adjust("soft").unwrap(), "2026-10-31");
        close().unwrap();
        assert!(matches!(adjust("hard"), Err(Error::MonthClosed(closed)) if closed == october));
        assert!(matches!(soft(), Err(Error::MonthClosed(_))));
        // A softly closed month opens by two as a closed one does.
        let september = month("2026-09");
        write(&db.store, |tx| period::soft_close(tx, september, ann, "month's end"));
        write(&db.store, |tx| period::ask_to_reopen(tx, september, ann, "too early"));
        let reopened = db.store.write(|tx| period::reopen(tx, september, ann, "yes"));
        assert!(matches!(reopened, Err(Error::SamePerson)));
        write(&db.store, |tx| period::reopen(tx, september, ben, "yes"));
        let kinds: Vec<String> = read(&db.store, |tx| period::events(tx, september))
            .into_iter()
            .map(|event| event.kind)
            .collect();
        assert_eq!(kinds, ["soft_closed", "reopen_asked", "reopened"]);
        assert_clean(&db.store);
    }
}
