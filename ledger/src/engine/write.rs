//! Writes what a plan says, a statement for each table. Whoever writes has the balances locked.

use std::collections::BTreeMap;

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use store::schema::{entry, ledger_transaction};
use store::{AccountId, AnyConnection, PartyId, Timestamp};

use super::fold::States;
use super::plan::{MissingAccount, Planner, Writes};
use crate::chart::Record;
use crate::hold::Event;
use crate::{Code, Result};
use store::copy_into;
use store::sets::Set;

/// From so many rows on PostgreSQL takes them faster as a stream than as arrays.
const COPY_FROM: usize = 64;

/// Writes all of it; false if a key or an account was there already, and then some of it may be
/// written: unless it is of one command that opens no account, have a savepoint.
pub(super) fn store(conn: &mut AnyConnection, plan: &Planner<'_>, now: Timestamp) -> Result<bool> {
    let Planner { book, writes, .. } = plan;
    if !insert_accounts(conn, &book.missing, &book.states, now)?
        || !insert_transactions(conn, writes)?
        || !insert_holds(conn, writes, now)?
    {
        return Ok(false);
    }
    insert_entries(conn, writes)?;
    store_balances(conn, &book.states)?;
    store_holds(conn, plan, now)?;
    insert_events(conn, writes, now)?;
    insert_records(conn, writes)?;
    Ok(true)
}

/// The accounts that were missing and are used now, with their balances.
fn insert_accounts(
    conn: &mut AnyConnection,
    missing: &BTreeMap<AccountId, MissingAccount>,
    states: &States,
    now: Timestamp,
) -> Result<bool> {
    let used = |id: &AccountId| states.get(id).is_some_and(|state| state.changed);
    let mut opened: Vec<_> = missing.iter().filter(|(id, _)| used(id)).collect();
    if opened.is_empty() {
        return Ok(true);
    }
    // In one order, so that two who open the same accounts do not wait for each other.
    opened.sort_by_key(|(_, account)| (account.code, account.party, &account.asset));
    let row = |(id, account): &(&AccountId, &MissingAccount)| {
        (**id, account.code, account.party, account.asset.clone())
    };
    let rows: Vec<_> = opened.iter().map(row).collect();
    let count = rows.len();
    Ok(open(conn, &rows, now)? == count)
}

/// Makes accounts and their balances, but those that are there already.
pub(crate) fn open(
    conn: &mut AnyConnection,
    rows: &[(AccountId, Code, PartyId, String)],
    now: Timestamp,
) -> Result<usize> {
    let opened = Set::default()
        .ids("id", rows.iter().map(|(id, ..)| *id))
        .texts("code", rows.iter().map(|(_, code, ..)| code.text()))
        .ids("party_id", rows.iter().map(|(_, _, party, _)| *party))
        .texts("asset", rows.iter().map(|(.., asset)| &**asset))
        .texts("side", rows.iter().map(|(_, code, ..)| code.side().text()))
        .flags("may_overdraw", rows.iter().map(|(_, code, ..)| code.may_overdraw()))
        .numbers("created_at", rows.iter().map(|_| now.0))
        .insert(conn, "account", "ON CONFLICT (code, party_id, asset) DO NOTHING")?;
    Set::default().ids("id", rows.iter().map(|(id, ..)| *id)).execute(
        conn,
        "INSERT INTO balance (account_id, posted, held, entries, last_posted_at)
        SELECT a.id, 0, 0, 0, 0 FROM {set} CROSS JOIN account a WHERE a.id = w.id",
    )?;
    Ok(opened)
}

/// Whoever inserts a key that another is inserting waits for the other to end. In one order, no two
/// batches wait for each other, whatever accounts they have. SQLite has one writer.
fn sort_by_key<'a, T>(conn: &AnyConnection, rows: &mut [&'a T], key: impl Fn(&'a T) -> &'a str) {
    if matches!(conn, AnyConnection::Postgres(_)) {
        rows.sort_unstable_by_key(|row| key(row));
    }
}

fn insert_transactions(conn: &mut AnyConnection, writes: &Writes<'_>) -> Result<bool> {
    let mut sorted: Vec<_> = writes.transactions.iter().collect();
    sort_by_key(conn, &mut sorted, |row| &row.draft.key);
    let rows = || sorted.iter();
    let set = Set::default()
        .ids("id", rows().map(|row| row.id))
        .texts("key", rows().map(|row| &*row.draft.key))
        .bytes("fingerprint", rows().map(|row| row.fingerprint.as_bytes()))
        .texts("kind", rows().map(|row| row.draft.kind.text()))
        .texts("subject", rows().map(|row| row.draft.subject()))
        .numbers("posted_at", rows().map(|row| row.posted_at.0))
        .numbers("effective_at", rows().map(|row| row.effective_at.0))
        .integers("booked_on", rows().map(|row| row.booked_on.0))
        .maybe_texts("relation", rows().map(|row| Some(row.draft.relation?.0.text())))
        .maybe_ids("refers_to", rows().map(|row| Some(row.draft.relation?.1)));
    match conn {
        AnyConnection::Postgres(conn) if set.len() >= COPY_FROM => {
            match copy_into!(conn, ledger_transaction::table, set) {
                Err(error) if is_taken(&error) => Ok(false),
                done => Ok(done.map(|_| true)?),
            }
        }
        conn => {
            let count = set.len();
            Ok(set.insert(conn, "ledger_transaction", "ON CONFLICT (key) DO NOTHING")? == count)
        }
    }
}

fn insert_entries(conn: &mut AnyConnection, writes: &Writes<'_>) -> Result<()> {
    let rows = || writes.entries.iter();
    let set = Set::default()
        .ids("transaction_id", rows().map(|(id, ..)| *id))
        .integers("line", rows().map(|(_, line, _)| *line))
        .ids("account_id", rows().map(|(.., entry)| entry.account))
        .numbers("amount", rows().map(|(.., entry)| entry.amount.0))
        .numbers("number", rows().map(|(.., entry)| entry.number))
        .numbers("balance_after", rows().map(|(.., entry)| entry.balance_after.0));
    match conn {
        AnyConnection::Postgres(conn) if set.len() >= COPY_FROM => {
            copy_into!(conn, entry::table, set)?;
        }
        conn => {
            set.insert(conn, "entry", "")?;
        }
    }
    Ok(())
}

/// True for a key that is there already.
fn is_taken(error: &DieselError) -> bool {
    matches!(error, DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _))
}

/// One update of each balance that changed, whatever the number of its entries.
fn store_balances(conn: &mut AnyConnection, states: &States) -> Result<()> {
    let changed: Vec<_> = states.iter().filter(|(_, state)| state.changed).collect();
    let rows = || changed.iter();
    Set::default()
        .ids("id", rows().map(|(id, _)| **id))
        .numbers("posted", rows().map(|(_, state)| state.posted.0))
        .numbers("held", rows().map(|(_, state)| state.held.0))
        .numbers("entries", rows().map(|(_, state)| state.entries))
        .numbers("last_posted_at", rows().map(|(_, state)| state.last_posted_at.0))
        .execute(
            conn,
            "UPDATE balance SET posted = w.posted, held = w.held, entries = w.entries,
                last_posted_at = w.last_posted_at
            FROM {set} WHERE balance.account_id = w.id",
        )?;
    Ok(())
}

/// False if another hold has a key.
fn insert_holds(conn: &mut AnyConnection, writes: &Writes<'_>, now: Timestamp) -> Result<bool> {
    let mut sorted: Vec<_> = writes.holds.iter().collect();
    sort_by_key(conn, &mut sorted, |(_, new, _)| &new.key);
    let rows = || sorted.iter();
    let inserted = Set::default()
        .ids("id", rows().map(|(id, ..)| *id))
        .texts("key", rows().map(|(_, new, _)| &*new.key))
        .bytes("fingerprint", rows().map(|(.., fingerprint)| fingerprint.as_bytes()))
        .ids("account_id", rows().map(|(_, new, _)| new.account))
        .numbers("amount", rows().map(|(_, new, _)| new.amount.0))
        .texts("subject", rows().map(|(_, new, _)| &*new.subject))
        .maybe_numbers("expires_at", rows().map(|(_, new, _)| Some(new.expires_at?.0)))
        .numbers("created_at", rows().map(|_| now.0))
        .execute(
            conn,
            "INSERT INTO hold (id, key, fingerprint, account_id, amount, captured, released, open,
                subject, expires_at, created_at, ended_at)
            SELECT id, key, fingerprint, account_id, amount, 0, 0, TRUE, subject, expires_at,
                created_at, NULL
            FROM {set} WHERE TRUE ON CONFLICT (key) DO NOTHING",
        )?;
    Ok(inserted == writes.holds.len())
}

/// Holds as they are after all that happened to them.
fn store_holds(conn: &mut AnyConnection, plan: &Planner<'_>, now: Timestamp) -> Result<()> {
    let changed = plan.writes.changed_holds.iter();
    let changed: Vec<_> = changed.filter_map(|id| Some((*id, plan.book.holds.get(id)?))).collect();
    let rows = || changed.iter();
    Set::default()
        .ids("id", rows().map(|(id, _)| *id))
        .numbers("captured", rows().map(|(_, hold)| hold.captured.0))
        .numbers("released", rows().map(|(_, hold)| hold.released.0))
        .flags("open", rows().map(|(_, hold)| hold.open))
        .maybe_numbers("ended_at", rows().map(|(_, hold)| (!hold.open).then_some(now.0)))
        .execute(
            conn,
            "UPDATE hold SET captured = w.captured, released = w.released, open = w.open,
                ended_at = w.ended_at
            FROM {set} WHERE hold.id = w.id",
        )?;
    Ok(())
}

fn insert_events(conn: &mut AnyConnection, writes: &Writes<'_>, now: Timestamp) -> Result<()> {
    let rows = || writes.events.iter();
    let transaction = |event| match event {
        Event::Captured(transaction) => Some(transaction),
        Event::Placed | Event::Released | Event::Expired => None,
    };
    Set::default()
        .ids("hold_id", rows().map(|row| row.hold))
        .integers("number", rows().map(|row| row.number))
        .texts("kind", rows().map(|row| row.event.text()))
        .numbers("amount", rows().map(|row| row.amount.0))
        .maybe_ids("transaction_id", rows().map(|row| transaction(row.event)))
        .numbers("at", rows().map(|_| now.0))
        .ids("id", rows().map(|row| row.id))
        .insert(conn, "hold_event", "")?;
    Ok(())
}

/// What transactions are found by, and what explains them.
fn insert_records(conn: &mut AnyConnection, writes: &Writes<'_>) -> Result<()> {
    let metadata = || {
        writes.transactions.iter().flat_map(|row| {
            row.draft.metadata.iter().map(|(name, value)| (row.id, &**name, &**value))
        })
    };
    Set::default()
        .ids("transaction_id", metadata().map(|(id, ..)| id))
        .texts("name", metadata().map(|(_, name, _)| name))
        .texts("value", metadata().map(|(.., value)| value))
        .insert(conn, "transaction_metadata", "")?;
    let settlements = || {
        writes.records.iter().filter_map(|(id, record)| match record {
            Record::Settlement(settlement) => Some((*id, settlement)),
            Record::Conversion(_) => None,
        })
    };
    Set::default()
        .ids("transaction_id", settlements().map(|(id, _)| id))
        .ids("lease_id", settlements().map(|(_, record)| record.lease))
        .numbers("seconds", settlements().map(|(_, record)| record.seconds))
        .numbers("price", settlements().map(|(_, record)| record.price.0))
        .numbers("fee_ppm", settlements().map(|(_, record)| record.fee_ppm))
        .maybe_numbers("bonus_ppm", settlements().map(|(_, record)| record.bonus_ppm))
        .maybe_numbers("redemption_ppm", settlements().map(|(_, record)| record.redemption_ppm))
        .insert(conn, "settlement_record", "")?;
    let conversions = || {
        writes.records.iter().filter_map(|(id, record)| match record {
            Record::Conversion(conversion) => Some((*id, conversion)),
            Record::Settlement(_) => None,
        })
    };
    Set::default()
        .ids("transaction_id", conversions().map(|(id, _)| id))
        .texts("sold_asset", conversions().map(|(_, record)| &*record.sold_asset))
        .numbers("sold", conversions().map(|(_, record)| record.sold.0))
        .texts("bought_asset", conversions().map(|(_, record)| &*record.bought_asset))
        .numbers("bought", conversions().map(|(_, record)| record.bought.0))
        .numbers("rate_ppm", conversions().map(|(_, record)| record.rate_ppm))
        .insert(conn, "conversion_record", "")?;
    Ok(())
}
