//! `driveway bench sandbox`: what the sandbox costs, beside the same work without it.

use anyhow::Context;
use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;
use vehicle::WorkerConfig;
use vehicle::bench::{Times, WORKS, Work, cold_start, vacate, vacate_deaf, warm_start, work};

use super::super::{Answer, Failure, print_json};
use super::machine;

#[derive(Args)]
pub struct SandboxArgs {
    /// Do a twentieth of the work: to see that it works.
    #[arg(long)]
    quick: bool,
}

/// One figure: a work, or how soon something happens.
#[derive(Serialize)]
#[serde(untagged)]
enum Figure {
    Work(Work),
    Times(Times),
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
    runs: Vec<Figure>,
    /// The float work with nothing on.
    peer: Peer,
    /// How many times as long the float work takes in the sandbox.
    ratio: f64,
    machine: String,
}

impl SandboxArgs {
    pub fn run(self, json: bool) -> Result<Answer, Failure> {
        let report = measure(if self.quick { 20 } else { 1 })?;
        match json {
            true => print_json(&report)?,
            false => print(&report),
        }
        Ok(Answer::Done)
    }
}

fn measure(part: u32) -> anyhow::Result<Report> {
    let executable = std::env::current_exe().context("our own program")?;
    let config = WorkerConfig { executable, args: vec!["worker".to_owned()], size: 1 };
    let starts = [cold_start, warm_start, vacate, vacate_deaf];
    let bar = ProgressBar::new((WORKS.len() + starts.len()) as u64);
    let mut works = Vec::new();
    for name in WORKS {
        works.push(work(&config, name, part)?);
        bar.inc(1);
    }
    let float = works.first().context("there is a first work")?;
    let peer = Peer {
        name: "wasmtime and tract, nothing on",
        per_s: f64::from(float.size) / float.plain_cpu_s,
    };
    let ratio = float.ratio;
    let mut runs: Vec<Figure> = works.into_iter().map(Figure::Work).collect();
    for start in starts {
        runs.push(Figure::Times(start(&config, part)?));
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(Report { bench: "sandbox", database: None, runs, peer, ratio, machine: machine() })
}

fn print(report: &Report) {
    println!("{}", report.machine);
    for figure in &report.runs {
        match figure {
            Figure::Work(Work { name, cpu_s, plain_cpu_s, ratio, .. }) => println!(
                "{name:<28} {cpu_s:>7.3} s, {plain_cpu_s:.3} s with nothing on: {ratio:.2} times"
            ),
            Figure::Times(Times { name, p50_ms, p99_ms, .. }) => {
                println!("{name:<28} p50 {p50_ms:>7.2} ms, p99 {p99_ms:.2} ms");
            }
        }
    }
}
