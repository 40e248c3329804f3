//! What a run made on its way to the platform, and the report that follows.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::moving::Trouble;
use crate::pool::Outcome;
use crate::protocol::{AttemptState, Digest, FailureCode, Fault};
use crate::transport::{Made, Transport, TransportError};

/// Stores what was made; the platform must have understood the same bytes.
pub(super) fn store(
    outcome: &Outcome,
    by: &dyn Transport,
    stop: &Arc<AtomicBool>,
) -> Result<Digest, Trouble> {
    let trouble = |error| Trouble { what: "result", error };
    let made = match outcome {
        Outcome::Completed { output } => Made::kept(output.clone(), Arc::clone(stop)),
        Outcome::Checkpointed { checkpoint } => Ok(Made::of(checkpoint.clone(), Arc::clone(stop))),
        Outcome::Vacated | Outcome::Failed { .. } => Err(std::io::Error::other("nothing was made")),
    };
    let made = made.map_err(|error| trouble(TransportError::on_the_car(error)))?;
    if by.store_made(&made).map_err(trouble)? == made.digest {
        return Ok(made.digest);
    }
    Err(trouble(TransportError::Refused("it stored the blob under another digest".into())))
}

/// The report of a run that made nothing.
pub(super) fn without_result(outcome: &Outcome, metered_us: i64) -> Option<AttemptState> {
    match outcome {
        Outcome::Completed { .. } | Outcome::Checkpointed { .. } => None,
        Outcome::Vacated => Some(AttemptState::Vacated { metered_us }),
        Outcome::Failed { fault, code, message } => Some(AttemptState::Failed {
            fault: *fault,
            code: *code,
            message: message.clone(),
            metered_us,
        }),
    }
}

/// The report of a run whose result is stored.
pub(super) fn stored(outcome: &Outcome, digest: Digest, metered_us: i64) -> AttemptState {
    match outcome {
        Outcome::Checkpointed { .. } => {
            AttemptState::Checkpointed { checkpoint: digest, metered_us }
        }
        _ => AttemptState::Completed { output: digest, metered_us },
    }
}

/// The report when a result could not be stored: the work is lost, and it is the car's fault.
pub(super) fn give_up(outcome: &Outcome, metered_us: i64, error: &TransportError) -> AttemptState {
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

pub(super) fn metered(state: &AttemptState) -> i64 {
    match state {
        AttemptState::Running { metered_us, .. }
        | AttemptState::Completed { metered_us, .. }
        | AttemptState::Checkpointed { metered_us, .. }
        | AttemptState::Vacated { metered_us }
        | AttemptState::Failed { metered_us, .. } => *metered_us,
    }
}
