//! Sets of rows as parameters of a statement: arrays on PostgreSQL, lists of values on SQLite.
//!
//! A statement says `{set}` where the set stands, as `w` with the columns that were added to it.
//! Diesel's own `sql_query` is prepared anew each time; these statements are prepared once. SQLite
//! takes a set in pieces of powers of two, so that there are few statements to prepare.

use std::ops::Range;

use crate::{AnyConnection, Id, Kind, Result};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Binary, Bool, Integer, Nullable, Text, Untyped};
use diesel::sqlite::Sqlite;

/// Columns of equal length.
#[derive(Default)]
pub struct Set<'a>(Vec<(&'static str, Column<'a>)>);

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

    pub fn ids<K: Kind>(self, name: &'static str, ids: impl IntoIterator<Item = Id<K>>) -> Self {
        self.with(name, Column::Ids(ids.into_iter().map(|id| *id.as_bytes()).collect()))
    }

    pub fn maybe_ids<K: Kind>(
        self,
        name: &'static str,
        ids: impl Iterator<Item = Option<Id<K>>>,
    ) -> Self {
        self.with(name, Column::MaybeIds(ids.map(|id| id.map(|id| *id.as_bytes())).collect()))
    }

    pub fn bytes(self, name: &'static str, bytes: impl Iterator<Item = &'a [u8]>) -> Self {
        self.with(name, Column::Bytes(bytes.collect()))
    }

    pub fn numbers(self, name: &'static str, numbers: impl Iterator<Item = i64>) -> Self {
        self.with(name, Column::Numbers(numbers.collect()))
    }

    pub fn integers(self, name: &'static str, numbers: impl Iterator<Item = i32>) -> Self {
        self.with(name, Column::Integers(numbers.collect()))
    }

    pub fn maybe_numbers(
        self,
        name: &'static str,
        numbers: impl Iterator<Item = Option<i64>>,
    ) -> Self {
        self.with(name, Column::MaybeNumbers(numbers.collect()))
    }

    pub fn texts(self, name: &'static str, texts: impl IntoIterator<Item = &'a str>) -> Self {
        self.with(name, Column::Texts(texts.into_iter().collect()))
    }

    pub fn maybe_texts(
        self,
        name: &'static str,
        texts: impl Iterator<Item = Option<&'a str>>,
    ) -> Self {
        self.with(name, Column::MaybeTexts(texts.collect()))
    }

    pub fn flags(self, name: &'static str, flags: impl Iterator<Item = bool>) -> Self {
        self.with(name, Column::Flags(flags.collect()))
    }

    /// No rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Runs a statement over the set, unless it is empty, and answers how many rows it changed.
    pub fn execute(self, conn: &mut AnyConnection, sql: &str) -> Result<usize> {
        if self.is_empty() {
            return Ok(0);
        }
        Ok(match conn {
            AnyConnection::Postgres(conn) => self.arrays(sql).execute(conn)?,
            AnyConnection::Sqlite(conn) => {
                let mut changed = 0;
                for piece in pieces(self.len()) {
                    changed += self.values(sql, piece).execute(conn)?;
                }
                changed
            }
        })
    }

    /// The rows of a query over the set; none if it is empty.
    pub fn load<R>(self, conn: &mut AnyConnection, sql: &str) -> Result<Vec<R>>
    where
        R: QueryableByName<Pg> + QueryableByName<Sqlite> + 'static,
    {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        Ok(match conn {
            AnyConnection::Postgres(conn) => self.arrays(sql).load(conn)?,
            AnyConnection::Sqlite(conn) => {
                let mut rows = Vec::new();
                for piece in pieces(self.len()) {
                    rows.extend(self.values(sql, piece).load::<R>(conn)?);
                }
                rows
            }
        })
    }

    /// Inserts the set into the columns of its names, and answers how many rows are new: all, but
    /// those that `conflict` lets be.
    pub fn insert(
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
        Arrays { sql: sql.replace("{set}", &self.unnest()), columns: self.0 }
    }

    fn values(&self, sql: &str, rows: Range<usize>) -> Values<'_, 'a> {
        let column = |(n, (name, _)): (usize, &(&str, _))| format!("column{} AS {name}", n + 1);
        let columns: Vec<String> = self.0.iter().enumerate().map(column).collect();
        let set = format!("(SELECT {} FROM (VALUES $)) AS w", columns.join(", "));
        Values { sql: sql.replace("{set}", &set), set: self, rows }
    }

    /// As PostgreSQL's binary format of COPY.
    pub fn copy(&self) -> Vec<u8> {
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

    /// Rows.
    pub fn len(&self) -> usize {
        self.0.first().map_or(0, |(_, column)| column.len())
    }

    fn unnest(&self) -> String {
        let arrays = vec!["$"; self.0.len()].join(", ");
        let names: Vec<&str> = self.0.iter().map(|(name, _)| *name).collect();
        format!("unnest({arrays}) AS w ({})", names.join(", "))
    }
}

/// The most rows of a piece.
const PIECE: usize = 128;

/// Ranges of rows whose lengths are powers of two.
fn pieces(rows: usize) -> impl Iterator<Item = Range<usize>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let left = (rows - from).min(PIECE);
        if left == 0 {
            return None;
        }
        let length = 1 << left.ilog2();
        from += length;
        Some(from - length..from)
    })
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

    fn bind<'b>(&'b self, row: usize, out: &mut AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        match self {
            Self::Ids(ids) => out.push_bind_param::<Binary, [u8]>(&ids[row]),
            Self::Bytes(bytes) => out.push_bind_param::<Binary, [u8]>(bytes[row]),
            Self::Numbers(numbers) => out.push_bind_param::<BigInt, _>(&numbers[row]),
            Self::Integers(numbers) => out.push_bind_param::<Integer, _>(&numbers[row]),
            Self::Texts(texts) => out.push_bind_param::<Text, str>(texts[row]),
            Self::Flags(flags) => out.push_bind_param::<Bool, _>(&flags[row]),
            Self::MaybeNumbers(n) => out.push_bind_param::<Nullable<BigInt>, _>(&n[row]),
            Self::MaybeTexts(texts) => out.push_bind_param::<Nullable<Text>, _>(&texts[row]),
            Self::MaybeIds(ids) => out.push_bind_param::<Nullable<Binary>, _>(&ids[row]),
        }
    }
}

/// A statement with a set as one array for each column.
struct Arrays<'a> {
    sql: String,
    columns: Vec<(&'static str, Column<'a>)>,
}

/// A statement with a piece of a set as a list of values.
struct Values<'s, 'a> {
    sql: String,
    set: &'s Set<'a>,
    rows: Range<usize>,
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

impl QueryFragment<Sqlite> for Values<'_, '_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let (before, after) = self.sql.split_once('$').unwrap_or((&self.sql, ""));
        out.push_sql(before);
        for row in self.rows.clone() {
            out.push_sql(if row == self.rows.start { "(" } else { "),(" });
            for (n, (_, column)) in self.set.0.iter().enumerate() {
                if n > 0 {
                    out.push_sql(",");
                }
                column.bind(row, &mut out)?;
            }
        }
        out.push_sql(")");
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
    Values<'_, '_>, SqliteConnection;
}

/// Sends a whole set to a table of PostgreSQL, whose columns it has in their order.
#[macro_export]
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

fn field(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    // No field of ours is over two gigabytes.
    let length = bytes.map_or(-1, |bytes| bytes.len() as i32);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes.unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use crate::AccountId;

    use super::*;

    #[test]
    fn pieces_are_all_of_it() {
        for rows in [0, 1, 2, 3, 127, 128, 129, 1_000] {
            let pieces: Vec<_> = pieces(rows).collect();
            assert!(pieces.iter().all(|piece| piece.len().is_power_of_two()));
            let flat: Vec<usize> = pieces.into_iter().flatten().collect();
            assert_eq!(flat, (0..rows).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_set_as_arrays_and_as_a_stream() {
        let set = Set::default()
            .ids("id", [AccountId::from_bytes([0xab; 16])])
            .texts("text", ["é"])
            .maybe_numbers("number", [None].into_iter());
        assert_eq!(set.unnest(), "unnest($, $, $) AS w (id, text, number)");
        let stream = set.copy();
        let row = [&[0, 3, 0, 0, 0, 16][..], &[0xab; 16], &[0, 0, 0, 2, 0xc3, 0xa9], &[255; 4]];
        assert_eq!(stream[19..], [&row.concat()[..], &[255, 255]].concat());
        assert!(Set::default().texts("none", []).is_empty());
    }
}
