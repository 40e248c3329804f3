//! A statement for spreadsheets. Amounts are numbers; no text begins with what a spreadsheet would
//! run.

use ::store::{Amount, Timestamp};

use super::{LeaseDetail, Line, Statement, UnpaidLease};
use crate::{Error, Result};

/// Of all rows. Gross, fee and bonus are in `priced_in`, amount and balance in `asset`.
const HEADER: [&str; 18] = [
    "asset",
    "at",
    "kind",
    "subject",
    "vehicle",
    "region",
    "class",
    "started_at",
    "ended_at",
    "seconds",
    "priced_in",
    "price_per_hour",
    "gross",
    "fee",
    "bonus",
    "amount",
    "balance",
    "reason",
];

#[derive(Default)]
struct Row<'a> {
    asset: &'a str,
    at: Option<Timestamp>,
    kind: &'a str,
    subject: String,
    lease: Option<&'a LeaseDetail>,
    unpaid: Option<&'a UnpaidLease>,
    amount: Option<Amount>,
    balance: Option<Amount>,
}

/// RFC 4180 with a header, times in UTC. The same statement gives the same bytes.
///
/// # Errors
/// [`Error::Render`].
pub fn render_csv(statement: &Statement) -> Result<Vec<u8>> {
    let mut csv = ::csv::Writer::from_writer(Vec::new());
    let fault = |error: ::csv::Error| Error::Render(error.to_string());
    csv.write_record(HEADER).map_err(fault)?;
    for row in rows(statement) {
        csv.write_record(record(&row)).map_err(fault)?;
    }
    csv.into_inner().map_err(|error| Error::Render(error.to_string()))
}

fn rows(statement: &Statement) -> impl Iterator<Item = Row<'_>> {
    let Statement { from, to, .. } = statement;
    let sections = statement.sections.iter().flat_map(move |section| {
        let asset = section.asset.as_str();
        let balance = move |kind, at: &Timestamp, balance| Row {
            asset,
            at: Some(*at),
            kind,
            balance: Some(balance),
            ..Row::default()
        };
        let opening = balance("opening", from, section.opening);
        let closing = balance("closing", to, section.closing);
        let lines = section.lines.iter().map(move |line| line_row(asset, line));
        std::iter::once(opening).chain(lines).chain(std::iter::once(closing))
    });
    sections.chain(statement.unpaid.iter().map(|unpaid| Row {
        at: unpaid.settled_at,
        kind: "unpaid",
        subject: unpaid.lease.to_string(),
        unpaid: Some(unpaid),
        amount: Some(Amount::ZERO),
        ..Row::default()
    }))
}

fn line_row<'a>(asset: &'a str, line: &'a Line) -> Row<'a> {
    Row {
        asset,
        at: Some(line.at),
        kind: &line.kind,
        subject: line.subject.clone(),
        lease: line.lease.as_ref(),
        unpaid: None,
        amount: Some(line.amount),
        balance: Some(line.balance),
    }
}

fn record(row: &Row<'_>) -> [String; HEADER.len()] {
    let Row { lease, unpaid, .. } = row;
    let region = lease.map(|l| &l.region).or(unpaid.map(|l| &l.region));
    let class = lease.map(|l| &l.class).or(unpaid.map(|l| &l.class));
    let started_at = lease.map_or(unpaid.and_then(|l| l.started_at), |l| l.started_at);
    let ended_at = lease.map_or(unpaid.and_then(|l| l.ended_at), |l| l.ended_at);
    [
        text(row.asset),
        show(row.at),
        text(row.kind),
        text(&row.subject),
        show(lease.map(|l| l.vehicle).or(unpaid.map(|l| l.vehicle))),
        text(region.map_or("", String::as_str)),
        text(class.map_or("", String::as_str)),
        show(started_at),
        show(ended_at),
        show(lease.map(|l| l.seconds)),
        text(lease.map_or("", |l| &l.asset)),
        show(lease.map(|l| l.price)),
        show(lease.map(|l| l.gross)),
        show(lease.map(|l| l.fee)),
        show(lease.map(|l| l.bonus)),
        show(row.amount),
        show(row.balance),
        text(unpaid.map_or("", |l| &l.reason)),
    ]
}

fn show(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// A text that no spreadsheet takes for a formula, on one line.
fn text(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let formula = text.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
    if formula { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn no_text_is_a_formula() {
        for (cell, written) in [
            ("the car failed", "the car failed"),
            ("=1+1", "'=1+1"),
            ("\t=1+1", "' =1+1"),
            ("\r\n-2", "'  -2"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("＝1", "'＝1"),
            ("a\nb", "a b"),
            ("", ""),
        ] {
            assert_eq!(text(cell), written);
        }
    }
}
