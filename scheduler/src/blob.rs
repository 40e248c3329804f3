//! Who may read which blob. The bytes are elsewhere, under their digest.

use diesel::prelude::*;
use store::schema::blob;
use store::{PartyId, Tx};

use crate::Result;

/// Notes a blob that a car stored: outputs and checkpoints. Nobody may read it yet.
pub fn record(tx: &mut Tx<'_>, digest: &str, size: i64) -> Result<()> {
    grant(tx, digest, PartyId::NIL, size)
}

/// Lets a party read a blob.
pub(crate) fn grant(tx: &mut Tx<'_>, digest: &str, party: PartyId, size: i64) -> Result<()> {
    let known: i64 = blob::table.find((digest, party)).count().get_result(tx.conn)?;
    if known == 0 {
        diesel::insert_into(blob::table)
            .values((
                blob::digest.eq(digest),
                blob::party_id.eq(party),
                blob::size.eq(size),
                blob::created_at.eq(tx.now),
            ))
            .execute(tx.conn)?;
    }
    Ok(())
}
