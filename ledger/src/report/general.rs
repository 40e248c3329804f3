//! The general ledger: account after account, what it had, what moved it, what it had then.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool};
use store::schema::{entry, ledger_transaction as posting};
use store::{AccountId, Amount, Day, Timestamp, TransactionId, Tx};

use super::{AccountBalance, Balances, Span, account_as_of};
use crate::{Error, Result, counts_in};

/// An entry of an account, debits positive.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct GeneralEntry {
    account: AccountId,
    pub transaction: TransactionId,
    /// Text of the transaction's [`crate::Kind`].
    pub kind: String,
    pub subject: String,
    pub posted_at: Timestamp,
    pub effective_at: Timestamp,
    pub booked_on: Day,
    pub amount: Amount,
    /// Position in the account's history, from 1. By another time than `posted` there are gaps
    /// where entries count in another span.
    pub number: i64,
}

/// A line of the general ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GeneralLine<'a> {
    /// What the account had before the span, debits less credits.
    Opening(&'a AccountBalance, Amount),
    /// An entry, and debits less credits of what counts up to it.
    Entry(&'a AccountBalance, &'a GeneralEntry, Amount),
    /// What it had after the span.
    Closing(&'a AccountBalance, Amount),
}

/// Every account that had anything before the span or moved in it, in order of their ids; or the one
/// named. Opening balance and entries are compared with the closing balance, which is computed
/// apart. A page of accounts and one of entries is in memory at a time.
///
/// # Errors
/// [`Error::UnknownAccount`], faults of storage, and those of `act`.
pub fn general_ledger(
    tx: &mut Tx<'_>,
    only: Option<AccountId>,
    span: &Span,
    mut act: impl FnMut(GeneralLine<'_>) -> Result<()>,
) -> Result<()> {
    if let Some(id) = only {
        let opening = match span.before() {
            Some(as_of) => account_as_of(tx, id, as_of)?.balance.posted,
            None => Amount::ZERO,
        };
        let account = account_as_of(tx, id, span.after())?;
        return lines(tx, &[(account, opening)], span, &mut act);
    }
    let openings = match span.before() {
        Some(as_of) => Some(Balances::load(tx, as_of)?),
        None => None,
    };
    let closings = Balances::load(tx, span.after())?;
    let mut after = AccountId::NIL;
    loop {
        let page = closings.page(tx, after)?;
        let opening = match &openings {
            Some(openings) => openings.page(tx, after)?,
            None => vec![],
        };
        let Some(last) = page.last() else { return Ok(()) };
        after = last.account;
        let mut opening = opening.into_iter().map(|row| row.balance.posted);
        let accounts: Vec<_> =
            page.into_iter().map(|row| (row, opening.next().unwrap_or_default())).collect();
        lines(tx, &accounts, span, &mut act)?;
    }
}

/// Entries of a page.
const PAGE: i64 = 4_000;

/// The lines of some accounts, which have no other between them. An account comes with its closing
/// balance, and its opening balance beside it, both in its own direction.
fn lines(
    tx: &mut Tx<'_>,
    accounts: &[(AccountBalance, Amount)],
    span: &Span,
    act: &mut impl FnMut(GeneralLine<'_>) -> Result<()>,
) -> Result<()> {
    let mut entries = Entries::new(accounts, span);
    for (account, opening) in accounts {
        let side = account.code.side();
        let mut running = side.own(*opening).ok_or(Error::Overflow)?;
        let closing = side.own(account.balance.posted).ok_or(Error::Overflow)?;
        let mut moved = false;
        while let Some(entry) = entries.next_of(tx, account.account)? {
            if !moved {
                act(GeneralLine::Opening(account, running))?;
                moved = true;
            }
            running = running.checked_add(entry.amount).ok_or(Error::Overflow)?;
            act(GeneralLine::Entry(account, &entry, running))?;
        }
        if running != closing {
            let id = account.account;
            let found = format!("{id}: its entries come to {running}, its balance is {closing}");
            return Err(Error::corrupt(&found));
        }
        if !moved && running != Amount::ZERO {
            act(GeneralLine::Opening(account, running))?;
            moved = true;
        }
        if moved {
            act(GeneralLine::Closing(account, closing))?;
        }
    }
    Ok(())
}

/// The entries of a range of accounts, in order of account and number.
struct Entries<'a> {
    span: &'a Span,
    last: AccountId,
    /// What was read last.
    cursor: (AccountId, i64),
    page: std::iter::Peekable<std::vec::IntoIter<GeneralEntry>>,
    ended: bool,
}

impl<'a> Entries<'a> {
    fn new(accounts: &[(AccountBalance, Amount)], span: &'a Span) -> Self {
        let id = |row: Option<&(AccountBalance, Amount)>| row.map(|(account, _)| account.account);
        let first = id(accounts.first()).unwrap_or(AccountId::NIL);
        let last = id(accounts.last()).unwrap_or(AccountId::NIL);
        // An account that nothing moved has no entries to look for.
        let ended = accounts.is_empty();
        Self { span, last, cursor: (first, 0), page: vec![].into_iter().peekable(), ended }
    }

    fn next_of(&mut self, tx: &mut Tx<'_>, account: AccountId) -> Result<Option<GeneralEntry>> {
        if self.page.peek().is_none() && !self.ended {
            self.read(tx)?;
        }
        Ok(self.page.next_if(|entry| entry.account == account))
    }

    fn read(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        let (account, number) = self.cursor;
        let after = sql::<Bool>("(entry.account_id, entry.number) > (")
            .bind::<Binary, _>(account)
            .sql(", ")
            .bind::<BigInt, _>(number)
            .sql(")");
        let rows: Vec<GeneralEntry> = entry::table
            .inner_join(posting::table.on(posting::id.eq(entry::transaction_id)))
            .filter(after)
            .filter(entry::account_id.le(self.last))
            .filter(counts_in!(self.span))
            .order((entry::account_id, entry::number))
            .limit(PAGE)
            .select((
                entry::account_id,
                posting::id,
                posting::kind,
                posting::subject,
                posting::posted_at,
                posting::effective_at,
                posting::booked_on,
                entry::amount,
                entry::number,
            ))
            .load(tx.conn)?;
        self.ended = rows.len() < PAGE as usize;
        if let Some(last) = rows.last() {
            self.cursor = (last.account, last.number);
        }
        self.page = rows.into_iter().peekable();
        Ok(())
    }
}
