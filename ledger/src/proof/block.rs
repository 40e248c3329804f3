//! Blocks and the records in them. Pure.

use serde::{Deserialize, Serialize};
use store::{AccountId, HoldEventId, PeriodEventId, Timestamp, TransactionId};

use super::hash::{Canon, Hash};

/// The 16 bytes that a record is found by.
pub(super) type RecordId = [u8; 16];

/// What a record is of: immutable rows that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// Its id is the start of the SHA-256 of its code.
    Asset = 1,
    Account = 2,
    /// With its entries, metadata, settlement and conversion.
    Transaction = 3,
    /// That a hold was placed, with what never changes of the hold.
    HoldEvent = 4,
    PeriodEvent = 5,
}

impl Kind {
    /// In the order of their numbers.
    pub(super) const ALL: [Self; 5] =
        [Self::Asset, Self::Account, Self::Transaction, Self::HoldEvent, Self::PeriodEvent];

    pub(super) fn table(self) -> &'static str {
        match self {
            Self::Asset => "asset",
            Self::Account => "account",
            Self::Transaction => "ledger_transaction",
            Self::HoldEvent => "hold_event",
            Self::PeriodEvent => "period_event",
        }
    }

    /// The text by which people know a record.
    pub(super) fn name(self, id: RecordId) -> String {
        match self {
            Self::Asset => hex::encode(id),
            Self::Account => AccountId::from_bytes(id).to_string(),
            Self::Transaction => TransactionId::from_bytes(id).to_string(),
            Self::HoldEvent => HoldEventId::from_bytes(id).to_string(),
            Self::PeriodEvent => PeriodEventId::from_bytes(id).to_string(),
        }
    }
}

/// The record id of an asset.
pub(super) fn asset_id(code: &str) -> RecordId {
    let mut id = [0; 16];
    id.copy_from_slice(&Hash::of(code.as_bytes()).as_bytes()[..16]);
    id
}

/// Proof of some rows: what they are and the digest of all they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Record {
    pub kind: Kind,
    pub id: RecordId,
    pub digest: Hash,
}

/// Bytes of a record in a block: kind, id, digest.
pub(super) const RECORD_BYTES: usize = 1 + 16 + 32;

impl Record {
    pub(super) fn put(&self, into: &mut Vec<u8>) {
        into.push(self.kind as u8);
        into.extend_from_slice(&self.id);
        into.extend_from_slice(self.digest.as_bytes());
    }

    /// `None` if the bytes are no record.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (number, rest) = bytes.split_first()?;
        let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == *number)?;
        let (id, digest) = rest.split_at_checked(16)?;
        Some(Self { kind, id: id.try_into().ok()?, digest: Hash::from_slice(digest)? })
    }
}

/// The records of a block. `None` unless they are whole, in order of kind and id, and each once.
pub(super) fn read_records(bytes: &[u8]) -> Option<Vec<Record>> {
    let records: Vec<_> = bytes.chunks(RECORD_BYTES).map(Record::read).collect::<Option<_>>()?;
    let ordered =
        records.windows(2).all(|pair| (pair[0].kind, pair[0].id) < (pair[1].kind, pair[1].id));
    ordered.then_some(records)
}

/// What a block says. Its hash commits to the records by their digest alone, so that a proof needs
/// no record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// From 1, without gaps.
    pub number: i64,
    /// Hash of the block before; zeros for the first.
    pub previous: Hash,
    /// SHA-256 of the block's records.
    pub records: Hash,
    /// Digest of what was owed, if the block says it.
    pub liabilities: Option<Hash>,
    pub sealed_at: Timestamp,
    /// [`super::PublicKey::id`] of the key that signed it.
    pub key_id: String,
}

impl Header {
    pub fn hash(&self) -> Hash {
        Canon::new("driveway block 1")
            .number(self.number)
            .bytes(self.previous.as_bytes())
            .bytes(self.records.as_bytes())
            .maybe(self.liabilities, |canon, digest| canon.bytes(digest.as_bytes()))
            .moment(self.sealed_at)
            .text(&self.key_id)
            .end()
    }
}

/// What was owed in one asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owed {
    pub asset: String,
    /// Accounts of customers and owners, empty ones too.
    pub accounts: i64,
    /// What they have together, micro-units.
    pub total: store::Amount,
    /// Root of the Merkle-sum tree over them.
    pub root: Hash,
}

/// The digest of what was owed in all assets, in order of their codes.
pub(super) fn liabilities_digest(owed: &[Owed]) -> Hash {
    Canon::new("driveway liabilities 1")
        .each(owed, |canon, owed| {
            canon
                .text(&owed.asset)
                .number(owed.accounts)
                .amount(owed.total)
                .bytes(owed.root.as_bytes())
        })
        .end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_whole_ordered_and_each_once() {
        let record = |kind, id| Record { kind, id: [id; 16], digest: Hash::of(&[id]) };
        let all = [record(Kind::Asset, 9), record(Kind::Account, 1), record(Kind::Account, 2)];
        let bytes = |records: &[Record]| {
            let mut bytes = Vec::new();
            records.iter().for_each(|record| record.put(&mut bytes));
            bytes
        };
        assert_eq!(read_records(&bytes(&all)), Some(all.to_vec()));
        assert_eq!(read_records(&[]), Some(vec![]));
        assert_eq!(read_records(&bytes(&[all[1], all[0]])), None);
        assert_eq!(read_records(&bytes(&[all[1], all[1]])), None);
        let mut cut = bytes(&all);
        cut.pop();
        assert_eq!(read_records(&cut), None);
        let mut unknown = bytes(&all);
        unknown[0] = 77;
        assert_eq!(read_records(&unknown), None);
    }

    #[test]
    fn the_hash_is_of_every_field() {
        let base = Header {
            number: 1,
            previous: Hash::default(),
            records: Hash::of(b"r"),
            liabilities: None,
            sealed_at: Timestamp(5),
            key_id: "k".to_owned(),
        };
        let others = [
            Header { number: 2, ..base.clone() },
            Header { previous: Hash::of(b"p"), ..base.clone() },
            Header { records: Hash::of(b"s"), ..base.clone() },
            Header { liabilities: Some(Hash::default()), ..base.clone() },
            Header { sealed_at: Timestamp(6), ..base.clone() },
            Header { key_id: "l".to_owned(), ..base.clone() },
        ];
        for other in others {
            assert_ne!(other.hash(), base.hash(), "{other:?}");
        }
    }
}
