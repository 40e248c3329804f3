//! Transactions with their entries, and the accounts they name, page by page.

use diesel::prelude::*;
use diesel::sql_types::{Binary, Text};
use store::schema::{
    account, asset, entry, ledger_transaction as posting, transaction_metadata as metadata,
};
use store::{AccountId, Amount, Day, PartyId, Timestamp, TransactionId, Tx};

use crate::account::store::parse_code;
use crate::{Code, Result};

/// A transaction as it was posted.
#[derive(Clone, Debug)]
pub(super) struct JournalTransaction {
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
    /// By name.
    pub metadata: Vec<(String, String)>,
    /// By line.
    pub entries: Vec<JournalEntry>,
}

/// Debits are positive.
#[derive(Clone, Debug)]
pub(super) struct JournalEntry {
    pub line: i32,
    pub account: AccountId,
    pub code: Code,
    pub party: PartyId,
    pub asset: String,
    pub amount: Amount,
    pub balance_after: Amount,
    pub number: i64,
}

/// Every transaction by id, a page in memory at a time. That is the order in which a process posted
/// them, but of several processes not that of an account's entry numbers.
pub(super) fn each_transaction(
    tx: &mut Tx<'_>,
    mut act: impl FnMut(&JournalTransaction) -> Result<()>,
) -> Result<()> {
    let (mut after, mut date) = (TransactionId::NIL, Day(i32::MIN));
    loop {
        let transactions = page(tx, after)?;
        let Some(last) = transactions.last() else { return Ok(()) };
        after = last.id;
        for mut transaction in transactions {
            date = date.max(transaction.date);
            transaction.date = date;
            act(&transaction)?;
        }
    }
}

/// Transactions of a page.
const PAGE: i64 = 500;

/// The transactions after `after`; empty after the last.
fn page(tx: &mut Tx<'_>, after: TransactionId) -> Result<Vec<JournalTransaction>> {
    type Times = (Timestamp, Timestamp, Day);
    type Row = (TransactionId, String, String, Times, (Option<String>, Option<TransactionId>));
    let rows: Vec<Row> = posting::table
        .filter(posting::id.gt(after))
        .order(posting::id)
        .limit(PAGE)
        .select((
            posting::id,
            posting::kind,
            posting::subject,
            (posting::posted_at, posting::effective_at, posting::booked_on),
            (posting::relation, posting::refers_to),
        ))
        .load(tx.conn)?;
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(vec![]) };
    let (first, last) = (first.0, last.0);
    let mut entries = load_entries(tx, first, last)?.into_iter().peekable();
    let mut pairs = load_metadata(tx, first, last)?.into_iter().peekable();
    let mut page = Vec::with_capacity(rows.len());
    for (id, kind, subject, (posted_at, effective_at, booked_on), (relation, to)) in rows {
        let mut own = Vec::new();
        while let Some((_, entry)) = entries.next_if(|(transaction, _)| *transaction == id) {
            own.push(entry);
        }
        let mut metadata = Vec::new();
        while let Some((_, name, value)) = pairs.next_if(|(transaction, ..)| *transaction == id) {
            metadata.push((name, value));
        }
        page.push(JournalTransaction {
            id,
            date: Day::of(posted_at),
            kind,
            subject,
            posted_at,
            effective_at,
            booked_on,
            refers: relation.zip(to),
            metadata,
            entries: own,
        });
    }
    Ok(page)
}

fn load_entries(
    tx: &mut Tx<'_>,
    first: TransactionId,
    last: TransactionId,
) -> Result<Vec<(TransactionId, JournalEntry)>> {
    type Account = (AccountId, String, PartyId, String);
    type Row = (TransactionId, i32, Account, (Amount, Amount, i64));
    let rows: Vec<Row> = entry::table
        .inner_join(account::table.on(account::id.eq(entry::account_id)))
        .filter(entry::transaction_id.ge(first))
        .filter(entry::transaction_id.le(last))
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
    first: TransactionId,
    last: TransactionId,
) -> Result<Vec<(TransactionId, String, String)>> {
    Ok(metadata::table
        .filter(metadata::transaction_id.ge(first))
        .filter(metadata::transaction_id.le(last))
        .order((metadata::transaction_id, metadata::name))
        .select((metadata::transaction_id, metadata::name, metadata::value))
        .load(tx.conn)?)
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
