//! Personal data at rest: sealed with AES-256-GCM under a key that no backup of single tables and no
//! query of others' holds. Whoever has the whole database has the key too: what this keeps from, are
//! logs, extracts, replicas of chosen tables, and eyes that only look.
//!
//! What is sealed says what it is (`vehicle vin`, `payout account`): a value that is moved into
//! another place does not open there.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::{hmac, rand};
use diesel::prelude::*;

use crate::schema::data_key;
use crate::{Error, Result, Store};

const KEY: usize = 32;
const NONCE: usize = 12;

/// Seals and opens. Cheap to clone.
#[derive(Clone)]
pub struct Seal(Arc<Keys>);

struct Keys {
    /// By number, the newest last.
    keys: Vec<(i32, RandomizedNonceKey)>,
    digests: hmac::Key,
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// The keys of a database. The first process on it makes one.
    ///
    /// # Errors
    /// Those of the database, [`Error::Corrupt`] for a key that is none.
    pub fn load(store: &Store) -> Result<Self> {
        loop {
            let rows: Vec<(i32, Vec<u8>)> = store.read(|tx| {
                let rows = data_key::table.select((data_key::number, data_key::secret));
                Ok::<_, Error>(rows.order(data_key::number).load(tx.conn)?)
            })?;
            if !rows.is_empty() {
                return Self::with(&rows);
            }
            match make_first(store) {
                Err(error) if !error.is_unique_violation() => return Err(error),
                _ => {}
            }
        }
    }

    fn with(rows: &[(i32, Vec<u8>)]) -> Result<Self> {
        let mut keys = Vec::with_capacity(rows.len());
        for (number, secret) in rows {
            // A key for each use, derived: what is sealed says nothing of what is digested.
            let secret = derive(secret, b"seal");
            keys.push((*number, RandomizedNonceKey::new(&AES_256_GCM, &secret).map_err(broken)?));
        }
        let first = rows.first().map(|(_, secret)| derive(secret, b"digest"));
        let first = first.ok_or_else(|| Error::Corrupt("no data key".into()))?;
        Ok(Self(Arc::new(Keys { keys, digests: hmac::Key::new(hmac::HMAC_SHA256, &first) })))
    }

    /// Seals `plain` as a `what`. Twice the same gives other bytes.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the library fails, which it does not.
    pub fn seal(&self, what: &str, plain: &[u8]) -> Result<Vec<u8>> {
        let (number, key) =
            self.0.keys.last().ok_or_else(|| Error::Corrupt("no data key".into()))?;
        let mut bytes = plain.to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::from(what), &mut bytes).map_err(broken)?;
        let mut sealed = Vec::with_capacity(4 + NONCE + bytes.len());
        sealed.extend_from_slice(&number.to_be_bytes());
        sealed.extend_from_slice(nonce.as_ref());
        sealed.extend_from_slice(&bytes);
        Ok(sealed)
    }

    /// What was sealed as a `what`.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for what was changed, was sealed as something else, or whose key is gone.
    pub fn open(&self, what: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        let wrong = || Error::Corrupt(format!("a sealed {what} does not open"));
        let (number, rest) = sealed.split_first_chunk::<4>().ok_or_else(wrong)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE>().ok_or_else(wrong)?;
        let number = i32::from_be_bytes(*number);
        let key = self.0.keys.iter().find(|(of, _)| *of == number).ok_or_else(wrong)?;
        let mut bytes = rest.to_vec();
        let nonce = Nonce::from(nonce);
        let plain = key.1.open_in_place(nonce, Aad::from(what), &mut bytes).map_err(|_| wrong())?;
        Ok(plain.to_vec())
    }

    /// A keyed digest by which a sealed `what` is found, or a message is known to be ours. It stays
    /// the same when keys are added.
    pub fn digest(&self, what: &str, plain: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0.digests);
        context.update(what.as_bytes());
        context.update(&[0]);
        context.update(plain);
        context.sign().as_ref().try_into().unwrap_or_default()
    }
}

fn make_first(store: &Store) -> Result<()> {
    let mut secret = [0; KEY];
    rand::fill(&mut secret).map_err(broken)?;
    store.write(|tx| {
        diesel::insert_into(data_key::table)
            .values((
                data_key::number.eq(1),
                data_key::secret.eq(secret.as_slice()),
                data_key::created_at.eq(tx.now),
            ))
            .execute(tx.conn)?;
        Ok(())
    })
}

fn derive(secret: &[u8], use_: &[u8]) -> [u8; KEY] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    hmac::sign(&key, use_).as_ref().try_into().unwrap_or_default()
}

fn broken(_: aws_lc_rs::error::Unspecified) -> Error {
    Error::Corrupt("a data key does not work".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::on_both_databases! {
        fn what_was_sealed_opens_as_what_it_is_and_unchanged(db) {
            let seal = Seal::load(&db.store).unwrap();
            let sealed = seal.seal("vin", b"5YJ3E1EA7KF000316").unwrap();
            assert!(!sealed.windows(5).any(|part| part == b"5YJ3E"));
            assert_ne!(seal.seal("vin", b"5YJ3E1EA7KF000316").unwrap(), sealed);
            // Another process on the same database has the same keys.
            let other = Seal::load(&db.store).unwrap();
            assert_eq!(other.open("vin", &sealed).unwrap(), b"5YJ3E1EA7KF000316");
            assert_eq!(other.digest("vin", b"a"), seal.digest("vin", b"a"));
            assert_ne!(seal.digest("vin", b"a"), seal.digest("iban", b"a"));
            assert_ne!(seal.digest("vin", b"a"), seal.digest("vin", b"b"));
            assert!(other.open("iban", &sealed).is_err());
            for at in 0..sealed.len() {
                let mut changed = sealed.clone();
                changed[at] ^= 1;
                assert!(other.open("vin", &changed).is_err(), "byte {at}");
            }
            for len in [0, 3, 4, 15, 16, sealed.len() - 1] {
                assert!(other.open("vin", &sealed[..len]).is_err(), "{len} bytes");
            }
        }
    }

    crate::on_both_databases! {
        fn a_new_key_seals_and_the_old_one_opens_still(db) {
            let before = Seal::load(&db.store).unwrap();
            let sealed = before.seal("vin", b"x").unwrap();
            db.store.write(|tx| {
                let row = (data_key::number.eq(2), data_key::secret.eq(vec![7; KEY]),
                    data_key::created_at.eq(tx.now));
                diesel::insert_into(data_key::table).values(row).execute(tx.conn)?;
                Ok::<_, Error>(())
            }).unwrap();
            let after = Seal::load(&db.store).unwrap();
            assert_eq!(after.open("vin", &sealed).unwrap(), b"x");
            assert_eq!(after.digest("vin", b"x"), before.digest("vin", b"x"));
            assert!(before.open("vin", &after.seal("vin", b"x").unwrap()).is_err());
        }
    }
}
