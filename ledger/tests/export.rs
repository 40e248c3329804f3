//! Reports and exports, the latter read by the programs they are for.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{PayIn, People, assert_clean, new_hold, read, transfer, usd, write};
use diesel::prelude::*;
use ledger::report::{balance_at, balances, entries, full_path, hledger_name, trial_balance};
use ledger::{Code, NewTransaction, Side, chart, export, open_account, place_hold, post};
use serde_json::{Value, json};
use store::schema::{ledger_transaction as posting, transaction_metadata as metadata};
use store::testing::TestDb;
use store::{Amount, Day, PartyId, Timestamp, on_both_databases};

/// Three days of business in two currencies and credits.
fn fill(db: &TestDb) -> People {
    let people = People::with(db, usd(100));
    let euros = write(&db.store, |tx| {
        let id = tx.id();
        chart::deposit(tx, id, people.customer, "EUR", Amount(1))?;
        Ok(place_hold(tx, &new_hold("job", people.wallet, usd(90)))?.id)
    });
    for day in 0..3 {
        for pay_in in [PayIn::Cash, PayIn::Credits { bonus_ppm: 100_000 }] {
            write(&db.store, |tx| {
                let lease = tx.id();
                let settlement = people.settlement(lease, euros, Amount(1_234_567 + day));
                chart::settle(tx, &chart::Settlement { pay_in, effective_at: tx.now, ..settlement })
            });
        }
        db.clock.advance_s(86_400);
    }
    people
}

fn exported(
    db: &TestDb,
    export: fn(&mut store::Tx<'_>, &mut dyn Write) -> ledger::Result<()>,
) -> String {
    let mut out = Vec::new();
    read(&db.store, |tx| export(tx, &mut out));
    String::from_utf8(out).unwrap()
}

fn hledger(journal: &str, args: &[&str]) -> String {
    let spawned = Command::new("hledger")
        .args(["-f", "-"])
        .args(args)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = spawned.unwrap_or_else(|error| panic!("hledger: {error}: run tests/run once"));
    let mut stdin = child.stdin.take().unwrap();
    let journal = journal.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(journal.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "hledger {args:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs beancount's own check and answers the balances that it computes: `DRIVEWAY_TEST_PYTHON`, or
/// else `python3`, has beancount, and `bean-check` stands beside it.
fn beancount_balances(text: &str) -> Result<Table, String> {
    let python = std::env::var("DRIVEWAY_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("book.beancount");
    std::fs::write(&file, text).unwrap();
    let run = |program: &Path, script: Option<&Path>| {
        let output = Command::new(program).args(script).arg(&file).output();
        let output = output.unwrap_or_else(|error| {
            panic!("{}: {error}: install tests/requirements.txt", program.display())
        });
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout).unwrap()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    };
    run(&Path::new(&python).with_file_name("bean-check"), None)?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/beancount_balances.py");
    let text = run(Path::new(&python), Some(&script))?;
    let row = |line: &str| {
        let cells: Vec<_> = line.split(' ').collect();
        ((cells[0].to_owned(), cells[1].to_owned()), cells[2].parse().unwrap())
    };
    Ok(text.lines().map(row).collect())
}

/// Balances by account and asset, debits positive, without zeros.
type Table = BTreeMap<(String, String), Amount>;

fn hledger_balances(journal: &str) -> Table {
    let csv = hledger(journal, &["balance", "--flat", "-N", "-O", "csv", "--layout=bare"]);
    let cells =
        |row: csv::StringRecord| ((row[0].to_owned(), row[1].to_owned()), row[2].parse().unwrap());
    csv::Reader::from_reader(csv.as_bytes()).into_records().map(|row| cells(row.unwrap())).collect()
}

fn expected(db: &TestDb, name: fn(Code, PartyId) -> String) -> Table {
    let mut table = Table::new();
    for row in read(&db.store, balances) {
        let posted = match row.code.side() {
            Side::Debit => row.balance.posted,
            Side::Credit => -row.balance.posted,
        };
        if posted != Amount::ZERO {
            table.insert((name(row.code, row.party), row.asset), posted);
        }
    }
    table
}

on_both_databases! {
    fn hledger_accepts_the_journal_and_agrees_on_balances(db) {
        let people = fill(&db);
        // A subject is a caller's text: it cannot break the journal.
        add_oddities(&db, &people);
        let journal = exported(&db, export::hledger);
        hledger(&journal, &["check", "--strict"]);
        hledger(&journal, &["check", "ordereddates"]);
        let found = hledger_balances(&journal);
        assert_eq!(found, expected(&db, hledger_name));
        assert!(found.len() >= 8, "{found:?}");
        // And it does check the balances.
        let wrong = journal.replacen(" = USD ", " = USD 1", 1);
        let refused = std::panic::catch_unwind(|| hledger(&wrong, &["check", "--strict"]));
        assert!(refused.is_err());
    }
}

on_both_databases! {
    fn a_book_of_many_writers_is_accepted_too(db) {
        // Ids may then come in another order than an account's entries.
        let (bank, wallet) = write(&db.store, |tx| {
            let party = tx.id();
            let bank = open_account(tx, Code::Bank, store::PartyId::NIL, "USD")?;
            Ok((bank, open_account(tx, Code::CustomerWallet, party, "USD")?))
        });
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let db = &db;
                scope.spawn(move || {
                    for round in 0..20 {
                        let key = format!("{thread} {round}");
                        let new = transfer(&key, bank, wallet, Amount(thread + 1));
                        write(&db.store, |tx| post(tx, &new));
                    }
                });
            }
        });
        assert_eq!(assert_clean(&db.store).transactions, 160);
        let journal = exported(&db, export::hledger);
        hledger(&journal, &["check", "--strict"]);
        hledger(&journal, &["check", "ordereddates"]);
        let found = hledger_balances(&journal);
        assert_eq!(found, expected(&db, hledger_name));
        assert_eq!(found.len(), 2);
    }
}

/// A correction of the first transaction, booked late, with metadata that no format has a place for.
fn add_oddities(db: &TestDb, people: &People) {
    let odd = NewTransaction {
        subject: "=two\nlines ; and | \"more\" \\".into(),
        ..transfer("odd", people.wallet, people.cash, Amount(1))
    };
    write(&db.store, |tx| {
        let id = post(tx, &odd)?.id;
        let first: store::TransactionId =
            posting::table.select(posting::id).order(posting::id).first(tx.conn)?;
        let set = (
            posting::booked_on.eq(Day(7)),
            posting::relation.eq("corrects"),
            posting::refers_to.eq(first),
        );
        diesel::update(posting::table.find(id)).set(set).execute(tx.conn)?;
        for (name, value) in
            [("ticket", "4711"), ("a b", "x: \"y\"; z"), ("a:b", "="), ("date", "2026-13-45, x")]
        {
            let row = (
                metadata::transaction_id.eq(id),
                metadata::name.eq(name),
                metadata::value.eq(value),
            );
            diesel::insert_into(metadata::table).values(row).execute(tx.conn)?;
        }
        Ok(())
    });
}

on_both_databases! {
    fn beancount_accepts_the_book_and_agrees_on_balances(db) {
        let people = fill(&db);
        add_oddities(&db, &people);
        let text = exported(&db, export::beancount);
        let found = beancount_balances(&text).unwrap();
        assert_eq!(found, expected(&db, full_path));
        assert!(found.len() >= 8, "{found:?}");
        for part in ["corrects: \"tx_", "booked: 1970-01-08", "m-ticket: \"4711\"", "m-a-b-: "] {
            assert!(text.contains(part), "{part}: {text}");
        }
        // Every day asserts what moved, and to the last micro-unit.
        let asserted = text.lines().filter(|line| line.contains(" balance ")).count();
        assert!(asserted > 15, "{asserted}: {text}");
        let at = text.rfind(" ~ 0 USD").unwrap();
        let digit = if text.as_bytes()[at - 1] == b'9' { "8" } else { "9" };
        let wrong = format!("{}{digit}{}", &text[..at - 1], &text[at..]);
        assert!(beancount_balances(&wrong).unwrap_err().contains("Balance failed"));
    }
}

on_both_databases! {
    fn json_lines_have_a_transaction_each(db) {
        let people = fill(&db);
        add_oddities(&db, &people);
        let text = exported(&db, export::jsonl);
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let report = assert_clean(&db.store);
        assert_eq!(lines.len() as u64, report.transactions);
        let mut last: BTreeMap<&str, Amount> = BTreeMap::new();
        let mut entries = 0;
        for line in &lines {
            for entry in line["entries"].as_array().unwrap() {
                let amount: Amount = entry["amount"].as_str().unwrap().parse().unwrap();
                let after: Amount = entry["balance_after"].as_str().unwrap().parse().unwrap();
                let balance = last.entry(entry["account"].as_str().unwrap()).or_default();
                *balance = *balance + amount;
                assert_eq!(*balance, after, "{entry}");
                entries += 1;
            }
        }
        assert_eq!(entries, report.entries);
        let odd = lines.last().unwrap();
        assert_eq!((&odd["relation"], &odd["refers_to"]), (&json!("corrects"), &lines[0]["transaction"]));
        assert_eq!(odd["booked_on"], "1970-01-08");
        assert_eq!(odd["metadata"]["a b"], "x: \"y\"; z");
        assert_eq!(lines[0]["entries"][0]["path"], "Assets:Bank");
        assert_eq!(lines[0]["entries"][0]["party"], Value::Null);
    }
}

on_both_databases! {
    fn an_empty_book_exports(db) {
        hledger(&exported(&db, export::hledger), &["check", "--strict"]);
        assert_eq!(exported(&db, export::csv).lines().count(), 1);
        assert_eq!(exported(&db, export::jsonl), "");
        assert_eq!(beancount_balances(&exported(&db, export::beancount)), Ok(Table::new()));
        assert_eq!(assert_clean(&db.store), ledger::check::CheckReport::default());
    }
}

on_both_databases! {
    fn the_csv_has_a_row_per_entry_and_no_formula(db) {
        let people = fill(&db);
        add_oddities(&db, &people);
        let text = exported(&db, export::csv);
        assert_eq!(text, exported(&db, export::csv), "the same book gives the same bytes");
        let mut sums = BTreeMap::<String, i64>::new();
        let mut rows = csv::Reader::from_reader(text.as_bytes());
        let names = rows.headers().unwrap().clone();
        let mut count = 0;
        for row in rows.records() {
            let row = row.unwrap();
            let cell = |name: &str| &row[names.iter().position(|cell| cell == name).unwrap()];
            let amount = |name: &str| match cell(name) {
                "" => 0,
                text => text.parse::<Amount>().unwrap().0,
            };
            assert!((amount("debit") == 0) != (amount("credit") == 0));
            assert!(Timestamp::parse(cell("posted_at")).is_some());
            let formula = row.iter().any(|cell| cell.starts_with(['=', '+', '@', '\t', '\r']));
            assert!(!formula, "{row:?}");
            if cell("relation") == "corrects" {
                assert_eq!(cell("booked_on"), "1970-01-08");
                assert!(cell("refers_to").starts_with("tx_"));
                assert!(cell("metadata").contains("\"ticket\":\"4711\""));
            }
            *sums.entry(cell("asset").to_owned()).or_default() += amount("debit") - amount("credit");
            count += 1;
        }
        assert_eq!(count, assert_clean(&db.store).entries);
        assert!(sums.len() == 3 && sums.values().all(|sum| *sum == 0), "{sums:?}");
    }
}

on_both_databases! {
    fn a_trial_balance_has_equal_sides(db) {
        fill(&db);
        let lines = read(&db.store, trial_balance);
        for asset in ["USD", "EUR", "CREDIT"] {
            let of_asset = || lines.iter().filter(|line| line.asset == asset);
            let debits: Amount = of_asset().map(|line| line.debit).sum();
            let credits: Amount = of_asset().map(|line| line.credit).sum();
            assert!(debits == credits && debits.is_positive(), "{asset}: {debits} {credits}");
        }
        assert!(lines.iter().any(|line| line.code == Code::Bank && line.debit == usd(100)));
    }
}

on_both_databases! {
    fn a_period_opens_moves_and_closes(db) {
        let people = fill(&db);
        let day = |n: i64| store::testing::START.plus_s(n * 86_400);
        let (from, to) = (day(1), day(2));
        read(&db.store, |tx| {
            let opening = balance_at(tx, people.cash, from)?;
            let closing = balance_at(tx, people.cash, to)?;
            let lines = entries(tx, people.cash, from, to, None, 100)?;
            assert_eq!(lines.len(), 1);
            assert_eq!(opening + lines[0].amount, closing);
            assert_eq!((lines[0].balance_after, lines[0].number), (closing, 2));
            assert_eq!(lines[0].kind, "settlement");
            assert_eq!(balance_at(tx, people.cash, day(0))?, Amount::ZERO);
            // Pages: the wallet has a deposit and six settlements.
            let mut after = None;
            let mut seen = Vec::new();
            loop {
                let page = entries(tx, people.wallet, day(0), day(9), after, 3)?;
                let Some(last) = page.last() else { break };
                after = Some(last.number);
                seen.extend(page.iter().map(|line| (line.number, line.amount.is_positive())));
            }
            let expected: Vec<_> = (1..=7).map(|number| (number, number == 1)).collect();
            assert_eq!(seen, expected);
            Ok(())
        });
        let unknown = store::AccountId::from_bytes([3; 16]);
        assert!(db.store.read(|tx| balance_at(tx, unknown, to)).is_err());
        assert!(db.store.read(|tx| entries(tx, unknown, from, to, None, 1)).is_err());
        write(&db.store, |tx| {
            let empty = open_account(tx, Code::TaxPayable, people.owner, "USD")?;
            assert_eq!(balance_at(tx, empty, to)?, Amount::ZERO);
            Ok(())
        });
    }
}
