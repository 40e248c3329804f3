//! What an explanation is made of, as the database has it.

use diesel::prelude::*;
use store::schema::{
    account, conversion_record, entry, hold, hold_event, ledger_transaction as posting,
    settlement_record, transaction_metadata as metadata,
};
use store::{
    AccountId, Amount, AnyConnection, Day, HoldEventId, HoldId, LeaseId, PartyId, Timestamp,
    TransactionId,
};

use super::{Captured, ExplainedLeg, Explanation, Reference};
use crate::Result;
use crate::account::store::parse_code;
use crate::chart::{ConversionRecord, SettlementRecord};
use crate::report::first_id;

/// All but the steps.
pub(super) fn load(conn: &mut AnyConnection, id: TransactionId) -> Result<Option<Explanation>> {
    type Times = (Timestamp, Timestamp, Day);
    type Row = (String, String, String, Times, (Option<String>, Option<TransactionId>));
    let row: Option<Row> = posting::table
        .find(id)
        .select((
            posting::key,
            posting::kind,
            posting::subject,
            (posting::posted_at, posting::effective_at, posting::booked_on),
            (posting::relation, posting::refers_to),
        ))
        .first(conn)
        .optional()?;
    let Some((key, kind, subject, times, (relation, to))) = row else { return Ok(None) };
    let (posted_at, effective_at, booked_on) = times;
    let reference = |(relation, transaction)| Reference { relation, transaction };
    Ok(Some(Explanation {
        transaction: id,
        key,
        kind,
        subject,
        posted_at,
        effective_at,
        booked_on,
        refers_to: relation.zip(to).map(reference),
        referred_by: referred_by(conn, id)?,
        metadata: metadata::table
            .filter(metadata::transaction_id.eq(id))
            .order(metadata::name)
            .select((metadata::name, metadata::value))
            .load(conn)?,
        legs: legs(conn, id)?,
        captured: captured(conn, id, posted_at)?,
        steps: Vec::new(),
        unknown: Vec::new(),
    }))
}

fn referred_by(conn: &mut AnyConnection, id: TransactionId) -> Result<Vec<Reference>> {
    let rows: Vec<(Option<String>, TransactionId)> = posting::table
        .filter(posting::refers_to.eq(id))
        .order(posting::id)
        .select((posting::relation, posting::id))
        .load(conn)?;
    let reference = |(relation, transaction): (Option<String>, _)| {
        Some(Reference { relation: relation?, transaction })
    };
    Ok(rows.into_iter().filter_map(reference).collect())
}

pub(super) fn legs(conn: &mut AnyConnection, id: TransactionId) -> Result<Vec<ExplainedLeg>> {
    type Account = (AccountId, String, PartyId, String);
    let rows: Vec<(Account, Amount, Amount, i64)> = entry::table
        .inner_join(account::table.on(account::id.eq(entry::account_id)))
        .filter(entry::transaction_id.eq(id))
        .order(entry::line)
        .select((
            (account::id, account::code, account::party_id, account::asset),
            entry::amount,
            entry::balance_after,
            entry::number,
        ))
        .load(conn)?;
    let mut legs = Vec::with_capacity(rows.len());
    for ((account, code, party, asset), amount, balance_after, number) in rows {
        let before = balance_before(conn, account, number)?;
        let holds = before.and_then(|before| before.checked_add(amount)) == Some(balance_after);
        let code = parse_code(&code)?;
        let leg =
            ExplainedLeg { account, code, party, asset, amount, balance_after, number, holds };
        legs.push(leg);
    }
    Ok(legs)
}

/// The balance that an entry adds to; `None` if the entry before it is missing.
fn balance_before(
    conn: &mut AnyConnection,
    account: AccountId,
    number: i64,
) -> Result<Option<Amount>> {
    if number <= 1 {
        return Ok(Some(Amount::ZERO));
    }
    Ok(entry::table
        .filter(entry::account_id.eq(account))
        .filter(entry::number.eq(number - 1))
        .select(entry::balance_after)
        .first(conn)
        .optional()?)
}

/// How far the id of a hold's event can be from its transaction's moment.
const NEAR_US: i64 = 2_000_000;

/// An event is made with its transaction and its id has that moment: no need of an index.
fn captured(
    conn: &mut AnyConnection,
    id: TransactionId,
    posted_at: Timestamp,
) -> Result<Vec<Captured>> {
    let near = |us| HoldEventId::from_bytes(*first_id(posted_at.plus_us(us)).as_bytes());
    let rows: Vec<(HoldId, AccountId, String, Amount)> = hold_event::table
        .inner_join(hold::table.on(hold::id.eq(hold_event::hold_id)))
        .filter(hold_event::id.ge(near(-NEAR_US)))
        .filter(hold_event::id.lt(near(NEAR_US)))
        .filter(hold_event::transaction_id.eq(id))
        .order(hold_event::id)
        .select((hold::id, hold::account_id, hold::subject, hold_event::amount))
        .load(conn)?;
    let captured = |(hold, account, subject, amount)| Captured { hold, account, subject, amount };
    Ok(rows.into_iter().map(captured).collect())
}

pub(super) fn transaction_of(
    conn: &mut AnyConnection,
    account: AccountId,
    number: i64,
) -> Result<Option<TransactionId>> {
    Ok(entry::table
        .filter(entry::account_id.eq(account))
        .filter(entry::number.eq(number))
        .select(entry::transaction_id)
        .first(conn)
        .optional()?)
}

pub(super) fn settlement(
    conn: &mut AnyConnection,
    id: TransactionId,
) -> Result<Option<SettlementRecord>> {
    type Row = (LeaseId, i64, Amount, i64, Option<i64>, Option<i64>);
    let row: Option<Row> = settlement_record::table
        .find(id)
        .select((
            settlement_record::lease_id,
            settlement_record::seconds,
            settlement_record::price,
            settlement_record::fee_ppm,
            settlement_record::bonus_ppm,
            settlement_record::redemption_ppm,
        ))
        .first(conn)
        .optional()?;
    Ok(row.map(|(lease, seconds, price, fee_ppm, bonus_ppm, redemption_ppm)| SettlementRecord {
        lease,
        seconds,
        price,
        fee_ppm,
        bonus_ppm,
        redemption_ppm,
    }))
}

pub(super) fn conversion(
    conn: &mut AnyConnection,
    id: TransactionId,
) -> Result<Option<ConversionRecord>> {
    let row: Option<(String, Amount, String, Amount, i64)> = conversion_record::table
        .find(id)
        .select((
            conversion_record::sold_asset,
            conversion_record::sold,
            conversion_record::bought_asset,
            conversion_record::bought,
            conversion_record::rate_ppm,
        ))
        .first(conn)
        .optional()?;
    Ok(row.map(|(sold_asset, sold, bought_asset, bought, rate_ppm)| ConversionRecord {
        sold_asset,
        sold,
        bought_asset,
        bought,
        rate_ppm,
    }))
}
