//! The same random life of a market, once heartbeat by heartbeat and in batches, on both databases,
//! with all memory lost now and then: the same answers, rows and balances after every step.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;

use common::{World, at_home, driver_back, new_job, rows};
use scheduler::{AttemptOutcome, DataClass, Desk, PayIn, Purpose, fleet, job};
use store::testing::TestDb;
use store::{Amount, AttemptId, JobId, PartyId, VehicleId};
use vehicle::protocol::{
    AttemptReport, AttemptState, Digest, FailureCode, Fault, Heartbeat, HeartbeatReply, Order,
};

const CARS: usize = 7;
const STEPS: usize = 100;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// What a car says, of what it was told last.
#[derive(Clone, Copy, Debug)]
enum Says {
    Nothing,
    Driver,
    Running,
    Completed,
    Unstored,
    Checkpointed,
    Vacated,
    FailedProgram,
    FailedCar,
    /// The last terminal report again.
    Again,
    /// A result for the attempt of the next car.
    Anothers,
    /// An attempt that never was.
    Unknown,
}

#[derive(Clone, Debug)]
enum Step {
    Tick,
    Sweep,
    Wait(i64),
    Submit {
        tasks: usize,
        lanes: i32,
        budget: i64,
    },
    /// The last job, or one of those before it.
    Cancel(usize),
    Consent {
        car: usize,
        given: bool,
    },
    Beats(Vec<(usize, Says)>),
    /// The process forgets all it remembers.
    Restart,
}

fn step(random: &mut Random) -> Step {
    match random.below(20) {
        0..=2 => Step::Tick,
        3 | 4 => Step::Sweep,
        5 => Step::Wait([1, 3, 12, 400][random.below(4) as usize]),
        6 | 7 => Step::Submit {
            tasks: 1 + random.below(5) as usize,
            lanes: 1 + random.below(4) as i32,
            budget: [2_000, 60_000, 1_000_000][random.below(3) as usize],
        },
        8 if random.below(2) == 0 => Step::Cancel(random.below(3) as usize),
        9 => Step::Consent { car: random.below(CARS as u64) as usize, given: random.below(3) > 0 },
        10 => Step::Restart,
        _ => Step::Beats((0..1 + random.below(12)).map(|_| says(random)).collect()),
    }
}

fn says(random: &mut Random) -> (usize, Says) {
    let says = match random.below(24) {
        0..=4 => Says::Nothing,
        5 => Says::Driver,
        6..=8 => Says::Running,
        9..=14 => Says::Completed,
        15 => Says::Unstored,
        16 | 17 => Says::Checkpointed,
        18 => Says::Vacated,
        19 => Says::FailedProgram,
        20 => Says::FailedCar,
        21 => Says::Again,
        22 => Says::Anothers,
        _ => Says::Unknown,
    };
    (random.below(CARS as u64) as usize, says)
}

/// A market with its cars and what they know.
struct Life {
    world: World,
    desk: Desk,
    batched: bool,
    customers: [PartyId; 2],
    owner: PartyId,
    cars: Vec<VehicleId>,
    jobs: Vec<(PartyId, JobId)>,
    orders: Vec<Option<Order>>,
    last: Vec<Option<AttemptReport>>,
}

impl Life {
    fn new(db: TestDb, batched: bool) -> Self {
        let world = World::new(db);
        let customers = [world.customer(10), world.customer(10)];
        let owner = world.party("owner");
        let pay_in = |n| if n % 3 == 0 { PayIn::Credits } else { PayIn::Cash };
        let cars: Vec<VehicleId> =
            (0..CARS).map(|n| world.car(owner, 100_000 + 1_000 * n as i64, pay_in(n))).collect();
        let desk = Desk::new(world.db.store.clone(), world.config.clone());
        let (orders, last) = (vec![None; CARS], vec![None; CARS]);
        Self { world, desk, batched, customers, owner, cars, jobs: Vec::new(), orders, last }
    }

    /// Lives through a step, and tells what was seen of it.
    fn go(&mut self, step: &Step) -> String {
        match step {
            Step::Tick => format!("{:?}", self.world.tick()),
            Step::Sweep => format!("{:?}", self.world.sweep()),
            Step::Wait(seconds) => {
                self.world.db.clock.advance_s(*seconds);
                String::new()
            }
            Step::Submit { tasks, lanes, budget } => self.submit(*tasks, *lanes, *budget),
            Step::Cancel(before) => self.cancel(*before),
            Step::Consent { car, given } => self.consent(self.cars[*car], *given),
            Step::Beats(beats) => self.beats(beats),
            Step::Restart => {
                self.desk = Desk::new(self.world.db.store.clone(), self.world.config.clone());
                String::new()
            }
        }
    }

    fn submit(&mut self, tasks: usize, lanes: i32, budget: i64) -> String {
        let customer = self.customers[self.jobs.len() % 2];
        let mut new = new_job(tasks, lanes);
        new.bid.budget = Amount(budget);
        let made = self.world.db.store.write(|tx| job::submit(tx, customer, &new));
        let answer = format!("{:?}", made.as_ref().map(|_| ()));
        self.jobs.extend(made.ok().map(|id| (customer, id)));
        answer
    }

    fn cancel(&mut self, before: usize) -> String {
        let Some((customer, id)) = self.jobs.iter().rev().nth(before).copied() else {
            return String::new();
        };
        format!("{:?}", self.world.db.store.write(|tx| job::cancel(tx, customer, id)))
    }

    fn consent(&mut self, car: VehicleId, given: bool) -> String {
        let (purpose, class) = (Purpose::Simulation, DataClass::Synthetic);
        self.world.write(|tx| match given {
            true => fleet::give_consent(tx, self.owner, car, purpose, class),
            false => fleet::withdraw_consent(tx, self.owner, car, purpose, class),
        });
        String::new()
    }

    fn beats(&mut self, beats: &[(usize, Says)]) -> String {
        let polls: Vec<(VehicleId, Heartbeat)> =
            beats.iter().map(|(car, says)| (self.cars[*car], self.word(*car, *says))).collect();
        let answers: Vec<HeartbeatReply> = match self.batched {
            true => {
                let answers = self.desk.heartbeats(polls.clone());
                answers.into_iter().map(Result::unwrap).collect()
            }
            false => {
                let World { db, config, .. } = &self.world;
                let one = |(id, beat): &(VehicleId, Heartbeat)| {
                    scheduler::lease::heartbeat(&db.store, config, *id, beat).unwrap()
                };
                polls.iter().map(one).collect()
            }
        };
        for (((car, _), (_, beat)), reply) in beats.iter().zip(polls).zip(&answers) {
            if let Some(report) = beat.attempt.filter(|report| report.state.is_terminal()) {
                self.last[*car] = Some(report);
                self.orders[*car] = None;
            }
            self.orders[*car] = reply.order.clone().or(self.orders[*car].take());
        }
        format!("{answers:?}")
    }

    fn word(&self, car: usize, says: Says) -> Heartbeat {
        let telemetry = match says {
            Says::Driver | Says::Checkpointed | Says::Vacated => driver_back(),
            _ => at_home(),
        };
        let order = match says {
            Says::Anothers => &self.orders[(car + 1) % CARS],
            _ => &self.orders[car],
        };
        let attempt = match (says, order) {
            (Says::Nothing | Says::Driver, _) => None,
            (Says::Again, _) => self.last[car].clone(),
            (Says::Unknown, _) => {
                let state = AttemptState::Vacated { metered_us: 1 };
                Some(AttemptReport::new(AttemptId::NIL.to_string(), state))
            }
            (_, None) => None,
            (says, Some(order)) => {
                Some(AttemptReport::new(&order.attempt_id, self.state(says, order)))
            }
        };
        Heartbeat { telemetry, attempt }
    }

    fn state(&self, says: Says, order: &Order) -> AttemptState {
        let metered_us = 2_500_000;
        let stored = || self.world.stored(&order.attempt_id);
        match says {
            Says::Completed | Says::Anothers => {
                AttemptState::Completed { output: stored(), metered_us }
            }
            Says::Unstored => {
                AttemptState::Completed { output: Digest::of(b"never stored"), metered_us }
            }
            Says::Checkpointed => AttemptState::Checkpointed { checkpoint: stored(), metered_us },
            Says::Vacated => AttemptState::Vacated { metered_us },
            Says::FailedProgram => AttemptState::Failed {
                fault: Fault::Program,
                code: FailureCode::Trap,
                message: "unreachable".to_owned(),
                metered_us,
            },
            Says::FailedCar => AttemptState::Failed {
                fault: Fault::Car,
                code: FailureCode::WorkerDied,
                message: String::new(),
                metered_us,
            },
            _ => AttemptState::Running { progress_ppm: 1, metered_us },
        }
    }
}

/// Adds to what has been seen of ends of leases and of attempts.
fn live(seed: u64, ends: &mut BTreeSet<String>) {
    let mut lives = [
        Life::new(TestDb::sqlite(), false),
        Life::new(TestDb::sqlite(), true),
        Life::new(TestDb::postgres(), true),
    ];
    let mut random = Random(seed);
    for number in 0..STEPS {
        let step = step(&mut random);
        let [alone, others @ ..] = &mut lives;
        let seen = rows::numbered(&alone.go(&step));
        let rows = rows::dump(&alone.world);
        rows::check(&alone.world);
        for other in others {
            let name = other.world.db.store.database();
            assert_eq!(
                rows::numbered(&other.go(&step)),
                seen,
                "{seed}: {number}: {step:?}: {name}"
            );
            let same = rows::dump(&other.world);
            assert!(same == rows, "{seed}: {number}: {step:?}: {name}\n{}", diff(&rows, &same));
        }
    }
    ends.extend(rows::ends(&lives[0].world));
}

/// The lines that are not the same.
fn diff(one: &str, other: &str) -> String {
    let pairs = one.lines().zip(other.lines()).filter(|(one, other)| one != other);
    pairs.map(|(one, other)| format!("- {one}\n+ {other}\n")).collect()
}

#[test]
fn in_batches_as_one_by_one_on_both_databases() {
    let mut ends = BTreeSet::new();
    (0..8).for_each(|seed| live(seed, &mut ends));
    // A life in which nothing happens tells nothing.
    for outcome in AttemptOutcome::ALL.iter().map(|it| it.as_str()) {
        assert!(ends.contains(outcome), "no attempt was {outcome}: {ends:?}");
    }
    for reason in ["no_work", "vacated", "evicted", "cancelled", "lost", "not_taken", "failed"] {
        assert!(ends.contains(reason), "no lease ended {reason}: {ends:?}");
    }
}
