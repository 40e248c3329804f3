//! Derives everything that is proved again from the rows.
//!
//! First the chain: each block's hash, link and signature, each record's digest from its rows, and
//! what is owed from the entries of the records so far. Then what follows from records: the check of
//! the book, days, periods, moments. Memory grows with accounts, not with entries.

mod chain;
mod derived;

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;
use store::{AccountId, Amount, PartyId, Tx};

use super::block::Kind;
use super::liability::Book;
use super::seal::Head;
use super::sign::PublicKey;
use super::tree::{Leaf, liable};
use crate::{Code, Error, Result, check};

/// No more than so many are listed.
pub const MAX_TAMPERED: usize = 100;

/// Something that is not as it was sealed, or does not follow from what was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tampered {
    /// The block that says otherwise, if one does.
    pub block: Option<i64>,
    /// Table, or table and column.
    pub what: String,
    /// TypeID, code or number of the row.
    pub id: String,
    pub why: String,
}

impl fmt::Display for Tampered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.what, self.id)?;
        if let Some(block) = self.block.filter(|_| self.what != "block") {
            write!(f, " (block {block})")?;
        }
        write!(f, ": {}", self.why)
    }
}

/// What was derived and what does not agree.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct VerifyReport {
    pub blocks: u64,
    /// Records in the blocks.
    pub records: u64,
    /// Committed records that are in no block yet.
    pub unsealed: u64,
    /// Blocks whose statement of what is owed was derived again.
    pub statements: u64,
    pub accounts: u64,
    pub transactions: u64,
    pub entries: u64,
    /// Number and hash of the last block: to be kept elsewhere. `None` before the first.
    pub head: Option<Head>,
    /// Empty if nothing was tampered with. The first is what the rest may follow from; at most
    /// [`MAX_TAMPERED`] are listed.
    pub tampered: Vec<Tampered>,
}

impl VerifyReport {
    /// True if everything is as it was sealed.
    pub fn holds(&self) -> bool {
        self.tampered.is_empty()
    }

    fn list(
        &mut self,
        block: Option<i64>,
        what: impl Into<String>,
        id: impl fmt::Display,
        why: impl Into<String>,
    ) {
        if self.tampered.len() < MAX_TAMPERED {
            let (what, id, why) = (what.into(), id.to_string(), why.into());
            self.tampered.push(Tampered { block, what, id, why });
        }
    }

    /// Lists a stored value that is not the derived one.
    fn compare<T: PartialEq + fmt::Display>(
        &mut self,
        block: Option<i64>,
        what: &str,
        id: impl fmt::Display,
        (stored, derived): (T, T),
    ) {
        if stored != derived {
            self.list(block, what, id, format!("it says {stored}, {derived} follows"));
        }
    }
}

/// Derives everything again, as of the transaction's snapshot: call it in [`store::Store::read`].
/// `keys` are the public keys that may have signed.
///
/// # Errors
/// Faults of storage only: what is wrong is in the report.
pub fn verify(tx: &mut Tx<'_>, keys: &[PublicKey]) -> Result<VerifyReport> {
    let mut walk = Walk::default();
    chain::walk(tx.conn, &mut walk, keys)?;
    derived::compare_head(tx.conn, &mut walk)?;
    let derived = compare_book(tx, &mut walk);
    if let Some(why) = unreadable(derived)? {
        walk.report.list(None, "a row", "that cannot be read", why);
    }
    Ok(walk.report)
}

fn compare_book(tx: &mut Tx<'_>, walk: &mut Walk) -> Result<()> {
    let checked = check::check(tx)?;
    walk.report.accounts = checked.accounts;
    walk.report.transactions = checked.transactions;
    walk.report.entries = checked.entries;
    for found in checked.differences {
        let why = format!("it says {}, {} follows", found.stored, found.derived);
        walk.report.list(None, found.what, found.id, why);
    }
    derived::compare(tx.conn, walk)
}

/// What a row says that no row of ours can say: found, and no fault of storage.
fn unreadable<T>(answer: Result<T>) -> Result<Option<String>> {
    use diesel::result::Error::DeserializationError;
    match answer {
        Ok(_) => Ok(None),
        Err(Error::Store(store::Error::Database(DeserializationError(why)))) => {
            Ok(Some(why.to_string()))
        }
        Err(fault) => Err(fault),
    }
}

/// What the records so far come to.
#[derive(Default)]
struct Walk {
    report: VerifyReport,
    accounts: HashMap<AccountId, Sealed>,
    book: Book,
    /// Rows that are there, by kind.
    found: HashMap<Kind, i64>,
    /// Rows that the tables of the chain must have: spans, roots, pages.
    expected: Expected,
}

#[derive(Default)]
struct Expected {
    spans: i64,
    roots: i64,
    pages: i64,
}

/// An account by its sealed entries.
#[derive(Default)]
struct Sealed {
    /// Debits less credits.
    posted: Amount,
    /// Largest number of an entry.
    top: i64,
    /// If it is a liability: code, party, asset.
    owed: Option<(Code, PartyId, String)>,
}

impl Walk {
    fn add_account(&mut self, id: AccountId, code: &str, party: PartyId, asset: String) {
        let code = Code::parse(code).filter(|code| liable(*code).is_some());
        let account = self.accounts.entry(id).or_default();
        account.owed = code.map(|code| (code, party, asset));
        put_leaf(&mut self.book, id, account);
    }

    /// False if a sum leaves the range.
    fn add_entry(&mut self, entry: &super::rows::Entry) -> bool {
        let account = self.accounts.entry(entry.account).or_default();
        let Some(posted) = account.posted.checked_add(entry.amount) else { return false };
        account.posted = posted;
        account.top = account.top.max(entry.number);
        put_leaf(&mut self.book, entry.account, account);
        true
    }
}

fn put_leaf(book: &mut Book, id: AccountId, account: &Sealed) {
    let Some((code, party, asset)) = &account.owed else { return };
    // The least there is has no opposite: it is no balance of a customer in any case.
    let balance = code.side().own(account.posted).unwrap_or(account.posted);
    let leaf = Leaf { account: id, party: *party, code: *code, balance };
    match book.get_mut(asset) {
        Some(leaves) => leaves.put(leaf),
        None => book.entry(asset.clone()).or_default().put(leaf),
    }
}
