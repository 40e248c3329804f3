//! The agent of one car: [`mind`] decides, this module does.

mod mind;
#[cfg(test)]
mod mind_tests;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::frame::Account;
use crate::pool::{Input, Job, Outcome, Run, WorkerPool};
use crate::protocol::{
    AttemptReport, AttemptState, Digest, FailureCode, Fault, Heartbeat, Order, Telemetry,
};
use crate::transport::{Transport, TransportError};
use mind::{Act, Event, Mind, Seen};

/// How often a blob may fail to come or to be stored though the platform answers heartbeats: at four
/// tries a second a few seconds more than the longest time between heartbeats. What cannot be moved
/// for want of a network waits: the platform says once it is wanted no more.
const TRIES: u32 = 20;

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
    mind: Mind,
    run: Option<Run>,
    /// An order whose blobs could not be fetched yet.
    waiting: Option<Order>,
    /// Of fetching or storing, since the last that went well.
    tries: u32,
    waker: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Agent {
    /// An idle agent. Any number may share a pool.
    pub fn new(pool: Arc<WorkerPool>) -> Self {
        Self { pool, mind: Mind::default(), run: None, waiting: None, tries: 0, waker: None }
    }

    /// Has `waker` called, from another thread, when an attempt's run ended and the agent wants to
    /// be polled now. Without one it asks to be polled often enough to notice. It must not block.
    pub fn with_waker(mut self, waker: Arc<dyn Fn() + Send + Sync>) -> Self {
        self.waker = Some(waker);
        self
    }

    /// One look at everything: the running attempt, the driver, the clock; sends a heartbeat if
    /// one is due and obeys the answer. Waits for the transport, never for the sandbox.
    ///
    /// `now_us` is any monotonic clock in microseconds. Returns the microseconds after which it
    /// wants to be polled again; the caller may poll earlier, and does when telemetry changes.
    pub fn poll(&mut self, transport: &dyn Transport, telemetry: &Telemetry, now_us: i64) -> i64 {
        let parked = telemetry.is_parked();
        let seen = self.look(transport);
        for act in self.mind.step(Event::Looked { now_us, parked, seen }) {
            if let Act::Heartbeat(attempt) = act {
                self.converse(transport, telemetry, attempt, now_us);
            } else {
                self.act(transport, act, now_us);
            }
        }
        let ended = |run: &Run| run.try_outcome().is_some();
        if self.tries == 0 && self.run.as_ref().is_some_and(ended) {
            return 0;
        }
        self.mind.next_poll_us(now_us, self.run.as_ref().map(Run::is_queued), self.waker.is_some())
    }

    /// The attempt that runs or waits to be acknowledged.
    pub fn attempt(&self) -> Option<AttemptView<'_>> {
        let (attempt_id, leaving) = match (self.mind.current(), self.mind.pending()) {
            (Some((order, leaving)), _) => (order.attempt_id.as_str(), leaving),
            (None, Some(report)) => (report.attempt_id.as_str(), false),
            (None, None) => return None,
        };
        let phase = match &self.run {
            None if self.waiting.is_some() => Phase::Queued,
            None => Phase::Reporting,
            Some(run) if run.try_outcome().is_some() => Phase::Reporting,
            Some(_) if leaving => Phase::Leaving,
            Some(run) if run.is_queued() => Phase::Queued,
            Some(_) => Phase::Running,
        };
        let progress_ppm = self.run.as_ref().map_or(1_000_000, Run::progress_ppm);
        let metered_us = match &self.run {
            Some(run) => run.metered_us(),
            None => self.mind.pending().map_or(0, |report| metered(&report.state)),
        };
        Some(AttemptView { attempt_id, phase, progress_ppm, metered_us })
    }

    /// Kills what runs and forgets it; nothing is reported.
    pub fn shutdown(&mut self) {
        (self.run, self.waiting) = (None, None);
        self.mind = Mind::default();
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
            Ok(reply) => Event::Answered { now_us, carried: heartbeat.attempt, reply },
            Err(_) => Event::Unanswered { now_us },
        };
        for act in self.mind.step(event) {
            self.act(transport, act, now_us);
        }
    }

    fn act(&mut self, transport: &dyn Transport, act: Act, now_us: i64) {
        match act {
            Act::Start(order) => {
                self.tries = 0;
                if let Some(state) = self.start(transport, order) {
                    // It ended before it began: no further acts follow from that.
                    self.mind.step(Event::Ended { now_us, state });
                }
            }
            Act::Vacate { grace_ms } => {
                if let Some(run) = &self.run {
                    run.vacate(Duration::from_millis(grace_ms.into()));
                }
                if self.waiting.take().is_some() {
                    let state = AttemptState::Vacated { metered_us: 0 };
                    self.mind.step(Event::Ended { now_us, state });
                }
            }
            Act::Kill => (self.run, self.waiting) = (None, None),
            Act::Heartbeat(_) => debug_assert!(false, "an answer does not ask for a heartbeat"),
        }
    }

    /// How the attempt stands. Once it ended: stores what it made and lets go of the run.
    fn look(&mut self, transport: &dyn Transport) -> Seen {
        if let Some(order) = self.waiting.take() {
            return match self.start(transport, order) {
                Some(state) => Seen::Ended(state, Account::default()),
                None if self.waiting.is_some() => Seen::Blocked { progress_ppm: 0, metered_us: 0 },
                None => Seen::Running { progress_ppm: 0, metered_us: 0 },
            };
        }
        let Some(run) = &self.run else { return Seen::Nothing };
        let Some(ended) = run.try_outcome() else {
            return Seen::Running {
                progress_ppm: run.progress_ppm(),
                metered_us: run.metered_us(),
            };
        };
        let state = conclude(&ended.outcome, ended.metered_us, transport);
        let state = match state {
            Ok(state) => state,
            Err(error) if self.may_try_again(&error) => {
                let metered_us = ended.metered_us;
                return Seen::Blocked { progress_ppm: 1_000_000, metered_us };
            }
            Err(error) => give_up(&ended.outcome, ended.metered_us, &error),
        };
        self.run = None;
        self.tries = 0;
        let usage = ended.usage.unwrap_or_default();
        let account = Account { usage, log: ended.log.clone(), metrics: ended.metrics.clone() };
        Seen::Ended(state, account)
    }

    /// Starts what is ordered, or has it wait for its blobs. How it ended, if that was all.
    fn start(&mut self, transport: &dyn Transport, order: Order) -> Option<AttemptState> {
        match self.gather(transport, &order) {
            Ok(job) => {
                self.tries = 0;
                self.run = Some(match &self.waker {
                    Some(waker) => self.pool.start_with(job, Arc::clone(waker)),
                    None => self.pool.start(job),
                });
                None
            }
            Err(Missing { error, .. }) if self.may_try_again(&error) => {
                self.waiting = Some(order);
                None
            }
            Err(Missing { what, error }) => Some(AttemptState::Failed {
                fault: Fault::Car,
                code: FailureCode::BlobUnavailable,
                message: format!("the {what}: {error}"),
                metered_us: 0,
            }),
        }
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

    /// The input goes to a file: it may be larger than memory.
    fn fetch_input(&self, transport: &dyn Transport, digest: &Digest) -> Result<Input, Missing> {
        let fetch = || {
            let kept = self.pool.scratch().map_err(TransportError::on_the_car)?;
            let file = File::options().write(true).open(kept.path());
            let mut file = file.map_err(TransportError::on_the_car)?;
            transport.fetch_blob_to(digest, &mut file)?;
            let read = File::open(kept.path()).and_then(|mut file| Digest::of_reader(&mut file));
            Ok((kept, read.map_err(TransportError::on_the_car)?))
        };
        verify(digest, "input", fetch()).map(Input::Kept)
    }

    fn gather(&self, transport: &dyn Transport, order: &Order) -> Result<Job, Missing> {
        let program = match self.pool.cached_program(&order.program) {
            Some(program) => program,
            None => {
                let program = Arc::new(fetch(transport, &order.program, "program")?);
                self.pool.keep_program(&order.program, &program);
                program
            }
        };
        let input = self.fetch_input(transport, &order.input)?;
        let checkpoint = match &order.checkpoint {
            Some(digest) => Some(fetch(transport, digest, "checkpoint")?),
            None => None,
        };
        Ok(Job {
            runtime: order.runtime,
            program,
            digest: order.program.clone(),
            input,
            seed: seed(order),
            checkpoint,
            limits: order.limits.clone(),
        })
    }
}

/// Stores what is in a file; the platform must have understood the same bytes.
fn store_file(transport: &dyn Transport, path: &Path) -> Result<Digest, TransportError> {
    let file = File::open(path).and_then(|mut file| Digest::of_reader(&mut file));
    let digest = file.map_err(TransportError::on_the_car)?;
    if transport.store_file(path)? == digest {
        Ok(digest)
    } else {
        Err(TransportError::Refused("it stored the blob under another digest".into()))
    }
}

/// Random numbers are the task's, whichever attempt it is: program and input name it.
fn seed(order: &Order) -> Digest {
    Digest::of(format!("{} {}", order.program.0, order.input.0).as_bytes())
}

/// What an order needs and the car has not got.
struct Missing {
    what: &'static str,
    error: TransportError,
}

/// Fetches a blob and verifies it.
fn fetch(
    transport: &dyn Transport,
    digest: &Digest,
    what: &'static str,
) -> Result<Vec<u8>, Missing> {
    let fetched = transport.fetch_blob(digest).map(|bytes| {
        let came = Digest::of(&bytes);
        (bytes, came)
    });
    verify(digest, what, fetched)
}

/// What came, if it is what was asked for.
fn verify<T>(
    digest: &Digest,
    what: &'static str,
    fetched: Result<(T, Digest), TransportError>,
) -> Result<T, Missing> {
    match fetched {
        Ok((blob, came)) if came == *digest => Ok(blob),
        Ok(_) => {
            let why = format!("it came with another digest than {}", digest.0);
            Err(Missing { what, error: TransportError::Refused(why) })
        }
        Err(error) => Err(Missing { what, error }),
    }
}

/// Stores a blob; the platform must have understood the same bytes.
fn store(transport: &dyn Transport, bytes: &[u8]) -> Result<Digest, TransportError> {
    let digest = transport.store_blob(bytes)?;
    if digest == Digest::of(bytes) {
        Ok(digest)
    } else {
        Err(TransportError::Refused("it stored the blob under another digest".into()))
    }
}

/// The report of an ended run, once what it made is stored.
fn conclude(
    outcome: &Outcome,
    metered_us: i64,
    transport: &dyn Transport,
) -> Result<AttemptState, TransportError> {
    Ok(match outcome {
        Outcome::Completed { output } => {
            AttemptState::Completed { output: store_file(transport, output.path())?, metered_us }
        }
        Outcome::Checkpointed { checkpoint } => {
            AttemptState::Checkpointed { checkpoint: store(transport, checkpoint)?, metered_us }
        }
        Outcome::Vacated => AttemptState::Vacated { metered_us },
        Outcome::Failed { fault, code, message } => AttemptState::Failed {
            fault: *fault,
            code: *code,
            message: message.clone(),
            metered_us,
        },
    })
}

/// The report when a result could not be stored: the work is lost, and it is the car's fault.
fn give_up(outcome: &Outcome, metered_us: i64, error: &TransportError) -> AttemptState {
    match outcome {
        Outcome::Checkpointed { .. } => AttemptState::Vacated { metered_us },
        _ => AttemptState::Failed {
            fault: Fault::Car,
            code: FailureCode::BlobUnavailable,
            message: format!("the output could not be stored: {error}"),
            metered_us,
        },
    }
}

fn metered(state: &AttemptState) -> i64 {
    match state {
        AttemptState::Running { metered_us, .. }
        | AttemptState::Completed { metered_us, .. }
        | AttemptState::Checkpointed { metered_us, .. }
        | AttemptState::Vacated { metered_us }
        | AttemptState::Failed { metered_us, .. } => *metered_us,
    }
}
