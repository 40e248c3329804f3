//! The chart as a tree: what each account code has, and what everything under a word has.

use std::collections::BTreeMap;

use store::{Amount, Tx};

use super::name::{class, path};
use super::{AsOf, each_balance};
use crate::{Code, Error, Result};

/// A place in the chart, in one asset. Amounts are micro-units in the direction of the class: assets
/// and expenses grow by debits, all else by credits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// `Liabilities:Customers:Wallets`.
    pub path: String,
    pub asset: String,
    /// What accounts at this very place have.
    pub own: Amount,
    /// What they and all accounts below have.
    pub total: Amount,
    /// How many accounts that is.
    pub accounts: u64,
}

impl Node {
    /// How deep it is: 0 for a class.
    pub fn depth(&self) -> usize {
        self.path.matches(':').count()
    }

    /// The last word of the path.
    pub fn name(&self) -> &str {
        self.path.rsplit(':').next().unwrap_or_default()
    }
}

/// The chart with its balances, parents before children, by asset within a place. Only places that
/// have accounts.
///
/// # Errors
/// Faults of storage only.
pub fn tree(tx: &mut Tx<'_>, as_of: AsOf) -> Result<Vec<Node>> {
    let mut leaves: BTreeMap<(Code, String), Leaf> = BTreeMap::new();
    each_balance(tx, as_of, |row| {
        let debits = row.code.side().own(row.balance.posted).ok_or(Error::Overflow)?;
        let leaf = leaves.entry((row.code, row.asset)).or_default();
        leaf.debits = leaf.debits.checked_add(debits).ok_or(Error::Overflow)?;
        leaf.accounts += 1;
        Ok(())
    })?;
    roll_up(&leaves)
}

#[derive(Clone, Copy, Default)]
struct Leaf {
    debits: Amount,
    accounts: u64,
}

/// Pure.
fn roll_up(leaves: &BTreeMap<(Code, String), Leaf>) -> Result<Vec<Node>> {
    let mut nodes: BTreeMap<(&str, &str), Node> = BTreeMap::new();
    for ((code, asset), leaf) in leaves {
        let full = path(*code);
        let amount = match class(full) {
            "Assets" | "Expenses" => leaf.debits,
            _ => leaf.debits.0.checked_neg().map(Amount).ok_or(Error::Overflow)?,
        };
        let ends = full.match_indices(':').map(|(end, _)| end).chain([full.len()]);
        for path in ends.map(|end| &full[..end]) {
            let node = nodes.entry((path, asset)).or_insert_with(|| Node {
                path: path.to_owned(),
                asset: asset.clone(),
                own: Amount::ZERO,
                total: Amount::ZERO,
                accounts: 0,
            });
            let add = |sum: Amount| sum.checked_add(amount).ok_or(Error::Overflow);
            node.total = add(node.total)?;
            node.accounts += leaf.accounts;
            if path == full {
                node.own = add(node.own)?;
            }
        }
    }
    Ok(nodes.into_values().collect())
}
