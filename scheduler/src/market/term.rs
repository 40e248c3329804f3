//! How long a bid's new leases are: as long as its budget can bear at the clearing price, and as
//! their cars probably stay. Pure.

use store::{Amount, Rounding, mul_div};

use crate::Config;

/// The longest term, in seconds, at which the leases won at these `(price, lanes)` and as many more
/// as the bid `wanted` would all be paid for by what is `free`; fewer of those to come, if else the
/// leases would be shorter than the shortest. At most `longest_s`; 0 if not a second is affordable.
///
/// In any case `Σ lanes × price × term ≤ free`, each lease's cost rounded as its earmark is.
pub(super) fn plan_term(
    free: Amount,
    wanted: i64,
    won: &[(i64, i64)],
    longest_s: i32,
    config: &Config,
) -> i32 {
    let lanes: i128 = won.iter().map(|(_, lanes)| i128::from(*lanes)).sum();
    let hourly: i128 =
        won.iter().map(|(price, lanes)| i128::from(*price) * i128::from(*lanes)).sum();
    if hourly <= 0 {
        return longest_s;
    }
    let seconds = i128::from(free.0.max(0)) * 3_600;
    let bearable = seconds * lanes / (hourly * i128::from(config.min_term_s.max(1)));
    let shared_by = bearable.min(i128::from(wanted)).max(lanes);
    let fair = seconds * lanes / (hourly * shared_by);
    let mut term_s = i32::try_from(fair.min(longest_s.into())).unwrap_or(longest_s);
    // Rounding each lease to a micro-unit can pass the sum by a little.
    while term_s > 0 && cost(won, term_s) > i128::from(free.0) {
        term_s -= 1;
    }
    term_s
}

/// The term of one lease: no longer than its car is worth letting, but never shorter than `least_s`
/// (what one of the job's tasks takes) only because the car might leave. At most `term_s`.
pub(super) fn fit_term(term_s: i32, least_s: i32, stay_s: i32) -> i32 {
    term_s.min(stay_s.max(least_s))
}

fn cost(won: &[(i64, i64)], term_s: i32) -> i128 {
    let each = |price: i64| mul_div(price, term_s.into(), 3_600, Rounding::HalfEven);
    won.iter()
        .map(|(price, lanes)| each(*price).map_or(i128::MAX / 2, i128::from) * i128::from(*lanes))
        .fold(0, i128::saturating_add)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_term_is_fitted_to_the_car_and_to_the_task() {
        for (term_s, least_s, stay_s, fitted) in [
            (900, 10, 900, 900),
            (900, 10, 400, 400),
            (900, 10, 0, 10),
            (900, 600, 400, 600),
            (300, 600, 400, 300),
            (0, 10, 400, 0),
        ] {
            assert_eq!(fit_term(term_s, least_s, stay_s), fitted, "{term_s} {least_s} {stay_s}");
        }
    }

    #[test]
    fn a_budget_buys_full_terms_then_shorter() {
        let config = Config { term_s: 900, min_term_s: 10, ..Config::default() };
        // 360,000 an hour is 100 a second.
        for (free, wanted, lanes, planned) in [
            (1_000_000, 4, 4, 900),
            (100_000, 4, 4, 250),
            (100_000, 4, 1, 250),
            (4_000, 4, 4, 10),
            (4_000, 40, 1, 10),
            (3_000, 4, 3, 10),
            (99, 1, 1, 0),
            (0, 4, 1, 0),
            (-5, 4, 1, 0),
        ] {
            let term_s = plan_term(Amount(free), wanted, &[(360_000, lanes)], 900, &config);
            assert_eq!(term_s, planned, "{free} {wanted} {lanes}");
        }
        assert_eq!(plan_term(Amount(1), 4, &[(0, 4)], 900, &config), 900);
        // Nine tenths of a micro-dollar a second for each of ten: nine, and ten once rounded.
        let rounded = |free| plan_term(Amount(free), 10, &[(3_240, 10)], 1, &config);
        assert_eq!((rounded(9), rounded(10)), (0, 1));
    }

    proptest! {
        #[test]
        fn leases_side_by_side_never_outrun_the_budget(
            free in 0..10_000_000_000_i64,
            wanted in 0..10_000_i64,
            won in proptest::collection::vec((0..1_000_000_000_000_i64, 1..10_000_i64), 1..5),
            longest_s in 1..=900_i32,
        ) {
            let config = Config::default();
            let term_s = plan_term(Amount(free), wanted, &won, longest_s, &config);
            prop_assert!((0..=longest_s).contains(&term_s));
            let mut sum = 0_i128;
            for (price, lanes) in &won {
                let each = crate::lease::earmark(Amount(*price), term_s.into()).unwrap();
                sum += i128::from(each.0) * i128::from(*lanes);
            }
            prop_assert!(sum <= i128::from(free));
            // What the market lets a bid win lasts for the shortest lease, but for rounding.
            let hourly: i128 = won.iter().map(|(p, n)| i128::from(*p) * i128::from(*n)).sum();
            if hourly > 0 && hourly <= i128::from(free) * 3_600 / 10 && longest_s >= 10 {
                let lanes: i128 = won.iter().map(|(_, n)| i128::from(*n)).sum();
                let loss = 1 + lanes * 1_800 / hourly.max(1);
                prop_assert!(i128::from(term_s) >= 9 - loss, "{term_s}");
            }
        }
    }
}
