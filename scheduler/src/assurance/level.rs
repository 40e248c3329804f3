//! What a customer pays to trust a result.

use std::fmt;
use std::str::FromStr;

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::sql_types::Text;

/// Fewest and most results that a quorum may want.
pub const MIN_QUORUM: i32 = 2;
pub const MAX_QUORUM: i32 = 5;

/// What a job asks of its results. In a column: `none`, `spot_check:50000`, `quorum:3`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromSqlRow)]
pub enum Assurance {
    /// The first result counts.
    #[default]
    None,
    /// A share of the results is run again by another owner's car.
    SpotCheck {
        /// The least chance of a check, parts per million. Cars of little or bad record are checked
        /// more often.
        rate_ppm: i32,
    },
    /// So many owners' cars must name the same output.
    Quorum(i32),
}

impl Assurance {
    /// Whether its numbers are in range: 1 to 1,000,000 parts per million; [`MIN_QUORUM`] to
    /// [`MAX_QUORUM`] results.
    pub fn is_valid(self) -> bool {
        match self {
            Self::None => true,
            Self::SpotCheck { rate_ppm } => (1..=1_000_000).contains(&rate_ppm),
            Self::Quorum(results) => (MIN_QUORUM..=MAX_QUORUM).contains(&results),
        }
    }

    /// Most agreeing results that the customer pays for a task.
    pub fn most_paid(self) -> i32 {
        match self {
            Self::None => 1,
            Self::SpotCheck { .. } => 2,
            Self::Quorum(results) => results,
        }
    }
}

impl fmt::Display for Assurance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::SpotCheck { rate_ppm } => write!(f, "spot_check:{rate_ppm}"),
            Self::Quorum(results) => write!(f, "quorum:{results}"),
        }
    }
}

/// The text is no assurance, or its number is out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such assurance")]
pub struct UnknownAssurance;

impl FromStr for Assurance {
    type Err = UnknownAssurance;

    fn from_str(text: &str) -> Result<Self, UnknownAssurance> {
        let number = |text: &str| text.parse().map_err(|_| UnknownAssurance);
        let parsed = match text.split_once(':') {
            None if text == "none" => Self::None,
            Some(("spot_check", rate)) => Self::SpotCheck { rate_ppm: number(rate)? },
            Some(("quorum", results)) => Self::Quorum(number(results)?),
            _ => return Err(UnknownAssurance),
        };
        parsed.is_valid().then_some(parsed).ok_or(UnknownAssurance)
    }
}

impl<DB: Backend> FromSql<Text, DB> for Assurance
where
    String: FromSql<Text, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
        Ok(String::from_sql(bytes)?.parse()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_holds_what_was_asked() {
        for level in
            [Assurance::None, Assurance::SpotCheck { rate_ppm: 50_000 }, Assurance::Quorum(3)]
        {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        for wrong in [
            "",
            "quorum",
            "quorum:1",
            "quorum:6",
            "quorum:x",
            "spot_check:0",
            "spot_check:1000001",
            "spot_check",
            "none:1",
        ] {
            assert_eq!(wrong.parse::<Assurance>(), Err(UnknownAssurance), "{wrong}");
        }
    }
}
