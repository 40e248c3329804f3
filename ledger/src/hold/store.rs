//! Holds in the database. Whoever writes here has the balance of the hold's account.

use ::store::schema::{hold, hold_event};
use ::store::{AccountId, Amount, AnyConnection, HoldId, Timestamp, TransactionId, Tx};
use diesel::prelude::*;

use super::{HoldState, NewHold};
use crate::Result;
use crate::posting::fingerprint::Fingerprint;
use crate::posting::store::each_backend;

/// What happened to a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Placed,
    Captured(TransactionId),
    Released,
    Expired,
}

impl Event {
    fn text(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Captured(_) => "captured",
            Self::Released => "released",
            Self::Expired => "expired",
        }
    }
}

/// The hold with this key, and its fingerprint.
pub(super) fn find(conn: &mut AnyConnection, key: &str) -> Result<Option<(HoldId, Vec<u8>)>> {
    Ok(hold::table
        .filter(hold::key.eq(key))
        .select((hold::id, hold::fingerprint))
        .first(conn)
        .optional()?)
}

type Row = (AccountId, Amount, Amount, Amount, bool, String);

pub(crate) fn load(conn: &mut AnyConnection, id: HoldId) -> Result<Option<HoldState>> {
    let row: Option<Row> = hold::table
        .find(id)
        .select((
            hold::account_id,
            hold::amount,
            hold::captured,
            hold::released,
            hold::open,
            hold::subject,
        ))
        .first(conn)
        .optional()?;
    Ok(row.map(|(account, amount, captured, released, open, subject)| HoldState {
        account,
        amount,
        captured,
        released,
        open,
        subject,
    }))
}

pub(super) fn expires_at(conn: &mut AnyConnection, id: HoldId) -> Result<Option<Timestamp>> {
    Ok(hold::table.find(id).select(hold::expires_at).first(conn)?)
}

/// Open holds that have expired, the longest expired first, with their accounts.
pub(super) fn find_expired(
    conn: &mut AnyConnection,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<(HoldId, AccountId)>> {
    Ok(hold::table
        .filter(hold::open)
        .filter(hold::expires_at.le(now))
        .order((hold::expires_at, hold::id))
        .select((hold::id, hold::account_id))
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .load(conn)?)
}

/// False if another hold has the key.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    id: HoldId,
    new: &NewHold,
    fingerprint: &Fingerprint,
) -> Result<bool> {
    let row = (
        hold::id.eq(id),
        hold::key.eq(&new.key),
        hold::fingerprint.eq(fingerprint.as_bytes()),
        hold::account_id.eq(new.account),
        hold::amount.eq(new.amount),
        hold::captured.eq(0_i64),
        hold::released.eq(0_i64),
        hold::open.eq(true),
        hold::subject.eq(&new.subject),
        hold::expires_at.eq(new.expires_at),
        hold::created_at.eq(tx.now),
    );
    let insert = diesel::insert_into(hold::table).values(row).on_conflict(hold::key).do_nothing();
    if each_backend!(tx.conn, |conn| insert.execute(conn))? == 0 {
        return Ok(false);
    }
    insert_event(tx, id, Event::Placed, 1, new.amount)?;
    Ok(true)
}

/// Writes a hold as it is after an event that moved `amount`, and the event.
pub(crate) fn store_change(
    tx: &mut Tx<'_>,
    id: HoldId,
    after: &HoldState,
    event: Event,
    amount: Amount,
) -> Result<()> {
    let set = (
        hold::captured.eq(after.captured),
        hold::released.eq(after.released),
        hold::open.eq(after.open),
        hold::ended_at.eq((!after.open).then_some(tx.now)),
    );
    diesel::update(hold::table.find(id)).set(set).execute(tx.conn)?;
    let last: i32 = hold_event::table
        .filter(hold_event::hold_id.eq(id))
        .order(hold_event::number.desc())
        .select(hold_event::number)
        .first(tx.conn)?;
    insert_event(tx, id, event, last + 1, amount)
}

fn insert_event(
    tx: &mut Tx<'_>,
    id: HoldId,
    event: Event,
    number: i32,
    amount: Amount,
) -> Result<()> {
    let transaction = match event {
        Event::Captured(transaction) => Some(transaction),
        Event::Placed | Event::Released | Event::Expired => None,
    };
    let row = (
        hold_event::hold_id.eq(id),
        hold_event::number.eq(number),
        hold_event::kind.eq(event.text()),
        hold_event::amount.eq(amount),
        hold_event::transaction_id.eq(transaction),
        hold_event::at.eq(tx.now),
        hold_event::id.eq(tx.id::<::store::kind::HoldEvent>()),
    );
    diesel::insert_into(hold_event::table).values(row).execute(tx.conn)?;
    Ok(())
}
