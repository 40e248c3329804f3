//! How soon a task begins, and how soon a car is free.

use std::io;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{INTEGER, PATIENCE, job, roomy};
use crate::pool::{Input, Job, Outcome, WorkerConfig, WorkerPool};
use crate::protocol::{Limits, Runtime};

/// Milliseconds of wall time.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Times {
    pub name: &'static str,
    /// How often it was measured.
    pub size: u32,
    /// How often it could happen in a second, one after the other.
    pub per_s: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

impl Times {
    fn of(name: &'static str, mut times: Vec<Duration>) -> Self {
        times.sort();
        let ms = |percent: usize| {
            let time = times.get((times.len() * percent / 100).min(times.len().saturating_sub(1)));
            time.map_or(0.0, |time| time.as_secs_f64() * 1e3)
        };
        let per_s = 1e3 / ms(50).max(1e-6);
        Self { name, size: times.len() as u32, per_s, p50_ms: ms(50), p99_ms: ms(99) }
    }
}

/// A program that ends at once.
fn nothing() -> Job {
    job(Runtime::Wasm, INTEGER, 0u32.to_le_bytes().to_vec(), roomy())
}

/// From the order to the first instruction of the program.
fn once(pool: &WorkerPool, job: &Job) -> io::Result<Duration> {
    let run = pool.start(job.clone());
    let ended = run.wait(PATIENCE).ok_or_else(|| io::Error::other("it does not end"))?;
    match &ended.outcome {
        Outcome::Completed { .. } => Ok(Duration::from_micros(ended.start_us.unsigned_abs())),
        other => Err(io::Error::other(format!("it did not complete: {other:?}"))),
    }
}

/// The first task of a pool, from the start of the pool to the end of the pool: its worker is not
/// up, its program not compiled.
///
/// # Errors
/// When a worker cannot be started.
pub fn cold_start(config: &WorkerConfig, part: u32) -> io::Result<Times> {
    let one = |_| {
        let began = Instant::now();
        once(&WorkerPool::new(config.clone())?, &nothing())?;
        Ok(began.elapsed())
    };
    Ok(Times::of("cold start", (0..(50 / part).max(1)).map(one).collect::<io::Result<_>>()?))
}

/// A task whose program is compiled and whose worker is up.
///
/// # Errors
/// When a worker cannot be started.
pub fn warm_start(config: &WorkerConfig, part: u32) -> io::Result<Times> {
    let pool = WorkerPool::new(config.clone())?;
    once(&pool, &nothing())?;
    let one = |_| {
        std::thread::sleep(Duration::from_millis(100));
        once(&pool, &nothing())
    };
    Ok(Times::of("warm start", (0..(100 / part).max(1)).map(one).collect::<io::Result<_>>()?))
}

/// From the driver's return to a free car, with a program that asks whether it should leave
/// (a unit of work takes it about a millisecond).
///
/// # Errors
/// When a worker cannot be started.
pub fn vacate(config: &WorkerConfig, part: u32) -> io::Result<Times> {
    const HISTOGRAM: &[u8] = include_bytes!("../../../workloads/guest/examples/histogram_c.wasm");
    // So long that it is still at it when it is told; a file of nothing takes no room.
    let path = std::env::temp_dir().join(format!("driveway-bench-{}", std::process::id()));
    std::fs::File::create(&path)?.set_len(1 << 30)?;
    let mut job = job(Runtime::Wasm, HISTOGRAM, Vec::new(), roomy());
    job.input = Input::File(path.clone());
    let times = leave(config, part, "vacate", job);
    std::fs::remove_file(&path)?;
    times
}

/// The same with a program that does not listen and is ended by force: the grace, and what comes
/// after it.
///
/// # Errors
/// When a worker cannot be started.
pub fn vacate_deaf(config: &WorkerConfig, part: u32) -> io::Result<Times> {
    let limits = Limits { fuel: u64::MAX >> 1, ..roomy() };
    let rounds = u32::MAX.to_le_bytes().to_vec();
    leave(config, part, "vacate, deaf (grace 500 ms)", job(Runtime::Wasm, INTEGER, rounds, limits))
}

fn leave(config: &WorkerConfig, part: u32, name: &'static str, job: Job) -> io::Result<Times> {
    let pool = WorkerPool::new(config.clone())?;
    let mut times = Vec::new();
    for _ in 0..(20 / part).max(1) {
        let run = pool.start(job.clone());
        while run.metered_us() < 20_000 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let began = Instant::now();
        run.vacate(Duration::from_millis(500));
        let ended = run.wait(PATIENCE).ok_or_else(|| io::Error::other("it does not leave"))?;
        match &ended.outcome {
            Outcome::Checkpointed { .. } | Outcome::Vacated => times.push(began.elapsed()),
            other => return Err(io::Error::other(format!("it did not leave: {other:?}"))),
        }
    }
    Ok(Times::of(name, times))
}
