//! `driveway demo` as a newcomer runs it, and what finance makes of its books.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use end_to_end::{Place, python};
use serde_json::Value;
use store::Amount;

#[test]
fn the_demo_adds_up_sqlite() {
    demo(&Place::sqlite());
}

#[test]
fn the_demo_adds_up_postgres() {
    demo(&Place::postgres());
}

fn demo(place: &Place) {
    let report = place.json(&["demo"]);
    let amount = |value: &Value| value.as_str().unwrap().parse::<Amount>().unwrap();
    let (customers, owners) = (&report["customers"], &report["owners"]);
    let (cash, credits) = (amount(&owners["cash"]), amount(&owners["credits"]));
    let bonus = amount(&owners["credit_bonus"]);
    let spent = amount(&customers["spent"]);
    assert_eq!(spent, cash + credits - bonus + amount(&report["fee"]), "{report}");
    assert_eq!(amount(&customers["deposited"]) - spent, amount(&customers["balance"]));
    for total in report["trial_balance"].as_object().unwrap().values() {
        assert_eq!(total, "0.000000");
    }
    for job in report["jobs"].as_array().unwrap() {
        assert_eq!(job["tasks"], job["completed"], "{job}");
        if let Some(accuracy) = job["accuracy"].as_f64() {
            assert!(accuracy > 0.95, "{job}");
        }
    }
    assert!(report["leases"]["vacated"].as_u64().unwrap() > 0, "drivers came back: {report}");
    assert_eq!(report["adds_up"], true, "{report}");

    assert_eq!(report["proof"]["verified"], true, "{report}");
    assert_eq!(place.run(&["ledger", "check"]).status.code(), Some(0));
    assert_eq!(place.run(&["ledger", "verify"]).status.code(), Some(0));
    hledger_agrees(place);
    beancount_agrees(place);
    transactions_are_explained(place);
    bank_file_validates(&place.data().join("payouts.xml"));
}

/// hledger accepts the journal and computes the same balances from it.
fn hledger_agrees(place: &Place) {
    let journal = export(place, "hledger");
    let hledger = |args: &[&str]| {
        let output = Command::new("hledger").args(["-f", &journal]).args(args).output();
        let output = output.expect("hledger is not installed: run tests/run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    hledger(&["check", "--strict"]);
    let csv =
        hledger(&["balance", "--flat", "--empty", "--no-total", "-O", "csv", "--layout", "bare"]);
    let theirs: BTreeMap<(String, String), i64> = csv
        .lines()
        .skip(1)
        .map(|row| row.split(',').map(|cell| cell.trim_matches('"')).collect::<Vec<_>>())
        .map(|row| ((row[0].to_owned(), row[1].to_owned()), row[2].parse::<Amount>().unwrap().0))
        .filter(|(_, amount)| *amount != 0)
        .collect();
    assert_eq!(theirs, our_balances(place, name));
}

/// beancount accepts the book and computes the same balances from it.
fn beancount_agrees(place: &Place) {
    let file = export(place, "beancount");
    let check = Path::new(&python()).with_file_name("bean-check");
    let output = Command::new(&check).arg(&file).output();
    let output =
        output.unwrap_or_else(|error| panic!("{}: {error}: run tests/run", check.display()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../ledger/tests/beancount_balances.py");
    let output = Command::new(python()).arg(script).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(' ').collect();
        let key = (cells[0].to_owned(), cells[1].to_owned());
        (key, cells[2].parse::<Amount>().unwrap().0)
    };
    let theirs: BTreeMap<(String, String), i64> = text.lines().map(row).collect();
    let full = |row: &Value| {
        let party = row["party"].as_str().and_then(|party| party.strip_prefix("party_"));
        let party = party.map(|party| format!(":{party}")).unwrap_or_default();
        format!("{}{party}", row["path"].as_str().unwrap())
    };
    assert_eq!(theirs, our_balances(place, full));
}

/// The chart rolls up to nothing, and what moved can be said of one transaction of each kind.
fn transactions_are_explained(place: &Place) {
    let tree = place.json(&["ledger", "tree"]);
    let of = |path: &str| -> i64 {
        let nodes = tree["nodes"].as_array().unwrap().iter();
        let nodes = nodes.filter(|node| node["path"] == path && node["asset"] == "USD");
        nodes.map(|node| node["total"].as_str().unwrap().parse::<Amount>().unwrap().0).sum()
    };
    assert_eq!(
        of("Assets") + of("Expenses"),
        of("Liabilities") + of("Income") + of("Equity"),
        "{tree}"
    );
    let lines = std::fs::read_to_string(export(place, "jsonl")).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let kinds: BTreeMap<String, String> = lines
        .map(|line| [&line["kind"], &line["transaction"]].map(|v| v.as_str().unwrap().to_owned()))
        .map(|[kind, transaction]| (kind, transaction))
        .collect();
    assert!(kinds.len() >= 3, "{kinds:?}");
    for transaction in kinds.values() {
        let explained = place.json(&["ledger", "explain", transaction]);
        assert_eq!(explained["holds"], true, "{explained}");
    }
    let unknown = place.run(&["ledger", "explain", "tx_01kayz3v8ne7m9xqk2y4t6w8b0"]);
    assert_eq!(unknown.status.code(), Some(1));
    let wrong = place.run(&["ledger", "balances", "--as-of", "yesterday"]);
    assert_eq!(wrong.status.code(), Some(2));
    let before = place.json(&["ledger", "balances", "--as-of", "2000-01-01", "--by", "booked"]);
    let mut before = before["accounts"].as_array().unwrap().iter();
    assert!(before.all(|account| account["posted"] == "0.000000"));
}

/// Exports the journal and answers the file.
fn export(place: &Place, format: &str) -> String {
    let file = place.dir.path().join(format!("journal.{format}"));
    let file = file.to_str().unwrap().to_owned();
    let output = place.run(&["ledger", "export", "--format", format, "--out", &file]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    file
}

/// What is not zero, debits positive, by name and asset.
fn our_balances(place: &Place, name: impl Fn(&Value) -> String) -> BTreeMap<(String, String), i64> {
    let balances = place.json(&["ledger", "balances"]);
    let accounts = balances["accounts"].as_array().unwrap().iter();
    let all: BTreeMap<_, _> = accounts
        .map(|row| ((name(row), row["asset"].as_str().unwrap().to_owned()), debits(row)))
        .filter(|(_, amount)| *amount != 0)
        .collect();
    assert!(all.len() > 10);
    all
}

fn name(row: &Value) -> String {
    let code = row["code"].as_str().unwrap();
    let class = match code {
        "bank" => "assets",
        "fee_income" => "revenues",
        "bonus_expense" => "expenses",
        "credit_clearing" => "equity",
        _ => "liabilities",
    };
    let party = row["party"].as_str().map(|party| format!(":{party}")).unwrap_or_default();
    format!("{class}:{}{party}", code.replace('_', "-"))
}

/// Balances are told in the account's own direction; hledger's debits are positive.
fn debits(row: &Value) -> i64 {
    let posted = row["posted"].as_str().unwrap().parse::<Amount>().unwrap().0;
    let debit_side = ["bank", "bonus_expense"].contains(&row["code"].as_str().unwrap());
    if debit_side { posted } else { -posted }
}

fn bank_file_validates(file: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../billing/tests/validate_pain001.py");
    let output = Command::new(python()).arg(script).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
