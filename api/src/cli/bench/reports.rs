//! `driveway bench reports`: a year of entries, and how fast reports over it are written.

use std::sync::Arc;

use billing::bench::{Line, Options, run};
use clap::Args;
use serde::Serialize;
use store::{Env, IdSource, ManualClock, Store, Timestamp};

use super::super::{Answer, Failure, print_json};
use super::{Scratch, machine, rss};

/// 2026-01-01T00:00:00Z, the first day of the year that is filled.
const START: Timestamp = Timestamp(1_767_225_600_000_000);

#[derive(Args)]
pub struct ReportsArgs {
    /// An empty database to write to: sqlite://FILE or postgres://... A SQLite file in this folder,
    /// removed at the end, if not named.
    #[arg(long, env = "DRIVEWAY_BENCH_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Entries of the year; 10,000,000 take some 3 GB of disk and as many minutes to write.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(2..=100_000_000))]
    entries: u32,
    /// Wallets that take part, beside the one account that is in every transfer.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    accounts: u32,
}

#[derive(Serialize)]
struct Run {
    name: &'static str,
    by: &'static str,
    size: u64,
    bytes: u64,
    ms: u64,
    per_s: u64,
}

#[derive(Serialize)]
struct Report {
    bench: &'static str,
    database: &'static str,
    entries: u32,
    filled_s: u64,
    runs: Vec<Run>,
    /// The most memory of this process, the filling with it.
    rss_mb: Option<u64>,
    machine: String,
}

impl From<Line> for Run {
    fn from(line: Line) -> Self {
        let ms = u64::try_from(line.took.as_millis()).unwrap_or(u64::MAX);
        let Line { report: name, by, rows: size, bytes, .. } = line;
        Self { name, by, size, bytes, ms, per_s: line.rows_per_s() }
    }
}

impl ReportsArgs {
    pub fn run(self, json: bool) -> Result<Answer, Failure> {
        let scratch = Scratch::new();
        let url = self.database_url.clone().unwrap_or_else(|| scratch.url());
        let clock = Arc::new(ManualClock::new(START));
        let env = Env { clock: clock.clone(), ids: Arc::new(IdSource::random()) };
        let store = Store::open(&url, env)?;
        if store.read(ledger::check::is_used)? {
            return Err(Failure::Usage("the database is not empty; the bench writes to it".into()));
        }
        let options = Options { accounts: self.accounts as usize, entries: self.entries as usize };
        let mut filled_s = 0;
        let lines = run(&store, &clock, &options, |took| filled_s = took.as_secs())
            .map_err(|error| anyhow::anyhow!(error))?;
        let report = Report {
            bench: "reports",
            database: store.database(),
            entries: self.entries,
            filled_s,
            runs: lines.into_iter().map(Run::from).collect(),
            rss_mb: rss().map(|bytes| bytes >> 20),
            machine: machine(),
        };
        match json {
            true => print_json(&report)?,
            false => print(&report),
        }
        Ok(Answer::Done)
    }
}

fn print(report: &Report) {
    println!("{}, {} entries, {}", report.database, report.entries, report.machine);
    println!("{:<16} {:<10} {:>12} {:>12} {:>12}", "report", "by", "rows", "took", "rows/s");
    for Run { name, by, size, ms, per_s, .. } in &report.runs {
        println!("{name:<16} {by:<10} {size:>12} {ms:>9} ms {per_s:>12}");
    }
    println!("{} MB at most", report.rss_mb.unwrap_or_default());
}
