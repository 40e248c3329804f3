//! The agent of one car: [`mind`] decides, this module does.

mod gather;
mod mind;
#[cfg(test)]
mod mind_tests;
mod moving;
mod programs;
mod result;
mod shelf;

use std::sync::Arc;
use std::time::Duration;

use crate::frame::Account;
use crate::pool::{Ended, Job, Run, WorkerPool};
use crate::protocol::{
    AttemptReport, AttemptState, Digest, FailureCode, Fault, Heartbeat, Order, Telemetry,
    VacateReason,
};
use crate::transport::{Transport, TransportError};
use gather::Needs;
use mind::{Act, Event, Look, Mind, Seen};
use moving::{Moving, Trouble};
pub use programs::Programs;
use result::{give_up, metered, store, stored, without_result};
use shelf::Shelf;

/// How often a blob may fail to come or to be stored though the platform answers heartbeats: at four
/// tries a second a few seconds more than the longest time between heartbeats. What cannot be moved
/// for want of a network waits: the platform says once it is wanted no more.
const TRIES: u32 = 20;
/// How long a result may still be sent when the driver is back, microseconds: the program has left
/// within its grace, so this costs the driver nothing but bandwidth.
const LINGER_US: i64 = 60_000_000;

type Waker = Arc<dyn Fn() + Send + Sync>;

/// Where an attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waits for its blobs, or a worker.
    Queued,
    Running,
    /// Told to leave, has not left yet.
    Leaving,
    /// Ended; the platform has not acknowledged it yet.
    Reporting,
}

/// The attempt of a car, for display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptView<'a> {
    pub attempt_id: &'a str,
    pub phase: Phase,
    pub progress_ppm: u32,
    /// Microseconds metered up to now.
    pub metered_us: i64,
}

/// Takes orders with its heartbeat, has them run by the pool, reports how they ended.
pub struct Agent {
    pool: Arc<WorkerPool>,
    /// On the disk; none: programs are in the pool's memory alone.
    programs: Option<Arc<Programs>>,
    mind: Mind,
    stage: Stage,
    /// The blobs of the lease.
    shelf: Arc<Shelf>,
    /// Of fetching or storing, since the last that went well.
    tries: u32,
    waker: Option<Waker>,
}

/// How far the attempt is.
enum Stage {
    Nothing,
    /// Its blobs come, or will be asked for again.
    Gathering {
        order: Box<Order>,
        moving: Option<Moving<Job>>,
    },
    Running {
        run: Run,
        wifi_only: bool,
    },
    Keeping(Keeping),
}

/// What it made goes to the platform, or will be offered again.
struct Keeping {
    ended: Arc<Ended>,
    wifi_only: bool,
    moving: Option<Moving<Digest>>,
    /// Not after this moment: the driver is back.
    until_us: Option<i64>,
}

impl Agent {
    /// An idle agent. Any number may share a pool.
    pub fn new(pool: Arc<WorkerPool>) -> Self {
        Self {
            pool,
            programs: None,
            mind: Mind::default(),
            stage: Stage::Nothing,
            shelf: Arc::default(),
            tries: 0,
            waker: None,
        }
    }

    /// Has `waker` called, from another thread, when an attempt's run ended and the agent wants to
    /// be polled now. Without one it asks to be polled often enough to notice. It must not block.
    pub fn with_waker(mut self, waker: Arc<dyn Fn() + Send + Sync>) -> Self {
        self.waker = Some(waker);
        self
    }

    /// Keeps programs on the disk, sealed, and in memory no longer than a lease. The pool is this
    /// agent's alone.
    pub fn with_programs(mut self, programs: Arc<Programs>) -> Self {
        self.programs = Some(programs);
        self
    }

    /// One look at everything: the running attempt, the driver, the clock; sends a heartbeat if
    /// one is due and obeys the answer. Waits for the answer, never for the sandbox, and for blobs
    /// only if the transport has them [at once](Transport::aside).
    ///
    /// `now_us` is any monotonic clock in microseconds. Returns the microseconds after which it
    /// wants to be polled again; the caller may poll earlier, and does when telemetry changes.
    pub fn poll(&mut self, transport: &dyn Transport, telemetry: &Telemetry, now_us: i64) -> i64 {
        let parked = telemetry.is_parked();
        let seen = self.look(transport, telemetry, now_us);
        for act in self.mind.step(Event::Looked { now_us, parked, seen }) {
            if let Act::Heartbeat(attempt) = act {
                self.converse(transport, telemetry, attempt, now_us);
            } else {
                self.act(transport, telemetry, act, now_us);
            }
        }
        let look = match &self.stage {
            Stage::Nothing => Look::Never,
            Stage::Gathering { .. } | Stage::Keeping(_) => Look::Blocked,
            Stage::Running { run, .. } if run.try_outcome().is_some() => return 0,
            Stage::Running { .. } if self.waker.is_some() => Look::Never,
            Stage::Running { run, .. } if run.is_queued() => Look::Queued,
            Stage::Running { .. } => Look::Running,
        };
        self.mind.next_poll_us(now_us, look)
    }

    /// The attempt that runs or waits to be acknowledged.
    pub fn attempt(&self) -> Option<AttemptView<'_>> {
        let (attempt_id, leaving) = match (self.mind.current(), self.mind.pending()) {
            (Some((order, leaving)), _) => (order.attempt_id.as_str(), leaving),
            (None, Some(report)) => (report.attempt_id.as_str(), false),
            (None, None) => return None,
        };
        let phase = match &self.stage {
            Stage::Gathering { .. } => Phase::Queued,
            Stage::Nothing | Stage::Keeping(_) => Phase::Reporting,
            Stage::Running { run, .. } if run.try_outcome().is_some() => Phase::Reporting,
            Stage::Running { .. } if leaving => Phase::Leaving,
            Stage::Running { run, .. } if run.is_queued() => Phase::Queued,
            Stage::Running { .. } => Phase::Running,
        };
        let (progress_ppm, metered_us) = match &self.stage {
            Stage::Gathering { .. } => (0, 0),
            Stage::Running { run, .. } => (run.progress_ppm(), run.metered_us()),
            Stage::Keeping(Keeping { ended, .. }) => (1_000_000, ended.metered_us),
            Stage::Nothing => {
                (1_000_000, self.mind.pending().map_or(0, |report| metered(&report.state)))
            }
        };
        Some(AttemptView { attempt_id, phase, progress_ppm, metered_us })
    }

    /// Why the platform last ended an attempt, once.
    pub fn take_word(&mut self) -> Option<VacateReason> {
        self.mind.take_word()
    }

    /// Kills what runs and forgets it; nothing is reported.
    pub fn shutdown(&mut self) {
        self.stage = Stage::Nothing;
        self.mind = Mind::default();
        self.wipe();
    }

    /// Nothing of a lease stays on the car. (What was lent to a transfer goes with that.)
    fn wipe(&mut self) {
        self.shelf = Arc::default();
        if self.programs.is_some() {
            self.pool.forget_all();
        }
    }

    fn forget(&self, digest: &Digest) {
        self.pool.forget(digest);
        self.shelf.drop_blob(digest);
        if let Some(programs) = &self.programs {
            programs.forget(digest);
        }
    }

    /// One heartbeat and what its answer asks for.
    fn converse(
        &mut self,
        transport: &dyn Transport,
        telemetry: &Telemetry,
        attempt: Option<AttemptReport>,
        now_us: i64,
    ) {
        let heartbeat = Heartbeat { telemetry: telemetry.clone(), attempt };
        let event = match transport.heartbeat(&heartbeat) {
            Ok(reply) => {
                reply.forget.iter().for_each(|digest| self.forget(digest));
                Event::Answered { now_us, carried: heartbeat.attempt, reply }
            }
            Err(_) => Event::Unanswered { now_us },
        };
        for act in self.mind.step(event) {
            self.act(transport, telemetry, act, now_us);
        }
    }

    fn act(&mut self, transport: &dyn Transport, telemetry: &Telemetry, act: Act, now_us: i64) {
        match act {
            Act::Start(order) => {
                self.tries = 0;
                self.stage = Stage::Gathering { order: Box::new(order), moving: None };
                if let Seen::Ended(state, _) = self.look(transport, telemetry, now_us) {
                    // It ended before it began: no further acts follow from that.
                    self.mind.step(Event::Ended { now_us, state });
                }
            }
            Act::Vacate { grace_ms } => match &self.stage {
                Stage::Running { run, .. } => run.vacate(Duration::from_millis(grace_ms.into())),
                Stage::Gathering { .. } => {
                    self.stage = Stage::Nothing;
                    let state = AttemptState::Vacated { metered_us: 0 };
                    self.mind.step(Event::Ended { now_us, state });
                }
                Stage::Keeping(_) | Stage::Nothing => {}
            },
            Act::Kill => self.stage = Stage::Nothing,
            Act::Wipe => self.wipe(),
            Act::Heartbeat(_) => debug_assert!(false, "an answer does not ask for a heartbeat"),
        }
    }

    /// How the attempt stands, and the next step of it.
    fn look(&mut self, transport: &dyn Transport, telemetry: &Telemetry, now_us: i64) -> Seen {
        let on_wifi = telemetry.is_on_wifi();
        match std::mem::replace(&mut self.stage, Stage::Nothing) {
            Stage::Nothing => Seen::Nothing,
            Stage::Gathering { order, moving } => self.gather(transport, on_wifi, order, moving),
            Stage::Running { run, wifi_only } => match run.try_outcome() {
                Some(ended) => {
                    self.tries = 0;
                    let keeping = Keeping { ended, wifi_only, moving: None, until_us: None };
                    self.keep(transport, on_wifi, now_us, keeping)
                }
                None => {
                    let (progress_ppm, metered_us) = (run.progress_ppm(), run.metered_us());
                    self.stage = Stage::Running { run, wifi_only };
                    Seen::Running { progress_ppm, metered_us }
                }
            },
            Stage::Keeping(keeping) => self.keep(transport, on_wifi, now_us, keeping),
        }
    }

    /// Fetches what an order needs; with all of it there the run begins.
    fn gather(
        &mut self,
        transport: &dyn Transport,
        on_wifi: bool,
        order: Box<Order>,
        moving: Option<Moving<Job>>,
    ) -> Seen {
        let wait = Seen::Running { progress_ppm: 0, metered_us: 0 };
        if order.wifi_only && !on_wifi {
            // What moves stops, and goes on from there.
            self.stage = Stage::Gathering { order, moving: None };
            return wait;
        }
        let moving = moving.unwrap_or_else(|| {
            let needs = Needs {
                pool: Arc::clone(&self.pool),
                programs: self.programs.clone(),
                shelf: Arc::clone(&self.shelf),
                order: (*order).clone(),
            };
            Moving::start(transport, self.waker.as_ref(), move |by, stop| needs.gather(by, stop))
        });
        match moving.take() {
            None => self.stage = Stage::Gathering { order, moving: Some(moving) },
            Some(Ok(job)) => {
                self.tries = 0;
                let run = match &self.waker {
                    Some(waker) => self.pool.start_with(job, Arc::clone(waker)),
                    None => self.pool.start(job),
                };
                self.stage = Stage::Running { run, wifi_only: order.wifi_only };
            }
            Some(Err(trouble)) if self.may_try_again(&trouble.error) => {
                self.stage = Stage::Gathering { order, moving: None };
            }
            Some(Err(Trouble { what, error })) => {
                let state = AttemptState::Failed {
                    fault: Fault::Car,
                    code: FailureCode::BlobUnavailable,
                    message: format!("the {what}: {error}"),
                    metered_us: 0,
                };
                return Seen::Ended(state, Account::default());
            }
        }
        wait
    }

    /// Stores what an ended run made, and says how it ended.
    fn keep(
        &mut self,
        transport: &dyn Transport,
        on_wifi: bool,
        now_us: i64,
        mut keeping: Keeping,
    ) -> Seen {
        let ended = Arc::clone(&keeping.ended);
        let metered_us = ended.metered_us;
        if let Some(state) = without_result(&ended.outcome, metered_us) {
            return self.conclude(&ended, state);
        }
        if self.mind.current().is_some_and(|(_, leaving)| leaving) {
            let until_us = *keeping.until_us.get_or_insert(now_us.saturating_add(LINGER_US));
            if now_us >= until_us {
                let error = TransportError::Unreachable("not before the driver left".into());
                return self.conclude(&ended, give_up(&ended.outcome, metered_us, &error));
            }
        }
        let moving = match keeping.moving.take() {
            _ if keeping.wifi_only && !on_wifi => None,
            Some(moving) => Some(moving),
            None => {
                let ended = Arc::clone(&ended);
                let work = move |by: &dyn Transport, stop: &_| store(&ended.outcome, by, stop);
                Some(Moving::start(transport, self.waker.as_ref(), work))
            }
        };
        keeping.moving = match moving.as_ref().and_then(Moving::take) {
            None => moving,
            Some(Ok(digest)) => {
                return self.conclude(&ended, stored(&ended.outcome, digest, metered_us));
            }
            Some(Err(trouble)) if self.may_try_again(&trouble.error) => None,
            Some(Err(Trouble { error, .. })) => {
                return self.conclude(&ended, give_up(&ended.outcome, metered_us, &error));
            }
        };
        self.stage = Stage::Keeping(keeping);
        Seen::Running { progress_ppm: 1_000_000, metered_us }
    }

    fn conclude(&mut self, ended: &Ended, state: AttemptState) -> Seen {
        self.tries = 0;
        if let AttemptState::Failed { code: FailureCode::BlobUnavailable, .. } = &state {
            // A file of the car's was not what it had been: none of them is used again.
            self.shelf = Arc::default();
        }
        let usage = ended.usage.unwrap_or_default();
        let account = Account { usage, log: ended.log.clone(), metrics: ended.metrics.clone() };
        Seen::Ended(state, account)
    }

    fn may_try_again(&mut self, error: &TransportError) -> bool {
        let counts = match error {
            TransportError::Refused(_) => return false,
            TransportError::Unreachable(_) => self.mind.is_heard(),
            TransportError::OnTheCar(_) => true,
        };
        self.tries = if counts { self.tries + 1 } else { self.tries.max(1) };
        self.tries < TRIES
    }
}
