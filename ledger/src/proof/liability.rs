//! What the platform owes, taken at a block: a Merkle-sum tree per asset, stored as pages of leaves.

use std::collections::BTreeMap;

use diesel::prelude::*;
use store::schema::{account, balance, block, liability_page, liability_root};
use store::{AccountId, Amount, AnyConnection, PartyId};

use super::block::{Owed, liabilities_digest};
use super::hash::Hash;
use super::tree::{self, LIABLE, Leaf, Leaves, Node, liable};
use crate::account::store::parse_code;
use crate::{Error, Result};

/// Snapshots whose pages are kept; the roots of all are.
pub const SNAPSHOTS_KEPT: usize = 3;

/// Bytes of a leaf in a page: account, party, number of the code, balance.
const LEAF_BYTES: usize = 16 + 16 + 1 + 8;

/// The leaves of every asset in which a customer or an owner has an account.
pub(super) type Book = BTreeMap<String, Leaves>;

/// What a block says is owed, and the pages that prove it.
pub(super) struct Snapshot {
    pub owed: Vec<Owed>,
    pub pages: Vec<Page>,
}

#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub(super) struct Page {
    pub asset: String,
    pub page: i32,
    pub first_id: AccountId,
    pub last_id: AccountId,
    pub leaves: Vec<u8>,
    pub total: Amount,
    pub hash: Vec<u8>,
}

impl Snapshot {
    pub(super) fn digest(&self) -> Hash {
        liabilities_digest(&self.owed)
    }
}

/// What is owed in each asset. `None` if a balance is negative or a total out of range.
pub(super) fn owed(book: &mut Book) -> Option<Vec<Owed>> {
    let owed = |(asset, leaves): (&String, &mut Leaves)| {
        let root = tree::root(leaves.page_roots(asset)?)?;
        let accounts = i64::try_from(leaves.len()).ok()?;
        Some(Owed { asset: asset.clone(), accounts, total: root.sum, root: root.hash })
    };
    book.iter_mut().map(owed).collect()
}

/// The pages of all assets, in order of asset and number, one at a time. Those of an asset in which
/// something is out of range are left out.
pub(super) fn pages(book: &mut Book) -> impl Iterator<Item = Page> {
    book.iter_mut().flat_map(|(asset, leaves)| {
        let roots = leaves.page_roots(asset).unwrap_or_default();
        let pages = (0..).zip(leaves.pages().zip(roots));
        pages.filter_map(|(number, (page, root))| encode_page(asset, number, page, root))
    })
}

fn encode_page(asset: &str, page: i32, leaves: &[Leaf], root: Node) -> Option<Page> {
    let mut bytes = Vec::with_capacity(leaves.len() * LEAF_BYTES);
    for leaf in leaves {
        bytes.extend_from_slice(leaf.account.as_bytes());
        bytes.extend_from_slice(leaf.party.as_bytes());
        bytes.push(liable(leaf.code)?);
        bytes.extend_from_slice(&leaf.balance.0.to_be_bytes());
    }
    Some(Page {
        asset: asset.to_owned(),
        page,
        first_id: leaves.first()?.account,
        last_id: leaves.last()?.account,
        leaves: bytes,
        total: root.sum,
        hash: root.hash.as_bytes().to_vec(),
    })
}

/// The leaves of a stored page. `None` if the bytes are none.
pub(super) fn read_leaves(bytes: &[u8]) -> Option<Vec<Leaf>> {
    bytes
        .chunks(LEAF_BYTES)
        .map(|bytes| {
            let (account, rest) = bytes.split_at_checked(16)?;
            let (party, rest) = rest.split_at_checked(16)?;
            let (number, balance) = rest.split_first()?;
            let (_, code) = LIABLE.iter().find(|(liable, _)| liable == number)?;
            Some(Leaf {
                account: AccountId::from_bytes(account.try_into().ok()?),
                party: PartyId::from_bytes(party.try_into().ok()?),
                code: *code,
                balance: Amount(i64::from_be_bytes(balance.try_into().ok()?)),
            })
        })
        .collect()
}

const ACCOUNTS_AT_ONCE: i64 = 5_000;

/// What is owed now, by the stored balances.
pub(super) fn take(conn: &mut AnyConnection) -> Result<Snapshot> {
    let mut book = Book::new();
    let mut after = AccountId::NIL;
    loop {
        let page: Vec<(AccountId, String, PartyId, String, Amount)> = account::table
            .inner_join(balance::table.on(balance::account_id.eq(account::id)))
            .filter(account::id.gt(after))
            .filter(account::code.eq_any(LIABLE.map(|(_, code)| code.text())))
            .order(account::id)
            .limit(ACCOUNTS_AT_ONCE)
            .select((
                account::id,
                account::code,
                account::party_id,
                account::asset,
                balance::posted,
            ))
            .load(conn)?;
        let Some((last, ..)) = page.last() else { break };
        after = *last;
        for (account, code, party, asset, posted) in page {
            let code = parse_code(&code)?;
            let balance = code.side().own(posted).ok_or(Error::Overflow)?;
            let leaf = Leaf { account, party, code, balance };
            book.entry(asset).or_default().put(leaf);
        }
    }
    let owed = owed(&mut book);
    let owed =
        owed.ok_or_else(|| crate::Error::corrupt("what is owed is negative or out of range"))?;
    Ok(Snapshot { owed, pages: pages(&mut book).collect() })
}

/// Stores a snapshot and lets go of the oldest pages.
pub(super) fn store(conn: &mut AnyConnection, number: i64, snapshot: &Snapshot) -> Result<()> {
    for owed in &snapshot.owed {
        let row = (
            liability_root::block.eq(number),
            liability_root::asset.eq(&owed.asset),
            liability_root::accounts.eq(owed.accounts),
            liability_root::total.eq(owed.total),
            liability_root::root.eq(owed.root.as_bytes().as_slice()),
        );
        diesel::insert_into(liability_root::table).values(row).execute(conn)?;
    }
    for page in &snapshot.pages {
        let row = (
            liability_page::block.eq(number),
            liability_page::asset.eq(&page.asset),
            liability_page::page.eq(page.page),
            liability_page::first_id.eq(page.first_id),
            liability_page::last_id.eq(page.last_id),
            liability_page::leaves.eq(&page.leaves),
            liability_page::total.eq(page.total),
            liability_page::hash.eq(&page.hash),
        );
        diesel::insert_into(liability_page::table).values(row).execute(conn)?;
    }
    let kept = newest(conn, SNAPSHOTS_KEPT)?;
    if let (Some(oldest), true) = (kept.last(), kept.len() == SNAPSHOTS_KEPT) {
        let old = liability_page::table.filter(liability_page::block.lt(*oldest));
        diesel::delete(old).execute(conn)?;
    }
    Ok(())
}

/// The newest blocks that say what was owed, the newest first.
pub(super) fn newest(conn: &mut AnyConnection, limit: usize) -> Result<Vec<i64>> {
    Ok(block::table
        .filter(block::liabilities.is_not_null())
        .order(block::number.desc())
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .select(block::number)
        .load(conn)?)
}

/// What a block says was owed, in order of asset.
pub(super) fn load_owed(conn: &mut AnyConnection, number: i64) -> Result<Vec<Owed>> {
    let rows: Vec<(String, i64, Amount, Vec<u8>)> = liability_root::table
        .filter(liability_root::block.eq(number))
        .order(liability_root::asset)
        .select((
            liability_root::asset,
            liability_root::accounts,
            liability_root::total,
            liability_root::root,
        ))
        .load(conn)?;
    let owed = |(asset, accounts, total, root): (String, i64, Amount, Vec<u8>)| {
        // A root of another length is no root: it will not be equal to any.
        let root = Hash::from_slice(&root).unwrap_or_default();
        Owed { asset, accounts, total, root }
    };
    Ok(rows.into_iter().map(owed).collect())
}

/// A stored page.
pub(super) fn load_page(
    conn: &mut AnyConnection,
    number: i64,
    asset: &str,
    page: i32,
) -> Result<Option<Page>> {
    Ok(liability_page::table
        .find((number, asset, page))
        .select((
            liability_page::asset,
            liability_page::page,
            liability_page::first_id,
            liability_page::last_id,
            liability_page::leaves,
            liability_page::total,
            liability_page::hash,
        ))
        .first(conn)
        .optional()?)
}
