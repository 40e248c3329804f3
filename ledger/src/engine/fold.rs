//! What a command does to the accounts it names. Pure: accounts in, new balances or a refusal out.
//!
//! A refusal leaves the accounts as they were, so that commands can be folded one after another over
//! the accounts of a whole batch.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use store::{AccountId, Amount, HoldId, Timestamp};

use crate::posting::{Leg, MAX_LEGS};
use crate::{Balance, Code, Error, HoldState, Result};

/// An account under lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub code: Code,
    pub asset: Rc<str>,
    /// Micro-units in the least amount of the asset.
    pub least: i64,
    /// Debits less credits.
    pub posted: Amount,
    pub held: Amount,
    /// Number of its last entry.
    pub entries: i64,
    /// The moment of its last entry.
    pub last_posted_at: Timestamp,
    /// True once something in it is to be written.
    pub changed: bool,
}

pub(crate) type States = HashMap<AccountId, State>;

/// An entry as it will be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Folded {
    pub account: AccountId,
    pub amount: Amount,
    pub number: i64,
    pub balance_after: Amount,
}

/// The part of a transaction that a hold pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Captured {
    pub account: AccountId,
    pub amount: Amount,
}

impl State {
    /// Posted and held in the account's own direction, if they and what is available fit.
    fn balance(&self) -> Result<Balance> {
        balance_of(self.code, self.posted, self.held)
    }
}

fn balance_of(code: Code, posted: Amount, held: Amount) -> Result<Balance> {
    let posted = code.side().own(posted).ok_or(Error::Overflow)?;
    posted.checked_sub(held).ok_or(Error::Overflow)?;
    Ok(Balance { posted, held })
}

/// What the legs are by themselves: their number, amounts, and each account once.
pub(crate) fn check_legs(legs: &[Leg]) -> Result<()> {
    if legs.is_empty() {
        return Err(Error::NoLegs);
    }
    if legs.len() > MAX_LEGS {
        return Err(Error::TooManyLegs);
    }
    if legs.iter().any(|leg| leg.amount == Amount::ZERO) {
        return Err(Error::ZeroLeg);
    }
    let twice =
        |(n, leg): (usize, &Leg)| legs[..n].iter().any(|other| other.account == leg.account);
    match legs.iter().enumerate().find(|&(n, leg)| twice((n, leg))) {
        Some((_, leg)) => Err(Error::SameAccount(leg.account)),
        None => Ok(()),
    }
}

/// The legs have accounts, and sum to zero in every asset. Names the first leg or asset that fails.
pub(crate) fn check_sums(states: &States, legs: &[Leg]) -> Result<()> {
    let mut sums = BTreeMap::<&str, i128>::new();
    for leg in legs {
        let state = states.get(&leg.account).ok_or(Error::UnknownAccount(leg.account))?;
        *sums.entry(&state.asset).or_default() += i128::from(leg.amount.0);
    }
    for leg in legs {
        check_scale(
            states.get(&leg.account).ok_or(Error::UnknownAccount(leg.account))?,
            leg.amount,
        )?;
    }
    match sums.into_iter().find(|(_, sum)| *sum != 0) {
        Some((asset, _)) => Err(Error::Unbalanced { asset: asset.to_owned() }),
        None => Ok(()),
    }
}

/// What the legs take from the account of a hold that is still open, and the hold after it.
pub(crate) fn fold_capture(
    states: &States,
    legs: &[Leg],
    id: HoldId,
    hold: &HoldState,
) -> Result<(Captured, HoldState)> {
    let taken = legs.iter().find(|leg| leg.account == hold.account).and_then(|leg| {
        let own = states.get(&leg.account)?.code.side().own(leg.amount)?;
        own.0.checked_neg().map(Amount).filter(|taken| taken.is_positive())
    });
    let needed = taken.ok_or(Error::NothingCaptured(id))?;
    if !hold.open {
        return Err(Error::HoldEnded(id));
    }
    let remaining = hold.remaining();
    if needed > remaining {
        return Err(Error::OverCapture { hold: id, remaining, needed });
    }
    let captured = hold.captured.checked_add(needed).ok_or(Error::Overflow)?;
    let after = HoldState { captured, open: needed < remaining, ..hold.clone() };
    Ok((Captured { account: hold.account, amount: needed }, after))
}

/// Applies the legs at a moment, each account at most once among them. What `captured` names comes
/// out of what its account holds back.
pub(crate) fn fold_transaction(
    states: &mut States,
    legs: &[Leg],
    captured: Option<Captured>,
    at: Timestamp,
) -> Result<Vec<Folded>> {
    let mut entries = Vec::with_capacity(legs.len());
    for leg in legs {
        let state = states.get(&leg.account).ok_or(Error::UnknownAccount(leg.account))?;
        entries.push(Folded {
            account: leg.account,
            amount: leg.amount,
            number: state.entries.checked_add(1).ok_or(Error::Overflow)?,
            balance_after: state.posted.checked_add(leg.amount).ok_or(Error::Overflow)?,
        });
        let held = held_after(state, leg, captured)?;
        balance_of(state.code, entries[entries.len() - 1].balance_after, held)?;
    }
    for (leg, entry) in legs.iter().zip(&entries) {
        let state = states.get(&leg.account).ok_or(Error::UnknownAccount(leg.account))?;
        let before = state.balance()?.available();
        let held = held_after(state, leg, captured)?;
        let after = balance_of(state.code, entry.balance_after, held)?.available();
        let taken = before.checked_sub(after).ok_or(Error::Overflow)?;
        check_funds(leg.account, state.code, before, taken)?;
    }
    for (leg, entry) in legs.iter().zip(&entries) {
        let Some(state) = states.get_mut(&leg.account) else { continue };
        state.held = held_after(state, leg, captured)?;
        state.posted = entry.balance_after;
        state.entries = entry.number;
        state.last_posted_at = at;
        state.changed = true;
    }
    Ok(entries)
}

fn held_after(state: &State, leg: &Leg, captured: Option<Captured>) -> Result<Amount> {
    let from_hold = captured.filter(|captured| captured.account == leg.account);
    let from_hold = from_hold.map_or(Amount::ZERO, |captured| captured.amount);
    state.held.checked_sub(from_hold).ok_or(Error::Overflow)
}

/// Keeps an amount, over zero, of an account back.
pub(crate) fn fold_hold(states: &mut States, account: AccountId, amount: Amount) -> Result<()> {
    let state = states.get_mut(&account).ok_or(Error::UnknownAccount(account))?;
    check_scale(state, amount)?;
    let held = state.held.checked_add(amount).ok_or(Error::Overflow)?;
    balance_of(state.code, state.posted, held)?;
    check_funds(account, state.code, state.balance()?.available(), amount)?;
    (state.held, state.changed) = (held, true);
    Ok(())
}

/// Gives all that is left of an open hold back; answers that and the hold after it.
pub(crate) fn fold_release(states: &mut States, hold: &HoldState) -> Result<(Amount, HoldState)> {
    let state = states.get_mut(&hold.account).ok_or(Error::UnknownAccount(hold.account))?;
    let left = hold.remaining();
    let held = state.held.checked_sub(left).ok_or(Error::Overflow)?;
    let released = hold.released.checked_add(left).ok_or(Error::Overflow)?;
    (state.held, state.changed) = (held, true);
    Ok((left, HoldState { released, open: false, ..hold.clone() }))
}

/// An amount is a multiple of the least there is of its asset.
fn check_scale(state: &State, amount: Amount) -> Result<()> {
    match amount.0 % state.least {
        0 => Ok(()),
        _ => Err(Error::TooFine { asset: state.asset.to_string(), least: Amount(state.least) }),
    }
}

/// Nothing is taken, or there is enough, or the account may be overdrawn.
fn check_funds(account: AccountId, code: Code, available: Amount, needed: Amount) -> Result<()> {
    if !needed.is_positive() || needed <= available || code.may_overdraw() {
        return Ok(());
    }
    Err(Error::InsufficientFunds { account, available, needed })
}

#[cfg(test)]
#[path = "fold_tests.rs"]
mod tests;
