//! How fast reports are, over a year of entries.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use ::store::{Day, ManualClock, Store};
use ledger::bench::{Fault, fill_year};

use crate::report::{Format, Words, find};

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    pub accounts: usize,
    /// Two to a transfer.
    pub entries: usize,
}

/// A line of the result.
#[derive(Clone, Debug)]
pub struct Line {
    pub report: &'static str,
    pub by: &'static str,
    /// Rows written, the heading among them.
    pub rows: u64,
    pub bytes: u64,
    pub took: Duration,
}

impl Line {
    pub fn rows_per_s(&self) -> u64 {
        let us = self.took.as_micros().max(1);
        u64::try_from(u128::from(self.rows) * 1_000_000 / us).unwrap_or(u64::MAX)
    }
}

/// Fills an empty book with a year, and asks for trial balances as of days of it and for the whole
/// general ledger and journal in CSV. `filled` is told how long the filling took.
///
/// # Errors
/// Whatever fails: nothing may.
pub fn run(
    store: &Store,
    clock: &ManualClock,
    options: &Options,
    filled: impl FnOnce(Duration),
) -> Result<Vec<Line>, Fault> {
    let (start, first) = (Instant::now(), Day::of(store.now()));
    fill_year(store, clock, options.accounts, options.entries / 2)?;
    filled(start.elapsed());
    let mut lines = Vec::new();
    for by in ["booked", "effective"] {
        for day in [30, 180, 364] {
            let as_of = Some(Day(first.0 + day).to_string());
            let words = Words { as_of, by: Some(by.to_owned()), ..Words::default() };
            lines.push(measure(store, "trial_balance", by, &words)?);
        }
    }
    for report in ["general_ledger", "journal"] {
        lines.push(measure(store, report, "booked", &Words::default())?);
    }
    Ok(lines)
}

fn measure(
    store: &Store,
    report: &'static str,
    by: &'static str,
    words: &Words,
) -> Result<Line, Fault> {
    let found = find(report)?;
    let question = words.read(found, Day::of(store.now()))?;
    let (mut out, start) = (Counter::default(), Instant::now());
    store.read(|tx| found.write(tx, &question, Format::Csv, &mut out))?;
    let Counter { rows, bytes } = out;
    Ok(Line { report, by, rows, bytes, took: start.elapsed() })
}

/// Takes a file and keeps nothing of it.
#[derive(Default)]
struct Counter {
    rows: u64,
    bytes: u64,
}

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len() as u64;
        self.rows += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
