//! A bounded number of killable worker processes, one task per process.
//!
//! Each of the pool's threads takes a job from the queue, gives it to a worker that it keeps ready,
//! starts the next one, and stays with the job to the end. That matters: the kernel's parent-death signal fires when the *thread* that started
//! a process ends, so the pool's threads live as long as the pool.

mod cache;
mod process;
mod run;
mod scratch;
mod supervise;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::frame::COMPILE_CPU_MS;
pub use crate::frame::SandboxReport;
pub use crate::protocol::AttemptUsage as Usage;
use crate::protocol::{Digest, FailureCode, Fault, Limits, Runtime};
use cache::Cache;
use process::Spare;
pub use run::{Ended, Outcome, Run};
use run::{OnEnd, Shared};
use scratch::Folder;
pub use scratch::Output;

/// Bytes of a WASM module and of an ONNX model that are taken.
const MAX_MODULE: usize = 32 << 20;
const MAX_MODEL: usize = 256 << 20;
/// Bytes of programs, compiled modules included, that a pool keeps in memory.
const CACHE_BYTES: usize = 256 << 20;
/// Admission checks at the same time; they run beside the tasks, not in their queue.
const MAX_CHECKS: usize = 2;

/// Admission compiles hostile programs: bombs of 10 KB can take seconds and a gibibyte.
const ADMISSION: Limits = Limits {
    fuel: 0,
    cpu_ms: COMPILE_CPU_MS,
    wall_ms: 60_000,
    memory_bytes: 1 << 30,
    output_bytes: 0,
    checkpoint_bytes: 0,
    host_calls: 0,
    grace_ms: 0,
    deterministic: false,
};

#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// The binary that serves [`crate::worker_main`]; in production the running one.
    pub executable: PathBuf,
    /// What makes it do so, for example `["worker"]`.
    pub args: Vec<String>,
    /// Workers at the same time, at least 1.
    pub size: usize,
}

/// One task for a worker.
#[derive(Clone, Debug)]
pub struct Job {
    pub runtime: Runtime,
    pub program: Arc<Vec<u8>>,
    /// The program's digest, verified: the key of the compiled module.
    pub digest: Digest,
    pub input: Input,
    /// What random numbers are drawn from; the task's, so that they are the same on every car.
    pub seed: Digest,
    /// Resume from here.
    pub checkpoint: Option<Vec<u8>>,
    pub limits: Limits,
}

/// What a task works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    Bytes(Vec<u8>),
    /// A file that nobody changes while the task runs. A WASM program reads it in pieces, so that
    /// it can be larger than any memory; an ONNX model takes it whole.
    File(PathBuf),
    /// A file of the pool's own folder, from [`WorkerPool::scratch`].
    Kept(Output),
}

/// Why a program was not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    /// `Program`: the program can never run. `Car`: it could not be checked; try again.
    pub fault: Fault,
    pub code: FailureCode,
    pub message: String,
}

pub struct WorkerPool {
    inner: Arc<Inner>,
    threads: Vec<JoinHandle<()>>,
}

pub(crate) struct Inner {
    config: WorkerConfig,
    board: Mutex<Board>,
    /// Told when a job arrives, a check ends, the pool closes.
    change: Condvar,
    cache: Mutex<Cache>,
    sandbox: Mutex<Option<SandboxReport>>,
    folder: Arc<Folder>,
}

#[derive(Default)]
struct Board {
    closing: bool,
    queue: VecDeque<Arc<Shared>>,
    running: Vec<Arc<Shared>>,
    checks: usize,
}

impl WorkerPool {
    /// Starts the pool's threads. Each keeps one worker process ready beside the one that works.
    ///
    /// # Errors
    /// When a thread cannot be started or the folder for outputs cannot be made.
    pub fn new(config: WorkerConfig) -> io::Result<Self> {
        let size = config.size.max(1);
        let inner = Arc::new(Inner {
            config,
            board: Mutex::default(),
            change: Condvar::new(),
            cache: Mutex::new(Cache::new(CACHE_BYTES)),
            sandbox: Mutex::default(),
            folder: Arc::new(Folder::new()?),
        });
        let mut pool = Self { inner, threads: Vec::with_capacity(size) };
        for n in 0..size {
            let inner = Arc::clone(&pool.inner);
            let thread = std::thread::Builder::new()
                .name(format!("worker-pool-{n}"))
                .spawn(move || inner.serve())?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Queues a job. Time in the queue is not metered.
    pub fn start(&self, job: Job) -> Run {
        self.enqueue(job, None)
    }

    /// Like [`Self::start`]; `on_end` is called once, from a thread of the pool or from the one
    /// that ended the run, when its outcome can be had. It must not block.
    pub fn start_with(&self, job: Job, on_end: Arc<dyn Fn() + Send + Sync>) -> Run {
        self.enqueue(job, Some(on_end))
    }

    fn enqueue(&self, job: Job, on_end: Option<OnEnd>) -> Run {
        let shared = Arc::new(Shared::new(job, on_end));
        let mut board = lock(&self.inner.board);
        board.queue.retain(|queued| queued.is_queued());
        board.queue.push_back(Arc::clone(&shared));
        drop(board);
        self.inner.change.notify_all();
        Run::new(shared)
    }

    /// Admission: validates and compiles a program in a worker of its own under the admission
    /// limits (40 s of CPU, 1 GiB). Blocks until it is known; at most a minute once its turn came.
    ///
    /// # Errors
    /// The rejection, with the reason in words for the program's author.
    pub fn check(&self, runtime: Runtime, program: &[u8]) -> Result<(), Rejection> {
        if let Err(message) = fits(runtime, program.len()) {
            let code = FailureCode::ModuleTooLarge;
            return Err(Rejection { fault: Fault::Program, code, message });
        }
        let mut board = lock(&self.inner.board);
        while board.checks >= MAX_CHECKS {
            board = wait(&self.inner.change, board);
        }
        board.checks += 1;
        drop(board);
        let job = Job {
            runtime,
            program: Arc::new(program.to_vec()),
            digest: Digest::of(program),
            input: Input::Bytes(Vec::new()),
            seed: Digest::of(&[]),
            checkpoint: None,
            limits: ADMISSION,
        };
        let ended = supervise::check(&self.inner, &job);
        lock(&self.inner.board).checks -= 1;
        self.inner.change.notify_all();
        match ended.outcome {
            Outcome::Completed { .. } => Ok(()),
            Outcome::Failed { fault, code, message } => Err(Rejection { fault, code, message }),
            Outcome::Checkpointed { .. } | Outcome::Vacated => Err(Rejection {
                fault: Fault::Car,
                code: FailureCode::WorkerDied,
                message: "the check was interrupted".into(),
            }),
        }
    }

    /// What the operating system adds around the workers, as the last one found it; `None`
    /// before the first worker.
    pub fn sandbox(&self) -> Option<SandboxReport> {
        lock(&self.inner.sandbox).clone()
    }

    /// A sealed file in the pool's private folder, to be written once: for an input.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn scratch(&self) -> io::Result<Output> {
        self.inner.folder.file()
    }

    /// Runs that wait for a worker.
    pub fn queued(&self) -> usize {
        lock(&self.inner.board).queue.iter().filter(|run| run.is_queued()).count()
    }

    /// Drops a program and what was compiled from it from the cache.
    pub fn forget(&self, digest: &Digest) {
        lock(&self.inner.cache).remove(digest);
    }

    /// Drops all programs, and all that was compiled.
    pub(crate) fn forget_all(&self) {
        *lock(&self.inner.cache) = Cache::new(CACHE_BYTES);
    }

    pub(crate) fn cached_program(&self, digest: &Digest) -> Option<Arc<Vec<u8>>> {
        lock(&self.inner.cache).program(digest)
    }

    /// Keeps a program whose digest was verified.
    pub(crate) fn keep_program(&self, digest: &Digest, program: &Arc<Vec<u8>>) {
        lock(&self.inner.cache).keep_program(digest, program);
    }
}

impl Drop for WorkerPool {
    /// Kills every worker and waits for the threads.
    fn drop(&mut self) {
        let (queued, running) = {
            let mut board = lock(&self.inner.board);
            board.closing = true;
            (std::mem::take(&mut board.queue), board.running.clone())
        };
        self.inner.change.notify_all();
        queued.iter().chain(&running).for_each(|run| run.kill());
        for thread in self.threads.drain(..) {
            // A panic in a pool thread has been reported where it happened.
            let _ = thread.join();
        }
    }
}

impl Inner {
    /// The life of a pool thread.
    fn serve(&self) {
        let mut spare = Spare::default();
        spare.fill(&self.config);
        while let Some((shared, job)) = self.next_job() {
            let ended = supervise::run(self, &job, &shared, &mut spare);
            // Off the board before the outcome shows: whoever sees it may start the next run.
            lock(&self.board).running.retain(|other| !Arc::ptr_eq(other, &shared));
            shared.end(ended);
            spare.fill(&self.config);
        }
    }

    fn next_job(&self) -> Option<(Arc<Shared>, Job)> {
        let mut board = lock(&self.board);
        loop {
            if board.closing {
                return None;
            }
            while let Some(shared) = board.queue.pop_front() {
                if let Some(job) = shared.take_job() {
                    board.running.push(Arc::clone(&shared));
                    return Some((shared, job));
                }
            }
            board = wait(&self.change, board);
        }
    }
}

/// Whether a program is of a size that is taken; in words if not.
fn fits(runtime: Runtime, bytes: usize) -> Result<(), String> {
    let max = match runtime {
        Runtime::Wasm => MAX_MODULE,
        Runtime::Onnx => MAX_MODEL,
    };
    if bytes > max {
        return Err(format!("a program of {bytes} bytes; {max} are taken"));
    }
    Ok(())
}

/// Nothing under our locks is left half-done by a panic, so a poisoned lock is still good.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}
