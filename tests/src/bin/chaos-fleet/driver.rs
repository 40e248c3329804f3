//! People who park their cars and come back: of one seed they always do the same.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use vehicle::protocol::{ChargeState, Doors, Gear, Telemetry};

const SECOND_US: i64 = 1_000_000;

/// The driver of one car. Moments are microseconds since the fleet began.
pub struct Driver {
    chance: StdRng,
    /// How the car is.
    now: State,
    until_us: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Parked,
    /// In the seat.
    Seated,
    Driving,
    /// Beside it, with the doors open: the car stands, and may not work.
    Loading,
}

impl Driver {
    pub fn new(seed: u64, car: usize) -> Self {
        let mut chance = StdRng::seed_from_u64(seed ^ (car as u64).wrapping_mul(0x9E37_79B9));
        let until_us = chance.random_range(0..90 * SECOND_US);
        Self { chance, now: State::Parked, until_us }
    }

    /// Lives on until `at_us`. In calm nobody comes back, and who is away from home comes home.
    pub fn live_until(&mut self, at_us: i64, calm: bool) {
        while self.until_us <= at_us {
            if self.now == State::Parked && !calm {
                self.come_back(self.until_us);
            } else {
                self.now = State::Parked;
                self.until_us += self.chance.random_range(20 * SECOND_US..90 * SECOND_US);
            }
        }
    }

    /// Leaves with everybody else, if chance, in parts per million, says so.
    pub fn maybe_leave(&mut self, at_us: i64, ppm: u32) -> bool {
        let leaves = self.now == State::Parked && self.chance.random_range(0..1_000_000) < ppm;
        if leaves {
            self.come_back(at_us);
        }
        leaves
    }

    fn come_back(&mut self, at_us: i64) {
        let states = [State::Seated, State::Driving, State::Loading];
        self.now = states[self.chance.random_range(0..states.len())];
        self.until_us = at_us + self.chance.random_range(2 * SECOND_US..12 * SECOND_US);
    }

    /// When something changes next.
    pub fn changes_us(&self) -> i64 {
        self.until_us
    }

    pub fn telemetry(&self) -> Telemetry {
        let home = Telemetry {
            gear: Some(Gear::P),
            vehicle_speed: Some(0.0),
            driver_seat_occupied: Some(false),
            locked: Some(true),
            service_mode: Some(false),
            valet_mode: Some(false),
            detailed_charge_state: Some(ChargeState::Charging),
            soc: Some(72.0),
            module_temp_max: Some(24.0),
            door_state: Some(Doors::default()),
            ..Telemetry::default()
        };
        match self.now {
            State::Parked => home,
            State::Seated => {
                Telemetry { driver_seat_occupied: Some(true), locked: Some(false), ..home }
            }
            State::Driving => Telemetry {
                gear: Some(Gear::D),
                vehicle_speed: Some(31.0),
                driver_seat_occupied: Some(true),
                detailed_charge_state: Some(ChargeState::Disconnected),
                ..home
            },
            State::Loading => {
                let open = Doors { trunk_rear: true, ..Doors::default() };
                Telemetry { locked: Some(false), door_state: Some(open), ..home }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(seed: u64) -> Vec<bool> {
        let mut driver = Driver::new(seed, 7);
        let at = |n: i64| n * SECOND_US;
        (0..600)
            .map(|n| {
                driver.live_until(at(n), false);
                driver.telemetry().is_parked()
            })
            .collect()
    }

    #[test]
    fn a_seed_is_a_life_and_calm_is_calm() {
        assert_eq!(day(1), day(1));
        assert_ne!(day(1), day(2));
        assert!(day(1).contains(&false));
        let mut driver = Driver::new(1, 7);
        assert!(driver.maybe_leave(0, 1_000_000));
        for n in 13..600 {
            driver.live_until(n * SECOND_US, true);
            assert_eq!(driver.now, State::Parked);
        }
    }
}
