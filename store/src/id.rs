//! Ids: UUIDv7 in 16 bytes, typed by what they name, shown as TypeIDs (`job_01h455vb4pex5vsknk084sn02q`).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Mutex;

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Binary;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use type_safe_id::{DynamicType, TypeSafeId};
use uuid::Uuid;

use crate::Timestamp;

/// What an id names; the prefix of its text.
pub trait Kind: 'static {
    const PREFIX: &'static str;
}

macro_rules! kinds {
    ($($kind:ident $alias:ident $prefix:literal;)*) => {
        /// The things that have ids.
        pub mod kind {
            $(pub enum $kind {}
            impl super::Kind for $kind { const PREFIX: &'static str = $prefix; })*
        }
        $(pub type $alias = Id<kind::$kind>;)*
    };
}

kinds! {
    Account AccountId "acct";
    Approval ApprovalId "appr";
    Attempt AttemptId "attempt";
    AuditEvent AuditEventId "audit";
    BankFile BankFileId "file";
    Bid BidId "bid";
    Clearing ClearingId "clearing";
    Consent ConsentId "consent";
    Deposit DepositId "deposit";
    Hold HoldId "hold";
    HoldEvent HoldEventId "event";
    Job JobId "job";
    Lease LeaseId "lease";
    Mail MailId "mail";
    Node NodeId "node";
    Party PartyId "party";
    Payout PayoutId "po";
    PeriodEvent PeriodEventId "period";
    Request RequestId "request";
    Task TaskId "task";
    Transaction TransactionId "tx";
    Vehicle VehicleId "vehicle";
}

/// The id of a `K`. Ordered by time of creation.
#[derive(AsExpression, FromSqlRow)]
#[diesel(sql_type = Binary)]
pub struct Id<K: Kind> {
    bytes: [u8; 16],
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> Id<K> {
    /// The nil id: the platform itself among parties, nothing elsewhere.
    pub const NIL: Self = Self::from_bytes([0; 16]);

    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self { bytes, kind: PhantomData }
    }

    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.bytes
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = DynamicType::new(K::PREFIX).map_err(|_| fmt::Error)?;
        TypeSafeId::from_type_and_uuid(kind, Uuid::from_bytes(self.bytes)).fmt(f)
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an id of the kind asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {0} id")]
pub struct IdError(pub &'static str);

impl<K: Kind> FromStr for Id<K> {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let id: TypeSafeId<DynamicType> = text.parse().map_err(|_| IdError(K::PREFIX))?;
        if id.type_prefix() != K::PREFIX {
            return Err(IdError(K::PREFIX));
        }
        Ok(Self::from_bytes(*id.uuid().as_bytes()))
    }
}

impl<K: Kind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl<K: Kind> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K: Kind> Copy for Id<K> {}
impl<K: Kind> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}
impl<K: Kind> Eq for Id<K> {}
impl<K: Kind> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K: Kind> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.bytes.cmp(&other.bytes)
    }
}
impl<K: Kind> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

impl<K: Kind, DB: Backend> ToSql<Binary, DB> for Id<K>
where
    [u8]: ToSql<Binary, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        self.bytes.as_slice().to_sql(out)
    }
}

impl<K: Kind, DB: Backend> FromSql<Binary, DB> for Id<K>
where
    Vec<u8>: FromSql<Binary, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
        let bytes = Vec::<u8>::from_sql(bytes)?;
        let bytes = bytes.try_into().map_err(|_| "an id has 16 bytes")?;
        Ok(Self::from_bytes(bytes))
    }
}

/// Makes ids from the moment it is told and its own random numbers.
pub struct IdSource(Mutex<Source>);

struct Source {
    random: StdRng,
    /// The last id, as a number.
    last: u128,
}

/// The bits of an id that are random, less the first, so that there is room to count up.
const RANDOM_BITS: u32 = 62;

impl IdSource {
    /// Seeded from the operating system.
    pub fn random() -> Self {
        Self::of(StdRng::from_os_rng())
    }

    /// The same seed and moments give the same ids.
    pub fn seeded(seed: u64) -> Self {
        Self::of(StdRng::seed_from_u64(seed))
    }

    fn of(random: StdRng) -> Self {
        Self(Mutex::new(Source { random, last: 0 }))
    }

    /// A new id: 48 bits of milliseconds, 12 of the rest of the moment, 62 random; or for the moment
    /// of the last id, that one plus a random number under 2³², so that ids of one moment are in the
    /// order in which they were made (RFC 9562, 6.2, methods 3 and 2).
    pub fn id<K: Kind>(&self, now: Timestamp) -> Id<K> {
        let us = u64::try_from(now.0).unwrap_or(0);
        let fraction = u128::from((us % 1_000) * 4_096 / 1_000);
        let prefix = (u128::from(us / 1_000) << 80) | (0x7 << 76) | (fraction << 64) | (0b10 << 62);
        let mut source = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let step = u128::from(source.random.next_u32()) + 1;
        let next = source.last + step;
        let id = if next >> RANDOM_BITS == prefix >> RANDOM_BITS {
            next
        } else {
            // The first random bit is 0: room for two thousand million steps.
            prefix | u128::from(source.random.next_u64() >> 3)
        };
        source.last = id;
        Id::from_bytes(id.to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let id: JobId = IdSource::seeded(1).id(Timestamp(1_800_000_000_000_123));
        let text = id.to_string();
        assert!(text.starts_with("job_"), "{text}");
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(text.parse::<LeaseId>(), Err(IdError("lease")));
        assert!("job_x".parse::<JobId>().is_err());
        assert!("".parse::<JobId>().is_err());
    }

    #[test]
    fn later_ids_sort_later() {
        let source = IdSource::seeded(7);
        let ids: Vec<JobId> = (0..2_000).map(|us| source.id(Timestamp(us / 3))).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        for id in ids {
            let uuid = Uuid::from_bytes(id.bytes);
            assert_eq!(uuid.get_version_num(), 7);
            assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
        }
    }
}
