//! Reading the book: balances of any time, the chart as a tree, histories, and finding transactions.
//!
//! Call these in [`store::Store::read`]: what reads several pages sees one snapshot there.

mod as_of;
mod general;
mod history;
mod name;
mod search;
mod span;
mod tree;

use std::collections::{BTreeMap, HashMap};

use diesel::prelude::*;
use store::schema::{account, balance};
use store::{AccountId, Amount, Day, PartyId, Tx};

use crate::account::store::parse_code;
use crate::{Balance, Code, Error, Result};

pub(crate) use as_of::first_id;
pub use as_of::{AsOf, balance_as_of, balance_at};
pub use general::{GeneralEntry, GeneralLine, general_ledger};
pub use history::{EntryLine, HistoryPage, Order, entries, history};
pub(crate) use name::party_text;
pub use name::{full_path, hledger_name, path};
pub use search::{Found, Search, TransactionLine, transactions};
pub use span::{By, Span};
pub use tree::{Node, tree};

/// Accounts with their balances, as an [`AccountRow`] has them.
macro_rules! account_rows {
    () => {
        account::table.inner_join(balance::table.on(balance::account_id.eq(account::id))).select((
            account::id,
            account::code,
            account::party_id,
            account::asset,
            balance::posted,
            balance::held,
            balance::entries,
        ))
    };
}

/// A line of the trial balance, micro-units of `asset`. Over all lines of an asset debits are equal
/// to credits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialLine {
    pub code: Code,
    pub asset: String,
    /// Sum of the accounts under this code with a debit balance.
    pub debit: Amount,
    /// Sum of those with a credit balance.
    pub credit: Amount,
}

/// An account and what it has, in its own direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountBalance {
    pub account: AccountId,
    pub code: Code,
    pub party: PartyId,
    pub asset: String,
    /// Nothing is held at another time than [`AsOf::Now`]: only what was posted is kept for ever.
    pub balance: Balance,
}

/// [`trial_balance_as_of`] now.
///
/// # Errors
/// Faults of storage only.
pub fn trial_balance(tx: &mut Tx<'_>) -> Result<Vec<TrialLine>> {
    trial_balance_as_of(tx, AsOf::Now)
}

/// Debit and credit balances by code and asset, in that order.
///
/// # Errors
/// Faults of storage only.
pub fn trial_balance_as_of(tx: &mut Tx<'_>, as_of: AsOf) -> Result<Vec<TrialLine>> {
    let mut lines: BTreeMap<(Code, String), (Amount, Amount)> = BTreeMap::new();
    each_balance(tx, as_of, |row| {
        let debits = row.code.side().own(row.balance.posted).ok_or(Error::Overflow)?;
        let (debit, credit) = lines.entry((row.code, row.asset)).or_default();
        let side = if debits >= Amount::ZERO { debit } else { credit };
        let magnitude = Amount(debits.0.checked_abs().ok_or(Error::Overflow)?);
        *side = side.checked_add(magnitude).ok_or(Error::Overflow)?;
        Ok(())
    })?;
    let line = |((code, asset), (debit, credit))| TrialLine { code, asset, debit, credit };
    Ok(lines.into_iter().map(line).collect())
}

/// All accounts now, in order of their ids.
///
/// # Errors
/// Faults of storage only.
pub fn balances(tx: &mut Tx<'_>) -> Result<Vec<AccountBalance>> {
    let mut all = Vec::new();
    each_balance(tx, AsOf::Now, |row| {
        all.push(row);
        Ok(())
    })?;
    Ok(all)
}

/// An account and what it had.
///
/// # Errors
/// [`Error::UnknownAccount`].
pub fn account_as_of(tx: &mut Tx<'_>, id: AccountId, as_of: AsOf) -> Result<AccountBalance> {
    let posted = balance_as_of(tx, id, as_of)?;
    let row = account_rows!().filter(account::id.eq(id)).first::<AccountRow>(tx.conn)?;
    let held = if as_of == AsOf::Now { row.held } else { Amount::ZERO };
    let (code, balance) = (parse_code(&row.code)?, Balance { posted, held });
    Ok(AccountBalance { account: id, code, party: row.party, asset: row.asset, balance })
}

/// Every account and what it had, in order of their ids. Memory grows with the accounts that were
/// posted to since, never with the entries.
///
/// # Errors
/// Faults of storage, and those of `act`.
pub fn each_balance(
    tx: &mut Tx<'_>,
    as_of: AsOf,
    mut act: impl FnMut(AccountBalance) -> Result<()>,
) -> Result<()> {
    let balances = Balances::load(tx, as_of)?;
    let mut after = AccountId::NIL;
    loop {
        let page = balances.page(tx, after)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.account;
        page.into_iter().try_for_each(&mut act)?;
    }
}

/// Balances of one time, read a page of accounts at a time.
pub(crate) struct Balances(Corrections);

impl Balances {
    pub(crate) fn load(tx: &mut Tx<'_>, as_of: AsOf) -> Result<Self> {
        Corrections::load(tx, as_of).map(Self)
    }

    /// The accounts after `after`, by id; empty after the last.
    pub(crate) fn page(&self, tx: &mut Tx<'_>, after: AccountId) -> Result<Vec<AccountBalance>> {
        let Self(corrections) = self;
        let page = account_page(tx, after)?;
        let (Some(first), Some(last)) = (page.first(), page.last()) else { return Ok(vec![]) };
        let days = match corrections.day {
            Some(day) => as_of::days(tx.conn, first.id, last.id, day)?,
            None => HashMap::new(),
        };
        let balance = |row: AccountRow| {
            let base = match corrections.day {
                Some(day) => {
                    let summed = days.get(&row.id).copied().unwrap_or_default();
                    as_of::with_tail(tx.conn, row.id, row.entries, summed, day)?
                }
                None => row.posted,
            };
            corrections.account(row, base)
        };
        page.into_iter().map(balance).collect()
    }
}

/// What makes a balance of some time out of the stored ones.
struct Corrections {
    /// The base is the days up to this one, not the balance now.
    day: Option<Day>,
    /// To be added to the base, debits positive.
    sums: HashMap<AccountId, i128>,
    now: bool,
}

impl Corrections {
    fn load(tx: &mut Tx<'_>, as_of: AsOf) -> Result<Self> {
        let (day, sums, sign) = match as_of {
            AsOf::Now => (None, HashMap::new(), 1),
            AsOf::Posted(before) => (None, as_of::since(tx.conn, before)?, -1),
            AsOf::Booked(day) => (Some(day), HashMap::new(), 1),
            AsOf::Effective(day) => (Some(day), as_of::late(tx.conn, day)?, 1),
        };
        let sums = sums.into_iter().map(|(id, sum)| (id, i128::from(sum.0) * sign)).collect();
        Ok(Self { day, sums, now: as_of == AsOf::Now })
    }

    fn account(&self, row: AccountRow, base: Amount) -> Result<AccountBalance> {
        let code = parse_code(&row.code)?;
        let debits = i128::from(base.0) + self.sums.get(&row.id).copied().unwrap_or_default();
        let debits = i64::try_from(debits).map(Amount).map_err(|_| Error::Overflow)?;
        let posted = code.side().own(debits).ok_or(Error::Overflow)?;
        let held = if self.now { row.held } else { Amount::ZERO };
        let (account, party, asset) = (row.id, row.party, row.asset);
        Ok(AccountBalance { account, code, party, asset, balance: Balance { posted, held } })
    }
}

/// An account with its stored balance, debits positive.
#[derive(Clone, Debug, Queryable)]
struct AccountRow {
    id: AccountId,
    code: String,
    party: PartyId,
    asset: String,
    posted: Amount,
    held: Amount,
    entries: i64,
}

/// Rows of a page: enough to make round trips cheap, little to keep in memory.
const PAGE: i64 = 1_000;

/// The accounts after `after`, by id; empty after the last.
fn account_page(tx: &mut Tx<'_>, after: AccountId) -> Result<Vec<AccountRow>> {
    let page = account_rows!().filter(account::id.gt(after)).order(account::id).limit(PAGE);
    Ok(page.load(tx.conn)?)
}
