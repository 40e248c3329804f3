//! How many leases a second: cleared, let, delivered, completed and settled, all of it on the disk,
//! beside the plain way on the same database in the same run.
//!
//! Every round is a tick that lets every car to one of many jobs, a poll of each car that fetches
//! its task, and one that reports it done: the lease ends for want of work and is paid for out of
//! the job's hold. Cars are callers of the [`Desk`] in this process. Jobs are posted before the
//! round, and outputs stored before the run: neither is counted. At the end the books are checked.

#![allow(clippy::float_arithmetic)]

mod load;
mod plain;

use std::time::{Duration, Instant};

use store::{Store, VehicleId};
use vehicle::protocol::{AttemptReport, AttemptState, Heartbeat, Order};

use crate::{Desk, market};
use load::Load;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    pub cars: usize,
    /// For how long each line is measured, at least a round.
    pub time: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { cars: 4_000, time: Duration::from_secs(10) }
    }
}

/// A line of the result.
#[derive(Clone, Debug)]
pub struct Line {
    pub name: &'static str,
    /// Threads that call.
    pub callers: usize,
    /// Cars that a caller speaks for at once.
    pub batch: usize,
    pub leases: u64,
    pub per_s: u64,
    /// Of a call, milliseconds.
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Of the time, what ticks took, parts per million.
    pub ticks_ppm: u64,
    /// CPU time of this process, seconds, where the kernel tells.
    pub cpu_s: Option<f64>,
}

/// Anything that can go wrong.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Measures callers that speak for many cars, callers with one car each, and last the plain way.
///
/// # Errors
/// Whatever fails: nothing may. Books that do not check.
pub fn run(store: &Store, url: &str, options: &Options) -> Result<Vec<Line>, Fault> {
    let load = Load::prepare(store, options.cars)?;
    let mut lines = Vec::new();
    for (callers, batch) in [(4, 256), (64, 1)] {
        lines.push(measure(&load, callers, batch, options.time)?);
    }
    load.check()?;
    lines.push(plain::run(url, options.time)?);
    Ok(lines)
}

/// Rounds of a tick, a poll that fetches and a poll that reports.
fn measure(load: &Load, callers: usize, batch: usize, time: Duration) -> Result<Line, Fault> {
    let desk = Desk::new(load.store.clone(), load.config.clone());
    let mut took = Vec::new();
    let (mut leases, mut spent, mut ticks) = (0, Duration::ZERO, Duration::ZERO);
    let cpu_before = cpu();
    while spent < time {
        load.post_jobs()?;
        let start = Instant::now();
        let report = market::tick(&load.store, &load.config, "us", load.node)?;
        if report.leases != load.cars.len() {
            return Err(format!("{report:?} for {} cars", load.cars.len()).into());
        }
        ticks += start.elapsed();
        took.extend(each_caller(&desk, load, callers, batch)?);
        spent += start.elapsed();
        leases += report.leases as u64;
    }
    let cpu_s = cpu().zip(cpu_before).map(|(now, before)| now - before);
    took.sort_unstable();
    Ok(line("desk", callers, batch, leases, spent, &took, ticks, cpu_s))
}

/// Every car fetches its task; when all have one, every car reports it done. Else the first to be
/// done would take the tasks of the others.
fn each_caller(
    desk: &Desk,
    load: &Load,
    callers: usize,
    batch: usize,
) -> Result<Vec<Duration>, Fault> {
    let idle = || Heartbeat { telemetry: load.telemetry.clone(), attempt: None };
    let polls: Vec<Poll> = load.cars.iter().map(|car| (*car, idle())).collect();
    let (orders, mut took) = side_by_side(desk, &polls, callers, batch)?;
    let orders: Vec<Order> = orders.into_iter().flatten().collect();
    if orders.len() != load.cars.len() {
        return Err("a car without an order".into());
    }
    let polls: Vec<Poll> =
        load.cars.iter().zip(&orders).map(|(car, order)| (*car, load.done(order))).collect();
    let (orders, more) = side_by_side(desk, &polls, callers, batch)?;
    if orders.iter().any(Option::is_some) {
        return Err("more work than was posted".into());
    }
    took.extend(more);
    Ok(took)
}

type Poll = (VehicleId, Heartbeat);

/// Callers share the polls; each has `batch` of them at the desk at a time.
fn side_by_side(
    desk: &Desk,
    polls: &[Poll],
    callers: usize,
    batch: usize,
) -> Result<(Vec<Option<Order>>, Vec<Duration>), Fault> {
    let (mut orders, mut took) = (Vec::with_capacity(polls.len()), Vec::new());
    std::thread::scope(|scope| {
        let threads: Vec<_> = polls
            .chunks(polls.len().div_ceil(callers))
            .map(|own| scope.spawn(move || caller(desk, own, batch)))
            .collect();
        for thread in threads {
            let (own, more) = thread.join().map_err(|_| "a caller panicked")??;
            orders.extend(own);
            took.extend(more);
        }
        Ok((orders, took))
    })
}

fn caller(
    desk: &Desk,
    polls: &[Poll],
    batch: usize,
) -> Result<(Vec<Option<Order>>, Vec<Duration>), Fault> {
    let (mut orders, mut took) = (Vec::with_capacity(polls.len()), Vec::new());
    for polls in polls.chunks(batch) {
        let sent = Instant::now();
        let answers = desk.heartbeats(polls.to_vec());
        took.push(sent.elapsed());
        for answer in answers {
            orders.push(answer?.order);
        }
    }
    Ok((orders, took))
}

impl Load {
    /// The word of a car whose task is done.
    fn done(&self, order: &Order) -> Heartbeat {
        let state = AttemptState::Completed { output: self.output.clone(), metered_us: 1 };
        let report = AttemptReport::new(&order.attempt_id, state);
        Heartbeat { telemetry: self.telemetry.clone(), attempt: Some(report) }
    }
}

#[allow(clippy::too_many_arguments)]
fn line(
    name: &'static str,
    callers: usize,
    batch: usize,
    leases: u64,
    spent: Duration,
    took: &[Duration],
    ticks: Duration,
    cpu_s: Option<f64>,
) -> Line {
    let at = |ppm: usize| took.get(took.len() * ppm / 1_000).or(took.last()).copied();
    let ms = |at: Option<Duration>| at.map_or(0.0, |time| time.as_micros() as f64 / 1_000.0);
    let us = spent.as_micros().max(1);
    let share = |part: u128| u64::try_from(part / us).unwrap_or(u64::MAX);
    Line {
        name,
        callers,
        batch,
        leases,
        per_s: share(u128::from(leases) * 1_000_000),
        p50_ms: ms(at(500)),
        p99_ms: ms(at(990)),
        ticks_ppm: share(ticks.as_micros() * 1_000_000),
        cpu_s,
    }
}

/// CPU time of this process so far, seconds: the kernel counts it in hundredths.
fn cpu() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((ticks()? + ticks()?) as f64 / 100.0)
}
