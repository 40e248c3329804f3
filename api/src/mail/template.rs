//! What mails say.

use serde::{Deserialize, Serialize};

use crate::identity::model::Role;
use crate::money::Money;

/// A mail and what it is about. As JSON it is the outbox row's payload: a variant or field that
/// was ever written must stay readable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "template")]
pub enum Template {
    Welcome { role: Role },
    DepositConfirmed { amount: Money },
    PayoutApproved { amount: Money },
}

impl Template {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Welcome { .. } => "welcome",
            Self::DepositConfirmed { .. } => "deposit_confirmed",
            Self::PayoutApproved { .. } => "payout_approved",
        }
    }

    pub fn subject(&self) -> &'static str {
        match self {
            Self::Welcome { .. } => "Welcome to Driveway",
            Self::DepositConfirmed { .. } => "Your deposit has arrived",
            Self::PayoutApproved { .. } => "Your payout is on its way",
        }
    }

    /// The text for somebody of this name.
    pub fn text(&self, name: &str) -> String {
        let message = match self {
            Self::Welcome { role: Role::Customer } => {
                "your account is ready. Pay in, store your program and its inputs, and place a \
                 bid: the market does the rest."
                    .to_owned()
            }
            Self::Welcome { role: Role::Owner } => {
                "your account is ready. Add a car, say what it may be used for and what it must \
                 earn: it works while it is parked, never below your charge limit."
                    .to_owned()
            }
            Self::Welcome { .. } => "your account is ready.".to_owned(),
            Self::DepositConfirmed { amount } => format!(
                "we have received {} {}. It is in your wallet now.",
                amount.amount, amount.currency
            ),
            Self::PayoutApproved { amount } => format!(
                "your payout of {} {} was approved and goes to your bank account.",
                amount.amount, amount.currency
            ),
        };
        format!("Hello {name},\n\n{message}\n\nDriveway\n")
    }
}
