//! The general ledger.

use ::store::{Amount, Tx};
use ledger::report::{AccountBalance, GeneralEntry, GeneralLine, general_ledger, path};

use super::cell::{Cell, party_text, sides};
use super::{Column, Param, Question, Report, Result, Rows};

pub(super) const REPORT: Report = Report {
    name: "general_ledger",
    title: "General ledger",
    about: "Account after account in order of opening: what it had, each entry, what it had then. \
            The balance is debits less credits.",
    takes: &[Param::Period, Param::By],
    columns: &COLUMNS,
    rows: |tx, question, rows| write(tx, question, rows),
};

pub(super) const COLUMNS: [Column; 16] = [
    Column::text("account"),
    Column::text("place"),
    Column::text("code"),
    Column::text("party"),
    Column::text("asset"),
    Column::text("line"),
    Column::day("booked_on"),
    Column::time("posted_at"),
    Column::time("effective_at"),
    Column::text("transaction"),
    Column::text("kind"),
    Column::text("subject"),
    Column::integer("number"),
    Column::amount("debit"),
    Column::amount("credit"),
    Column::amount("balance"),
];

pub(super) fn write(tx: &mut Tx<'_>, question: &Question, rows: &mut dyn Rows) -> Result<()> {
    let mut writer = Writer { rows, head: Head::default(), failed: None };
    let done = general_ledger(tx, question.account, &question.span, |line| writer.line(line));
    // The book passes on that the writer stopped, not why.
    match writer.failed {
        Some(error) => Err(error),
        None => Ok(done?),
    }
}

/// An account's own cells, made once for all its rows.
#[derive(Default)]
struct Head {
    account: String,
    party: String,
}

struct Writer<'a> {
    rows: &'a mut dyn Rows,
    head: Head,
    failed: Option<super::Error>,
}

impl Writer<'_> {
    fn line(&mut self, line: GeneralLine<'_>) -> ledger::Result<()> {
        let done = match line {
            GeneralLine::Opening(account, balance) => {
                self.head =
                    Head { account: account.account.to_string(), party: party_text(account.party) };
                self.row(account, "opening", None, balance)
            }
            GeneralLine::Entry(account, entry, balance) => {
                self.row(account, "entry", Some(entry), balance)
            }
            GeneralLine::Closing(account, balance) => self.row(account, "closing", None, balance),
        };
        done.map_err(|error| {
            self.failed = Some(error);
            ledger::Error::Output(std::io::Error::other("the report ended"))
        })
    }

    fn row(
        &mut self,
        of: &AccountBalance,
        line: &'static str,
        entry: Option<&GeneralEntry>,
        balance: Amount,
    ) -> Result<()> {
        let transaction = entry.map(|entry| entry.transaction.to_string());
        let (debit, credit) = entry.map_or((None, None), |entry| sides(entry.amount));
        self.rows.row(&[
            Cell::from(&self.head.account),
            Cell::from(path(of.code)),
            Cell::from(of.code.text()),
            Cell::from(&self.head.party),
            Cell::from(&of.asset),
            Cell::from(line),
            Cell::from(entry.map(|entry| entry.booked_on)),
            Cell::from(entry.map(|entry| entry.posted_at)),
            Cell::from(entry.map(|entry| entry.effective_at)),
            Cell::from(transaction.as_ref()),
            Cell::from(entry.map(|entry| &entry.kind)),
            Cell::from(entry.map(|entry| &entry.subject)),
            Cell::from(entry.map(|entry| entry.number)),
            Cell::from(debit),
            Cell::from(credit),
            Cell::from(balance),
        ])
    }
}
