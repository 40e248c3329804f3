//! Blocks as they are stored.

use diesel::prelude::*;
use store::schema::block;
use store::{AnyConnection, Timestamp, TransactionId, Tx};

use super::block::{Header, Kind, read_records};
use super::hash::Hash;
use super::sign::Signature;
use crate::{Error, Result};

/// A row of `block`, whose bytes may be anything.
#[derive(Queryable)]
pub(super) struct StoredBlock {
    pub number: i64,
    pub previous: Vec<u8>,
    pub records: Vec<u8>,
    pub liabilities: Option<Vec<u8>>,
    pub sealed_at: Timestamp,
    pub hash: Vec<u8>,
    pub key_id: String,
    pub signature: Vec<u8>,
}

/// A stored block with everything of the right length.
pub(super) struct Parts {
    pub header: Header,
    /// As stored: not yet compared with the header's.
    pub hash: Hash,
    pub signature: Signature,
}

impl StoredBlock {
    pub(super) fn read(&self) -> Option<Parts> {
        let liabilities = match &self.liabilities {
            Some(digest) => Some(Hash::from_slice(digest)?),
            None => None,
        };
        let header = Header {
            number: self.number,
            previous: Hash::from_slice(&self.previous)?,
            records: Hash::of(&self.records),
            liabilities,
            sealed_at: self.sealed_at,
            key_id: self.key_id.clone(),
        };
        let signature = Signature(self.signature.as_slice().try_into().ok()?);
        Some(Parts { header, hash: Hash::from_slice(&self.hash)?, signature })
    }
}

pub(super) fn load(conn: &mut AnyConnection, number: i64) -> Result<Option<StoredBlock>> {
    Ok(block::table.find(number).select(block::all_columns).first(conn).optional()?)
}

/// The first block from `number` on.
pub(super) fn next(conn: &mut AnyConnection, number: i64) -> Result<Option<StoredBlock>> {
    Ok(block::table
        .filter(block::number.ge(number))
        .order(block::number)
        .select(block::all_columns)
        .first(conn)
        .optional()?)
}

/// The transactions of each block after `after` up to `upto`, by id within a block.
///
/// # Errors
/// A block that is not there or cannot be read; faults of storage, and those of `act`.
pub(crate) fn sealed_between(
    tx: &mut Tx<'_>,
    after: i64,
    upto: i64,
    mut act: impl FnMut(&mut Tx<'_>, &[TransactionId]) -> Result<()>,
) -> Result<()> {
    for number in after.saturating_add(1)..=upto {
        let records = load(tx.conn, number)?.and_then(|block| read_records(&block.records));
        let records =
            records.ok_or_else(|| Error::corrupt(&format!("block {number} cannot be read")))?;
        let of_transactions = records.iter().filter(|record| record.kind == Kind::Transaction);
        let ids: Vec<_> =
            of_transactions.map(|record| TransactionId::from_bytes(record.id)).collect();
        act(tx, &ids)?;
    }
    Ok(())
}
