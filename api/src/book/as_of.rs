//! Up to when the book is asked for.

use ledger::report::AsOf;
use serde::Deserialize;
use store::{Day, Timestamp};
use utoipa::{IntoParams, ToSchema};

use crate::problem::{Code, Problem, Result};

/// By which of its three times an entry counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// When it was written.
    #[default]
    Posted,
    /// The day of the books: if its month was closed, the first day of the next open one.
    Booked,
    /// The day on which it counts.
    Effective,
}

#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AsOfQuery {
    /// A date, and all of that day counts; by `posted` also an RFC 3339 time. Now if not named.
    pub as_of: Option<String>,
    /// `posted` if not named.
    #[serde(default)]
    #[param(required = false, inline)]
    pub by: By,
}

impl AsOfQuery {
    pub fn read(&self) -> Result<AsOf> {
        as_of(self.as_of.as_deref(), self.by).ok_or_else(|| {
            let detail = "`as_of` is a date, or by `posted` an RFC 3339 time";
            Problem::new(Code::InvalidQuery).detail(detail)
        })
    }
}

/// What the words mean; `None` if they mean nothing.
pub fn as_of(at: Option<&str>, by: By) -> Option<AsOf> {
    let Some(at) = at else { return Some(AsOf::Now) };
    match (by, Day::parse(at)) {
        (By::Posted, Some(day)) => Some(AsOf::Posted(day.next().start())),
        // What was posted at that very moment counts.
        (By::Posted, None) => Some(AsOf::Posted(Timestamp::parse(at)?.plus_us(1))),
        (By::Booked, day) => day.map(AsOf::Booked),
        (By::Effective, day) => day.map(AsOf::Effective),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_counts_whole_and_a_moment_with_itself() {
        let day = Day::parse("2026-11-24").unwrap();
        let midnight = day.next().start();
        let posted = |at| as_of(Some(at), By::Posted);
        assert_eq!(as_of(None, By::Booked), Some(AsOf::Now));
        assert_eq!(posted("2026-11-24"), Some(AsOf::Posted(midnight)));
        assert_eq!(posted("2026-11-25T00:00:00Z"), Some(AsOf::Posted(midnight.plus_us(1))));
        assert_eq!(as_of(Some("2026-11-24"), By::Booked), Some(AsOf::Booked(day)));
        assert_eq!(as_of(Some("2026-11-24"), By::Effective), Some(AsOf::Effective(day)));
        assert_eq!(as_of(Some("2026-11-25T00:00:00Z"), By::Booked), None);
        assert_eq!(posted("yesterday"), None);
    }
}
