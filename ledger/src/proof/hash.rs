//! SHA-256 over canonical encodings.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use store::{Amount, Id, Kind, Timestamp};

/// A SHA-256 digest; 64 lower-case hexadecimal digits as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hash(pub(super) [u8; 32]);

impl Hash {
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// `None` unless there are 32 bytes.
    pub(super) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_hex(&text).map(Self).ok_or_else(|| serde::de::Error::custom("not a SHA-256 in hex"))
    }
}

/// Lower-case hexadecimal digits of exactly `N` bytes: one text for one value.
pub(super) fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let bytes: [u8; N] = hex::decode(text).ok()?.try_into().ok()?;
    (hex::encode(bytes) == text).then_some(bytes)
}

/// Fields one after another, each with its length, after the name of what they are: two values
/// with one encoding are the same value.
pub(super) struct Canon(Vec<u8>);

/// The length of what is not there.
const NONE: u32 = u32::MAX;

impl Canon {
    pub(super) fn new(name: &str) -> Self {
        Self(Vec::with_capacity(512)).text(name)
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        // Nothing in the book is near 4 GiB; if it were, the length would still not collide silently.
        let length = u32::try_from(bytes.len()).unwrap_or(NONE - 1);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    pub(super) fn id<K: Kind>(self, id: Id<K>) -> Self {
        self.bytes(id.as_bytes())
    }

    pub(super) fn number(self, number: i64) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    pub(super) fn amount(self, amount: Amount) -> Self {
        self.number(amount.0)
    }

    pub(super) fn moment(self, at: Timestamp) -> Self {
        self.number(at.0)
    }

    /// A value or, told apart from every value, none.
    pub(super) fn maybe<T>(mut self, value: Option<T>, put: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            Some(value) => put(self, value),
            None => {
                self.0.extend_from_slice(&NONE.to_be_bytes());
                self
            }
        }
    }

    pub(super) fn each<T>(self, values: &[T], put: impl Fn(Self, &T) -> Self) -> Self {
        let count = self.number(i64::try_from(values.len()).unwrap_or(i64::MAX));
        values.iter().fold(count, put)
    }

    pub(super) fn end(self) -> Hash {
        Hash::of(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_run_into_each_other() {
        let pair = |a, b| Canon::new("c").text(a).text(b).end();
        assert_ne!(pair("ab", "c"), pair("a", "bc"));
        let maybe = |value: Option<&str>| Canon::new("c").maybe(value, Canon::text).end();
        assert_ne!(maybe(None), maybe(Some("")));
        let list = |values: &[&str]| Canon::new("c").each(values, |c, v| c.text(v)).text("x").end();
        assert_ne!(list(&["x"]), list(&[]));
    }

    #[test]
    fn a_digest_has_one_text() {
        let hash = Hash::of(b"");
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hash.to_string(), text);
        assert_eq!(parse_hex(text), Some(hash.0));
        assert_eq!(parse_hex::<32>(&text.to_uppercase()), None);
        assert_eq!(parse_hex::<32>(&text[2..]), None);
    }
}
