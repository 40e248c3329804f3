//! One run: what the supervising thread and its owner share.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Job, Output, SandboxReport, Usage, lock};
use crate::protocol::{FailureCode, Fault};

pub(super) type OnEnd = Arc<dyn Fn() + Send + Sync>;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Completed {
        output: Output,
    },
    /// It left on request, or was made to leave, and this is what to resume from.
    Checkpointed {
        checkpoint: Vec<u8>,
    },
    /// It left on request, or was made to leave or never began; nothing to resume from.
    Vacated,
    Failed {
        fault: Fault,
        code: FailureCode,
        message: String,
    },
}

/// A finished run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub outcome: Outcome,
    /// Microseconds of wall time from the moment the worker was ready to work to the end of the
    /// work, by the pool's clock: to the checkpoint for a run that had to be killed after it.
    pub metered_us: i64,
    /// Microseconds from when its turn came until the program was executed: up to there a worker
    /// was started unless one waited, the program compiled unless it was known. 0 if it was not.
    pub start_us: i64,
    /// What the worker last said it used; `None` when it had no chance to say so.
    pub usage: Option<Usage>,
    /// The end of the program's log, as in [`crate::protocol::AttemptReport`].
    pub log: String,
    /// What the program reported, as in [`crate::protocol::AttemptReport`].
    pub metrics: BTreeMap<String, i64>,
    /// What was around the worker; `None` when none started.
    pub sandbox: Option<SandboxReport>,
}

impl Ended {
    pub(super) fn early(outcome: Outcome) -> Self {
        Self {
            outcome,
            metered_us: 0,
            start_us: 0,
            usage: None,
            log: String::new(),
            metrics: BTreeMap::new(),
            sandbox: None,
        }
    }
}

/// A handle on a run. Dropping it kills the run.
pub struct Run {
    shared: Arc<Shared>,
}

impl Run {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The outcome, once it has ended.
    pub fn try_outcome(&self) -> Option<Arc<Ended>> {
        match &lock(&self.shared.state).phase {
            PhaseOf::Ended(ended) => Some(Arc::clone(ended)),
            PhaseOf::Queued(_) | PhaseOf::Running => None,
        }
    }

    /// Blocks until it has ended or the time is over.
    pub fn wait(&self, timeout: Duration) -> Option<Arc<Ended>> {
        let guard = lock(&self.shared.state);
        let unended = |state: &mut State| !matches!(state.phase, PhaseOf::Ended(_));
        drop(
            self.shared
                .ended
                .wait_timeout_while(guard, timeout, unended)
                .unwrap_or_else(PoisonError::into_inner),
        );
        self.try_outcome()
    }

    /// Whether it waits for a worker.
    pub fn is_queued(&self) -> bool {
        self.shared.is_queued()
    }

    /// What the program says of itself, parts per million. Never a ground for money.
    pub fn progress_ppm(&self) -> u32 {
        self.shared.progress.load(Ordering::Relaxed)
    }

    /// Microseconds metered up to now; 0 while it waits.
    pub fn metered_us(&self) -> i64 {
        let state = lock(&self.shared.state);
        match (&state.phase, state.started) {
            (PhaseOf::Ended(ended), _) => ended.metered_us,
            (_, Some(started)) => micros(started.elapsed()),
            (_, None) => 0,
        }
    }

    /// Tells the program to yield, and kills it after `grace`. A run that still waits ends at
    /// once. The first call counts.
    pub fn vacate(&self, grace: Duration) {
        self.shared.vacate(grace);
    }

    /// Kills it now.
    pub fn kill(&self) {
        self.shared.kill();
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Nobody is left to be told.
        lock(&self.shared.state).on_end = None;
        self.shared.kill();
    }
}

/// What the owner wants of a running worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    /// Yield, and be gone by then.
    pub gone_by: Option<Instant>,
    pub kill: bool,
}

enum PhaseOf {
    /// `None` only for the instant in which the job changes hands.
    Queued(Option<Box<Job>>),
    Running,
    Ended(Arc<Ended>),
}

struct State {
    phase: PhaseOf,
    wish: Wish,
    started: Option<Instant>,
    /// Wakes the supervising thread from its poll.
    bell: Option<UnixStream>,
    on_end: Option<OnEnd>,
}

pub(super) struct Shared {
    state: Mutex<State>,
    ended: Condvar,
    progress: AtomicU32,
}

impl Shared {
    pub fn new(job: Job, on_end: Option<OnEnd>) -> Self {
        let state = State {
            phase: PhaseOf::Queued(Some(Box::new(job))),
            wish: Wish::default(),
            started: None,
            bell: None,
            on_end,
        };
        Self { state: Mutex::new(state), ended: Condvar::new(), progress: AtomicU32::new(0) }
    }

    /// Takes the job of a queued run to run it; `None` when the run ended before.
    pub fn take_job(&self) -> Option<Job> {
        let mut state = lock(&self.state);
        let PhaseOf::Queued(job) = &mut state.phase else { return None };
        let job = job.take()?;
        state.phase = PhaseOf::Running;
        Some(*job)
    }

    pub fn is_queued(&self) -> bool {
        matches!(lock(&self.state).phase, PhaseOf::Queued(_))
    }

    pub fn wish(&self) -> Wish {
        lock(&self.state).wish
    }

    pub fn set_bell(&self, bell: UnixStream) {
        lock(&self.state).bell = Some(bell);
    }

    pub fn set_started(&self, at: Instant) {
        lock(&self.state).started = Some(at);
    }

    pub fn set_progress(&self, ppm: u32) {
        self.progress.store(ppm.min(1_000_000), Ordering::Relaxed);
    }

    /// Makes the outcome known, once.
    pub fn end(&self, ended: Ended) {
        self.end_locked(lock(&self.state), ended);
    }

    fn end_locked(&self, mut state: MutexGuard<'_, State>, ended: Ended) {
        if matches!(state.phase, PhaseOf::Ended(_)) {
            return;
        }
        state.phase = PhaseOf::Ended(Arc::new(ended));
        state.bell = None;
        let on_end = state.on_end.take();
        drop(state);
        self.ended.notify_all();
        if let Some(on_end) = on_end {
            on_end();
        }
    }

    pub fn vacate(&self, grace: Duration) {
        self.ask(|wish| {
            let gone_by = Instant::now() + grace;
            wish.gone_by.get_or_insert(gone_by);
        });
    }

    pub fn kill(&self) {
        self.ask(|wish| wish.kill = true);
    }

    fn ask(&self, change: impl FnOnce(&mut Wish)) {
        let mut state = lock(&self.state);
        match state.phase {
            PhaseOf::Queued(_) => {
                self.end_locked(state, Ended::early(Outcome::Vacated));
            }
            PhaseOf::Running => {
                change(&mut state.wish);
                if let Some(bell) = &mut state.bell {
                    // A full socket has a ring in it already; a closed one has nobody to wake.
                    let _ = bell.write(&[1]);
                }
            }
            PhaseOf::Ended(_) => {}
        }
    }
}

pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
