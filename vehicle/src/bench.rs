//! What the sandbox costs: each figure beside the same work without it, on this machine and in
//! this build. `driveway bench sandbox` and `cargo bench -p vehicle --features bench` print it.
#![allow(clippy::float_arithmetic)]

mod plain;
mod start;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::pool::{Input, Job, Outcome, WorkerConfig, WorkerPool};
use crate::protocol::{Digest, Limits, Runtime};
pub use start::{Times, cold_start, vacate, vacate_deaf, warm_start};

const FLOAT: &[u8] = include_bytes!("../../workloads/bench/float.wasm");
const INTEGER: &[u8] = include_bytes!("../../workloads/bench/integer.wasm");
const DIGITS: &[u8] = include_bytes!("../../workloads/digits/digits.onnx");

/// Times that work is measured; the least counts, since others use the machine too.
const ROUNDS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(300);

/// The same work with and without the sandbox, CPU seconds, the least of five.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Work {
    pub name: &'static str,
    /// Steps, rounds or images.
    pub size: u32,
    /// Of them in a CPU second in the sandbox.
    pub per_s: f64,
    pub cpu_s: f64,
    pub plain_cpu_s: f64,
    /// How many times as long it takes in the sandbox.
    pub ratio: f64,
}

/// The works that are measured.
pub const WORKS: [&str; 4] = ["float", "float, deterministic", "integer", "digits"];

/// Measures one of [`WORKS`], or the `part`th part of it. Where a worker's start is no part of the question it is taken off:
/// by the same task of no steps, or of one batch.
///
/// # Errors
/// When a worker cannot be started, or does not do the work.
pub fn work(config: &WorkerConfig, name: &'static str, part: u32) -> io::Result<Work> {
    let pool = WorkerPool::new(config.clone())?;
    let (program, size, deterministic) = match name {
        "float" => (FLOAT, 3_000_000, false),
        "float, deterministic" => (FLOAT, 3_000_000, true),
        "integer" => (INTEGER, 2_000, false),
        _ => (DIGITS, 0, false),
    };
    let is_model = program == DIGITS;
    let runtime = if is_model { Runtime::Onnx } else { Runtime::Wasm };
    let size = if is_model { 64 * (200 / part).max(2) } else { (size / part).max(1) };
    let task = |size: u32| {
        let input = if is_model { plain::images(size)? } else { size.to_le_bytes().to_vec() };
        let limits = Limits { deterministic, fuel: u64::MAX >> 1, ..roomy() };
        io::Result::Ok(job(runtime, program, input, limits))
    };
    let (none, all) = (task(if is_model { 64 } else { 0 })?, task(size)?);
    let mut cpu_s = f64::INFINITY;
    let mut plain_cpu_s = f64::INFINITY;
    for _ in 0..ROUNDS {
        let spent = cpu_us(&pool, &all)? - cpu_us(&pool, &none)?;
        cpu_s = cpu_s.min(spent as f64 / 1e6);
        let plain =
            if is_model { plain::model(program, size)? } else { plain::wasm(program, size)? };
        plain_cpu_s = plain_cpu_s.min(plain.as_secs_f64());
    }
    let per_s = f64::from(size) / cpu_s;
    Ok(Work { name, size, per_s, cpu_s, plain_cpu_s, ratio: cpu_s / plain_cpu_s })
}

fn roomy() -> Limits {
    Limits { memory_bytes: 1 << 30, ..Limits::default() }
}

fn job(runtime: Runtime, program: &[u8], input: Vec<u8>, limits: Limits) -> Job {
    Job {
        runtime,
        program: Arc::new(program.to_vec()),
        digest: Digest::of(program),
        input: Input::Bytes(input),
        seed: Digest::of(b"bench"),
        checkpoint: None,
        limits,
    }
}

/// CPU time of the worker, for a task that must complete.
fn cpu_us(pool: &WorkerPool, job: &Job) -> io::Result<i64> {
    let run = pool.start(job.clone());
    let ended = run.wait(PATIENCE).ok_or_else(|| io::Error::other("it does not end"))?;
    match (&ended.outcome, ended.usage) {
        (Outcome::Completed { .. }, Some(usage)) => Ok(usage.cpu_us),
        (other, _) => Err(io::Error::other(format!("it did not do the work: {other:?}"))),
    }
}
