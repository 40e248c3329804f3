//! Reading the book: what the reports say is what a naive fold over all entries says.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use common::{People, read, transfer, usd, write};
use diesel::prelude::*;
use ledger::report::{
    AsOf, HistoryPage, Order, Search, balance_as_of, each_balance, history, transactions, tree,
    trial_balance_as_of,
};
use ledger::{Code, Kind, NewTransaction, open_account, post};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use store::schema::transaction_metadata as metadata;
use store::schema::{account, day_balance, entry, ledger_transaction as posting};
use store::testing::{START, TestDb};
use store::{AccountId, Amount, Day, PartyId, Timestamp, TransactionId, on_both_databases};

const DAY_S: i64 = 86_400;

/// A transfer between accounts 0 to 3, the first being the bank.
#[derive(Clone, Debug)]
struct Op {
    from: usize,
    to: usize,
    amount: i64,
    /// Before the clock is read.
    wait_s: i64,
    /// How many days before its posting it counts, and how many days after that it is booked.
    back: i64,
    late: i32,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let late = prop_oneof![4 => Just(0), 1 => 1..40_i32];
    let op = (0..4_usize, 1..4_usize, 1..1_000_i64, 0..DAY_S, 0..6_i64, late).prop_map(
        |(from, step, amount, wait_s, back, late)| Op {
            from,
            to: (from + step) % 4,
            amount,
            wait_s,
            back,
            late,
        },
    );
    prop::collection::vec(op, 1..60)
}

/// An entry, debits positive.
#[derive(Clone, Debug)]
struct Row {
    account: AccountId,
    code: Code,
    number: i64,
    amount: i64,
    posted_at: Timestamp,
    effective_at: Timestamp,
    booked_on: Day,
}

impl Row {
    fn counts(&self, as_of: AsOf) -> bool {
        match as_of {
            AsOf::Now => true,
            AsOf::Posted(before) => self.posted_at < before,
            AsOf::Booked(day) => self.booked_on <= day,
            AsOf::Effective(day) => Day::of(self.effective_at) <= day,
        }
    }

    /// In the account's own direction.
    fn own(&self) -> i64 {
        self.code.side().own(Amount(self.amount)).unwrap().0
    }
}

fn all_rows(db: &TestDb) -> Vec<Row> {
    type Raw = (AccountId, String, i64, Amount, Timestamp, Timestamp, Day);
    let rows: Vec<Raw> = read(&db.store, |tx| {
        Ok(entry::table
            .inner_join(posting::table.on(posting::id.eq(entry::transaction_id)))
            .inner_join(account::table.on(account::id.eq(entry::account_id)))
            .order((entry::account_id, entry::number))
            .select((
                entry::account_id,
                account::code,
                entry::number,
                entry::amount,
                posting::posted_at,
                posting::effective_at,
                posting::booked_on,
            ))
            .load(tx.conn)?)
    });
    let row = |(account, code, number, amount, posted_at, effective_at, booked_on): Raw| Row {
        account,
        code: Code::parse(&code).unwrap(),
        number,
        amount: amount.0,
        posted_at,
        effective_at,
        booked_on,
    };
    rows.into_iter().map(row).collect()
}

/// Posts the operations between accounts of their own.
fn fill(db: &TestDb, case: u32, ops: &[Op]) -> Vec<AccountId> {
    let accounts = write(&db.store, |tx| {
        let party: PartyId = tx.id();
        let parties = [party, party, party, party];
        let codes = [Code::Bank, Code::FeeIncome, Code::TaxPayable, Code::BonusExpense];
        let open = |(code, party)| open_account(tx, code, party, "USD");
        codes.into_iter().zip(parties).map(open).collect::<ledger::Result<Vec<_>>>()
    });
    for (number, op) in ops.iter().enumerate() {
        db.clock.advance_s(op.wait_s);
        let effective_at = db.store.now().plus_s(-op.back * DAY_S);
        let key = format!("{case} {number}");
        let (from, to) = (accounts[op.from], accounts[op.to]);
        let new = transfer(&key, from, to, Amount(op.amount));
        let id = write(&db.store, |tx| post(tx, &NewTransaction { effective_at, ..new })).id;
        if op.late > 0 {
            book_late(db, id, Day(Day::of(effective_at).0 + op.late));
        }
    }
    accounts
}

/// As if the months in between had been closed.
fn book_late(db: &TestDb, id: TransactionId, on: Day) {
    write(&db.store, |tx| {
        let change = diesel::update(posting::table.find(id)).set(posting::booked_on.eq(on));
        Ok(change.execute(tx.conn)?)
    });
}

/// Sums the account's entries up to the one numbered `upto` by days, as the sealer does.
fn sum_days(db: &TestDb, rows: &[Row], account: AccountId, upto: i64) {
    let mut days: BTreeMap<Day, (i64, i64)> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.account == account && row.number <= upto) {
        let day = days.entry(row.booked_on).or_default();
        *day = (day.0 + row.amount, row.number);
    }
    write(&db.store, |tx| {
        for (day, (net, upto)) in days {
            let row = (
                day_balance::account_id.eq(account),
                day_balance::day.eq(day),
                day_balance::net.eq(net),
                day_balance::upto.eq(upto),
            );
            diesel::insert_into(day_balance::table).values(row).execute(tx.conn)?;
        }
        Ok(())
    });
}

fn moments(rows: &[Row]) -> Vec<AsOf> {
    let posted = rows.iter().flat_map(|row| [row.posted_at, row.posted_at.plus_us(1)]);
    let days = rows.iter().flat_map(|row| {
        let (booked, effective) = (row.booked_on, Day::of(row.effective_at));
        [booked, effective, Day(booked.0 - 1), Day(effective.0 - 1)]
    });
    let days = days.flat_map(|day| [AsOf::Booked(day), AsOf::Effective(day)]);
    let far = [AsOf::Now, AsOf::Posted(Timestamp(0)), AsOf::Effective(Day(0))];
    let mut all: Vec<_> = posted.map(AsOf::Posted).chain(days).chain(far).collect();
    all.dedup();
    all
}

fn check_balances(db: &TestDb, rows: &[Row], accounts: &[AccountId], as_of: AsOf) {
    read(&db.store, |tx| {
        for account in accounts {
            let own = rows.iter().filter(|row| row.account == *account && row.counts(as_of));
            let expected: i64 = own.map(Row::own).sum();
            assert_eq!(balance_as_of(tx, *account, as_of)?.0, expected, "{as_of:?}");
        }
        Ok(())
    });
}

fn check_reports(db: &TestDb, as_of: AsOf) {
    let rows = all_rows(db);
    let counted = || rows.iter().filter(|row| row.counts(as_of));
    read(&db.store, |tx| {
        each_balance(tx, as_of, |line| {
            let own = counted().filter(|row| row.account == line.account);
            assert_eq!(line.balance.posted.0, own.map(Row::own).sum::<i64>(), "{as_of:?}");
            Ok(())
        })?;
        for line in trial_balance_as_of(tx, as_of)? {
            let net: i64 =
                counted().filter(|row| row.code == line.code).map(|row| row.amount).sum();
            assert_eq!(line.debit.0 - line.credit.0, net, "{as_of:?}");
        }
        let nodes = tree(tx, as_of)?;
        let total =
            |path: &str| nodes.iter().find(|node| node.path == path).map_or(0, |node| node.total.0);
        assert_eq!(
            total("Assets") + total("Expenses"),
            total("Liabilities") + total("Income") + total("Equity")
        );
        let bank = counted().filter(|row| row.code == Code::Bank);
        assert_eq!(total("Assets:Bank"), bank.map(|row| row.amount).sum::<i64>());
        Ok(())
    });
}

/// Pages of any size in both directions are the history between two moments.
fn check_pages(db: &TestDb, rows: &[Row], account: AccountId, limit: usize) {
    let own: Vec<&Row> = rows.iter().filter(|row| row.account == account).collect();
    let times = own.first().zip(own.last());
    let (first, last) = times.map_or((START, START), |(a, b)| (a.posted_at, b.posted_at));
    let middle = Timestamp(first.0 / 2 + last.0 / 2);
    for (from, to) in
        [(None, None), (Some(middle), None), (None, Some(middle)), (Some(first), Some(last))]
    {
        let between = |row: &&&Row| {
            from.is_none_or(|from| row.posted_at >= from) && to.is_none_or(|to| row.posted_at < to)
        };
        let mut balance = 0;
        let all = own.iter().map(|row| {
            balance += row.own();
            (row, balance)
        });
        let mut expected: Vec<_> = all
            .filter(|(row, _)| between(row))
            .map(|(row, balance)| (row.number, row.own(), balance))
            .collect();
        for order in [Order::OldestFirst, Order::NewestFirst] {
            let (mut after, mut seen) = (None, Vec::new());
            loop {
                let page = HistoryPage { from, to, order, after, limit };
                let lines = read(&db.store, |tx| history(tx, account, &page));
                assert!(lines.len() <= limit);
                let Some(last) = lines.last() else { break };
                after = Some(last.number);
                seen.extend(lines.iter().map(|l| (l.number, l.amount.0, l.balance_after.0)));
            }
            assert_eq!(seen, expected, "{from:?} {to:?} {order:?}");
            expected.reverse();
        }
    }
}

on_both_databases! {
    fn a_balance_of_any_time_is_the_fold_of_what_counted_then(db) {
        let long = std::env::var_os("DRIVEWAY_TEST_LONG").is_some();
        let cases = if long { 200 } else { 12 };
        let config = Config { cases, failure_persistence: None, ..Config::default() };
        let case = std::cell::Cell::new(0);
        let input = (ops(), prop::collection::vec(0..70_i64, 4), 1..9_usize);
        TestRunner::new(config).run(&input, |(ops, upto, limit)| {
            case.set(case.get() + 1);
            let accounts = fill(&db, case.get(), &ops);
            let rows: Vec<Row> =
                all_rows(&db).into_iter().filter(|row| accounts.contains(&row.account)).collect();
            for (account, upto) in accounts.iter().zip(upto) {
                sum_days(&db, &rows, *account, upto);
            }
            let moments = moments(&rows);
            for as_of in moments.iter().step_by(moments.len() / 80 + 1) {
                check_balances(&db, &rows, &accounts, *as_of);
            }
            for as_of in moments.iter().step_by(moments.len() / 4 + 1) {
                check_reports(&db, *as_of);
            }
            check_pages(&db, &rows, accounts[0], limit);
            Ok(())
        }).unwrap();
    }
}

on_both_databases! {
    fn the_tree_rolls_up(db) {
        People::with(&db, usd(30));
        People::with(&db, usd(12));
        let nodes = read(&db.store, |tx| tree(tx, AsOf::Now));
        let found: Vec<_> = nodes
            .iter()
            .map(|node| (&*node.path, node.own, node.total, node.accounts, node.depth()))
            .collect();
        assert_eq!(found, [
            ("Assets", Amount::ZERO, usd(42), 1, 0),
            ("Assets:Bank", usd(42), usd(42), 1, 1),
            ("Liabilities", Amount::ZERO, usd(42), 4, 0),
            ("Liabilities:Customers", Amount::ZERO, usd(42), 2, 1),
            ("Liabilities:Customers:Wallets", usd(42), usd(42), 2, 2),
            ("Liabilities:Owners", Amount::ZERO, Amount::ZERO, 2, 1),
            ("Liabilities:Owners:Cash", Amount::ZERO, Amount::ZERO, 2, 2),
        ]);
        assert_eq!(nodes[4].name(), "Wallets");
        let before = read(&db.store, |tx| tree(tx, AsOf::Posted(START)));
        assert!(before.iter().all(|node| node.total == Amount::ZERO), "{before:?}");
    }
}

fn note(db: &TestDb, id: TransactionId, name: &str, value: &str) {
    write(&db.store, |tx| {
        let row =
            (metadata::transaction_id.eq(id), metadata::name.eq(name), metadata::value.eq(value));
        Ok(diesel::insert_into(metadata::table).values(row).execute(tx.conn)?)
    });
}

/// Every page of a search, one after another.
fn search(db: &TestDb, search: &Search, limit: usize) -> Vec<TransactionId> {
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let found = read(&db.store, |tx| transactions(tx, search, after, limit));
        assert!(found.lines.len() <= limit);
        seen.extend(found.lines.iter().map(|line| line.transaction));
        after = found.next;
        if after.is_none() {
            return seen;
        }
    }
}

on_both_databases! {
    fn transactions_are_found_by_what_they_say(db) {
        let people = People::with(&db, usd(100));
        let mut ids = Vec::new();
        for n in 0..7 {
            db.clock.advance_s(3_600);
            let kind = if n == 3 { Kind::Refund } else { Kind::Adjustment };
            let subject = if n == 5 { "key 5".to_owned() } else { format!("about {}", n % 2) };
            let new = transfer(&format!("key {n}"), people.wallet, people.cash, usd(1));
            ids.push(write(&db.store, |tx| post(tx, &NewTransaction { kind, subject, ..new })).id);
        }
        note(&db, ids[1], "ticket", "7");
        note(&db, ids[4], "ticket", "7");
        note(&db, ids[4], "order", "7");
        note(&db, ids[6], "ticket", "8");
        let by = |wanted: Search| [1, 2, 50].map(|limit| search(&db, &wanted, limit));
        let expect = |wanted: Search, places: &[usize]| {
            let expected: Vec<_> = places.iter().map(|place| ids[*place]).collect();
            for found in by(wanted.clone()) {
                assert_eq!(found, expected, "{wanted:?}");
            }
        };
        let subject = |text: &str| Search { subject: Some(text.to_owned()), ..Search::default() };
        expect(subject("about 1"), &[1, 3]);
        expect(subject("about 0"), &[0, 2, 4, 6]);
        // What is its own subject is found by its key, and everything else too.
        expect(subject("key 5"), &[5]);
        expect(subject("key 0"), &[0]);
        expect(subject("nothing"), &[]);
        let ticket = Some(("ticket".to_owned(), "7".to_owned()));
        let with = Search { metadata: ticket.clone(), ..Search::default() };
        expect(with, &[1, 4]);
        expect(Search { metadata: ticket, ..subject("about 0") }, &[4]);
        let refund = Some(Kind::Refund);
        expect(Search { kind: refund, ..Search::default() }, &[3]);
        let hour = |n: i64| Some(START.plus_s(n * 3_600));
        expect(Search { from: hour(2), to: hour(4), ..Search::default() }, &[1, 2]);
        let kind = Some(Kind::Adjustment);
        expect(Search { kind, from: hour(3), to: None, ..Search::default() }, &[2, 4, 5, 6]);
        let all = search(&db, &Search::default(), 3);
        assert_eq!(all.len(), 8);
        assert_eq!(all[1..], ids);
    }
}

on_both_databases! {
    fn unknown_accounts_have_no_history(db) {
        let unknown = AccountId::from_bytes([3; 16]);
        let page = HistoryPage { limit: 1, ..HistoryPage::default() };
        for as_of in [AsOf::Now, AsOf::Posted(START), AsOf::Booked(Day(9))] {
            assert!(db.store.read(|tx| balance_as_of(tx, unknown, as_of)).is_err());
        }
        assert!(db.store.read(|tx| history(tx, unknown, &page)).is_err());
    }
}

on_both_databases! {
    fn a_late_entry_counts_when_it_took_effect_and_is_booked_in_the_open_month(db) {
        let people = People::with(&db, usd(10));
        let effective_at = db.store.now();
        db.clock.advance_s(10 * DAY_S);
        let by: PartyId = write(&db.store, |tx| Ok(tx.id()));
        write(&db.store, |tx| {
            let november = Day::of(START).month();
            ledger::period::close(tx, november, by, "the end of the month")
        });
        let new = transfer("late", people.wallet, people.cash, usd(4));
        write(&db.store, |tx| post(tx, &NewTransaction { effective_at, ..new }));
        let day = |text| Day::parse(text).unwrap();
        for (as_of, expected) in [
            (AsOf::Effective(day("2026-11-23")), usd(0)),
            (AsOf::Effective(day("2026-11-24")), usd(4)),
            (AsOf::Booked(day("2026-11-30")), usd(0)),
            (AsOf::Booked(day("2026-12-01")), usd(4)),
            (AsOf::Posted(day("2026-12-04").start()), usd(0)),
            (AsOf::Posted(day("2026-12-05").start()), usd(4)),
            (AsOf::Now, usd(4)),
        ] {
            let found = read(&db.store, |tx| balance_as_of(tx, people.cash, as_of));
            assert_eq!(found, expected, "{as_of:?}");
        }
    }
}
