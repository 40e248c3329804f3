//! What a fleet costs in memory and time, for `driveway bench presence`.
#![allow(clippy::float_arithmetic)]

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use ::store::{Amount, Timestamp, VehicleId};

use super::{Entry, Group, GroupId, Roster, Times};
use crate::{Permits, Stay};

/// What was measured of a fleet.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    pub cars: u32,
    /// Cars put in.
    pub filled: Duration,
    /// Words of cars that have nothing new to say.
    pub words: u32,
    pub heard: Duration,
    /// Cars that changed: on and off offer, another reserve, let.
    pub changed: u32,
    pub changing: Duration,
    /// Reading the whole supply, cells and levels, after the changes: what a tick waits for.
    pub snapshot: Duration,
    /// Cells, levels and cars in that supply.
    pub cells: usize,
    pub levels: usize,
    pub offered: u64,
}

const GROUPS: u32 = 200;
const RESERVES: u64 = 200;

/// Measures a fleet of `cars` in 200 groups with 200 reserves; the same each time.
///
/// `memory` is called when the fleet is full: what it returns is handed back.
pub fn measure<T>(cars: u32, changed: u32, memory: impl FnOnce() -> T) -> (Measured, T) {
    let start = Timestamp(1_800_000_000_000_000);
    let times = Times { timeout_s: 30, term_s: 900, short_s: 300 };
    let mut roster = Roster::new(times, start);
    let groups: Vec<GroupId> = (0..GROUPS).filter_map(|n| roster.group(&group(n))).collect();

    let filled = clock(|| (0..cars).for_each(|n| roster.set(id(n), &entry(n, 0, &groups, start))));
    let memory = memory();
    let words = cars.min(10_000_000);
    let at = start.plus_s(10);
    roster.advance(at);
    let heard = clock(|| {
        (0..words).for_each(|n| {
            roster.seen(id(spread(n, cars)), at);
        });
    });
    let changing = clock(|| {
        (0..changed).for_each(|n| {
            let car = spread(n, cars);
            roster.set(id(car), &entry(car, 1, &groups, at));
        });
        roster.advance(at.plus_s(10));
    });
    let (mut cells, mut levels, mut offered) = (0, 0, 0);
    let snapshot = clock(|| {
        for (_, stay, shelves) in roster.supply() {
            cells += usize::from(stay == Stay::Term || !shelves.is_empty());
            levels += shelves.len();
            offered += shelves.iter().map(|level| u64::from(level.cars)).sum::<u64>();
        }
    });
    let measured = Measured {
        cars,
        filled,
        words,
        heard,
        changed,
        changing,
        snapshot,
        cells,
        levels,
        offered,
    };
    (measured, memory)
}

/// The plain way: cars in a map, all of them counted for each tick. The time of the same changes and
/// one snapshot after them.
pub fn measure_plain(cars: u32, changed: u32) -> Duration {
    let start = Timestamp(1_800_000_000_000_000);
    let groups: Vec<GroupId> = (0..GROUPS as u16).map(GroupId).collect();
    let mut fleet: HashMap<VehicleId, Entry> =
        (0..cars).map(|n| (id(n), entry(n, 0, &groups, start))).collect();
    let at = start.plus_s(10);
    clock(|| {
        for n in 0..changed {
            let car = spread(n, cars);
            fleet.insert(id(car), entry(car, 1, &groups, at));
        }
        let mut supply: BTreeMap<(GroupId, Amount), u32> = BTreeMap::new();
        for entry in fleet.values().filter(|entry| entry.eligible && !entry.let_out) {
            *supply.entry((entry.group, entry.reserve)).or_default() += 1;
        }
        std::hint::black_box(&supply);
    })
}

fn clock(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

/// Visits cars in no order: as they call.
fn spread(n: u32, cars: u32) -> u32 {
    (mix(u64::from(n)) % u64::from(cars.max(1))) as u32
}

fn group(n: u32) -> Group {
    Group { region: format!("region-{n}"), class: "hw4".to_owned(), permits: Permits(1) }
}

/// As a UUIDv7 is: time first, then noise.
fn id(n: u32) -> VehicleId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&u64::from(n).to_be_bytes());
    bytes[8..].copy_from_slice(&mix(u64::from(n)).to_be_bytes());
    VehicleId::from_bytes(bytes)
}

fn entry(n: u32, round: u64, groups: &[GroupId], at: Timestamp) -> Entry {
    let dice = mix(u64::from(n) + (round << 40));
    Entry {
        group: groups[n as usize % groups.len()],
        reserve: Amount(((dice >> 8) % RESERVES) as i64 * 1_000),
        until: dice.is_multiple_of(4).then(|| at.plus_s(((dice >> 20) % 20_000) as i64)),
        seen_at: at,
        eligible: dice % 10 != 1,
        let_out: dice % 10 == 2,
        note: 0,
        mark: at,
    }
}

/// SplitMix64's finaliser.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
