//! Which days a report counts, by one of the three times that an entry has.

use store::Day;

use super::AsOf;

/// By which of its times an entry counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum By {
    /// The day of the books: what a closed month says stays.
    #[default]
    Booked,
    /// The day on which it was written.
    Posted,
    /// The day on which it counts.
    Effective,
}

impl By {
    pub const ALL: [Self; 3] = [Self::Booked, Self::Posted, Self::Effective];

    pub fn text(self) -> &'static str {
        match self {
            Self::Booked => "booked",
            Self::Posted => "posted",
            Self::Effective => "effective",
        }
    }

    /// The book up to this day and with it.
    pub fn upto(self, day: Day) -> AsOf {
        match self {
            Self::Booked => AsOf::Booked(day),
            Self::Posted => AsOf::Posted(day.next().start()),
            Self::Effective => AsOf::Effective(day),
        }
    }
}

/// Days of the books, both ends with them; an end that is not named is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span {
    pub from: Option<Day>,
    pub to: Option<Day>,
    pub by: By,
}

impl Span {
    /// The book before the first day; `None`: before the first entry.
    pub fn before(&self) -> Option<AsOf> {
        self.from.map(|day| self.by.upto(Day(day.0.saturating_sub(1))))
    }

    /// The book after the last day.
    pub fn after(&self) -> AsOf {
        self.to.map_or(AsOf::Now, |day| self.by.upto(day))
    }

    /// Column of `ledger_transaction`, its least value and its greatest.
    pub fn bounds(&self) -> (&'static str, i64, i64) {
        let days = |unit: fn(Day) -> i64| {
            let from = self.from.map_or(i64::MIN, unit);
            (from, self.to.map_or(i64::MAX, |day| unit(day.next()).saturating_sub(1)))
        };
        let (column, (from, to)) = match self.by {
            By::Booked => ("booked_on", days(|day| i64::from(day.0))),
            By::Posted => ("posted_at", days(|day| day.start().0)),
            By::Effective => ("effective_at", days(|day| day.start().0)),
        };
        (column, from, to)
    }
}

/// A condition of a query with `ledger_transaction`: it counts in the [`Span`](crate::report::Span).
#[macro_export]
macro_rules! counts_in {
    ($span:expr) => {{
        let (column, from, to) = $span.bounds();
        ::diesel::dsl::sql::<::diesel::sql_types::Bool>(&format!(
            "ledger_transaction.{column} BETWEEN "
        ))
        .bind::<::diesel::sql_types::BigInt, _>(from)
        .sql(" AND ")
        .bind::<::diesel::sql_types::BigInt, _>(to)
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_both_its_days() {
        let day = Day::parse("2026-11-24").unwrap();
        for by in By::ALL {
            let span = Span { from: Some(day), to: Some(day), by };
            let (_, from, to) = span.bounds();
            let unit = if by == By::Booked { 1 } else { 86_400_000_000 };
            assert_eq!((from, to - from + 1), (i64::from(day.0) * unit, unit), "{by:?}");
            assert_eq!(span.before(), Some(by.upto(Day(day.0 - 1))));
        }
        let open = Span::default();
        assert_eq!((open.before(), open.after()), (None, AsOf::Now));
        assert_eq!(open.bounds(), ("booked_on", i64::MIN, i64::MAX));
    }
}
