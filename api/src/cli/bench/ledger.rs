//! `driveway bench ledger`: the book beside raw SQL on the same database.

use std::time::Duration;

use clap::Args;
use ledger::bench::{Line, Options, run};
use serde::Serialize;
use store::{Env, Store};

use super::super::{Answer, Failure, print_json};
use super::{Scratch, machine};

#[derive(Args)]
pub struct LedgerArgs {
    /// An empty database to write to: sqlite://FILE or postgres://... A SQLite file in this folder,
    /// removed at the end, if not named.
    #[arg(long, env = "DRIVEWAY_BENCH_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Wallets that take part, chosen by Zipf's law, beside the one that is in every transfer.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    accounts: u32,
    /// Sizes of batch.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64, 512, 4_096])]
    batch: Vec<usize>,
    /// Seconds that each line is measured for.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
}

#[derive(Serialize)]
struct Run {
    name: &'static str,
    batch: usize,
    clients: usize,
    per_s: u64,
    p50_ms: f64,
    p99_ms: f64,
}

#[derive(Serialize)]
struct Report {
    bench: &'static str,
    database: &'static str,
    runs: Vec<Run>,
    /// Raw SQL: one transfer a transaction, three statements, eight connections (one on SQLite).
    peer: Run,
    /// The largest batch's rate over the peer's.
    ratio: f64,
    /// One transfer at a time: our median over that of one raw connection.
    latency_ratio: f64,
    machine: String,
}

impl From<&Line> for Run {
    fn from(line: &Line) -> Self {
        let Line { name, batch, clients, per_s, p50_ms, p99_ms } = *line;
        Self { name, batch, clients, per_s, p50_ms, p99_ms }
    }
}

impl LedgerArgs {
    pub fn run(self, json: bool) -> Result<Answer, Failure> {
        let scratch = Scratch::new();
        let url = self.database_url.clone().unwrap_or_else(|| scratch.url());
        let store = Store::open(&url, Env::system())?;
        if store.read(ledger::check::is_used)? {
            return Err(Failure::Usage("the database is not empty; the bench writes to it".into()));
        }
        let report = self.measure(&store, &url).map_err(|error| anyhow::anyhow!(error))?;
        match json {
            true => print_json(&report)?,
            false => print(&report),
        }
        Ok(Answer::Done)
    }

    fn measure(&self, store: &Store, url: &str) -> Result<Report, ledger::bench::Fault> {
        let options = Options {
            accounts: self.accounts as usize,
            batches: self.batch.clone(),
            time: Duration::from_secs(self.seconds),
        };
        let lines = run(store, url, &options)?;
        let (raw, ours): (Vec<&Line>, Vec<&Line>) =
            lines.iter().partition(|line| line.name == "raw");
        let (Some(alone), Some(peer)) = (raw.first(), raw.last()) else {
            return Err("the peer was not measured".into());
        };
        let best = ours.iter().max_by_key(|line| line.batch).map_or(0, |line| line.per_s);
        let single = ours.iter().find(|line| line.batch == 1 && line.clients == 1);
        Ok(Report {
            bench: "ledger",
            database: store.database(),
            peer: Run::from(*peer),
            ratio: best as f64 / peer.per_s.max(1) as f64,
            latency_ratio: single.map_or(0.0, |line| line.p50_ms / alone.p50_ms),
            runs: lines.iter().map(Run::from).collect(),
            machine: machine(),
        })
    }
}

fn print(report: &Report) {
    println!("{}, {}", report.database, report.machine);
    println!(
        "{:<8} {:>6} {:>8} {:>12} {:>10} {:>10}",
        "who", "batch", "clients", "transfers/s", "p50", "p99"
    );
    for run in &report.runs {
        let Run { name, batch, clients, per_s, p50_ms, p99_ms } = run;
        println!("{name:<8} {batch:>6} {clients:>8} {per_s:>12} {p50_ms:>7.2} ms {p99_ms:>7.2} ms");
    }
    let Report { ratio, latency_ratio, .. } = report;
    println!("{ratio:.1} times the raw peer; one at a time takes {latency_ratio:.2} times as long");
}
