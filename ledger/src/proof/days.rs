//! What accounts moved on each day of the books, kept behind the book by the sealer.
//!
//! An account's committed entries are numbered 1 to n without gaps, since its balance is locked until
//! the commit. So they are counted in order of number: the largest `upto` of an account's days says
//! how far, and the same snapshot that sealed a block has every entry up to those in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use diesel::prelude::*;
use store::schema::{day_balance, entry, ledger_transaction};
use store::{AccountId, Amount, AnyConnection, Day};

use super::rows::Entry;
use crate::{Error, Result};

/// One entry: number, amount, day.
type Counted = (i64, Amount, Day);

/// The entries of a block by account.
#[derive(Default)]
pub(super) struct Touched(BTreeMap<AccountId, Vec<Counted>>);

impl Touched {
    pub(super) fn add(&mut self, day: Day, entries: &[Entry]) {
        for entry in entries {
            let known = self.0.entry(entry.account).or_default();
            known.push((entry.number, entry.amount, day));
        }
    }
}

/// A row of day_balance as it will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DayRow {
    pub account: AccountId,
    pub day: Day,
    pub net: Amount,
    /// Number of the last entry counted into the day.
    pub upto: i64,
}

/// Accounts that are looked up at once.
const CHUNK: usize = 500;

/// The rows that change when these entries, and those before them, are counted.
pub(super) fn plan(conn: &mut AnyConnection, touched: Touched) -> Result<Vec<DayRow>> {
    let mut planned = Vec::new();
    let mut accounts: Vec<_> = touched.0.into_iter().collect();
    for chunk in accounts.chunks_mut(CHUNK) {
        let ids: Vec<_> = chunk.iter().map(|(account, _)| *account).collect();
        let uptos = load_uptos(conn, &ids)?;
        let mut moved = BTreeMap::new();
        for (account, entries) in chunk {
            let upto = uptos.get(account).copied().unwrap_or(0);
            let top = entries.iter().map(|(number, ..)| *number).max().unwrap_or(0);
            entries.retain(|(number, ..)| *number > upto);
            if entries.len() as i64 != (top - upto).max(0) {
                // Some of them are not in this block: later records of the same snapshot.
                *entries = load_entries(conn, *account, upto, top)?;
            }
            fold(&mut moved, *account, entries)?;
        }
        add_known(conn, &ids, &mut moved)?;
        let row = |((account, day), (net, upto))| DayRow { account, day, net, upto };
        planned.extend(moved.into_iter().map(row));
    }
    Ok(planned)
}

/// Net and last number by account and day.
type Moved = BTreeMap<(AccountId, Day), (Amount, i64)>;

fn fold(moved: &mut Moved, account: AccountId, entries: &[Counted]) -> Result<()> {
    for (number, amount, day) in entries {
        let (net, upto) = moved.entry((account, *day)).or_default();
        *net = net.checked_add(*amount).ok_or(Error::Overflow)?;
        *upto = (*upto).max(*number);
    }
    Ok(())
}

/// How far accounts are counted.
fn load_uptos(conn: &mut AnyConnection, ids: &[AccountId]) -> Result<HashMap<AccountId, i64>> {
    let rows: Vec<(AccountId, Option<i64>)> = day_balance::table
        .filter(day_balance::account_id.eq_any(ids))
        .group_by(day_balance::account_id)
        .select((day_balance::account_id, diesel::dsl::max(day_balance::upto)))
        .load(conn)?;
    Ok(rows.into_iter().map(|(account, upto)| (account, upto.unwrap_or(0))).collect())
}

fn load_entries(
    conn: &mut AnyConnection,
    account: AccountId,
    upto: i64,
    top: i64,
) -> Result<Vec<Counted>> {
    let entries: Vec<Counted> = entry::table
        .inner_join(ledger_transaction::table.on(ledger_transaction::id.eq(entry::transaction_id)))
        .filter(entry::account_id.eq(account))
        .filter(entry::number.gt(upto))
        .filter(entry::number.le(top))
        .select((entry::number, entry::amount, ledger_transaction::booked_on))
        .load(conn)?;
    if entries.len() as i64 == top - upto {
        Ok(entries)
    } else {
        Err(crate::Error::corrupt(&format!("entries of {account} are missing up to number {top}")))
    }
}

fn add_known(conn: &mut AnyConnection, ids: &[AccountId], moved: &mut Moved) -> Result<()> {
    let days: BTreeSet<Day> = moved.keys().map(|(_, day)| *day).collect();
    let known: Vec<(AccountId, Day, Amount)> = day_balance::table
        .filter(day_balance::account_id.eq_any(ids))
        .filter(day_balance::day.eq_any(days))
        .select((day_balance::account_id, day_balance::day, day_balance::net))
        .load(conn)?;
    for (account, day, before) in known {
        if let Some((net, _)) = moved.get_mut(&(account, day)) {
            *net = net.checked_add(before).ok_or(Error::Overflow)?;
        }
    }
    Ok(())
}

pub(super) fn store(conn: &mut AnyConnection, rows: &[DayRow]) -> Result<()> {
    let values = |row: &DayRow| {
        (
            day_balance::account_id.eq(row.account),
            day_balance::day.eq(row.day),
            day_balance::net.eq(row.net),
            day_balance::upto.eq(row.upto),
        )
    };
    match conn {
        AnyConnection::Postgres(conn) => {
            use diesel::upsert::excluded;
            for chunk in rows.chunks(5_000) {
                let values: Vec<_> = chunk.iter().map(values).collect();
                diesel::insert_into(day_balance::table)
                    .values(&values)
                    .on_conflict((day_balance::account_id, day_balance::day))
                    .do_update()
                    .set((
                        day_balance::net.eq(excluded(day_balance::net)),
                        day_balance::upto.eq(excluded(day_balance::upto)),
                    ))
                    .execute(conn)?;
            }
        }
        AnyConnection::Sqlite(conn) => {
            for row in rows {
                diesel::replace_into(day_balance::table).values(values(row)).execute(conn)?;
            }
        }
    }
    Ok(())
}
