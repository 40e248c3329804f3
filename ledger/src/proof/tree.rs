//! A Merkle tree that sums: each node commits to its children's hashes and sums, so that the root's
//! sum is the leaves' and no leaf can be left out of it. Pure.
//!
//! Neighbours are paired level by level; an odd node at the end is promoted as it is. A page is
//! 2¹⁰ leaves, so that pages never share a pair below their roots: the tree over the pages' roots is
//! the tree over all leaves.

use serde::{Deserialize, Serialize};
use store::{AccountId, Amount, PartyId};

use super::hash::Hash;
use crate::Code;

/// Leaves of a page.
pub const PAGE_LEAVES: usize = 1 << 10;

/// What one account is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    pub account: AccountId,
    pub party: PartyId,
    pub code: Code,
    /// In the account's own direction, micro-units, never negative.
    pub balance: Amount,
}

/// The codes under which the platform owes somebody, by a number that never changes.
pub(super) const LIABLE: [(u8, Code); 3] =
    [(1, Code::CustomerWallet), (2, Code::OwnerCash), (3, Code::OwnerCredits)];

/// The number of a code among the liabilities.
pub(super) fn liable(code: Code) -> Option<u8> {
    LIABLE.iter().find(|(_, liable)| *liable == code).map(|(number, _)| *number)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub hash: Hash,
    pub sum: Amount,
}

/// On which side of the path the sibling is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sibling {
    Left,
    Right,
}

/// One step from a leaf to the root: the sibling, whose sum shows, but not whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub side: Sibling,
    pub hash: Hash,
    /// Micro-units of the tree's asset.
    pub sum: Amount,
}

impl Leaf {
    /// `None` for a negative balance and for what is no liability.
    pub(super) fn node(&self, asset: &str) -> Option<Node> {
        if self.balance < Amount::ZERO {
            return None;
        }
        // Of the fields only the asset has no fixed length, and it is the last.
        let mut bytes = Vec::with_capacity(64);
        bytes.push(0);
        bytes.extend_from_slice(self.account.as_bytes());
        bytes.extend_from_slice(self.party.as_bytes());
        bytes.push(liable(self.code)?);
        bytes.extend_from_slice(&self.balance.0.to_be_bytes());
        bytes.extend_from_slice(asset.as_bytes());
        Some(Node { hash: Hash::of(&bytes), sum: self.balance })
    }
}

impl Node {
    /// `None` if a sum is negative or out of range.
    pub(super) fn parent(left: &Self, right: &Self) -> Option<Self> {
        if left.sum < Amount::ZERO || right.sum < Amount::ZERO {
            return None;
        }
        let sum = left.sum.checked_add(right.sum)?;
        let mut bytes = [0; 81];
        bytes[0] = 1;
        bytes[1..33].copy_from_slice(left.hash.as_bytes());
        bytes[33..41].copy_from_slice(&left.sum.0.to_be_bytes());
        bytes[41..73].copy_from_slice(right.hash.as_bytes());
        bytes[73..81].copy_from_slice(&right.sum.0.to_be_bytes());
        Some(Self { hash: Hash::of(&bytes), sum })
    }
}

/// The root over these nodes. `None` for no node, a negative sum, or one out of range.
pub(super) fn root(nodes: Vec<Node>) -> Option<Node> {
    climb(nodes, 0).map(|(root, _)| root)
}

/// The root over these nodes and the way to it from the one at `position`.
pub(super) fn climb(mut level: Vec<Node>, mut position: usize) -> Option<(Node, Vec<Step>)> {
    let mut path = Vec::new();
    while level.len() > 1 {
        let sibling = position ^ 1;
        if let Some(node) = level.get(sibling) {
            let side = if sibling < position { Sibling::Left } else { Sibling::Right };
            path.push(Step { side, hash: node.hash, sum: node.sum });
        }
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => Node::parent(left, right),
                odd => odd.first().copied(),
            })
            .collect::<Option<_>>()?;
        position /= 2;
    }
    level.first().map(|root| (*root, path))
}

/// Where a path from a node leads. `None` for a negative sum or one out of range.
pub(super) fn follow(from: Node, path: &[Step]) -> Option<Node> {
    path.iter().try_fold(from, |node, step| {
        let sibling = Node { hash: step.hash, sum: step.sum };
        match step.side {
            Sibling::Left => Node::parent(&sibling, &node),
            Sibling::Right => Node::parent(&node, &sibling),
        }
    })
}

/// The leaves of one asset in order of account id, and the roots of their pages, computed again only
/// where something changed.
#[derive(Default)]
pub(super) struct Leaves {
    leaves: Vec<Leaf>,
    /// One a page; `None` where it must be computed.
    pages: Vec<Option<Node>>,
}

impl Leaves {
    pub(super) fn len(&self) -> usize {
        self.leaves.len()
    }

    pub(super) fn pages(&self) -> impl Iterator<Item = &[Leaf]> {
        self.leaves.chunks(PAGE_LEAVES)
    }

    /// Puts an account in, with its balance, or changes its balance.
    pub(super) fn put(&mut self, leaf: Leaf) {
        let position = self.leaves.partition_point(|known| known.account < leaf.account);
        let page = position / PAGE_LEAVES;
        match self.leaves.get_mut(position) {
            Some(known) if known.account == leaf.account => {
                *known = leaf;
                self.pages[page] = None;
            }
            _ => {
                // Ids are in order of time: nearly always at the end.
                self.leaves.insert(position, leaf);
                self.pages.truncate(page);
                self.pages.resize(self.leaves.len().div_ceil(PAGE_LEAVES), None);
            }
        }
    }

    /// The roots of the pages. `None` for a negative balance or a sum out of range.
    pub(super) fn page_roots(&mut self, asset: &str) -> Option<Vec<Node>> {
        let pages = self.leaves.chunks(PAGE_LEAVES).zip(&mut self.pages);
        pages
            .map(|(leaves, known)| {
                if known.is_none() {
                    *known = page_root(leaves, asset);
                }
                *known
            })
            .collect()
    }
}

pub(super) fn page_root(leaves: &[Leaf], asset: &str) -> Option<Node> {
    root(leaves.iter().map(|leaf| leaf.node(asset)).collect::<Option<_>>()?)
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
