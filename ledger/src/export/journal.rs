//! Transactions with their entries, and the accounts they name, page by page.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{Binary, Text};
use store::schema::{
    account, asset, entry, ledger_transaction as posting, settlement_record,
    transaction_metadata as metadata,
};
use store::{AccountId, Amount, Day, LeaseId, PartyId, Timestamp, TransactionId, Tx};

use crate::account::store::parse_code;
use crate::proof::sealed_between;
use crate::report::Span;
use crate::{Code, Result, counts_in};

/// Which part of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slice {
    /// What counts in these days, in order of id.
    Span(Span),
    /// What was sealed after the block `after` and up to the block `upto`, block by block. A
    /// transaction is in one block only and stays there, so slices that follow one another have
    /// each transaction once, however late it was committed.
    Blocks { after: i64, upto: i64 },
}

impl Default for Slice {
    fn default() -> Self {
        Self::Span(Span::default())
    }
}

/// A transaction as it was posted.
#[derive(Clone, Debug)]
pub struct JournalTransaction {
    pub id: TransactionId,
    /// The day on which it was posted, never before that of the transaction before: of several
    /// processes one can be late at midnight, and what a journal asserts of a day stays so.
    pub date: Day,
    pub kind: String,
    pub subject: String,
    pub posted_at: Timestamp,
    pub effective_at: Timestamp,
    pub booked_on: Day,
    /// How it stands to which other transaction.
    pub refers: Option<(String, TransactionId)>,
    /// The lease that it pays for, or gives back a part of.
    pub lease: Option<LeaseId>,
    /// By name.
    pub metadata: Vec<(String, String)>,
    /// By line.
    pub entries: Vec<JournalEntry>,
}

/// Debits are positive.
#[derive(Clone, Debug)]
pub struct JournalEntry {
    pub line: i32,
    pub account: AccountId,
    pub code: Code,
    pub party: PartyId,
    pub asset: String,
    pub amount: Amount,
    pub balance_after: Amount,
    pub number: i64,
}

/// Every transaction, a page in memory at a time. Of a span they come by id: that is the order in
/// which a process posted them, but of several processes not that of an account's entry numbers.
///
/// # Errors
/// Faults of storage, and those of `act`.
pub fn each_transaction(
    tx: &mut Tx<'_>,
    slice: &Slice,
    mut act: impl FnMut(&JournalTransaction) -> Result<()>,
) -> Result<()> {
    let mut date = Day(i32::MIN);
    let mut act = |mut transaction: JournalTransaction| {
        date = date.max(transaction.date);
        transaction.date = date;
        act(&transaction)
    };
    match *slice {
        Slice::Blocks { after, upto } => sealed_between(tx, after, upto, |tx, ids| {
            for ids in ids.chunks(PAGE as usize) {
                let rows = posting::table.filter(posting::id.eq_any(ids)).order(posting::id);
                let rows = rows.select(HEAD).load(tx.conn)?;
                fill(tx, rows, Some(ids))?.into_iter().try_for_each(&mut act)?;
            }
            Ok(())
        }),
        Slice::Span(span) => {
            let mut after = TransactionId::NIL;
            loop {
                let rows: Vec<Head> = posting::table
                    .filter(posting::id.gt(after))
                    .filter(counts_in!(span))
                    .order(posting::id)
                    .limit(PAGE)
                    .select(HEAD)
                    .load(tx.conn)?;
                let Some(last) = rows.last() else { return Ok(()) };
                after = last.0;
                // Of a whole book a page has all between its ends.
                let ids: Vec<TransactionId> = rows.iter().map(|row| row.0).collect();
                let whole = span.from.is_none() && span.to.is_none();
                fill(tx, rows, (!whole).then_some(&ids))?.into_iter().try_for_each(&mut act)?;
            }
        }
    }
}

/// Transactions of a page.
const PAGE: i64 = 500;

type Times = (Timestamp, Timestamp, Day);
type Head = (TransactionId, String, String, Times, (Option<String>, Option<TransactionId>));

type TimeColumns = (posting::posted_at, posting::effective_at, posting::booked_on);
type RelationColumns = (posting::relation, posting::refers_to);
type HeadColumns = (posting::id, posting::kind, posting::subject, TimeColumns, RelationColumns);

const HEAD: HeadColumns = (
    posting::id,
    posting::kind,
    posting::subject,
    (posting::posted_at, posting::effective_at, posting::booked_on),
    (posting::relation, posting::refers_to),
);

/// Adds entries, metadata and leases to transactions in order of id; `ids` are all of them unless
/// nothing else lies between the first and the last.
fn fill(
    tx: &mut Tx<'_>,
    rows: Vec<Head>,
    ids: Option<&[TransactionId]>,
) -> Result<Vec<JournalTransaction>> {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(vec![]) };
    let range = (first.0, last.0);
    let mut entries = load_entries(tx, range, ids)?.into_iter().peekable();
    let mut pairs = load_metadata(tx, range)?.into_iter().peekable();
    let leases = load_leases(tx, range, &rows)?;
    let mut page = Vec::with_capacity(rows.len());
    for (id, kind, subject, (posted_at, effective_at, booked_on), (relation, to)) in rows {
        let mut own = Vec::new();
        while let Some((_, entry)) = entries.next_if(|(transaction, _)| *transaction == id) {
            own.push(entry);
        }
        let mut metadata = Vec::new();
        while let Some((transaction, name, value)) = pairs.next_if(|pair| pair.0 <= id) {
            if transaction == id {
                metadata.push((name, value));
            }
        }
        page.push(JournalTransaction {
            id,
            date: Day::of(posted_at),
            kind,
            subject,
            posted_at,
            effective_at,
            booked_on,
            lease: leases.get(&to.unwrap_or(id)).copied(),
            refers: relation.zip(to),
            metadata,
            entries: own,
        });
    }
    Ok(page)
}

fn load_entries(
    tx: &mut Tx<'_>,
    (first, last): (TransactionId, TransactionId),
    ids: Option<&[TransactionId]>,
) -> Result<Vec<(TransactionId, JournalEntry)>> {
    type Account = (AccountId, String, PartyId, String);
    type Row = (TransactionId, i32, Account, (Amount, Amount, i64));
    let mut query = entry::table
        .inner_join(account::table.on(account::id.eq(entry::account_id)))
        .into_boxed::<store::MultiBackend>();
    query = match ids {
        Some(ids) => query.filter(entry::transaction_id.eq_any(ids)),
        None => query.filter(entry::transaction_id.between(first, last)),
    };
    let rows: Vec<Row> = query
        .order((entry::transaction_id, entry::line))
        .select((
            entry::transaction_id,
            entry::line,
            (account::id, account::code, account::party_id, account::asset),
            (entry::amount, entry::balance_after, entry::number),
        ))
        .load(tx.conn)?;
    let entry = |(transaction, line, of, amounts): Row| {
        let (account, code, party, asset) = of;
        let (amount, balance_after, number) = amounts;
        let code = parse_code(&code)?;
        let entry =
            JournalEntry { line, account, code, party, asset, amount, balance_after, number };
        Ok((transaction, entry))
    };
    rows.into_iter().map(entry).collect()
}

fn load_metadata(
    tx: &mut Tx<'_>,
    (first, last): (TransactionId, TransactionId),
) -> Result<Vec<(TransactionId, String, String)>> {
    Ok(metadata::table
        .filter(metadata::transaction_id.between(first, last))
        .order((metadata::transaction_id, metadata::name))
        .select((metadata::transaction_id, metadata::name, metadata::value))
        .load(tx.conn)?)
}

/// The leases of settlements, those that these transactions refer to among them.
fn load_leases(
    tx: &mut Tx<'_>,
    (first, last): (TransactionId, TransactionId),
    rows: &[Head],
) -> Result<HashMap<TransactionId, LeaseId>> {
    let referred: Vec<TransactionId> = rows.iter().filter_map(|(.., refers)| refers.1).collect();
    let mut leases: Vec<(TransactionId, LeaseId)> = settlement_record::table
        .filter(settlement_record::transaction_id.between(first, last))
        .select((settlement_record::transaction_id, settlement_record::lease_id))
        .load(tx.conn)?;
    if !referred.is_empty() {
        let of_referred: Vec<(TransactionId, LeaseId)> = settlement_record::table
            .filter(settlement_record::transaction_id.eq_any(referred))
            .select((settlement_record::transaction_id, settlement_record::lease_id))
            .load(tx.conn)?;
        leases.extend(of_referred);
    }
    Ok(leases.into_iter().collect())
}

/// The codes of all assets, in their order.
pub(super) fn assets(tx: &mut Tx<'_>) -> Result<Vec<String>> {
    Ok(asset::table.order(asset::code).select(asset::code).load(tx.conn)?)
}

/// Every account once, though it has several assets: by code and party, a page in memory at a time.
pub(super) fn each_account(
    tx: &mut Tx<'_>,
    mut act: impl FnMut(Code, PartyId) -> Result<()>,
) -> Result<()> {
    let mut last = (String::new(), PartyId::NIL);
    loop {
        let after =
            diesel::dsl::sql::<diesel::sql_types::Bool>("(account.code, account.party_id) > (")
                .bind::<Text, _>(last.0.clone())
                .sql(", ")
                .bind::<Binary, _>(last.1)
                .sql(")");
        let rows: Vec<(String, PartyId)> = account::table
            .filter(after)
            .order((account::code, account::party_id))
            .distinct()
            .limit(PAGE)
            .select((account::code, account::party_id))
            .load(tx.conn)?;
        let Some(row) = rows.last() else { return Ok(()) };
        last = row.clone();
        for (code, party) in rows {
            act(parse_code(&code)?, party)?;
        }
    }
}
