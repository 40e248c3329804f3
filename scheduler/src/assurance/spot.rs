//! Which results are checked: by chance, more often the less a car's record says for it. Pure.

use sha2::{Digest, Sha256};

use super::{Assurance, Reputation};

/// How many agreeing results a task needs, now that a car has named the first. `dice` are random
/// bytes that were drawn after the car named its result: it cannot know whether it is checked.
pub fn wanted(level: Assurance, reputation: &Reputation, dice: &[u8; 16]) -> i32 {
    match level {
        Assurance::None => 1,
        Assurance::Quorum(results) => results,
        Assurance::SpotCheck { rate_ppm } => {
            1 + i32::from(draw(dice) < chance(rate_ppm, reputation))
        }
    }
}

/// The chance of a check, parts per million: never less than the customer's rate; for a car without
/// record a half, for one that dissents ever more.
pub fn chance(rate_ppm: i32, reputation: &Reputation) -> i32 {
    rate_ppm.max(1_000_000 - reputation.reliability_ppm()).min(1_000_000)
}

/// Evenly from 0 to 999,999.
fn draw(dice: &[u8; 16]) -> i32 {
    let hash: [u8; 32] = Sha256::digest(dice).into();
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    i32::try_from(u64::from_be_bytes(first) % 1_000_000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dice_fall_as_often_as_the_chance_says() {
        let proven = Reputation { right: 200_000, ..Reputation::default() };
        let level = Assurance::SpotCheck { rate_ppm: 100_000 };
        let checked =
            (0..10_000_u128).filter(|n| wanted(level, &proven, &n.to_be_bytes()) == 2).count();
        assert!((900..1_100).contains(&checked), "{checked} of 10000 at 10 %");
    }

    #[test]
    fn cars_without_or_with_a_bad_record_are_checked_more() {
        let new = Reputation::default();
        let proven = Reputation { right: 50_000, ..new };
        let liar = Reputation { right: 50_000, dissent: 50_000, ..new };
        assert_eq!(chance(10_000, &new), 500_000);
        assert!(chance(10_000, &proven) < 20_000);
        assert!(chance(10_000, &liar) > 450_000);
        assert_eq!(chance(950_000, &liar), 950_000);
    }

    proptest! {
        #[test]
        fn never_below_the_customers_rate(
            rate in 1..=1_000_000_i32, right in 0..200_000_i64, dissent in 0..200_000_i64,
        ) {
            let reputation = Reputation { right, dissent, ..Reputation::default() };
            let chance = chance(rate, &reputation);
            prop_assert!((rate..=1_000_000).contains(&chance));
        }
    }
}
