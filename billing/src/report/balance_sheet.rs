//! The balance sheet.

use std::collections::BTreeMap;

use ::store::{Amount, Tx};
use ledger::report::{TrialLine, path, trial_balance_as_of};

use super::cell::row;
use super::error::overflow;
use super::{Column, Error, Param, Question, Report, Result, Rows};

pub(super) const REPORT: Report = Report {
    name: "balance_sheet",
    title: "Balance sheet",
    about: "Assets, liabilities and equity by account code and asset, with the result of all \
            income and expenses so far. In each asset, assets are liabilities and equity together.",
    takes: &[Param::AsOf, Param::By],
    columns: &[
        Column::text("class"),
        Column::text("place"),
        Column::text("asset"),
        Column::amount("amount"),
    ],
    rows,
};

/// Where income less expenses stands.
const RESULT: &str = "Equity:Result";

/// Amounts by class, place and asset, each in the direction of its class.
type Sheet<'a> = BTreeMap<(&'static str, &'static str, &'a str), Amount>;

fn rows(tx: &mut Tx<'_>, question: &Question, rows: &mut dyn Rows) -> Result<()> {
    let lines = trial_balance_as_of(tx, question.span.after())?;
    let sheet = sheet(&lines)?;
    let mut totals = BTreeMap::<(&str, &str), Amount>::new();
    for ((class, place, asset), amount) in &sheet {
        row!(rows, *class, *place, *asset, *amount)?;
        let total = totals.entry((class, asset)).or_default();
        *total = total.checked_add(*amount).ok_or_else(overflow)?;
    }
    for ((class, asset), total) in &totals {
        row!(rows, *class, "total", *asset, *total)?;
    }
    let mut out = BTreeMap::<&str, Amount>::new();
    for ((class, asset), total) in totals {
        let sum = out.entry(asset).or_default();
        *sum = if class == "Assets" { *sum + total } else { *sum - total };
    }
    match out.into_iter().find(|(_, sum)| *sum != Amount::ZERO) {
        Some((asset, sum)) => Err(Error::Disagrees(format!("{asset} is out by {sum}"))),
        None => Ok(()),
    }
}

/// Pure.
fn sheet(lines: &[TrialLine]) -> Result<Sheet<'_>> {
    let mut sheet = Sheet::new();
    for line in lines {
        let place = path(line.code);
        let debits = line.debit.checked_sub(line.credit).ok_or_else(overflow)?;
        let (class, place, amount) = match place.split(':').next() {
            Some("Assets") => ("Assets", place, debits),
            Some("Liabilities") => ("Liabilities", place, -debits),
            Some("Income" | "Expenses") => ("Equity", RESULT, -debits),
            _ => ("Equity", place, -debits),
        };
        let sum = sheet.entry((class, place, line.asset.as_str())).or_default();
        *sum = sum.checked_add(amount).ok_or_else(overflow)?;
    }
    Ok(sheet)
}
