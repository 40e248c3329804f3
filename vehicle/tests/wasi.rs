//! Ordinary programs in C, Rust and Zig (`tests/guests`), and abuse of what they import, in real
//! worker processes.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{failure, job, outcome, output, pool, tight};
use vehicle::protocol::{FailureCode, Limits, Runtime};
use vehicle::{Job, Outcome};

fn program(name: &str, input: &[u8]) -> Job {
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests");
    let program = fs::read(guests.join(name).with_extension("wasm")).unwrap();
    let limits = Limits { fuel: 10_000_000_000, memory_bytes: 64 << 20, ..tight() };
    job(Runtime::Wasm, &program, input, limits)
}

#[test]
fn programs_in_c_rust_and_zig_read_write_and_log() {
    let pool = pool(2);
    let cases = [
        ("upper", &b"Hello, car 7!"[..], "HELLO, CAR 7!", "13 bytes\n"),
        ("sort", b"pear\nfig\napple\n", "apple\nfig\npear\nlengths", "3 lines\n"),
        ("sum", b"abc", "294\n", ""),
    ];
    for (name, input, expected, log) in cases {
        pool.check(Runtime::Wasm, &program(name, b"").program).unwrap();
        let ended = outcome(&pool.start(program(name, input)));
        let text = String::from_utf8(output(&ended)).unwrap();
        assert!(text.starts_with(expected), "{name}: {text}");
        assert_eq!(ended.log, log, "{name}");
    }
}

#[test]
fn how_a_program_exits_is_told() {
    let pool = pool(1);
    let ended = outcome(&pool.start(program("sort", b"")));
    assert_eq!(failure(&ended), (FailureCode::NonZeroExit, "the program exited with 3"));
    assert_eq!(ended.log, "0 lines\n");
    let ended = outcome(&pool.start(program("sort", b"panic\n")));
    assert_eq!(failure(&ended).0, FailureCode::Trap);
    assert!(ended.log.contains("asked to"), "{}", ended.log);
}

#[test]
fn a_program_finds_no_files_no_environment_and_no_real_time() {
    let pool = pool(1);
    let ended = outcome(&pool.start(program("probe", b"")));
    let text = String::from_utf8(output(&ended)).unwrap();
    assert!(text.starts_with("args: 1 main\n"), "{text}");
    assert!(text.ends_with("year: 2000\nslept: 3600 s\n"), "{text}");
    assert!(ended.metered_us < 5_000_000);
}

/// Bytes, fuel and log.
fn whole(ended: &vehicle::Ended) -> (Vec<u8>, u64, String) {
    (output(ended), ended.usage.unwrap().fuel, ended.log.clone())
}

#[test]
fn what_it_does_depends_on_program_input_and_seed_alone() {
    let pool = pool(2);
    let lines: String = (0..200).map(|n| format!("{}\n", "x".repeat(n % 37))).collect();
    for (name, input) in [("sort", lines.as_bytes()), ("probe", b""), ("upper", b"again")] {
        for deterministic in [false, true] {
            let mut job = program(name, input);
            job.limits.deterministic = deterministic;
            let [first, second] = [0; 2].map(|_| outcome(&pool.start(job.clone())));
            assert_eq!(whole(&first), whole(&second), "{name}");
            job.seed = vehicle::protocol::Digest::of(b"another");
            let third = outcome(&pool.start(job));
            // Those that draw random numbers see others.
            assert_eq!(output(&first) == output(&third), name == "upper", "{name}");
        }
    }
}

/// A NaN whose bits are not the canonical ones, unless they are made so.
#[test]
fn nans_are_canonical_where_it_was_asked_for() {
    let pool = pool(1);
    let text = common::guest(
        "(f32.store (i32.const 0) (f32.div (f32.const 0) (f32.load (i32.const 8))))
         (f32.store (i32.const 4)
           (f32.add (f32.const nan:0x200001) (f32.load (i32.const 8))))
         (drop (call $output_write (i32.const 0) (i32.const 8))) (i32.const 0)",
    );
    let nans = |deterministic| {
        let job = common::wasm(&text, b"", Limits { deterministic, ..tight() });
        let [first, second] = [0; 2].map(|_| outcome(&pool.start(job.clone())));
        assert_eq!(whole(&first), whole(&second));
        output(&first)
    };
    assert_eq!(nans(true), [0, 0, 0xc0, 0x7f, 0, 0, 0xc0, 0x7f]);
    assert_ne!(nans(true), nans(false));
}

/// A program for WASI around the body of `_start`.
fn start(body: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff"
    (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 2)
  (func (export "_start") {body}))"#
    );
    wat::parse_str(text).unwrap()
}

/// `_start` that exits with what an expression gives.
fn answer(expression: &str) -> Vec<u8> {
    start(&format!("(call $exit {expression})"))
}

#[test]
fn abuse_of_wasi_ends_in_its_typed_failure() {
    use FailureCode::*;
    let forever = |call: &str| start(&format!("(loop $l (drop {call}) (br $l))"));
    // Piece 0 of memory names 64 KiB from 0 on: itself among them.
    let vector = "(i32.store (i32.const 4) (i32.const 65536))";
    let cases = [
        ("too many pieces: an errno", answer("(call $write (i32.const 1) (i32.const 0) (i32.const -1) (i32.const 0))"), NonZeroExit, "28"),
        ("pieces outside", answer("(call $write (i32.const 1) (i32.const 131000) (i32.const 1000) (i32.const 0))"), Trap, "memory has"),
        (
            "a piece outside",
            start("(i32.store (i32.const 0) (i32.const 131070)) (i32.store (i32.const 4) (i32.const 9))
                   (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 16)))"),
            Trap,
            "memory has",
        ),
        (
            "pieces over 2 GiB together: an errno",
            start("(i32.store (i32.const 4) (i32.const -1)) (i32.store (i32.const 12) (i32.const -1))
                   (call $exit (call $read (i32.const 0) (i32.const 0) (i32.const 2) (i32.const 16)))"),
            NonZeroExit,
            "28",
        ),
        ("unknown descriptor: an errno", answer("(call $write (i32.const 3) (i32.const 0) (i32.const 1) (i32.const 16))"), NonZeroExit, "8"),
        ("result outside", answer("(call $clock (i32.const 0) (i64.const 0) (i32.const -4))"), Trap, "memory has"),
        ("no such clock: an errno", answer("(call $clock (i32.const 9) (i64.const 0) (i32.const 0))"), NonZeroExit, "28"),
        (
            "endless output",
            start(&format!("{vector} (loop $l (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 65540))) (br $l))")),
            OutputExceeded,
            "",
        ),
        (
            "endless log",
            start(&format!("{vector} (loop $l (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 65540))) (br $l))")),
            FuelExhausted,
            "",
        ),
        ("clock storm", forever("(call $clock (i32.const 0) (i64.const 0) (i32.const 0))"), HostCallsExceeded, ""),
        ("waiting storm", forever("(call $poll (i32.const 0) (i32.const 4096) (i32.const 8) (i32.const 0))"), HostCallsExceeded, ""),
        ("waits for nothing: an errno", answer("(call $poll (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))"), NonZeroExit, "28"),
        ("too many waits: an errno", answer("(call $poll (i32.const 0) (i32.const 0) (i32.const 100000) (i32.const 0))"), NonZeroExit, "28"),
        ("randomness storm", forever("(call $random (i32.const 0) (i32.const 65536))"), FuelExhausted, ""),
        ("random outside", answer("(call $random (i32.const 131000) (i32.const 1000))"), Trap, "memory has"),
        ("yields unasked", start("(call $exit (i32.const 75))"), NonZeroExit, "without being told"),
        ("trap", start("unreachable"), Trap, ""),
    ];
    let pool = pool(2);
    for (name, bytes, expected, words) in cases {
        let began = Instant::now();
        let ended = outcome(&pool.start(job(Runtime::Wasm, &bytes, b"input", tight())));
        let (code, message) = failure(&ended);
        assert_eq!(code, expected, "{name}: {message}");
        assert!(message.contains(words), "{name}: {message}");
        assert!(began.elapsed() < Duration::from_secs(8), "{name} took {:?}", began.elapsed());
        assert!(ended.log.len() <= 16 << 10);
    }
}

/// The pieces to read into cover each other and the list of pieces itself.
#[test]
fn overlapping_pieces_are_read_as_they_were_named() {
    let pool = pool(1);
    let bytes = start(
        "(i32.store (i32.const 0) (i32.const 0)) (i32.store (i32.const 4) (i32.const 6))
         (i32.store (i32.const 8) (i32.const 4)) (i32.store (i32.const 12) (i32.const 100))
         (drop (call $read (i32.const 0) (i32.const 0) (i32.const 2) (i32.const 64)))
         (i32.store (i32.const 104) (i32.const 11)) (i32.store (i32.const 100) (i32.const 0))
         (drop (call $write (i32.const 1) (i32.const 100) (i32.const 1) (i32.const 64)))",
    );
    let ended = outcome(&pool.start(job(Runtime::Wasm, &bytes, b"0123456789abcde", tight())));
    assert_eq!(output(&ended), b"01236789abc");
}

/// The examples of the guest kits: the same program in C and in Rust.
#[test]
fn the_kits_examples_agree_also_when_they_were_interrupted() {
    let pool = pool(1);
    let input: Vec<u8> = (0..40_000_000u32).map(|n| (n / 7 % 251) as u8).collect();
    let limits = Limits { fuel: 1 << 50, cpu_ms: 60_000, wall_ms: 60_000, ..tight() };
    let mut outputs = Vec::new();
    for name in ["histogram_c", "histogram_rust"] {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../workloads/guest/examples");
        let program = fs::read(examples.join(name).with_extension("wasm")).unwrap();
        let mut job = job(Runtime::Wasm, &program, &input, limits.clone());
        job.checkpoint = Some(interrupted(&pool, &job));
        let ended = outcome(&pool.start(job));
        assert_eq!(ended.log, "counted\n");
        assert_eq!(ended.metrics, [("bytes.distinct".to_owned(), 251)].into());
        outputs.push(output(&ended));
    }
    let text = String::from_utf8(outputs[0].clone()).unwrap();
    assert!(text.starts_with("0,159369\n1,159369\n"), "{text}");
    assert_eq!(outputs[0], outputs[1]);
}

/// A customer's program as it is: what is left when the driver returns is a checkpoint, and with it
/// another car comes to the same end.
#[test]
fn the_braking_scenario_goes_on_where_it_was_interrupted() {
    let pool = pool(1);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../workloads/scenario");
    let task = fs::read_to_string(folder.join("task.json")).unwrap();
    let runs = task.find("\"runs\":").map(|at| at + 7).unwrap();
    let end = runs + task[runs..].find([',', '}']).unwrap();
    let task = format!("{}5000{}", &task[..runs], &task[end..]);
    let program = fs::read(folder.join("scenario.wasm")).unwrap();
    let limits = Limits { cpu_ms: 60_000, wall_ms: 60_000, ..Limits::default() };
    let job = job(Runtime::Wasm, &program, task.as_bytes(), limits);
    let whole = output(&outcome(&pool.start(job.clone())));
    let resumed = Job { checkpoint: Some(interrupted(&pool, &job)), ..job };
    let ended = outcome(&pool.start(resumed));
    assert_eq!(output(&ended), whole);
    assert!(String::from_utf8(whole).unwrap().contains("5000"));
}

/// The checkpoint of a run that was told to leave. A machine that is busy can tell it too late, so
/// it is tried again.
fn interrupted(pool: &vehicle::WorkerPool, job: &Job) -> Vec<u8> {
    for _ in 0..20 {
        let run = pool.start(job.clone());
        while run.progress_ppm() == 0 && run.try_outcome().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        run.vacate(Duration::from_secs(10));
        if let Outcome::Checkpointed { checkpoint } = &outcome(&run).outcome {
            return checkpoint.clone();
        }
    }
    panic!("it always ended first");
}
