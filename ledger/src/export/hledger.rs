//! The book as an hledger journal.

use std::collections::HashMap;
use std::io::Write;

use store::{AccountId, Amount, Day, Tx};

use super::journal::{JournalTransaction, Slice, assets, each_account, each_transaction};
use crate::report::hledger_name;
use crate::{Error, Result};

/// A journal that `hledger check --strict` accepts: accounts and commodities declared, debits
/// positive, and the balance of its account asserted behind every entry. Dates are the days of
/// posting in UTC; another day of the books is the secondary date (`hledger --date2`), another day
/// of effect the `effective` tag. Memory grows with the accounts, not with the entries.
///
/// # Errors
/// [`crate::Error::Output`], faults of storage.
pub fn hledger(tx: &mut Tx<'_>, out: &mut dyn Write) -> Result<()> {
    let mut out = std::io::BufWriter::new(out);
    declare(tx, &mut out)?;
    // Asserted from the entries in the order of this file: the stored balances follow the numbers of
    // the account's entries, which ids need not. The check compares those.
    let mut running: HashMap<AccountId, Amount> = HashMap::new();
    each_transaction(tx, &Slice::default(), |transaction| {
        heading(&mut out, transaction)?;
        for entry in &transaction.entries {
            let name = hledger_name(entry.code, entry.party);
            let (asset, amount) = (commodity(&entry.asset), entry.amount);
            let balance = running.entry(entry.account).or_default();
            *balance = balance.checked_add(amount).ok_or(Error::Overflow)?;
            writeln!(out, "    {name}  {asset} {amount} = {asset} {balance}")?;
        }
        writeln!(out)?;
        Ok(())
    })?;
    Ok(out.flush()?)
}

fn declare(tx: &mut Tx<'_>, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "decimal-mark .")?;
    for asset in assets(tx)? {
        writeln!(out, "commodity {} 1000.000000", commodity(&asset))?;
    }
    each_account(tx, |code, party| Ok(writeln!(out, "account {}", hledger_name(code, party))?))?;
    writeln!(out)?;
    Ok(())
}

fn heading(out: &mut dyn Write, transaction: &JournalTransaction) -> Result<()> {
    let JournalTransaction { id, date, kind, subject, effective_at, booked_on, .. } = transaction;
    let effective = Day::of(*effective_at);
    write!(out, "{date}")?;
    if date != booked_on {
        write!(out, "={booked_on}")?;
    }
    write!(out, " * ({id}) {kind} | {}", one_line(subject))?;
    if *date != effective {
        write!(out, "  ; effective:{effective}")?;
    }
    writeln!(out)?;
    if let Some((relation, to)) = &transaction.refers {
        writeln!(out, "    ; {relation}:{to}")?;
    }
    for (name, value) in &transaction.metadata {
        writeln!(out, "    ; {}:{}", tag(name), one_line(value).replace(',', " "))?;
    }
    Ok(())
}

/// A text that stays on its line of a journal and begins no comment.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || c == ';' { ' ' } else { c }).collect()
}

/// A name as a tag has it: no space, no colon.
fn tag(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect()
}

/// Symbols of more than letters stand in quotes.
fn commodity(asset: &str) -> String {
    match asset.chars().all(char::is_alphabetic) {
        true => asset.to_owned(),
        false => format!("\"{asset}\""),
    }
}
