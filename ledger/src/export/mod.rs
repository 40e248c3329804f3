//! The book as text for other programs, streamed page by page in order of transaction id.

mod journal;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use diesel::prelude::*;
use store::schema::asset;
use store::{Amount, PartyId, TransactionId, Tx};

use crate::account::store::parse_code;
use crate::report::account_page;
use crate::{Code, Error, Result};
use journal::{JournalEntry, JournalTransaction, page};

/// One row per entry, RFC 4180 with a header. Debits and credits are both positive; the balance
/// after the entry is debits less credits, and the number is the entry's place in its account's
/// history. Times are RFC 3339 in UTC.
///
/// # Errors
/// [`crate::Error::Output`], faults of storage.
pub fn csv(tx: &mut Tx<'_>, out: &mut dyn Write) -> Result<()> {
    let mut rows = csv::Writer::from_writer(out);
    let header = [
        "transaction",
        "kind",
        "subject",
        "posted_at",
        "effective_at",
        "line",
        "account",
        "party",
        "asset",
        "debit",
        "credit",
        "balance_after",
        "number",
    ];
    rows.write_record(header).map_err(output)?;
    each_transaction(tx, |transaction| {
        for entry in &transaction.entries {
            rows.write_record(csv_row(transaction, entry)?).map_err(output)?;
        }
        Ok(())
    })?;
    Ok(rows.flush()?)
}

fn csv_row(transaction: &JournalTransaction, entry: &JournalEntry) -> Result<[String; 13]> {
    let amount = entry.amount;
    let magnitude = amount.0.checked_abs().map(Amount).ok_or(Error::Overflow)?.to_string();
    let (debit, credit) = match amount > Amount::ZERO {
        true => (magnitude, String::new()),
        false => (String::new(), magnitude),
    };
    Ok([
        transaction.id.to_string(),
        transaction.kind.clone(),
        inert(&transaction.subject),
        transaction.posted_at.to_string(),
        transaction.effective_at.to_string(),
        entry.line.to_string(),
        entry.code.clone(),
        party_text(entry.party),
        entry.asset.clone(),
        debit,
        credit,
        entry.balance_after.to_string(),
        entry.number.to_string(),
    ])
}

/// A text that no spreadsheet takes for a formula. Everything else in a row is ours to choose.
fn inert(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

/// The platform's own accounts have no party.
fn party_text(party: PartyId) -> String {
    if party == PartyId::NIL { String::new() } else { party.to_string() }
}

/// A journal that `hledger check --strict` accepts: accounts and commodities declared, debits
/// positive, and the balance of its account asserted behind every entry. Dates are the days of
/// posting in UTC; another day of effect is the `effective` tag. Memory grows with the accounts, not
/// with the entries.
///
/// # Errors
/// [`crate::Error::Output`], faults of storage.
pub fn hledger(tx: &mut Tx<'_>, out: &mut dyn Write) -> Result<()> {
    let mut out = std::io::BufWriter::new(out);
    declare(tx, &mut out)?;
    // Asserted from the entries in the order of this file: the stored balances follow the numbers of
    // the account's entries, which ids need not. The check compares those.
    let mut running: BTreeMap<(String, String), Amount> = BTreeMap::new();
    each_transaction(tx, |transaction| {
        let JournalTransaction { id, kind, subject, posted_at, effective_at, .. } = transaction;
        let (posted, effective) = (posted_at.date(), effective_at.date());
        write!(out, "{posted} * ({id}) {kind} | {}", one_line(subject))?;
        if posted != effective {
            write!(out, "  ; effective:{effective}")?;
        }
        writeln!(out)?;
        for entry in &transaction.entries {
            let name = account_name(parse_code(&entry.code)?, entry.party);
            let (asset, amount) = (&entry.asset, entry.amount);
            let balance = running.entry((name.clone(), asset.clone())).or_default();
            *balance = balance.checked_add(amount).ok_or(Error::Overflow)?;
            writeln!(out, "    {name}  {asset} {amount} = {asset} {balance}")?;
        }
        writeln!(out)?;
        Ok(())
    })?;
    Ok(out.flush()?)
}

/// A text that stays on its line of a journal and begins no comment.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || c == ';' { ' ' } else { c }).collect()
}

fn declare(tx: &mut Tx<'_>, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "decimal-mark .")?;
    let assets: Vec<String> = asset::table.order(asset::code).select(asset::code).load(tx.conn)?;
    for asset in assets {
        writeln!(out, "commodity {asset} 1000.000000")?;
    }
    let mut names = BTreeSet::new();
    let mut after = store::AccountId::NIL;
    loop {
        let accounts = account_page(tx, after)?;
        let Some(last) = accounts.last() else { break };
        after = last.id;
        for row in &accounts {
            names.insert(account_name(parse_code(&row.code)?, row.party));
        }
    }
    for name in names {
        writeln!(out, "account {name}")?;
    }
    writeln!(out)?;
    Ok(())
}

/// `liabilities:customer-wallet:party_01...`: hledger knows an account's type by its first word.
pub fn account_name(code: Code, party: PartyId) -> String {
    let class = match code {
        Code::Bank => "assets",
        Code::CustomerWallet
        | Code::OwnerCash
        | Code::OwnerCredits
        | Code::TaxPayable
        | Code::PayoutClearing => "liabilities",
        Code::FeeIncome => "revenues",
        Code::BonusExpense => "expenses",
        Code::CreditClearing | Code::CurrencyClearing => "equity",
    };
    let name = code.text().replace('_', "-");
    match party_text(party) {
        party if party.is_empty() => format!("{class}:{name}"),
        party => format!("{class}:{name}:{party}"),
    }
}

/// Every transaction by id, a page in memory at a time.
fn each_transaction(
    tx: &mut Tx<'_>,
    mut act: impl FnMut(&JournalTransaction) -> Result<()>,
) -> Result<()> {
    let mut after = TransactionId::NIL;
    loop {
        let transactions = page(tx, after)?;
        let Some(last) = transactions.last() else { return Ok(()) };
        after = last.id;
        transactions.iter().try_for_each(&mut act)?;
    }
}

fn output(error: csv::Error) -> Error {
    Error::Output(std::io::Error::other(error))
}
