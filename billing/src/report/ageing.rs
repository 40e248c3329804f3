//! How old what an account has is: what came last is what is left, so a balance is made of its
//! newest credits.

use ::store::schema::{entry, ledger_transaction as posting};
use ::store::{Amount, Day, MultiBackend, Timestamp, Tx};
use diesel::prelude::*;
use ledger::report::{AccountBalance, By, each_balance};

use super::error::overflow;
use super::{Error, Question, Result};

/// The parts of a balance by age, from the youngest, each up to a limit in days and the last beyond
/// all of them.
pub(super) type Ages<const N: usize> = [Amount; N];

/// Accounts that owe something as of the question's day, in order of their ids, with the ages of it.
/// The accounts that `counts` chooses are credit-normal.
pub(super) fn each_aged<const N: usize>(
    tx: &mut Tx<'_>,
    question: &Question,
    limits: [i32; N],
    counts: impl Fn(&AccountBalance) -> bool,
) -> Result<Vec<(AccountBalance, Ages<N>)>> {
    let mut accounts = Vec::new();
    each_balance(tx, question.span.after(), |account| {
        if account.balance.posted != Amount::ZERO && counts(&account) {
            accounts.push(account);
        }
        Ok(())
    })?;
    accounts
        .into_iter()
        .map(|account| {
            let ages = ages(tx, question, limits, &account)?;
            Ok((account, ages))
        })
        .collect()
}

/// Entries of a page.
const PAGE: i64 = 500;

fn ages<const N: usize>(
    tx: &mut Tx<'_>,
    question: &Question,
    limits: [i32; N],
    account: &AccountBalance,
) -> Result<Ages<N>> {
    let today = question.span.to.ok_or_else(|| Error::Question("name a day".to_owned()))?;
    let (mut ages, mut left) = ([Amount::ZERO; N], account.balance.posted);
    let mut below = i64::MAX;
    while left.is_positive() {
        let page = credits(tx, question, account, below)?;
        let Some(oldest) = page.last() else { break };
        below = oldest.0;
        for (_, credit, day) in page {
            let part = left.min(credit);
            let age = today.0.saturating_sub(day.0);
            let bucket = limits.iter().position(|limit| age <= *limit).unwrap_or(N - 1);
            ages[bucket] = ages[bucket].checked_add(part).ok_or_else(overflow)?;
            left = left - part;
        }
    }
    match left {
        // Owed to us: it has no age.
        left if left <= Amount::ZERO => Ok(ages),
        left => Err(Error::Disagrees(format!("{left} of {} came from nowhere", account.account))),
    }
}

/// Credits of an account that count up to the question's day, newest first: number, amount, day.
fn credits(
    tx: &mut Tx<'_>,
    question: &Question,
    account: &AccountBalance,
    below: i64,
) -> Result<Vec<(i64, Amount, Day)>> {
    let mut query = entry::table
        .inner_join(posting::table.on(posting::id.eq(entry::transaction_id)))
        .filter(entry::account_id.eq(account.account))
        .filter(entry::number.lt(below))
        .filter(entry::amount.lt(Amount::ZERO))
        .into_boxed::<MultiBackend>();
    if let Some(day) = question.span.to {
        let end = day.next().start();
        query = match question.span.by {
            By::Booked => query.filter(posting::booked_on.le(day)),
            By::Posted => query.filter(posting::posted_at.lt(end)),
            By::Effective => query.filter(posting::effective_at.lt(end)),
        };
    }
    type Row = (i64, Amount, Day, Timestamp, Timestamp);
    let rows: Vec<Row> = query
        .order(entry::number.desc())
        .limit(PAGE)
        .select((
            entry::number,
            entry::amount,
            posting::booked_on,
            posting::posted_at,
            posting::effective_at,
        ))
        .load(tx.conn)?;
    let credit = |(number, amount, booked_on, posted_at, effective_at): Row| {
        let day = match question.span.by {
            By::Booked => booked_on,
            By::Posted => Day::of(posted_at),
            By::Effective => Day::of(effective_at),
        };
        Ok((number, amount.0.checked_neg().map(Amount).ok_or_else(overflow)?, day))
    };
    rows.into_iter().map(credit).collect()
}
