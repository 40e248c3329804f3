//! Sets of rows as parameters of one statement: arrays on PostgreSQL, JSON on SQLite.
//!
//! A statement says `{set}` where the set stands, as `w` with the columns that were added to it.

use std::fmt::Write;

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::BoxedSqlQuery;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Nullable, Text};
use store::{AnyConnection, Id, Kind};

use crate::Result;

/// Columns of equal length.
#[derive(Default)]
pub(crate) struct Set<'a>(Vec<(&'static str, Column<'a>)>);

enum Column<'a> {
    Ids(Vec<[u8; 16]>),
    Bytes(Vec<&'a [u8]>),
    Numbers(Vec<i64>),
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
        self.0.first().is_none_or(|(_, column)| column.len() == 0)
    }

    /// Runs a statement over the set, unless it is empty, and answers how many rows it changed.
    pub(crate) fn execute(self, conn: &mut AnyConnection, sql: &str) -> Result<usize> {
        if self.is_empty() {
            return Ok(0);
        }
        Ok(match conn {
            AnyConnection::Postgres(conn) => self.bind(sql).execute(conn)?,
            AnyConnection::Sqlite(conn) => {
                let sql = sql.replace("{set}", &self.from_json());
                diesel::sql_query(sql).bind::<Text, _>(self.json()).execute(conn)?
            }
        })
    }

    /// The rows of a query over the set; none if it is empty.
    pub(crate) fn load<R>(self, conn: &mut AnyConnection, sql: &str) -> Result<Vec<R>>
    where
        R: QueryableByName<Pg> + QueryableByName<diesel::sqlite::Sqlite> + 'static,
    {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        Ok(match conn {
            AnyConnection::Postgres(conn) => self.bind(sql).load(conn)?,
            AnyConnection::Sqlite(conn) => {
                let sql = sql.replace("{set}", &self.from_json());
                diesel::sql_query(sql).bind::<Text, _>(self.json()).load(conn)?
            }
        })
    }

    fn bind(self, sql: &str) -> BoxedSqlQuery<'a, Pg, diesel::query_builder::SqlQuery> {
        let mut query = diesel::sql_query(sql.replace("{set}", &self.from_arrays())).into_boxed();
        for (_, column) in self.0 {
            query = match column {
                Column::Ids(ids) => query.bind::<Array<Binary>, _>(ids),
                Column::Bytes(bytes) => query.bind::<Array<Binary>, _>(bytes),
                Column::Numbers(numbers) => query.bind::<Array<BigInt>, _>(numbers),
                Column::MaybeNumbers(n) => query.bind::<Array<Nullable<BigInt>>, _>(n),
                Column::Texts(texts) => query.bind::<Array<Text>, _>(texts),
                Column::MaybeTexts(texts) => query.bind::<Array<Nullable<Text>>, _>(texts),
                Column::MaybeIds(ids) => query.bind::<Array<Nullable<Binary>>, _>(ids),
                Column::Flags(flags) => query.bind::<Array<Bool>, _>(flags),
            };
        }
        query
    }

    fn from_arrays(&self) -> String {
        let (mut arrays, mut names) = (String::new(), String::new());
        for (n, (name, _)) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            let _ = write!(arrays, "{comma}${}", n + 1);
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
        format!("(SELECT {columns} FROM json_each(?1)) w")
    }

    /// `[[...],[...]]`, bytes in hexadecimal.
    fn json(&self) -> String {
        let rows = self.0.first().map_or(0, |(_, column)| column.len());
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

    fn write_json(&self, row: usize, out: &mut String) {
        match self {
            Self::Ids(ids) => hex(&ids[row], out),
            Self::Bytes(bytes) => hex(bytes[row], out),
            Self::Numbers(numbers) => number(numbers[row], out),
            Self::Texts(texts) => quote(texts[row], out),
            Self::Flags(flags) => number(i64::from(flags[row]), out),
            Self::MaybeNumbers(numbers) => maybe(numbers[row], out, number),
            Self::MaybeTexts(texts) => maybe(texts[row], out, quote),
            Self::MaybeIds(ids) => maybe(ids[row], out, |id, out| hex(&id, out)),
        }
    }
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
        assert_eq!(set.from_arrays(), "unnest($1, $2, $3) AS w (id, text, number)");
        assert!(Set::default().texts("none", []).is_empty());
    }
}
