//! The trial balance.

use ::store::{Amount, Tx};
use ledger::report::{path, trial_balance_as_of};

use super::cell::row;
use super::{Column, Error, Param, Question, Report, Result, Rows};

pub(super) const REPORT: Report = Report {
    name: "trial_balance",
    title: "Trial balance",
    about: "Debit and credit balances by account code and asset. In each asset debits are credits.",
    takes: &[Param::AsOf, Param::By],
    columns: &[
        Column::text("place"),
        Column::text("account"),
        Column::text("asset"),
        Column::amount("debit"),
        Column::amount("credit"),
    ],
    rows,
};

fn rows(tx: &mut Tx<'_>, question: &Question, rows: &mut dyn Rows) -> Result<()> {
    let lines = trial_balance_as_of(tx, question.span.after())?;
    let mut totals = std::collections::BTreeMap::<&str, Amount>::new();
    for line in &lines {
        row!(rows, path(line.code), line.code.text(), &line.asset, line.debit, line.credit)?;
        let total = totals.entry(&line.asset).or_default();
        *total = *total + line.debit - line.credit;
    }
    match totals.into_iter().find(|(_, total)| *total != Amount::ZERO) {
        Some((asset, total)) => Err(Error::Disagrees(format!("{asset} is out by {total}"))),
        None => Ok(()),
    }
}
