//! Sets of rows as parameters of one statement: arrays on PostgreSQL, JSON on SQLite.
//!
//! A statement says `{set}` where the set stands, as `w` with the columns that were added to it.
//! Diesel's own `sql_query` is prepared anew each time; these statements are prepared once.

use std::fmt::Write;

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Binary, Bool, Integer, Nullable, Text, Untyped};
use diesel::sqlite::Sqlite;
use store::{AnyConnection, Id, Kind};

use crate::Result;

/// Columns of equal length.
#[derive(Default)]
pub(crate) struct Set<'a>(Vec<(&'static str, Column<'a>)>);

enum Column<'a> {
    Ids(Vec<[u8; 16]>),
    Bytes(Vec<&'a [u8]>),
    Numbers(Vec<i64>),
    Integers(Vec<i32>),
    MaybeNumbers(Vec<Option<i64>>),
    Texts(Vec<&'a str>),
    MaybeTexts(Vec<Option<&'a str>>),
    MaybeIds(Vec<Option<[u8; 16]>>),
    Flags(Vec<bool>),
}

impl<'a> Set<'a> {
    fn with(mut self, name: &'static str, column: Column<'a>) -> Self {
        self.0.push((name, column));
        self
    }

    pub(crate) fn ids<K: Kind>(
        self,
        name: &'static str,
        ids: impl IntoIterator<Item = Id<K>>,
    ) -> Self {
        self.with(name, Column::Ids(ids.into_iter().map(|id| *id.as_bytes()).collect()))
    }

    pub(crate) fn maybe_ids<K: Kind>(
        self,
        name: &'static str,
        ids: impl Iterator<Item = Option<Id<K>>>,
    ) -> Self {
        self.with(name, Column::MaybeIds(ids.map(|id| id.map(|id| *id.as_bytes())).collect()))
    }

    pub(crate) fn bytes(self, name: &'static str, bytes: impl Iterator<Item = &'a [u8]>) -> Self {
        self.with(name, Column::Bytes(bytes.collect()))
    }

    pub(crate) fn numbers(self, name: &'static str, numbers: impl Iterator<Item = i64>) -> Self {
        self.with(name, Column::Numbers(numbers.collect()))
    }

    pub(crate) fn integers(self, name: &'static str, numbers: impl Iterator<Item = i32>) -> Self {
        self.with(name, Column::Integers(numbers.collect()))
    }

    pub(crate) fn maybe_numbers(
        self,
        name: &'static str,
        numbers: impl Iterator<Item = Option<i64>>,
    ) -> Self {
        self.with(name, Column::MaybeNumbers(numbers.collect()))
    }

    pub(crate) fn texts(
        self,
        name: &'static str,
        texts: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        self.with(name, Column::Texts(texts.into_iter().collect()))
    }

    pub(crate) fn maybe_texts(
        self,
        name: &'static str,
        texts: impl Iterator<Item = Option<&'a str>>,
    ) -> Self {
        self.with(name, Column::MaybeTexts(texts.collect()))
    }

    pub(crate) fn flags(self, name: &'static str, flags: impl Iterator<Item = bool>) -> Self {
        self.with(name, Column::Flags(flags.collect()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Runs a statement over the set, unless it is empty, and answers how many rows it changed.
    pub(crate) fn execute(self, conn: &mut AnyConnection, sql: &str) -> Result<usize> {
        if self.is_empty() {
            return Ok(0);
        }
        Ok(match conn {
            AnyConnection::Postgres(conn) => self.arrays(sql).execute(conn)?,
            AnyConnection::Sqlite(conn) => self.json_statement(sql).execute(conn)?,
        })
    }

    /// The rows of a query over the set; none if it is empty.
    pub(crate) fn load<R>(self, conn: &mut AnyConnection, sql: &str) -> Result<Vec<R>>
    where
        R: QueryableByName<Pg> + QueryableByName<Sqlite> + 'static,
    {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        Ok(match conn {
            AnyConnection::Postgres(conn) => self.arrays(sql).load(conn)?,
            AnyConnection::Sqlite(conn) => self.json_statement(sql).load(conn)?,
        })
    }

    /// Inserts the set into the columns of its names, and answers how many rows are new: all, but
    /// those that `conflict` lets be.
    pub(crate) fn insert(
        self,
        conn: &mut AnyConnection,
        table: &'static str,
        conflict: &'static str,
    ) -> Result<usize> {
        let names: Vec<&str> = self.0.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        let sql = format!(
            "INSERT INTO {table} ({names}) SELECT {names} FROM {{set}} WHERE TRUE {conflict}"
        );
        self.execute(conn, &sql)
    }

    fn arrays(self, sql: &str) -> Arrays<'a> {
        Arrays { sql: sql.replace("{set}", &self.from_arrays()), columns: self.0 }
    }

    fn json_statement(self, sql: &str) -> Json {
        Json { sql: sql.replace("{set}", &self.from_json()), rows: self.json() }
    }

    /// As PostgreSQL's binary format of COPY.
    pub(crate) fn copy(&self) -> Vec<u8> {
        let rows = self.len();
        let mut out = Vec::with_capacity(rows * self.0.len() * 20 + 32);
        out.extend_from_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
        for row in 0..rows {
            // A row has a dozen columns.
            out.extend_from_slice(&(self.0.len() as u16).to_be_bytes());
            for (_, column) in &self.0 {
                column.write_binary(row, &mut out);
            }
        }
        out.extend_from_slice(&(-1_i16).to_be_bytes());
        out
    }

    pub(crate) fn len(&self) -> usize {
        self.0.first().map_or(0, |(_, column)| column.len())
    }

    fn from_arrays(&self) -> String {
        let (mut arrays, mut names) = (String::new(), String::new());
        for (n, (name, _)) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            let _ = write!(arrays, "{comma}$");
            let _ = write!(names, "{comma}{name}");
        }
        format!("unnest({arrays}) AS w ({names})")
    }

    fn from_json(&self) -> String {
        let mut columns = String::new();
        for (n, (name, column)) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            let _ = match column.is_binary() {
                true => write!(columns, "{comma}unhex(value ->> {n}) AS {name}"),
                false => write!(columns, "{comma}value ->> {n} AS {name}"),
            };
        }
        format!("(SELECT {columns} FROM json_each($)) w")
    }

    /// `[[...],[...]]`, bytes in hexadecimal.
    fn json(&self) -> String {
        let rows = self.len();
        let mut out = String::with_capacity(rows * self.0.len() * 20 + 2);
        for row in 0..rows {
            out.push(if row == 0 { '[' } else { ',' });
            for (n, (_, column)) in self.0.iter().enumerate() {
                out.push(if n == 0 { '[' } else { ',' });
                column.write_json(row, &mut out);
            }
            out.push(']');
        }
        out.push(']');
        out
    }
}

impl Column<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Ids(ids) => ids.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Numbers(numbers) => numbers.len(),
            Self::Integers(numbers) => numbers.len(),
            Self::MaybeNumbers(numbers) => numbers.len(),
            Self::Texts(texts) => texts.len(),
            Self::MaybeTexts(texts) => texts.len(),
            Self::MaybeIds(ids) => ids.len(),
            Self::Flags(flags) => flags.len(),
        }
    }

    fn is_binary(&self) -> bool {
        matches!(self, Self::Ids(_) | Self::Bytes(_) | Self::MaybeIds(_))
    }

    fn write_binary(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Ids(ids) => field(out, Some(&ids[row])),
            Self::Bytes(bytes) => field(out, Some(bytes[row])),
            Self::Numbers(numbers) => field(out, Some(&numbers[row].to_be_bytes())),
            Self::Integers(numbers) => field(out, Some(&numbers[row].to_be_bytes())),
            Self::Texts(texts) => field(out, Some(texts[row].as_bytes())),
            Self::Flags(flags) => field(out, Some(&[u8::from(flags[row])])),
            Self::MaybeNumbers(n) => {
                field(out, n[row].map(i64::to_be_bytes).as_ref().map(|b| &b[..]))
            }
            Self::MaybeTexts(texts) => field(out, texts[row].map(str::as_bytes)),
            Self::MaybeIds(ids) => field(out, ids[row].as_ref().map(|id| &id[..])),
        }
    }

    fn write_json(&self, row: usize, out: &mut String) {
        match self {
            Self::Ids(ids) => hex(&ids[row], out),
            Self::Bytes(bytes) => hex(bytes[row], out),
            Self::Numbers(numbers) => number(numbers[row], out),
            Self::Integers(numbers) => number(numbers[row].into(), out),
            Self::Texts(texts) => quote(texts[row], out),
            Self::Flags(flags) => number(i64::from(flags[row]), out),
            Self::MaybeNumbers(numbers) => maybe(numbers[row], out, number),
            Self::MaybeTexts(texts) => maybe(texts[row], out, quote),
            Self::MaybeIds(ids) => maybe(ids[row], out, |id, out| hex(&id, out)),
        }
    }
}

/// A statement with a set as one array for each column.
pub(crate) struct Arrays<'a> {
    sql: String,
    columns: Vec<(&'static str, Column<'a>)>,
}

/// A statement with a set as JSON.
pub(crate) struct Json {
    sql: String,
    rows: String,
}

impl QueryFragment<Pg> for Arrays<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // Its text has the parameters in it already: the pass only collects them.
        let mut texts = self.sql.split('$');
        out.push_sql(texts.next().unwrap_or_default());
        for ((_, column), text) in self.columns.iter().zip(texts) {
            match column {
                Column::Ids(ids) => out.push_bind_param::<Array<Binary>, _>(ids)?,
                Column::Bytes(bytes) => out.push_bind_param::<Array<Binary>, _>(bytes)?,
                Column::Numbers(numbers) => out.push_bind_param::<Array<BigInt>, _>(numbers)?,
                Column::Integers(numbers) => out.push_bind_param::<Array<Integer>, _>(numbers)?,
                Column::MaybeNumbers(n) => out.push_bind_param::<Array<Nullable<BigInt>>, _>(n)?,
                Column::Texts(texts) => out.push_bind_param::<Array<Text>, _>(texts)?,
                Column::MaybeTexts(t) => out.push_bind_param::<Array<Nullable<Text>>, _>(t)?,
                Column::MaybeIds(ids) => out.push_bind_param::<Array<Nullable<Binary>>, _>(ids)?,
                Column::Flags(flags) => out.push_bind_param::<Array<Bool>, _>(flags)?,
            }
            out.push_sql(text);
        }
        Ok(())
    }
}

impl QueryFragment<Sqlite> for Json {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let (before, after) = self.sql.split_once('$').unwrap_or((&self.sql, ""));
        out.push_sql(before);
        out.push_bind_param::<Text, _>(&self.rows)?;
        out.push_sql(after);
        Ok(())
    }
}

macro_rules! statements {
    ($($statement:ty, $conn:ty;)*) => { $(
        impl QueryId for $statement {
            type QueryId = ();
            // Told apart by their text.
            const HAS_STATIC_QUERY_ID: bool = false;
        }

        impl Query for $statement {
            type SqlType = Untyped;
        }

        impl RunQueryDsl<$conn> for $statement {}
    )* };
}

statements! {
    Arrays<'_>, PgConnection;
    Json, SqliteConnection;
}

/// Sends a whole set to a table of PostgreSQL, whose columns it has in their order.
macro_rules! copy_into {
    ($conn:expr, $table:expr, $set:expr) => {{
        let bytes = $set.copy();
        let copy = diesel::copy_from($table)
            .from_raw_data($table, |out: &mut dyn std::io::Write| {
                out.write_all(&bytes)
                    .map_err(|error| diesel::result::Error::SerializationError(Box::new(error)))
            })
            .with_format(diesel::pg::CopyFormat::Binary);
        diesel::prelude::ExecuteCopyFromDsl::execute(copy, $conn)
    }};
}
pub(crate) use copy_into;

fn field(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    // No field of ours is over two gigabytes.
    let length = bytes.map_or(-1, |bytes| bytes.len() as i32);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes.unwrap_or_default());
}

fn maybe<T>(value: Option<T>, out: &mut String, write: impl FnOnce(T, &mut String)) {
    match value {
        Some(value) => write(value, out),
        None => out.push_str("null"),
    }
}

fn number(number: i64, out: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{number}");
}

fn hex(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push('"');
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    out.push('"');
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use store::AccountId;

    use super::*;

    #[test]
    fn rows_are_json() {
        let set = Set::default()
            .ids("id", [AccountId::from_bytes([0xab; 16]), AccountId::NIL])
            .texts("text", ["\"\\\n\u{1}é", ""])
            .maybe_numbers("number", [Some(-7), None].into_iter());
        let expected = format!(
            "[[\"{}\",\"\\\"\\\\\\u000a\\u0001é\",-7],[\"{}\",\"\",null]]",
            "ab".repeat(16),
            "00".repeat(16)
        );
        assert_eq!(set.json(), expected);
        assert_eq!(set.from_arrays(), "unnest($, $, $) AS w (id, text, number)");
        assert!(Set::default().texts("none", []).is_empty());
    }
}
