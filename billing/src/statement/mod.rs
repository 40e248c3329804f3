//! An owner's statement: opening balance, every lease and payout, closing balance. It is derived
//! from entries, and issued only if it agrees with them.

mod csv;
mod html;

pub use self::csv::render_csv;
pub use html::render_html;

use ::store::schema::{lease, vehicle};
use ::store::{AccountId, Amount, LeaseId, PartyId, Rounding, Timestamp, Tx, VehicleId, mul_div};
use diesel::prelude::*;
use ledger::Code;
use ledger::report::{EntryLine, balance_at, entries};
use serde::Serialize;

use crate::{Error, Result};

/// An owner's account over `from..to`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statement {
    pub owner: PartyId,
    pub from: Timestamp,
    pub to: Timestamp,
    /// One for each asset the owner was ever credited in.
    pub sections: Vec<Section>,
    /// Leases of the period that earned nothing, and why.
    pub unpaid: Vec<UnpaidLease>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Section {
    pub asset: String,
    pub opening: Amount,
    pub lines: Vec<Line>,
    pub closing: Amount,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    pub at: Timestamp,
    /// `settlement`, `payout`, ...
    pub kind: String,
    /// TypeID of the lease or payout.
    pub subject: String,
    /// Of a lease.
    pub lease: Option<LeaseDetail>,
    /// In the section's asset; positive makes the balance grow.
    pub amount: Amount,
    pub balance: Amount,
}

/// How a lease's amount came about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeaseDetail {
    pub vehicle: VehicleId,
    pub region: String,
    pub class: String,
    pub seconds: i32,
    /// Per lane-hour.
    pub price: Amount,
    /// What the customer paid, and the platform's part of it, in the market's asset.
    pub gross: Amount,
    pub fee: Amount,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnpaidLease {
    pub lease: LeaseId,
    pub vehicle: VehicleId,
    pub ended_at: Option<Timestamp>,
    pub reason: String,
}

/// Entries of a page.
const PAGE: usize = 1_000;

/// The owner's statement of `from..to`.
///
/// # Errors
/// [`Error::Disagrees`] if the lines do not lead from the opening to the closing balance.
pub fn statement(
    tx: &mut Tx<'_>,
    owner: PartyId,
    from: Timestamp,
    to: Timestamp,
) -> Result<Statement> {
    let mut sections = Vec::new();
    for (code, asset) in
        [(Code::OwnerCash, "USD"), (Code::OwnerCash, "EUR"), (Code::OwnerCredits, "CREDIT")]
    {
        if let Some(account) = ledger::find_account(tx, code, owner, asset)? {
            sections.push(section(tx, account, asset, from, to)?);
        }
    }
    let unpaid = load_unpaid(tx, owner, from, to)?;
    Ok(Statement { owner, from, to, sections, unpaid })
}

fn section(
    tx: &mut Tx<'_>,
    account: AccountId,
    asset: &str,
    from: Timestamp,
    to: Timestamp,
) -> Result<Section> {
    let opening = balance_at(tx, account, from)?;
    let mut lines = Vec::new();
    let mut after = None;
    loop {
        let page = entries(tx, account, from, to, after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = Some(last.number);
        for entry in page {
            lines.push(line(tx, entry)?);
        }
    }
    let closing = balance_at(tx, account, to)?;
    check(opening, &lines, closing)?;
    Ok(Section { asset: asset.to_owned(), opening, lines, closing })
}

/// Each line's balance follows from the one before, and the last is the closing balance.
fn check(opening: Amount, lines: &[Line], closing: Amount) -> Result<()> {
    let mut balance = opening;
    for line in lines {
        balance = balance + line.amount;
        if balance != line.balance {
            return Err(Error::Disagrees(format!("{} leads to {balance}", line.subject)));
        }
    }
    if balance != closing {
        return Err(Error::Disagrees(format!("the lines lead to {balance}, not {closing}")));
    }
    Ok(())
}

fn line(tx: &mut Tx<'_>, entry: EntryLine) -> Result<Line> {
    let lease = match entry.subject.parse::<LeaseId>() {
        Ok(id) => Some(load_detail(tx, id)?),
        Err(_) => None,
    };
    Ok(Line {
        at: entry.posted_at,
        kind: entry.kind,
        subject: entry.subject,
        lease,
        amount: entry.amount,
        balance: entry.balance_after,
    })
}

fn load_detail(tx: &mut Tx<'_>, id: LeaseId) -> Result<LeaseDetail> {
    type Row = (VehicleId, String, String, Option<i32>, Amount, Option<Amount>, i32);
    let (vehicle, region, class, seconds, price, gross, fee_ppm): Row = lease::table
        .inner_join(vehicle::table.on(vehicle::id.eq(lease::vehicle_id)))
        .filter(lease::id.eq(id))
        .select((
            lease::vehicle_id,
            vehicle::region_id,
            vehicle::class_id,
            lease::billed_s,
            lease::price,
            lease::amount,
            lease::fee_ppm,
        ))
        .first(tx.conn)?;
    let gross = gross.unwrap_or_default();
    // The owner's share is rounded up, the fee takes what is left: as the settlement did.
    let share = mul_div(gross.0, 1_000_000 - i64::from(fee_ppm), 1_000_000, Rounding::Up);
    let fee = gross - share.map(Amount).ok_or_else(|| Error::Disagrees(format!("fee of {id}")))?;
    let seconds = seconds.unwrap_or_default();
    Ok(LeaseDetail { vehicle, region, class, seconds, price, gross, fee })
}

fn load_unpaid(
    tx: &mut Tx<'_>,
    owner: PartyId,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<UnpaidLease>> {
    let rows: Vec<(LeaseId, VehicleId, Option<Timestamp>, Option<String>)> = lease::table
        .inner_join(vehicle::table.on(vehicle::id.eq(lease::vehicle_id)))
        .filter(vehicle::owner_id.eq(owner))
        .filter(lease::settled_at.ge(Some(from)))
        .filter(lease::settled_at.lt(Some(to)))
        .filter(lease::transaction_id.is_null())
        .order(lease::id)
        .select((lease::id, lease::vehicle_id, lease::ended_at, lease::end_reason))
        .load(tx.conn)?;
    let unpaid = |(lease, vehicle, ended_at, reason): (_, _, _, Option<String>)| UnpaidLease {
        lease,
        vehicle,
        ended_at,
        reason: reason.unwrap_or_default(),
    };
    Ok(rows.into_iter().map(unpaid).collect())
}
