//! CPU time of `clear` and `check` over families, shapes and sizes:
//! `cargo bench -p pricing --features bench [-- FAMILY SHAPE BIDS]`, all in lower case.
//! With the word `peer`, also that of HiGHS on the convex instances of 1,000 bids, by the Python of
//! DRIVEWAY_TEST_PYTHON (or python3), which must have highspy.

use std::process::{Command, Stdio};
use std::time::Duration;

use pricing::bench::{Case, Family, Meters, Run, Shape, run};

fn main() {
    let mut words: Vec<String> =
        std::env::args().skip(1).filter(|word| word != "--bench").collect();
    println!("family,shape,bids,clear_ms,check_ms,rss_mb,lanes,rejected,welfare/bound_ppm");
    let peer = words.iter().any(|word| word == "peer");
    words.retain(|word| word != "peer");
    for case in cases().iter().filter(|case| is_asked_for(case, &words)) {
        let run = measured(case);
        print(&run);
        if peer && case.bids == 1_000 && case.family == Family::Convex {
            compare(&run);
        }
    }
}

/// Solves the same instance by HiGHS, and prints how many times longer that takes.
fn compare(run: &Run) {
    let python = std::env::var("DRIVEWAY_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lp_oracle.py");
    let mut peer = Command::new(python)
        .args([script, "time"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let input = peer.stdin.take().expect("stdin is piped");
    serde_json::to_writer(input, &run.case.book()).expect("the peer reads the book");
    let output = peer.wait_with_output().expect("the peer ends");
    let answer: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("the peer has highspy, and answers");
    let seconds = answer["seconds"].as_f64().expect("a number");
    assert_eq!(
        answer["relaxed"].as_f64().map(|welfare| welfare.round() as i128),
        Some(run.welfare)
    );
    let ratio = seconds / run.clear.as_secs_f64();
    println!("  HiGHS: the same welfare in {:.1} ms, {ratio:.0} times as long", seconds * 1e3);
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for bids in [1_000, 10_000, 100_000] {
        for family in [Family::Convex, Family::AllOrNone, Family::Budgets] {
            for shape in [Shape::Regions, Shape::Random, Shape::Classes, Shape::All] {
                cases.push(Case::fleet(family, shape, bids));
            }
        }
    }
    cases
}

/// Each word must be the family, the shape or the number of bids.
fn is_asked_for(case: &Case, words: &[String]) -> bool {
    let Case { family, shape, bids, .. } = case;
    let names = [format!("{family:?}"), format!("{shape:?}"), bids.to_string()];
    words.iter().all(|word| names.iter().any(|name| name.to_lowercase() == *word))
}

/// The mean of as many runs as take a third of a second together, as the kernel's count moves in
/// ticks.
fn measured(case: &Case) -> Run {
    let meters = Meters { cpu: &cpu, rss: &rss };
    let start = cpu();
    let mut runs: Vec<Run> = Vec::new();
    while cpu() - start < Duration::from_millis(333) {
        runs.push(run(case, &meters).expect("the case is valid and clears"));
    }
    let mean = |of: fn(&Run) -> Duration| runs.iter().map(of).sum::<Duration>() / runs.len() as u32;
    let (clear, check) = (mean(|run| run.clear), mean(|run| run.check));
    // Memory that was given back stays with the process: the first run tells.
    let first = runs.first().expect("there is a run");
    Run { clear, check, ..first.clone() }
}

fn print(run: &Run) {
    let Case { family, shape, bids, .. } = run.case;
    let ms = |time: Duration| format!("{}.{}", time.as_millis(), time.as_micros() % 1_000 / 100);
    let (clear, check) = (ms(run.clear), ms(run.check));
    let rss = run.rss_bytes.map_or(0, |bytes| bytes >> 20);
    let share = run.welfare * 1_000_000 / run.bound.max(1);
    let (lanes, rejected) = (run.lanes, run.rejected);
    println!("{family:?},{shape:?},{bids},{clear},{check},{rss},{lanes},{rejected},{share}");
}

/// Time this thread has spent on a CPU, where the kernel tells.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = stat.split(' ').next().and_then(|ns| ns.parse().ok());
    Duration::from_nanos(ns.unwrap_or(0))
}

/// The most memory this process has held so far.
fn rss() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib << 10)
}
