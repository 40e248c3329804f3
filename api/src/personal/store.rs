//! Rows of what people asked to be done with their data.

use ::store::schema::{account, balance, party_profile, payout, personal_request};
use ::store::{Amount, PartyId, RequestId, Timestamp, Tx};
use diesel::prelude::*;
use ledger::Code as Account;

use crate::problem::{Code, Problem, Result};

/// A row without the copy itself.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = personal_request)]
pub struct Request {
    pub id: RequestId,
    pub party_id: PartyId,
    pub kind: String,
    pub state: String,
    pub asked_at: Timestamp,
    pub done_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
}

/// Asks for one. What waits already is answered again.
pub fn ask(tx: &mut Tx<'_>, party: PartyId, kind: &str) -> Result<Request> {
    let waiting = personal_request::table
        .filter(personal_request::party_id.eq(party))
        .filter(personal_request::kind.eq(kind))
        .filter(personal_request::state.eq("pending"))
        .select(Request::as_select())
        .first(tx.conn)
        .optional()?;
    if let Some(waiting) = waiting {
        return Ok(waiting);
    }
    let id: RequestId = tx.id();
    diesel::insert_into(personal_request::table)
        .values((
            personal_request::id.eq(id),
            personal_request::party_id.eq(party),
            personal_request::kind.eq(kind),
            personal_request::state.eq("pending"),
            personal_request::asked_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    find(tx, party, id)
}

pub fn find(tx: &mut Tx<'_>, party: PartyId, id: RequestId) -> Result<Request> {
    let row = personal_request::table
        .find(id)
        .filter(personal_request::party_id.eq(party))
        .select(Request::as_select());
    row.first(tx.conn).optional()?.ok_or_else(|| Problem::new(Code::NotFound))
}

/// The copy, sealed; none while it is not there, or not any more.
pub fn sealed(tx: &mut Tx<'_>, party: PartyId, id: RequestId) -> Result<Option<Vec<u8>>> {
    find(tx, party, id)?;
    Ok(personal_request::table.find(id).select(personal_request::sealed).first(tx.conn)?)
}

/// What waits, oldest first.
pub fn pending(tx: &mut Tx<'_>, limit: i64) -> Result<Vec<Request>> {
    Ok(personal_request::table
        .filter(personal_request::state.eq("pending"))
        .order(personal_request::id)
        .limit(limit)
        .select(Request::as_select())
        .load(tx.conn)?)
}

/// It is done: with a copy that lasts until a moment, or with nothing. False if somebody was faster.
pub fn finish(tx: &mut Tx<'_>, id: RequestId, copy: Option<(Vec<u8>, Timestamp)>) -> Result<bool> {
    let (sealed, expires_at) = copy.unzip();
    let row = personal_request::table.find(id).filter(personal_request::state.eq("pending"));
    let done = diesel::update(row)
        .set((
            personal_request::state.eq("done"),
            personal_request::done_at.eq(Some(tx.now)),
            personal_request::expires_at.eq(expires_at),
            personal_request::sealed.eq(sealed),
        ))
        .execute(tx.conn)?;
    Ok(done > 0)
}

/// Deletes copies that are too old.
pub fn expire(tx: &mut Tx<'_>) -> Result<()> {
    let old = personal_request::table
        .filter(personal_request::expires_at.le(Some(tx.now)))
        .filter(personal_request::sealed.is_not_null());
    diesel::update(old)
        .set((personal_request::state.eq("expired"), personal_request::sealed.eq(None::<Vec<u8>>)))
        .execute(tx.conn)?;
    Ok(())
}

pub fn any_expired(tx: &mut Tx<'_>) -> Result<bool> {
    let old: i64 = personal_request::table
        .filter(personal_request::expires_at.le(Some(tx.now)))
        .filter(personal_request::sealed.is_not_null())
        .count()
        .get_result(tx.conn)?;
    Ok(old > 0)
}

/// Copies of before an erasure go with it.
pub fn drop_copies(tx: &mut Tx<'_>, party: PartyId) -> Result<()> {
    let copies = personal_request::table
        .filter(personal_request::party_id.eq(party))
        .filter(personal_request::kind.eq("export"));
    diesel::delete(copies).execute(tx.conn)?;
    Ok(())
}

/// A password that nobody has: no new sign-in while an erasure waits.
pub fn lock_out(tx: &mut Tx<'_>, party: PartyId) -> Result<()> {
    diesel::update(party_profile::table.find(party))
        .set(party_profile::password_hash.eq("erased"))
        .execute(tx.conn)?;
    Ok(())
}

/// What is owed to an owner in money, a cent and more of each.
pub fn owed(tx: &mut Tx<'_>, owner: PartyId) -> Result<Vec<(String, Amount)>> {
    let rows: Vec<(String, Amount)> = account::table
        .inner_join(balance::table.on(balance::account_id.eq(account::id)))
        .filter(account::party_id.eq(owner))
        .filter(account::code.eq(Account::OwnerCash.text()))
        .filter(balance::posted.le(-10_000_i64))
        .order(account::asset)
        .select((account::asset, balance::posted))
        .load(tx.conn)?;
    Ok(rows.into_iter().map(|(asset, posted)| (asset, Amount(posted.0.saturating_neg()))).collect())
}

pub fn payouts_wait(tx: &mut Tx<'_>, owner: PartyId) -> Result<bool> {
    let waiting: i64 = payout::table
        .filter(payout::owner_id.eq(owner))
        .filter(payout::state.eq("requested"))
        .count()
        .get_result(tx.conn)?;
    Ok(waiting > 0)
}
