//! What the check reads, in the order in which it reads it.

use ::store::schema::{account, balance, entry, hold, hold_event, ledger_transaction};
use ::store::{AccountId, Amount, AnyConnection, HoldId, Timestamp, TransactionId};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Integer};

use crate::Result;
use crate::pages::{PAGE, Pages, row_after};

pub(super) struct AccountRow {
    pub id: AccountId,
    pub code: String,
    pub asset: String,
    pub side: String,
    pub may_overdraw: bool,
    /// Posted, held and number of entries as stored.
    pub balance: Option<(Amount, Amount, i64)>,
}

pub(super) fn accounts() -> Pages<AccountRow, AccountId> {
    type Row = (AccountId, String, String, String, bool, Option<(Amount, Amount, i64)>);
    Pages::after(
        AccountId::NIL,
        |row| row.id,
        |conn, after| {
            let rows: Vec<Row> = account::table
                .left_join(balance::table.on(balance::account_id.eq(account::id)))
                .filter(account::id.gt(after))
                .order(account::id)
                .limit(PAGE)
                .select((
                    account::id,
                    account::code,
                    account::asset,
                    account::side,
                    account::may_overdraw,
                    (balance::posted, balance::held, balance::entries).nullable(),
                ))
                .load(conn)?;
            let row = |(id, code, asset, side, may_overdraw, balance): Row| AccountRow {
                id,
                code,
                asset,
                side,
                may_overdraw,
                balance,
            };
            Ok(rows.into_iter().map(row).collect())
        },
    )
}

/// Balances without an account, the first few.
pub(super) fn stray_balances(conn: &mut AnyConnection) -> Result<Vec<AccountId>> {
    Ok(balance::table
        .left_join(account::table.on(account::id.eq(balance::account_id)))
        .filter(account::id.nullable().is_null())
        .select(balance::account_id)
        .limit(PAGE)
        .load(conn)?)
}

pub(super) struct HistoryRow {
    pub account: AccountId,
    pub number: i64,
    pub amount: Amount,
    pub balance_after: Amount,
}

/// Entries by account.
pub(super) fn history() -> Pages<HistoryRow, (AccountId, i64)> {
    let key = |row: &HistoryRow| (row.account, row.number);
    Pages::after((AccountId::NIL, i64::MIN), key, |conn, (account, number)| {
        let rows: Vec<(AccountId, i64, Amount, Amount)> = entry::table
            .filter(row_after!("entry.account_id, entry.number", Binary = account, BigInt = number))
            .order((entry::account_id, entry::number))
            .limit(PAGE)
            .select((entry::account_id, entry::number, entry::amount, entry::balance_after))
            .load(conn)?;
        let row = |(account, number, amount, balance_after)| HistoryRow {
            account,
            number,
            amount,
            balance_after,
        };
        Ok(rows.into_iter().map(row).collect())
    })
}

pub(super) struct OpenHoldRow {
    pub account: AccountId,
    pub id: HoldId,
    /// Amount, captured, released.
    pub amounts: (Amount, Amount, Amount),
}

/// Open holds by account.
pub(super) fn open_holds() -> Pages<OpenHoldRow, (AccountId, HoldId)> {
    let key = |row: &OpenHoldRow| (row.account, row.id);
    Pages::after((AccountId::NIL, HoldId::NIL), key, |conn, (account, id)| {
        let rows: Vec<(AccountId, HoldId, (Amount, Amount, Amount))> = hold::table
            .filter(hold::open)
            .filter(row_after!("hold.account_id, hold.id", Binary = account, Binary = id))
            .order((hold::account_id, hold::id))
            .limit(PAGE)
            .select((hold::account_id, hold::id, (hold::amount, hold::captured, hold::released)))
            .load(conn)?;
        let row = |(account, id, amounts)| OpenHoldRow { account, id, amounts };
        Ok(rows.into_iter().map(row).collect())
    })
}

pub(super) fn transactions() -> Pages<TransactionId, TransactionId> {
    Pages::after(
        TransactionId::NIL,
        |id| *id,
        |conn, after| {
            Ok(ledger_transaction::table
                .filter(ledger_transaction::id.gt(after))
                .order(ledger_transaction::id)
                .limit(PAGE)
                .select(ledger_transaction::id)
                .load(conn)?)
        },
    )
}

pub(super) struct LineRow {
    pub transaction: TransactionId,
    pub line: i32,
    pub amount: Amount,
    /// `None` if there is no such account.
    pub asset: Option<String>,
}

/// Entries by transaction.
pub(super) fn lines() -> Pages<LineRow, (TransactionId, i32)> {
    let key = |row: &LineRow| (row.transaction, row.line);
    Pages::after((TransactionId::NIL, i32::MIN), key, |conn, (id, line)| {
        let rows: Vec<(TransactionId, i32, Amount, Option<String>)> = entry::table
            .left_join(account::table.on(account::id.eq(entry::account_id)))
            .filter(row_after!("entry.transaction_id, entry.line", Binary = id, Integer = line))
            .order((entry::transaction_id, entry::line))
            .limit(PAGE)
            .select((entry::transaction_id, entry::line, entry::amount, account::asset.nullable()))
            .load(conn)?;
        let row = |(transaction, line, amount, asset)| LineRow { transaction, line, amount, asset };
        Ok(rows.into_iter().map(row).collect())
    })
}

pub(super) struct HoldRow {
    pub id: HoldId,
    /// Code of its account, `None` if there is no such account.
    pub code: Option<String>,
    pub amount: Amount,
    pub captured: Amount,
    pub released: Amount,
    pub open: bool,
    pub ended_at: Option<Timestamp>,
}

pub(super) fn holds() -> Pages<HoldRow, HoldId> {
    type Row = (HoldId, Option<String>, Amount, Amount, Amount, bool, Option<Timestamp>);
    Pages::after(
        HoldId::NIL,
        |row| row.id,
        |conn, after| {
            let rows: Vec<Row> = hold::table
                .left_join(account::table.on(account::id.eq(hold::account_id)))
                .filter(hold::id.gt(after))
                .order(hold::id)
                .limit(PAGE)
                .select((
                    hold::id,
                    account::code.nullable(),
                    hold::amount,
                    hold::captured,
                    hold::released,
                    hold::open,
                    hold::ended_at,
                ))
                .load(conn)?;
            let row = |(id, code, amount, captured, released, open, ended_at): Row| HoldRow {
                id,
                code,
                amount,
                captured,
                released,
                open,
                ended_at,
            };
            Ok(rows.into_iter().map(row).collect())
        },
    )
}

pub(super) struct EventRow {
    pub hold: HoldId,
    pub number: i32,
    pub kind: String,
    pub amount: Amount,
    pub transaction: Option<TransactionId>,
    /// What that transaction moved on the hold's account.
    pub moved: Option<Amount>,
}

/// Events by hold.
pub(super) fn events() -> Pages<EventRow, (HoldId, i32)> {
    type Row = (HoldId, i32, String, Amount, Option<TransactionId>, Option<Amount>);
    let key = |row: &EventRow| (row.hold, row.number);
    Pages::after((HoldId::NIL, i32::MIN), key, |conn, (id, number)| {
        // IS TRUE keeps SQLite from walking the whole account for every event instead of the
        // transaction's few legs.
        let on_the_account = entry::transaction_id
            .nullable()
            .eq(hold_event::transaction_id)
            .and(sql::<Bool>("(entry.account_id = hold.account_id) IS TRUE"));
        let rows: Vec<Row> = hold_event::table
            .left_join(hold::table.on(hold::id.eq(hold_event::hold_id)))
            .left_join(entry::table.on(on_the_account))
            .filter(row_after!(
                "hold_event.hold_id, hold_event.number",
                Binary = id,
                Integer = number
            ))
            .order((hold_event::hold_id, hold_event::number))
            .limit(PAGE)
            .select((
                hold_event::hold_id,
                hold_event::number,
                hold_event::kind,
                hold_event::amount,
                hold_event::transaction_id,
                entry::amount.nullable(),
            ))
            .load(conn)?;
        let row = |(hold, number, kind, amount, transaction, moved): Row| EventRow {
            hold,
            number,
            kind,
            amount,
            transaction,
            moved,
        };
        Ok(rows.into_iter().map(row).collect())
    })
}
