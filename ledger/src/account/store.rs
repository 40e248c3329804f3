//! Accounts in the database.

use ::store::schema::{account, asset, balance};
use ::store::{AccountId, Amount, AnyConnection, PartyId, Tx};
use diesel::prelude::*;

use super::{Balance, Code};
use crate::engine::write;
use crate::{Error, Result};

pub(crate) fn find(
    conn: &mut AnyConnection,
    code: Code,
    party: PartyId,
    asset: &str,
) -> Result<Option<AccountId>> {
    Ok(account::table
        .filter(account::code.eq(code.text()))
        .filter(account::party_id.eq(party))
        .filter(account::asset.eq(asset))
        .select(account::id)
        .first(conn)
        .optional()?)
}

pub(super) fn asset_exists(conn: &mut AnyConnection, code: &str) -> Result<bool> {
    let found = asset::table.find(code).select(asset::code).first::<String>(conn);
    Ok(found.optional()?.is_some())
}

/// Makes an account and its balance, or finds the one that another transaction made meanwhile.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    code: Code,
    party: PartyId,
    asset: &str,
) -> Result<AccountId> {
    let id: AccountId = tx.id();
    if write::open(tx.conn, &[(id, code, party, asset.to_owned())], tx.now)? == 1 {
        return Ok(id);
    }
    let found = find(tx.conn, code, party, asset)?;
    found.ok_or_else(|| Error::corrupt("an account that is there is not found"))
}

pub(super) fn asset(conn: &mut AnyConnection, id: AccountId) -> Result<Option<String>> {
    Ok(account::table.find(id).select(account::asset).first(conn).optional()?)
}

pub(super) fn balance(conn: &mut AnyConnection, id: AccountId) -> Result<Option<Balance>> {
    let row: Option<(String, Amount, Amount)> = account::table
        .inner_join(balance::table.on(balance::account_id.eq(account::id)))
        .filter(account::id.eq(id))
        .select((account::code, balance::posted, balance::held))
        .first(conn)
        .optional()?;
    row.map(|(code, posted, held)| {
        let posted = parse_code(&code)?.side().own(posted).ok_or(Error::Overflow)?;
        Ok(Balance { posted, held })
    })
    .transpose()
}

/// The code of a stored account.
pub(crate) fn parse_code(text: &str) -> Result<Code> {
    Code::parse(text).ok_or_else(|| Error::corrupt(&format!("{text} is no account code")))
}
