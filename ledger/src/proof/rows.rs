//! The rows that records are of, and the digest of all they say. A column that is added to one of
//! these tables is added here, at the end, as `maybe` if old rows do not have it.

use std::collections::HashMap;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Integer;
use store::schema::{
    account, asset, conversion_record, entry, hold, hold_event, ledger_transaction, period_event,
    settlement_record, transaction_metadata,
};
use store::{
    AccountId, Amount, AnyConnection, Day, HoldEventId, HoldId, LeaseId, Month, PartyId,
    PeriodEventId, Timestamp, TransactionId,
};

use super::block::{Kind, Record, RecordId, asset_id};
use super::hash::Canon;
use crate::Result;

/// A record as the rows say it is now.
pub(super) struct Row {
    pub record: Record,
    pub content: Content,
}

/// What balances are derived from.
pub(super) enum Content {
    Account { code: String, party: PartyId, asset: String },
    Transaction { day: Day, entries: Vec<Entry> },
    Other,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub line: i32,
    pub account: AccountId,
    pub amount: Amount,
    pub number: i64,
    pub balance_after: Amount,
}

/// The rows of these ids that there are, in order of id. The ids are in order.
pub(super) fn load(conn: &mut AnyConnection, kind: Kind, ids: &[RecordId]) -> Result<Vec<Row>> {
    match kind {
        Kind::Asset => load_assets(conn, ids),
        Kind::Account => load_accounts(conn, ids),
        Kind::Transaction => load_transactions(conn, ids),
        Kind::HoldEvent => load_hold_events(conn, ids),
        Kind::PeriodEvent => load_period_events(conn, ids),
    }
}

fn row(kind: Kind, id: RecordId, canon: Canon) -> Row {
    Row { record: Record { kind, id, digest: canon.end() }, content: Content::Other }
}

/// The ids of all assets: few, and not in order of time.
pub(super) fn asset_ids(conn: &mut AnyConnection) -> Result<Vec<(RecordId, String)>> {
    let codes: Vec<String> = asset::table.select(asset::code).load(conn)?;
    let mut ids: Vec<_> = codes.into_iter().map(|code| (asset_id(&code), code)).collect();
    ids.sort_unstable();
    Ok(ids)
}

fn load_assets(conn: &mut AnyConnection, ids: &[RecordId]) -> Result<Vec<Row>> {
    let all: Vec<(String, i32, Option<String>, Option<i64>)> = asset::table
        .select((asset::code, asset::scale, asset::redemption_asset, asset::redemption_ppm))
        .load(conn)?;
    let mut rows: Vec<_> = all
        .into_iter()
        .map(|(code, scale, redemption_asset, redemption_ppm)| {
            let canon = Canon::new("asset")
                .text(&code)
                .number(scale.into())
                .maybe(redemption_asset, |canon, asset| canon.text(&asset))
                .maybe(redemption_ppm, Canon::number);
            row(Kind::Asset, asset_id(&code), canon)
        })
        .filter(|row| ids.contains(&row.record.id))
        .collect();
    rows.sort_unstable_by_key(|row| row.record.id);
    Ok(rows)
}

fn load_accounts(conn: &mut AnyConnection, ids: &[RecordId]) -> Result<Vec<Row>> {
    let ids = ids.iter().map(|id| AccountId::from_bytes(*id));
    let rows: Vec<(AccountId, String, PartyId, String, String, i32, Timestamp)> = account::table
        .filter(account::id.eq_any(ids))
        .order(account::id)
        .select((
            account::id,
            account::code,
            account::party_id,
            account::asset,
            account::side,
            // As a number: SQLite takes any for a truth value, and all but 0 read as true.
            sql::<Integer>("CAST(account.may_overdraw AS INTEGER)"),
            account::created_at,
        ))
        .load(conn)?;
    let row = |(id, code, party, asset, side, may_overdraw, created_at): (
        AccountId,
        String,
        PartyId,
        String,
        String,
        i32,
        Timestamp,
    )| {
        let canon = Canon::new("account")
            .id(id)
            .text(&code)
            .id(party)
            .text(&asset)
            .text(&side)
            .number(may_overdraw.into())
            .moment(created_at);
        let content = Content::Account { code, party, asset };
        Row { content, ..row(Kind::Account, *id.as_bytes(), canon) }
    };
    Ok(rows.into_iter().map(row).collect())
}

#[derive(Queryable)]
struct TransactionRow {
    id: TransactionId,
    key: String,
    fingerprint: Vec<u8>,
    kind: String,
    subject: String,
    posted_at: Timestamp,
    effective_at: Timestamp,
    booked_on: Day,
    relation: Option<String>,
    refers_to: Option<TransactionId>,
}

fn load_transactions(conn: &mut AnyConnection, ids: &[RecordId]) -> Result<Vec<Row>> {
    let ids: Vec<_> = ids.iter().map(|id| TransactionId::from_bytes(*id)).collect();
    let rows: Vec<TransactionRow> = ledger_transaction::table
        .filter(ledger_transaction::id.eq_any(&ids))
        .order(ledger_transaction::id)
        .select(ledger_transaction::all_columns)
        .load(conn)?;
    let mut parts = load_parts(conn, &ids)?;
    let row = |transaction: TransactionRow| {
        let parts = parts.remove(&transaction.id).unwrap_or_default();
        let canon = encode_transaction(&transaction, &parts);
        let content = Content::Transaction { day: transaction.booked_on, entries: parts.entries };
        Row { content, ..row(Kind::Transaction, *transaction.id.as_bytes(), canon) }
    };
    Ok(rows.into_iter().map(row).collect())
}

fn encode_transaction(transaction: &TransactionRow, parts: &Parts) -> Canon {
    Canon::new("transaction")
        .id(transaction.id)
        .text(&transaction.key)
        .bytes(&transaction.fingerprint)
        .text(&transaction.kind)
        .text(&transaction.subject)
        .moment(transaction.posted_at)
        .moment(transaction.effective_at)
        .number(transaction.booked_on.0.into())
        .maybe(transaction.relation.as_deref(), Canon::text)
        .maybe(transaction.refers_to, Canon::id)
        .each(&parts.entries, |canon, entry| {
            canon
                .number(entry.line.into())
                .id(entry.account)
                .amount(entry.amount)
                .number(entry.number)
                .amount(entry.balance_after)
        })
        .each(&parts.metadata, |canon, (name, value)| canon.text(name).text(value))
        .maybe(parts.settlement.as_ref(), |canon, record| {
            canon
                .id(record.lease_id)
                .number(record.seconds)
                .amount(record.price)
                .number(record.fee_ppm)
                .maybe(record.bonus_ppm, Canon::number)
                .maybe(record.redemption_ppm, Canon::number)
        })
        .maybe(parts.conversion.as_ref(), |canon, record| {
            canon
                .text(&record.sold_asset)
                .amount(record.sold)
                .text(&record.bought_asset)
                .amount(record.bought)
                .number(record.rate_ppm)
        })
}

/// What belongs to a transaction.
#[derive(Default)]
struct Parts {
    entries: Vec<Entry>,
    /// Name and value, in order of name.
    metadata: Vec<(String, String)>,
    settlement: Option<SettlementRow>,
    conversion: Option<ConversionRow>,
}

#[derive(Queryable)]
struct SettlementRow {
    transaction_id: TransactionId,
    lease_id: LeaseId,
    seconds: i64,
    price: Amount,
    fee_ppm: i64,
    bonus_ppm: Option<i64>,
    redemption_ppm: Option<i64>,
}

#[derive(Queryable)]
struct ConversionRow {
    transaction_id: TransactionId,
    sold_asset: String,
    sold: Amount,
    bought_asset: String,
    bought: Amount,
    rate_ppm: i64,
}

fn load_parts(
    conn: &mut AnyConnection,
    ids: &[TransactionId],
) -> Result<HashMap<TransactionId, Parts>> {
    let mut parts = HashMap::<TransactionId, Parts>::with_capacity(ids.len());
    let entries: Vec<(TransactionId, i32, AccountId, Amount, i64, Amount)> = entry::table
        .filter(entry::transaction_id.eq_any(ids))
        .order((entry::transaction_id, entry::line))
        .select(entry::all_columns)
        .load(conn)?;
    for (id, line, account, amount, number, balance_after) in entries {
        let entry = Entry { line, account, amount, number, balance_after };
        parts.entry(id).or_default().entries.push(entry);
    }
    let metadata: Vec<(TransactionId, String, String)> = transaction_metadata::table
        .filter(transaction_metadata::transaction_id.eq_any(ids))
        .order((transaction_metadata::transaction_id, transaction_metadata::name))
        .select(transaction_metadata::all_columns)
        .load(conn)?;
    for (id, name, value) in metadata {
        parts.entry(id).or_default().metadata.push((name, value));
    }
    let settlements: Vec<SettlementRow> = settlement_record::table
        .filter(settlement_record::transaction_id.eq_any(ids))
        .select(settlement_record::all_columns)
        .load(conn)?;
    for record in settlements {
        let id = record.transaction_id;
        parts.entry(id).or_default().settlement = Some(record);
    }
    let conversions: Vec<ConversionRow> = conversion_record::table
        .filter(conversion_record::transaction_id.eq_any(ids))
        .select(conversion_record::all_columns)
        .load(conn)?;
    for record in conversions {
        let id = record.transaction_id;
        parts.entry(id).or_default().conversion = Some(record);
    }
    Ok(parts)
}

#[derive(Queryable)]
struct HoldEventRow {
    hold_id: HoldId,
    number: i32,
    kind: String,
    amount: Amount,
    transaction_id: Option<TransactionId>,
    at: Timestamp,
    id: HoldEventId,
}

/// What never changes of a hold.
#[derive(Queryable)]
struct HoldRow {
    key: String,
    fingerprint: Vec<u8>,
    account_id: AccountId,
    amount: Amount,
    subject: String,
    expires_at: Option<Timestamp>,
    created_at: Timestamp,
}

fn load_hold_events(conn: &mut AnyConnection, ids: &[RecordId]) -> Result<Vec<Row>> {
    let ids = ids.iter().map(|id| HoldEventId::from_bytes(*id));
    let rows: Vec<(HoldEventRow, Option<HoldRow>)> = hold_event::table
        .left_join(hold::table.on(hold::id.eq(hold_event::hold_id)))
        .filter(hold_event::id.eq_any(ids))
        .order(hold_event::id)
        .select((
            hold_event::all_columns,
            (
                hold::key,
                hold::fingerprint,
                hold::account_id,
                hold::amount,
                hold::subject,
                hold::expires_at,
                hold::created_at,
            )
                .nullable(),
        ))
        .load(conn)?;
    let row = |(event, hold): (HoldEventRow, Option<HoldRow>)| {
        let placed = hold.filter(|_| event.kind == "placed");
        let canon = Canon::new("hold_event")
            .id(event.id)
            .id(event.hold_id)
            .number(event.number.into())
            .text(&event.kind)
            .amount(event.amount)
            .maybe(event.transaction_id, Canon::id)
            .moment(event.at)
            .maybe(placed, |canon, hold| {
                canon
                    .text(&hold.key)
                    .bytes(&hold.fingerprint)
                    .id(hold.account_id)
                    .amount(hold.amount)
                    .text(&hold.subject)
                    .maybe(hold.expires_at, Canon::moment)
                    .moment(hold.created_at)
            });
        row(Kind::HoldEvent, *event.id.as_bytes(), canon)
    };
    Ok(rows.into_iter().map(row).collect())
}

fn load_period_events(conn: &mut AnyConnection, ids: &[RecordId]) -> Result<Vec<Row>> {
    let ids = ids.iter().map(|id| PeriodEventId::from_bytes(*id));
    let rows: Vec<(PeriodEventId, Month, String, PartyId, String, Timestamp)> = period_event::table
        .filter(period_event::id.eq_any(ids))
        .order(period_event::id)
        .select(period_event::all_columns)
        .load(conn)?;
    let row = |(id, month, kind, by, reason, at): (
        PeriodEventId,
        Month,
        String,
        PartyId,
        String,
        Timestamp,
    )| {
        let canon = Canon::new("period_event")
            .id(id)
            .number(month.0.into())
            .text(&kind)
            .id(by)
            .text(&reason)
            .moment(at);
        row(Kind::PeriodEvent, *id.as_bytes(), canon)
    };
    Ok(rows.into_iter().map(row).collect())
}
