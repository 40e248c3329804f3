//! The journal: one row per entry, with ids that lead back to the lease.

use std::collections::BTreeMap;

use ::store::Tx;
use ledger::export::{JournalEntry, JournalTransaction, Slice, each_transaction};
use ledger::report::path;

use super::cell::{party_text, row, sides};
use super::{Column, Param, Report, Result, Rows};

pub(super) const REPORT: Report = Report {
    name: "journal",
    title: "Journal",
    about: "Every entry in order of posting, with the lease, the job's hold or the payout that it is \
            about. The balance after an entry is debits less credits.",
    takes: &[Param::Period, Param::By],
    columns: &[
        Column::text("transaction"),
        Column::integer("line"),
        Column::day("booked_on"),
        Column::time("posted_at"),
        Column::time("effective_at"),
        Column::text("kind"),
        Column::text("subject"),
        Column::text("lease"),
        Column::text("account"),
        Column::text("place"),
        Column::text("code"),
        Column::text("party"),
        Column::text("asset"),
        Column::amount("debit"),
        Column::amount("credit"),
        Column::amount("balance_after"),
        Column::integer("number"),
        Column::text("relation"),
        Column::text("refers_to"),
        Column::text("metadata"),
    ],
    rows: |tx, question, rows| journal(tx, &Slice::Span(question.span), rows),
};

/// Writes the rows of a part of the journal.
///
/// # Errors
/// Those of [`Report::write`].
pub fn journal(tx: &mut Tx<'_>, slice: &Slice, rows: &mut dyn Rows) -> Result<()> {
    let mut failed = None;
    let done = each_transaction(tx, slice, |transaction| {
        write(transaction, rows).map_err(|error| {
            failed = Some(error);
            ledger::Error::Output(std::io::Error::other("the report ended"))
        })
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(done?),
    }
}

fn write(of: &JournalTransaction, rows: &mut dyn Rows) -> Result<()> {
    let (id, lease) = (of.id.to_string(), of.lease.map(|lease| lease.to_string()));
    let (relation, refers_to) = match &of.refers {
        Some((relation, to)) => (Some(relation), Some(to.to_string())),
        None => (None, None),
    };
    let pairs: BTreeMap<_, _> = of.metadata.iter().map(|(name, value)| (name, value)).collect();
    let metadata = (!pairs.is_empty()).then(|| serde_json::json!(pairs).to_string());
    for entry in &of.entries {
        let JournalEntry { line, account, code, party, amount, .. } = entry;
        let party = party_text(*party);
        let (debit, credit) = sides(*amount);
        row!(
            rows,
            &id,
            i64::from(*line),
            of.booked_on,
            of.posted_at,
            of.effective_at,
            &of.kind,
            &of.subject,
            lease.as_ref(),
            &account.to_string(),
            path(*code),
            code.text(),
            &party,
            &entry.asset,
            debit,
            credit,
            entry.balance_after,
            entry.number,
            relation,
            refers_to.as_ref(),
            metadata.as_ref(),
        )?;
    }
    Ok(())
}
