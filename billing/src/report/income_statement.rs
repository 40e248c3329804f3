//! The income statement.

use std::collections::BTreeMap;

use ::store::{Amount, Tx};
use ledger::Code;
use ledger::report::{AsOf, path, trial_balance_as_of};

use super::cell::row;
use super::error::overflow;
use super::fee_revenue::settled;
use super::{Column, Param, Question, Report, Result, Rows};

pub(super) const REPORT: Report = Report {
    name: "income_statement",
    title: "Income statement",
    about: "Income and expenses of a period by account code and asset, and the result. Net: the \
            fee is our income. Gross: what customers paid for leases is our income, and what \
            owners got of it an expense; the result is the same.",
    takes: &[Param::Period, Param::By, Param::Presentation],
    columns: &[
        Column::text("class"),
        Column::text("place"),
        Column::text("asset"),
        Column::amount("amount"),
    ],
    rows,
};

/// Debits less credits of income and expenses, by code and asset.
type Moved = BTreeMap<(Code, String), Amount>;

fn rows(tx: &mut Tx<'_>, question: &Question, rows: &mut dyn Rows) -> Result<()> {
    let mut moved = at(tx, question.span.after())?;
    if let Some(before) = question.span.before() {
        for (key, amount) in at(tx, before)? {
            let sum = moved.entry(key).or_default();
            *sum = sum.checked_sub(amount).ok_or_else(overflow)?;
        }
    }
    let mut lines = BTreeMap::new();
    let mut add = |place: &'static str, asset: &str, amount: Amount| {
        let sum: &mut Amount = lines.entry((place, asset.to_owned())).or_default();
        *sum = sum.checked_add(amount).ok_or_else(overflow)?;
        Ok::<_, super::Error>(())
    };
    for ((code, asset), debits) in &moved {
        let income = path(*code).starts_with("Income");
        add(path(*code), asset, if income { -*debits } else { *debits })?;
    }
    if question.gross {
        for (cell, sums) in settled(tx, &question.span)? {
            let owners = sums.gross.checked_sub(sums.fee).ok_or_else(overflow)?;
            if cell.of_lease {
                add(path(Code::FeeIncome), &cell.asset, -sums.fee)?;
                add("Income:Compute", &cell.asset, sums.gross)?;
                add("Expenses:Owners", &cell.asset, owners)?;
            }
        }
    }
    write(rows, &lines)
}

fn write(rows: &mut dyn Rows, lines: &BTreeMap<(&'static str, String), Amount>) -> Result<()> {
    let mut results = BTreeMap::<&str, Amount>::new();
    for ((place, asset), amount) in lines {
        let income = place.starts_with("Income");
        let result = results.entry(asset).or_default();
        let signed = if income { *amount } else { -*amount };
        *result = result.checked_add(signed).ok_or_else(overflow)?;
    }
    for class in ["Income", "Expenses"] {
        for ((place, asset), amount) in lines.iter().filter(|line| line.0.0.starts_with(class)) {
            row!(rows, class, *place, asset, *amount)?;
        }
    }
    for (asset, result) in results {
        row!(rows, "Result", "total", asset, result)?;
    }
    Ok(())
}

fn at(tx: &mut Tx<'_>, as_of: AsOf) -> Result<Moved> {
    let lines = trial_balance_as_of(tx, as_of)?.into_iter();
    let counts =
        |code: Code| path(code).starts_with("Income") || path(code).starts_with("Expenses");
    lines
        .filter(|line| counts(line.code))
        .map(|line| {
            let debits = line.debit.checked_sub(line.credit).ok_or_else(overflow)?;
            Ok(((line.code, line.asset), debits))
        })
        .collect()
}
