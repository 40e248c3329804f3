//! Reading the book: trial balance, balances, and an account's entries.

use std::collections::BTreeMap;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};
use store::schema::{account, balance, entry, ledger_transaction as posting};
use store::{AccountId, Amount, PartyId, Timestamp, TransactionId, Tx};

use crate::account::store::parse_code;
use crate::{Balance, Code, Error, Result, Side};

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
    pub balance: Balance,
}

/// A line of an account's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryLine {
    pub transaction: TransactionId,
    /// Text of the transaction's [`crate::Kind`].
    pub kind: String,
    pub subject: String,
    pub posted_at: Timestamp,
    pub effective_at: Timestamp,
    /// In the account's own direction: positive makes it grow.
    pub amount: Amount,
    /// In the account's own direction.
    pub balance_after: Amount,
    /// Position in the account's history, from 1: the cursor of the next page.
    pub number: i64,
}

/// Debit and credit balances by code and asset, in that order.
///
/// # Errors
/// Faults of storage only.
pub fn trial_balance(tx: &mut Tx<'_>) -> Result<Vec<TrialLine>> {
    let mut lines: BTreeMap<(Code, String), (Amount, Amount)> = BTreeMap::new();
    let mut after = AccountId::NIL;
    loop {
        let page = account_page(tx, after)?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for row in &page {
            let key = (parse_code(&row.code)?, row.asset.clone());
            let (debit, credit) = lines.entry(key).or_default();
            let side = if row.posted >= Amount::ZERO { debit } else { credit };
            let magnitude = Amount(row.posted.0.checked_abs().ok_or(Error::Overflow)?);
            *side = side.checked_add(magnitude).ok_or(Error::Overflow)?;
        }
    }
    let line = |((code, asset), (debit, credit))| TrialLine { code, asset, debit, credit };
    Ok(lines.into_iter().map(line).collect())
}

/// All accounts, in order of their ids.
///
/// # Errors
/// Faults of storage only.
pub fn balances(tx: &mut Tx<'_>) -> Result<Vec<AccountBalance>> {
    let mut all = Vec::new();
    let mut after = AccountId::NIL;
    loop {
        let page = account_page(tx, after)?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for row in page {
            let code = parse_code(&row.code)?;
            let posted = code.side().own(row.posted).ok_or(Error::Overflow)?;
            let balance = Balance { posted, held: row.held };
            let (account, party, asset) = (row.id, row.party, row.asset);
            all.push(AccountBalance { account, code, party, asset, balance });
        }
    }
    Ok(all)
}

/// An account with its stored balance, debits positive.
#[derive(Clone, Debug, Queryable)]
pub(crate) struct AccountRow {
    pub id: AccountId,
    pub code: String,
    pub party: PartyId,
    pub asset: String,
    pub posted: Amount,
    pub held: Amount,
}

/// Rows of a page: enough to make round trips cheap, little to keep in memory.
const PAGE: i64 = 1_000;

/// The accounts after `after`, by id; empty after the last.
pub(crate) fn account_page(tx: &mut Tx<'_>, after: AccountId) -> Result<Vec<AccountRow>> {
    let page = account::table
        .inner_join(balance::table.on(balance::account_id.eq(account::id)))
        .filter(account::id.gt(after))
        .order(account::id)
        .limit(PAGE)
        .select((
            account::id,
            account::code,
            account::party_id,
            account::asset,
            balance::posted,
            balance::held,
        ))
        .load(tx.conn)?;
    Ok(page)
}

/// Up to `limit` entries of an account posted in `from..to`, in their order, after the one numbered
/// `after`.
///
/// # Errors
/// [`crate::Error::UnknownAccount`].
pub fn entries(
    tx: &mut Tx<'_>,
    account: AccountId,
    from: Timestamp,
    to: Timestamp,
    after: Option<i64>,
    limit: usize,
) -> Result<Vec<EntryLine>> {
    let side = side_of(tx, account)?;
    type Row = (TransactionId, String, String, Timestamp, Timestamp, Amount, Amount, i64);
    let rows: Vec<Row> = entry::table
        .inner_join(posting::table.on(posting::id.eq(entry::transaction_id)))
        .filter(entry::account_id.eq(account))
        .filter(entry::number.gt(after.unwrap_or(0)))
        .filter(posting::posted_at.ge(from))
        .filter(posting::posted_at.lt(to))
        .order(entry::number)
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .select((
            posting::id,
            posting::kind,
            posting::subject,
            posting::posted_at,
            posting::effective_at,
            entry::amount,
            entry::balance_after,
            entry::number,
        ))
        .load(tx.conn)?;
    let own = |amount| side.own(amount).ok_or(Error::Overflow);
    rows.into_iter()
        .map(|(transaction, kind, subject, posted_at, effective_at, amount, balance, number)| {
            let (amount, balance_after) = (own(amount)?, own(balance)?);
            Ok(EntryLine {
                transaction,
                kind,
                subject,
                posted_at,
                effective_at,
                amount,
                balance_after,
                number,
            })
        })
        .collect()
}

/// What was posted to an account before a moment, in its own direction: the opening balance of a
/// period that starts then, and the closing balance of one that ends then. It is the sum of those
/// entries, not the last one's running balance: on PostgreSQL a transaction can be numbered after one
/// that was posted microseconds later. It reads the account's history up to then.
///
/// # Errors
/// [`crate::Error::UnknownAccount`].
pub fn balance_at(tx: &mut Tx<'_>, account: AccountId, before: Timestamp) -> Result<Amount> {
    let side = side_of(tx, account)?;
    let sum = sql::<Nullable<BigInt>>("CAST(SUM(entry.amount) AS BIGINT)");
    let sum: Option<Amount> = entry::table
        .inner_join(posting::table.on(posting::id.eq(entry::transaction_id)))
        .filter(entry::account_id.eq(account))
        .filter(posting::posted_at.lt(before))
        .select(sum)
        .first(tx.conn)?;
    side.own(sum.unwrap_or_default()).ok_or(Error::Overflow)
}

fn side_of(tx: &mut Tx<'_>, id: AccountId) -> Result<Side> {
    let code: Option<String> =
        account::table.find(id).select(account::code).first(tx.conn).optional()?;
    let code = code.ok_or(Error::UnknownAccount(id))?;
    Ok(parse_code(&code)?.side())
}
