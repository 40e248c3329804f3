//! `driveway bench dispatch`: leases from tick to settlement, beside the plain way.

use std::time::Duration;

use clap::Args;
use scheduler::bench::{Fault, Line, Options, run};
use serde::Serialize;
use store::{Env, Store};

use super::super::{Answer, Failure, print_json};
use super::{Scratch, machine};

#[derive(Args)]
pub struct DispatchArgs {
    /// An empty database to write to: sqlite://FILE or postgres://... A SQLite file in this folder,
    /// removed at the end, if not named.
    #[arg(long, env = "DRIVEWAY_BENCH_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Cars; each has a lease every round.
    #[arg(long, default_value_t = 4_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    cars: u32,
    /// Seconds that each line is measured for, at least a round.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
}

#[derive(Serialize)]
struct Run {
    name: &'static str,
    /// Threads that call, and the cars that each speaks for at a time.
    clients: usize,
    batch: usize,
    leases: u64,
    /// Leases.
    per_s: u64,
    /// Of a call with the heartbeats of a batch; of the peer, of a whole lease.
    p50_ms: f64,
    p99_ms: f64,
    /// Of the time, what ticks took, parts per million.
    ticks_ppm: u64,
    /// CPU time of this process, without the database's where that is another.
    cpu_s: Option<f64>,
}

#[derive(Serialize)]
struct Report {
    bench: &'static str,
    database: &'static str,
    runs: Vec<Run>,
    /// One transaction a step, row by row: eight connections (one on SQLite).
    peer: Run,
    /// The best rate over the peer's.
    ratio: f64,
    machine: String,
}

impl From<&Line> for Run {
    fn from(line: &Line) -> Self {
        let Line { name, callers, batch, leases, per_s, p50_ms, p99_ms, ticks_ppm, cpu_s } = *line;
        Self { name, clients: callers, batch, leases, per_s, p50_ms, p99_ms, ticks_ppm, cpu_s }
    }
}

impl DispatchArgs {
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

    fn measure(&self, store: &Store, url: &str) -> Result<Report, Fault> {
        let time = Duration::from_secs(self.seconds);
        let lines = run(store, url, &Options { cars: self.cars as usize, time })?;
        let (plain, ours): (Vec<&Line>, Vec<&Line>) =
            lines.iter().partition(|line| line.name == "plain");
        let peer = plain.first().copied().ok_or("the peer was not measured")?;
        let best = ours.iter().map(|line| line.per_s).max().unwrap_or(0);
        Ok(Report {
            bench: "dispatch",
            database: store.database(),
            runs: lines.iter().map(Run::from).collect(),
            peer: Run::from(peer),
            ratio: best as f64 / peer.per_s.max(1) as f64,
            machine: machine(),
        })
    }
}

fn print(report: &Report) {
    println!("{}, {}", report.database, report.machine);
    println!(
        "{:<8} {:>8} {:>6} {:>10} {:>10} {:>10} {:>8}",
        "who", "callers", "batch", "leases/s", "p50", "p99", "CPU"
    );
    for run in &report.runs {
        let Run { name, clients, batch, per_s, p50_ms, p99_ms, .. } = run;
        let cpu = run.cpu_s.map_or_else(String::new, |cpu_s| format!("{cpu_s:.1} s"));
        println!(
            "{name:<8} {clients:>8} {batch:>6} {per_s:>10} {p50_ms:>7.2} ms {p99_ms:>7.2} ms {cpu:>8}"
        );
    }
    println!("{:.1} times the plain way", report.ratio);
}
