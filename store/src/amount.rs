//! Money: an integer count of micro-units of an asset, and the one rounding function.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Neg, Sub};
use std::str::FromStr;

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::BigInt;
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Micro-units (1e-6) of some asset. In text it is a decimal with six places, `12.340000`.
///
/// Operators panic on overflow in every profile (as `i64` does in debug): amounts are checked at
/// the edge against [`Amount::MAX_INPUT`], a thousandth of the range, and folded with `checked_*`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, AsExpression, FromSqlRow,
)]
#[diesel(sql_type = BigInt)]
pub struct Amount(pub i64);

impl Amount {
    pub const ZERO: Self = Self(0);
    /// The most that a request may name: 9 billion units.
    pub const MAX_INPUT: Self = Self(9_000_000_000_000_000);
    /// One cent.
    pub const CENT: Self = Self(10_000);

    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    pub fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// The same in whole cents, the rest left out.
    #[must_use]
    pub fn whole_cents(self) -> Self {
        Self(self.0 - self.0 % Self::CENT.0)
    }

    pub fn to_decimal(self) -> Decimal {
        Decimal::new(self.0, 6)
    }
}

impl Add for Amount {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self.checked_add(other).unwrap_or_else(|| panic!("{self} + {other} overflows"))
    }
}

impl Sub for Amount {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.checked_sub(other).unwrap_or_else(|| panic!("{self} - {other} overflows"))
    }
}

impl Neg for Amount {
    type Output = Self;
    fn neg(self) -> Self {
        Self::ZERO - self
    }
}

impl Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_decimal().fmt(f)
    }
}

/// Why a text is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    #[error("an amount is a decimal number such as 12.34")]
    Syntax,
    #[error("an amount has at most six decimal places")]
    Precision,
    #[error("the amount is out of range")]
    Range,
}

impl FromStr for Amount {
    type Err = AmountError;

    /// Plain decimals only: digits, an optional sign and point. No exponent, no rounding.
    fn from_str(text: &str) -> Result<Self, AmountError> {
        let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-');
        if !plain || text.is_empty() || text.len() > 40 {
            return Err(AmountError::Syntax);
        }
        let decimal = Decimal::from_str_exact(text).map_err(|_| AmountError::Syntax)?.normalize();
        if decimal.scale() > 6 {
            return Err(AmountError::Precision);
        }
        let micros = decimal.checked_mul(Decimal::from(1_000_000)).ok_or(AmountError::Range)?;
        let micros = i64::try_from(micros).map_err(|_| AmountError::Range)?;
        if micros.unsigned_abs() > Self::MAX_INPUT.0.unsigned_abs() {
            return Err(AmountError::Range);
        }
        Ok(Self(micros))
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl<DB: Backend> ToSql<BigInt, DB> for Amount
where
    i64: ToSql<BigInt, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        self.0.to_sql(out)
    }
}

impl<DB: Backend> FromSql<BigInt, DB> for Amount
where
    i64: FromSql<BigInt, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
        i64::from_sql(bytes).map(Self)
    }
}

/// How a quotient that is not whole becomes whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// To the nearest, a half to the even neighbour.
    HalfEven,
    /// Away from zero.
    Up,
    /// Toward zero.
    Down,
}

/// `value * by / over`, rounded once: the only place where money is rounded. `None` if `over` is
/// zero or the result does not fit.
pub fn mul_div(value: i64, by: i64, over: i64, rounding: Rounding) -> Option<i64> {
    if over == 0 {
        return None;
    }
    let product = i128::from(value) * i128::from(by);
    let over = i128::from(over);
    let (quotient, rest) = (product / over, product % over);
    let away = if (product < 0) == (over < 0) { 1 } else { -1 };
    let up = match rounding {
        Rounding::Down => false,
        Rounding::Up => rest != 0,
        Rounding::HalfEven => match (rest.abs() * 2).cmp(&over.abs()) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Equal => quotient % 2 != 0,
        },
    };
    i64::try_from(if up { quotient + away } else { quotient }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for (text, micros) in
            [("12.34", 12_340_000), ("0", 0), ("-0.000001", -1), ("7.", 7_000_000)]
        {
            match text.parse::<Amount>() {
                Ok(amount) => assert_eq!(amount.0, micros, "{text}"),
                Err(error) => assert_eq!((text, error), ("7.", AmountError::Syntax)),
            }
        }
        assert_eq!(Amount(12_340_000).to_string(), "12.340000");
        assert_eq!(Amount(-1).to_string(), "-0.000001");
    }

    #[test]
    fn refusals() {
        for (text, error) in [
            ("", AmountError::Syntax),
            ("1e3", AmountError::Syntax),
            ("NaN", AmountError::Syntax),
            ("1,5", AmountError::Syntax),
            ("--1", AmountError::Syntax),
            ("0.0000001", AmountError::Precision),
            ("9000000000.000001", AmountError::Range),
            ("99999999999999999999", AmountError::Range),
        ] {
            assert_eq!(text.parse::<Amount>(), Err(error), "{text}");
        }
    }

    #[test]
    fn rounds_once_and_half_to_even() {
        for (value, by, over, half_even, up, down) in [
            (5, 1, 2, 2, 3, 2),
            (7, 1, 2, 4, 4, 3),
            (-5, 1, 2, -2, -3, -2),
            (-7, 1, 2, -4, -4, -3),
            (10, 1, 3, 3, 4, 3),
            (9, 1, 3, 3, 3, 3),
            (i64::MAX, 7, 7, i64::MAX, i64::MAX, i64::MAX),
        ] {
            assert_eq!(mul_div(value, by, over, Rounding::HalfEven), Some(half_even));
            assert_eq!(mul_div(value, by, over, Rounding::Up), Some(up));
            assert_eq!(mul_div(value, by, over, Rounding::Down), Some(down));
        }
        assert_eq!(mul_div(1, 1, 0, Rounding::Up), None);
        assert_eq!(mul_div(i64::MAX, 2, 1, Rounding::Up), None);
    }
}
