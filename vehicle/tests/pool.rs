//! The pool and its processes: queueing, death in every direction, workers that misbehave.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use common::{guest, outcome, pool, tight, wasm};
use vehicle::protocol::{FailureCode, Fault, Limits, Runtime};
use vehicle::{Job, Outcome, Run, WorkerConfig, WorkerPool};

/// Set in the process that [`a_killed_parent_takes_its_workers_along`] kills.
const PARENT: &str = "DRIVEWAY_TEST_PARENT";

fn forever() -> Job {
    let limits = Limits { fuel: u64::MAX >> 1, cpu_ms: 60_000, wall_ms: 60_000, ..tight() };
    wasm(&guest("(loop $l (br $l)) (i32.const 0)"), b"", limits)
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < common::PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn wait_started(run: &Run) {
    until("the start", || run.metered_us() > 0);
}

#[test]
fn more_runs_than_workers_wait_unmetered_and_can_be_called_back() {
    let pool = pool(1);
    let first = pool.start(forever());
    wait_started(&first);
    let [vacated, killed, last] = [0; 3].map(|_| pool.start(forever()));
    assert_eq!(pool.queued(), 3);
    vacated.vacate(Duration::from_secs(60));
    killed.kill();
    for run in [&vacated, &killed] {
        let ended = run.try_outcome().expect("at once");
        assert_eq!((&ended.outcome, ended.metered_us), (&Outcome::Vacated, 0));
    }
    assert!(last.is_queued() && last.metered_us() == 0);
    assert_eq!(pool.queued(), 1);
    drop(first);
    wait_started(&last);
    assert!(!last.is_queued());
}

#[test]
fn the_end_of_a_run_is_announced_once() {
    let pool = pool(1);
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    let job = wasm(&guest("(i32.const 0)"), b"", tight());
    let run = pool.start_with(
        job,
        Arc::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
        }),
    );
    outcome(&run);
    run.kill();
    until("the call", || calls.load(Ordering::SeqCst) > 0);
    drop(run);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn dropping_the_pool_ends_everything() {
    let pool = pool(1);
    let [running, waiting] = [0; 2].map(|_| pool.start(forever()));
    wait_started(&running);
    let began = Instant::now();
    drop(pool);
    assert!(began.elapsed() < Duration::from_secs(2));
    for run in [running, waiting] {
        assert_eq!(run.try_outcome().expect("ended").outcome, Outcome::Vacated);
    }
}

/// Plays the server that is killed; does nothing in a normal test run.
#[test]
fn parent_that_is_killed() {
    if std::env::var_os(PARENT).is_none() {
        return;
    }
    let pool = pool(1);
    let run = pool.start(forever());
    wait_started(&run);
    println!("\nstarted");
    std::thread::sleep(common::PATIENCE);
}

#[test]
fn a_killed_parent_takes_its_workers_along() {
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "parent_that_is_killed", "--nocapture"])
        .env(PARENT, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "started"));
    let workers = children(parent.id());
    // One that works, confined, and one that waits.
    assert!((1..=2).contains(&workers.len()), "{workers:?}");
    assert!(workers.iter().all(|pid| is_alive(*pid)));
    let confined = |pid: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        ["NoNewPrivs:\t1\n", "Seccomp:\t2\n"].iter().all(|line| status.contains(line))
    };
    assert_eq!(workers.iter().filter(|pid| confined(pid)).count(), 1);
    parent.kill().unwrap();
    parent.wait().unwrap();
    let killed = Instant::now();
    until("the workers' death", || !workers.iter().any(|pid| is_alive(*pid)));
    assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
}

/// State and parent of a process, from `/proc/PID/stat`.
fn stat(pid: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

fn children(parent: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| stat(*pid).is_some_and(|(_, its_parent)| its_parent == parent))
        .collect()
}

/// A shell in the worker's place.
fn impostor(script: &str) -> WorkerPool {
    let args = vec!["-c".into(), script.into()];
    WorkerPool::new(WorkerConfig { executable: "/bin/sh".into(), args, size: 1 }).unwrap()
}

#[test]
fn what_a_worker_says_is_bounded_and_in_turn() {
    let ready = r"printf '\020\002\000\000\000{}';";
    let executing = r"printf '\021\000\000\000\000';";
    let cases = [
        // Before it is ready it is no worker of ours, and that is the car's fault.
        ("dies", "kill -9 $$".into(), Fault::Car, "signal: 9"),
        ("exits", "exit 3".into(), Fault::Car, "exit status: 3"),
        ("talks nonsense", "echo hello; sleep 9".into(), Fault::Car, "unknown frame kind"),
        // After that a program got hold of it.
        (
            "announces 4 GiB of checkpoint",
            format!(r"{ready}{executing} printf '\005\377\377\377\377'; sleep 9"),
            Fault::Program,
            "over its bound",
        ),
        (
            "compiles after it has executed",
            format!(r"{ready}{executing} printf '\003\001\000\000\000x'; sleep 9"),
            Fault::Program,
            "has no place here",
        ),
        (
            "is done before it executed",
            format!(r"{ready} printf '\024\002\000\000\000{{}}'; sleep 9"),
            Fault::Program,
            "has no place here",
        ),
        (
            "yields unasked",
            format!(r"{ready}{executing} printf '\025\002\000\000\000{{}}'; sleep 9"),
            Fault::Program,
            "has no place here",
        ),
        (
            "is shot by its own memory",
            format!("{ready}{executing} kill -SEGV $$"),
            Fault::Program,
            "signal 11",
        ),
        ("is shot by somebody", format!("{ready}{executing} kill -9 $$"), Fault::Car, "signal: 9"),
    ];
    for (name, script, expected, words) in cases {
        let pool = impostor(&script);
        let began = Instant::now();
        let ended = outcome(&pool.start(forever()));
        let Outcome::Failed { fault, code, message } = &ended.outcome else {
            panic!("{name}: {ended:?}")
        };
        assert_eq!((*fault, *code), (expected, FailureCode::WorkerDied), "{name}: {message}");
        assert!(message.contains(words), "{name}: {message}");
        assert!(began.elapsed() < Duration::from_secs(5), "{name}: {:?}", began.elapsed());
    }
}

#[test]
fn a_worker_that_cannot_be_started_is_the_cars_fault() {
    let executable = Path::new("/nowhere/worker").to_owned();
    let config = WorkerConfig { executable, args: vec![], size: 1 };
    let pool = WorkerPool::new(config).unwrap();
    let ended = outcome(&pool.start(forever()));
    let Outcome::Failed { fault, code, .. } = ended.outcome else { panic!("{ended:?}") };
    assert_eq!((fault, code), (Fault::Car, FailureCode::WorkerDied));
    let rejection = pool.check(Runtime::Wasm, b"").unwrap_err();
    assert_eq!(rejection.fault, Fault::Car);
}

/// A function of so many locals and branches that the compiler needs a gibibyte or minutes.
#[test]
fn a_compile_bomb_is_stopped_by_the_limits_on_time() {
    let body = "(if (local.get 0) (then (local.set 1 (i32.add (local.get 1) (local.get 2)))))"
        .repeat(60_000);
    let text = format!(
        r#"(module (memory (export "memory") 1)
        (func $b (param i32 i32 i32) {body})
        (func (export "run") (result i32) (i32.const 0)))"#
    );
    let pool = pool(1);
    let limits = Limits { cpu_ms: 300, ..tight() };
    let began = Instant::now();
    let ended = outcome(&pool.start(wasm(&text, b"", limits)));
    assert!(
        matches!(
            &ended.outcome,
            Outcome::Failed {
                fault: Fault::Program,
                code: FailureCode::CompileTimeExceeded | FailureCode::MemoryExceeded,
                ..
            }
        ),
        "{ended:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

/// A worker that waits can be killed by the system as any other.
#[test]
fn a_spare_worker_is_used_and_one_that_died_is_replaced() {
    let list = std::env::temp_dir().join(format!("driveway-test-pids-{}", std::process::id()));
    // The worker, which writes its number down before.
    let worker = env!("CARGO_BIN_EXE_driveway-worker");
    let pool = impostor(&format!("echo $$ >> {}; exec {worker}", list.display()));
    let pids = || -> Vec<i32> {
        let text = std::fs::read_to_string(&list).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    };
    let job = wasm(&guest("(i32.const 0)"), b"", tight());
    for run in 1..=3 {
        until("a spare", || pids().len() == run);
        let ended = outcome(&pool.start(job.clone()));
        assert!(matches!(ended.outcome, Outcome::Completed { .. }), "{ended:?}");
    }
    until("a spare", || pids().len() == 4);
    let pid = rustix::process::Pid::from_raw(pids()[3]).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    until("its death", || !is_alive(pids()[3] as u32));
    let ended = outcome(&pool.start(job));
    assert!(matches!(ended.outcome, Outcome::Completed { .. }), "{ended:?}");
    drop(pool);
    assert!(pids().iter().all(|pid| !is_alive(*pid as u32)));
    std::fs::remove_file(&list).unwrap();
}

/// Prints what a cold start costs: `cargo test --test pool cold_start -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn cold_start() {
    let pool = pool(1);
    let job = wasm(&guest("(i32.const 0)"), b"", tight());
    for round in 0..3 {
        let began = Instant::now();
        let mut metered = 0;
        for _ in 0..50 {
            metered += outcome(&pool.start(job.clone())).metered_us;
        }
        let each = began.elapsed() / 50;
        println!(
            "round {round}: {each:?} from start to outcome, {} us of it metered",
            metered / 50
        );
    }
    println!("{:?}", pool.sandbox());
}
