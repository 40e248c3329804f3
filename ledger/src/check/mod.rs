//! Proves the book: everything that can be derived is derived from the entries again.

mod holds;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;

use diesel::prelude::*;
use store::schema::entry;
use store::{AccountId, Amount, Tx};

use crate::account::store::parse_code;
use crate::export::each_transaction;
use crate::report::account_page;
use crate::{Error, Result};

/// What was read and what does not agree.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CheckReport {
    pub accounts: u64,
    pub transactions: u64,
    pub entries: u64,
    pub holds: u64,
    /// Empty if the book is right. At most [`MAX_DIFFERENCES`] are listed.
    pub differences: Vec<Difference>,
    /// Debits less credits over all accounts, by asset: zero if the book is right.
    pub trial_balance: BTreeMap<String, Amount>,
}

/// The check stops listing differences here.
pub const MAX_DIFFERENCES: usize = 1_000;

/// A stored value that is not what the entries and hold events say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What is compared, for instance `balance.posted`.
    pub what: &'static str,
    /// TypeID of the account, transaction or hold, or an asset's code.
    pub id: String,
    pub stored: String,
    pub derived: String,
}

impl CheckReport {
    /// True if the book is right.
    pub fn is_clean(&self) -> bool {
        self.differences.is_empty()
    }
}

/// Checks the whole book as of the transaction's snapshot. Call it in [`store::Store::read`]: on
/// PostgreSQL a write transaction sees others' commits between its pages.
///
/// # Errors
/// Faults of storage only: what is wrong with the book is in the report.
pub fn check(tx: &mut Tx<'_>) -> Result<CheckReport> {
    let mut report = CheckReport::default();
    check_transactions(tx, &mut report)?;
    let held = holds::check_holds(tx, &mut report)?;
    check_accounts(tx, &mut report, &held)?;
    let totals: Vec<_> = report.trial_balance.iter().map(|(a, t)| (a.clone(), *t)).collect();
    for (asset, total) in totals {
        report.compare("trial balance", asset, total, Amount::ZERO);
    }
    Ok(report)
}

impl CheckReport {
    /// Notes a difference, if there is one.
    fn compare<T: PartialEq + Display>(
        &mut self,
        what: &'static str,
        id: impl Display,
        stored: T,
        derived: T,
    ) {
        if stored != derived && self.differences.len() < MAX_DIFFERENCES {
            self.differences.push(Difference {
                what,
                id: id.to_string(),
                stored: stored.to_string(),
                derived: derived.to_string(),
            });
        }
    }
}

/// Every transaction has legs and balances per asset; the sums make the trial balance.
fn check_transactions(tx: &mut Tx<'_>, report: &mut CheckReport) -> Result<()> {
    each_transaction(tx, |transaction| {
        report.transactions += 1;
        let mut sums: BTreeMap<&str, i128> = BTreeMap::new();
        for entry in &transaction.entries {
            report.entries += 1;
            *sums.entry(&entry.asset).or_default() += i128::from(entry.amount.0);
        }
        report.compare("transaction.legs", transaction.id, transaction.entries.is_empty(), false);
        for (asset, sum) in sums {
            report.compare("transaction.sum", transaction.id, sum, 0);
            let total = report.trial_balance.entry(asset.to_owned()).or_default();
            let sum = i64::try_from(sum).map_err(|_| Error::Overflow)?;
            *total = total.checked_add(Amount(sum)).ok_or(Error::Overflow)?;
        }
        Ok(())
    })
}

/// Every stored balance is the fold of its account's entries, which are numbered without gaps, and
/// keeps back what its open holds have left.
fn check_accounts(
    tx: &mut Tx<'_>,
    report: &mut CheckReport,
    held: &HashMap<AccountId, Amount>,
) -> Result<()> {
    let mut after = AccountId::NIL;
    let mut seen = 0;
    loop {
        let page = account_page(tx, after)?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for row in page {
            report.accounts += 1;
            let (sum, count) = fold_entries(tx, report, row.id)?;
            seen += u64::try_from(count).unwrap_or(0);
            report.compare("balance.posted", row.id, row.posted, sum);
            report.compare("balance.entries", row.id, row.entries, count);
            let back = held.get(&row.id).copied().unwrap_or_default();
            report.compare("balance.held", row.id, row.held, back);
            let available =
                parse_code(&row.code)?.side().own(sum).and_then(|s| s.checked_sub(back));
            let short = !row.may_overdraw && available.is_none_or(|left| left < Amount::ZERO);
            report.compare("account.overdrawn", row.id, short, false);
        }
    }
    // An entry of no account, or of no transaction, would be in one count only.
    report.compare("entries of accounts", "book", seen, report.entries);
    Ok(())
}

/// Entries of a page.
const PAGE: i64 = 2_000;

fn fold_entries(
    tx: &mut Tx<'_>,
    report: &mut CheckReport,
    account: AccountId,
) -> Result<(Amount, i64)> {
    let (mut sum, mut count, mut after) = (Amount::ZERO, 0, 0);
    loop {
        let rows: Vec<(i64, Amount, Amount)> = entry::table
            .filter(entry::account_id.eq(account))
            .filter(entry::number.gt(after))
            .order(entry::number)
            .limit(PAGE)
            .select((entry::number, entry::amount, entry::balance_after))
            .load(tx.conn)?;
        let Some((last, ..)) = rows.last() else { return Ok((sum, count)) };
        after = *last;
        for (number, amount, balance_after) in rows {
            count += 1;
            sum = sum.checked_add(amount).ok_or(Error::Overflow)?;
            let id = || format!("{account} {number}");
            report.compare("entry.number", id(), number, count);
            report.compare("entry.balance_after", id(), balance_after, sum);
        }
    }
}
