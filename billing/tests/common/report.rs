//! Asking reports, and reading the answers.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use billing::report::{Error, Format, Words, find};
use serde_json::Value;
use store::{Day, Store};

/// A row by column; numbers as texts, an empty cell is an empty text.
pub type Row = BTreeMap<String, String>;

pub fn written(store: &Store, name: &str, words: &Words, format: Format) -> Vec<u8> {
    try_write(store, name, words, format).unwrap()
}

pub fn try_write(
    store: &Store,
    name: &str,
    words: &Words,
    format: Format,
) -> Result<Vec<u8>, Error> {
    let report = find(name)?;
    let question = words.read(report, Day::of(store.now()))?;
    let mut out = Vec::new();
    store.read(|tx| report.write(tx, &question, format, &mut out))?;
    Ok(out)
}

/// The answer in JSON.
pub fn rows(store: &Store, name: &str, words: &Words) -> Vec<Row> {
    let answer: Value = serde_json::from_slice(&written(store, name, words, Format::Json)).unwrap();
    assert_eq!(answer["report"], name);
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let row = |row: &Value| {
        let cells = row.as_object().unwrap().iter();
        cells.map(|(name, value)| (name.clone(), text(value))).collect()
    };
    answer["rows"].as_array().unwrap().iter().map(row).collect()
}

/// The rows of a table with a heading. A text that was kept from being a formula is as it was.
pub fn parse_csv(bytes: &[u8]) -> Vec<Row> {
    let mut reader = csv::Reader::from_reader(bytes);
    let heading = reader.headers().unwrap().clone();
    let cell =
        |(name, cell): (&str, &str)| (name.to_owned(), cell.trim_start_matches('\'').to_owned());
    let row = |row: csv::StringRecord| heading.iter().zip(row.iter()).map(cell).collect();
    reader.into_records().map(|record| row(record.unwrap())).collect()
}

/// What openpyxl reads in a workbook: no cell of it is a formula.
pub fn parse_xlsx(bytes: &[u8]) -> Vec<Row> {
    let file = tempfile::NamedTempFile::with_suffix(".xlsx").unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    parse_csv(&python("xlsx_to_csv.py", file.path()))
}

/// Runs a script of ours on a file: `DRIVEWAY_TEST_PYTHON`, or else `python3`, has what it needs.
pub fn python(script: &str, file: &Path) -> Vec<u8> {
    let python = std::env::var("DRIVEWAY_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(script);
    let output = Command::new(&python).arg(script).arg(file).output();
    let output =
        output.unwrap_or_else(|error| panic!("{python}: {error}: install tests/requirements.txt"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    output.stdout
}

pub fn as_of(day: &str) -> Words {
    Words { as_of: Some(day.to_owned()), ..Words::default() }
}

pub fn between(from: &str, to: &str) -> Words {
    Words { from: Some(from.to_owned()), to: Some(to.to_owned()), ..Words::default() }
}

/// The cells of some columns, row by row.
pub fn cells(rows: &[Row], columns: &[&str]) -> Vec<Vec<String>> {
    rows.iter().map(|row| columns.iter().map(|column| row[*column].clone()).collect()).collect()
}
