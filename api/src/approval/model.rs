//! Proposals on the wire and in their rows.

use ::store::{AccountId, Amount, ApprovalId, Day, PartyId, Timestamp, TransactionId};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::identity::model::Role;
use crate::money::Money;
use crate::problem::{Code, Problem, Result};

/// What can be proposed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Proposal {
    Journal(#[garde(dive)] Journal),
    Refund(#[garde(dive)] LargeRefund),
    Fee(#[garde(dive)] Fee),
    Limit(#[garde(dive)] Limit),
}

/// An entry made by hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// The day on which it counts, today or before. A month that is softly closed takes it, one that
    /// is closed does not.
    #[garde(skip)]
    #[schema(value_type = String, format = "date", example = "2026-10-31")]
    pub effective_on: Day,
    /// The day on which it is undone, if it is an accrual; then only accounts of the platform's own
    /// may be in it.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = Option<String>, format = "date", example = "2026-11-01")]
    pub reverse_on: Option<Day>,
    #[garde(length(min = 2, max = ledger::MAX_LEGS), dive)]
    #[schema(min_items = 2, max_items = 64)]
    pub legs: Vec<JournalLeg>,
}

/// Of debit and credit one is named.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JournalLeg {
    #[garde(skip)]
    #[schema(value_type = String, example = "acct_01kayz3v8ne7m9xqk2y4t6w8b0")]
    pub account: AccountId,
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = Option<String>, example = "12.340000")]
    pub debit: Option<Amount>,
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = Option<String>)]
    pub credit: Option<Amount>,
}

/// A refund that one person may not give alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LargeRefund {
    #[garde(skip)]
    #[schema(value_type = String, example = "tx_01kayz3v8ne7m9xqk2y4t6w8b0")]
    pub transaction: TransactionId,
    /// Who gets it back: an account of the transaction.
    #[garde(skip)]
    #[schema(value_type = String, example = "acct_01kayz3v8ne7m9xqk2y4t6w8b0")]
    pub account: AccountId,
    #[garde(dive)]
    pub amount: Money,
}

/// A fee from a coming moment on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProposedFee)]
pub struct Fee {
    #[garde(length(chars, min = 1, max = 64))]
    #[schema(example = "us")]
    pub market: String,
    #[garde(skip)]
    #[schema(value_type = String, format = "date-time")]
    pub from: Timestamp,
    /// Parts per million of what customers pay.
    #[garde(skip)]
    #[schema(example = 120_000, minimum = 0, maximum = 500_000)]
    pub fee_ppm: i32,
    /// Parts per million on top of earnings taken in credits.
    #[garde(skip)]
    #[schema(example = 50_000, minimum = 0, maximum = 1_000_000)]
    pub credit_bonus_ppm: i32,
}

/// Up to which amount one person may refund alone, from a coming moment on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    #[garde(skip)]
    #[schema(value_type = String, format = "date-time")]
    pub from: Timestamp,
    #[garde(dive)]
    pub refund: Money,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApproval {
    #[garde(dive)]
    pub proposal: Proposal,
    /// Kept with it, and in the book.
    #[garde(length(bytes, min = 1, max = ledger::MAX_TEXT))]
    #[schema(example = "Bank charges of October")]
    pub reason: String,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WhyRejected)]
pub struct Why {
    #[garde(length(bytes, min = 1, max = ledger::MAX_TEXT))]
    #[schema(example = "The wrong account")]
    pub reason: String,
}

/// Something that takes two people.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Approval {
    #[schema(value_type = String, example = "appr_01kayz3v8ne7m9xqk2y4t6w8b0")]
    pub id: ApprovalId,
    pub proposal: Proposal,
    pub reason: String,
    /// `proposed`, `executed` or `rejected`.
    #[schema(example = "proposed")]
    pub state: String,
    #[schema(value_type = String)]
    pub proposed_by: PartyId,
    #[schema(value_type = String, format = "date-time")]
    pub proposed_at: Timestamp,
    #[schema(value_type = Option<String>)]
    pub decided_by: Option<PartyId>,
    #[schema(value_type = Option<String>, format = "date-time")]
    pub decided_at: Option<Timestamp>,
    /// Why it was turned down.
    pub rejection: Option<String>,
    /// What was made of it: a transaction's id, or a market or currency with the moment from which its
    /// rate or limit is in force.
    pub result: Option<String>,
}

impl Proposal {
    /// As stored.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Journal(_) => "journal",
            Self::Refund(_) => "refund",
            Self::Fee(_) => "fee",
            Self::Limit(_) => "limit",
        }
    }

    /// Whose business it is: fees are the operators', money is finance's.
    ///
    /// # Errors
    /// `wrong_role`.
    pub fn check_role(&self, role: Role) -> Result<()> {
        let wanted = match self {
            Self::Fee(_) => Role::Operator,
            Self::Journal(_) | Self::Refund(_) | Self::Limit(_) => Role::Finance,
        };
        if role == wanted { Ok(()) } else { Err(Problem::new(Code::WrongRole)) }
    }
}
