//! Ed25519 keys of the sealer.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::hash::{Hash, parse_hex};

/// The text or the bytes are no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 key")]
pub struct KeyError;

/// Signs blocks. Where the private key is kept is the caller's business.
pub struct Signer {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl Signer {
    /// The key of a 32-byte seed (RFC 8032, 5.1.5).
    ///
    /// # Errors
    /// [`KeyError`] if the library refuses it.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, KeyError> {
        Self::new(Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError)?)
    }

    /// The key of a PKCS#8 document, version 1 or 2.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_pkcs8(document: &[u8]) -> Result<Self, KeyError> {
        Self::new(Ed25519KeyPair::from_pkcs8_maybe_unchecked(document).map_err(|_| KeyError)?)
    }

    fn new(pair: Ed25519KeyPair) -> Result<Self, KeyError> {
        let public = pair.public_key().as_ref().try_into().map_err(|_| KeyError)?;
        Ok(Self { pair, public: PublicKey(public) })
    }

    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Of a block's hash, which says in itself that it is a block's.
    pub(super) fn sign(&self, hash: &Hash) -> Signature {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(self.pair.sign(hash.as_bytes()).as_ref());
        Signature(bytes)
    }
}

/// A public key; 64 lower-case hexadecimal digits as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The first 16 hexadecimal digits of its SHA-256: what a block names its key by.
    pub fn id(&self) -> String {
        Hash::of(&self.0).to_string().chars().take(16).collect()
    }

    pub(super) fn signed(&self, hash: &Hash, signature: &Signature) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, self.0);
        key.verify(hash.as_bytes(), &signature.0).is_ok()
    }
}

/// An Ed25519 signature; 128 lower-case hexadecimal digits as text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub(super) [u8; 64]);

macro_rules! hex_text {
    ($type:ident) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $type {
            type Err = KeyError;

            fn from_str(text: &str) -> Result<Self, KeyError> {
                parse_hex(text).map(Self).ok_or(KeyError)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hex_text!(PublicKey);
hex_text!(Signature);
