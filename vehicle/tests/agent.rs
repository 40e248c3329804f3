//! The agent with real workers and a scripted platform.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use common::{counter, guest, pool, tight};
use vehicle::protocol::{
    AttemptState, Digest, FailureCode, Fault, Gear, Heartbeat, HeartbeatReply, Limits, Network,
    Order, Runtime, Telemetry, VacateReason,
};
use vehicle::{Agent, FileKey, Phase, Programs, Transport, TransportError};

/// A platform that keeps blobs, gives out what it is told to, and remembers what it heard.
#[derive(Default)]
struct Platform {
    blobs: Mutex<HashMap<Digest, Vec<u8>>>,
    heard: Mutex<Vec<Heartbeat>>,
    order: Mutex<Option<Order>>,
    vacate: Mutex<Option<VacateReason>>,
    /// So many answers get lost on the way back.
    lose: Mutex<u32>,
    /// So many blobs cannot be stored.
    full: Mutex<u32>,
    /// No blob is taken.
    refuse: Mutex<bool>,
    /// So many blobs do not come.
    away: Mutex<u32>,
    forget: Mutex<Vec<Digest>>,
}

impl Platform {
    fn keep(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        self.blobs.lock().unwrap().insert(digest.clone(), bytes.to_vec());
        digest
    }

    fn blob(&self, digest: &Digest) -> Vec<u8> {
        self.blobs.lock().unwrap()[digest].clone()
    }

    fn give(&self, attempt: &str, text: &str, input: &[u8]) -> Order {
        let order = Order {
            lease_id: "lease_1".into(),
            attempt_id: attempt.into(),
            runtime: Runtime::Wasm,
            program: self.keep(&wat::parse_str(text).unwrap()),
            input: self.keep(input),
            checkpoint: None,
            limits: Limits { fuel: u64::MAX >> 1, host_calls: u64::MAX, ..tight() },
            term_ms: 900_000,
            wifi_only: false,
            program_key: None,
        };
        *self.order.lock().unwrap() = Some(order.clone());
        order
    }

    fn reports(&self) -> Vec<AttemptState> {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter_map(|beat| Some(beat.attempt.as_ref()?.state.clone())).collect()
    }

    fn ends(&self) -> Vec<AttemptState> {
        self.reports().into_iter().filter(AttemptState::is_terminal).collect()
    }
}

/// Counts down; whether there was something to count.
fn spend(counter: &Mutex<u32>) -> bool {
    let mut left = counter.lock().unwrap();
    let some = *left > 0;
    *left = left.saturating_sub(1);
    some
}

impl Transport for Platform {
    fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<HeartbeatReply, TransportError> {
        self.heard.lock().unwrap().push(heartbeat.clone());
        if spend(&self.lose) {
            return Err(TransportError::Unreachable("lost".into()));
        }
        Ok(HeartbeatReply {
            next_poll_ms: 20,
            order: self.order.lock().unwrap().clone(),
            vacate: self.vacate.lock().unwrap().take(),
            forget: std::mem::take(&mut self.forget.lock().unwrap()),
        })
    }

    fn fetch_blob(&self, digest: &Digest) -> Result<Vec<u8>, TransportError> {
        if spend(&self.away) {
            return Err(TransportError::Unreachable("away".into()));
        }
        let blobs = self.blobs.lock().unwrap();
        blobs.get(digest).cloned().ok_or_else(|| TransportError::Refused("no such blob".into()))
    }

    fn store_blob(&self, bytes: &[u8]) -> Result<Digest, TransportError> {
        if *self.refuse.lock().unwrap() {
            return Err(TransportError::Refused("no".into()));
        }
        if spend(&self.full) {
            return Err(TransportError::Unreachable("full".into()));
        }
        Ok(self.keep(bytes))
    }
}

fn parked() -> Telemetry {
    Telemetry {
        gear: Some(Gear::P),
        vehicle_speed: Some(0.0),
        driver_seat_occupied: Some(false),
        ..Telemetry::default()
    }
}

/// Polls as it is told to until something is so.
fn drive(
    agent: &mut Agent,
    platform: &Platform,
    telemetry: &Telemetry,
    done: impl Fn(&Agent) -> bool,
) {
    let began = Instant::now();
    loop {
        let now_us = NOW.with(|zero| zero.elapsed().as_micros() as i64);
        let wait_us = agent.poll(platform, telemetry, now_us);
        if done(agent) {
            return;
        }
        assert!(began.elapsed() < common::PATIENCE, "not in time: {:?}", platform.reports());
        std::thread::sleep(Duration::from_micros(wait_us.clamp(0, 1_000_000) as u64));
    }
}

thread_local! {
    static NOW: Instant = Instant::now();
}

const FOREVER: &str = "(loop $l (br $l)) (i32.const 0)";

fn phase(agent: &Agent) -> Option<Phase> {
    agent.attempt().map(|attempt| attempt.phase)
}

#[test]
fn an_order_is_run_and_reported_through_lost_answers_and_repeated_orders() {
    let platform = Platform::default();
    let mut agent = Agent::new(Arc::new(pool(1)));
    platform.give("a", &counter(), &100_000u64.to_le_bytes());
    drive(&mut agent, &platform, &parked(), |agent| agent.attempt().is_some());
    *platform.lose.lock().unwrap() = 2;
    drive(&mut agent, &platform, &parked(), |_| platform.ends().len() >= 2);
    // The order is still repeated with every answer, and not run again.
    drive(&mut agent, &platform, &parked(), |_| platform.heard.lock().unwrap().len() > 12);
    assert!(agent.attempt().is_none());
    let ends = platform.ends();
    assert!(ends.windows(2).all(|pair| pair[0] == pair[1]), "{ends:?}");
    let AttemptState::Completed { output, metered_us } = &ends[0] else { panic!("{ends:?}") };
    assert_eq!(platform.blob(output).len(), 8);
    assert!(*metered_us > 0);
    let heard = platform.heard.lock().unwrap();
    let mut reports = heard.iter().filter_map(|beat| beat.attempt.as_ref());
    let last = reports.rfind(|report| report.state.is_terminal()).unwrap();
    assert!(last.usage.fuel > 0 && last.usage.cpu_us > 0, "{:?}", last.usage);
    assert_eq!(last.usage.peak_memory_bytes, 1 << 16);
}

#[test]
fn the_driver_gets_the_car_back_and_another_car_resumes() {
    let platform = Platform::default();
    let pool = Arc::new(pool(1));
    let mut agent = Agent::new(Arc::clone(&pool));
    let input = 200_000_000u64.to_le_bytes();
    let order = platform.give("a", &counter(), &input);
    drive(&mut agent, &platform, &parked(), |agent| {
        agent.attempt().is_some_and(|attempt| attempt.metered_us > 20_000)
    });
    let driver = Telemetry { driver_seat_occupied: Some(true), ..parked() };
    let came = Instant::now();
    drive(&mut agent, &platform, &driver, |_| !platform.ends().is_empty());
    assert!(came.elapsed() < Duration::from_millis(500), "{:?}", came.elapsed());
    let AttemptState::Checkpointed { checkpoint, .. } = &platform.ends()[0] else {
        panic!("{:?}", platform.ends())
    };

    let resumed =
        Order { attempt_id: "b".into(), checkpoint: Some(checkpoint.clone()), ..order.clone() };
    *platform.order.lock().unwrap() = Some(resumed);
    let mut other = Agent::new(Arc::clone(&pool));
    drive(&mut other, &platform, &parked(), |_| platform.ends().len() == 2);
    let whole = Order { attempt_id: "c".into(), ..order };
    *platform.order.lock().unwrap() = Some(whole);
    drive(&mut other, &platform, &parked(), |_| platform.ends().len() == 3);
    let outputs: Vec<Digest> = platform.ends()[1..]
        .iter()
        .map(|end| match end {
            AttemptState::Completed { output, .. } => output.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(outputs[0], outputs[1]);
}

#[test]
fn anything_but_a_parked_car_starts_nothing() {
    let unparked = [
        Telemetry { gear: Some(Gear::D), ..parked() },
        Telemetry { vehicle_speed: Some(0.5), ..parked() },
        Telemetry { vehicle_speed: Some(f32::NAN), ..parked() },
        Telemetry { driver_seat_occupied: Some(true), ..parked() },
        Telemetry { gear: None, ..parked() },
        Telemetry { vehicle_speed: None, ..parked() },
        Telemetry { driver_seat_occupied: None, ..parked() },
        Telemetry::default(),
    ];
    let pool = Arc::new(pool(1));
    for telemetry in unparked {
        let platform = Platform::default();
        platform.give("a", &guest(FOREVER), b"");
        let mut agent = Agent::new(Arc::clone(&pool));
        drive(&mut agent, &platform, &telemetry, |_| !platform.ends().is_empty());
        assert_eq!(platform.ends()[0], AttemptState::Vacated { metered_us: 0 }, "{telemetry:?}");
    }
    assert!(pool.sandbox().is_none(), "a worker was started");
}

#[test]
fn blobs_that_are_missing_or_forged_are_the_cars_failure() {
    let pool = Arc::new(pool(1));
    for forged in [false, true] {
        for which in ["program", "input"] {
            let platform = Platform::default();
            let order = platform.give("a", &guest("(i32.const 0)"), b"some input");
            pool.forget(&order.program);
            let digest = if which == "program" { order.program } else { order.input };
            let mut blobs = platform.blobs.lock().unwrap();
            if forged {
                blobs.insert(digest, b"something else".to_vec());
            } else {
                blobs.remove(&digest);
            }
            drop(blobs);
            let mut agent = Agent::new(Arc::clone(&pool));
            drive(&mut agent, &platform, &parked(), |_| !platform.ends().is_empty());
            let AttemptState::Failed { fault, code, message, metered_us } = &platform.ends()[0]
            else {
                panic!("{:?}", platform.ends())
            };
            assert_eq!((*fault, *code), (Fault::Car, FailureCode::BlobUnavailable));
            assert!(message.contains(which) && *metered_us == 0, "{message}");
        }
    }
}

#[test]
fn a_result_that_cannot_be_stored_is_tried_again() {
    let platform = Platform::default();
    let mut agent = Agent::new(Arc::new(pool(1)));
    // Out of the network for longer than anybody would count tries.
    *platform.full.lock().unwrap() = 12;
    platform.give("a", &counter(), &1000u64.to_le_bytes());
    drive(&mut agent, &platform, &parked(), |_| !platform.ends().is_empty());
    assert!(matches!(platform.ends()[0], AttemptState::Completed { .. }));
}

#[test]
fn an_order_waits_for_its_blobs() {
    let platform = Platform::default();
    let pool = Arc::new(pool(1));
    let mut agent = Agent::new(Arc::clone(&pool));
    *platform.away.lock().unwrap() = 6;
    platform.give("a", &counter(), &1000u64.to_le_bytes());
    drive(&mut agent, &platform, &parked(), |agent| phase(agent) == Some(Phase::Queued));
    drive(&mut agent, &platform, &parked(), |_| !platform.ends().is_empty());
    assert!(matches!(platform.ends()[0], AttemptState::Completed { .. }));

    // The driver does not wait with it.
    *platform.away.lock().unwrap() = u32::MAX;
    let order = platform.give("b", &guest(FOREVER), b"");
    pool.forget(&order.program);
    drive(&mut agent, &platform, &parked(), |agent| phase(agent) == Some(Phase::Queued));
    drive(&mut agent, &platform, &Telemetry::default(), |_| platform.ends().len() > 1);
    let ends = platform.ends();
    assert_eq!(ends.last(), Some(&AttemptState::Vacated { metered_us: 0 }), "{ends:?}");

    // Nor without end, if all else can be reached.
    platform.give("c", &guest(FOREVER), b"");
    drive(&mut agent, &platform, &parked(), |_| {
        matches!(platform.ends().last(), Some(AttemptState::Failed { fault: Fault::Car, .. }))
    });
}

#[test]
fn a_result_that_is_refused_is_given_up() {
    let platform = Platform::default();
    let mut agent = Agent::new(Arc::new(pool(1)));
    *platform.refuse.lock().unwrap() = true;
    platform.give("a", &counter(), &1000u64.to_le_bytes());
    drive(&mut agent, &platform, &parked(), |_| !platform.ends().is_empty());
    let AttemptState::Failed { fault, code, .. } = &platform.ends()[0] else {
        panic!("{:?}", platform.ends())
    };
    assert_eq!((*fault, *code), (Fault::Car, FailureCode::BlobUnavailable));
}

#[test]
fn a_result_out_of_the_network_is_dropped_once_it_is_not_ours() {
    let platform = Platform::default();
    let mut agent = Agent::new(Arc::new(pool(1)));
    *platform.full.lock().unwrap() = u32::MAX;
    platform.give("a", &counter(), &1000u64.to_le_bytes());
    drive(&mut agent, &platform, &parked(), |agent| phase(agent) == Some(Phase::Reporting));
    *platform.order.lock().unwrap() = None;
    *platform.vacate.lock().unwrap() = Some(VacateReason::NotYours);
    drive(&mut agent, &platform, &parked(), |agent| agent.attempt().is_none());
    assert_eq!(platform.ends(), []);
}

#[test]
fn vacate_orders_are_obeyed_and_what_is_not_ours_is_dropped_silently() {
    let platform = Platform::default();
    let mut agent = Agent::new(Arc::new(pool(1)));
    platform.give("a", &guest(FOREVER), b"");
    drive(&mut agent, &platform, &parked(), |agent| phase(agent) == Some(Phase::Running));
    *platform.order.lock().unwrap() = None;
    *platform.vacate.lock().unwrap() = Some(VacateReason::NotYours);
    drive(&mut agent, &platform, &parked(), |agent| agent.attempt().is_none());
    assert_eq!(platform.ends(), []);

    platform.give("b", &guest(FOREVER), b"");
    drive(&mut agent, &platform, &parked(), |agent| phase(agent) == Some(Phase::Running));
    *platform.vacate.lock().unwrap() = Some(VacateReason::ConsentWithdrawn);
    drive(&mut agent, &platform, &parked(), |agent| phase(agent) == Some(Phase::Leaving));
    drive(&mut agent, &platform, &parked(), |_| !platform.ends().is_empty());
    // How long it ran is not said: on a busy machine its worker may not have begun yet.
    assert!(matches!(platform.ends()[0], AttemptState::Vacated { .. }), "{:?}", platform.ends());
}

#[test]
fn many_cars_share_few_workers() {
    let platform = Platform::default();
    let pool = Arc::new(pool(2));
    let mut agents: Vec<Agent> = (0..20).map(|_| Agent::new(Arc::clone(&pool))).collect();
    for (n, agent) in agents.iter_mut().enumerate() {
        platform.give(&format!("a{n}"), &counter(), &10_000u64.to_le_bytes());
        drive(agent, &platform, &parked(), |agent| agent.attempt().is_some());
    }
    *platform.order.lock().unwrap() = None;
    for agent in &mut agents {
        drive(agent, &platform, &parked(), |agent| agent.attempt().is_none());
    }
    let ends = platform.ends();
    assert_eq!(ends.len(), 20);
    assert!(ends.iter().all(|end| matches!(end, AttemptState::Completed { .. })), "{ends:?}");
}

#[test]
fn the_waker_says_when_to_poll() {
    let platform = Platform::default();
    let bell = Arc::new((Mutex::new(false), Condvar::new()));
    let ring = Arc::clone(&bell);
    let mut agent = Agent::new(Arc::new(pool(1))).with_waker(Arc::new(move || {
        *ring.0.lock().unwrap() = true;
        ring.1.notify_all();
    }));
    platform.give("a", &counter(), &1000u64.to_le_bytes());
    drive(&mut agent, &platform, &parked(), |agent| agent.attempt().is_some());
    let rung = bell.0.lock().unwrap();
    let (rung, _) = bell.1.wait_timeout_while(rung, common::PATIENCE, |rung| !*rung).unwrap();
    assert!(*rung);
    agent.poll(&platform, &parked(), NOW.with(|zero| zero.elapsed().as_micros() as i64));
    assert_eq!(platform.ends().len(), 1);
}

#[test]
fn shutdown_leaves_nothing_behind() {
    let platform = Platform::default();
    let pool = Arc::new(pool(1));
    let mut agent = Agent::new(Arc::clone(&pool));
    platform.give("a", &guest(FOREVER), b"");
    drive(&mut agent, &platform, &parked(), |agent| phase(agent) == Some(Phase::Running));
    agent.shutdown();
    assert!(agent.attempt().is_none());
    assert_eq!(platform.ends(), []);
}

/// A platform whose blobs come a byte at a time, beside the heartbeats.
struct Crawling {
    platform: Arc<Platform>,
    /// Blobs are on their way.
    moves: Arc<AtomicBool>,
}

impl Transport for Crawling {
    fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<HeartbeatReply, TransportError> {
        self.platform.heartbeat(heartbeat)
    }

    fn fetch_blob(&self, digest: &Digest) -> Result<Vec<u8>, TransportError> {
        self.platform.fetch_blob(digest)
    }

    fn store_blob(&self, bytes: &[u8]) -> Result<Digest, TransportError> {
        self.platform.store_blob(bytes)
    }

    fn fetch_blob_from(
        &self,
        digest: &Digest,
        from: u64,
        into: &mut dyn Write,
    ) -> Result<(), TransportError> {
        let blob = self.platform.fetch_blob(digest)?;
        self.moves.store(true, Ordering::Relaxed);
        for byte in &blob[from as usize..] {
            let written = into.write_all(&[*byte]);
            if let Err(error) = written {
                self.moves.store(false, Ordering::Relaxed);
                return Err(TransportError::on_the_car(error));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn aside(&self) -> Option<Arc<dyn Transport>> {
        let (platform, moves) = (Arc::clone(&self.platform), Arc::clone(&self.moves));
        Some(Arc::new(Crawling { platform, moves }))
    }
}

#[test]
fn in_the_middle_of_a_transfer_the_car_is_heard_and_its_driver_gets_it_back() {
    let platform = Arc::new(Platform::default());
    let moves = Arc::new(AtomicBool::new(false));
    let crawling = Crawling { platform: Arc::clone(&platform), moves: Arc::clone(&moves) };
    platform.give("a", &guest(FOREVER), &[7; 100_000]);
    let mut agent = Agent::new(Arc::new(pool(1)));
    let poll = |agent: &mut Agent, telemetry: &Telemetry| {
        let now_us = NOW.with(|zero| zero.elapsed().as_micros() as i64);
        let began = Instant::now();
        let wait_us = agent.poll(&crawling, telemetry, now_us);
        assert!(began.elapsed() < Duration::from_millis(200), "a poll waited for a blob");
        std::thread::sleep(Duration::from_micros(wait_us.clamp(0, 20_000) as u64));
    };
    let began = Instant::now();
    while !moves.load(Ordering::Relaxed) || platform.heard.lock().unwrap().len() < 10 {
        assert!(began.elapsed() < common::PATIENCE);
        poll(&mut agent, &parked());
    }
    assert_eq!(phase(&agent), Some(Phase::Queued));
    let driver = Telemetry { driver_seat_occupied: Some(true), ..parked() };
    let came = Instant::now();
    while platform.ends().is_empty() {
        poll(&mut agent, &driver);
        assert!(came.elapsed() < Duration::from_millis(tight().grace_ms.into()));
    }
    assert_eq!(platform.ends()[0], AttemptState::Vacated { metered_us: 0 });
    let began = Instant::now();
    while moves.load(Ordering::Relaxed) {
        assert!(began.elapsed() < Duration::from_secs(5), "the transfer goes on without need");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A platform that cuts each transfer in two.
struct Cutting(Platform, Mutex<Vec<u64>>);

impl Transport for Cutting {
    fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<HeartbeatReply, TransportError> {
        self.0.heartbeat(heartbeat)
    }

    fn fetch_blob(&self, digest: &Digest) -> Result<Vec<u8>, TransportError> {
        self.0.fetch_blob(digest)
    }

    fn store_blob(&self, bytes: &[u8]) -> Result<Digest, TransportError> {
        self.0.store_blob(bytes)
    }

    fn fetch_blob_from(
        &self,
        digest: &Digest,
        from: u64,
        into: &mut dyn Write,
    ) -> Result<(), TransportError> {
        let blob = self.0.fetch_blob(digest)?;
        self.1.lock().unwrap().push(from);
        let (from, half) = (from as usize, blob.len() / 2);
        if from < half {
            into.write_all(&blob[from..half]).unwrap();
            return Err(TransportError::Unreachable("cut".into()));
        }
        into.write_all(&blob[from..]).unwrap();
        Ok(())
    }
}

#[test]
fn what_was_cut_on_its_way_goes_on_from_there() {
    let cutting = Cutting(Platform::default(), Mutex::default());
    let mut input = vec![0; 300_000];
    input[..8].copy_from_slice(&1000u64.to_le_bytes());
    let order = cutting.0.give("a", &counter(), &input);
    let program = cutting.0.blob(&order.program).len() as u64;
    let mut agent = Agent::new(Arc::new(pool(1)));
    let began = Instant::now();
    while cutting.0.ends().is_empty() {
        let now_us = NOW.with(|zero| zero.elapsed().as_micros() as i64);
        let wait_us = agent.poll(&cutting, &parked(), now_us);
        assert!(began.elapsed() < common::PATIENCE);
        std::thread::sleep(Duration::from_micros(wait_us.clamp(0, 100_000) as u64));
    }
    assert!(matches!(cutting.0.ends()[0], AttemptState::Completed { .. }));
    assert_eq!(*cutting.1.lock().unwrap(), [0, program / 2, 0, 150_000]);
}

/// All that this process's pools have on the disk.
fn pool_files() -> Vec<PathBuf> {
    let prefix = format!("driveway-pool-{}-", std::process::id());
    let folders = fs::read_dir(std::env::temp_dir()).unwrap().flatten();
    let own = folders.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
    own.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .collect()
}

fn has(path: &Path, text: &[u8]) -> bool {
    let bytes = fs::read(path).unwrap_or_default();
    bytes.windows(text.len()).any(|window| window == text)
}

#[test]
fn a_lease_leaves_nothing_and_nothing_of_it_can_be_read_on_the_disk() {
    const SECRET: &[u8] = b"what only the customer knows";
    let platform = Platform::default();
    let mut agent = Agent::new(Arc::new(pool(1)));
    let writes = r#"(drop (call $output_write (i32.const 0)
            (call $input_read (i32.const 0) (i32.const 0) (i32.const 60000))))
        (loop $l (br_if $l (i32.eqz (call $should_yield)))) (i32.const 1)"#;
    let input = SECRET.repeat(9_999);
    platform.give("a", &guest(writes), &input);
    drive(&mut agent, &platform, &parked(), |agent| {
        agent.attempt().is_some_and(|attempt| attempt.metered_us > 50_000)
    });
    let sealed = input.len() as u64 + 16 * input.len().div_ceil(64 << 10) as u64;
    let len = |path: &PathBuf| fs::metadata(path).map_or(0, |about| about.len());
    let inputs: Vec<PathBuf> = pool_files().into_iter().filter(|it| len(it) == sealed).collect();
    assert_eq!(inputs.len(), 1, "the input is there");
    assert!(!pool_files().iter().any(|path| has(path, SECRET)));
    *platform.order.lock().unwrap() = None;
    *platform.vacate.lock().unwrap() = Some(VacateReason::NotYours);
    drive(&mut agent, &platform, &parked(), |agent| agent.attempt().is_none());
    let began = Instant::now();
    while inputs[0].exists() {
        assert!(began.elapsed() < Duration::from_secs(5), "the lease is over");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_program_on_the_disk_is_run_with_the_next_order_and_wiped_when_it_is_banned() {
    let folder = std::env::temp_dir().join(format!("driveway-programs-{}", std::process::id()));
    let platform = Platform::default();
    let programs = || Arc::new(Programs::open(&folder, 1 << 20).unwrap());
    let give = |attempt: &str| {
        let order = platform.give(attempt, &counter(), &1000u64.to_le_bytes());
        let order = Order { program_key: Some(FileKey::new([3; 32])), ..order };
        *platform.order.lock().unwrap() = Some(order.clone());
        order
    };
    let program = give("a").program;
    let mut agent = Agent::new(Arc::new(pool(1))).with_programs(programs());
    drive(&mut agent, &platform, &parked(), |_| platform.ends().len() == 1);
    let file = folder.join(&program.0);
    let plain = platform.blob(&program);
    assert!(file.exists() && !has(&file, &plain[..32]));

    // The car begins anew, and the program cannot be fetched: it need not.
    drop(agent);
    give("b");
    platform.blobs.lock().unwrap().remove(&program);
    let mut agent = Agent::new(Arc::new(pool(1))).with_programs(programs());
    drive(&mut agent, &platform, &parked(), |_| platform.ends().len() == 2);
    assert!(matches!(platform.ends()[1], AttemptState::Completed { .. }));

    *platform.order.lock().unwrap() = None;
    *platform.forget.lock().unwrap() = vec![program];
    drive(&mut agent, &platform, &parked(), |_| !file.exists());
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn blobs_wait_for_a_network_that_the_owner_permits() {
    let platform = Platform::default();
    let mut agent = Agent::new(Arc::new(pool(1)));
    let order = platform.give("a", &counter(), &1000u64.to_le_bytes());
    *platform.order.lock().unwrap() = Some(Order { wifi_only: true, ..order });
    for network in [None, Some(Network::Cellular)] {
        let away = Telemetry { network, ..parked() };
        let heard = platform.heard.lock().unwrap().len();
        drive(&mut agent, &platform, &away, |_| platform.heard.lock().unwrap().len() > heard + 5);
        assert_eq!(phase(&agent), Some(Phase::Queued));
    }
    let home = Telemetry { network: Some(Network::Wifi), ..parked() };
    drive(&mut agent, &platform, &home, |_| !platform.ends().is_empty());
    assert!(matches!(platform.ends()[0], AttemptState::Completed { .. }));
}

#[test]
fn out_of_the_network_the_car_ends_the_work_with_the_term_and_is_told_so_on_return() {
    let platform = Platform::default();
    let pool = Arc::new(pool(1));
    let mut agent = Agent::new(Arc::clone(&pool));
    let order = platform.give("a", &guest(FOREVER), b"");
    *platform.order.lock().unwrap() = Some(Order { term_ms: 4_000, ..order });
    drive(&mut agent, &platform, &parked(), |agent| phase(agent) == Some(Phase::Running));
    *platform.order.lock().unwrap() = None;
    *platform.lose.lock().unwrap() = u32::MAX;
    let began = Instant::now();
    drive(&mut agent, &platform, &parked(), |agent| phase(agent) == Some(Phase::Reporting));
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(agent.take_word().is_none());
    *platform.vacate.lock().unwrap() = Some(VacateReason::NotYours);
    *platform.lose.lock().unwrap() = 0;
    drive(&mut agent, &platform, &parked(), |agent| agent.attempt().is_none());
    assert_eq!(agent.take_word(), Some(VacateReason::NotYours));
    assert!(matches!(platform.ends()[0], AttemptState::Vacated { metered_us: 1.. }));
}
