//! The book as a table.

use std::collections::BTreeMap;
use std::io::Write;

use store::{Amount, Tx};

use super::journal::{JournalEntry, JournalTransaction, Slice, each_transaction};
use crate::report::party_text;
use crate::{Error, Result};

const COLUMNS: [&str; 18] = [
    "transaction",
    "kind",
    "subject",
    "posted_at",
    "effective_at",
    "line",
    "account",
    "party",
    "asset",
    "debit",
    "credit",
    "balance_after",
    "number",
    "booked_on",
    "relation",
    "refers_to",
    "metadata",
    "lease",
];

/// One row per entry, RFC 4180 with a header. Debits and credits are both positive; the balance
/// after the entry is debits less credits, and the number is the entry's place in its account's
/// history. Times are RFC 3339 in UTC; metadata is a JSON object, or nothing if there is none.
///
/// # Errors
/// [`crate::Error::Output`], faults of storage.
pub fn csv(tx: &mut Tx<'_>, out: &mut dyn Write) -> Result<()> {
    let mut rows = csv::Writer::from_writer(out);
    rows.write_record(COLUMNS).map_err(output)?;
    each_transaction(tx, &Slice::default(), |transaction| {
        for entry in &transaction.entries {
            rows.write_record(row(transaction, entry)?).map_err(output)?;
        }
        Ok(())
    })?;
    Ok(rows.flush()?)
}

fn row(transaction: &JournalTransaction, entry: &JournalEntry) -> Result<[String; 18]> {
    let amount = entry.amount;
    let magnitude = amount.0.checked_abs().map(Amount).ok_or(Error::Overflow)?.to_string();
    let (debit, credit) = match amount > Amount::ZERO {
        true => (magnitude, String::new()),
        false => (String::new(), magnitude),
    };
    let (relation, refers_to) = match &transaction.refers {
        Some((relation, to)) => (relation.clone(), to.to_string()),
        None => Default::default(),
    };
    Ok([
        transaction.id.to_string(),
        transaction.kind.clone(),
        inert(&transaction.subject),
        transaction.posted_at.to_string(),
        transaction.effective_at.to_string(),
        entry.line.to_string(),
        entry.code.text().to_owned(),
        party_text(entry.party),
        entry.asset.clone(),
        debit,
        credit,
        entry.balance_after.to_string(),
        entry.number.to_string(),
        transaction.booked_on.to_string(),
        relation,
        refers_to,
        metadata(&transaction.metadata)?,
        transaction.lease.map(|lease| lease.to_string()).unwrap_or_default(),
    ])
}

/// Begins with a brace: no formula.
fn metadata(pairs: &[(String, String)]) -> Result<String> {
    if pairs.is_empty() {
        return Ok(String::new());
    }
    let object: BTreeMap<&str, &str> =
        pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
    serde_json::to_string(&object).map_err(|error| Error::Output(error.into()))
}

/// A text that no spreadsheet takes for a formula. Everything else in a row is ours to choose.
fn inert(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

fn output(error: csv::Error) -> Error {
    Error::Output(std::io::Error::other(error))
}
