//! Accounts against their entries and open holds.

use std::collections::BTreeMap;

use ::store::{AccountId, Amount, AnyConnection};

use super::store::{AccountRow, HistoryRow, OpenHoldRow};
use super::{CheckReport, Sum, store};
use crate::pages::Pages;
use crate::{Code, Result};

pub(super) fn check(conn: &mut AnyConnection, report: &mut CheckReport) -> Result<()> {
    let mut accounts = store::accounts();
    let mut history = store::history();
    let mut holds = store::open_holds();
    let mut totals = BTreeMap::<String, i128>::new();
    while let Some(row) = accounts.next(conn)? {
        report.accounts += 1;
        skip_strays(conn, report, &mut history, &mut holds, Some(row.id))?;
        let fold = fold_history(conn, report, &mut history, row.id)?;
        let held = sum_holds(conn, &mut holds, row.id)?;
        compare_account(report, &row, &fold, held);
        let posted = row.balance.map_or(0, |(posted, ..)| posted.0);
        *totals.entry(row.asset).or_default() += i128::from(posted);
    }
    skip_strays(conn, report, &mut history, &mut holds, None)?;
    for id in store::stray_balances(conn)? {
        report.list("balance.account_id", &id, &"a balance", &"no account");
    }
    for (asset, total) in totals {
        report.compare("trial_balance", &asset, Sum(total), Sum(0));
        let in_range = total.clamp(i64::MIN.into(), i64::MAX.into());
        report.trial_balance.insert(asset, Amount(i64::try_from(in_range).unwrap_or(0)));
    }
    Ok(())
}

/// The fold of an account's entries.
#[derive(Default)]
struct Fold {
    posted: i128,
    entries: i64,
}

/// Lists the first wrong number and the first wrong running balance: those after it follow.
fn fold_history(
    conn: &mut AnyConnection,
    report: &mut CheckReport,
    history: &mut Pages<HistoryRow, (AccountId, i64)>,
    id: AccountId,
) -> Result<Fold> {
    let mut fold = Fold::default();
    let (mut wrong_number, mut wrong_balance) = (false, false);
    while let Some(entry) = history.next_if(conn, |entry| entry.account == id)? {
        report.entries += 1;
        fold.posted += i128::from(entry.amount.0);
        fold.entries += 1;
        if !wrong_number {
            wrong_number = report.compare("entry.number", &id, entry.number, fold.entries);
        }
        if !wrong_balance {
            let stored = Sum(entry.balance_after.0.into());
            wrong_balance = report.compare("entry.balance_after", &id, stored, Sum(fold.posted));
        }
    }
    Ok(fold)
}

fn sum_holds(
    conn: &mut AnyConnection,
    holds: &mut Pages<OpenHoldRow, (AccountId, ::store::HoldId)>,
    id: AccountId,
) -> Result<i128> {
    let mut held = 0;
    while let Some(hold) = holds.next_if(conn, |hold| hold.account == id)? {
        let (amount, captured, released) = hold.amounts;
        held += i128::from(amount.0) - i128::from(captured.0) - i128::from(released.0);
    }
    Ok(held)
}

/// Pure but for the list.
fn compare_account(report: &mut CheckReport, row: &AccountRow, fold: &Fold, held: i128) {
    let id = &row.id;
    match row.balance {
        Some((posted, stored_held, entries)) => {
            report.compare("balance.posted", id, Sum(posted.0.into()), Sum(fold.posted));
            report.compare("balance.held", id, Sum(stored_held.0.into()), Sum(held));
            report.compare("balance.entries", id, entries, fold.entries);
        }
        None => report.list("balance", id, &"none", &Sum(fold.posted)),
    }
    let Some(code) = Code::parse(&row.code) else {
        report.list("account.code", id, &row.code, &"a code of the chart");
        return;
    };
    report.compare("account.side", id, row.side.as_str(), code.side().text());
    report.compare("account.may_overdraw", id, row.may_overdraw, code.may_overdraw());
    let own = match code.side() {
        crate::Side::Debit => fold.posted,
        crate::Side::Credit => -fold.posted,
    };
    if !code.may_overdraw() && own < held {
        report.list("balance.available", id, &Sum(own - held), &"at least 0");
    }
}

/// Lists entries and open holds of accounts that are not there, up to the account `before`.
fn skip_strays(
    conn: &mut AnyConnection,
    report: &mut CheckReport,
    history: &mut Pages<HistoryRow, (AccountId, i64)>,
    holds: &mut Pages<OpenHoldRow, (AccountId, ::store::HoldId)>,
    before: Option<AccountId>,
) -> Result<()> {
    let stray = |id: AccountId| before.is_none_or(|before| id < before);
    while let Some(entry) = history.next_if(conn, |entry| stray(entry.account))? {
        report.entries += 1;
        report.list("entry.account_id", &entry.account, &"an entry", &"no account");
    }
    while let Some(hold) = holds.next_if(conn, |hold| stray(hold.account))? {
        report.list("hold.account_id", &hold.id, &hold.account, &"no account");
    }
    Ok(())
}
