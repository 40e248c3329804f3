//! The cars of a cell in the order in which they are let: who asks least; among equals who has the
//! program, who is likelier to stay, who is more reliable, and then a hash of tick and car. Pure.

use std::cmp::Reverse;
use std::collections::HashMap;

use sha2::{Digest, Sha256};
use store::{Timestamp, VehicleId};

use super::fit::Waits;
use super::supply::IdleCar;
use crate::past::Past;

/// Chances that are closer than this are equal: the difference is noise, and would give all the
/// work to the same cars.
const STAY_STEP_PPM: u32 = 20_000;
const RELIABLE_STEP_PPM: u32 = 50_000;

/// What orders a car, first the first.
type Rank = (i64, Reverse<u32>, Reverse<u32>, [u8; 32], VehicleId);

pub(super) struct Queue<'a> {
    /// In order, each with what it asks.
    cars: Vec<(Rank, &'a IdleCar)>,
    taken: Vec<bool>,
    /// No car before it waits.
    first: usize,
    /// Places of those that have a program, and how many of these were passed.
    holders: HashMap<String, (Vec<usize>, usize)>,
}

impl<'a> Queue<'a> {
    /// `cars` with what they ask, for leases of up to `longest_s` seconds from `now` on.
    pub fn new(
        cars: impl Iterator<Item = (i64, &'a IdleCar)>,
        tick: i64,
        past: &Past,
        now: Timestamp,
        longest_s: i32,
    ) -> Self {
        let rank = |(asks, car): (i64, &'a IdleCar)| {
            let stays = past.stays_ppm(car.id, &car.region, now, longest_s) / STAY_STEP_PPM;
            let reliable = past.reliability_ppm(car.id) / RELIABLE_STEP_PPM;
            ((asks, Reverse(stays), Reverse(reliable), tie(tick, car.id), car.id), car)
        };
        let mut cars: Vec<(Rank, &IdleCar)> = cars.map(rank).collect();
        cars.sort_unstable_by_key(|(rank, _)| *rank);
        Self { taken: vec![false; cars.len()], cars, first: 0, holders: HashMap::new() }
    }

    /// The first car that there is a task for, or one that asks as much and has the program; if
    /// there is a task for none, the first: the confirmation will say that it found no lawful car.
    pub fn take(
        &mut self,
        program: Option<&str>,
        waits: Option<&Waits>,
        past: &Past,
    ) -> Option<&'a IdleCar> {
        while self.taken.get(self.first).is_some_and(|taken| *taken) {
            self.first += 1;
        }
        let fits = |place: usize| {
            let car = self.cars[place].1;
            waits.is_none_or(|waits| waits.fit(car.owner, &car.class))
        };
        let mut free = (self.first..self.cars.len()).filter(|place| !self.taken[*place]);
        let mut place = free.clone().find(|place| fits(*place)).or_else(|| free.next())?;
        if let Some(program) = program.filter(|_| fits(place)) {
            let all = || (0..self.cars.len()).filter(|n| past.holds(self.cars[*n].1.id, program));
            let (holders, passed) =
                self.holders.entry(program.to_owned()).or_insert_with(|| (all().collect(), 0));
            while holders.get(*passed).is_some_and(|holder| self.taken[*holder]) {
                *passed += 1;
            }
            let asks = self.cars[place].0.0;
            let mut near = holders[*passed..].iter().copied();
            // None that asks less fits, for the place is the first that does.
            let near = near.find(|n| !self.taken[*n] && self.cars[*n].0.0 >= asks && fits(*n));
            place = near.filter(|n| self.cars[*n].0.0 == asks).unwrap_or(place);
        }
        self.taken[place] = true;
        Some(self.cars[place].1)
    }
}

/// Fair among equals: another order each tick, the same for everybody who replays it.
fn tie(tick: i64, vehicle: VehicleId) -> [u8; 32] {
    Sha256::new()
        .chain_update(tick.to_be_bytes())
        .chain_update(vehicle.as_bytes())
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use store::{Amount, PartyId};

    use super::*;
    use crate::Permits;
    use crate::assurance::Wait;
    use crate::past::{CarPast, Watched};

    const NOON: Timestamp = Timestamp((20_000 * 24 + 12) * 3_600_000_000);

    fn car(number: u8, owner: u8) -> IdleCar {
        IdleCar {
            id: VehicleId::from_bytes([number; 16]),
            owner: PartyId::from_bytes([owner; 16]),
            region: "us-ca".to_owned(),
            class: "hw4".to_owned(),
            permits: Permits(1),
            reserve: Amount(0),
            until: None,
        }
    }

    /// Of 10 hours so many were interrupted.
    fn past_of(interrupted: i64, reliability_ppm: Option<u32>, programs: &[&str]) -> CarPast {
        let seen = Watched { watched: 10_000_000, interrupted: interrupted * 1_000_000 };
        let programs = programs.iter().map(|name| (*name).to_owned()).collect();
        CarPast { hours: vec![(12, seen)], programs, reliability_ppm }
    }

    fn order(cars: &[(i64, IdleCar)], past: &Past, program: Option<&str>) -> Vec<u8> {
        let cars = cars.iter().map(|(asks, car)| (*asks, car));
        let mut queue = Queue::new(cars, 1, past, NOON, 900);
        let taken = std::iter::from_fn(|| queue.take(program, None, past));
        taken.map(|car| car.id.as_bytes()[0]).collect()
    }

    #[test]
    fn the_reserve_comes_first_then_the_program_then_the_stay_then_the_record() {
        let cars = [
            (2_000, car(1, 0)),
            (1_000, car(2, 0)),
            (1_000, car(3, 0)),
            (1_000, car(4, 0)),
            (1_000, car(5, 0)),
        ];
        let mut past = Past::default();
        let car = |number| VehicleId::from_bytes([number; 16]);
        past.cars.insert(car(1), past_of(0, Some(999_000), &["a"]));
        past.cars.insert(car(2), past_of(9, Some(100_000), &["b", "a"]));
        past.cars.insert(car(3), past_of(9, Some(900_000), &[]));
        past.cars.insert(car(4), past_of(0, Some(100_000), &[]));
        past.cars.insert(car(5), past_of(9, None, &["b"]));
        for (program, expected) in [
            (None, [4, 3, 5, 2, 1]),
            (Some("a"), [2, 4, 3, 5, 1]),
            (Some("b"), [5, 2, 4, 3, 1]),
            (Some("c"), [4, 3, 5, 2, 1]),
        ] {
            assert_eq!(order(&cars, &past, program), expected, "{program:?}");
        }
    }

    #[test]
    fn cars_that_are_alike_change_places_from_tick_to_tick() {
        let cars: Vec<IdleCar> = (0..8).map(|n| car(n, 0)).collect();
        let mut firsts: Vec<VehicleId> = (0..200)
            .filter_map(|tick| {
                let cars = cars.iter().map(|car| (1, car));
                let mut queue = Queue::new(cars, tick, &Past::default(), NOON, 900);
                queue.take(None, None, &Past::default()).map(|car| car.id)
            })
            .collect();
        firsts.sort_unstable();
        firsts.dedup();
        assert_eq!(firsts.len(), 8);
    }

    proptest! {
        #[test]
        fn each_take_is_the_best_of_those_that_are_left(
            cars in proptest::collection::vec(
                (0..3_i64, 0..3_u8, 0..=10_i64, proptest::option::of(0..=1_000_000_u32), 0..4_usize),
                0..20),
            takes in proptest::collection::vec((0..3_usize, 0..4_u8), 0..25),
        ) {
            const PROGRAMS: [&[&str]; 4] = [&[], &["a"], &["b"], &["a", "b"]];
            let mut past = Past::default();
            let mut all = Vec::new();
            for ((asks, owner, interrupted, reliable, held), number) in cars.into_iter().zip(1..) {
                let car = car(number, owner);
                past.cars.insert(car.id, past_of(interrupted, reliable, PROGRAMS[held]));
                all.push((asks, car));
            }
            let listed = all.iter().map(|(asks, car)| (*asks, car));
            let mut queue = Queue::new(listed, 7, &past, NOON, 900);
            let mut left: Vec<&(i64, IdleCar)> = all.iter().collect();
            for (program, barred) in takes {
                let program = [None, Some("a"), Some("b")][program];
                let wait = Wait {
                    class: "hw4".to_owned(),
                    owners: [PartyId::from_bytes([barred; 16])].into(),
                };
                let waits = Waits { fresh: 0, tasks: vec![wait] };
                let waits = (barred < 3).then_some(&waits);
                let key = |(asks, car): &&(i64, IdleCar)| {
                    let fits = waits.is_none_or(|waits| waits.fit(car.owner, &car.class));
                    let holds = fits && program.is_some_and(|name| past.holds(car.id, name));
                    let stays = past.stays_ppm(car.id, "us-ca", NOON, 900) / STAY_STEP_PPM;
                    let reliable = past.reliability_ppm(car.id) / RELIABLE_STEP_PPM;
                    let rank = (!holds, Reverse(stays), Reverse(reliable), tie(7, car.id));
                    (!fits, *asks, rank)
                };
                let best = left.iter().min_by_key(|row| key(row)).map(|row| row.1.id);
                let taken = queue.take(program, waits, &past).map(|car| car.id);
                prop_assert_eq!(taken, best);
                left.retain(|row| Some(row.1.id) != taken);
            }
        }
    }
}
