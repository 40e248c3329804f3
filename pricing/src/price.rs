//! The few formulas on prices that buyers, sellers and the checker share.

use crate::book::MAX_PRICE;

/// Micro-units (10^-6 of the settlement asset) per lane-hour.
pub type Price = i64;

pub(crate) const MILLION: i128 = 1_000_000;

/// What a bid of `price` per hw4-equivalent hour is worth per lane-hour of a class with
/// `speed_ppm`: `floor(price · speed_ppm / 10^6)`.
///
/// Exact for every price within [`MAX_PRICE`]; beyond, it saturates at the ends of `i64`.
pub fn lane_value(price: Price, speed_ppm: u32) -> Price {
    // Most prices fit, and 64 bits divide many times faster than 128.
    match price.checked_mul(Price::from(speed_ppm)) {
        Some(scaled) => scaled.div_euclid(1_000_000),
        None => saturate((i128::from(price) * i128::from(speed_ppm)).div_euclid(MILLION)),
    }
}

/// The least gross reserve on the price grid that leaves at least `net` per lane-hour after a fee
/// of `fee_ppm` millionths: `ceil(net · 10^6 / (10^6 − fee_ppm))`, rounded up to `grid`.
///
/// `None` if there is none that a book accepts: `net` negative, `fee_ppm` of a million or more,
/// `grid` under 1, or a result above [`MAX_PRICE`].
pub fn gross_reserve(net: Price, fee_ppm: u32, grid: Price) -> Option<Price> {
    let share = MILLION - i128::from(fee_ppm);
    if net < 0 || share <= 0 || grid < 1 {
        return None;
    }
    let gross = ceil_div(i128::from(net) * MILLION, share);
    let on_grid = ceil_div(gross, i128::from(grid)) * i128::from(grid);
    Price::try_from(on_grid).ok().filter(|gross| *gross <= MAX_PRICE)
}

/// The least price per hw4-equivalent hour that is worth at least `value` per lane-hour of a class
/// with `speed_ppm` (the inverse of [`lane_value`]); [`Price::MAX`] if it does not fit.
pub(crate) fn least_price_worth(value: Price, speed_ppm: u32) -> Price {
    saturate(ceil_div(i128::from(value) * MILLION, i128::from(speed_ppm.max(1))))
}

/// The price rule: the point `k_ppm` millionths of the way from `lo` to `hi`, rounded down.
pub(crate) fn price_at(lo: Price, hi: Price, k_ppm: u32) -> Price {
    let width = i128::from(hi) - i128::from(lo);
    saturate(i128::from(lo) + (width * i128::from(k_ppm)).div_euclid(MILLION))
}

fn ceil_div(a: i128, b: i128) -> i128 {
    -(-a).div_euclid(b)
}

fn saturate(x: i128) -> Price {
    Price::try_from(x).unwrap_or(if x < 0 { Price::MIN } else { Price::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lane_value_rounds_down() {
        assert_eq!(lane_value(100, 1_000_000), 100);
        assert_eq!(lane_value(101, 500_000), 50);
        assert_eq!(lane_value(1, 999_999), 0);
        assert_eq!(lane_value(-1, 500_000), -1);
        assert_eq!(lane_value(Price::MAX, u32::MAX), Price::MAX);
        assert_eq!(lane_value(Price::MIN, u32::MAX), Price::MIN);
    }

    #[test]
    fn gross_reserve_leaves_the_net() {
        assert_eq!(gross_reserve(60_000, 150_000, 1), Some(70_589)); // 70588.2… up
        assert_eq!(gross_reserve(60_000, 150_000, 1_000), Some(71_000));
        assert_eq!(gross_reserve(60_000, 0, 1_000), Some(60_000));
        assert_eq!(gross_reserve(0, 150_000, 10), Some(0));
        assert_eq!(gross_reserve(1, 999_999, 1), Some(1_000_000));
    }

    #[test]
    fn gross_reserve_refuses() {
        assert_eq!(gross_reserve(-1, 0, 1), None);
        assert_eq!(gross_reserve(1, 1_000_000, 1), None);
        assert_eq!(gross_reserve(1, u32::MAX, 1), None);
        assert_eq!(gross_reserve(1, 0, 0), None);
        assert_eq!(gross_reserve(MAX_PRICE, 0, 1), Some(MAX_PRICE));
        assert_eq!(gross_reserve(MAX_PRICE, 1, 1), None);
        assert_eq!(gross_reserve(Price::MAX, 999_999, Price::MAX), None);
    }

    #[test]
    fn least_price_is_the_inverse_of_value() {
        for speed in [1, 3, 288_000, 999_999, 1_000_000, 1_000_001, 2_500_000] {
            for value in 1..200 {
                let price = least_price_worth(value, speed);
                assert!(lane_value(price, speed) >= value);
                assert!(lane_value(price - 1, speed) < value);
            }
        }
        assert_eq!(least_price_worth(Price::MAX, 1), Price::MAX);
    }

    #[test]
    fn price_rule_spans_the_range() {
        assert_eq!(price_at(10, 21, 0), 10);
        assert_eq!(price_at(10, 21, 500_000), 15);
        assert_eq!(price_at(10, 21, 1_000_000), 21);
    }
}
