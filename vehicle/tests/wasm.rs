//! WebAssembly programs, honest and hostile, in real worker processes.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::{counter, failure, guest, outcome, output, pool, tight, wasm};
use vehicle::Outcome;
use vehicle::protocol::{FailureCode, Limits, Runtime};

#[test]
fn a_program_reads_its_input_and_writes_its_output() {
    let pool = pool(1);
    let echo = guest(
        r#"(drop (call $output_write (i32.const 16)
             (call $input_read (i32.const 1) (i32.const 16) (call $input_len))))
           (i32.const 0)"#,
    );
    let ended = outcome(&pool.start(wasm(&echo, b"?hello", tight())));
    assert_eq!(output(&ended), b"hello");
    assert!(ended.metered_us > 0);
    let usage = ended.usage.unwrap();
    assert!(usage.fuel > 200 && usage.fuel < 10_000, "{usage:?}");
    let sandbox = pool.sandbox().unwrap();
    assert!(sandbox.rlimits && sandbox.no_new_privs && sandbox.parent_death, "{sandbox:?}");
}

#[test]
fn the_same_program_costs_the_same_fuel_compiled_afresh_and_from_the_cache() {
    let pool = pool(1);
    let job = wasm(&counter(), &50_000u64.to_le_bytes(), tight());
    let [first, second] = [0, 1].map(|_| outcome(&pool.start(job.clone())));
    assert_eq!(first.outcome, second.outcome);
    assert_eq!(first.usage.unwrap().fuel, second.usage.unwrap().fuel);
}

/// Each is stopped by the limit meant for it, as the failure meant for it.
#[test]
fn hostile_programs_end_in_their_typed_failure() {
    use FailureCode::*;
    let run = r#"(func (export "run") (result i32) (i32.const 0))"#;
    let memory = r#"(memory (export "memory") 1)"#;
    let module = |parts: &str| format!("(module {parts})");
    let cases = [
        ("infinite loop", guest("(loop $l (br $l)) (i32.const 0)"), FuelExhausted),
        (
            "loop in the start function",
            module(&format!("{memory} {run} (func $s (loop $l (br $l))) (start $s)")),
            FuelExhausted,
        ),
        (
            "memory bomb",
            guest("(loop $l (drop (memory.grow (i32.const 16))) (br $l)) (i32.const 0)"),
            MemoryExceeded,
        ),
        (
            "memory bomb in the declaration",
            module(&format!(r#"{run} (memory (export "memory") 60000)"#)),
            MemoryExceeded,
        ),
        (
            "table bomb",
            module(&format!(
                r#"{memory} (table $t 1 funcref) (func (export "run") (result i32)
                (loop $l (drop (table.grow $t (ref.null func) (i32.const 50000))) (br $l))
                (i32.const 0))"#
            )),
            TableExceeded,
        ),
        (
            "table bomb in the declaration",
            module(&format!("{memory} {run} (table 4000000000 funcref)")),
            TableExceeded,
        ),
        (
            "more tables than there are",
            module(&format!("{memory} {run} {}", "(table 1 funcref)".repeat(5))),
            MemoryExceeded,
        ),
        (
            "recursion through a table",
            module(&format!(
                r#"{memory} (table 1 funcref) (elem (i32.const 0) $r) (type $t (func))
                (func $r (call_indirect (type $t) (i32.const 0)) (call $n)) (func $n)
                (func (export "run") (result i32) (call $r) (i32.const 0))"#
            )),
            StackExceeded,
        ),
        (
            "recursion in the start function",
            module(&format!("{memory} {run} (func $s (call $s) (call $n)) (func $n) (start $s)")),
            StackExceeded,
        ),
        (
            "memory.copy loop",
            guest(
                "(loop $l (memory.copy (i32.const 0) (i32.const 1) (i32.const 65535)) (br $l))
                 (i32.const 0)",
            ),
            FuelExhausted,
        ),
        (
            "data outside of the memory",
            module(&format!(r#"{memory} {run} (data (i32.const 65535) "ab")"#)),
            Trap,
        ),
        (
            "log storm",
            guest(
                "(loop $l (drop (call $log (i32.const 0) (i32.const 60000))) (br $l)) (i32.const 0)",
            ),
            FuelExhausted,
        ),
        ("log outside", guest("(call $log (i32.const 60000) (i32.const 60000))"), Trap),
        (
            "metric outside",
            guest("(call $metric (i32.const -1) (i32.const 2) (i64.const 0))"),
            Trap,
        ),
        (
            "a memory of the host's",
            module(&format!(r#"(import "driveway" "memory" (memory 1)) {run}"#)),
            InvalidProgram,
        ),
        (
            "mistyped start",
            module(&format!(r#"{memory} (func (export "_start") (param i32))"#)),
            InvalidProgram,
        ),
        (
            "recursion",
            module(&format!(
                r#"{memory} (func $r (param i64) (result i64)
                (i64.add (i64.const 1) (call $r (local.get 0))))
                (func (export "run") (result i32) (i32.wrap_i64 (call $r (i64.const 1))))"#
            )),
            StackExceeded,
        ),
        (
            "memory.fill loop",
            guest(
                "(loop $l (memory.fill (i32.const 0) (i32.const 7) (i32.const 65536)) (br $l))
                 (i32.const 0)",
            ),
            FuelExhausted,
        ),
        (
            "memory.grow(0) spam",
            guest("(loop $l (drop (memory.grow (i32.const 0))) (br $l)) (i32.const 0)"),
            FuelExhausted,
        ),
        (
            "huge output",
            guest(
                "(loop $l (drop (call $output_write (i32.const 0) (i32.const 65536))) (br $l))
                 (i32.const 0)",
            ),
            OutputExceeded,
        ),
        (
            "huge checkpoint",
            guest(
                "(drop (memory.grow (i32.const 1)))
                   (call $checkpoint (i32.const 0) (i32.const 65537))",
            ),
            CheckpointExceeded,
        ),
        (
            "host-call storm",
            guest("(loop $l (drop (call $should_yield)) (br $l)) (i32.const 0)"),
            HostCallsExceeded,
        ),
        ("bad pointer", guest("(call $output_write (i32.const 65530) (i32.const 8))"), Trap),
        ("bad pointer, wrapping", guest("(call $output_write (i32.const -1) (i32.const 2))"), Trap),
        ("out of bounds", guest("(i32.load (i32.const 70000))"), Trap),
        (
            "unknown import",
            module(&format!(
                r#"(import "wasi_snapshot_preview2" "fd_write"
                (func (param i32 i32 i32 i32) (result i32))) {memory} {run}"#
            )),
            InvalidProgram,
        ),
        (
            "mistyped import",
            module(&format!(
                r#"(import "driveway" "input_len" (func (param i64) (result i32))) {memory} {run}"#
            )),
            InvalidProgram,
        ),
        ("memory64", module(&format!(r#"{run} (memory (export "memory") i64 1)"#)), InvalidProgram),
        (
            "shared memory",
            module(&format!(r#"{run} (memory (export "memory") 1 1 shared)"#)),
            InvalidProgram,
        ),
        ("no run", module(memory), InvalidProgram),
        ("no memory", module(run), InvalidProgram),
        (
            "mistyped run",
            module(&format!(r#"{memory} (func (export "run") (param i32))"#)),
            InvalidProgram,
        ),
        ("trap", guest("unreachable"), Trap),
        ("division by zero", guest("(i32.div_u (i32.const 1) (call $resume_len))"), Trap),
        ("non-zero exit", guest("(i32.const 42)"), NonZeroExit),
        ("yields unasked", guest("(i32.const 1)"), NonZeroExit),
    ];
    let pool = pool(2);
    for (name, text, expected) in cases {
        let began = Instant::now();
        let ended = outcome(&pool.start(wasm(&text, b"", tight())));
        let (code, message) = failure(&ended);
        assert_eq!(code, expected, "{name}: {message}");
        assert!(began.elapsed() < Duration::from_secs(8), "{name} took {:?}", began.elapsed());
    }
}

#[test]
fn what_fuel_does_not_see_time_ends() {
    let pool = pool(2);
    let forever = guest("(loop $l (br $l)) (i32.const 0)");
    let wall = Limits { fuel: u64::MAX >> 1, wall_ms: 300, ..tight() };
    let ended = outcome(&pool.start(wasm(&forever, b"", wall)));
    assert_eq!(failure(&ended).0, FailureCode::WallTimeExceeded);
    assert!((250_000..1_500_000).contains(&ended.metered_us), "{}", ended.metered_us);
    let cpu = Limits { fuel: u64::MAX >> 1, cpu_ms: 300, wall_ms: 30_000, ..tight() };
    let ended = outcome(&pool.start(wasm(&forever, b"", cpu)));
    assert_eq!(failure(&ended).0, FailureCode::CpuTimeExceeded);
}

#[test]
fn malformed_modules_are_refused() {
    let pool = pool(2);
    let valid = wat::parse_str(counter()).unwrap();
    for bytes in [&b"not a module"[..], b"", b"\0asm", &valid[..valid.len() - 7]] {
        let job = common::job(Runtime::Wasm, bytes, b"", tight());
        let ended = outcome(&pool.start(job));
        assert_eq!(failure(&ended).0, FailureCode::InvalidProgram);
        let rejection = pool.check(Runtime::Wasm, bytes).unwrap_err();
        assert_eq!(rejection.code, FailureCode::InvalidProgram);
        assert!(!rejection.message.is_empty());
    }
    pool.check(Runtime::Wasm, &valid).unwrap();
    let missing = wat::parse_str(
        r#"(module (import "driveway" "teleport" (func)) (memory (export "memory") 1)
           (func (export "run") (result i32) (i32.const 0)))"#,
    );
    let rejection = pool.check(Runtime::Wasm, &missing.unwrap()).unwrap_err();
    assert!(rejection.message.contains("teleport"), "{}", rejection.message);
}

#[test]
fn vacated_in_the_middle_and_resumed_gives_the_same_output() {
    let pool = pool(2);
    let limits = Limits { fuel: 1 << 60, host_calls: 1 << 40, ..Limits::default() };
    let job = wasm(&counter(), &300_000_000u64.to_le_bytes(), limits);
    let whole = outcome(&pool.start(job.clone()));
    assert_eq!(output(&whole).len(), 8);

    let mut resumed = job.clone();
    let mut hops = 0;
    let end = loop {
        let run = pool.start(resumed.clone());
        if hops < 3 {
            let began = Instant::now();
            while run.metered_us() < 30_000 && began.elapsed() < common::PATIENCE {
                std::thread::sleep(Duration::from_millis(2));
            }
            run.vacate(Duration::from_secs(10));
        }
        let ended = outcome(&run);
        match &ended.outcome {
            Outcome::Checkpointed { checkpoint } => {
                assert!(ended.usage.unwrap().fuel > 0);
                resumed.checkpoint = Some(checkpoint.clone());
                hops += 1;
            }
            _ => break ended,
        }
    };
    assert!(hops > 0, "it was never interrupted");
    assert_eq!(end.outcome, whole.outcome);
}

#[test]
fn a_guest_that_ignores_the_yield_is_gone_by_the_grace() {
    let pool = pool(1);
    let limits = Limits { fuel: u64::MAX >> 1, ..tight() };
    let forever = guest("(loop $l (br $l)) (i32.const 0)");
    let grace = Duration::from_millis(300);
    let (took, ended) = vacate_after(&pool, wasm(&forever, b"", limits.clone()), grace);
    assert_eq!(ended.outcome, Outcome::Vacated);
    assert!(took >= grace && took < grace + Duration::from_millis(200), "{took:?}");

    // What it had checkpointed before is kept, and metered only up to there.
    let saver = guest(
        "(drop (call $checkpoint (i32.const 0) (i32.const 4))) (loop $l (br $l)) (i32.const 0)",
    );
    let (took, ended) = vacate_after(&pool, wasm(&saver, b"", limits), grace);
    assert_eq!(ended.outcome, Outcome::Checkpointed { checkpoint: vec![0; 4] });
    assert!(took < grace + Duration::from_millis(200), "{took:?}");
    assert!(ended.metered_us < 700_000, "{}", ended.metered_us);
}

fn vacate_after(
    pool: &vehicle::WorkerPool,
    job: vehicle::Job,
    grace: Duration,
) -> (Duration, std::sync::Arc<vehicle::Ended>) {
    let run = pool.start(job);
    while run.metered_us() < 600_000 {
        assert!(run.try_outcome().is_none());
        std::thread::sleep(Duration::from_millis(5));
    }
    let asked = Instant::now();
    run.vacate(grace);
    let ended = outcome(&run);
    (asked.elapsed(), ended)
}

#[test]
fn progress_is_seen_while_it_runs() {
    let pool = pool(1);
    let limits = Limits { fuel: u64::MAX >> 1, ..tight() };
    let text = guest("(call $progress (f32.const 0.25)) (loop $l (br $l)) (i32.const 0)");
    let run = pool.start(wasm(&text, b"", limits));
    let began = Instant::now();
    while run.progress_ppm() != 250_000 {
        assert!(began.elapsed() < common::PATIENCE, "no progress seen");
        std::thread::sleep(Duration::from_millis(5));
    }
    run.kill();
    assert_eq!(outcome(&run).outcome, Outcome::Vacated);
}

#[test]
fn what_a_program_says_is_kept_within_bounds_however_it_ends() {
    let pool = pool(1);
    // It logs its input 10,000 times over, reports numbers under three names, one of them none.
    let talk = r#"(local $i i32)
        (drop (call $input_read (i32.const 0) (i32.const 0) (call $input_len)))
        (drop (memory.grow (i32.const 2)))
        (loop $more
          (drop (call $log (i32.const 0) (i32.const 8)))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $more (i32.lt_u (local.get $i) (i32.const 3000))))
        (drop (call $metric (i32.const 8) (i32.const 6) (i64.const 41)))
        (drop (call $metric (i32.const 8) (i32.const 6) (i64.const 42)))
        (if (i32.ne (call $metric (i32.const 7) (i32.const 2) (i64.const 1)) (i32.const -1))
          (then (return (i32.const 9))))"#;
    let input = b"line\x07\x1b.\nframes";
    for (end, checked) in [("(i32.const 0)", 0), ("(i32.const 7)", 1), ("(unreachable)", 2)] {
        let ended = outcome(&pool.start(wasm(&guest(&format!("{talk} {end}")), input, tight())));
        match checked {
            0 => assert!(matches!(ended.outcome, Outcome::Completed { .. })),
            1 => assert_eq!(failure(&ended), (FailureCode::NonZeroExit, "run returned 7")),
            _ => assert_eq!(failure(&ended).0, FailureCode::Trap),
        }
        assert!(ended.log.len() > 12_000 && ended.log.len() <= 16 << 10, "{}", ended.log.len());
        assert!(ended.log.ends_with("line.\nline.\n"), "{:?}", &ended.log[..20]);
        assert_eq!(ended.metrics, [("frames".to_owned(), 42)].into());
        let usage = ended.usage.unwrap();
        assert_eq!(usage.peak_memory_bytes, 3 << 16);
        assert!(usage.fuel > 3_000 * 208 && usage.cpu_us > 0, "{usage:?}");
    }
}

#[test]
fn a_program_that_had_to_be_killed_left_its_account_with_its_checkpoint() {
    let pool = pool(1);
    let text = guest(
        "(drop (call $log (i32.const 0) (i32.const 3)))
         (drop (call $checkpoint (i32.const 0) (i32.const 4))) (loop $l (br $l)) (i32.const 0)",
    )
    .replace("(memory", "(data (i32.const 0) \"hey\") (memory");
    let limits = Limits { fuel: u64::MAX >> 1, ..tight() };
    let (_, ended) = vacate_after(&pool, wasm(&text, b"", limits), Duration::from_millis(50));
    assert!(matches!(ended.outcome, Outcome::Checkpointed { .. }));
    assert_eq!(ended.log, "hey");
    let usage = ended.usage.unwrap();
    assert!((404..1_000).contains(&usage.fuel) && usage.cpu_us > 0, "{usage:?}");
}
