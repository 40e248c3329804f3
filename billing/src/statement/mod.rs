//! An owner's statement: opening balance, every lease and payout, closing balance. It is derived
//! from entries, and issued only if it agrees with them.
//!
//! # Which period an entry is in
//! A boundary is a place in an account's history: after the last entry that was posted before that
//! moment. Commands side by side can enter the history in another order than they began in, so next
//! to a boundary an entry may show a moment just outside of its period; it is in one period all the
//! same, and periods side by side chain. A statement up to a moment that has only just passed may
//! lack what is being committed.

mod csv;
mod html;
mod load;

pub use self::csv::render_csv;
pub use html::render_html;

use ::store::{AccountId, Amount, LeaseId, PartyId, Timestamp, Tx, VehicleId};
use serde::Serialize;

use crate::{Error, Result};

/// The most lines of a statement, unpaid leases included.
pub const MAX_LINES: usize = 200_000;

/// An owner's account over `from..to`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statement {
    pub owner: PartyId,
    /// `None` if the profile was erased.
    pub owner_name: Option<String>,
    pub from: Timestamp,
    pub to: Timestamp,
    /// One for each asset the owner was credited in before the period's end: cash, then credits.
    pub sections: Vec<Section>,
    /// Leases settled in the period that earned nothing, and why; in order of settlement.
    pub unpaid: Vec<UnpaidLease>,
}

/// `closing = opening + Σ lines`, and both balances are the fold of the account's entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Section {
    pub asset: String,
    /// Micro-units of `asset`, as all amounts here that say nothing else.
    pub opening: Amount,
    pub lines: Vec<Line>,
    pub closing: Amount,
}

/// An entry of the owner's account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// When it was posted.
    pub at: Timestamp,
    /// `settlement`, `payout`, ...
    pub kind: String,
    /// TypeID of the lease or payout.
    pub subject: String,
    /// Of a settlement.
    pub lease: Option<LeaseDetail>,
    /// In the section's asset; positive makes the balance grow.
    pub amount: Amount,
    /// In the section's asset, after this line.
    pub balance: Amount,
}

/// How a lease's amount came about: in cash it is `gross - fee`, in credits it is worth
/// `gross - fee + bonus`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeaseDetail {
    pub vehicle: VehicleId,
    pub region: String,
    pub class: String,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// Billed, whole.
    pub seconds: i32,
    /// What the four amounts below are in: the market's asset.
    pub asset: String,
    /// Per lane-hour.
    pub price: Amount,
    /// What the customer paid.
    pub gross: Amount,
    /// The platform's part of it.
    pub fee: Amount,
    /// What the platform added, for an owner who takes credits.
    pub bonus: Amount,
}

/// A lease that earned nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnpaidLease {
    pub lease: LeaseId,
    pub vehicle: VehicleId,
    pub region: String,
    pub class: String,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub settled_at: Option<Timestamp>,
    /// In words.
    pub reason: String,
}

/// The owner's statement of `from..to`; empty if the period ends before it begins. A party without
/// accounts has no sections.
///
/// # Errors
/// [`Error::Disagrees`] if the lines do not lead from the opening to the closing balance or the
/// balances are not the fold of the entries, [`Error::Render`] over [`MAX_LINES`].
pub fn statement(
    tx: &mut Tx<'_>,
    owner: PartyId,
    from: Timestamp,
    to: Timestamp,
) -> Result<Statement> {
    let to = to.max(from);
    let mut left = MAX_LINES;
    let mut sections = Vec::new();
    for (account, asset) in load::accounts(tx, owner, to)? {
        let section = section(tx, account, asset, (from, to), left)?;
        left -= section.lines.len();
        sections.push(section);
    }
    let unpaid = load::unpaid(tx, owner, (from, to), left)?;
    let owner_name = load::owner_name(tx, owner)?;
    Ok(Statement { owner, owner_name, from, to, sections, unpaid })
}

fn section(
    tx: &mut Tx<'_>,
    account: AccountId,
    asset: String,
    (from, to): (Timestamp, Timestamp),
    limit: usize,
) -> Result<Section> {
    let start = load::position(tx, account, from)?;
    let end = load::position(tx, account, to)?;
    let folded = load::fold(tx, account, start.number)?;
    let lines = load::lines(tx, account, &asset, (start.number, end.number), limit)?;
    check(folded, start.balance, &lines, end.balance)?;
    Ok(Section { asset, opening: start.balance, lines, closing: end.balance })
}

/// The opening balance is the fold of the entries before it, each line's balance follows from the
/// one before, and the last is the closing balance.
fn check(folded: Amount, opening: Amount, lines: &[Line], closing: Amount) -> Result<()> {
    if folded != opening {
        return Err(Error::Disagrees(format!("entries fold to {folded}, not {opening}")));
    }
    let mut balance = opening;
    for line in lines {
        let Line { amount, subject, .. } = line;
        balance = balance
            .checked_add(*amount)
            .filter(|balance| *balance == line.balance)
            .ok_or_else(|| Error::Disagrees(format!("{subject}: {balance} and {amount}")))?;
    }
    if balance != closing {
        return Err(Error::Disagrees(format!("the lines lead to {balance}, not {closing}")));
    }
    Ok(())
}

fn too_long() -> Error {
    Error::Render(format!("it has over {MAX_LINES} lines: ask for a shorter period"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(amount: i64, balance: i64) -> Line {
        Line {
            at: Timestamp(0),
            kind: "payout".into(),
            subject: "po_1".into(),
            lease: None,
            amount: Amount(amount),
            balance: Amount(balance),
        }
    }

    #[test]
    fn a_statement_that_does_not_add_up_is_not_issued() {
        let good = [line(5, 15), line(-15, 0)];
        let cases: &[(i64, i64, &[Line], i64, bool)] = &[
            (10, 10, &good, 0, true),
            (0, 0, &[], 0, true),
            (9, 10, &good, 0, false),
            (10, 10, &good, 1, false),
            (10, 10, &good[1..], 0, false),
            (10, 10, &[line(5, 16), line(-16, 0)], 0, false),
            (1, 1, &[line(i64::MAX, i64::MAX)], i64::MAX, false),
        ];
        for (folded, opening, lines, closing, holds) in cases {
            let checked = check(Amount(*folded), Amount(*opening), lines, Amount(*closing));
            assert_eq!(checked.is_ok(), *holds, "{folded} {opening} {lines:?} {closing}");
        }
    }
}
