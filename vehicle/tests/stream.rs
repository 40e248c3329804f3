//! Input and output larger than memory. Alone in its process: it looks at what the process and its
//! children take.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{failure, job, outcome, pool, tight};
use vehicle::protocol::{
    AttemptState, Digest, FailureCode, Gear, Heartbeat, HeartbeatReply, Limits, Order, Runtime,
    Telemetry,
};
use vehicle::{Agent, Input, Made, Outcome, Transport, TransportError};

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
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests");
    let program = fs::read(guests.join("upper.wasm")).unwrap();
    let mut job = job(Runtime::Wasm, &program, b"", tight());
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
    assert_eq!(output.open().unwrap().read_at((300 << 20) - 26, &mut end).unwrap(), 26);
    assert!(end.iter().all(u8::is_ascii_uppercase));
    let own = peak_kib("self").unwrap();
    assert!(own < 64 << 10, "the pool had {own} KiB");
    assert!(ended.usage.unwrap().peak_memory_bytes < 20 << 20);
    assert!(most > 0 && most < 64 << 10, "the worker had {most} KiB");

    // A byte less of output than there is: stopped, and nothing more was written.
    job.limits.output_bytes = (300 << 20) - 1;
    let ended = outcome(&pool.start(job));
    assert_eq!(failure(&ended).0, FailureCode::OutputExceeded);
}

/// A platform that has its blobs on a disk.
struct Disk {
    program: Vec<u8>,
    input: PathBuf,
    order: Order,
    /// Digest and size of what was stored, and how the attempt ended.
    stored: Mutex<Option<(Digest, u64)>>,
    ended: Mutex<Option<AttemptState>>,
}

impl Transport for Disk {
    fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<HeartbeatReply, TransportError> {
        let state = heartbeat.attempt.as_ref().map(|report| report.state.clone());
        *self.ended.lock().unwrap() = state.filter(AttemptState::is_terminal);
        Ok(HeartbeatReply {
            next_poll_ms: 50,
            order: Some(self.order.clone()),
            ..HeartbeatReply::default()
        })
    }

    fn fetch_blob(&self, _: &Digest) -> Result<Vec<u8>, TransportError> {
        panic!("the input is not for memory");
    }

    fn store_blob(&self, _: &[u8]) -> Result<Digest, TransportError> {
        panic!("the output is not for memory");
    }

    fn fetch_blob_from(
        &self,
        digest: &Digest,
        from: u64,
        into: &mut dyn Write,
    ) -> Result<(), TransportError> {
        assert_eq!(from, 0);
        if *digest == self.order.program {
            into.write_all(&self.program).unwrap();
            return Ok(());
        }
        std::io::copy(&mut File::open(&self.input).unwrap(), into).unwrap();
        Ok(())
    }

    fn store_made(&self, made: &Made) -> Result<Digest, TransportError> {
        let digest = Digest::of_reader(&mut made.reader(0).unwrap()).unwrap();
        let size = made.size;
        *self.stored.lock().unwrap() = Some((digest.clone(), size));
        Ok(digest)
    }
}

#[test]
fn an_agent_passes_them_on_from_file_to_file() {
    let big = Big::new("driveway-test-agent-big", 100);
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests");
    let program = fs::read(guests.join("upper.wasm")).unwrap();
    let limits = Limits { output_bytes: 100 << 20, ..Limits::default() };
    let order = Order {
        lease_id: "lease_1".into(),
        attempt_id: "a".into(),
        runtime: Runtime::Wasm,
        program: Digest::of(&program),
        input: Digest::of_reader(&mut File::open(&big.0).unwrap()).unwrap(),
        checkpoint: None,
        limits: Limits { memory_bytes: 64 << 20, ..limits },
        term_ms: 900_000,
        wifi_only: false,
        program_key: None,
    };
    let input = big.0.clone();
    let (stored, ended) = (Mutex::default(), Mutex::default());
    let disk = Disk { program, input, order, stored, ended };
    let mut agent = Agent::new(Arc::new(pool(1)));
    let parked = Telemetry {
        gear: Some(Gear::P),
        vehicle_speed: Some(0.0),
        driver_seat_occupied: Some(false),
        ..Telemetry::default()
    };
    let began = Instant::now();
    while disk.ended.lock().unwrap().is_none() {
        let wait = agent.poll(&disk, &parked, began.elapsed().as_micros() as i64);
        std::thread::sleep(Duration::from_micros(wait.clamp(0, 20_000).unsigned_abs()));
        assert!(began.elapsed() < common::PATIENCE);
    }
    let (digest, size) = disk.stored.lock().unwrap().clone().unwrap();
    assert_eq!(size, 100 << 20);
    let ended = disk.ended.lock().unwrap().clone().unwrap();
    assert!(matches!(ended, AttemptState::Completed { output, .. } if output == digest));
    let own = peak_kib("self").unwrap();
    assert!(own < 64 << 10, "the agent had {own} KiB");
}
