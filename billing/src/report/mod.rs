//! What finance asks the books: one registry of reports, one renderer for each format.
//!
//! A [`Report`] has a name, columns, and a function that writes its rows to whoever asked; it knows
//! no format. To add one, write a file like [`trial_balance`](trial_balance::REPORT) and name it in
//! [`ALL`]. Rows are written while they are read, in an order that the books fix: the same question
//! to the same book gives the same bytes, whenever it is asked and on whichever database.

mod account_statement;
mod ageing;
mod balance_sheet;
mod cell;
mod deferred_revenue;
mod error;
mod fee_revenue;
mod general_ledger;
mod holds;
mod income_statement;
mod journal;
mod payables;
mod payout_transactions;
mod question;
mod receivables;
mod render;
mod solvency;
mod trial_balance;
mod usage;

use std::io::Write;

use ::store::Tx;

pub use cell::{Cell, Column, Kind, Rows};
pub use error::{Error, Result};
pub use journal::journal;
pub use question::{Param, Question, Words};
pub use render::{Format, write_rows};

/// A report: what it is called, what it asks for, and how its rows are made.
#[derive(Debug)]
pub struct Report {
    /// In paths, file names and on the command line.
    pub name: &'static str,
    pub title: &'static str,
    /// What it shows, in a sentence or two.
    pub about: &'static str,
    /// What a question can name, or has to.
    pub takes: &'static [Param],
    pub columns: &'static [Column],
    /// Writes the rows, in a fixed order.
    pub rows: fn(&mut Tx<'_>, &Question, &mut dyn Rows) -> Result<()>,
}

/// Every report, in order of name.
pub const ALL: [&Report; 14] = [
    &account_statement::REPORT,
    &balance_sheet::REPORT,
    &deferred_revenue::REPORT,
    &fee_revenue::REPORT,
    &general_ledger::REPORT,
    &holds::REPORT,
    &income_statement::REPORT,
    &journal::REPORT,
    &payables::REPORT,
    &payout_transactions::REPORT,
    &receivables::REPORT,
    &solvency::REPORT,
    &trial_balance::REPORT,
    &usage::REPORT,
];

/// The report of this name.
///
/// # Errors
/// [`Error::Unknown`].
pub fn find(name: &str) -> Result<&'static Report> {
    let found = ALL.into_iter().find(|report| report.name == name);
    found.ok_or_else(|| Error::Unknown(name.to_owned()))
}

impl Report {
    /// Writes the answer to a question.
    ///
    /// # Errors
    /// [`Error::Question`], [`Error::Disagrees`], [`Error::Output`], faults of storage.
    pub fn write(
        &self,
        tx: &mut Tx<'_>,
        question: &Question,
        format: Format,
        out: &mut dyn Write,
    ) -> Result<()> {
        write_rows(self, &question.facts(self), format, out, |rows| (self.rows)(tx, question, rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_in_order_and_their_columns_differ() {
        assert!(ALL.windows(2).all(|pair| pair[0].name < pair[1].name));
        for report in ALL {
            let mut names: Vec<_> = report.columns.iter().map(|column| column.name).collect();
            names.sort_unstable();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{}", report.name);
            assert_eq!(find(report.name).unwrap().title, report.title);
        }
        assert!(matches!(find("tea_leaves"), Err(Error::Unknown(_))));
    }
}
