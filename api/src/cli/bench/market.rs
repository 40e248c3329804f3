//! `driveway bench market`: markets that stand for a hundred million cars, beside a solver of linear
//! programs.

use std::io::Write;
use std::process::{Command as Process, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use indicatif::ProgressBar;
use pricing::bench::{Case, Family, Meters, Run, Shape};
use serde::{Deserialize, Serialize};

use super::super::{Answer, Failure, print_json};
use super::{machine, rss};

#[derive(Args)]
pub struct MarketArgs {
    /// Python with the package highspy: the peer. Without one only our own figures are told.
    #[arg(long, env = "DRIVEWAY_TEST_PYTHON", default_value = "python3", value_name = "PROGRAM")]
    python: String,
    /// Which cells bids accept.
    #[arg(long, default_value = "regions", value_parser = shape)]
    shape: Shape,
    /// Measure one case, as JSON: every case has a process of its own, so that its memory is seen.
    #[arg(long, hide = true)]
    case: Option<String>,
}

/// The word that JSON has for it.
fn shape(word: &str) -> Result<Shape, String> {
    serde_json::from_value(word.into()).map_err(|error| error.to_string())
}

/// One case: CPU seconds of one thread.
#[derive(Debug, Serialize)]
struct Measured {
    family: Family,
    shape: Shape,
    /// Bids; cells and levels are 200 each.
    size: u32,
    /// Clearings a CPU second.
    per_s: f64,
    cpu_s: f64,
    /// The check that every tick in production goes through.
    check_s: f64,
    /// Memory of the book and its clearing.
    rss_mb: Option<f64>,
    lanes: u64,
    /// All-or-none bids in the money that were not served.
    rejected: u64,
    /// Welfare of the linear program's optimum, parts per million.
    welfare_ppm: i128,
}

#[derive(Debug, Serialize)]
struct Peer {
    name: &'static str,
    size: u32,
    per_s: f64,
    cpu_s: f64,
    /// Whether it found the same welfare.
    same_welfare: bool,
}

#[derive(Serialize)]
struct Report {
    bench: &'static str,
    database: Option<&'static str>,
    runs: Vec<Measured>,
    /// None if there is no Python with highspy.
    peer: Option<Peer>,
    /// How many times as quick as the peer, on the same market.
    ratio: Option<f64>,
    machine: String,
}

impl MarketArgs {
    pub fn run(self, json: bool) -> Result<Answer, Failure> {
        match &self.case {
            Some(case) => measure_here(case),
            None => market(&self, json),
        }
    }
}

/// The most bids that the peer ends with in good time.
const PEER_SIZE: u32 = 1_000;

fn market(args: &MarketArgs, json: bool) -> Result<Answer, Failure> {
    let sizes = [1_000, 10_000, 100_000];
    let families = [Family::Convex, Family::AllOrNone, Family::Budgets];
    let cases: Vec<Case> = families
        .iter()
        .flat_map(|family| sizes.map(|bids| Case::fleet(*family, args.shape, bids)))
        .collect();
    let bar = ProgressBar::new(cases.len() as u64 + 1);
    let mut runs = Vec::new();
    for case in &cases {
        runs.push(measure(case)?);
        bar.inc(1);
    }
    let peer = peer(&args.python, &Case::fleet(Family::Convex, args.shape, PEER_SIZE));
    bar.finish_and_clear();
    let peer = peer.inspect_err(|error| eprintln!("No peer: {error:#}")).ok();
    let ours = runs.iter().find(|run| run.family == Family::Convex && run.size == PEER_SIZE);
    let ratio = peer.as_ref().zip(ours).map(|(peer, ours)| peer.cpu_s / ours.cpu_s);
    let bench = "market";
    let report = Report { bench, database: None, runs, peer, ratio, machine: machine() };
    match json {
        true => print_json(&report)?,
        false => print(&report),
    }
    Ok(Answer::Done)
}

fn print(report: &Report) {
    println!("{}", report.machine);
    println!(
        "{:<12} {:>8} {:>9} {:>9} {:>8}  welfare",
        "family", "bids", "clear", "check", "memory"
    );
    for run in &report.runs {
        let family = format!("{:?}", run.family);
        let (clear, check) = (run.cpu_s * 1e3, run.check_s * 1e3);
        let memory = run.rss_mb.map_or_else(String::new, |mb| format!("{mb:.0} MB"));
        let (whole, rest) = (run.welfare_ppm / 10_000, run.welfare_ppm % 10_000);
        let size = run.size;
        println!(
            "{family:<12} {size:>8} {clear:>6.1} ms {check:>6.1} ms {memory:>8}  {whole}.{rest:04} %"
        );
    }
    if let (Some(peer), Some(ratio)) = (&report.peer, report.ratio) {
        let Peer { name, size, cpu_s, .. } = peer;
        println!("{name}, {size} bids: {cpu_s:.3} s; we are {ratio:.0} times as quick");
    }
}

/// Measures a case in a process of its own.
fn measure(case: &Case) -> anyhow::Result<Measured> {
    let case = serde_json::to_string(case)?;
    let output = Process::new(std::env::current_exe()?)
        .args(["bench", "market", "--case", &case])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        bail!("{case} ended with {}", output.status);
    }
    Ok(told(&serde_json::from_slice(&output.stdout)?))
}

fn told(run: &Run) -> Measured {
    let cpu_s = run.clear.as_secs_f64();
    Measured {
        family: run.case.family,
        shape: run.case.shape,
        size: run.case.bids,
        per_s: 1.0 / cpu_s,
        cpu_s,
        check_s: run.check.as_secs_f64(),
        rss_mb: run.rss_bytes.map(|bytes| bytes as f64 / 1e6),
        lanes: run.lanes,
        rejected: run.rejected,
        welfare_ppm: run.welfare * 1_000_000 / run.bound.max(1),
    }
}

/// The quickest of up to five runs that together take about a second: what other programs on the
/// machine add is not the clearing's. Of memory the first run tells: what it gave back stays.
fn measure_here(case: &str) -> Result<Answer, Failure> {
    let case: Case = serde_json::from_str(case).map_err(|e| Failure::Usage(e.to_string()))?;
    // What the program itself takes is not the market's.
    let own = rss().unwrap_or(0);
    let more = || rss().map(|bytes| bytes.saturating_sub(own));
    let meters = Meters { cpu: &cpu, rss: &more };
    let mut runs: Vec<Run> = Vec::new();
    let spent = |runs: &[Run]| runs.iter().map(|run| run.clear).sum::<Duration>();
    while runs.is_empty() || (runs.len() < 5 && spent(&runs) < Duration::from_secs(1)) {
        runs.push(pricing::bench::run(&case, &meters)?);
    }
    let rss_bytes = runs.first().and_then(|run| run.rss_bytes);
    let quickest = runs.into_iter().min_by_key(|run| run.clear).context("no run")?;
    print_json(&Run { rss_bytes, ..quickest })?;
    Ok(Answer::Done)
}

/// Time that this thread has spent on a CPU, where the kernel tells.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = stat.split(' ').next().and_then(|ns| ns.parse().ok());
    Duration::from_nanos(ns.unwrap_or(0))
}

/// The tests' oracle, which can also tell its time.
const PEER: &str = include_str!("../../../../pricing/tests/lp_oracle.py");

#[derive(Deserialize)]
struct Solved {
    relaxed: f64,
    seconds: f64,
}

/// The same market as one linear program, solved by HiGHS; its time is that of the solver alone.
fn peer(python: &str, case: &Case) -> anyhow::Result<Peer> {
    let book = case.book();
    let welfare = pricing::clear(&book)?.welfare;
    let mut child = Process::new(python)
        .args(["-c", PEER, "time"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{python} does not start"))?;
    let mut input = child.stdin.take().context("a pipe")?;
    let line = format!("{}\n", serde_json::to_string(&book)?);
    // If it ends early, its status tells more than the broken pipe.
    let _broken_pipe = input.write_all(line.as_bytes());
    drop(input);
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!("{python}: {}", text.lines().last().unwrap_or("ended early"));
    }
    let solved: Solved = serde_json::from_slice(&output.stdout)?;
    Ok(Peer {
        name: "HiGHS",
        size: case.bids,
        per_s: 1.0 / solved.seconds,
        cpu_s: solved.seconds,
        // A solver's figure is a float: the same to a millionth.
        same_welfare: (solved.relaxed - welfare as f64).abs() <= welfare as f64 / 1e6,
    })
}
