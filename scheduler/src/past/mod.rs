//! What the past says of cars and jobs, for the choice of cars: how long a car stays, by hour of
//! the day, what programs it has, and how long a job's attempts take. Counted when leases end.

mod hours;
mod store;

pub(crate) use hours::{HOURS, Watched, exodus_in_s, longest_stay_s, survival_ppm};
pub(crate) use store::{Ended, load_past, store_ended};

use std::collections::HashMap;

use ::store::{JobId, Timestamp, VehicleId};

/// What is known at a tick of the cars that can be chosen and of the jobs that they are for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Past {
    pub cars: HashMap<VehicleId, CarPast>,
    /// The chance that a lease is interrupted within the hour, by hour of the day.
    pub regions: HashMap<String, [u32; HOURS]>,
    pub jobs: HashMap<JobId, JobPast>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CarPast {
    /// Of the hours that the longest lease touches, those of which something is known.
    pub hours: Vec<(usize, Watched)>,
    /// Digests of the programs it ran last.
    pub programs: Vec<String>,
    /// The chance that its next result is right; none: nothing is known.
    pub reliability_ppm: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct JobPast {
    pub program: String,
    /// Mean billable time of its attempts, seconds, rounded up; none: no lease of it has ended.
    pub typical_s: Option<i32>,
}

impl Past {
    /// The chance that the car is interrupted within an hour of the day, parts per million: its own
    /// record, smoothed by its region's.
    fn risk_ppm(&self, car: VehicleId, region: &str, hour: usize) -> u32 {
        let region_ppm = self.region_risks(region)[hour % HOURS];
        let own = self.cars.get(&car).map_or(&[][..], |car| &car.hours);
        let own = own.iter().find(|(of, _)| *of == hour);
        own.map_or(region_ppm, |(_, seen)| seen.of_car_ppm(region_ppm))
    }

    fn region_risks(&self, region: &str) -> [u32; HOURS] {
        let unknown = [Watched::default().of_region_ppm(); HOURS];
        self.regions.get(region).copied().unwrap_or(unknown)
    }

    /// The chance that the car stays for so long, parts per million.
    pub fn stays_ppm(&self, car: VehicleId, region: &str, from: Timestamp, seconds: i32) -> u32 {
        survival_ppm(|hour| self.risk_ppm(car, region, hour), from, seconds)
    }

    /// How long the car stays with at least this chance: 0 to `longest_s` seconds.
    pub fn longest_s(
        &self,
        car: VehicleId,
        region: &str,
        from: Timestamp,
        least_ppm: u32,
        longest_s: i32,
    ) -> i32 {
        longest_stay_s(|hour| self.risk_ppm(car, region, hour), from, least_ppm, longest_s)
    }

    /// Seconds until an hour begins in which the region loses more cars than `limit_ppm` an hour;
    /// none, if none begins within `within_s`.
    pub fn exodus_in_s(
        &self,
        region: &str,
        from: Timestamp,
        limit_ppm: u32,
        within_s: i32,
    ) -> Option<i32> {
        exodus_in_s(&self.region_risks(region), from, limit_ppm, within_s)
    }

    pub fn holds(&self, car: VehicleId, program: &str) -> bool {
        let car = self.cars.get(&car);
        car.is_some_and(|car| car.programs.iter().any(|held| held == program))
    }

    /// The chance that its next result is right, parts per million; even for who is not known.
    pub fn reliability_ppm(&self, car: VehicleId) -> u32 {
        self.cars.get(&car).and_then(|car| car.reliability_ppm).unwrap_or(500_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_car_of_which_nothing_is_known_is_as_its_region_and_a_region_as_any() {
        let mut past = Past::default();
        let [known, new] = [1, 2].map(|n| VehicleId::from_bytes([n; 16]));
        let noon = Timestamp(12 * 3_600_000_000);
        let any = past.stays_ppm(new, "us-ca", noon, 3_600);
        assert_eq!(any, 950_000);
        let mut risks = [0; HOURS];
        risks[12] = 400_000;
        past.regions.insert("us-ca".to_owned(), risks);
        let seen = Watched { watched: 4_000_000, interrupted: 0 };
        let car = CarPast { hours: vec![(12, seen)], ..CarPast::default() };
        past.cars.insert(known, car);
        assert_eq!(past.stays_ppm(new, "us-ca", noon, 3_600), 600_000);
        assert_eq!(past.stays_ppm(known, "us-ca", noon, 3_600), 800_000);
        assert_eq!(past.stays_ppm(new, "us-tx", noon, 3_600), any);
        assert_eq!(past.longest_s(new, "us-ca", noon, 800_000, 3_600), 1_800);
        assert_eq!(past.longest_s(known, "us-ca", noon, 800_000, 3_600), 3_600);
        assert!(!past.holds(new, "a") && past.reliability_ppm(new) == 500_000);
    }
}
