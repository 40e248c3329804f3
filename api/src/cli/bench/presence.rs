//! `driveway bench presence`: a fleet in memory, beside a map of cars that is counted for each tick.

use std::time::Duration;

use clap::Args;
use scheduler::fleet::roster::bench::{Measured, measure, measure_plain};
use serde::Serialize;

use super::super::{Answer, Failure, print_json};
use super::{machine, rss};

#[derive(Args)]
pub struct PresenceArgs {
    /// Cars in the fleet.
    #[arg(long, default_value_t = 10_000_000, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1_000..=100_000_000))]
    cars: u32,
}

#[derive(Serialize)]
struct Run {
    size: u32,
    /// Changed cars a second, with the tick's snapshot after them.
    per_s: f64,
    changed: u32,
    /// The changes, and the snapshot after them.
    changing_ms: f64,
    snapshot_ms: f64,
    /// Polls a second of cars that say nothing new.
    polls_per_s: f64,
    fill_s: f64,
    /// Of the whole fleet, and of one car.
    rss_mb: Option<f64>,
    bytes_a_car: Option<f64>,
    cells: usize,
    levels: usize,
    offered: u64,
}

#[derive(Serialize)]
struct Peer {
    name: &'static str,
    per_s: f64,
}

#[derive(Serialize)]
struct Report {
    bench: &'static str,
    database: Option<&'static str>,
    runs: [Run; 1],
    peer: Peer,
    ratio: f64,
    machine: String,
}

impl PresenceArgs {
    pub fn run(self, json: bool) -> Result<Answer, Failure> {
        let changed = (self.cars / 10).max(1);
        let own = rss().unwrap_or(0);
        let (measured, held) = measure(self.cars, changed, rss);
        let held = held.map(|bytes| bytes.saturating_sub(own));
        let run = told(&measured, held);
        let plain = measure_plain(self.cars, changed);
        let peer = Peer {
            name: "a map of cars, counted for each tick",
            per_s: f64::from(changed) / plain.as_secs_f64(),
        };
        let ratio = run.per_s / peer.per_s;
        let bench = "presence";
        let report = Report { bench, database: None, runs: [run], peer, ratio, machine: machine() };
        match json {
            true => print_json(&report)?,
            false => print(&report),
        }
        Ok(Answer::Done)
    }
}

fn told(measured: &Measured, held: Option<u64>) -> Run {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let both = measured.changing + measured.snapshot;
    Run {
        size: measured.cars,
        per_s: f64::from(measured.changed) / both.as_secs_f64(),
        changed: measured.changed,
        changing_ms: ms(measured.changing),
        snapshot_ms: ms(measured.snapshot),
        polls_per_s: f64::from(measured.words) / measured.heard.as_secs_f64(),
        fill_s: measured.filled.as_secs_f64(),
        rss_mb: held.map(|bytes| bytes as f64 / 1e6),
        bytes_a_car: held.map(|bytes| bytes as f64 / f64::from(measured.cars)),
        cells: measured.cells,
        levels: measured.levels,
        offered: measured.offered,
    }
}

fn print(report: &Report) {
    let Report { runs: [run], peer, ratio, .. } = report;
    println!("{}", report.machine);
    let memory = run.rss_mb.map_or_else(String::new, |mb| format!(", {mb:.0} MB"));
    println!("{} cars{memory}, filled in {:.1} s", run.size, run.fill_s);
    println!("{:.0} polls/s of cars with nothing new", run.polls_per_s);
    println!(
        "{} changed cars in {:.0} ms, and the supply of {} levels read in {:.2} ms",
        run.changed, run.changing_ms, run.levels, run.snapshot_ms
    );
    println!("{}: {:.0} changed cars/s; we take {ratio:.1} times as many", peer.name, peer.per_s);
}
