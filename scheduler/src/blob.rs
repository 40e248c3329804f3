//! Who may read which blob. The bytes are elsewhere, under their digest.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use diesel::prelude::*;
use diesel::sql_types::Text;
use store::schema::{blob, small_blob};
use store::sets::Set;
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

#[derive(QueryableByName)]
struct Known {
    #[diesel(sql_type = Text)]
    digest: String,
}

/// Those of the blobs that the party may read.
pub(crate) fn known(
    tx: &mut Tx<'_>,
    party: PartyId,
    digests: &BTreeSet<&str>,
) -> Result<HashSet<String>> {
    let rows: Vec<Known> = Set::default()
        .texts("digest", digests.iter().copied())
        .ids("party_id", digests.iter().map(|_| party))
        .load(
            tx.conn,
            "SELECT b.digest FROM {set} CROSS JOIN blob b
            WHERE b.digest = w.digest AND b.party_id = w.party_id",
        )?;
    Ok(rows.into_iter().map(|row| row.digest).collect())
}

/// Keeps small blobs that the platform made for a party, in rows: they are too many for files.
pub(crate) fn keep_small(
    tx: &mut Tx<'_>,
    party: PartyId,
    blobs: &BTreeMap<String, Vec<u8>>,
) -> Result<()> {
    let size = |bytes: &Vec<u8>| i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    let now = tx.now.0;
    Set::default()
        .texts("digest", blobs.keys().map(String::as_str))
        .bytes("content", blobs.values().map(Vec::as_slice))
        .numbers("created_at", blobs.iter().map(|_| now))
        .insert(tx.conn, "small_blob", "ON CONFLICT (digest) DO NOTHING")?;
    Set::default()
        .texts("digest", blobs.keys().map(String::as_str))
        .ids("party_id", blobs.iter().map(|_| party))
        .numbers("size", blobs.values().map(size))
        .numbers("created_at", blobs.iter().map(|_| now))
        .insert(tx.conn, "blob", "ON CONFLICT (digest, party_id) DO NOTHING")?;
    Ok(())
}

/// The bytes of a blob that is kept in a row.
pub fn small(tx: &mut Tx<'_>, digest: &str) -> Result<Option<Vec<u8>>> {
    let found = small_blob::table.find(digest).select(small_blob::content).first(tx.conn);
    Ok(found.optional()?)
}
