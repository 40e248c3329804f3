//! Idle cars in memory: most polls are of cars that wait and say what they said before. They are
//! answered without a look at the database.
//!
//! What is remembered may be wrong for a while: an owner's change made through another process is
//! seen when the car's word is next looked at in the rows, after a third of the heartbeat timeout at
//! most. That is harmless, for a lease is made and served from rows alone. What must not be missed is
//! a lease: those that live are read from the rows several times a second
//! ([`Desk::watch`](super::Desk::watch)), and while they are not, nothing is answered from here.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use store::{Timestamp, VehicleId};
use vehicle::protocol::{Heartbeat, Telemetry};

use crate::fleet::roster::{Entry, Group, Level, Roster, Times};
use crate::lease::engine::IdleCar;
use crate::{Config, Permits, Stay};

/// Leases may have been read this long ago, microseconds.
const FRESH_US: i64 = 1_000_000;

pub(super) struct Idle {
    /// How long an answer can be given again before the rows are looked at, microseconds.
    lasts_us: i64,
    state: Mutex<State>,
}

struct State {
    roster: Roster,
    /// Cars with a lease when that was last read, and when that was.
    called: HashSet<VehicleId>,
    read_at: Option<Timestamp>,
}

/// Cars of a region and class that this process knows of and that could be let now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnOffer {
    pub region: String,
    pub class: String,
    pub stay: Stay,
    pub levels: Vec<Level>,
}

impl Idle {
    pub fn new(config: &Config, now: Timestamp) -> Self {
        let whole = |seconds: i64| u32::try_from(seconds.max(0)).unwrap_or(u32::MAX);
        let times = Times {
            timeout_s: whole(config.heartbeat_timeout_s),
            term_s: whole(config.term_s.into()),
            short_s: whole(config.short_term_s.min(config.term_s).into()),
        };
        let roster = Roster::new(times, now);
        let state = State { roster, called: HashSet::new(), read_at: None };
        Self { lasts_us: config.heartbeat_timeout_s * 1_000_000 / 3, state: Mutex::new(state) }
    }

    /// True if the car waits, nothing waits for it, and it says what it said when the rows were
    /// looked at.
    pub fn knows(&self, id: VehicleId, beat: &Heartbeat, now: Timestamp) -> bool {
        if beat.attempt.is_some() {
            return false;
        }
        let word = digest(&beat.telemetry);
        let mut state = self.lock();
        let fresh = state.read_at.is_some_and(|at| now.since(at) <= FRESH_US);
        let known = state.roster.get(id).is_some_and(|car| {
            !car.let_out && car.note == word && now.since(car.mark) < self.lasts_us
        });
        fresh && known && state.roster.seen(id, now)
    }

    /// A car as the rows have it, which has no lease.
    pub fn waits(&self, car: &IdleCar, telemetry: &Telemetry, now: Timestamp) {
        let IdleCar { row, eligible, until } = car;
        let mut state = self.lock();
        // By region and class only: who consents to what is a matter of rows.
        let group = Group {
            region: row.region_id.clone(),
            class: row.class_id.clone(),
            permits: Permits::default(),
        };
        let Some(group) = state.roster.group(&group) else { return };
        // It got a lease since its rows were read.
        if state.called.contains(&row.id) {
            return;
        }
        let entry = Entry {
            group,
            reserve: row.reserve,
            until: *until,
            seen_at: now,
            eligible: *eligible,
            let_out: false,
            note: digest(telemetry),
            mark: now,
        };
        state.roster.set(row.id, &entry);
    }

    /// The rows are to be looked at when it next polls: it has a lease, or its owner changed
    /// something.
    pub fn forget(&self, id: VehicleId) {
        self.lock().roster.remove(id);
    }

    /// Cars with a lease, as the rows have it at `at`.
    pub fn called(&self, cars: HashSet<VehicleId>, at: Timestamp) {
        let mut state = self.lock();
        for id in &cars {
            state.roster.remove(*id);
        }
        state.called = cars;
        state.read_at = Some(at);
        state.roster.advance(at);
    }

    pub fn on_offer(&self) -> Vec<OnOffer> {
        let state = self.lock();
        let cells = state.roster.supply().filter_map(|(group, stay, levels)| {
            let Group { region, class, .. } = state.roster.name(group)?.clone();
            Some(OnOffer { region, class, stay, levels })
        });
        cells.collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A word in 32 bits, without the noise of its sensors. Two words that are taken for one delay the
/// look at the rows, no more.
fn digest(telemetry: &Telemetry) -> u32 {
    let plain = Telemetry {
        // Up: a charge above a floor of whole percents is never taken for one at it.
        soc: telemetry.soc.map(f32::ceil),
        module_temp_max: telemetry.module_temp_max.map(f32::round),
        module_temp_min: telemetry.module_temp_min.map(f32::round),
        outside_temp: telemetry.outside_temp.map(f32::round),
        ac_charging_power: telemetry.ac_charging_power.map(f32::floor),
        dc_charging_power: telemetry.dc_charging_power.map(f32::floor),
        energy_remaining: telemetry.energy_remaining.map(f32::floor),
        ..telemetry.clone()
    };
    let mut hasher = DefaultHasher::new();
    match postcard::to_allocvec(&plain) {
        Ok(bytes) => bytes.hash(&mut hasher),
        Err(_) => format!("{plain:?}").hash(&mut hasher),
    }
    hasher.finish() as u32
}
