//! The keys of cars on the road: codes to enrol with, public keys, assertions that were used.

use diesel::prelude::*;
use store::schema::{vehicle, vehicle_assertion, vehicle_key};
use store::{AnyConnection, PartyId, Timestamp, Tx, VehicleId};

use super::owned;
use crate::{Error, Result};

/// The most expired assertions that a sign-in deletes.
const SWEPT: usize = 16;

/// Keeps the SHA-256 of a one-time code for a car of this owner's; an earlier code is void. The
/// key that the car has, if any, stays good until the code is used.
///
/// # Errors
/// [`Error::NotFound`] for another's car or one that is retired.
pub fn give_code(
    tx: &mut Tx<'_>,
    owner: PartyId,
    id: VehicleId,
    code_hash: [u8; 32],
    expires_at: Timestamp,
) -> Result<()> {
    if !owned(tx, owner, id)?.active {
        return Err(Error::NotFound("vehicle"));
    }
    let code = (
        vehicle_key::code_hash.eq(Some(code_hash.as_slice())),
        vehicle_key::code_expires_at.eq(Some(expires_at)),
    );
    let known = diesel::update(vehicle_key::table.find(id)).set(code).execute(tx.conn)?;
    if known == 0 {
        diesel::insert_into(vehicle_key::table)
            .values((vehicle_key::vehicle_id.eq(id), code))
            .execute(tx.conn)?;
    }
    Ok(())
}

/// Uses a code up: the key is the car's from now on, an earlier key or token no more. None for a
/// code that is wrong, used or too old.
///
/// `no_token` is a random number, stored where the SHA-256 of a token was.
///
/// # Errors
/// [`Error::Invalid`] for a key that is another car's.
pub fn enrol_key(
    tx: &mut Tx<'_>,
    code_hash: [u8; 32],
    public_key: &[u8],
    key_id: [u8; 32],
    no_token: [u8; 32],
) -> Result<Option<VehicleId>> {
    let row: Option<VehicleId> = vehicle_key::table
        .filter(vehicle_key::code_hash.eq(code_hash.as_slice()))
        .filter(vehicle_key::code_expires_at.gt(tx.now))
        .select(vehicle_key::vehicle_id)
        .first(tx.conn)
        .optional()?;
    let Some(id) = row else { return Ok(None) };
    if find_key(tx, &key_id)?.is_some_and(|(other, _)| other != id) {
        return Err(Error::invalid("/public_key", "the key is another car's"));
    }
    // Of two cars with one code the second waits here and finds the code used.
    let used = diesel::update(
        vehicle_key::table
            .filter(vehicle_key::vehicle_id.eq(id))
            .filter(vehicle_key::code_hash.eq(code_hash.as_slice())),
    )
    .set((
        vehicle_key::code_hash.eq(None::<Vec<u8>>),
        vehicle_key::code_expires_at.eq(None::<Timestamp>),
        vehicle_key::public_key.eq(Some(public_key)),
        vehicle_key::key_id.eq(Some(key_id.as_slice())),
        vehicle_key::enrolled_at.eq(Some(tx.now)),
    ))
    .execute(tx.conn)?;
    if used == 0 {
        return Ok(None);
    }
    diesel::update(vehicle::table.find(id))
        .set(vehicle::token_hash.eq(no_token.as_slice()))
        .execute(tx.conn)?;
    Ok(Some(id))
}

/// The car that has this key, and its public key; none if it is retired.
pub fn find_key(tx: &mut Tx<'_>, key_id: &[u8]) -> Result<Option<(VehicleId, Vec<u8>)>> {
    let row: Option<(VehicleId, Option<Vec<u8>>)> = vehicle_key::table
        .inner_join(vehicle::table.on(vehicle::id.eq(vehicle_key::vehicle_id)))
        .filter(vehicle_key::key_id.eq(key_id))
        .filter(vehicle::active.eq(true))
        .select((vehicle_key::vehicle_id, vehicle_key::public_key))
        .first(tx.conn)
        .optional()?;
    Ok(row.and_then(|(id, key)| key.map(|key| (id, key))))
}

/// Notes an assertion until it expires. False if it was used before. Some of those that have expired
/// go, more than come: what a sign-in costs is bounded.
pub fn take_assertion(
    tx: &mut Tx<'_>,
    key_id: &[u8],
    jti: &str,
    expires_at: Timestamp,
) -> Result<bool> {
    sweep_assertions(tx)?;
    let known: i64 = vehicle_assertion::table.find((key_id, jti)).count().get_result(tx.conn)?;
    if known > 0 {
        return Ok(false);
    }
    diesel::insert_into(vehicle_assertion::table)
        .values((
            vehicle_assertion::key_id.eq(key_id),
            vehicle_assertion::jti.eq(jti),
            vehicle_assertion::expires_at.eq(expires_at),
        ))
        .execute(tx.conn)?;
    Ok(true)
}

fn sweep_assertions(tx: &mut Tx<'_>) -> Result<()> {
    // Two sign-ins at once sweep different rows.
    let others = match tx.conn {
        AnyConnection::Sqlite(_) => "",
        AnyConnection::Postgres(_) => "FOR UPDATE SKIP LOCKED",
    };
    diesel::sql_query(format!(
        "DELETE FROM vehicle_assertion WHERE (key_id, jti) IN (
            SELECT key_id, jti FROM vehicle_assertion WHERE expires_at <= {}
            ORDER BY expires_at LIMIT {SWEPT} {others})",
        tx.now.0
    ))
    .execute(tx.conn)?;
    Ok(())
}

/// The cars whose key is newer than `since`, each with the id of the key.
pub fn keys_since(tx: &mut Tx<'_>, since: Timestamp) -> Result<Vec<(VehicleId, Vec<u8>)>> {
    let rows: Vec<(VehicleId, Option<Vec<u8>>)> = vehicle_key::table
        .filter(vehicle_key::enrolled_at.ge(since))
        .select((vehicle_key::vehicle_id, vehicle_key::key_id))
        .load(tx.conn)?;
    Ok(rows.into_iter().filter_map(|(id, key)| key.map(|key| (id, key))).collect())
}
