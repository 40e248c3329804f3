//! That one balance is among what the platform signed that it owes.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use store::schema::liability_page;
use store::{AccountId, Amount, AnyConnection, PartyId, Timestamp, Tx};

use super::block::{Header, Owed, liabilities_digest};
use super::hash::Hash;
use super::liability::{self, read_leaves};
use super::sign::{PublicKey, Signature};
use super::tree::{self, Leaf, Node, Step};
use crate::{Code, Error, Result};

/// What a proof is called in its file.
const FORMAT: &str = "driveway balance proof 1";

/// The longest path: more leaves than there can be accounts.
const MAX_PATH: usize = 64;

/// Proof of a balance, complete in itself: [`check_proof`] needs no database and no network.
///
/// It shows the sums of the account's siblings on the way to the root, the nearest of which may be
/// one other account's balance, but never whose they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    pub format: String,
    pub account: AccountId,
    /// Whose account it is: compare it with your own id.
    pub party: PartyId,
    /// `customer_wallet`, `owner_cash` or `owner_credits`.
    pub code: String,
    pub asset: String,
    /// What was owed to the account, micro-units of the asset.
    pub balance: Amount,
    /// The block that says it.
    pub block: Header,
    pub hash: Hash,
    /// What was owed in all assets.
    pub liabilities: Vec<Owed>,
    /// From the account to the root of its asset.
    pub path: Vec<Step>,
    pub signature: Signature,
    pub public_key: PublicKey,
}

/// What a proof shows: that the holder of `key` signed, at `sealed_at`, that `total` was owed in
/// `asset` and `balance` of it to `account`. The total cannot leave this balance out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    pub account: AccountId,
    pub party: PartyId,
    pub code: String,
    pub asset: String,
    pub balance: Amount,
    /// What was owed to all accounts of the asset.
    pub total: Amount,
    pub block: i64,
    pub hash: Hash,
    pub sealed_at: Timestamp,
    pub key: PublicKey,
    /// True if the caller named the key; else the proof came with its own, and shows only that it
    /// is sound in itself.
    pub key_trusted: bool,
}

/// Why a proof does not hold, the first reason in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("it is no proof of this format")]
    Format,
    #[error("it is signed with another key than the one that is trusted")]
    OtherKey,
    #[error("the block's key is not the proof's")]
    KeyId,
    #[error("the block's hash is not that of what it says")]
    BlockHash,
    #[error("the signature does not hold")]
    Signature,
    #[error("the block says something else about what was owed")]
    Liabilities,
    #[error("nothing was owed in this asset")]
    Asset,
    #[error("the path does not lead from the balance to the root")]
    Path,
}

/// Checks a proof by itself. With `trusted`, it must be signed with that key.
///
/// # Errors
/// [`ProofError`]: any change of any field gives one.
pub fn check_proof(
    proof: &Proof,
    trusted: Option<&PublicKey>,
) -> std::result::Result<Checked, ProofError> {
    let must = |holds: bool, error| if holds { Ok(()) } else { Err(error) };
    must(proof.format == FORMAT && proof.path.len() <= MAX_PATH, ProofError::Format)?;
    must(trusted.is_none_or(|key| *key == proof.public_key), ProofError::OtherKey)?;
    must(proof.public_key.id() == proof.block.key_id, ProofError::KeyId)?;
    must(proof.block.hash() == proof.hash, ProofError::BlockHash)?;
    must(proof.public_key.signed(&proof.hash, &proof.signature), ProofError::Signature)?;
    let digest = Some(liabilities_digest(&proof.liabilities));
    must(proof.block.liabilities == digest, ProofError::Liabilities)?;
    let mut owed = proof.liabilities.iter().filter(|owed| owed.asset == proof.asset);
    let owed = owed.next().ok_or(ProofError::Asset)?;
    let root = Some(Node { hash: owed.root, sum: owed.total });
    must(
        leaf_of(proof).is_some_and(|leaf| tree::follow(leaf, &proof.path) == root),
        ProofError::Path,
    )?;
    Ok(Checked {
        account: proof.account,
        party: proof.party,
        code: proof.code.clone(),
        asset: proof.asset.clone(),
        balance: proof.balance,
        total: owed.total,
        block: proof.block.number,
        hash: proof.hash,
        sealed_at: proof.block.sealed_at,
        key: proof.public_key,
        key_trusted: trusted.is_some(),
    })
}

fn leaf_of(proof: &Proof) -> Option<Node> {
    let Proof { account, party, balance, .. } = *proof;
    Leaf { account, party, code: Code::parse(&proof.code)?, balance }.node(&proof.asset)
}

/// Proves what the newest block with liabilities says of an account. `keys` are the sealer's public
/// keys. `None` if the account is not in it: opened since, or not one of a customer or an owner.
///
/// It reads one page of leaves and the list of pages' roots.
///
/// # Errors
/// [`Error::UnknownAccount`]; [`Error::Store`] if what is stored does not prove it, or no key of
/// `keys` signed it.
pub fn prove(tx: &mut Tx<'_>, account: AccountId, keys: &[PublicKey]) -> Result<Option<Proof>> {
    let asset = load_asset(tx.conn, account)?;
    let Some(number) = liability::newest(tx.conn, 1)?.first().copied() else { return Ok(None) };
    let Some((page, leaves)) = load_page(tx.conn, number, &asset, account)? else {
        return Ok(None);
    };
    let Some(position) = leaves.iter().position(|leaf| leaf.account == account) else {
        return Ok(None);
    };
    let broken = || crate::Error::corrupt(&format!("what is stored does not prove {account}"));
    let nodes = leaves.iter().map(|leaf| leaf.node(&asset)).collect::<Option<Vec<_>>>();
    let (_, mut path) = nodes.and_then(|nodes| tree::climb(nodes, position)).ok_or_else(broken)?;
    let roots = load_page_roots(tx.conn, number, &asset)?;
    let page = usize::try_from(page).map_err(|_| broken())?;
    path.extend(tree::climb(roots, page).ok_or_else(broken)?.1);
    let (block, hash, signature) = load_block(tx.conn, number)?;
    let key = keys.iter().find(|key| key.id() == block.key_id);
    let leaf = leaves[position];
    let proof = Proof {
        format: FORMAT.to_owned(),
        account,
        party: leaf.party,
        code: leaf.code.text().to_owned(),
        asset,
        balance: leaf.balance,
        block,
        hash,
        liabilities: liability::load_owed(tx.conn, number)?,
        path,
        signature,
        public_key: *key
            .ok_or_else(|| crate::Error::corrupt("a block is signed with an unknown key"))?,
    };
    // What we hand out holds, or it is not handed out.
    match check_proof(&proof, key) {
        Ok(_) => Ok(Some(proof)),
        Err(reason) => Err(crate::Error::corrupt(&format!("the proof of {account}: {reason}"))),
    }
}

fn load_asset(conn: &mut AnyConnection, account: AccountId) -> Result<String> {
    use store::schema::account as table;
    let asset = table::table.find(account).select(table::asset).first(conn).optional()?;
    asset.ok_or(Error::UnknownAccount(account))
}

/// The number of the page on which an account would be, and its leaves.
fn load_page(
    conn: &mut AnyConnection,
    number: i64,
    asset: &str,
    account: AccountId,
) -> Result<Option<(i32, Vec<Leaf>)>> {
    let page: Option<(i32, Vec<u8>)> = liability_page::table
        .filter(liability_page::block.eq(number))
        .filter(liability_page::asset.eq(asset))
        .filter(liability_page::first_id.le(account))
        .filter(liability_page::last_id.ge(account))
        .select((liability_page::page, liability_page::leaves))
        .first(conn)
        .optional()?;
    let Some((page, bytes)) = page else { return Ok(None) };
    let leaves =
        read_leaves(&bytes).ok_or_else(|| crate::Error::corrupt("a page that is no page"))?;
    Ok(Some((page, leaves)))
}

fn load_page_roots(conn: &mut AnyConnection, number: i64, asset: &str) -> Result<Vec<Node>> {
    let roots: Vec<(Vec<u8>, Amount)> = liability_page::table
        .filter(liability_page::block.eq(number))
        .filter(liability_page::asset.eq(asset))
        .order(liability_page::page)
        .select((liability_page::hash, liability_page::total))
        .load(conn)?;
    let node = |(hash, sum): (Vec<u8>, Amount)| Some(Node { hash: Hash::from_slice(&hash)?, sum });
    let roots = roots.into_iter().map(node).collect::<Option<_>>();
    roots.ok_or_else(|| crate::Error::corrupt("a page's hash has 32 bytes"))
}

fn load_block(conn: &mut AnyConnection, number: i64) -> Result<(Header, Hash, Signature)> {
    let stored = super::chain::load(conn, number)?
        .ok_or_else(|| crate::Error::corrupt("a block is gone"))?;
    let parts = stored.read().ok_or_else(|| crate::Error::corrupt("a block that is none"))?;
    Ok((parts.header, parts.hash, parts.signature))
}
