//! What a car's past says of it, and when it has to rest. Pure.

use ::store::Timestamp;

/// What happened to a car's attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Other owners' cars named the same output.
    Right,
    /// They named another: the gravest thing that a car can do.
    Dissent,
    /// It failed by the car, or named what it never stored.
    Failed,
    /// It fell silent with a task.
    Lost,
    /// It ended its work without a fault, unchecked.
    Done,
}

/// Counts in thousandths of an event, so that they can fade: each new one takes 1 part in 64 off
/// the old ones, so that the last hundred or so count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reputation {
    pub right: i64,
    pub dissent: i64,
    pub failed: i64,
    pub lost: i64,
    /// The last attempts, the latest in the lowest bit: set for one that failed by the car.
    pub recent: i32,
    /// Attempts without a fault since the last one, as far as it matters.
    pub clean: i32,
    /// How often it had to rest without a good run in between.
    pub rests: i32,
    /// It takes no work until then.
    pub resting_until: Option<Timestamp>,
    /// Why it rests or rested last.
    pub rest_reason: Option<&'static str>,
}

const ONE: i64 = 1_000;
/// Attempts that are looked at, and how many of them may fail by the car.
const LOOK_AT: u32 = 5;
const TOO_MANY: u32 = 3;
/// First, second and every later rest, seconds.
const RESTS_S: [i64; 3] = [3_600, 4 * 3_600, 24 * 3_600];
/// So many attempts without a fault, and earlier rests are forgotten.
const GOOD_RUN: i32 = 10;

pub const FAILED_OFTEN: &str = "failed_often";
pub const WRONG_RESULTS: &str = "wrong_results";

impl Reputation {
    /// The chance that its next result is right, parts per million: the mean of a Beta
    /// distribution, starting even. A dissent weighs as ten right results.
    pub fn reliability_ppm(&self) -> i32 {
        let good = self.right + ONE;
        let all = good + 10 * self.dissent + ONE;
        i32::try_from(good.saturating_mul(1_000_000) / all.max(1)).unwrap_or(0)
    }

    /// Whether an event changes anything: a good car's unchecked work does not.
    pub fn is_moved_by(&self, event: Event) -> bool {
        event != Event::Done || self.recent != 0 || self.rests != 0
    }

    /// The reputation after an event.
    #[must_use]
    pub fn after(&self, event: Event, now: Timestamp) -> Self {
        let fade = |count: i64| count - count / 64;
        let mut next = *self;
        if event != Event::Done {
            next.right = fade(self.right);
            next.dissent = fade(self.dissent);
            next.failed = fade(self.failed);
            next.lost = fade(self.lost);
        }
        match event {
            Event::Right => next.right += ONE,
            Event::Dissent => next.dissent += ONE,
            Event::Failed => next.failed += ONE,
            Event::Lost => next.lost += ONE,
            Event::Done => {}
        }
        // What a check says of work is not one more attempt, unless it condemns it.
        let fault = matches!(event, Event::Dissent | Event::Failed | Event::Lost);
        if fault || event == Event::Done {
            next.recent = ((self.recent << 1) | i32::from(fault)) & ((1 << LOOK_AT) - 1);
            next.clean = if fault { 0 } else { (self.clean + 1).min(GOOD_RUN) };
        }
        if fault {
            next.rest_if_due(event, now);
        } else if next.clean == GOOD_RUN {
            next.rests = 0;
        }
        next
    }

    fn rest_if_due(&mut self, event: Event, now: Timestamp) {
        if self.recent.count_ones() < TOO_MANY {
            return;
        }
        let step = usize::try_from(self.rests).unwrap_or(0).min(RESTS_S.len() - 1);
        self.resting_until = Some(now.plus_s(RESTS_S[step]));
        self.rest_reason = Some(if event == Event::Dissent { WRONG_RESULTS } else { FAILED_OFTEN });
        self.rests = self.rests.saturating_add(1);
        // It starts anew after the rest.
        self.recent = 0;
    }

    pub fn rests_at(&self, now: Timestamp) -> bool {
        self.resting_until.is_some_and(|until| until > now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn after(events: &[Event]) -> Reputation {
        events.iter().fold(Reputation::default(), |car, event| car.after(*event, NOW))
    }

    #[test]
    fn three_faults_in_five_attempts_rest_a_car_longer_each_time() {
        use Event::{Done, Failed, Lost};
        assert!(!after(&[Failed, Done, Lost]).rests_at(NOW));
        assert!(!after(&[Failed, Done, Lost, Done, Done, Failed]).rests_at(NOW), "one is too old");
        let mut car = after(&[Failed, Done, Lost, Done, Failed]);
        for hours in [1, 4, 24, 24] {
            assert_eq!(car.resting_until, Some(NOW.plus_s(hours * 3_600)));
            assert_eq!(car.rest_reason, Some(FAILED_OFTEN));
            assert!(!car.rests_at(NOW.plus_s(hours * 3_600)), "the way back");
            for _ in 0..3 {
                car = car.after(Failed, NOW);
            }
        }
    }

    #[test]
    fn a_good_run_makes_rests_forgotten() {
        let tired = after(&[Event::Failed; 3]);
        let run = |n| (0..n).fold(tired, |car, _| car.after(Event::Done, NOW));
        assert_eq!((tired.rests, run(9).rests, run(10).rests), (1, 1, 0));
    }

    #[test]
    fn who_is_often_wrong_is_told_so() {
        let liar = after(&[Event::Done, Event::Dissent, Event::Dissent, Event::Dissent]);
        assert_eq!(liar.rest_reason, Some(WRONG_RESULTS));
        assert!(liar.reliability_ppm() < 50_000, "{}", liar.reliability_ppm());
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        use Event::{Dissent, Done, Failed, Lost, Right};
        prop::collection::vec(
            prop_oneof![Just(Right), Just(Dissent), Just(Failed), Just(Lost), Just(Done)],
            0..400,
        )
    }

    proptest! {
        #[test]
        fn counts_stay_bounded_and_agreement_only_helps(events in events()) {
            let car = after(&events);
            for count in [car.right, car.dissent, car.failed, car.lost] {
                prop_assert!((0..=64 * ONE + 64).contains(&count), "{:?}", car);
            }
            let reliability = |event| car.after(event, NOW).reliability_ppm();
            prop_assert!(reliability(Event::Right) >= car.reliability_ppm());
            prop_assert!(reliability(Event::Dissent) <= car.reliability_ppm());
            prop_assert!((0..=1_000_000).contains(&car.reliability_ppm()));
        }

        #[test]
        fn what_moves_nothing_need_not_be_stored(events in events()) {
            let car = after(&events);
            if !car.is_moved_by(Event::Done) {
                let next = car.after(Event::Done, NOW);
                prop_assert_eq!(Reputation { clean: car.clean, ..next }, car);
            }
        }
    }
}
