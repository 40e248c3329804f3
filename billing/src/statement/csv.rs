//! A statement for spreadsheets. No cell begins with what a spreadsheet would run: texts are ids
//! and words of ours, and amounts are numbers.

use super::{Line, Section, Statement};
use crate::{Error, Result};

const HEADER: [&str; 13] = [
    "asset",
    "at",
    "kind",
    "subject",
    "vehicle",
    "region",
    "class",
    "seconds",
    "price_per_hour",
    "gross",
    "fee",
    "amount",
    "balance",
];

/// RFC 4180 with a header. The same statement gives the same bytes.
///
/// # Errors
/// [`Error::Render`].
pub fn render_csv(statement: &Statement) -> Result<Vec<u8>> {
    let mut rows = csv::Writer::from_writer(Vec::new());
    let fault = |error: csv::Error| Error::Render(error.to_string());
    rows.write_record(HEADER).map_err(fault)?;
    for section in &statement.sections {
        let opening = section.opening.to_string();
        rows.write_record(balance_row(section, "opening", &statement.from.to_string(), &opening))
            .map_err(fault)?;
        for line in &section.lines {
            rows.write_record(line_row(section, line)).map_err(fault)?;
        }
        let closing = section.closing.to_string();
        rows.write_record(balance_row(section, "closing", &statement.to.to_string(), &closing))
            .map_err(fault)?;
    }
    for lease in &statement.unpaid {
        let mut row: [String; 13] = Default::default();
        row[1] = lease.ended_at.map(|at| at.to_string()).unwrap_or_default();
        row[2] = format!("unpaid: {}", lease.reason);
        row[3] = lease.lease.to_string();
        row[4] = lease.vehicle.to_string();
        row[11] = "0.000000".to_owned();
        rows.write_record(row).map_err(fault)?;
    }
    rows.into_inner().map_err(|error| Error::Render(error.to_string()))
}

fn balance_row(section: &Section, kind: &str, at: &str, balance: &str) -> [String; 13] {
    let mut row: [String; 13] = Default::default();
    row[0] = section.asset.clone();
    row[1] = at.to_owned();
    row[2] = kind.to_owned();
    row[12] = balance.to_owned();
    row
}

fn line_row(section: &Section, line: &Line) -> [String; 13] {
    let mut row = balance_row(section, &line.kind, &line.at.to_string(), &line.balance.to_string());
    row[3] = line.subject.clone();
    row[11] = line.amount.to_string();
    if let Some(lease) = &line.lease {
        row[4] = lease.vehicle.to_string();
        row[5] = lease.region.clone();
        row[6] = lease.class.clone();
        row[7] = lease.seconds.to_string();
        row[8] = lease.price.to_string();
        row[9] = lease.gross.to_string();
        row[10] = lease.fee.to_string();
    }
    row
}
