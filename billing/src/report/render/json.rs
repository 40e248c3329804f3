//! A report as one JSON object, a row a line.

use std::io::{BufWriter, Write};

use super::text::put;
use crate::report::{Cell, Error, Report, Result, Rows};

pub(super) struct Sheet<'a> {
    report: &'a Report,
    out: BufWriter<&'a mut dyn Write>,
    rows: u64,
    cell: Vec<u8>,
}

impl<'a> Sheet<'a> {
    /// The object up to its rows: what was asked, and the columns.
    pub(super) fn begin(
        report: &'a Report,
        facts: &[(&'static str, String)],
        out: &'a mut dyn Write,
    ) -> Result<Self> {
        let mut sheet = Self { report, out: BufWriter::new(out), rows: 0, cell: Vec::new() };
        write!(sheet.out, "{{\"report\":")?;
        sheet.text(report.name)?;
        write!(sheet.out, ",\"title\":")?;
        sheet.text(report.title)?;
        for (name, value) in facts {
            write!(sheet.out, ",\"{name}\":")?;
            sheet.text(value)?;
        }
        write!(sheet.out, ",\"columns\":[")?;
        for (number, column) in report.columns.iter().enumerate() {
            write!(sheet.out, "{}", if number == 0 { "" } else { "," })?;
            sheet.text(column.name)?;
        }
        write!(sheet.out, "],\"rows\":[")?;
        Ok(sheet)
    }

    pub(super) fn end(mut self) -> Result<()> {
        writeln!(self.out, "\n]}}")?;
        Ok(self.out.flush()?)
    }

    fn text(&mut self, text: &str) -> Result<()> {
        serde_json::to_writer(&mut self.out, text).map_err(|error| Error::Output(error.into()))
    }
}

impl Rows for Sheet<'_> {
    fn row(&mut self, cells: &[Cell<'_>]) -> Result<()> {
        let report = self.report;
        self.out.write_all(if self.rows == 0 { b"\n{" } else { b",\n{" })?;
        self.rows += 1;
        for (number, (column, cell)) in report.columns.iter().zip(cells).enumerate() {
            write!(self.out, "{}\"{}\":", if number == 0 { "" } else { "," }, column.name)?;
            match cell {
                Cell::Empty => self.out.write_all(b"null")?,
                Cell::Text(text) => self.text(text)?,
                Cell::Integer(number) => write!(self.out, "{number}")?,
                Cell::Amount(_) | Cell::Day(_) | Cell::Time(_) => {
                    self.cell.clear();
                    self.cell.push(b'"');
                    put(cell, &mut self.cell);
                    self.cell.push(b'"');
                    self.out.write_all(&self.cell)?;
                }
            }
        }
        Ok(self.out.write_all(b"}")?)
    }
}
