//! Transactions with their entries, page by page.

use diesel::prelude::*;
use store::schema::{account, entry, ledger_transaction as posting};
use store::{Amount, PartyId, Timestamp, TransactionId, Tx};

use crate::Result;

/// A transaction as it was posted.
#[derive(Clone, Debug)]
pub(super) struct JournalTransaction {
    pub id: TransactionId,
    pub kind: String,
    pub subject: String,
    pub posted_at: Timestamp,
    pub effective_at: Timestamp,
    /// By line.
    pub entries: Vec<JournalEntry>,
}

/// Debits are positive.
#[derive(Clone, Debug, Queryable)]
pub(super) struct JournalEntry {
    pub transaction: TransactionId,
    pub line: i32,
    pub code: String,
    pub party: PartyId,
    pub asset: String,
    pub amount: Amount,
    pub balance_after: Amount,
    pub number: i64,
}

/// Transactions of a page.
const PAGE: i64 = 500;

/// The transactions after `after`, by id; empty after the last. That is the order of their moments,
/// but not of an account's entry numbers where several are posted side by side or at one moment.
pub(super) fn page(tx: &mut Tx<'_>, after: TransactionId) -> Result<Vec<JournalTransaction>> {
    type Row = (TransactionId, String, String, Timestamp, Timestamp);
    let rows: Vec<Row> = posting::table
        .filter(posting::id.gt(after))
        .order(posting::id)
        .limit(PAGE)
        .select((
            posting::id,
            posting::kind,
            posting::subject,
            posting::posted_at,
            posting::effective_at,
        ))
        .load(tx.conn)?;
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(vec![]) };
    let mut entries = load_entries(tx, first.0, last.0)?.into_iter().peekable();
    let mut page = Vec::with_capacity(rows.len());
    for (id, kind, subject, posted_at, effective_at) in rows {
        let mut own = Vec::new();
        while let Some(entry) = entries.next_if(|entry| entry.transaction == id) {
            own.push(entry);
        }
        page.push(JournalTransaction { id, kind, subject, posted_at, effective_at, entries: own });
    }
    Ok(page)
}

fn load_entries(
    tx: &mut Tx<'_>,
    first: TransactionId,
    last: TransactionId,
) -> Result<Vec<JournalEntry>> {
    let rows = entry::table
        .inner_join(account::table.on(account::id.eq(entry::account_id)))
        .filter(entry::transaction_id.ge(first))
        .filter(entry::transaction_id.le(last))
        .order((entry::transaction_id, entry::line))
        .select((
            entry::transaction_id,
            entry::line,
            account::code,
            account::party_id,
            account::asset,
            entry::amount,
            entry::balance_after,
            entry::number,
        ))
        .load(tx.conn)?;
    Ok(rows)
}
