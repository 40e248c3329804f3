//! Private keys. They live in the database, so that every node on it signs with the same ones.

use aws_lc_rs::signature::Ed25519KeyPair;
use diesel::prelude::*;
use store::Store;
use store::schema::signing_key;

use crate::problem::{Code, Problem, Result};

/// What a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Tokens,
    /// Blocks of the ledger: their ids begin with `ledger-`.
    Ledger,
}

const LEDGER: &str = "ledger-%";

impl Purpose {
    /// Of the first key: of two nodes that start at once, one makes it.
    fn first_id(self) -> &'static str {
        match self {
            Self::Tokens => "1",
            Self::Ledger => "ledger-1",
        }
    }
}

/// An Ed25519 key: its id and its PKCS#8 document.
pub type Key = (String, Vec<u8>);

/// The keys for a purpose, the newest first.
pub fn load(store: &Store, purpose: Purpose) -> Result<Vec<Key>> {
    store.read(|tx| {
        let rows = signing_key::table
            .select((signing_key::id, signing_key::private))
            .order((signing_key::created_at.desc(), signing_key::id));
        let keys = match purpose {
            Purpose::Tokens => rows.filter(signing_key::id.not_like(LEDGER)).load(tx.conn),
            Purpose::Ledger => rows.filter(signing_key::id.like(LEDGER)).load(tx.conn),
        };
        Ok(keys?)
    })
}

/// The newest key for a purpose; the first node to ask makes it.
pub fn newest(store: &Store, purpose: Purpose) -> Result<Key> {
    loop {
        if let Some(key) = load(store, purpose)?.into_iter().next() {
            return Ok(key);
        }
        let made = store.write(|tx| {
            let pair = Ed25519KeyPair::generate().map_err(Problem::internal)?;
            let private = pair.to_pkcs8v1().map_err(Problem::internal)?;
            let added = diesel::insert_into(signing_key::table)
                .values((
                    signing_key::id.eq(purpose.first_id()),
                    signing_key::private.eq(private.as_ref()),
                    signing_key::created_at.eq(tx.now),
                ))
                .execute(tx.conn);
            match added.map_err(store::Error::from) {
                Err(error) if error.is_unique_violation() => Err(Problem::new(Code::WrongState)),
                added => Ok(added.map(drop)?),
            }
        });
        match made {
            Err(problem) if problem.code != Code::WrongState => return Err(problem),
            _ => {}
        }
    }
}
