//! Undoing: a transaction whole, or a part of it. Entries are never changed: what is wrong is
//! posted again the other way, with a reference.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use diesel::prelude::*;
use store::schema::{entry, ledger_transaction};
use store::{AccountId, Amount, AnyConnection, Rounding, Timestamp, TransactionId, Tx, mul_div};

use crate::command::{Body, Command, Draft, Lines};
use crate::engine::fold::{State, States};
use crate::fingerprint::Encoder;
use crate::posting::{Kind, Late, Leg, Relation};
use crate::{Code, Error, Posted, Result, engine};

/// A transaction to undo whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reversal {
    /// Idempotency key.
    pub key: String,
    pub of: TransactionId,
    /// Why; kept with the transaction under the name `reason`.
    pub reason: String,
    /// When it counts; `None` is the moment of posting.
    pub effective_at: Option<Timestamp>,
}

/// A part of a transaction to give back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// Idempotency key.
    pub key: String,
    pub of: TransactionId,
    /// Who gets it back: an account of the transaction.
    pub account: AccountId,
    /// How much, over zero, in micro-units of the account's asset. All refunds of a transaction
    /// together give back at most what it moved there.
    pub amount: Amount,
    /// Why; kept with the transaction under the name `reason`.
    pub reason: String,
}

/// Posts all legs of a transaction the other way. A transaction is reversed once, and not after a
/// part of it was given back.
///
/// # Errors
/// [`Error::UnknownTransaction`], [`Error::AlreadyReversed`], [`Error::AlreadyRefunded`], and those
/// of [`crate::post`]: what was spent since cannot be taken back.
pub fn reverse(tx: &mut Tx<'_>, reversal: &Reversal) -> Result<Posted> {
    engine::run_one(tx, &Command::from(reversal.clone()))?.posted()
}

/// Gives a part of a transaction back: the account named gets exactly the amount, every other leg
/// its part of it, rounded half to even over all refunds so far, and per asset one leg takes what
/// rounding leaves: the platform's fee if there is one, else the last. Refunds that add up to the
/// whole undo every leg exactly.
///
/// # Errors
/// [`Error::NotPositive`], [`Error::UnknownTransaction`], [`Error::UnknownAccount`] for one that the
/// transaction did not touch, [`Error::AlreadyReversed`], [`Error::OverRefund`], and those of [`crate::post`].
pub fn refund(tx: &mut Tx<'_>, refund: &Refund) -> Result<Posted> {
    engine::run_one(tx, &Command::from(refund.clone()))?.posted()
}

impl From<Reversal> for Command {
    fn from(reversal: Reversal) -> Self {
        let Reversal { key, of, reason, effective_at } = reversal;
        let print = Encoder::new("reverse").id(of).text(&reason).moment(effective_at).end();
        let lines = Lines::Reversal;
        draft(print, key, Kind::Reversal, (Relation::Reverses, of), lines, reason, effective_at)
    }
}

impl From<Refund> for Command {
    fn from(refund: Refund) -> Self {
        let Refund { key, of, account, amount, reason } = refund;
        let print = Encoder::new("refund").id(of).id(account).amount(amount).text(&reason).end();
        let lines = Lines::Refund { account, amount };
        draft(print, key, Kind::Refund, (Relation::Refunds, of), lines, reason, None)
    }
}

fn draft(
    fingerprint: crate::fingerprint::Fingerprint,
    key: String,
    kind: Kind,
    relation: (Relation, TransactionId),
    lines: Lines,
    reason: String,
    effective_at: Option<Timestamp>,
) -> Command {
    let body = Body::Post(Draft {
        key,
        kind,
        subject: Some(relation.1.to_string()),
        effective_at,
        hold: None,
        lines,
        relation: Some(relation),
        metadata: vec![("reason".to_owned(), reason)],
        late: Late::NextOpen,
    });
    Command { fingerprint, body }
}

/// A transaction that others refer to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Original {
    pub legs: Vec<Leg>,
    pub reversed: bool,
    /// What refunds moved so far, by account.
    pub given_back: BTreeMap<AccountId, Amount>,
}

impl Original {
    pub(crate) fn is_refunded(&self) -> bool {
        !self.given_back.is_empty()
    }

    /// Takes another transaction that refers to it into account.
    pub(crate) fn relate(&mut self, relation: Relation, legs: &[Leg]) {
        match relation {
            Relation::Corrects => {}
            Relation::Reverses => self.reversed = true,
            Relation::Refunds => {
                for leg in legs {
                    let sum = self.given_back.entry(leg.account).or_default();
                    // Each is at most the original's leg.
                    *sum = Amount(sum.0.saturating_add(leg.amount.0));
                }
            }
        }
    }
}

/// All legs, the other way.
pub(crate) fn plan_reversal(original: &Original) -> Result<Vec<Leg>> {
    let back = |leg: &Leg| {
        let amount = leg.amount.0.checked_neg().map(Amount).ok_or(Error::Overflow)?;
        Ok(Leg { account: leg.account, amount })
    };
    original.legs.iter().map(back).collect()
}

/// The legs of a refund after those before it.
pub(crate) fn plan_refund(
    of: TransactionId,
    original: &Original,
    account: AccountId,
    amount: Amount,
    states: &States,
) -> Result<Vec<Leg>> {
    if !amount.is_positive() {
        return Err(Error::NotPositive);
    }
    let moved = original.legs.iter().find(|leg| leg.account == account);
    let moved = moved.ok_or(Error::UnknownAccount(account))?.amount;
    if original.reversed {
        return Err(Error::AlreadyReversed(of));
    }
    let given = original.given_back.get(&account).copied().unwrap_or_default();
    let whole = moved.0.checked_abs().ok_or(Error::Overflow)?;
    let before = given.0.checked_abs().ok_or(Error::Overflow)?;
    let remaining = Amount(whole - before);
    if amount > remaining {
        return Err(Error::OverRefund { of, remaining, needed: amount });
    }
    let total = before + amount.0;
    let mut after = Vec::with_capacity(original.legs.len());
    for leg in &original.legs {
        let state = states.get(&leg.account).ok_or(Error::UnknownAccount(leg.account))?;
        let back = match leg.account == account {
            true => mul_div(leg.amount.0, total, whole, Rounding::HalfEven),
            false => part(leg.amount.0, total, whole, state.least),
        };
        after.push((leg.account, state, back.and_then(i64::checked_neg).ok_or(Error::Overflow)?));
    }
    balance_assets(&mut after, account)?;
    let leg = |(id, _, back): &(AccountId, &State, i64)| {
        let before = original.given_back.get(id).copied().unwrap_or_default();
        let amount = back.checked_sub(before.0).map(Amount).ok_or(Error::Overflow)?;
        Ok(Leg { account: *id, amount })
    };
    let legs: Result<Vec<Leg>> = after.iter().map(leg).collect();
    Ok(legs?.into_iter().filter(|leg| leg.amount != Amount::ZERO).collect())
}

/// A leg's part of what is given back, in multiples of its asset's least amount.
fn part(leg: i64, total: i64, whole: i64, least: i64) -> Option<i64> {
    mul_div(leg / least, total, whole, Rounding::HalfEven)?.checked_mul(least)
}

/// Gives what rounding leaves in each asset to one leg that is not the one asked for.
fn balance_assets(after: &mut [(AccountId, &State, i64)], account: AccountId) -> Result<()> {
    let assets: BTreeSet<Rc<str>> = after.iter().map(|row| row.1.asset.clone()).collect();
    for asset in assets {
        let own = || after.iter().enumerate().filter(|(_, row)| row.1.asset == asset);
        let sum: i128 = own().map(|(_, row)| i128::from(row.2)).sum();
        let fee = own().find(|(_, row)| row.1.code == Code::FeeIncome && row.0 != account);
        let taker = fee.or_else(|| own().rfind(|(_, row)| row.0 != account));
        let Some((taker, _)) = taker else { continue };
        let rest = i64::try_from(sum).ok().and_then(|sum| after[taker].2.checked_sub(sum));
        after[taker].2 = rest.ok_or(Error::Overflow)?;
    }
    Ok(())
}

/// A transaction's legs, by account.
pub(crate) fn load_legs(conn: &mut AnyConnection, id: TransactionId) -> Result<Vec<Leg>> {
    let rows: Vec<(AccountId, Amount)> = entry::table
        .filter(entry::transaction_id.eq(id))
        .order(entry::line)
        .select((entry::account_id, entry::amount))
        .load(conn)?;
    Ok(rows.into_iter().map(|(account, amount)| Leg { account, amount }).collect())
}

/// A transaction without what refers to it; `None` if there is no such transaction.
pub(crate) fn load_original(
    conn: &mut AnyConnection,
    id: TransactionId,
) -> Result<Option<Original>> {
    let legs = load_legs(conn, id)?;
    Ok((!legs.is_empty()).then(|| Original { legs, ..Original::default() }))
}

/// What refers to it by now. Whoever posts a reference has the balances of its accounts.
pub(crate) fn load_relations(
    conn: &mut AnyConnection,
    of: TransactionId,
    original: &mut Original,
) -> Result<()> {
    let rows: Vec<(TransactionId, Option<String>)> = ledger_transaction::table
        .filter(ledger_transaction::refers_to.eq(of))
        .select((ledger_transaction::id, ledger_transaction::relation))
        .load(conn)?;
    for (id, relation) in rows {
        let relation = relation.as_deref().and_then(Relation::parse);
        let relation = relation.ok_or_else(|| Error::corrupt("a reference of no kind"))?;
        let legs = load_legs(conn, id)?;
        original.relate(relation, &legs);
    }
    Ok(())
}
