//! What a customer asks of results, and what was found of them, on the wire.

use scheduler::job::TaskView;
use scheduler::{TaskState, assurance};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How far results are compared before they are paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(tag = "level", rename_all = "snake_case", deny_unknown_fields)]
pub enum Assurance {
    /// The first result counts.
    #[default]
    None,
    /// A share of the tasks is run a second time, by another owner's car.
    SpotCheck {
        /// The least chance of a check, parts per million.
        #[schema(minimum = 1, maximum = 1_000_000, example = 50_000)]
        rate_ppm: i32,
    },
    /// So many cars of different owners and one hardware class must name the same output.
    Quorum {
        #[schema(minimum = 2, maximum = 5, example = 3)]
        results: i32,
    },
}

impl From<Assurance> for assurance::Assurance {
    fn from(level: Assurance) -> Self {
        match level {
            Assurance::None => Self::None,
            Assurance::SpotCheck { rate_ppm } => Self::SpotCheck { rate_ppm },
            Assurance::Quorum { results } => Self::Quorum(results),
        }
    }
}

impl From<assurance::Assurance> for Assurance {
    fn from(level: assurance::Assurance) -> Self {
        match level {
            assurance::Assurance::None => Self::None,
            assurance::Assurance::SpotCheck { rate_ppm } => Self::SpotCheck { rate_ppm },
            assurance::Assurance::Quorum(results) => Self::Quorum { results },
        }
    }
}

/// What was found of a task's result.
#[derive(Serialize, ToSchema)]
pub struct Verification {
    /// `none` (no result is compared, or there is none yet), `pending` (a further car must confirm
    /// it), `unchecked` (drawn lots left it out), `agreed`, `short` (fewer agreed than were wanted,
    /// for no further car could be had in time) or `failed`.
    state: &'static str,
    /// Results that must name the same output, and those that named the accepted one.
    wanted: i32,
    agreed: i32,
}

impl From<&TaskView> for Verification {
    fn from(task: &TaskView) -> Self {
        let (wanted, agreed) = (task.wanted, task.agreed);
        let state = match task.state {
            _ if wanted == 0 => "none",
            TaskState::Completed if wanted == 1 => "unchecked",
            TaskState::Completed if agreed >= wanted => "agreed",
            TaskState::Completed => "short",
            TaskState::Queued | TaskState::Leased => "pending",
            TaskState::Failed | TaskState::Cancelled => "failed",
        };
        Self { state, wanted, agreed }
    }
}
