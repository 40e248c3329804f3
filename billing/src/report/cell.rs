//! What reports are made of.

use ::store::{Amount, Day, PartyId, Timestamp};

use super::Result;

/// What is in a column; a cell of any column can be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// Micro-units, written as a decimal with six places.
    Amount,
    /// A whole number: a count, seconds, days.
    Integer,
    /// `2026-11-30`.
    Day,
    /// RFC 3339 in UTC.
    Time,
}

/// A column of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
}

impl Column {
    pub const fn text(name: &'static str) -> Self {
        Self { name, kind: Kind::Text }
    }

    pub const fn amount(name: &'static str) -> Self {
        Self { name, kind: Kind::Amount }
    }

    pub const fn integer(name: &'static str) -> Self {
        Self { name, kind: Kind::Integer }
    }

    pub const fn day(name: &'static str) -> Self {
        Self { name, kind: Kind::Day }
    }

    pub const fn time(name: &'static str) -> Self {
        Self { name, kind: Kind::Time }
    }
}

/// What stands in one column of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    Empty,
    Text(&'a str),
    Amount(Amount),
    Integer(i64),
    Day(Day),
    Time(Timestamp),
}

/// Who takes the rows of a report, one after the other.
pub trait Rows {
    /// As many cells as there are columns, each of its column's kind or empty.
    ///
    /// # Errors
    /// [`super::Error::Output`], [`super::Error::TooLarge`].
    fn row(&mut self, cells: &[Cell<'_>]) -> Result<()>;
}

macro_rules! cells {
    ($($type:ty => $variant:ident;)*) => { $(
        impl From<$type> for Cell<'_> {
            fn from(value: $type) -> Self {
                Self::$variant(value)
            }
        }
    )* };
}

cells! {
    Amount => Amount;
    i64 => Integer;
    Day => Day;
    Timestamp => Time;
}

/// An empty text is an empty cell.
impl<'a> From<&'a str> for Cell<'a> {
    fn from(text: &'a str) -> Self {
        if text.is_empty() { Self::Empty } else { Self::Text(text) }
    }
}

impl<'a> From<&'a String> for Cell<'a> {
    fn from(text: &'a String) -> Self {
        text.as_str().into()
    }
}

impl<'a, T: Into<Cell<'a>>> From<Option<T>> for Cell<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Empty, Into::into)
    }
}

/// A row of anything that is a cell.
macro_rules! row {
    ($rows:expr, $($cell:expr),+ $(,)?) => {
        $rows.row(&[$(crate::report::Cell::from($cell)),+])
    };
}
pub(super) use row;

/// Debit and credit of an amount that is debits less credits: one of them is empty.
pub(super) fn sides(amount: Amount) -> (Option<Amount>, Option<Amount>) {
    match amount >= Amount::ZERO {
        true => (Some(amount), None),
        false => (None, amount.0.checked_neg().map(Amount)),
    }
}

/// A party's id; nothing for the platform's own.
pub(super) fn party_text(party: PartyId) -> String {
    if party == PartyId::NIL { String::new() } else { party.to_string() }
}
