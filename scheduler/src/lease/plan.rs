//! What follows from a heartbeat of a leased car. Pure: a view in, a plan out.

use store::{AttemptId, Timestamp};
use vehicle::protocol::{AttemptState, FailureCode, Fault, VacateReason};

use crate::{AttemptOutcome, EndReason, LeaseState};

/// All that the plan is made from.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub now: Timestamp,
    pub lease: LeaseState,
    /// None before it started.
    pub ends_at: Option<Timestamp>,
    /// Parked, idle, and with energy to spare.
    pub eligible: bool,
    /// The owner consents to this job's purpose and data class.
    pub permitted: bool,
    /// An operator wants the car to leave.
    pub evicted: bool,
    /// The job has not ended.
    pub job_active: bool,
    /// It has ended, or its customer or an operator wants it to stand still at once.
    pub called_off: bool,
    pub attempt: Option<RunningAttempt>,
    /// What the car says, if it is about an attempt.
    pub report: Option<Report>,
}

#[derive(Clone, Debug)]
pub(super) struct RunningAttempt {
    pub id: AttemptId,
    pub started_at: Timestamp,
}

#[derive(Clone, Debug)]
pub(super) struct Report {
    pub attempt: Option<AttemptId>,
    /// It is, or was, an attempt of this car's.
    pub own: bool,
    pub state: AttemptState,
    /// The car did store the output or checkpoint that it names.
    pub blob_stored: bool,
}

/// What to do, in this order: close the attempt, then the next step.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    pub close: Option<Close>,
    pub next: Next,
}

/// How the running attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Close {
    pub outcome: AttemptOutcome,
    /// The output or the checkpoint, by digest.
    pub blob: Option<String>,
    pub metered_us: i64,
    /// Least of metered, observed, and what was left of the term.
    pub billable_us: i64,
    pub reason: String,
    /// The program can never succeed: do not try again.
    pub fatal: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Next {
    /// Start the lease, then as [`Next::TakeTask`].
    Start,
    /// Give the car the next queued task, or end the lease if there is none.
    TakeTask,
    /// Send the order of the running attempt (again).
    Deliver,
    /// The attempt goes on.
    Continue,
    /// What the car reports is none of its business: nothing changes, and it is told so.
    Refuse,
    /// Tell the car to leave, and wait for its report.
    Vacate(VacateReason),
    End(EndReason),
}

/// Decides about a car with a live lease.
pub(super) fn plan(view: &View) -> Plan {
    let stop = must_stop(view);
    let Some(attempt) = &view.attempt else {
        let next = match (stop, view.lease) {
            (None, _) if is_stray(view) => Next::Refuse,
            (Some(VacateReason::Cancelled), _) => Next::End(EndReason::NoWork),
            (Some(stop), _) => Next::End(end_reason(stop)),
            (None, LeaseState::Offered) => Next::Start,
            (None, _) => Next::TakeTask,
        };
        return Plan { close: None, next };
    };
    match &view.report {
        Some(report) if report.attempt == Some(attempt.id) => match &report.state {
            AttemptState::Running { .. } => {
                Plan { close: None, next: stop.map_or(Next::Continue, Next::Vacate) }
            }
            ended => plan_ended(view, attempt, ended, report.blob_stored, stop),
        },
        // The car does not know its order: the answer was lost, or the car began anew.
        _ => match stop {
            None if is_stray(view) => Plan { close: None, next: Next::Refuse },
            None => Plan { close: None, next: Next::Deliver },
            Some(stop) => {
                let close = close(view, attempt, AttemptOutcome::Vacated, 0, "not on the car");
                Plan { close: Some(close), next: Next::End(end_reason(stop)) }
            }
        },
    }
}

/// True for a report that is not of the running attempt, unless it repeats how an attempt of this
/// car's ended: then its answer was lost.
fn is_stray(view: &View) -> bool {
    view.report.as_ref().is_some_and(|report| !report.own || !report.state.is_terminal())
}

/// Why the lease may not go on, the gravest first.
fn must_stop(view: &View) -> Option<VacateReason> {
    if !view.permitted {
        return Some(VacateReason::ConsentWithdrawn);
    }
    if view.evicted {
        return Some(VacateReason::Evicted);
    }
    if !view.eligible {
        return Some(VacateReason::NotEligible);
    }
    if view.called_off {
        return Some(VacateReason::Cancelled);
    }
    if view.ends_at.is_some_and(|ends_at| view.now >= ends_at) {
        return Some(VacateReason::TermOver);
    }
    None
}

fn end_reason(stop: VacateReason) -> EndReason {
    match stop {
        VacateReason::ConsentWithdrawn | VacateReason::Evicted => EndReason::Evicted,
        VacateReason::NotEligible | VacateReason::NotYours => EndReason::Vacated,
        VacateReason::Cancelled => EndReason::Cancelled,
        VacateReason::TermOver => EndReason::Term,
    }
}

fn plan_ended(
    view: &View,
    attempt: &RunningAttempt,
    state: &AttemptState,
    blob_stored: bool,
    stop: Option<VacateReason>,
) -> Plan {
    let mut close = match state {
        AttemptState::Running { metered_us, .. } | AttemptState::Vacated { metered_us } => {
            close(view, attempt, AttemptOutcome::Vacated, *metered_us, "left without a checkpoint")
        }
        AttemptState::Completed { output, metered_us } => {
            let close = close(view, attempt, AttemptOutcome::Completed, *metered_us, "");
            Close { blob: Some(output.0.clone()), ..close }
        }
        AttemptState::Checkpointed { checkpoint, metered_us } => {
            let close = close(view, attempt, AttemptOutcome::Checkpointed, *metered_us, "");
            Close { blob: Some(checkpoint.0.clone()), ..close }
        }
        AttemptState::Failed { fault, code, message, metered_us } => {
            let outcome = match fault {
                Fault::Program => AttemptOutcome::FailedProgram,
                Fault::Car => AttemptOutcome::FailedCar,
            };
            // From a stranger's program: PostgreSQL keeps no NUL, and a log no line breaks.
            let message = message.chars().filter(|c| !c.is_control());
            let reason = format!("{code:?}: ").chars().chain(message).take(500).collect::<String>();
            let close = close(view, attempt, outcome, *metered_us, &reason);
            Close { fatal: *fault == Fault::Program && hopeless(*code), ..close }
        }
    };
    if close.blob.is_some() && !blob_stored {
        close = Close {
            outcome: AttemptOutcome::FailedCar,
            blob: None,
            reason: "the car never stored what it names".to_owned(),
            ..close
        };
    }
    // The customer gave the job up while the car worked: billed up to now, whatever it left. One
    // that only stands still goes on from what was left.
    let gave_up = match close.outcome {
        AttemptOutcome::Vacated => view.called_off,
        AttemptOutcome::Checkpointed => !view.job_active,
        _ => false,
    };
    if gave_up {
        close = Close {
            outcome: AttemptOutcome::Cancelled,
            blob: None,
            reason: match view.job_active {
                true => "the job was paused or banned".to_owned(),
                false => "cancelled by the customer".to_owned(),
            },
            ..close
        };
    }
    let next = match (close.outcome, stop) {
        (_, Some(stop)) => Next::End(end_reason(stop)),
        (AttemptOutcome::FailedCar, None) => Next::End(EndReason::Failed),
        // The car left of its own accord: its driver is back.
        (AttemptOutcome::Vacated | AttemptOutcome::Checkpointed, None) => {
            Next::End(EndReason::Vacated)
        }
        (_, None) => Next::TakeTask,
    };
    Plan { close: Some(close), next }
}

/// Trying again cannot help.
fn hopeless(code: FailureCode) -> bool {
    matches!(code, FailureCode::InvalidProgram | FailureCode::InvalidInput)
}

fn close(
    view: &View,
    attempt: &RunningAttempt,
    outcome: AttemptOutcome,
    metered_us: i64,
    reason: &str,
) -> Close {
    let metered_us = metered_us.max(0);
    let observed = view.now.since(attempt.started_at).max(0);
    let left = view.ends_at.map_or(0, |ends_at| ends_at.since(attempt.started_at)).max(0);
    Close {
        outcome,
        blob: None,
        metered_us,
        billable_us: metered_us.min(observed).min(left),
        reason: reason.to_owned(),
        fatal: false,
    }
}

/// An attempt whose car was not heard of: nothing is known and nothing is paid.
pub(super) fn lost() -> Close {
    Close {
        outcome: AttemptOutcome::Lost,
        blob: None,
        metered_us: 0,
        billable_us: 0,
        reason: "no heartbeat".to_owned(),
        fatal: false,
    }
}
