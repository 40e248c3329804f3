//! An account's entries with its running balance, a page at a time in either direction.

use diesel::prelude::*;
use store::schema::{entry, ledger_transaction as posting};
use store::{AccountId, Amount, Day, Timestamp, TransactionId, Tx};

use super::as_of::{head, last_before};
use crate::{Error, Result};

/// A line of an account's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryLine {
    pub transaction: TransactionId,
    /// Text of the transaction's [`crate::Kind`].
    pub kind: String,
    pub subject: String,
    pub posted_at: Timestamp,
    pub effective_at: Timestamp,
    /// The day of the books: later than that of `effective_at` for a late entry.
    pub booked_on: Day,
    /// In the account's own direction: positive makes it grow.
    pub amount: Amount,
    /// In the account's own direction.
    pub balance_after: Amount,
    /// Position in the account's history, from 1: the cursor of the next page.
    pub number: i64,
}

/// In which direction a history is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Order {
    #[default]
    OldestFirst,
    NewestFirst,
}

/// Which part of a history to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct HistoryPage {
    /// What was posted at this moment or later; `None` is from the first.
    pub from: Option<Timestamp>,
    /// What was posted before this moment; `None` is to the last.
    pub to: Option<Timestamp>,
    pub order: Order,
    /// `number` of the last line of the page before.
    pub after: Option<i64>,
    /// The most lines.
    pub limit: usize,
}

/// A page of an account's entries, by their numbers. It reads no more than the page and some tens of
/// entries to find its ends.
///
/// # Errors
/// [`Error::UnknownAccount`].
pub fn history(tx: &mut Tx<'_>, account: AccountId, page: &HistoryPage) -> Result<Vec<EntryLine>> {
    let head = head(tx.conn, account)?;
    let mut after = match page.from {
        Some(from) => last_before(tx.conn, &head, from)?.number,
        None => 0,
    };
    let mut upto = match page.to {
        Some(to) => last_before(tx.conn, &head, to)?.number,
        None => head.entries,
    };
    match (page.order, page.after) {
        (Order::OldestFirst, Some(cursor)) => after = after.max(cursor),
        (Order::NewestFirst, Some(cursor)) => upto = upto.min(cursor.saturating_sub(1)),
        (_, None) => {}
    }
    let query = entry::table
        .inner_join(posting::table.on(posting::id.eq(entry::transaction_id)))
        .filter(entry::account_id.eq(account))
        .filter(entry::number.gt(after))
        .filter(entry::number.le(upto))
        .limit(i64::try_from(page.limit).unwrap_or(i64::MAX))
        .select((
            (posting::id, posting::kind, posting::subject),
            (posting::posted_at, posting::effective_at, posting::booked_on),
            (entry::amount, entry::balance_after, entry::number),
        ));
    let rows: Vec<Row> = match page.order {
        Order::OldestFirst => query.order(entry::number.asc()).load(tx.conn)?,
        Order::NewestFirst => query.order(entry::number.desc()).load(tx.conn)?,
    };
    let own = |amount| head.code.side().own(amount).ok_or(Error::Overflow);
    rows.into_iter()
        .map(|(of, times, (amount, balance_after, number))| {
            let (transaction, kind, subject) = of;
            let (posted_at, effective_at, booked_on) = times;
            let (amount, balance_after) = (own(amount)?, own(balance_after)?);
            Ok(EntryLine {
                transaction,
                kind,
                subject,
                posted_at,
                effective_at,
                booked_on,
                amount,
                balance_after,
                number,
            })
        })
        .collect()
}

type Row = ((TransactionId, String, String), (Timestamp, Timestamp, Day), (Amount, Amount, i64));

/// Up to `limit` entries of an account posted in `from..to`, oldest first, after the one numbered
/// `after`.
///
/// # Errors
/// [`Error::UnknownAccount`].
pub fn entries(
    tx: &mut Tx<'_>,
    account: AccountId,
    from: Timestamp,
    to: Timestamp,
    after: Option<i64>,
    limit: usize,
) -> Result<Vec<EntryLine>> {
    let (from, to, order) = (Some(from), Some(to), Order::OldestFirst);
    history(tx, account, &HistoryPage { from, to, order, after, limit })
}
