//! How fast the book is, beside raw SQL on the same database in the same run.
//!
//! Every transfer takes from one of [`Load::accounts`] wallets, chosen by Zipf's law, and gives to
//! one hot account that is in all of them; limits, keys and balances are checked, and a transfer
//! counts once it is on the disk.

#![allow(clippy::float_arithmetic)]

mod load;
mod raw;
mod year;

use std::sync::Arc;
use std::time::{Duration, Instant};

use store::Store;

use crate::{Command, Writer, WriterConfig};
use load::{Load, Transfers};

pub use year::fill_year;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    pub accounts: usize,
    /// Sizes of batch.
    pub batches: Vec<usize>,
    /// For how long each line is measured.
    pub time: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { accounts: 10_000, batches: vec![1, 64, 512, 4_096], time: Duration::from_secs(5) }
    }
}

/// A line of the result.
#[derive(Clone, Debug)]
pub struct Line {
    pub name: &'static str,
    /// Transfers that a caller sends at once.
    pub batch: usize,
    pub clients: usize,
    pub per_s: u64,
    /// Of a call, milliseconds.
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// Anything that can go wrong.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Measures the book at several sizes of batch, 64 callers of one transfer each, and last the raw
/// peer.
///
/// # Errors
/// Whatever fails: nothing may.
pub fn run(store: &Store, url: &str, options: &Options) -> Result<Vec<Line>, Fault> {
    let load = Arc::new(Load::prepare(store, options.accounts)?);
    let mut lines = Vec::new();
    for &batch in &options.batches {
        lines.push(batches(store, &load, batch, options.time)?);
    }
    lines.push(callers(store, &load, 64, options.time)?);
    lines.push(raw::run(store, url, options.accounts, 1, options.time)?);
    lines.push(raw::run(store, url, options.accounts, 8, options.time)?);
    Ok(lines)
}

/// One caller that sends a batch after the other. The next one is made meanwhile, on another thread.
fn batches(store: &Store, load: &Arc<Load>, batch: usize, time: Duration) -> Result<Line, Fault> {
    let writer = Writer::new(store.clone(), WriterConfig::default());
    let (made, next) = std::sync::mpsc::sync_channel::<Vec<Command>>(2);
    let maker = {
        let (load, store) = (load.clone(), store.clone());
        std::thread::spawn(move || {
            let mut transfers = Transfers::new(&load, &store, batch as u64);
            while made.send(transfers.by_ref().take(batch).collect()).is_ok() {}
        })
    };
    let mut took = Vec::new();
    let start = Instant::now();
    while start.elapsed() < time {
        let commands = next.recv()?;
        let sent = Instant::now();
        for answer in writer.execute_all(commands)? {
            answer?;
        }
        took.push(sent.elapsed());
    }
    let all = start.elapsed();
    drop(next);
    maker.join().map_err(|_| "the maker panicked")?;
    Ok(line("writer", batch, 1, all, took))
}

/// Callers side by side, each with one transfer at a time.
fn callers(store: &Store, load: &Arc<Load>, clients: usize, time: Duration) -> Result<Line, Fault> {
    let writer = Arc::new(Writer::new(store.clone(), WriterConfig::default()));
    let start = Instant::now();
    let caller = |n: usize| {
        let (writer, load, store) = (writer.clone(), load.clone(), store.clone());
        std::thread::spawn(move || -> Result<Vec<Duration>, Fault> {
            let mut took = Vec::new();
            for command in Transfers::new(&load, &store, 1_000 + n as u64) {
                if start.elapsed() >= time {
                    break;
                }
                let sent = Instant::now();
                writer.execute(command)?;
                took.push(sent.elapsed());
            }
            Ok(took)
        })
    };
    let threads: Vec<_> = (0..clients).map(caller).collect();
    let mut took = Vec::new();
    for thread in threads {
        took.extend(thread.join().map_err(|_| "a caller panicked")??);
    }
    Ok(line("callers", 1, clients, start.elapsed(), took))
}

fn line(
    name: &'static str,
    batch: usize,
    clients: usize,
    all: Duration,
    mut took: Vec<Duration>,
) -> Line {
    took.sort_unstable();
    let at = |ppm: usize| took.get(took.len() * ppm / 1_000).or(took.last()).copied();
    let ms = |at: Option<Duration>| at.map_or(0.0, |time| time.as_micros() as f64 / 1_000.0);
    let count = (took.len() * batch) as u128;
    let per_s = count * 1_000_000 / all.as_micros().max(1);
    let per_s = u64::try_from(per_s).unwrap_or(u64::MAX);
    Line { name, batch, clients, per_s, p50_ms: ms(at(500)), p99_ms: ms(at(990)) }
}
