//! What follows from sealed records and is stored all the same.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary};
use store::schema::{
    balance, block_head, block_span, day_balance, entry, ledger_transaction, liability_page,
    liability_root, period, period_event,
};
use store::{AccountId, Amount, AnyConnection, Day, HoldId, Month, Timestamp, TransactionId};

use super::super::block::Kind;
use super::{MAX_TAMPERED, Walk};
use crate::Result;
use crate::pages::{PAGE, Pages, row_after};

/// The head, how many rows the chain has, and what is not sealed yet.
pub(super) fn compare_head(conn: &mut AnyConnection, walk: &mut Walk) -> Result<()> {
    let heads: Vec<(String, i64)> =
        block_head::table.select((block_head::id, block_head::number)).load(conn)?;
    let last = walk.report.head.map_or(0, |head| head.number);
    if heads != [("head".to_owned(), last)] {
        let why = format!("it must name the last block, {last}, and be the only one");
        walk.report.list(Some(last), "block_head", "head", why);
    }
    let expected = &walk.expected;
    let counts = [
        ("block_span", block_span::table.count().get_result(conn)?, expected.spans),
        ("liability_root", liability_root::table.count().get_result(conn)?, expected.roots),
        ("liability_page", liability_page::table.count().get_result(conn)?, expected.pages),
    ];
    for (table, stored, derived) in counts {
        let counted: (i64, i64) = (stored, derived);
        walk.report.compare(None, table, "number of rows", counted);
    }
    for kind in Kind::ALL {
        let rows = count(conn, kind.table())?;
        let sealed = walk.found.get(&kind).copied().unwrap_or(0);
        walk.report.unsealed += u64::try_from(rows - sealed).unwrap_or(0);
        if sealed > rows {
            let why = format!("{rows} rows were sealed {sealed} times");
            walk.report.list(None, kind.table(), "number of rows", why);
        }
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Rows {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

fn count(conn: &mut AnyConnection, table: &str) -> Result<i64> {
    let sql = format!("SELECT COUNT(*) AS number FROM {table}");
    Ok(diesel::sql_query(sql).get_result::<Rows>(conn)?.number)
}

pub(super) fn compare(conn: &mut AnyConnection, walk: &mut Walk) -> Result<()> {
    compare_accounts(conn, walk)?;
    compare_holds(conn, walk)?;
    compare_periods(conn, walk)?;
    compare_strays(conn, walk)
}

struct HistoryRow {
    account: AccountId,
    number: i64,
    amount: Amount,
    day: Day,
    posted_at: Timestamp,
}

/// Entries by account, with their transactions' day and moment.
fn history() -> Pages<HistoryRow, (AccountId, i64)> {
    let key = |row: &HistoryRow| (row.account, row.number);
    Pages::after((AccountId::NIL, i64::MIN), key, |conn, (account, number)| {
        let rows: Vec<(AccountId, i64, Amount, Day, Timestamp)> = entry::table
            .inner_join(
                ledger_transaction::table.on(ledger_transaction::id.eq(entry::transaction_id)),
            )
            .filter(row_after!("entry.account_id, entry.number", Binary = account, BigInt = number))
            .order((entry::account_id, entry::number))
            .limit(PAGE)
            .select((
                entry::account_id,
                entry::number,
                entry::amount,
                ledger_transaction::booked_on,
                ledger_transaction::posted_at,
            ))
            .load(conn)?;
        let row = |(account, number, amount, day, posted_at)| HistoryRow {
            account,
            number,
            amount,
            day,
            posted_at,
        };
        Ok(rows.into_iter().map(row).collect())
    })
}

type BalanceRow = (AccountId, Timestamp);

fn balances() -> Pages<BalanceRow, AccountId> {
    Pages::after(
        AccountId::NIL,
        |row| row.0,
        |conn, after| {
            Ok(balance::table
                .filter(balance::account_id.gt(after))
                .order(balance::account_id)
                .limit(PAGE)
                .select((balance::account_id, balance::last_posted_at))
                .load(conn)?)
        },
    )
}

type DayRow = (AccountId, i32, Amount, i64);

fn days() -> Pages<DayRow, (AccountId, i32)> {
    Pages::after(
        (AccountId::NIL, i32::MIN),
        |row| (row.0, row.1),
        |conn, (account, day)| {
            use diesel::sql_types::Integer;
            Ok(day_balance::table
                .filter(row_after!(
                    "day_balance.account_id, day_balance.day",
                    Binary = account,
                    Integer = day
                ))
                .order((day_balance::account_id, day_balance::day))
                .limit(PAGE)
                .select(day_balance::all_columns)
                .load(conn)?)
        },
    )
}

/// Days and moments of all accounts: a merge of three tables in order of account.
fn compare_accounts(conn: &mut AnyConnection, walk: &mut Walk) -> Result<()> {
    let (mut balances, mut history, mut days) = (balances(), history(), days());
    while let Some((account, last_posted_at)) = balances.next(conn)? {
        // Entries without a balance are listed by the check.
        while history.next_if(conn, |row| row.account < account)?.is_some() {}
        skip_days(conn, walk, &mut days, Some(account))?;
        let mut stored = BTreeMap::new();
        while let Some((_, day, net, upto)) = days.next_if(conn, |row| row.0 == account)? {
            stored.insert(Day(day), (net, upto));
        }
        let upto = stored.values().map(|(_, upto)| *upto).max().unwrap_or(0);
        let mut derived = BTreeMap::<Day, (Amount, i64)>::new();
        let mut last = Timestamp(0);
        while let Some(row) = history.next_if(conn, |row| row.account == account)? {
            // The last is the latest, but for books of before entries were in order of time.
            last = last.max(row.posted_at);
            if row.number <= upto {
                let (net, known) = derived.entry(row.day).or_default();
                *net = Amount(net.0.wrapping_add(row.amount.0));
                *known = row.number;
            }
        }
        compare_days(walk, account, &stored, &derived);
        let sealed = walk.accounts.get(&account).map_or(0, |sealed| sealed.top);
        if upto < sealed {
            let why = format!("entries are counted up to {upto}, but sealed up to {sealed}");
            walk.report.list(None, "day_balance", account, why);
        }
        walk.report.compare(None, "balance.last_posted_at", account, (last_posted_at, last));
    }
    skip_days(conn, walk, &mut days, None)
}

fn skip_days(
    conn: &mut AnyConnection,
    walk: &mut Walk,
    days: &mut Pages<DayRow, (AccountId, i32)>,
    before: Option<AccountId>,
) -> Result<()> {
    let stray = |row: &DayRow| before.is_none_or(|before| row.0 < before);
    while let Some((account, ..)) = days.next_if(conn, stray)? {
        walk.report.list(None, "day_balance.account_id", account, "there is no such account");
    }
    Ok(())
}

fn compare_days(
    walk: &mut Walk,
    account: AccountId,
    stored: &BTreeMap<Day, (Amount, i64)>,
    derived: &BTreeMap<Day, (Amount, i64)>,
) {
    let days = stored.keys().chain(derived.keys());
    let differs = days.filter(|day| stored.get(*day) != derived.get(*day)).min();
    if let Some(day) = differs {
        let why = "it is not the sum of the day's entries";
        walk.report.list(None, "day_balance", format!("{account} {day}"), why);
    }
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = Binary)]
    id: Vec<u8>,
}

/// A hold ends with its last event, and is open or not: SQLite takes any number for that. The rest
/// of a hold is the check's business.
fn compare_holds(conn: &mut AnyConnection, walk: &mut Walk) -> Result<()> {
    let sql = format!(
        "SELECT id FROM hold WHERE ended_at IS DISTINCT FROM (CASE WHEN open THEN NULL ELSE ( \
             SELECT at FROM hold_event WHERE hold_id = hold.id ORDER BY number DESC LIMIT 1) END) \
             OR CAST(open AS INTEGER) NOT IN (0, 1) \
         ORDER BY id LIMIT {MAX_TAMPERED}"
    );
    for IdRow { id } in diesel::sql_query(sql).load(conn)? {
        let id =
            id.try_into().map_or_else(|_| String::new(), |id| HoldId::from_bytes(id).to_string());
        let why = "its end is not its last event's, or it is neither open nor not";
        walk.report.list(None, "hold", id, why);
    }
    Ok(())
}

/// A period's state is what its last event made it; it is open without a row too.
fn compare_periods(conn: &mut AnyConnection, walk: &mut Walk) -> Result<()> {
    let events: Vec<(Month, String)> = period_event::table
        .order(period_event::id)
        .select((period_event::month, period_event::kind))
        .load(conn)?;
    let mut derived = BTreeMap::new();
    for (month, kind) in events {
        let state = match kind.as_str() {
            "soft_closed" => "soft",
            "closed" => "closed",
            "reopen_asked" => "reopening",
            _ => "open",
        };
        derived.insert(month, state);
    }
    let stored: BTreeMap<Month, String> =
        period::table.select((period::month, period::state)).load(conn)?.into_iter().collect();
    for month in stored.keys().filter(|month| !derived.contains_key(month)) {
        walk.report.list(None, "period.month", month, "nothing happened to it");
    }
    for (month, derived) in derived {
        let stored = stored.get(&month).map_or("open", String::as_str);
        walk.report.compare(None, "period.state", month, (stored, derived));
    }
    Ok(())
}

/// What belongs to a transaction that is not there.
fn compare_strays(conn: &mut AnyConnection, walk: &mut Walk) -> Result<()> {
    for table in ["transaction_metadata", "settlement_record", "conversion_record"] {
        let sql = format!(
            "SELECT DISTINCT transaction_id AS id FROM {table} WHERE NOT EXISTS ( \
                 SELECT 1 FROM ledger_transaction WHERE id = {table}.transaction_id) \
             LIMIT {MAX_TAMPERED}"
        );
        for IdRow { id } in diesel::sql_query(sql).load(conn)? {
            let id = id.try_into().map(TransactionId::from_bytes);
            let id = id.map_or_else(|_| String::new(), |id| id.to_string());
            walk.report.list(None, table, id, "there is no such transaction");
        }
    }
    Ok(())
}
