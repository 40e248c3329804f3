//! Proof to outsiders: a signed chain of blocks over the committed rows, and a Merkle-sum tree over
//! what is owed.
//!
//! - [`seal`] appends blocks. A block has a record, kind, id and digest, of each asset, account,
//!   transaction (with entries, metadata and what explains it), hold event and period event that is
//!   in no block yet; the hash of the block before; and from time to time the roots of what is owed.
//!   Its SHA-256 is signed with Ed25519.
//! - [`verify`] derives all of it again from the rows and names what was changed since.
//! - [`prove`] answers one account's balance with its path to a signed root; [`check_proof`] checks
//!   that offline.
//!
//! What is not in records follows from them: balances and days from entries, holds from their
//! events, periods from theirs. `verify` compares those too.
//!
//! # What it does not show
//! Who holds the key can sign another history, and who can write the database can cut blocks off the
//! end of the chain: keep the head's hash somewhere else from time to time. Rows that are not sealed
//! yet are protected by nothing.

mod block;
mod chain;
mod days;
mod hash;
mod inclusion;
mod liability;
mod rows;
mod seal;
mod sign;
mod tree;
mod unsealed;
mod verify;

pub use block::{Header, Owed};
pub(crate) use chain::sealed_between;
pub use hash::Hash;
pub use inclusion::{Checked, Proof, ProofError, check_proof, prove};
pub use liability::SNAPSHOTS_KEPT;
pub use seal::{Extent, Head, MAX_RECORDS, Sealed, head, seal, seal_in_blocks_of};
pub use sign::{KeyError, PublicKey, Signature, Signer};
pub use tree::{PAGE_LEAVES, Sibling, Step};
pub use verify::{MAX_TAMPERED, Tampered, VerifyReport, verify};
