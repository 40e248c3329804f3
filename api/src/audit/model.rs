//! What the log says.

use std::fmt;

use serde::Serialize;
use serde_json::Value;
use store::{AuditEventId, PartyId, Timestamp};
use utoipa::ToSchema;

use crate::origin::Origin;

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Party(PartyId),
    /// Whoever runs the server, by `driveway admin`.
    CommandLine,
    /// The server by itself.
    System,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Party(id) => id.fmt(f),
            Self::CommandLine => f.write_str("command_line"),
            Self::System => f.write_str("system"),
        }
    }
}

/// Who acts, and from where. A handler has it from its principal (`finance.actor()`).
#[derive(Clone, Copy, Debug)]
pub struct Actor {
    pub who: Who,
    pub origin: Origin,
}

impl Actor {
    pub const COMMAND_LINE: Self = Self::inside(Who::CommandLine);
    pub const SYSTEM: Self = Self::inside(Who::System);

    const fn inside(who: Who) -> Self {
        Self { who, origin: Origin { address: None, request: None } }
    }
}

/// A privileged act.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditEvent {
    #[schema(value_type = String, example = "audit_01kayz3v8ne7m9xqk2y4t6w8b0")]
    pub id: AuditEventId,
    #[schema(value_type = String, format = "date-time")]
    pub at: Timestamp,
    /// The id of a party, user or API key; `command_line`; or `system`.
    #[schema(example = "party_01kayz3v8ne7m9xqk2y4t6w8b0")]
    pub actor: String,
    #[schema(example = "deposit.confirmed")]
    pub action: String,
    /// What it was done to.
    #[schema(example = "deposit_01kayz3v8ne7m9xqk2y4t6w8b0")]
    pub subject: String,
    /// Null if there was nothing.
    #[schema(value_type = Object, nullable)]
    pub before: Value,
    /// Null if there is nothing any more.
    #[schema(value_type = Object, nullable)]
    pub after: Value,
    /// Null for the command line, and if it was erased.
    #[schema(example = "192.0.2.1")]
    pub address: Option<String>,
    pub request_id: Option<String>,
}

/// Which acts; all if empty.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub actor: Option<String>,
    pub action: Option<String>,
    pub subject: Option<String>,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
}
