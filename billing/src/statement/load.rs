//! What a statement is made of, as the database has it.

use std::collections::HashMap;

use ::store::schema::{
    account, attempt, entry, lease, ledger_transaction as posting, market, party_profile, vehicle,
};
use ::store::{AccountId, Amount, LeaseId, PartyId, Timestamp, TransactionId, Tx, VehicleId};
use diesel::dsl::count_star;
use diesel::prelude::*;
use ledger::Code;

use super::{LeaseDetail, Line, UnpaidLease, too_long};
use crate::{Error, Result};

/// Ids of one query.
const CHUNK: usize = 500;
/// Entries of a page of history.
const PAGE: i64 = 10_000;

pub(super) fn owner_name(tx: &mut Tx<'_>, owner: PartyId) -> Result<Option<String>> {
    let name = party_profile::table.find(owner).select(party_profile::name).first(tx.conn);
    Ok(name.optional()?)
}

/// The owner's accounts that were open before `to`, cash first, with their assets.
pub(super) fn accounts(
    tx: &mut Tx<'_>,
    owner: PartyId,
    to: Timestamp,
) -> Result<Vec<(AccountId, String)>> {
    Ok(account::table
        .filter(account::party_id.eq(owner))
        .filter(account::code.eq_any([Code::OwnerCash.text(), Code::OwnerCredits.text()]))
        .filter(account::created_at.lt(to))
        .order((account::code, account::asset))
        .select((account::id, account::asset))
        .load(tx.conn)?)
}

/// A place in an account's history: after the entry of this number, 0 is before the first. The
/// balance is the owner's: credits less debits.
pub(super) struct Position {
    pub number: i64,
    pub balance: Amount,
}

pub(super) fn position(tx: &mut Tx<'_>, account: AccountId, before: Timestamp) -> Result<Position> {
    let last: Option<(i64, Amount)> = entry::table
        .inner_join(posting::table.on(posting::id.eq(entry::transaction_id)))
        .filter(entry::account_id.eq(account))
        .filter(posting::posted_at.lt(before))
        .order(entry::number.desc())
        .select((entry::number, entry::balance_after))
        .first(tx.conn)
        .optional()?;
    let (number, balance) = last.unwrap_or_default();
    Ok(Position { number, balance: own(balance)? })
}

/// The balance after entry `upto`, from the entries alone.
pub(super) fn fold(tx: &mut Tx<'_>, account: AccountId, upto: i64) -> Result<Amount> {
    let (mut sum, mut after) = (Amount::ZERO, 0);
    while after < upto {
        let page: Vec<(i64, Amount)> = entry::table
            .filter(entry::account_id.eq(account))
            .filter(entry::number.gt(after))
            .filter(entry::number.le(upto))
            .order(entry::number)
            .limit(PAGE)
            .select((entry::number, entry::amount))
            .load(tx.conn)?;
        if page.is_empty() {
            return Err(gap(account, after));
        }
        for (number, amount) in page {
            if number != after + 1 {
                return Err(gap(account, after));
            }
            sum = sum.checked_add(amount).ok_or_else(overflow)?;
            after = number;
        }
    }
    own(sum)
}

/// Owners' accounts grow by credits, which are stored negative.
fn own(amount: Amount) -> Result<Amount> {
    amount.0.checked_neg().map(Amount).ok_or_else(overflow)
}

fn overflow() -> Error {
    Error::Disagrees("a balance is out of range".to_owned())
}

fn gap(account: AccountId, after: i64) -> Error {
    Error::Disagrees(format!("{account} has a gap after entry {after}"))
}

#[derive(Queryable)]
struct EntryRow {
    transaction: TransactionId,
    kind: String,
    subject: String,
    at: Timestamp,
    amount: Amount,
    balance: Amount,
    number: i64,
}

/// The entries numbered in `after..=upto`, with their leases.
pub(super) fn lines(
    tx: &mut Tx<'_>,
    account: AccountId,
    asset: &str,
    (after, upto): (i64, i64),
    limit: usize,
) -> Result<Vec<Line>> {
    if usize::try_from(upto.saturating_sub(after)).unwrap_or(0) > limit {
        return Err(too_long());
    }
    let rows: Vec<EntryRow> = entry::table
        .inner_join(posting::table.on(posting::id.eq(entry::transaction_id)))
        .filter(entry::account_id.eq(account))
        .filter(entry::number.gt(after))
        .filter(entry::number.le(upto))
        .order(entry::number)
        .select((
            posting::id,
            posting::kind,
            posting::subject,
            posting::posted_at,
            entry::amount,
            entry::balance_after,
            entry::number,
        ))
        .load(tx.conn)?;
    let mut lines = Vec::with_capacity(rows.len());
    for chunk in rows.chunks(CHUNK) {
        let mut leases = details(tx, chunk)?;
        for row in chunk {
            if row.number != after + 1 + i64::try_from(lines.len()).unwrap_or(i64::MAX) {
                return Err(gap(account, row.number - 1));
            }
            lines.push(line(row, leases.remove(&row.transaction), asset)?);
        }
    }
    Ok(lines)
}

fn line(row: &EntryRow, lease: Option<LeaseDetail>, asset: &str) -> Result<Line> {
    let (amount, balance) = (own(row.amount)?, own(row.balance)?);
    let cash = lease.as_ref().filter(|lease| lease.asset == asset);
    if cash.is_some_and(|lease| lease.gross - lease.fee != amount) {
        return Err(Error::Disagrees(format!("{} is not gross less fee", row.subject)));
    }
    let (at, kind, subject) = (row.at, row.kind.clone(), row.subject.clone());
    Ok(Line { at, kind, subject, lease, amount, balance })
}

type LeaseRow = (
    LeaseId,
    (VehicleId, String, String),
    (Option<Timestamp>, Option<Timestamp>),
    (Option<i32>, Amount, String),
);

/// The leases that these entries settle, by transaction.
fn details(tx: &mut Tx<'_>, rows: &[EntryRow]) -> Result<HashMap<TransactionId, LeaseDetail>> {
    let settled: Vec<(LeaseId, TransactionId)> = rows
        .iter()
        .filter(|row| row.kind == ledger::Kind::Settlement.text())
        .filter_map(|row| Some((row.subject.parse().ok()?, row.transaction)))
        .collect();
    let leases: Vec<LeaseRow> = lease::table
        .inner_join(vehicle::table.on(vehicle::id.eq(lease::vehicle_id)))
        .inner_join(market::table.on(market::id.eq(lease::market_id)))
        .filter(lease::id.eq_any(settled.iter().map(|(lease, _)| *lease)))
        .select((
            lease::id,
            (lease::vehicle_id, vehicle::region_id, vehicle::class_id),
            (lease::started_at, lease::ended_at),
            (lease::billed_s, lease::price, market::asset),
        ))
        .load(tx.conn)?;
    let mut leases: HashMap<LeaseId, LeaseRow> =
        leases.into_iter().map(|row| (row.0, row)).collect();
    let booked = booked(tx, settled.iter().map(|(_, transaction)| *transaction))?;
    let detail = |(id, transaction): (LeaseId, TransactionId)| {
        let row = leases.remove(&id).ok_or_else(|| Error::Disagrees(format!("no lease {id}")))?;
        let (_, (vehicle, region, class), (started_at, ended_at), (seconds, price, asset)) = row;
        let Booked { gross, fee, bonus } = booked.get(&transaction).copied().unwrap_or_default();
        let seconds = seconds.unwrap_or_default();
        let detail = LeaseDetail {
            vehicle,
            region,
            class,
            started_at,
            ended_at,
            seconds,
            asset,
            price,
            gross,
            fee,
            bonus,
        };
        Ok((transaction, detail))
    };
    settled.into_iter().map(detail).collect()
}

/// What a settlement booked elsewhere than with the owner.
#[derive(Clone, Copy, Default)]
struct Booked {
    gross: Amount,
    fee: Amount,
    bonus: Amount,
}

fn booked(
    tx: &mut Tx<'_>,
    ids: impl Iterator<Item = TransactionId>,
) -> Result<HashMap<TransactionId, Booked>> {
    let codes = [Code::CustomerWallet, Code::FeeIncome, Code::BonusExpense];
    let legs: Vec<(TransactionId, String, Amount)> = entry::table
        .inner_join(account::table.on(account::id.eq(entry::account_id)))
        .filter(entry::transaction_id.eq_any(ids))
        .filter(account::code.eq_any(codes.map(Code::text)))
        .select((entry::transaction_id, account::code, entry::amount))
        .load(tx.conn)?;
    let mut booked: HashMap<TransactionId, Booked> = HashMap::new();
    for (id, code, amount) in legs {
        let settlement = booked.entry(id).or_default();
        match Code::parse(&code) {
            Some(Code::CustomerWallet) => settlement.gross = amount,
            Some(Code::FeeIncome) => settlement.fee = own(amount)?,
            _ => settlement.bonus = amount,
        }
    }
    Ok(booked)
}

type UnpaidRow = (
    LeaseId,
    (VehicleId, String, String),
    (Option<Timestamp>, Option<Timestamp>, Option<Timestamp>),
    (Option<i32>, Option<String>),
);

/// The owner's leases that were settled in the period without a transaction.
pub(super) fn unpaid(
    tx: &mut Tx<'_>,
    owner: PartyId,
    (from, to): (Timestamp, Timestamp),
    limit: usize,
) -> Result<Vec<UnpaidLease>> {
    let wanted = lease::table
        .inner_join(vehicle::table.on(vehicle::id.eq(lease::vehicle_id)))
        .filter(vehicle::owner_id.eq(owner))
        .filter(lease::settled_at.ge(Some(from)))
        .filter(lease::settled_at.lt(Some(to)))
        .filter(lease::transaction_id.is_null());
    let count: i64 = wanted.select(count_star()).first(tx.conn)?;
    if usize::try_from(count).unwrap_or(usize::MAX) > limit {
        return Err(too_long());
    }
    let rows: Vec<UnpaidRow> = wanted
        .order((lease::settled_at, lease::id))
        .select((
            lease::id,
            (lease::vehicle_id, vehicle::region_id, vehicle::class_id),
            (lease::started_at, lease::ended_at, lease::settled_at),
            (lease::billed_s, lease::end_reason),
        ))
        .load(tx.conn)?;
    let mut unpaid = Vec::with_capacity(rows.len());
    for chunk in rows.chunks(CHUNK) {
        let mut attempts = attempts(tx, chunk.iter().map(|row| row.0))?;
        for (lease, (vehicle, region, class), (started_at, ended_at, settled_at), end) in chunk {
            let attempts = attempts.remove(lease).unwrap_or_default();
            unpaid.push(UnpaidLease {
                lease: *lease,
                vehicle: *vehicle,
                region: region.clone(),
                class: class.clone(),
                started_at: *started_at,
                ended_at: *ended_at,
                settled_at: *settled_at,
                reason: why(end.0.unwrap_or_default(), end.1.as_deref(), &attempts),
            });
        }
    }
    Ok(unpaid)
}

/// How an attempt ended, and why.
type Attempt = (String, String);

fn attempts(
    tx: &mut Tx<'_>,
    leases: impl Iterator<Item = LeaseId>,
) -> Result<HashMap<LeaseId, Vec<Attempt>>> {
    let rows: Vec<(LeaseId, String, String)> = attempt::table
        .filter(attempt::lease_id.eq_any(leases))
        .order((attempt::started_at, attempt::id))
        .select((attempt::lease_id, attempt::state, attempt::reason))
        .load(tx.conn)?;
    let mut attempts: HashMap<LeaseId, Vec<Attempt>> = HashMap::new();
    for (lease, state, reason) in rows {
        attempts.entry(lease).or_default().push((state, reason));
    }
    Ok(attempts)
}

/// The most characters of a reason that a car or a program gave.
const MAX_REASON: usize = 200;

/// Why a lease earned nothing, in words; each reason once.
fn why(seconds: i32, end: Option<&str>, attempts: &[Attempt]) -> String {
    if seconds > 0 {
        return "the price comes to nothing".to_owned();
    }
    let mut reasons: Vec<String> = Vec::new();
    for (state, reason) in attempts {
        let what = match state.as_str() {
            "vacated" => "the car left without a checkpoint",
            "checkpointed" => "the checkpoint was not used",
            "failed_car" => "the car failed",
            "lost" => "the car was not heard of",
            state => state,
        };
        let reason: String = reason.chars().take(MAX_REASON).collect();
        let text = if reason.is_empty() { what.to_owned() } else { format!("{what}: {reason}") };
        if !reasons.contains(&text) {
            reasons.push(text);
        }
    }
    if !reasons.is_empty() {
        return reasons.join("; ");
    }
    let end = match end {
        Some("no_work") => "no task was left to run",
        Some("not_taken") => "the car did not take the offer",
        Some("vacated") => "the car left before a task began",
        Some("evicted") => "consent was withdrawn before a task began",
        Some("cancelled") => "the customer cancelled before a task began",
        Some("lost") => "the car was not heard of",
        Some("failed") => "the car failed",
        Some("term") | None => "no task was run",
        Some(other) => other,
    };
    end.to_owned()
}

#[cfg(test)]
mod tests {
    use super::why;

    #[test]
    fn owners_read_why_a_lease_earned_nothing() {
        let attempt = |state: &str, reason: &str| (state.to_owned(), reason.to_owned());
        for (seconds, end, attempts, reason) in [
            (0, Some("not_taken"), vec![], "the car did not take the offer"),
            (0, None, vec![], "no task was run"),
            (9, Some("term"), vec![attempt("completed", "")], "the price comes to nothing"),
            (
                0,
                Some("lost"),
                vec![
                    attempt("failed_car", "out of memory"),
                    attempt("failed_car", "out of memory"),
                    attempt("lost", ""),
                ],
                "the car failed: out of memory; the car was not heard of",
            ),
        ] {
            assert_eq!(why(seconds, end, &attempts), reason);
        }
        let long = why(0, None, &[attempt("lost", &"é".repeat(1_000))]);
        assert!(long.chars().count() < 300);
    }
}
