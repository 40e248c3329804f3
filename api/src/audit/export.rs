//! The log as a file.

use std::io::Write;

use serde::Deserialize;
use utoipa::ToSchema;

use super::model::AuditEvent;
use crate::problem::{Problem, Result};

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    #[default]
    Jsonl,
    Csv,
}

impl Format {
    /// Media type, and the name of a file of it.
    pub fn file(self) -> (&'static str, &'static str) {
        match self {
            Self::Jsonl => ("application/x-ndjson", "audit.jsonl"),
            Self::Csv => ("text/csv; charset=utf-8", "audit.csv"),
        }
    }
}

const HEADER: [&str; 9] =
    ["id", "at", "actor", "action", "subject", "before", "after", "address", "request_id"];

/// Writes one act after the other.
pub enum Writer<'a> {
    Jsonl(&'a mut dyn Write),
    Csv(Box<csv::Writer<&'a mut dyn Write>>),
}

impl<'a> Writer<'a> {
    pub fn new(format: Format, out: &'a mut dyn Write) -> Result<Self> {
        match format {
            Format::Jsonl => Ok(Self::Jsonl(out)),
            Format::Csv => {
                let mut csv = csv::Writer::from_writer(out);
                csv.write_record(HEADER).map_err(Problem::internal)?;
                Ok(Self::Csv(Box::new(csv)))
            }
        }
    }

    pub fn write(&mut self, event: &AuditEvent) -> Result<()> {
        match self {
            Self::Jsonl(out) => {
                serde_json::to_writer(&mut **out, event).map_err(Problem::internal)?;
                out.write_all(b"\n").map_err(Problem::internal)
            }
            Self::Csv(csv) => csv.write_record(fields(event)).map_err(Problem::internal),
        }
    }

    pub fn finish(self) -> Result<()> {
        match self {
            Self::Jsonl(_) => Ok(()),
            Self::Csv(mut csv) => csv.flush().map_err(Problem::internal),
        }
    }
}

fn fields(event: &AuditEvent) -> [String; 9] {
    let json = |value: &serde_json::Value| match value.is_null() {
        true => String::new(),
        false => value.to_string(),
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        event.id.to_string(),
        event.at.to_string(),
        event.actor.clone(),
        event.action.clone(),
        event.subject.clone(),
        json(&event.before),
        json(&event.after),
        text(&event.address),
        text(&event.request_id),
    ]
}
