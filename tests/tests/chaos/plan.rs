//! What befalls, and when: drawn from a seed, so that a storm can be had again.

use std::time::Duration;

use end_to_end::Cut;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use crate::work::Kind;

/// Something that befalls the market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// `kill -9`, and nothing for a while.
    KillServer {
        down: Duration,
    },
    /// All cars lose their power at once; the same cars come again, but for some.
    KillFleet {
        down: Duration,
        missing_ppm: u32,
    },
    Cut {
        cut: Cut,
        lasts: Duration,
    },
    /// So many drivers of a million come back at once.
    Exodus {
        ppm: u32,
    },
    /// Owners of cars at work withdraw their consent, and give it again.
    WithdrawConsents {
        lasts: Duration,
    },
    /// An operator halts a region, and opens it again.
    Halt {
        region: &'static str,
        lasts: Duration,
    },
    /// The customer pauses the last job, cars leave, and it goes on.
    Pause {
        lasts: Duration,
    },
}

/// An event and how long to wait before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub after: Duration,
    pub event: Event,
    /// A job that the customer submits when the event begins.
    pub job: Kind,
}

/// A storm of so many rounds: in each every kind of event comes once, in any order, and every kind
/// of job at least once.
pub fn plan_storm(seed: u64, rounds: usize) -> Vec<Step> {
    let mut chance = StdRng::seed_from_u64(seed);
    (0..rounds).flat_map(|_| plan_round(&mut chance)).collect()
}

fn plan_round(chance: &mut StdRng) -> Vec<Step> {
    let mut ms = |from: u64, to: u64| Duration::from_millis(chance.random_range(from..to));
    let mut events = [
        Event::KillServer { down: ms(0, 2_000) },
        Event::KillFleet { down: ms(0, 3_000), missing_ppm: 250_000 },
        Event::Cut { cut: Cut::Reset, lasts: ms(500, 4_000) },
        Event::Cut { cut: Cut::Held, lasts: ms(2_500, 5_000) },
        Event::Cut { cut: Cut::AnswersLost, lasts: ms(500, 4_000) },
        Event::Exodus { ppm: 900_000 },
        Event::WithdrawConsents { lasts: ms(500, 3_000) },
        Event::Halt { region: "us-ca", lasts: ms(1_000, 4_000) },
        Event::Pause { lasts: ms(500, 3_000) },
    ];
    events.shuffle(chance);
    let mut jobs: Vec<Kind> = Kind::ALL.into_iter().cycle().take(events.len()).collect();
    jobs.shuffle(chance);
    let step = |(event, job)| {
        let after = Duration::from_millis(chance.random_range(500..3_000));
        Step { after, event, job }
    };
    events.into_iter().zip(jobs).map(step).collect()
}

#[test]
fn a_seed_is_a_storm() {
    assert_eq!(plan_storm(1, 2), plan_storm(1, 2));
    assert_ne!(plan_storm(1, 2), plan_storm(2, 2));
    for kind in Kind::ALL {
        assert!(plan_storm(1, 1).iter().any(|step| step.job == kind));
    }
}
