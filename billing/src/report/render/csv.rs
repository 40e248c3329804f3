//! A report for spreadsheets and programs: RFC 4180.

use std::io::Write;

use super::text::put;
use crate::report::{Cell, Error, Report, Result, Rows};

pub(super) struct Sheet<'a> {
    csv: ::csv::Writer<&'a mut dyn Write>,
    cell: Vec<u8>,
}

/// Bytes that are written at once.
const BUFFER: usize = 1 << 17;

impl<'a> Sheet<'a> {
    pub(super) fn begin(report: &Report, out: &'a mut dyn Write) -> Result<Self> {
        let mut csv = ::csv::WriterBuilder::new().buffer_capacity(BUFFER).from_writer(out);
        csv.write_record(report.columns.iter().map(|column| column.name)).map_err(output)?;
        Ok(Self { csv, cell: Vec::new() })
    }

    pub(super) fn end(mut self) -> Result<()> {
        Ok(self.csv.flush()?)
    }
}

impl Rows for Sheet<'_> {
    fn row(&mut self, cells: &[Cell<'_>]) -> Result<()> {
        for cell in cells {
            self.cell.clear();
            if matches!(cell, Cell::Text(text) if is_formula(text)) {
                self.cell.push(b'\'');
            }
            put(cell, &mut self.cell);
            self.csv.write_field(&self.cell).map_err(output)?;
        }
        self.csv.write_record(None::<&[u8]>).map_err(output)
    }
}

fn output(error: ::csv::Error) -> Error {
    Error::Output(std::io::Error::other(error))
}

/// A spreadsheet would take the text for a formula: some of them look behind blanks.
fn is_formula(text: &str) -> bool {
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c.is_control());
    text.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
}

#[cfg(test)]
mod tests {
    use super::is_formula;

    #[test]
    fn formulas_are_told() {
        for formula in ["=1", "+1", "-1", "@A1", "\t=1", "\r\n-2", " =1", "\0=1", "＝1"] {
            assert!(is_formula(formula), "{formula:?}");
        }
        for text in ["", "lease_01", "a=b", "{\"a\":1}", "1-1"] {
            assert!(!is_formula(text), "{text:?}");
        }
    }
}
