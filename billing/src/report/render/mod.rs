//! Reports as files: one renderer for each format.

mod csv;
mod json;
mod text;
mod xlsx;

use std::io::Write;

use super::{Report, Result, Rows};

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// One object; amounts are texts.
    #[default]
    Json,
    /// RFC 4180 with a header; no text is a formula.
    Csv,
    /// A workbook; amounts and days are numbers, texts are texts.
    Xlsx,
}

impl Format {
    pub const ALL: [Self; 3] = [Self::Json, Self::Csv, Self::Xlsx];

    /// In queries, on the command line, and the end of a file's name.
    pub fn text(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
        }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        }
    }
}

/// Writes what `fill` gives as rows, in the columns of `report`, under what was asked.
///
/// # Errors
/// Those of `fill`, [`super::Error::Output`], [`super::Error::TooLarge`].
pub fn write_rows(
    report: &Report,
    facts: &[(&'static str, String)],
    format: Format,
    out: &mut dyn Write,
    fill: impl FnOnce(&mut dyn Rows) -> Result<()>,
) -> Result<()> {
    match format {
        Format::Json => {
            let mut sheet = json::Sheet::begin(report, facts, out)?;
            fill(&mut sheet)?;
            sheet.end()
        }
        Format::Csv => {
            let mut sheet = csv::Sheet::begin(report, out)?;
            fill(&mut sheet)?;
            sheet.end()
        }
        Format::Xlsx => {
            let mut sheet = xlsx::Sheet::begin(report, facts)?;
            fill(&mut sheet)?;
            sheet.end(out)
        }
    }
}
