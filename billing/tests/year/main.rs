//! A year of business, every month closed: what our reports say is what hledger, beancount and
//! openpyxl find, to the micro-unit, and SQLite and PostgreSQL give the same bytes.
//!
//! 200 customers, 500 owners, 50,000 leases; `DRIVEWAY_TEST_YEAR` says how many there are instead, and
//! `DRIVEWAY_TEST_LONG` makes them ten times as many.
#![allow(clippy::unwrap_used)]

#[path = "../common/report.rs"]
mod answers;
mod business;
mod oracle;

use std::collections::BTreeMap;

use answers::{Row, as_of, between, parse_csv, parse_xlsx, rows, written};
use billing::report::{Format, Words};
use business::{MONTHS, Year, month};
use ledger::{Code, export, period};
use oracle::{Moved, beancount, hledger};
use store::testing::TestDb;
use store::{Amount, Day, Store};

/// Leases of the year.
fn leases() -> usize {
    let named = std::env::var("DRIVEWAY_TEST_YEAR").ok().and_then(|text| text.parse().ok());
    let long = std::env::var_os("DRIVEWAY_TEST_LONG").is_some();
    named.unwrap_or(if long { 500_000 } else { 50_000 })
}

#[test]
fn a_year_closes_and_others_agree_sqlite_and_postgres() {
    let [sqlite, postgres] = std::thread::scope(|scope| {
        let make = [TestDb::sqlite, TestDb::postgres].map(|db| scope.spawn(move || run(db())));
        make.map(|year| year.join().unwrap())
    });
    let files = |db: &TestDb| {
        [exported(&db.store, export::hledger), exported(&db.store, export::beancount)]
    };
    let [journal, beans] = files(&sqlite);
    assert!(files(&postgres) == [journal.clone(), beans.clone()], "the databases differ");
    same_bytes(&sqlite.store, &postgres.store);
    std::thread::scope(|scope| {
        let by_hledger = scope.spawn(|| hledger(&journal));
        let by_beancount = scope.spawn(|| beancount(&beans));
        agree(&sqlite.store, &by_hledger.join().unwrap());
        agree(&sqlite.store, &by_beancount.join().unwrap());
    });
    workbooks(&sqlite.store);
}

/// Does the year's business, and proves the book.
fn run(db: TestDb) -> TestDb {
    let mut year = Year::open(&db);
    for number in 0..MONTHS {
        year.business(number, leases() / MONTHS);
    }
    year.end();
    let report = db.store.read(ledger::check::check).unwrap();
    assert!(report.is_clean(), "{:#?}", report.differences);
    let states: Vec<_> =
        (0..MONTHS).map(|n| db.store.read(|tx| period::state(tx, month(n))).unwrap()).collect();
    assert_eq!(states, vec![period::State::Closed; MONTHS]);
    db
}

fn exported(
    store: &Store,
    export: fn(&mut store::Tx<'_>, &mut dyn std::io::Write) -> ledger::Result<()>,
) -> String {
    let mut out = Vec::new();
    store.read(|tx| export(tx, &mut out)).unwrap();
    String::from_utf8(out).unwrap()
}

/// First and last day of a month.
fn days(number: usize) -> (String, String) {
    let (first, next) = (month(number).first_day(), month(number).next().first_day());
    (first.to_string(), Day(next.0 - 1).to_string())
}

/// Every report of the whole year, from both databases and twice.
fn same_bytes(one: &Store, other: &Store) {
    let (from, to) = (days(0).0, days(MONTHS - 1).1);
    let (upto, year) = (as_of(&to), between(&from, &to));
    for (name, words) in [
        ("balance_sheet", &upto),
        ("deferred_revenue", &upto),
        ("fee_revenue", &year),
        ("general_ledger", &year),
        ("holds", &upto),
        ("income_statement", &year),
        ("journal", &year),
        ("payables", &upto),
        ("solvency", &upto),
        ("trial_balance", &upto),
        ("usage", &year),
    ] {
        let csv = [one, other, one].map(|store| written(store, name, words, Format::Csv));
        assert!(csv[0] == csv[1] && csv[0] == csv[2], "{name}");
        // By the year's end nothing is held back.
        assert_eq!(parse_csv(&csv[0]).is_empty(), name == "holds", "{name}");
    }
}

/// Trial balance and income statement of every month are what an outsider finds in the journal.
fn agree(store: &Store, moved: &Moved) {
    let mut balances = BTreeMap::<(Code, String, String), Amount>::new();
    for number in 0..MONTHS {
        let (from, to) = days(number);
        let mut income = BTreeMap::<(Code, String), Amount>::new();
        let of_month = moved.iter().filter(|((month, ..), _)| *month == from[..7]);
        for ((_, code, party, asset), amount) in of_month {
            let balance = balances.entry((*code, party.clone(), asset.clone())).or_default();
            *balance = *balance + *amount;
            if matches!(code, Code::FeeIncome | Code::BonusExpense) {
                let sum = income.entry((*code, asset.clone())).or_default();
                *sum = *sum + *amount;
            }
        }
        let trial = rows(store, "trial_balance", &as_of(&to));
        assert_eq!(sides(&trial), expected_sides(&balances), "{to}");
        let words = between(&from, &to);
        let statement = rows(store, "income_statement", &words);
        for row in statement.iter().filter(|row| row["class"] != "Result") {
            let (code, sign) = match &*row["place"] {
                "Income:Fees" => (Code::FeeIncome, -1),
                _ => (Code::BonusExpense, 1),
            };
            let found = income.remove(&(code, row["asset"].clone())).unwrap_or_default();
            assert_eq!(row["amount"], Amount(found.0 * sign).to_string(), "{to} {row:?}");
        }
        assert!(income.values().all(|amount| *amount == Amount::ZERO), "{income:?}");
    }
}

type Sides = BTreeMap<(String, String), (Amount, Amount)>;

fn sides(trial: &[Row]) -> Sides {
    let side = |row: &Row, name: &str| row[name].parse::<Amount>().unwrap();
    let line = |row: &Row| {
        let key = (row["account"].clone(), row["asset"].clone());
        (key, (side(row, "debit"), side(row, "credit")))
    };
    trial.iter().map(line).filter(|(_, sides)| *sides != Default::default()).collect()
}

fn expected_sides(balances: &BTreeMap<(Code, String, String), Amount>) -> Sides {
    let mut sides = Sides::new();
    for ((code, _, asset), balance) in balances.iter().filter(|(_, sum)| **sum != Amount::ZERO) {
        let (debit, credit) = sides.entry((code.text().to_owned(), asset.clone())).or_default();
        match *balance > Amount::ZERO {
            true => *debit = *debit + *balance,
            false => *credit = *credit - *balance,
        }
    }
    sides
}

/// Workbooks read by another library have the sums of the books.
fn workbooks(store: &Store) {
    let (from, to) = days(MONTHS - 1);
    for (name, words) in [
        ("trial_balance", as_of(&to)),
        ("income_statement", between(&days(0).0, &to)),
        ("general_ledger", between(&from, &to)),
    ] {
        let xlsx = written(store, name, &words, Format::Xlsx);
        assert!(xlsx == written(store, name, &words, Format::Xlsx), "{name} differs");
        assert_eq!(parse_xlsx(&xlsx), rows(store, name, &words), "{name}");
    }
    let gross = Words { presentation: Some("gross".to_owned()), ..between(&days(0).0, &to) };
    let result = |words: &Words| {
        let rows = rows(store, "income_statement", words);
        rows.into_iter().filter(|row| row["class"] == "Result").collect::<Vec<_>>()
    };
    assert_eq!(result(&gross), result(&between(&days(0).0, &to)));
}
