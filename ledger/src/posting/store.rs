//! Transactions in the database.

use std::collections::BTreeMap;

use ::store::schema::{account, balance, entry, hold_event, ledger_transaction};
use ::store::{AccountId, Amount, AnyConnection, HoldId, Timestamp, TransactionId, Tx};
use diesel::prelude::*;

use super::Command;
use super::fold::{Account, Folded, State, States};
use crate::Result;
use crate::account::store::{corrupt, parse_code};

/// Runs one Diesel statement on whichever database it is, for those that both render and the
/// common backend does not.
macro_rules! each_backend {
    ($conn:expr, |$c:ident| $statement:expr) => {
        match $conn {
            ::store::AnyConnection::Postgres($c) => $statement,
            ::store::AnyConnection::Sqlite($c) => $statement,
        }
    };
}
pub(crate) use each_backend;

/// The transaction with this key, and its fingerprint.
pub(crate) fn find(
    conn: &mut AnyConnection,
    key: &str,
) -> Result<Option<(TransactionId, Vec<u8>)>> {
    Ok(ledger_transaction::table
        .filter(ledger_transaction::key.eq(key))
        .select((ledger_transaction::id, ledger_transaction::fingerprint))
        .first(conn)
        .optional()?)
}

/// What a stored transaction says, for telling a caller how its own differs.
pub(super) struct Stored {
    pub kind: String,
    pub subject: String,
    pub effective_at: Timestamp,
    pub legs: Vec<(AccountId, Amount)>,
}

pub(super) fn load(conn: &mut AnyConnection, id: TransactionId) -> Result<Stored> {
    let (kind, subject, effective_at) = ledger_transaction::table
        .find(id)
        .select((
            ledger_transaction::kind,
            ledger_transaction::subject,
            ledger_transaction::effective_at,
        ))
        .first(conn)?;
    let legs = entry::table
        .filter(entry::transaction_id.eq(id))
        .select((entry::account_id, entry::amount))
        .order(entry::account_id)
        .load(conn)?;
    Ok(Stored { kind, subject, effective_at, legs })
}

/// True if the transaction captured from this hold.
pub(super) fn captured_from(
    conn: &mut AnyConnection,
    id: TransactionId,
    hold: HoldId,
) -> Result<bool> {
    let event = hold_event::table
        .filter(hold_event::hold_id.eq(hold))
        .filter(hold_event::transaction_id.eq(id))
        .select(hold_event::number);
    Ok(event.first::<i32>(conn).optional()?.is_some())
}

/// The accounts among `ids` that there are.
pub(crate) fn load_accounts(
    conn: &mut AnyConnection,
    ids: &[AccountId],
) -> Result<BTreeMap<AccountId, Account>> {
    let rows: Vec<(AccountId, String, String)> = account::table
        .filter(account::id.eq_any(ids))
        .select((account::id, account::code, account::asset))
        .load(conn)?;
    let account = |(id, code, asset): (AccountId, String, String)| {
        Ok((id, Account { code: parse_code(&code)?, asset }))
    };
    rows.into_iter().map(account).collect()
}

/// Takes the balances of `accounts` by ascending id and keeps them until the transaction ends. On
/// SQLite the writer has the whole database already.
pub(crate) fn lock_balances(
    conn: &mut AnyConnection,
    accounts: &BTreeMap<AccountId, Account>,
) -> Result<States> {
    let ids: Vec<AccountId> = accounts.keys().copied().collect();
    let query = balance::table
        .filter(balance::account_id.eq_any(ids))
        .order(balance::account_id)
        .select((balance::account_id, balance::posted, balance::held, balance::entries));
    let rows: Vec<(AccountId, Amount, Amount, i64)> = match conn {
        AnyConnection::Postgres(conn) => query.for_no_key_update().load(conn)?,
        AnyConnection::Sqlite(conn) => query.load(conn)?,
    };
    if rows.len() != accounts.len() {
        return Err(corrupt("an account has no balance"));
    }
    let state = |(id, posted, held, entries)| {
        let account = accounts.get(&id).ok_or_else(|| corrupt("a balance of no account"))?;
        Ok((id, State { code: account.code, posted, held, entries }))
    };
    rows.into_iter().map(state).collect()
}

/// False if another transaction has the key.
pub(super) fn insert(tx: &mut Tx<'_>, id: TransactionId, command: &Command<'_>) -> Result<bool> {
    let new = command.new;
    let row = (
        ledger_transaction::id.eq(id),
        ledger_transaction::key.eq(&new.key),
        ledger_transaction::fingerprint.eq(command.fingerprint.as_bytes()),
        ledger_transaction::kind.eq(new.kind.text()),
        ledger_transaction::subject.eq(&new.subject),
        ledger_transaction::posted_at.eq(tx.now),
        ledger_transaction::effective_at.eq(new.effective_at),
        ledger_transaction::booked_on.eq(::store::Day::of(new.effective_at)),
    );
    let insert = diesel::insert_into(ledger_transaction::table)
        .values(row)
        .on_conflict(ledger_transaction::key)
        .do_nothing();
    Ok(each_backend!(tx.conn, |conn| insert.execute(conn))? == 1)
}

pub(super) fn insert_entries(
    conn: &mut AnyConnection,
    id: TransactionId,
    entries: &[Folded],
) -> Result<()> {
    let row = |(line, folded): (i32, &Folded)| {
        (
            entry::transaction_id.eq(id),
            entry::line.eq(line),
            entry::account_id.eq(folded.account),
            entry::amount.eq(folded.amount),
            entry::number.eq(folded.number),
            entry::balance_after.eq(folded.balance_after),
        )
    };
    let rows: Vec<_> = (1..).zip(entries).map(row).collect();
    let insert = diesel::insert_into(entry::table).values(&rows);
    each_backend!(conn, |conn| insert.execute(conn))?;
    Ok(())
}

/// Writes balances that the fold has computed.
pub(crate) fn store_balances(conn: &mut AnyConnection, states: &States) -> Result<()> {
    for (id, state) in states {
        let set = (
            balance::posted.eq(state.posted),
            balance::held.eq(state.held),
            balance::entries.eq(state.entries),
        );
        diesel::update(balance::table.find(id)).set(set).execute(conn)?;
    }
    Ok(())
}
