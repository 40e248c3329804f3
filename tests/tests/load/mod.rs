//! The program `ledger-load`, and what must hold of a book that it wrote to.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use diesel::prelude::*;
use end_to_end::Place;
use ledger::{Error, check};
use store::schema::{balance, entry, hold, ledger_transaction};
use store::{AccountId, Amount, Env, Store, TransactionId, Tx};

/// One at a time: a process that is just being made has all open files of this one until it is
/// another program, and so would keep a SQLite file that this one has opened to check it.
pub fn alone<T>(work: impl FnOnce() -> T) -> T {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    work()
}

/// Runs it to its end.
pub fn output(place: &Place, name: &str, args: &[&str]) -> Output {
    let child = alone(|| {
        let mut command = command(place, name, args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    child.wait_with_output().unwrap()
}

fn command(place: &Place, name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ledger-load"));
    command.args(["--database-url", &place.url, "--name", name]).args(args);
    command
}

/// A process that posts.
pub struct Load {
    child: Child,
    acknowledged: Option<JoinHandle<BTreeSet<String>>>,
    first: Receiver<()>,
}

impl Load {
    pub fn start(place: &Place, name: &str, args: &[&str]) -> Self {
        let mut command = command(place, name, args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = alone(|| command.spawn().unwrap());
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let (tell, first) = channel();
        let acknowledged = std::thread::spawn(move || {
            let mut keys = BTreeSet::new();
            let mut line = String::new();
            while out.read_line(&mut line).unwrap() > 0 {
                // The last line may be cut off.
                if let Some(key) = line.strip_prefix("ok ").and_then(|l| l.strip_suffix('\n')) {
                    keys.insert(key.to_owned());
                    let _ = tell.send(());
                }
                line.clear();
            }
            keys
        });
        Self { child, acknowledged: Some(acknowledged), first }
    }

    /// Until something is acknowledged.
    pub fn wait_for_first(&mut self) {
        let first = self.first.recv_timeout(Duration::from_secs(60));
        assert!(first.is_ok(), "it acknowledges nothing: {}", self.complaint());
    }

    fn complaint(&mut self) -> String {
        let _ = self.child.kill();
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    /// `kill -9`; what it had acknowledged.
    pub fn kill(mut self) -> BTreeSet<String> {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "it ended by itself, {ended:?}: {}", self.complaint());
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.acknowledged.take().unwrap().join().unwrap()
    }

    /// Waits for its end, which must be a good one.
    pub fn finish(mut self) -> BTreeSet<String> {
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {text}");
        self.acknowledged.take().unwrap().join().unwrap()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The step of a command with this key; deposits do not say theirs.
pub fn step(key: &str) -> Option<usize> {
    let last = key.split(' ').nth(2)?;
    last.split(['/', '.']).next()?.parse().ok()
}

/// What is in the book: transactions by key with their number of legs, and holds by key with
/// whether they are open.
pub struct Keys {
    pub transactions: HashMap<String, usize>,
    pub holds: HashMap<String, bool>,
}

/// The book is right, all that was acknowledged is in it, and nothing of it is half done.
pub fn assert_whole(place: &Place, acknowledged: &BTreeSet<String>) -> Keys {
    let (report, keys) = alone(|| {
        let store = Store::open(&place.url, Env::system()).unwrap();
        store.read(|tx| Ok::<_, Error>((check::check(tx)?, keys(tx)?))).unwrap()
    });
    assert!(report.is_clean(), "{:#?}", report.differences);
    assert!(report.trial_balance.values().all(|sum| *sum == Amount::ZERO), "{report:?}");
    let is_there =
        |key: &&String| keys.transactions.contains_key(*key) || keys.holds.contains_key(*key);
    let lost: Vec<_> = acknowledged.iter().filter(|key| !is_there(key)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    for (key, legs) in &keys.transactions {
        let expected = if key.contains(' ') { 3 } else { 2 };
        assert_eq!(*legs, expected, "legs of {key}");
        if let Some((stem, part)) = key.rsplit_once('/') {
            match part {
                "a" | "b" | "c" => {
                    let linked = ["a", "b", "c"].map(|part| format!("{stem}/{part}"));
                    let whole = linked.iter().all(|key| keys.transactions.contains_key(key));
                    assert!(whole, "a part of the group {stem}");
                }
                // Linked to the release of what it left.
                "capture" => assert!(!keys.holds[&format!("{stem}/hold")], "{stem}"),
                _ => {}
            }
        }
    }
    keys
}

fn keys(tx: &mut Tx<'_>) -> Result<Keys, Error> {
    let rows: Vec<(TransactionId, AccountId, Amount, i64)> = entry::table
        .select((entry::transaction_id, entry::account_id, entry::amount, entry::number))
        .load(tx.conn)?;
    let mut numbers = BTreeMap::<AccountId, BTreeSet<i64>>::new();
    let mut legs = HashMap::<TransactionId, (usize, i64)>::new();
    for (transaction, account, amount, number) in rows {
        assert!(numbers.entry(account).or_default().insert(number), "two entries {number}");
        let (count, sum) = legs.entry(transaction).or_default();
        (*count, *sum) = (*count + 1, *sum + amount.0);
    }
    let entries: Vec<(AccountId, i64)> =
        balance::table.select((balance::account_id, balance::entries)).load(tx.conn)?;
    for (account, count) in entries {
        let own = numbers.remove(&account).unwrap_or_default();
        assert!(own.into_iter().eq(1..=count), "the entries of {account} have gaps");
    }
    assert!(legs.values().all(|(_, sum)| *sum == 0), "a transaction does not balance");
    let transactions: Vec<(TransactionId, String)> = ledger_transaction::table
        .select((ledger_transaction::id, ledger_transaction::key))
        .load(tx.conn)?;
    let count = |id| legs.get(&id).map_or(0, |(count, _)| *count);
    let transactions = transactions.into_iter().map(|(id, key)| (key, count(id))).collect();
    let holds: Vec<(String, bool)> = hold::table.select((hold::key, hold::open)).load(tx.conn)?;
    Ok(Keys { transactions, holds: holds.into_iter().collect() })
}
