//! What a command does to the accounts it names. Pure: accounts in, new balances or a refusal out.
//!
//! A refusal leaves the accounts as they were, so that commands can be folded one after another over
//! the accounts of a whole batch.

use std::collections::BTreeMap;

use store::{AccountId, Amount, HoldId};

use super::{Leg, MAX_LEGS};
use crate::{Balance, Code, Error, HoldState, Result};

/// What never changes about an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub code: Code,
    pub asset: String,
}

/// An account under lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub code: Code,
    /// Debits less credits.
    pub posted: Amount,
    pub held: Amount,
    /// Number of its last entry.
    pub entries: i64,
}

pub(crate) type States = BTreeMap<AccountId, State>;

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
        let posted = self.code.side().own(self.posted).ok_or(Error::Overflow)?;
        posted.checked_sub(self.held).ok_or(Error::Overflow)?;
        Ok(Balance { posted, held: self.held })
    }

    fn with_entry(&self, amount: Amount, from_hold: Amount) -> Result<Self> {
        Ok(Self {
            code: self.code,
            posted: self.posted.checked_add(amount).ok_or(Error::Overflow)?,
            held: self.held.checked_sub(from_hold).ok_or(Error::Overflow)?,
            entries: self.entries.checked_add(1).ok_or(Error::Overflow)?,
        })
    }
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
    let mut accounts: Vec<_> = legs.iter().map(|leg| leg.account).collect();
    accounts.sort_unstable();
    match accounts.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Error::SameAccount(pair[0])),
        None => Ok(()),
    }
}

/// The legs have accounts, and sum to zero in every asset. Names the first leg or asset that fails.
pub(crate) fn check_sums(accounts: &BTreeMap<AccountId, Account>, legs: &[Leg]) -> Result<()> {
    let mut sums = BTreeMap::<&str, i128>::new();
    for leg in legs {
        let account = accounts.get(&leg.account).ok_or(Error::UnknownAccount(leg.account))?;
        *sums.entry(&account.asset).or_default() += i128::from(leg.amount.0);
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

/// Applies the legs, each account at most once among them. What `captured` names comes out of what
/// its account holds back.
pub(crate) fn fold_transaction(
    states: &mut States,
    legs: &[Leg],
    captured: Option<Captured>,
) -> Result<Vec<Folded>> {
    let mut after = Vec::with_capacity(legs.len());
    for leg in legs {
        let before = states.get(&leg.account).ok_or(Error::UnknownAccount(leg.account))?;
        let from_hold = captured.filter(|captured| captured.account == leg.account);
        let from_hold = from_hold.map_or(Amount::ZERO, |captured| captured.amount);
        let next = before.with_entry(leg.amount, from_hold)?;
        after.push((leg, before.balance()?.available(), next.balance()?.available(), next));
    }
    for (leg, before, available, next) in &after {
        let taken = before.checked_sub(*available).ok_or(Error::Overflow)?;
        check_funds(leg.account, next.code, *before, taken)?;
    }
    let entry = |(leg, _, _, next): (&Leg, Amount, Amount, State)| {
        let (number, balance_after) = (next.entries, next.posted);
        states.insert(leg.account, next);
        Folded { account: leg.account, amount: leg.amount, number, balance_after }
    };
    Ok(after.into_iter().map(entry).collect())
}

/// Keeps an amount, over zero, of an account back.
pub(crate) fn fold_hold(states: &mut States, account: AccountId, amount: Amount) -> Result<()> {
    let state = states.get_mut(&account).ok_or(Error::UnknownAccount(account))?;
    let held = state.held.checked_add(amount).ok_or(Error::Overflow)?;
    let next = State { held, ..state.clone() };
    next.balance()?;
    check_funds(account, state.code, state.balance()?.available(), amount)?;
    *state = next;
    Ok(())
}

/// Gives all that is left of an open hold back; answers that and the hold after it.
pub(crate) fn fold_release(states: &mut States, hold: &HoldState) -> Result<(Amount, HoldState)> {
    let state = states.get_mut(&hold.account).ok_or(Error::UnknownAccount(hold.account))?;
    let left = hold.remaining();
    state.held = state.held.checked_sub(left).ok_or(Error::Overflow)?;
    let released = hold.released.checked_add(left).ok_or(Error::Overflow)?;
    Ok((left, HoldState { released, open: false, ..hold.clone() }))
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
