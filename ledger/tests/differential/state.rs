//! The state of a book as text without random ids, and its hash.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;

use diesel::prelude::*;
use ledger::{Code, Error};
use sha2::{Digest, Sha256};
use store::schema::{
    account, balance, conversion_record, entry, hold, hold_event, ledger_transaction, period,
    period_event, settlement_record, transaction_metadata,
};
use store::{AccountId, Day, HoldId, Month, PartyId, TransactionId, Tx};

use crate::command::{ASSETS, Account};

/// Every line says one thing of the book; their order says nothing.
pub type Lines = BTreeSet<String>;

pub fn hash(lines: &Lines) -> String {
    let mut sha = Sha256::new();
    for line in lines {
        sha.update(line);
        sha.update("\n");
    }
    sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn name(account: &Account) -> String {
    format!("{}/{}/{}", account.code, account.party, account.asset)
}

pub fn account_line(account: &Account, posted: i64, held: i64, entries: i64) -> String {
    format!("account {} {posted} held {held} entries {entries}", name(account))
}

/// A transaction without its entries.
pub struct Head<'a> {
    pub key: &'a str,
    pub kind: &'a str,
    pub subject: &'a str,
    pub posted_at: i64,
    pub effective_at: i64,
    pub booked_on: Day,
    /// And the key of the other transaction.
    pub relation: Option<(&'a str, &'a str)>,
}

/// An account, an amount, its number and the balance after it.
pub type Entry = (Account, i64, i64, i64);

pub fn transaction_line(
    head: &Head<'_>,
    entries: &[Entry],
    metadata: &BTreeMap<String, String>,
    record: &str,
) -> String {
    let Head { key, kind, subject, posted_at, effective_at, booked_on, relation } = head;
    let mut line = format!(
        "transaction {key:?} {kind} {subject:?} at {posted_at} counts {effective_at} booked {}",
        booked_on.0
    );
    if let Some((relation, of)) = relation {
        write!(line, " {relation} {of:?}").unwrap();
    }
    let mut entries = entries.to_vec();
    entries.sort_unstable();
    for (account, amount, number, after) in &entries {
        write!(line, " | {} {amount} #{number} ={after}", name(account)).unwrap();
    }
    for (name, value) in metadata {
        write!(line, " | {name:?}: {value:?}").unwrap();
    }
    line + " " + record
}

pub struct HoldLine<'a> {
    pub key: &'a str,
    pub account: Account,
    pub subject: &'a str,
    /// What was kept back, captured and released.
    pub amounts: [i64; 3],
    pub open: bool,
    pub created_at: i64,
    pub expires_at: Option<i64>,
    pub ended_at: Option<i64>,
}

pub fn hold_line(hold: &HoldLine<'_>) -> String {
    let HoldLine { key, account, subject, amounts, open, created_at, expires_at, ended_at } = hold;
    format!(
        "hold {key:?} {} {subject:?} {amounts:?} {open} {created_at} {expires_at:?} {ended_at:?}",
        name(account)
    )
}

pub fn event_line(
    hold: &str,
    number: usize,
    kind: &str,
    amount: i64,
    transaction: Option<&str>,
    at: i64,
) -> String {
    format!("event {hold:?} {number} {kind} {amount} {transaction:?} {at}")
}

pub fn month_line(month: Month, state: &str) -> String {
    format!("month {month} {state}")
}

pub fn month_event_line(
    number: usize,
    month: Month,
    kind: &str,
    by: u8,
    reason: &str,
    at: i64,
) -> String {
    format!("month event {number} {month} {kind} {by} {reason:?} {at}")
}

type Names = HashMap<AccountId, Account>;

/// All of a stored book.
pub fn read(tx: &mut Tx<'_>) -> Result<Lines, Error> {
    let mut lines = Lines::new();
    let names = read_accounts(tx, &mut lines)?;
    let keys = read_transactions(tx, &names, &mut lines)?;
    read_holds(tx, &names, &keys, &mut lines)?;
    let months: Vec<(Month, String)> =
        period::table.select((period::month, period::state)).load(tx.conn)?;
    lines.extend(months.iter().map(|(month, state)| month_line(*month, state)));
    let events: Vec<(Month, String, PartyId, String, i64)> = period_event::table
        .order((period_event::month, period_event::id))
        .select((
            period_event::month,
            period_event::kind,
            period_event::by_id,
            period_event::reason,
            period_event::at,
        ))
        .load(tx.conn)?;
    let line =
        |(n, (month, kind, by, reason, at)): (usize, &(Month, String, PartyId, String, i64))| {
            month_event_line(n, *month, kind, by.as_bytes()[0], reason, *at)
        };
    lines.extend(events.iter().enumerate().map(line));
    Ok(lines)
}

fn read_accounts(tx: &mut Tx<'_>, lines: &mut Lines) -> Result<Names, Error> {
    type Row = (AccountId, String, PartyId, String, i64, i64, i64);
    let rows: Vec<Row> = account::table
        .inner_join(balance::table.on(balance::account_id.eq(account::id)))
        .select((
            account::id,
            account::code,
            account::party_id,
            account::asset,
            balance::posted,
            balance::held,
            balance::entries,
        ))
        .load(tx.conn)?;
    let mut names = Names::new();
    for (id, code, party, asset, posted, held, entries) in rows {
        let asset = ASSETS.into_iter().find(|known| *known == asset).unwrap();
        let account =
            Account { code: Code::parse(&code).unwrap(), party: party.as_bytes()[0], asset };
        names.insert(id, account);
        lines.insert(account_line(&account, posted, held, entries));
    }
    Ok(names)
}

type Keys = HashMap<TransactionId, String>;

fn read_transactions(tx: &mut Tx<'_>, names: &Names, lines: &mut Lines) -> Result<Keys, Error> {
    type Row = (
        TransactionId,
        String,
        String,
        String,
        i64,
        i64,
        Day,
        Option<String>,
        Option<TransactionId>,
    );
    let rows: Vec<Row> = ledger_transaction::table
        .select((
            ledger_transaction::id,
            ledger_transaction::key,
            ledger_transaction::kind,
            ledger_transaction::subject,
            ledger_transaction::posted_at,
            ledger_transaction::effective_at,
            ledger_transaction::booked_on,
            ledger_transaction::relation,
            ledger_transaction::refers_to,
        ))
        .load(tx.conn)?;
    let keys: Keys = rows.iter().map(|row| (row.0, row.1.clone())).collect();
    let mut entries = read_entries(tx, names)?;
    let mut metadata = read_metadata(tx)?;
    let mut records = read_records(tx)?;
    for (id, key, kind, subject, posted_at, effective_at, booked_on, relation, of) in rows {
        let refers = of.map(|of| keys[&of].clone());
        // The id of what it undoes is random: its key stands for it.
        let undoes = of.filter(|of| subject == of.to_string());
        let subject = undoes.map_or(subject, |of| keys[&of].clone());
        let head = Head {
            key: &key,
            kind: &kind,
            subject: &subject,
            posted_at,
            effective_at,
            booked_on,
            relation: relation.as_deref().zip(refers.as_deref()),
        };
        let entries = entries.remove(&id).unwrap_or_default();
        let metadata = metadata.remove(&id).unwrap_or_default();
        let record = records.remove(&id).unwrap_or_default();
        lines.insert(transaction_line(&head, &entries, &metadata, &record));
    }
    assert!(entries.is_empty() && metadata.is_empty() && records.is_empty(), "rows of nothing");
    Ok(keys)
}

fn read_entries(
    tx: &mut Tx<'_>,
    names: &Names,
) -> Result<HashMap<TransactionId, Vec<Entry>>, Error> {
    let rows: Vec<(TransactionId, AccountId, i64, i64, i64)> = entry::table
        .select((
            entry::transaction_id,
            entry::account_id,
            entry::amount,
            entry::number,
            entry::balance_after,
        ))
        .load(tx.conn)?;
    let mut entries: HashMap<_, Vec<Entry>> = HashMap::new();
    for (id, account, amount, number, after) in rows {
        entries.entry(id).or_default().push((names[&account], amount, number, after));
    }
    Ok(entries)
}

fn read_metadata(
    tx: &mut Tx<'_>,
) -> Result<HashMap<TransactionId, BTreeMap<String, String>>, Error> {
    let rows: Vec<(TransactionId, String, String)> = transaction_metadata::table
        .select((
            transaction_metadata::transaction_id,
            transaction_metadata::name,
            transaction_metadata::value,
        ))
        .load(tx.conn)?;
    let mut metadata: HashMap<_, BTreeMap<String, String>> = HashMap::new();
    for (id, name, value) in rows {
        metadata.entry(id).or_default().insert(name, value);
    }
    Ok(metadata)
}

/// Why a transaction moved what it moved, as the model says it too.
pub fn settlement_text(
    seconds: i64,
    price: i64,
    fee_ppm: i64,
    bonus_ppm: Option<i64>,
    redemption_ppm: Option<i64>,
) -> String {
    format!("{seconds} s at {price}, fee {fee_ppm}, bonus {bonus_ppm:?} at {redemption_ppm:?}")
}

pub fn conversion_text(sold: (&str, i64), bought: (&str, i64), rate_ppm: i64) -> String {
    format!("{sold:?} into {bought:?} at {rate_ppm}")
}

fn read_records(tx: &mut Tx<'_>) -> Result<HashMap<TransactionId, String>, Error> {
    type Settled = (TransactionId, i64, i64, i64, Option<i64>, Option<i64>);
    let settlements: Vec<Settled> = settlement_record::table
        .select((
            settlement_record::transaction_id,
            settlement_record::seconds,
            settlement_record::price,
            settlement_record::fee_ppm,
            settlement_record::bonus_ppm,
            settlement_record::redemption_ppm,
        ))
        .load(tx.conn)?;
    let conversions: Vec<(TransactionId, String, i64, String, i64, i64)> = conversion_record::table
        .select((
            conversion_record::transaction_id,
            conversion_record::sold_asset,
            conversion_record::sold,
            conversion_record::bought_asset,
            conversion_record::bought,
            conversion_record::rate_ppm,
        ))
        .load(tx.conn)?;
    let settlements =
        settlements.into_iter().map(|(id, seconds, price, fee, bonus, redemption)| {
            (id, settlement_text(seconds, price, fee, bonus, redemption))
        });
    let conversions = conversions.into_iter().map(|(id, from, sold, to, bought, rate)| {
        (id, conversion_text((&from, sold), (&to, bought), rate))
    });
    Ok(settlements.chain(conversions).collect())
}

fn read_holds(
    tx: &mut Tx<'_>,
    names: &Names,
    transactions: &Keys,
    lines: &mut Lines,
) -> Result<(), Error> {
    type Row =
        (HoldId, String, AccountId, String, i64, i64, i64, bool, i64, Option<i64>, Option<i64>);
    let rows: Vec<Row> = hold::table
        .select((
            hold::id,
            hold::key,
            hold::account_id,
            hold::subject,
            hold::amount,
            hold::captured,
            hold::released,
            hold::open,
            hold::created_at,
            hold::expires_at,
            hold::ended_at,
        ))
        .load(tx.conn)?;
    let mut keys = HashMap::new();
    for (id, key, account, subject, amount, captured, released, open, created, expires, ended) in
        rows
    {
        lines.insert(hold_line(&HoldLine {
            key: &key,
            account: names[&account],
            subject: &subject,
            amounts: [amount, captured, released],
            open,
            created_at: created,
            expires_at: expires,
            ended_at: ended,
        }));
        keys.insert(id, key);
    }
    let events: Vec<(HoldId, i32, String, i64, Option<TransactionId>, i64)> = hold_event::table
        .select((
            hold_event::hold_id,
            hold_event::number,
            hold_event::kind,
            hold_event::amount,
            hold_event::transaction_id,
            hold_event::at,
        ))
        .load(tx.conn)?;
    for (id, number, kind, amount, transaction, at) in events {
        let number = usize::try_from(number).unwrap();
        let transaction = transaction.map(|id| &*transactions[&id]);
        lines.insert(event_line(&keys[&id], number, &kind, amount, transaction, at));
    }
    Ok(())
}
