//! Why a transaction moved what it moved: its legs by name, what it refers to, and every amount that
//! was computed, computed again from its record and compared with the entries.

mod steps;
mod store;
mod text;

use ::store::{AccountId, Amount, Day, HoldId, PartyId, Timestamp, TransactionId, Tx};

use crate::{Code, Result};

/// A transaction explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub transaction: TransactionId,
    pub key: String,
    /// Text of its [`crate::Kind`].
    pub kind: String,
    pub subject: String,
    pub posted_at: Timestamp,
    pub effective_at: Timestamp,
    /// Later than the day of `effective_at` if that month was closed.
    pub booked_on: Day,
    /// What it reverses, refunds or corrects.
    pub refers_to: Option<Reference>,
    /// What reverses, refunds or corrects it, by id.
    pub referred_by: Vec<Reference>,
    /// Names and values, by name.
    pub metadata: Vec<(String, String)>,
    /// By line.
    pub legs: Vec<ExplainedLeg>,
    /// The holds that paid for it.
    pub captured: Vec<Captured>,
    /// What was computed, in the order of the computation.
    pub steps: Vec<Step>,
    /// What cannot be said.
    pub unknown: Vec<String>,
}

/// A transaction, and how the one that names it stands to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `reverses`, `refunds` or `corrects`.
    pub relation: String,
    pub transaction: TransactionId,
}

/// An entry and its account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedLeg {
    pub account: AccountId,
    pub code: Code,
    /// [`PartyId::NIL`] is the platform.
    pub party: PartyId,
    pub asset: String,
    /// Debits are positive.
    pub amount: Amount,
    /// Debits less credits.
    pub balance_after: Amount,
    /// Position in the account's history.
    pub number: i64,
    /// True if the balance is that of the entry before and the amount.
    pub holds: bool,
}

/// A part taken out of a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    pub hold: HoldId,
    pub account: AccountId,
    /// What the hold was for.
    pub subject: String,
    pub amount: Amount,
}

/// An amount that was computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub name: &'static str,
    /// The formula with its numbers: exact before rounding, and how it was rounded.
    pub how: String,
    pub asset: String,
    /// What it comes to, micro-units of `asset`; `None` if it cannot be computed.
    pub derived: Option<Amount>,
    /// What the entries say.
    pub booked: Amount,
}

impl Step {
    pub fn holds(&self) -> bool {
        self.derived == Some(self.booked)
    }
}

impl Explanation {
    /// True if every amount is what it should be.
    pub fn holds(&self) -> bool {
        self.legs.iter().all(|leg| leg.holds) && self.steps.iter().all(Step::holds)
    }

    /// True if it moved something in an account of this party.
    pub fn touches(&self, party: PartyId) -> bool {
        self.legs.iter().any(|leg| leg.party == party)
    }

    /// The same in plain text, line by line.
    pub fn lines(&self) -> Vec<String> {
        text::lines(self)
    }
}

/// Explains a transaction; `None` if there is none with this id.
///
/// # Errors
/// Faults of storage only: what does not hold is in the explanation.
pub fn explain(tx: &mut Tx<'_>, id: TransactionId) -> Result<Option<Explanation>> {
    let Some(mut explanation) = store::load(tx.conn, id)? else { return Ok(None) };
    let mut steps = steps::balances(&explanation.legs);
    if let Some(reference) = &explanation.refers_to
        && reference.relation == "reverses"
    {
        let original = store::legs(tx.conn, reference.transaction)?;
        steps.extend(steps::reversal(&explanation.legs, &original));
    }
    match store::settlement(tx.conn, id)? {
        Some(record) => steps.extend(steps::settlement(&explanation.legs, &record)),
        None if explanation.kind == crate::Kind::Settlement.text() => {
            explanation.unknown.push("The price and the time billed were not recorded.".to_owned());
        }
        None => {}
    }
    if let Some(record) = store::conversion(tx.conn, id)? {
        steps.extend(steps::conversion(&explanation.legs, &record));
    }
    explanation.steps = steps;
    Ok(Some(explanation))
}

/// Explains the transaction of an account's entry; `None` if it has none of this number.
///
/// # Errors
/// Faults of storage only.
pub fn explain_entry(
    tx: &mut Tx<'_>,
    account: AccountId,
    number: i64,
) -> Result<Option<Explanation>> {
    match store::transaction_of(tx.conn, account, number)? {
        Some(id) => explain(tx, id),
        None => Ok(None),
    }
}
