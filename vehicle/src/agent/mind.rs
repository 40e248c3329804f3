//! What an agent decides: a state machine without processes, network or clock.
//!
//! One attempt runs at most (`current`), and one that ended waits for its acknowledgement at most
//! (`pending`). The platform answers "order" only when it believes the car free or wants another
//! attempt than the one it knows of, so an order always wins, except over the driver.

use std::collections::VecDeque;

use crate::frame::Account;
use crate::protocol::{AttemptReport, AttemptState, HeartbeatReply, Order, VacateReason};

/// The platform's word on the next poll is kept within these, microseconds.
const MIN_POLL_US: i64 = 5_000;
const MAX_POLL_US: i64 = 60_000_000;
/// After a heartbeat without an answer: doubled from the first to the second. While something
/// runs a withdrawn consent must reach the car within seconds, so the patience ends earlier.
const FIRST_BACKOFF_US: i64 = 250_000;
const MAX_BACKOFF_US: i64 = 30_000_000;
const MAX_BACKOFF_RUNNING_US: i64 = 3_000_000;
/// How often to look at a run when nobody wakes the agent.
const LOOK_RUNNING_US: i64 = 10_000;
const LOOK_QUEUED_US: i64 = 100_000;
/// Between tries to fetch what an order needs, or to store a result.
const LOOK_BLOCKED_US: i64 = 250_000;
/// Acknowledged attempts remembered, against orders that were late on the way.
const REMEMBERED: usize = 16;

/// What happened.
#[expect(clippy::large_enum_variant, reason = "made and consumed on the spot, never kept")]
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// A poll began; this is the state of the world.
    Looked { now_us: i64, parked: bool, seen: Seen },
    /// The attempt ended before it ran.
    Ended { now_us: i64, state: AttemptState },
    /// A heartbeat was answered.
    Answered { now_us: i64, carried: Option<AttemptReport>, reply: HeartbeatReply },
    /// A heartbeat got no answer.
    Unanswered { now_us: i64 },
}

/// What became of the run.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    Nothing,
    /// Also while what it needs is not here yet, or what it made is not stored.
    Running {
        progress_ppm: u32,
        metered_us: i64,
    },
    Ended(AttemptState, Account),
}

/// What there is to look at between heartbeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing, or somebody will say.
    Never,
    /// A run that waits for a worker.
    Queued,
    Running,
    /// Blobs that move, or are to be tried again.
    Blocked,
}

/// What to do about it, in this order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Act {
    Start(Order),
    /// Tell the program to leave, kill it after the grace.
    Vacate {
        grace_ms: u32,
    },
    Kill,
    /// The lease is over: nothing of it stays on the car.
    Wipe,
    Heartbeat(Option<AttemptReport>),
}

#[derive(Debug)]
struct Current {
    order: Order,
    /// Told to leave.
    leaving: bool,
    /// For the next heartbeat.
    progress_ppm: u32,
    metered_us: i64,
}

/// The lease whose data is on the car.
#[derive(Debug)]
struct Held {
    lease_id: String,
    /// When its term is over, by the clock of the polls.
    ends_us: i64,
}

#[derive(Debug, Default)]
pub(super) struct Mind {
    parked: bool,
    held: Option<Held>,
    current: Option<Current>,
    /// A terminal report, repeated until it is acknowledged.
    pending: Option<AttemptReport>,
    acknowledged: VecDeque<String>,
    next_heartbeat_us: i64,
    unanswered: u32,
    /// Why the platform ended an attempt, until somebody asks.
    word: Option<VacateReason>,
}

impl Mind {
    /// The order that runs, and whether it is leaving.
    pub fn current(&self) -> Option<(&Order, bool)> {
        self.current.as_ref().map(|current| (&current.order, current.leaving))
    }

    /// The last heartbeat was answered: the platform can be reached.
    pub fn is_heard(&self) -> bool {
        self.unanswered == 0
    }

    pub fn take_word(&mut self) -> Option<VacateReason> {
        self.word.take()
    }

    pub fn pending(&self) -> Option<&AttemptReport> {
        self.pending.as_ref()
    }

    pub fn step(&mut self, event: Event) -> Vec<Act> {
        match event {
            Event::Looked { now_us, parked, seen } => self.looked(now_us, parked, seen),
            Event::Ended { now_us, state } => {
                self.end(now_us, state, Account::default());
                Vec::new()
            }
            Event::Answered { now_us, carried, reply } => self.answered(now_us, carried, reply),
            Event::Unanswered { now_us } => {
                self.next_heartbeat_us = now_us + self.backoff_us();
                self.unanswered = self.unanswered.saturating_add(1);
                Vec::new()
            }
        }
    }

    /// Microseconds until the next poll.
    pub fn next_poll_us(&self, now_us: i64, look: Look) -> i64 {
        let heartbeat = (self.next_heartbeat_us - now_us).max(0);
        let look = match look {
            Look::Never => MAX_POLL_US,
            Look::Queued => LOOK_QUEUED_US,
            Look::Running => LOOK_RUNNING_US,
            Look::Blocked => LOOK_BLOCKED_US,
        };
        heartbeat.min(look)
    }

    fn looked(&mut self, now_us: i64, parked: bool, seen: Seen) -> Vec<Act> {
        let mut acts = Vec::new();
        match seen {
            Seen::Nothing => {}
            Seen::Ended(state, account) => self.end(now_us, state, account),
            Seen::Running { progress_ppm, metered_us } => self.note(progress_ppm, metered_us),
        }
        acts.extend(self.end_alone(now_us));
        if self.parked && !parked {
            // The platform should know before it thinks of another order.
            self.next_heartbeat_us = now_us;
        }
        self.parked = parked;
        if !parked {
            acts.extend(self.leave());
        }
        if now_us >= self.next_heartbeat_us {
            acts.push(Act::Heartbeat(self.report()));
        }
        acts
    }

    fn answered(
        &mut self,
        now_us: i64,
        carried: Option<AttemptReport>,
        reply: HeartbeatReply,
    ) -> Vec<Act> {
        self.unanswered = 0;
        let poll_us = i64::from(reply.next_poll_ms) * 1_000;
        self.next_heartbeat_us = now_us + poll_us.clamp(MIN_POLL_US, MAX_POLL_US);
        let told = carried.is_some();
        if let Some(report) = carried.filter(|report| report.state.is_terminal()) {
            self.acknowledge(report);
        }
        let mut acts = Vec::new();
        match reply.vacate {
            Some(VacateReason::NotYours) => {
                acts.extend(self.current.take().map(|_| Act::Kill));
                self.word = reply.vacate.filter(|_| told).or(self.word);
            }
            Some(reason) => {
                acts.extend(self.leave().inspect(|_| self.word = Some(reason)));
            }
            None => {}
        }
        match reply.order {
            Some(order) => acts.extend(self.ordered(now_us, order)),
            // Who has reported all and is given nothing more has no lease any more.
            None if self.current.is_none() && self.pending.is_none() => {
                acts.extend(self.held.take().map(|_| Act::Wipe));
            }
            None => {}
        }
        acts
    }

    /// Out of the network when the lease's term is over: nobody waits for the work any more, and
    /// nobody would pay for it. The platform is told once it can be reached, and says so too.
    fn end_alone(&mut self, now_us: i64) -> Vec<Act> {
        let over = self.held.as_ref().is_some_and(|held| now_us >= held.ends_us);
        if !over || self.is_heard() {
            return Vec::new();
        }
        self.held = None;
        let mut acts = Vec::new();
        if let Some(Current { metered_us, .. }) = self.current {
            acts.push(Act::Kill);
            self.end(now_us, AttemptState::Vacated { metered_us }, Account::default());
        }
        acts.push(Act::Wipe);
        acts
    }

    fn ordered(&mut self, now_us: i64, order: Order) -> Vec<Act> {
        let id = &order.attempt_id;
        let term_us = i64::try_from(order.term_ms.saturating_mul(1_000)).unwrap_or(i64::MAX);
        let ends_us = now_us.saturating_add(term_us);
        let known = self.current.as_ref().is_some_and(|current| current.order.attempt_id == *id)
            || self.pending.as_ref().is_some_and(|report| report.attempt_id == *id)
            || self.acknowledged.contains(id);
        if known {
            let own = |held: &&mut Held| held.lease_id == order.lease_id;
            if let Some(held) = self.held.as_mut().filter(own) {
                held.ends_us = ends_us;
            }
            return Vec::new();
        }
        let mut acts = Vec::new();
        if self.current.take().is_some() {
            acts.push(Act::Kill);
        }
        let held = Held { lease_id: order.lease_id.clone(), ends_us };
        if self.held.replace(held).is_some_and(|last| last.lease_id != order.lease_id) {
            acts.push(Act::Wipe);
        }
        let current = Current { order, leaving: false, progress_ppm: 0, metered_us: 0 };
        let current = self.current.insert(current);
        if self.parked {
            acts.push(Act::Start(current.order.clone()));
        } else {
            // The driver was faster than the order. Saying so at once frees the task.
            self.end(now_us, AttemptState::Vacated { metered_us: 0 }, Account::default());
        }
        acts
    }

    /// Makes the current attempt leave, once.
    fn leave(&mut self) -> Option<Act> {
        let current = self.current.as_mut().filter(|current| !current.leaving)?;
        current.leaving = true;
        Some(Act::Vacate { grace_ms: current.order.limits.grace_ms })
    }

    fn note(&mut self, progress_ppm: u32, metered_us: i64) {
        if let Some(current) = &mut self.current {
            current.progress_ppm = progress_ppm;
            current.metered_us = metered_us;
        }
    }

    /// The current attempt ended: report it now.
    fn end(&mut self, now_us: i64, state: AttemptState, account: Account) {
        if let Some(current) = self.current.take() {
            let attempt_id = current.order.attempt_id;
            let Account { usage, log, metrics } = account;
            self.pending = Some(AttemptReport { attempt_id, state, usage, log, metrics });
            self.next_heartbeat_us = now_us;
        }
    }

    fn acknowledge(&mut self, report: AttemptReport) {
        self.pending.take_if(|pending| pending.attempt_id == report.attempt_id);
        if self.acknowledged.len() == REMEMBERED {
            self.acknowledged.pop_front();
        }
        self.acknowledged.push_back(report.attempt_id);
    }

    fn report(&self) -> Option<AttemptReport> {
        if let Some(report) = &self.pending {
            return Some(report.clone());
        }
        let current = self.current.as_ref()?;
        let Current { progress_ppm, metered_us, .. } = *current;
        let state = AttemptState::Running { progress_ppm, metered_us };
        Some(AttemptReport::new(&current.order.attempt_id, state))
    }

    fn backoff_us(&self) -> i64 {
        let most = if self.current.is_some() { MAX_BACKOFF_RUNNING_US } else { MAX_BACKOFF_US };
        (FIRST_BACKOFF_US << self.unanswered.min(16)).min(most)
    }
}
