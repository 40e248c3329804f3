//! How likely a car stays, from what was seen in the same hour of the day. Pure.
//!
//! A lease is watched from its offer to its end, in each hour of the day that it touches. An hour
//! that ended in an interruption counts as a whole one, as in an actuary's initial exposed to risk:
//! so there are never more interruptions than hours, and interrupted / watched is a chance. Few
//! hours say little, so the mean of a Beta distribution is taken: a car's starts at its region's
//! chance, a region's at [`UNKNOWN_PPM`]. Within an hour an interruption is equally likely at any
//! moment.

use store::Timestamp;

pub(crate) const HOURS: usize = 24;
const HOUR_US: i64 = 3_600_000_000;
const ONE: i64 = 1_000_000;
/// The chance of an interruption within an hour where nothing is known, and for how many hours of
/// its own that counts in a region's.
const UNKNOWN_PPM: u32 = 50_000;
const UNKNOWN_HOURS: i64 = 8;
/// For how many hours of its own its region's chance counts in a car's.
const REGION_HOURS: i64 = 4;

/// Hours of leases, and how many of them ended in an interruption; millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Watched {
    pub watched: i64,
    pub interrupted: i64,
}

impl Watched {
    /// The chance that a lease in the region is interrupted within this hour, parts per million.
    pub fn of_region_ppm(self) -> u32 {
        self.smoothed(UNKNOWN_PPM, UNKNOWN_HOURS)
    }

    /// The same of a car, given its region's.
    pub fn of_car_ppm(self, region_ppm: u32) -> u32 {
        self.smoothed(region_ppm, REGION_HOURS)
    }

    fn smoothed(self, prior_ppm: u32, prior_hours: i64) -> u32 {
        let seen = i128::from(self.interrupted.clamp(0, self.watched.max(0)));
        let seen = seen + i128::from(prior_hours) * i128::from(prior_ppm);
        let hours = i128::from(self.watched.max(0)) + i128::from(prior_hours * ONE);
        u32::try_from(seen * i128::from(ONE) / hours).unwrap_or(1_000_000).min(1_000_000)
    }

    pub fn add(&mut self, other: Self) {
        self.watched = self.watched.saturating_add(other.watched);
        self.interrupted = self.interrupted.saturating_add(other.interrupted);
    }
}

/// The hour of the day (UTC), 0 to 23.
pub(crate) fn hour_of(at: Timestamp) -> usize {
    usize::try_from(at.0.div_euclid(HOUR_US).rem_euclid(24)).unwrap_or(0)
}

/// What a lease adds to which hours of the day. Of one longer than a day, its last day.
pub(crate) fn split(from: Timestamp, to: Timestamp, interrupted: bool) -> Vec<(usize, Watched)> {
    let mut at = from.max(to.plus_us(-24 * HOUR_US)).min(to);
    let mut parts = Vec::new();
    loop {
        let end = hour_end(at).min(to);
        let last = end == to;
        let part = if last && interrupted {
            Watched { watched: ONE, interrupted: ONE }
        } else {
            Watched { watched: end.since(at) * ONE / HOUR_US, interrupted: 0 }
        };
        if part.watched > 0 {
            parts.push((hour_of(at), part));
        }
        if last {
            return parts;
        }
        at = end;
    }
}

fn hour_end(at: Timestamp) -> Timestamp {
    Timestamp(at.0 - at.0.rem_euclid(HOUR_US)).plus_us(HOUR_US)
}

/// The chance to stay for `seconds` from a moment on, parts per million, where `risk_ppm` is the
/// chance of an interruption within an hour of the day. Never more for a longer time.
pub(crate) fn survival_ppm(risk_ppm: impl Fn(usize) -> u32, from: Timestamp, seconds: i32) -> u32 {
    let to = from.plus_s(seconds.max(0).into());
    let (mut at, mut chance) = (from, ONE);
    while at < to && chance > 0 {
        let end = hour_end(at).min(to);
        let risk = i64::from(risk_ppm(hour_of(at)).min(1_000_000));
        chance = chance * (ONE - risk * end.since(at) / HOUR_US) / ONE;
        at = end;
    }
    u32::try_from(chance).unwrap_or(0)
}

/// The longest time, 0 to `longest_s` seconds, that is survived with at least this chance.
pub(crate) fn longest_stay_s(
    risk_ppm: impl Fn(usize) -> u32,
    from: Timestamp,
    least_ppm: u32,
    longest_s: i32,
) -> i32 {
    let stays = |seconds| survival_ppm(&risk_ppm, from, seconds) >= least_ppm;
    let (mut enough, mut too_long) = (0, longest_s.max(0).saturating_add(1));
    while too_long - enough > 1 {
        let middle = enough + (too_long - enough) / 2;
        if stays(middle) { enough = middle } else { too_long = middle }
    }
    enough
}

/// Seconds until an exodus begins: an hour with a risk above the limit, after one that is not;
/// none, if none begins within `within_s`.
pub(crate) fn exodus_in_s(
    risks_ppm: &[u32; HOURS],
    from: Timestamp,
    limit_ppm: u32,
    within_s: i32,
) -> Option<i32> {
    let above = |at: Timestamp| risks_ppm[hour_of(at)] > limit_ppm;
    let to = from.plus_s(within_s.into());
    let mut before = from;
    let mut at = hour_end(from);
    while at < to {
        if above(at) && !above(before) {
            return i32::try_from(at.since(from) / 1_000_000).ok();
        }
        before = at;
        at = at.plus_us(HOUR_US);
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A day at 6:30.
    const HALF_PAST_SIX: Timestamp = Timestamp((20_000 * 24 + 6) * HOUR_US + HOUR_US / 2);

    fn seen(hours: i64, interrupted: i64) -> Watched {
        Watched { watched: hours * ONE, interrupted: interrupted * ONE }
    }

    #[test]
    fn a_lease_is_watched_in_each_hour_it_touches() {
        let at = |minutes: i64| HALF_PAST_SIX.plus_s(60 * minutes);
        let part = |watched, interrupted| Watched { watched, interrupted };
        for (minutes, interrupted, expected) in [
            (0, false, vec![]),
            (0, true, vec![(6, part(ONE, ONE))]),
            (15, false, vec![(6, part(ONE / 4, 0))]),
            (30, false, vec![(6, part(ONE / 2, 0))]),
            (15, true, vec![(6, part(ONE, ONE))]),
            (45, true, vec![(6, part(ONE / 2, 0)), (7, part(ONE, ONE))]),
            (120, false, vec![(6, part(ONE / 2, 0)), (7, part(ONE, 0)), (8, part(ONE / 2, 0))]),
        ] {
            assert_eq!(split(at(0), at(minutes), interrupted), expected, "{minutes}");
        }
        assert_eq!(split(at(0), at(-5), false), [], "a clock that went back");
        assert_eq!(split(at(0), at(60 * 24 * 9), false).len(), 25, "a day, from half an hour on");
    }

    #[test]
    fn few_hours_say_little() {
        for (seen, prior, expected) in [
            (seen(0, 0), 100_000, 100_000),
            (seen(4, 4), 100_000, 550_000),
            (seen(4, 0), 100_000, 50_000),
            (seen(396, 198), 100_000, 496_000),
            (seen(1, 5), 0, 200_000),
        ] {
            assert_eq!(seen.of_car_ppm(prior), expected, "{seen:?}");
        }
        assert_eq!(Watched::default().of_region_ppm(), UNKNOWN_PPM);
        assert_eq!(seen(8, 8).of_region_ppm(), 525_000);
    }

    #[test]
    fn the_hours_chances_multiply() {
        let risk = |hour| if hour == 7 { 500_000 } else { 100_000 };
        for (seconds, expected) in [
            (0, 1_000_000),
            (-5, 1_000_000),
            (900, 975_000),
            (1_800, 950_000),
            (3_600, 712_500),
            (5_400, 475_000),
            (9_000, 427_500),
        ] {
            assert_eq!(survival_ppm(risk, HALF_PAST_SIX, seconds), expected, "{seconds}");
        }
        assert_eq!(longest_stay_s(risk, HALF_PAST_SIX, 712_500, 10_000), 3_600);
        assert_eq!(longest_stay_s(risk, HALF_PAST_SIX, 712_500, 900), 900);
        assert_eq!(longest_stay_s(|_| 1_000_000, HALF_PAST_SIX, 1_000_000, 900), 0);
    }

    #[test]
    fn an_exodus_begins_once() {
        let mut risks = [50_000; HOURS];
        (risks[7], risks[8]) = (600_000, 700_000);
        let at = |minutes: i64| HALF_PAST_SIX.plus_s(60 * minutes);
        for (minutes, within_s, expected) in [
            (0, 1_800, None),
            (0, 1_801, Some(1_800)),
            (-60, 7_200, Some(5_400)),
            (30, 7_200, None),
            (120, 7_200, None),
            (-60, 0, None),
        ] {
            assert_eq!(exodus_in_s(&risks, at(minutes), 300_000, within_s), expected, "{minutes}");
        }
        assert_eq!(exodus_in_s(&risks, at(0), 600_000, 3_600), None, "not above the limit");
    }

    proptest! {
        #[test]
        fn a_longer_stay_is_never_likelier(
            risks in proptest::array::uniform24(0..=1_000_000_u32),
            from in 0..i64::MAX / 2,
            least in 0..=1_000_000_u32,
            (short, long) in (0..20_000_i32, 0..20_000_i32),
        ) {
            let chance = |seconds| survival_ppm(|hour| risks[hour], Timestamp(from), seconds);
            let (short, long) = (short.min(long), short.max(long));
            prop_assert!(chance(long) <= chance(short));
            let stay = longest_stay_s(|hour| risks[hour], Timestamp(from), least, long);
            prop_assert!((0..=long).contains(&stay) && chance(stay) >= least);
            prop_assert!(stay == long || chance(stay + 1) < least);
        }

        #[test]
        fn a_chance_lies_between_what_was_seen_and_what_was_believed(
            watched in 0..1_000 * ONE,
            share in 0..=ONE,
            prior in 0..=1_000_000_u32,
        ) {
            let interrupted = i64::try_from(i128::from(watched) * i128::from(share)
                / i128::from(ONE)).unwrap();
            let chance = Watched { watched, interrupted }.of_car_ppm(prior);
            let own = u32::try_from(share).unwrap();
            prop_assert!((prior.min(own).saturating_sub(2)..=prior.max(own)).contains(&chance));
        }

        #[test]
        fn no_lease_counts_for_more_hours_than_it_touched(
            from in 0..i64::MAX / 4, us in 0..48 * HOUR_US, interrupted: bool,
        ) {
            let (from, to) = (Timestamp(from), Timestamp(from + us));
            let mut all = Watched::default();
            split(from, to, interrupted).into_iter().for_each(|(_, part)| all.add(part));
            prop_assert_eq!(all.interrupted, if interrupted { ONE } else { 0 });
            let hours = us.min(24 * HOUR_US) * ONE / HOUR_US;
            let least = if interrupted { hours.min(ONE) } else { hours - 26 };
            prop_assert!(all.watched >= least && all.watched <= hours + all.interrupted);
        }
    }
}
