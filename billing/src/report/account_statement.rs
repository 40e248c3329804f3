//! One account of the general ledger.

use super::general_ledger::{COLUMNS, write};
use super::{Param, Report};

pub(super) const REPORT: Report = Report {
    name: "account_statement",
    title: "Account statement",
    about: "What an account had, each entry, what it had then. The balance is debits less credits.",
    takes: &[Param::Account, Param::Period, Param::By],
    columns: &COLUMNS,
    rows: |tx, question, rows| write(tx, question, rows),
};
