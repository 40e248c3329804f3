//! Days and months of the calendar, in UTC: what the books count by.

use std::fmt;

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Integer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::Date;

use crate::Timestamp;

const DAY_US: i64 = 86_400_000_000;
/// The Julian day of 1970-01-01.
const EPOCH: i32 = 2_440_588;

/// A day in UTC: how many days after 1970-01-01 it is. As text `2026-11-24`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, AsExpression, FromSqlRow,
)]
#[diesel(sql_type = Integer)]
pub struct Day(pub i32);

/// A month in UTC: year × 12 + month − 1. As text `2026-11`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, AsExpression, FromSqlRow,
)]
#[diesel(sql_type = Integer)]
pub struct Month(pub i32);

impl Day {
    /// The day of a moment; the last or first there is for a moment out of the calendar.
    pub fn of(at: Timestamp) -> Self {
        let day = at.0.div_euclid(DAY_US);
        Self(i32::try_from(day).unwrap_or(if day < 0 { i32::MIN } else { i32::MAX }))
    }

    /// Its first moment.
    pub fn start(self) -> Timestamp {
        Timestamp(i64::from(self.0) * DAY_US)
    }

    /// The day after.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Its month.
    pub fn month(self) -> Month {
        match self.date() {
            Some(date) => Month(date.year() * 12 + i32::from(u8::from(date.month())) - 1),
            None => Month(if self.0 < 0 { i32::MIN } else { i32::MAX }),
        }
    }

    /// Reads `2026-11-24`.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 10).then(|| Timestamp::parse(text)).flatten().map(Self::of)
    }

    fn date(self) -> Option<Date> {
        Date::from_julian_day(self.0.checked_add(EPOCH)?).ok()
    }
}

impl Month {
    /// Its first day; the first or last day there is for a month out of the calendar.
    pub fn first_day(self) -> Day {
        let (year, month) = (self.0.div_euclid(12), self.0.rem_euclid(12) as u8 + 1);
        let month = time::Month::try_from(month).ok();
        let date = month.and_then(|month| Date::from_calendar_date(year, month, 1).ok());
        let outside = Day(if self.0 < 0 { i32::MIN } else { i32::MAX });
        date.map_or(outside, |date| Day(date.to_julian_day() - EPOCH))
    }

    /// The month after.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The first moment after it.
    pub fn end(self) -> Timestamp {
        self.next().first_day().start()
    }

    /// Reads `2026-11`.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 7).then(|| Day::parse(&format!("{text}-01"))).flatten().map(Day::month)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.start().date())
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0.div_euclid(12), self.0.rem_euclid(12) + 1)
    }
}

macro_rules! stored {
    ($($type:ident)*) => { $(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a date"))
            }
        }

        impl<DB: Backend> ToSql<Integer, DB> for $type
        where
            i32: ToSql<Integer, DB>,
        {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
                self.0.to_sql(out)
            }
        }

        impl<DB: Backend> FromSql<Integer, DB> for $type
        where
            i32: FromSql<Integer, DB>,
        {
            fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
                i32::from_sql(bytes).map(Self)
            }
        }
    )* };
}

stored! { Day Month }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for text in ["1970-01-01", "2024-02-29", "2026-11-24", "1969-12-31"] {
            assert_eq!(Day::parse(text).unwrap().to_string(), text);
        }
        for text in ["1970-01", "2026-12", "1969-12"] {
            assert_eq!(Month::parse(text).unwrap().to_string(), text);
        }
        for wrong in ["", "2026-13", "2026-1", "2026-11-24T00", "2026-02-30"] {
            assert_eq!((Day::parse(wrong), Month::parse(wrong)), (None, None), "{wrong}");
        }
    }

    #[test]
    fn months_hold_their_days() {
        for day in (-40_000..40_000).map(Day) {
            let month = day.month();
            assert!(month.first_day() <= day && day < month.next().first_day(), "{day}");
            assert_eq!(Day::of(day.start()), day);
            assert_eq!(Day::of(day.next().start().plus_us(-1)), day);
        }
        assert!(Day(i32::MAX).month() > Day(0).month());
        assert!(Month(i32::MIN).first_day() < Month(0).first_day());
    }
}
