//! The book as JSON Lines.

use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;
use store::{AccountId, Amount, Day, PartyId, Timestamp, TransactionId, Tx};

use super::journal::{JournalEntry, JournalTransaction, Slice, each_transaction};
use crate::report::full_path;
use crate::{Error, Result};

#[derive(Serialize)]
struct Line<'a> {
    transaction: TransactionId,
    kind: &'a str,
    subject: &'a str,
    posted_at: Timestamp,
    effective_at: Timestamp,
    booked_on: Day,
    relation: Option<&'a str>,
    refers_to: Option<TransactionId>,
    metadata: BTreeMap<&'a str, &'a str>,
    entries: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    line: i32,
    account: AccountId,
    path: String,
    code: &'static str,
    /// None: the platform's own.
    party: Option<PartyId>,
    asset: &'a str,
    amount: Amount,
    balance_after: Amount,
    number: i64,
}

/// One JSON object a line, one line a transaction with its entries. Amounts are strings, debits
/// positive; the balance after an entry is debits less credits, and the number is the entry's place
/// in its account's history. Times are RFC 3339 in UTC.
///
/// # Errors
/// [`crate::Error::Output`], faults of storage.
pub fn jsonl(tx: &mut Tx<'_>, out: &mut dyn Write) -> Result<()> {
    let mut out = std::io::BufWriter::new(out);
    each_transaction(tx, &Slice::default(), |transaction| {
        serde_json::to_writer(&mut out, &line(transaction))
            .map_err(|error| Error::Output(error.into()))?;
        Ok(writeln!(out)?)
    })?;
    Ok(out.flush()?)
}

fn line(of: &JournalTransaction) -> Line<'_> {
    let refers = of.refers.as_ref();
    Line {
        transaction: of.id,
        kind: &of.kind,
        subject: &of.subject,
        posted_at: of.posted_at,
        effective_at: of.effective_at,
        booked_on: of.booked_on,
        relation: refers.map(|(relation, _)| relation.as_str()),
        refers_to: refers.map(|(_, to)| *to),
        metadata: of.metadata.iter().map(|(name, value)| (&**name, &**value)).collect(),
        entries: of.entries.iter().map(entry).collect(),
    }
}

fn entry(of: &JournalEntry) -> Entry<'_> {
    Entry {
        line: of.line,
        account: of.account,
        path: full_path(of.code, of.party),
        code: of.code.text(),
        party: (of.party != PartyId::NIL).then_some(of.party),
        asset: &of.asset,
        amount: of.amount,
        balance_after: of.balance_after,
        number: of.number,
    }
}
