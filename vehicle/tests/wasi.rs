//! Ordinary programs in C, Rust and Zig (`tests/guests`), and abuse of what they import, in real
//! worker processes.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::{failure, job, outcome, output, pool, tight};
use vehicle::protocol::{FailureCode, Limits, Runtime};
use vehicle::{Input, Job, Outcome};

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

/// A file of so many MiB in a folder that goes when the test ends.
struct Big(PathBuf);

impl Big {
    fn new(name: &str, mib: usize) -> Self {
        let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        let mut file = BufWriter::new(File::create(&path).unwrap());
        let piece: Vec<u8> = (0..1 << 20).map(|n| b'a' + (n % 26) as u8).collect();
        (0..mib).for_each(|_| file.write_all(&piece).unwrap());
        file.flush().unwrap();
        Self(path)
    }
}

impl Drop for Big {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// `VmHWM` of a process, the most memory that it had, in KiB.
fn peak_kib(pid: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// The most memory that any child of this process has.
fn children_kib() -> u64 {
    let own = std::process::id().to_string();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let is_child = |pid: &String| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.split_whitespace().nth(1) == Some(&own))
    };
    pids.filter(is_child).filter_map(|pid| peak_kib(&pid)).max().unwrap_or(0)
}

#[test]
fn input_and_output_larger_than_its_memory_pass_through() {
    let big = Big::new("driveway-test-big", 300);
    let pool = pool(1);
    let mut job = program("upper", b"");
    job.input = Input::File(big.0.clone());
    job.limits = Limits {
        fuel: 1 << 50,
        cpu_ms: 100_000,
        wall_ms: 100_000,
        memory_bytes: 64 << 20,
        output_bytes: 300 << 20,
        ..tight()
    };
    job.limits.host_calls = 1 << 40;
    let run = pool.start(job.clone());
    let mut most = 0;
    let began = Instant::now();
    while run.try_outcome().is_none() && began.elapsed() < Duration::from_secs(100) {
        most = most.max(children_kib());
        std::thread::sleep(Duration::from_millis(5));
    }
    let ended = outcome(&run);
    let Outcome::Completed { output } = &ended.outcome else { panic!("{ended:?}") };
    assert_eq!(output.size().unwrap(), 300 << 20);
    let mut end = [0; 26];
    File::open(output.path()).unwrap().read_exact_at(&mut end, (300 << 20) - 26).unwrap();
    assert!(end.iter().all(u8::is_ascii_uppercase));
    let own = peak_kib("self").unwrap();
    assert!(own < 200 << 10, "the pool had {own} KiB");
    assert!(ended.usage.unwrap().peak_memory_bytes < 20 << 20);
    assert!(most > 0 && most < 64 << 10, "the worker had {most} KiB");

    // A byte less of output than there is: stopped, and nothing more was written.
    job.limits.output_bytes = (300 << 20) - 1;
    let ended = outcome(&pool.start(job));
    assert_eq!(failure(&ended).0, FailureCode::OutputExceeded);
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
        let run = pool.start(job.clone());
        let began = Instant::now();
        while run.progress_ppm() == 0 && began.elapsed() < common::PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
        run.vacate(Duration::from_secs(10));
        let ended = outcome(&run);
        let Outcome::Checkpointed { checkpoint } = &ended.outcome else { panic!("{ended:?}") };
        job.checkpoint = Some(checkpoint.clone());
        let ended = outcome(&pool.start(job));
        assert_eq!(ended.log, "counted\n");
        assert_eq!(ended.metrics, [("bytes.distinct".to_owned(), 251)].into());
        outputs.push(output(&ended));
    }
    let text = String::from_utf8(outputs[0].clone()).unwrap();
    assert!(text.starts_with("0,159369\n1,159369\n"), "{text}");
    assert_eq!(outputs[0], outputs[1]);
}
