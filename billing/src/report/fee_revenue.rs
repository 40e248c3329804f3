//! What leases brought in, by where and on what they ran.

use std::collections::BTreeMap;

use ::store::schema::{
    account, entry, lease, ledger_transaction as posting, settlement_record, vehicle,
};
use ::store::{Amount, Tx};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use ledger::Code;
use ledger::report::Span;

use super::cell::row;
use super::error::overflow;
use super::{Column, Param, Question, Report, Result, Rows};

pub(super) const REPORT: Report = Report {
    name: "fee_revenue",
    title: "Fee revenue by region and class",
    about: "Leases paid for in a period less what was given back: what customers paid, the fee, what \
            owners got of it, and the bonus paid on top by the platform. A row without a region is \
            fee income that is not of a lease.",
    takes: &[Param::Period, Param::By],
    columns: &[
        Column::text("asset"),
        Column::text("region"),
        Column::text("class"),
        Column::integer("leases"),
        Column::integer("seconds"),
        Column::amount("gross"),
        Column::amount("fee"),
        Column::amount("owners"),
        Column::amount("bonus"),
    ],
    rows,
};

/// Where and on what leases ran, and what they were paid in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CellOfBook {
    pub asset: String,
    /// Nothing else is left for what is not of a lease.
    pub of_lease: bool,
    pub region: String,
    pub class: String,
}

/// What they came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Sums {
    pub leases: i64,
    pub seconds: i64,
    pub gross: Amount,
    pub fee: Amount,
    pub bonus: Amount,
}

fn rows(tx: &mut Tx<'_>, question: &Question, rows: &mut dyn Rows) -> Result<()> {
    for (cell, sums) in settled(tx, &question.span)? {
        let owners = match cell.of_lease {
            true => Some(sums.gross.checked_sub(sums.fee).ok_or_else(overflow)?),
            false => None,
        };
        row!(
            rows,
            &cell.asset,
            &cell.region,
            &cell.class,
            sums.leases,
            sums.seconds,
            sums.gross,
            sums.fee,
            owners,
            sums.bonus,
        )?;
    }
    Ok(())
}

/// Settlements and what gave parts of them back, by cell; and the fee income that is not of a lease.
pub(super) fn settled(tx: &mut Tx<'_>, span: &Span) -> Result<BTreeMap<CellOfBook, Sums>> {
    let mut cells = BTreeMap::<CellOfBook, Sums>::new();
    let mut others = all_fees(tx, span)?;
    for ((asset, code, region, class), (debits, leases, seconds)) in legs(tx, span)? {
        let fees = others.entry(asset.clone()).or_default();
        let sums = cells.entry(CellOfBook { asset, of_lease: true, region, class }).or_default();
        let add = |sum: Amount, part: Amount| sum.checked_add(part).ok_or_else(overflow);
        match Code::parse(&code) {
            Some(Code::FeeIncome) => {
                sums.fee = add(sums.fee, -debits)?;
                *fees = add(*fees, debits)?;
            }
            Some(Code::BonusExpense) => sums.bonus = add(sums.bonus, debits)?,
            _ => {
                sums.gross = add(sums.gross, debits)?;
                sums.leases += leases;
                sums.seconds += seconds;
            }
        }
    }
    for (asset, fee) in others.into_iter().filter(|(_, fee)| *fee != Amount::ZERO) {
        let (region, class) = Default::default();
        let cell = CellOfBook { asset, of_lease: false, region, class };
        cells.insert(cell, Sums { fee, ..Sums::default() });
    }
    Ok(cells)
}

/// Asset, code, region and class; debits less credits, and of settlements themselves how many and
/// how long.
type Row = ((String, String, String, String), (Amount, i64, i64));

/// The legs of settlements and of what gave parts of them back.
fn legs(tx: &mut Tx<'_>, span: &Span) -> Result<Vec<Row>> {
    let codes = [Code::CustomerWallet, Code::FeeIncome, Code::BonusExpense].map(Code::text);
    let of_settlement = sql::<Bool>(
        "settlement_record.transaction_id = \
         COALESCE(ledger_transaction.refers_to, ledger_transaction.id)",
    );
    let counted = |what: &str| {
        let own = "settlement_record.transaction_id = ledger_transaction.id";
        sql::<BigInt>(&format!("CAST(SUM(CASE WHEN {own} THEN {what} ELSE 0 END) AS BIGINT)"))
    };
    Ok(entry::table
        .inner_join(account::table.on(account::id.eq(entry::account_id)))
        .inner_join(posting::table.on(posting::id.eq(entry::transaction_id)))
        .inner_join(settlement_record::table.on(of_settlement))
        .inner_join(lease::table.on(lease::id.eq(settlement_record::lease_id)))
        .inner_join(vehicle::table.on(vehicle::id.eq(lease::vehicle_id)))
        .filter(account::code.eq_any(codes))
        .filter(ledger::counts_in!(span))
        .group_by(sql::<Text>("account.asset, account.code, vehicle.region_id, vehicle.class_id"))
        .select((
            (
                sql::<Text>("account.asset"),
                sql::<Text>("account.code"),
                sql::<Text>("vehicle.region_id"),
                sql::<Text>("vehicle.class_id"),
            ),
            (sum_of_amounts(), counted("1"), counted("settlement_record.seconds")),
        ))
        .load(tx.conn)?)
}

/// All fee income by asset.
fn all_fees(tx: &mut Tx<'_>, span: &Span) -> Result<BTreeMap<String, Amount>> {
    let rows: Vec<(String, Amount)> = entry::table
        .inner_join(account::table.on(account::id.eq(entry::account_id)))
        .inner_join(posting::table.on(posting::id.eq(entry::transaction_id)))
        .filter(account::code.eq(Code::FeeIncome.text()))
        .filter(ledger::counts_in!(span))
        .group_by(account::asset)
        .select((account::asset, sum_of_amounts()))
        .load(tx.conn)?;
    Ok(rows.into_iter().map(|(asset, debits)| (asset, -debits)).collect())
}

fn sum_of_amounts() -> diesel::expression::SqlLiteral<BigInt> {
    sql("CAST(SUM(entry.amount) AS BIGINT)")
}
