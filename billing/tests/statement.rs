//! Statements: they chain, they are the fold of the entries, and they read well.
#![allow(clippy::unwrap_used)]

mod common;

use billing::Error;
use billing::bank_file::Debtor;
use billing::payout;
use billing::statement::{Statement, render_csv, render_html, statement};
use common::{IBAN, World};
use diesel::prelude::*;
use ledger::Code;
use store::schema::entry;
use store::testing::START;
use store::{Amount, PartyId, Timestamp, on_both_databases};

const DAY_S: i64 = 86_400;

fn day(number: i64) -> Timestamp {
    START.plus_s(number * DAY_S)
}

fn of(world: &World, from: Timestamp, to: Timestamp) -> Statement {
    world.read(|tx| statement(tx, world.owner, from, to))
}

/// Three days: leases in cash and in credits, one that earned nothing each day, and on the second
/// day a payout that leaves dust.
fn three_days(world: &World) {
    let clock = world.db.clock.clone();
    for number in 0..3 {
        for (minutes, seconds) in [(10, 777), (40, 900), (15, 1)] {
            clock.advance_s(minutes * 60);
            world.settle(world.cash_car, 333_333 + number * 7_777, seconds);
            clock.advance_s(60);
            world.settle(world.credit_car, 355_555, seconds);
        }
        world.earn_nothing(world.cash_car, "lost", &[("lost", "")]);
        if number == 1 {
            pay_out_all(world);
        }
        clock.advance_us(day(number + 1).since(world.now()));
    }
}

fn pay_out_all(world: &World) {
    world.write(|tx| {
        payout::set_payout_account(tx, world.owner, "Olga", IBAN)?;
        let id = payout::request(tx, world.owner, "USD", None)?;
        payout::approve(tx, world.finance, &[id], &Debtor::default())
    });
}

on_both_databases! {
    fn periods_side_by_side_chain_and_are_the_fold_of_the_entries(db) {
        let world = World::new(db, "Olga");
        three_days(&world);
        let whole = of(&world, day(0), day(3));
        assert_eq!(whole.sections.len(), 2);
        assert_eq!(whole.unpaid.len(), 3);
        for (number, code) in [(0, Code::OwnerCash), (1, Code::OwnerCredits)] {
            let section = &whole.sections[number];
            assert_eq!(section.opening, Amount::ZERO);
            assert_eq!(section.closing, world.balance(code, &section.asset).posted);
            let mut balance = Amount::ZERO;
            let mut lines = Vec::new();
            for number_of_day in 0..3 {
                let part = of(&world, day(number_of_day), day(number_of_day + 1));
                // Credits were earned from the first day on.
                let part = &part.sections[number];
                assert_eq!(part.opening, balance);
                let sum: Amount = part.lines.iter().map(|line| line.amount).sum();
                assert_eq!(part.closing, balance + sum);
                balance = part.closing;
                lines.extend(part.lines.clone());
            }
            assert_eq!(balance, section.closing);
            assert_eq!(lines, section.lines);
        }
        let cash = &whole.sections[0];
        assert_eq!(cash.lines.len(), 10);
        assert!(cash.lines.iter().any(|line| line.kind == "payout" && line.amount < Amount::ZERO));
        assert_ne!(cash.closing.0 % Amount::CENT.0, 0, "dust stays");
        world.assert_clean();
    }
}

on_both_databases! {
    fn a_line_explains_its_amount(db) {
        let world = World::new(db, "Olga");
        let cash = world.settle(world.cash_car, 1_000_001, 1_800);
        let credits = world.settle(world.credit_car, 1_000_001, 1_800);
        world.db.clock.advance_s(1);
        let found = of(&world, day(0), day(1));
        // 1.000001 for half an hour is 0.5000005, half-even 0.500000; 85% of it, and 10% more.
        let line = &found.sections[0].lines[0];
        assert_eq!((line.subject.clone(), line.amount), (cash.to_string(), Amount(425_000)));
        let lease = line.lease.as_ref().unwrap();
        assert_eq!((lease.gross, lease.fee, lease.bonus), (Amount(500_000), Amount(75_000), Amount(0)));
        assert_eq!((lease.vehicle, lease.seconds), (world.cash_car, 1_800));
        assert_eq!((lease.region.as_str(), lease.class.as_str()), ("us-ca", "hw4"));
        let line = &found.sections[1].lines[0];
        assert_eq!((line.subject.clone(), line.amount), (credits.to_string(), Amount(467_500)));
        let lease = line.lease.as_ref().unwrap();
        assert_eq!(lease.asset, "USD");
        assert_eq!((lease.fee, lease.bonus), (Amount(75_000), Amount(42_500)));
    }
}

on_both_databases! {
    fn leases_that_earned_nothing_are_listed_with_their_reason(db) {
        let world = World::new(db, "Olga");
        let lost = world.earn_nothing(world.cash_car, "lost", &[("failed_car", "no memory"), ("lost", "")]);
        world.db.clock.advance_s(1);
        let free = world.settle(world.credit_car, 0, 60);
        world.db.clock.advance_s(1);
        let refused = world.earn_nothing(world.cash_car, "not_taken", &[]);
        world.another_owner("Otto");
        world.db.clock.advance_s(1);
        let found = of(&world, START, day(1));
        let reasons: Vec<_> =
            found.unpaid.iter().map(|lease| (lease.lease, lease.reason.as_str())).collect();
        assert_eq!(reasons, [
            (lost, "the car failed: no memory; the car was not heard of"),
            (free, "the price comes to nothing"),
            (refused, "the car did not take the offer"),
        ]);
        assert_eq!(of(&world, START.plus_s(1), START.plus_s(2)).unpaid.len(), 1);
        assert_eq!(found.sections, []);
    }
}

on_both_databases! {
    fn an_entry_that_came_late_is_in_one_period(db) {
        let world = World::new(db, "Olga");
        let clock = world.db.clock.clone();
        clock.advance_s(100);
        world.settle(world.cash_car, 360_000, 10);
        // The third began before the boundary, and is posted after one that began after it: it has
        // that one's moment.
        clock.advance_s(10);
        world.settle(world.cash_car, 360_000, 20);
        clock.advance_s(-6);
        world.settle(world.cash_car, 360_000, 30);
        clock.advance_s(60);
        world.settle(world.cash_car, 360_000, 40);
        let boundary = START.plus_s(107);
        let (first, second) = (of(&world, day(0), boundary), of(&world, boundary, day(1)));
        let (first, second) = (&first.sections[0], &second.sections[0]);
        assert_eq!((first.lines.len(), second.lines.len()), (1, 3));
        assert_eq!(first.closing, second.opening);
        assert_eq!(second.closing, world.balance(Code::OwnerCash, "USD").posted);
    }
}

on_both_databases! {
    fn what_comes_later_does_not_change_a_statement(db) {
        let world = World::new(db, "Olga");
        world.settle(world.cash_car, 360_000, 10);
        world.db.clock.advance_s(DAY_S);
        let before = of(&world, day(0), day(1));
        world.settle(world.cash_car, 360_000, 10);
        world.settle(world.credit_car, 360_000, 10);
        pay_out_after(&world);
        let after = of(&world, day(0), day(1));
        assert_eq!(render_html(&after), render_html(&before));
        assert_eq!(render_csv(&after).unwrap(), render_csv(&before).unwrap());
    }
}

fn pay_out_after(world: &World) {
    world.earn(world.cash_car, 10_000);
    pay_out_all(world);
}

on_both_databases! {
    fn periods_without_anything_are_empty(db) {
        let world = World::new(db, "Olga");
        world.settle(world.cash_car, 360_000, 10);
        world.db.clock.advance_s(DAY_S);
        for (from, to) in [(day(1), day(1)), (day(1), day(0)), (day(1), day(2))] {
            let found = of(&world, from, to);
            assert_eq!(found.sections[0].lines, []);
            assert_eq!(found.sections[0].opening, Amount(850));
            assert_eq!(found.sections[0].closing, Amount(850));
        }
        for (from, to) in [(Timestamp(i64::MIN), Timestamp(i64::MAX)), (day(0), day(1))] {
            assert_eq!(of(&world, from, to).sections[0].lines.len(), 1);
        }
        let nobody = world.read(|tx| statement(tx, PartyId::NIL, day(0), day(1)));
        assert_eq!((nobody.owner_name, nobody.sections.len()), (None, 0));
    }
}

on_both_databases! {
    fn a_book_that_was_changed_gives_no_statement(db) {
        let world = World::new(db, "Olga");
        for _ in 0..3 {
            world.settle(world.cash_car, 360_000, 10);
            world.db.clock.advance_s(DAY_S);
        }
        let account = world.read(|tx| {
            Ok(ledger::find_account(tx, Code::OwnerCash, world.owner, "USD")?.unwrap())
        });
        let change = |number: i64, by: i64| {
            world.write(|tx| {
                let row = entry::table
                    .filter(entry::account_id.eq(account))
                    .filter(entry::number.eq(number));
                let amount: Amount = row.select(entry::amount).first(tx.conn)?;
                let row = entry::table
                    .filter(entry::account_id.eq(account))
                    .filter(entry::number.eq(number));
                let set = entry::amount.eq(Amount(amount.0 + by));
                diesel::update(row).set(set).execute(tx.conn)?;
                Ok(())
            });
        };
        let last_day = || world.db.store.read(|tx| statement(tx, world.owner, day(2), day(3)));
        assert!(last_day().is_ok());
        // Before the period, and in it.
        for number in [1, 3] {
            change(number, 1);
            assert!(matches!(last_day(), Err(Error::Disagrees(_))), "{number}");
            change(number, -1);
        }
        assert!(last_day().is_ok());
    }
}

on_both_databases! {
    fn documents_are_as_in_the_snapshots(db) {
        let world = World::new(db, "<b>Olga & \"Co\"</b>");
        let mut names = vec![
            (world.owner.to_string(), "OWNER"),
            (world.cash_car.to_string(), "CASH_CAR"),
            (world.credit_car.to_string(), "CREDIT_CAR"),
        ];
        world.db.clock.advance_s(1_000);
        names.push((world.settle(world.cash_car, 54_321_012, 777).to_string(), "LEASE_1"));
        names.push((world.settle(world.credit_car, 54_321_012, 1).to_string(), "LEASE_2"));
        let attempts = [("failed_car", "=cmd|' /C calc'!A0 <script>"), ("vacated", "")];
        let nothing = world.earn_nothing(world.cash_car, "vacated", &attempts);
        names.push((nothing.to_string(), "LEASE_3"));
        world.db.clock.advance_s(DAY_S);
        world.write(|tx| {
            payout::set_payout_account(tx, world.owner, "Olga", IBAN)?;
            let id = payout::request(tx, world.owner, "USD", None)?;
            names.push((id.to_string(), "PAYOUT"));
            payout::approve(tx, world.finance, &[id], &Debtor::default())
        });
        let found = of(&world, day(0), day(2));
        let html = render_html(&found).replace("><", ">\n<");
        snapshot("statement.html", &html, &names);
        snapshot("statement.csv", &String::from_utf8(render_csv(&found).unwrap()).unwrap(), &names);
        assert!(!html.contains("<b>") && !html.contains("<script>"));
        assert!(html.contains("&lt;b&gt;Olga &amp; &quot;Co&quot;&lt;/b&gt;"));
    }
}

/// Compares with a file, ids by their names; `UPDATE_SNAPSHOTS=1` writes it.
fn snapshot(file: &str, text: &str, names: &[(String, &str)]) {
    let path = format!("{}/tests/snapshots/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = names.iter().fold(text.to_owned(), |text, (id, name)| text.replace(id, name));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&path).unwrap(), "{path}");
}
