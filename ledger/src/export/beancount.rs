//! The book as a beancount file.

use std::collections::{BTreeSet, HashMap};
use std::io::Write;

use store::{AccountId, Amount, Day, PartyId, Tx};

use super::journal::{
    JournalEntry, JournalTransaction, Slice, assets, each_account, each_transaction,
};
use crate::report::full_path;
use crate::{Code, Error, Result};

/// A file that `bean-check` accepts: accounts opened, debits positive, and the balances of the
/// accounts that moved asserted behind every day. Dates are the days of posting in UTC; the other
/// times, ids and metadata are metadata of the transaction. Memory grows with the accounts, not with
/// the entries.
///
/// # Errors
/// [`crate::Error::Output`], faults of storage.
pub fn beancount(tx: &mut Tx<'_>, out: &mut dyn Write) -> Result<()> {
    let mut out = std::io::BufWriter::new(out);
    writeln!(out, "option \"title\" \"Driveway\"")?;
    let assets = assets(tx)?;
    for asset in &assets {
        writeln!(out, "1970-01-01 commodity {asset}")?;
    }
    each_account(tx, |code, party| {
        Ok(writeln!(out, "1970-01-01 open {}", full_path(code, party))?)
    })?;
    let mut balances = Balances { assets, accounts: HashMap::new(), moved: BTreeSet::new() };
    let mut day = None;
    each_transaction(tx, &Slice::default(), |transaction| {
        if day.is_some_and(|day| day < transaction.date) {
            balances.assert(&mut out, transaction.date)?;
        }
        day = Some(transaction.date);
        write_transaction(&mut out, transaction)?;
        transaction.entries.iter().try_for_each(|entry| balances.add(entry))
    })?;
    if let Some(day) = day {
        balances.assert(&mut out, day.next())?;
    }
    Ok(out.flush()?)
}

/// What the accounts have so far.
struct Balances {
    assets: Vec<String>,
    accounts: HashMap<AccountId, Running>,
    /// Since the last assertion.
    moved: BTreeSet<AccountId>,
}

/// Small: there is one for each account.
struct Running {
    code: Code,
    party: PartyId,
    /// Its place in the list of assets.
    asset: u16,
    /// Debits less credits.
    balance: Amount,
}

impl Balances {
    fn add(&mut self, entry: &JournalEntry) -> Result<()> {
        let place = self.assets.binary_search(&entry.asset);
        let place =
            place.map_err(|_| Error::corrupt(&format!("there is no asset {}", entry.asset)))?;
        let running = self.accounts.entry(entry.account).or_insert_with(|| Running {
            code: entry.code,
            party: entry.party,
            asset: u16::try_from(place).unwrap_or_default(),
            balance: Amount::ZERO,
        });
        running.balance = running.balance.checked_add(entry.amount).ok_or(Error::Overflow)?;
        self.moved.insert(entry.account);
        Ok(())
    }

    /// Asserts what moved, as of the start of `day`.
    fn assert(&mut self, out: &mut dyn Write, day: Day) -> Result<()> {
        writeln!(out)?;
        for id in std::mem::take(&mut self.moved) {
            let Some(Running { code, party, asset, balance }) = self.accounts.get(&id) else {
                continue;
            };
            let asset = self.assets.get(usize::from(*asset)).map_or("", String::as_str);
            // To the last micro-unit: beancount would let two of them pass.
            writeln!(out, "{day} balance {}  {balance} ~ 0 {asset}", full_path(*code, *party))?;
        }
        Ok(())
    }
}

fn write_transaction(out: &mut dyn Write, of: &JournalTransaction) -> Result<()> {
    writeln!(out, "\n{} * {} {}", of.date, quoted(&of.kind), quoted(&of.subject))?;
    writeln!(out, "  id: \"{}\"", of.id)?;
    writeln!(out, "  posted: \"{}\"", of.posted_at)?;
    writeln!(out, "  effective: {}", Day::of(of.effective_at))?;
    writeln!(out, "  booked: {}", of.booked_on)?;
    if let Some((relation, to)) = &of.refers {
        writeln!(out, "  {relation}: \"{to}\"")?;
    }
    let mut keys = BTreeSet::new();
    for (name, value) in &of.metadata {
        writeln!(out, "  {}: {}", metadata_key(&mut keys, name), quoted(value))?;
    }
    for entry in &of.entries {
        let name = full_path(entry.code, entry.party);
        writeln!(out, "  {name}  {} {}", entry.amount, entry.asset)?;
    }
    Ok(())
}

/// A key that beancount takes, no two alike in one transaction.
fn metadata_key(used: &mut BTreeSet<String>, name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let mut key: String = "m-".chars().chain(name.chars().map(plain)).collect();
    while !used.insert(key.clone()) {
        key.push('-');
    }
    key
}

fn quoted(text: &str) -> String {
    let line = text.replace(char::is_control, " ");
    format!("\"{}\"", line.replace('\\', "\\\\").replace('"', "\\\""))
}
