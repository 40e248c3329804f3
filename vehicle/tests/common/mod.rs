//! What the sandbox tests share.
#![allow(dead_code)]

use std::sync::Arc;
use std::time::Duration;

use vehicle::protocol::{Digest, FailureCode, Fault, Limits, Runtime};
use vehicle::{Ended, Input, Job, Outcome, Run, WorkerConfig, WorkerPool};

/// More than any test takes on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn pool(size: usize) -> WorkerPool {
    let executable = env!("CARGO_BIN_EXE_driveway-worker").into();
    WorkerPool::new(WorkerConfig { executable, args: vec![], size }).unwrap()
}

pub fn job(runtime: Runtime, program: &[u8], input: &[u8], limits: Limits) -> Job {
    Job {
        runtime,
        program: Arc::new(program.to_vec()),
        digest: Digest::of(program),
        input: Input::Bytes(input.to_vec()),
        seed: Digest::of(b"task"),
        checkpoint: None,
        limits,
    }
}

pub fn wasm(text: &str, input: &[u8], limits: Limits) -> Job {
    job(Runtime::Wasm, &wat::parse_str(text).unwrap(), input, limits)
}

pub fn outcome(run: &Run) -> Arc<Ended> {
    run.wait(PATIENCE).expect("the run ends")
}

/// What a run that completed wrote.
pub fn output(ended: &Ended) -> Vec<u8> {
    match &ended.outcome {
        Outcome::Completed { output } => output.read().unwrap(),
        other => panic!("not completed: {other:?}"),
    }
}

/// The code and the words of a failure of the program.
pub fn failure(ended: &Ended) -> (FailureCode, &str) {
    match &ended.outcome {
        Outcome::Failed { fault: Fault::Program, code, message } => (*code, message),
        other => panic!("not a failure of the program: {other:?}"),
    }
}

/// Small enough that a hostile program is stopped soon.
pub fn tight() -> Limits {
    Limits {
        fuel: 50_000_000,
        cpu_ms: 5_000,
        wall_ms: 10_000,
        memory_bytes: 4 << 20,
        output_bytes: 1 << 20,
        checkpoint_bytes: 64 << 10,
        host_calls: 10_000,
        grace_ms: 300,
        deterministic: false,
    }
}

/// A guest around the body of `run`, with every import and one page of memory.
pub fn guest(body: &str) -> String {
    format!(
        r#"(module
  (import "driveway" "input_len" (func $input_len (result i32)))
  (import "driveway" "input_read" (func $input_read (param i32 i32 i32) (result i32)))
  (import "driveway" "output_write" (func $output_write (param i32 i32) (result i32)))
  (import "driveway" "progress" (func $progress (param f32)))
  (import "driveway" "should_yield" (func $should_yield (result i32)))
  (import "driveway" "checkpoint" (func $checkpoint (param i32 i32) (result i32)))
  (import "driveway" "resume_len" (func $resume_len (result i32)))
  (import "driveway" "resume_read" (func $resume_read (param i32 i32 i32) (result i32)))
  (import "driveway" "log" (func $log (param i32 i32) (result i32)))
  (import "driveway" "metric" (func $metric (param i32 i32 i64) (result i32)))
  (memory (export "memory") 1)
  (func (export "run") (result i32) {body}))"#
    )
}

/// Counts to the number in its input, adding up as it goes; writes the sum. Between steps it
/// looks whether it should leave, and then leaves its counter and sum as a checkpoint.
pub fn counter() -> String {
    guest(
        r#"(local $count i64) (local $sum i64)
    (drop (call $input_read (i32.const 0) (i32.const 0) (i32.const 8)))
    (drop (call $resume_read (i32.const 0) (i32.const 8) (i32.const 16)))
    (local.set $count (i64.load (i32.const 8)))
    (local.set $sum (i64.load (i32.const 16)))
    (block $done
      (loop $next
        (br_if $done (i64.ge_u (local.get $count) (i64.load (i32.const 0))))
        (local.set $count (i64.add (local.get $count) (i64.const 1)))
        (local.set $sum
          (i64.add (i64.mul (local.get $sum) (i64.const 31)) (local.get $count)))
        (br_if $next (i64.ne (i64.rem_u (local.get $count) (i64.const 1000)) (i64.const 0)))
        (call $progress (f32.div
          (f32.convert_i64_u (local.get $count)) (f32.convert_i64_u (i64.load (i32.const 0)))))
        (br_if $next (i32.eqz (call $should_yield)))
        (i64.store (i32.const 8) (local.get $count))
        (i64.store (i32.const 16) (local.get $sum))
        (drop (call $checkpoint (i32.const 8) (i32.const 16)))
        (return (i32.const 1))))
    (i64.store (i32.const 0) (local.get $sum))
    (drop (call $output_write (i32.const 0) (i32.const 8)))
    (i32.const 0)"#,
    )
}
