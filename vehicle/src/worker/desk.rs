//! What an execution sees of the world while it runs: whether it should yield, where its progress
//! and checkpoints go. And the watchdog that looks over its shoulder.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use super::{Finish, Stop};
use crate::frame::{Account, COMPILE_CPU_MS, Failed, Kind, clean_log, header, short};
use crate::protocol::{AttemptUsage, FailureCode, Limits, MAX_LOG, MAX_METRICS, is_metric_name};

/// How often the watchdog looks.
const WATCH: Duration = Duration::from_millis(5);
/// Progress is sent every so many looks, checkpoints every so many: a program that reports in a
/// tight loop costs the parent nothing.
const PROGRESS_EVERY: u32 = 10;
const CHECKPOINT_EVERY: u32 = 50;

/// In the place of a progress that has been sent.
const NOTHING_NEW: u32 = u32::MAX;

pub(crate) struct Desk {
    /// `None` once the last word is said.
    out: Mutex<Option<File>>,
    yield_asked: AtomicBool,
    progress: AtomicU32,
    /// The newest checkpoint that has not been sent.
    checkpoint: Mutex<Option<Vec<u8>>>,
    executing: AtomicBool,
    fuel: AtomicU64,
    memory: AtomicU64,
    told: Mutex<Told>,
    terms: OnceLock<Terms>,
}

/// How long the task may take.
struct Terms {
    cpu_ms: u32,
    wall_ms: u32,
    began: Instant,
}

/// What the program said.
#[derive(Default)]
struct Told {
    /// The end of its log.
    log: Vec<u8>,
    metrics: BTreeMap<String, i64>,
}

impl Desk {
    /// Takes the standard output for the frames and points the descriptor itself at the standard
    /// error, so that nothing a library prints gets between them.
    pub(super) fn open() -> io::Result<Self> {
        // The first look at the clock finds the kernel's page for it in a file of /proc, which the
        // confinement will refuse.
        cpu_us();
        let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        rustix::stdio::dup2_stdout(io::stderr())?;
        Ok(Self {
            out: Mutex::new(Some(out)),
            yield_asked: AtomicBool::new(false),
            progress: AtomicU32::new(NOTHING_NEW),
            checkpoint: Mutex::new(None),
            executing: AtomicBool::new(false),
            fuel: AtomicU64::new(0),
            memory: AtomicU64::new(0),
            told: Mutex::default(),
            terms: OnceLock::new(),
        })
    }

    /// Whether the program was told to leave.
    pub fn should_yield(&self) -> bool {
        self.yield_asked.load(Ordering::Relaxed)
    }

    pub(super) fn ask_to_yield(&self) {
        self.yield_asked.store(true, Ordering::Relaxed);
    }

    /// Progress from 0 to 1.
    pub fn set_progress(&self, fraction: f32) {
        if fraction.is_finite() {
            let ppm = (fraction.clamp(0.0, 1.0) * 1e6) as u32;
            self.progress.store(ppm, Ordering::Relaxed);
        }
    }

    /// Keeps the newest checkpoint. It is sent soon; at once when the program is leaving, since
    /// it may be killed any moment.
    #[cfg(feature = "wasm")]
    pub fn set_checkpoint(&self, bytes: Vec<u8>) -> io::Result<()> {
        *lock(&self.checkpoint) = Some(bytes);
        if self.should_yield() { self.flush_checkpoint() } else { Ok(()) }
    }

    /// Execution begins: from here on the parent believes nothing that concerns other tasks.
    pub fn executing(&self) -> io::Result<()> {
        self.send(Kind::Executing, &[])?;
        self.executing.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Units of fuel used up to now.
    pub fn set_fuel(&self, fuel: u64) {
        self.fuel.store(fuel, Ordering::Relaxed);
    }

    /// Bytes of memory it has now; the most is kept.
    pub fn set_memory(&self, bytes: u64) {
        self.memory.fetch_max(bytes, Ordering::Relaxed);
    }

    /// Appends to the log, of which the end is kept.
    #[cfg(feature = "wasm")]
    pub fn log(&self, bytes: &[u8]) {
        let log = &mut lock(&self.told).log;
        log.extend_from_slice(&bytes[bytes.len().saturating_sub(MAX_LOG)..]);
        // Not at every call, or a byte at a time would cost a copy of the log each.
        if log.len() > 2 * MAX_LOG {
            log.drain(..log.len() - MAX_LOG);
        }
    }

    /// Keeps a number under a name; `false` if the name is none or there are too many.
    #[cfg(feature = "wasm")]
    pub fn set_metric(&self, name: &str, value: i64) -> bool {
        let metrics = &mut lock(&self.told).metrics;
        let takes =
            is_metric_name(name) && (metrics.len() < MAX_METRICS || metrics.contains_key(name));
        if takes {
            metrics.insert(name.to_owned(), value);
        }
        takes
    }

    fn account(&self) -> Account {
        let told = lock(&self.told);
        let end = &told.log[told.log.len().saturating_sub(MAX_LOG)..];
        Account {
            usage: AttemptUsage {
                fuel: self.fuel.load(Ordering::Relaxed),
                cpu_us: cpu_us(),
                peak_memory_bytes: self.memory.load(Ordering::Relaxed),
            },
            log: clean_log(&String::from_utf8_lossy(end)),
            metrics: told.metrics.clone(),
        }
    }

    pub fn send(&self, kind: Kind, payload: &[u8]) -> io::Result<()> {
        match &mut *lock(&self.out) {
            Some(out) => write(out, kind, payload),
            None => Ok(()),
        }
    }

    pub(super) fn send_json(&self, kind: Kind, value: &impl Serialize) -> io::Result<()> {
        self.send(kind, &serde_json::to_vec(value)?)
    }

    /// Says how it ended. The first of the execution and the watchdog to get here is heard.
    pub(super) fn last_word(&self, result: Result<Finish, Stop>) -> io::Result<()> {
        self.flush_checkpoint()?;
        let account = self.account();
        let Some(mut out) = lock(&self.out).take() else { return Ok(()) };
        match result {
            Ok(Finish::Done) => write(&mut out, Kind::Done, &serde_json::to_vec(&account)?),
            Ok(Finish::Yielded) => write(&mut out, Kind::Yielded, &serde_json::to_vec(&account)?),
            Err(Stop { code, message }) => {
                let failed = Failed { code, message: short(&message), account };
                write(&mut out, Kind::Failed, &serde_json::to_vec(&failed)?)
            }
        }
    }

    fn flush_checkpoint(&self) -> io::Result<()> {
        // Held while sending, so that an older checkpoint cannot overtake a newer one.
        let mut checkpoint = lock(&self.checkpoint);
        match checkpoint.take() {
            Some(bytes) => {
                // What it cost up to there, should nothing more be heard.
                self.send_json(Kind::Account, &self.account())?;
                self.send(Kind::Checkpoint, &bytes)
            }
            None => Ok(()),
        }
    }

    /// The task is known: its time begins. The first call counts.
    pub(super) fn set_terms(&self, limits: &Limits) {
        let Limits { cpu_ms, wall_ms, .. } = *limits;
        self.terms.get_or_init(|| Terms { cpu_ms, wall_ms, began: Instant::now() });
    }

    /// Starts the watchdog; it meets `up` once its thread is set up and the terms are known.
    pub(super) fn start_watch(self: &Arc<Self>, up: Arc<Barrier>) -> io::Result<()> {
        let desk = Arc::clone(self);
        let body = move || {
            up.wait();
            let Some(Terms { cpu_ms, wall_ms, began }) = desk.terms.get() else {
                // Nobody may execute anything unwatched.
                std::process::exit(1);
            };
            // What was admitted compiles within the budget for that, on a car of the same speed.
            let cpu_limit = || match desk.executing.load(Ordering::Relaxed) {
                true => i64::from(*cpu_ms) * 1_000,
                false => i64::from((*cpu_ms).min(COMPILE_CPU_MS)) * 1_000,
            };
            let wall_limit = Duration::from_millis((*wall_ms).into());
            let stop = loop {
                for look in 0..CHECKPOINT_EVERY {
                    std::thread::sleep(WATCH);
                    if look % PROGRESS_EVERY == 0 {
                        desk.send_progress();
                    }
                    if cpu_us() > cpu_limit() || began.elapsed() > wall_limit {
                        break;
                    }
                }
                if cpu_us() > cpu_limit() {
                    let words = format!("over {} ms of CPU time", cpu_limit() / 1_000);
                    break match desk.executing.load(Ordering::Relaxed) {
                        true => Stop::new(FailureCode::CpuTimeExceeded, words),
                        false => Stop::new(FailureCode::CompileTimeExceeded, words),
                    };
                }
                if began.elapsed() > wall_limit {
                    let words = format!("over {wall_ms} ms of wall time");
                    break Stop::new(FailureCode::WallTimeExceeded, words);
                }
                if desk.flush_checkpoint().and_then(|()| desk.send_account()).is_err() {
                    // Nobody listens any more.
                    std::process::exit(1);
                }
            };
            let said = desk.last_word(Err(stop));
            std::process::exit(i32::from(said.is_err()));
        };
        std::thread::Builder::new().name("watch".into()).stack_size(128 << 10).spawn(body)?;
        Ok(())
    }

    fn send_account(&self) -> io::Result<()> {
        if !self.executing.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.send_json(Kind::Account, &self.account())
    }

    fn send_progress(&self) {
        let ppm = self.progress.swap(NOTHING_NEW, Ordering::Relaxed);
        if ppm != NOTHING_NEW {
            // If nobody listens the next checkpoint or the end of the input will tell.
            let _ = self.send(Kind::Progress, &ppm.to_le_bytes());
        }
    }
}

fn write(out: &mut File, kind: Kind, payload: &[u8]) -> io::Result<()> {
    out.write_all(&header(kind, payload.len()))?;
    out.write_all(payload)
}

/// CPU time of this process, microseconds.
fn cpu_us() -> i64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec * 1_000_000 + time.tv_nsec / 1_000
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
