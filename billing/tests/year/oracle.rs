//! What programs of others find in the journal.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use ledger::Code;
use ledger::report::path;
use store::Amount;

use crate::answers::python;

/// What moved by month of the books, code, party and asset, debits positive.
pub type Moved = BTreeMap<(String, Code, String, String), Amount>;

/// Checks the journal and asks for what each account moved by month.
pub fn hledger(journal: &str) -> Moved {
    run(journal, &["check", "--strict"]);
    let wanted = "balance --flat -N --monthly --date2 -O csv --layout=bare";
    let csv = run(journal, &wanted.split(' ').collect::<Vec<_>>());
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let months: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let mut moved = Moved::new();
    for record in reader.into_records().map(Result::unwrap) {
        let (code, party) = hledger_account(&record[0]);
        for (month, cell) in months.iter().zip(record.iter()).skip(2) {
            let amount: Amount = cell.parse().unwrap();
            if amount != Amount::ZERO {
                let key = (month[..7].to_owned(), code, party.clone(), record[1].to_owned());
                moved.insert(key, amount);
            }
        }
    }
    moved
}

/// `liabilities:customer-wallet:party_01...`
fn hledger_account(name: &str) -> (Code, String) {
    let mut parts = name.split(':').skip(1);
    let code = parts.next().unwrap().replace('-', "_");
    (Code::parse(&code).unwrap(), parts.next().unwrap_or_default().to_owned())
}

fn run(journal: &str, args: &[&str]) -> String {
    let mut child = Command::new("hledger")
        .args(["-f", "-"])
        .args(args)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("hledger: {error}: run tests/run once"));
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(journal.as_bytes()));
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "hledger {args:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Has beancount check the journal and sum it.
pub fn beancount(journal: &str) -> Moved {
    let file = tempfile::NamedTempFile::with_suffix(".beancount").unwrap();
    std::fs::write(file.path(), journal).unwrap();
    let text = String::from_utf8(python("journal_months.py", file.path())).unwrap();
    let line = |line: &str| {
        let [month, account, asset, amount] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let (code, party) = place(account);
        ((month.to_owned(), code, party, asset.to_owned()), amount.parse().unwrap())
    };
    text.lines().map(line).collect()
}

/// A place in the chart, and a party's id behind it if there is one.
fn place(account: &str) -> (Code, String) {
    let code = |place: &str| Code::ALL.into_iter().find(|code| path(*code) == place);
    match code(account) {
        Some(code) => (code, String::new()),
        None => {
            let (place, party) = account.rsplit_once(':').unwrap();
            (code(place).unwrap(), party.to_owned())
        }
    }
}
