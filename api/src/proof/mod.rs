//! Proof of the books: the sealer, and what outsiders check.

mod handlers;
mod sealer;

pub use handlers::configure;
pub use sealer::{Sealer, seal};

use ledger::proof::{PublicKey, Signer};
use store::Store;

use crate::keys::{self, Purpose};
use crate::problem::{Problem, Result};

/// The key that signs blocks, made if there is none.
pub fn signer(store: &Store) -> Result<Signer> {
    let (_, private) = keys::newest(store, Purpose::Ledger)?;
    Signer::from_pkcs8(&private).map_err(Problem::internal)
}

/// The public keys that may have signed blocks, the newest first.
pub fn public_keys(store: &Store) -> Result<Vec<PublicKey>> {
    let public = |(_, private): keys::Key| {
        Signer::from_pkcs8(&private).map(|signer| signer.public()).map_err(Problem::internal)
    };
    keys::load(store, Purpose::Ledger)?.into_iter().map(public).collect()
}
