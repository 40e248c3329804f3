//! A report as a workbook. Rows go to a temporary file while they come, so memory is bounded; a
//! sheet that is full is continued on the next.

use std::io::{Seek, Write};

use ::store::Amount;
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook, Worksheet, XlsxError};

use super::text::put;
use crate::report::{Cell, Error, Kind, Report, Result, Rows};

/// Rows of a sheet, the heading among them.
const SHEET_ROWS: u32 = 1_048_576;
/// Sheets of a workbook: beyond, nobody opens it.
const MAX_SHEETS: usize = 20;
/// Amounts below this, either way, are told exactly to the micro-unit by the numbers that a
/// workbook has: 2^32 units.
const EXACT: Amount = Amount(4_294_967_296_000_000);
/// Whole numbers below this are exact.
const EXACT_INTEGER: i64 = 1 << 53;
/// The number that a workbook has for 1970-01-01.
const EPOCH: i32 = 25_569;

pub(super) struct Sheet<'a> {
    report: &'a Report,
    workbook: Workbook,
    sheets: usize,
    /// The next row of the sheet.
    row: u32,
    amount: Format,
    day: Format,
    heading: Format,
    cell: Vec<u8>,
}

impl<'a> Sheet<'a> {
    pub(super) fn begin(report: &'a Report, facts: &[(&'static str, String)]) -> Result<Self> {
        let mut workbook = Workbook::new();
        // The moment of making is part of the file: it is the same for all.
        let made = ExcelDateTime::from_ymd(2000, 1, 1).map_err(fault)?;
        let asked: Vec<String> =
            facts.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let properties = DocProperties::new()
            .set_title(report.title)
            .set_subject(asked.join(", "))
            .set_comment(report.about)
            .set_creation_datetime(&made);
        workbook.set_properties(&properties);
        let mut sheet = Self {
            report,
            workbook,
            sheets: 0,
            row: SHEET_ROWS,
            amount: Format::new().set_num_format("#,##0.000000"),
            day: Format::new().set_num_format("yyyy-mm-dd"),
            heading: Format::new().set_bold(),
            cell: Vec::new(),
        };
        sheet.next_sheet()?;
        Ok(sheet)
    }

    pub(super) fn end(mut self, out: &mut dyn Write) -> Result<()> {
        let mut file = tempfile::tempfile()?;
        self.workbook.save_to_writer(std::io::BufWriter::new(&file)).map_err(fault)?;
        file.rewind()?;
        std::io::copy(&mut file, out)?;
        Ok(())
    }

    fn next_sheet(&mut self) -> Result<()> {
        if self.sheets == MAX_SHEETS {
            let most = MAX_SHEETS * SHEET_ROWS as usize;
            let why = format!("a workbook has at most {most} rows: ask for CSV, or a shorter time");
            return Err(Error::TooLarge(why));
        }
        self.sheets += 1;
        let name = match self.sheets {
            1 => self.report.name.to_owned(),
            number => format!("{}_{number}", self.report.name),
        };
        let sheet = self.workbook.add_worksheet_with_constant_memory().map_err(fault)?;
        sheet.set_name(name).map_err(fault)?;
        sheet.set_freeze_panes(1, 0).map_err(fault)?;
        for (column, at) in self.report.columns.iter().zip(0..) {
            let width = match column.kind {
                Kind::Text => 30,
                Kind::Amount | Kind::Time => 22,
                Kind::Integer | Kind::Day => 12,
            };
            sheet.set_column_width(at, width).map_err(fault)?;
            sheet.write_string_with_format(0, at, column.name, &self.heading).map_err(fault)?;
        }
        self.row = 1;
        Ok(())
    }
}

impl Rows for Sheet<'_> {
    fn row(&mut self, cells: &[Cell<'_>]) -> Result<()> {
        if self.row == SHEET_ROWS {
            self.next_sheet()?;
        }
        let Self { workbook, sheets, row, amount, day, cell: text, .. } = self;
        let sheet = workbook.worksheet_from_index(*sheets - 1).map_err(fault)?;
        for (cell, column) in cells.iter().zip(0..) {
            text.clear();
            put(cell, text);
            let text = String::from_utf8_lossy(text);
            match cell {
                Cell::Empty => continue,
                Cell::Amount(value) => write_amount(sheet, (*row, column), *value, &text, amount),
                Cell::Integer(value) if value.abs() < EXACT_INTEGER => {
                    sheet.write_number(*row, column, *value as f64)
                }
                Cell::Day(value) => {
                    let number = value.0.saturating_add(EPOCH);
                    sheet.write_number_with_format(*row, column, number, day)
                }
                Cell::Integer(_) | Cell::Text(_) | Cell::Time(_) => {
                    sheet.write_string(*row, column, text)
                }
            }
            .map_err(fault)?;
        }
        *row += 1;
        Ok(())
    }
}

/// A number where it is exact, a text where it is not.
fn write_amount<'s>(
    sheet: &'s mut Worksheet,
    (row, column): (u32, u16),
    value: Amount,
    text: &str,
    format: &Format,
) -> std::result::Result<&'s mut Worksheet, XlsxError> {
    match text.parse::<f64>() {
        Ok(number) if value < EXACT && value > -EXACT => {
            sheet.write_number_with_format(row, column, number, format)
        }
        _ => sheet.write_string(row, column, text),
    }
}

fn fault(error: XlsxError) -> Error {
    Error::Output(std::io::Error::other(error))
}
