//! Who may read which blob.

use diesel::prelude::*;
use store::schema::blob;
use store::{PartyId, Tx};
use vehicle::protocol::Digest;

use crate::problem::{Problem, Result};

/// Lets the party read the blob. Twice is no error.
pub fn grant(tx: &mut Tx<'_>, digest: &Digest, party: PartyId, size: usize) -> store::Result<()> {
    if may_read(tx, digest, party)? {
        return Ok(());
    }
    let size = i64::try_from(size).map_err(|_| store::Error::Corrupt("a blob's size".into()))?;
    diesel::insert_into(blob::table)
        .values((
            blob::digest.eq(&digest.0),
            blob::party_id.eq(party),
            blob::size.eq(size),
            blob::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(())
}

pub fn may_read(tx: &mut Tx<'_>, digest: &Digest, party: PartyId) -> store::Result<bool> {
    let row = blob::digest.eq(&digest.0).and(blob::party_id.eq(party));
    let found = blob::table.filter(row).select(blob::size).first::<i64>(tx.conn).optional()?;
    Ok(found.is_some())
}

/// [`grant`] in a transaction of its own. Of two at once one loses, and then the row is there.
pub fn grant_alone(
    store: &store::Store,
    digest: &Digest,
    party: PartyId,
    size: usize,
) -> Result<()> {
    match store.write(|tx| grant(tx, digest, party, size)) {
        Err(error) if error.is_unique_violation() => Ok(()),
        granted => granted.map_err(Problem::from),
    }
}
