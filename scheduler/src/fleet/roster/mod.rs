//! The fleet in memory: the last word of every car, and at any moment how many are on offer in each
//! cell at each reserve. Pure: no clock, no database. It can be lost and loaded again.
//!
//! # How it is laid out
//! - A car is a record of 64 bytes in a slot ([`slots`]), found through a table of slot numbers.
//! - A cell's cars on offer stand on shelves, one for each reserve, as lists of slots ([`shelf`]): a
//!   car that comes or goes costs a step, and a tick reads shelves, not cars.
//! - What time alone brings (a car falls silent, or its owner will want it too soon for a full term)
//!   is written for the second at which it is due ([`wheel`]).
//!
//! About 85 bytes a car, everything included: `driveway bench presence`.

#[cfg(feature = "bench")]
pub mod bench;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod model_tests;
mod shelf;
mod slots;
mod wheel;

use ::store::{Amount, Timestamp, VehicleId};

use crate::{Permits, Stay};
use shelf::Shelves;
use slots::{Car, Slots};
use wheel::Wheel;

/// When a car that says nothing, or will be wanted, is on offer no more. Seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// A car not heard of for so long is gone.
    pub timeout_s: u32,
    /// What a car must surely stay for to be in a cell of full terms, and in one of short leases.
    pub term_s: u32,
    pub short_s: u32,
}

/// What owners share and a cell is made of, without the window.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    pub region: String,
    pub class: String,
    pub permits: Permits,
}

/// The number of a [`Group`] in its roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(u16);

/// All that the market knows of a car.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub group: GroupId,
    /// Net of the fee, per lane-hour.
    pub reserve: Amount,
    /// When its owner will want it; none: not known.
    pub until: Option<Timestamp>,
    /// When it was last heard of.
    pub seen_at: Timestamp,
    /// It may work by what it said last.
    pub eligible: bool,
    /// It has a lease.
    pub let_out: bool,
    /// Whatever its keeper wants to remember of its word: told back, not looked at.
    pub note: u32,
    /// The same for a moment, which is kept to the second.
    pub mark: Timestamp,
}

/// Cars on offer with one reserve in one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    pub reserve: Amount,
    pub cars: u32,
}

/// The fleet.
#[derive(Debug)]
pub struct Roster {
    times: Times,
    now_s: u32,
    groups: Vec<Group>,
    slots: Slots,
    shelves: Shelves,
    wheel: Wheel,
}

impl Roster {
    /// An empty fleet at `now`.
    pub fn new(times: Times, now: Timestamp) -> Self {
        let now_s = seconds(now);
        Self {
            times,
            now_s,
            groups: Vec::new(),
            slots: Slots::default(),
            shelves: Shelves::default(),
            wheel: Wheel::new(now_s),
        }
    }

    /// The group's number, the same each time. None once there are 65,536 of them: there are as many
    /// as regions × classes × kinds of consent, so that is a fault of the caller.
    pub fn group(&mut self, group: &Group) -> Option<GroupId> {
        let known = self.groups.iter().position(|known| known == group);
        let number = u16::try_from(known.unwrap_or(self.groups.len())).ok()?;
        if known.is_none() {
            self.groups.push(group.clone());
        }
        Some(GroupId(number))
    }

    pub fn name(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(usize::from(id.0))
    }

    /// Cars known, on offer or not.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, id: VehicleId) -> Option<Entry> {
        self.slots.find(id).map(|slot| self.slots.car(slot).entry())
    }

    /// Puts a car in, or all that is known of it anew.
    pub fn set(&mut self, id: VehicleId, entry: &Entry) {
        let slot = self.slots.find_or_add(id);
        let car = self.slots.car_mut(slot);
        car.put(entry);
        self.place(slot);
    }

    /// A car was heard of and has nothing new to say. False if it is not known.
    pub fn seen(&mut self, id: VehicleId, at: Timestamp) -> bool {
        let Some(slot) = self.slots.find(id) else { return false };
        let car = self.slots.car_mut(slot);
        car.seen_s = car.seen_s.max(seconds(at));
        // Still on its shelf: nothing to do until its second comes.
        if car.shelf.is_none() {
            self.place(slot);
        }
        true
    }

    pub fn remove(&mut self, id: VehicleId) {
        if let Some(slot) = self.slots.find(id) {
            self.shelves.take(&mut self.slots, slot);
            self.slots.free(slot);
        }
    }

    /// Brings what time brings, up to `now`. A clock that went back changes nothing.
    pub fn advance(&mut self, now: Timestamp) {
        self.now_s = self.now_s.max(seconds(now));
        for slot in self.wheel.due(self.now_s) {
            // The slot may stand for another car by now, or its car be due at another time: then
            // placing it changes nothing.
            if self.slots.is_used(slot) {
                self.place(slot);
            }
        }
    }

    /// Every cell with cars on offer, and its levels, the least reserve first.
    pub fn supply(&self) -> impl Iterator<Item = (GroupId, Stay, Vec<Level>)> + '_ {
        self.shelves.cells().map(|cell| {
            let level = |(reserve, cars)| Level { reserve: Amount(reserve), cars };
            (GroupId(cell.group), cell.stay, cell.levels().map(level).collect())
        })
    }

    /// The cars on offer in a cell at one reserve.
    pub fn offered(
        &self,
        group: GroupId,
        stay: Stay,
        reserve: Amount,
    ) -> impl Iterator<Item = (VehicleId, Entry)> + '_ {
        let slots = self.shelves.cars(group.0, stay, reserve.0);
        slots.iter().map(|slot| {
            let car = self.slots.car(*slot);
            (car.id, car.entry())
        })
    }

    /// Puts the car on the shelf where it belongs now, or takes it off, and notes when to look again.
    fn place(&mut self, slot: u32) {
        let car = *self.slots.car(slot);
        let (wanted, due_s) = plan_place(&car, self.times, self.now_s);
        self.shelves.put(&mut self.slots, slot, wanted);
        // An earlier second that is noted already will do: then it is looked at again.
        if due_s.is_some_and(|due_s| car.due_s <= self.now_s || due_s < car.due_s) {
            let due_s = due_s.unwrap_or(u32::MAX);
            self.slots.car_mut(slot).due_s = due_s;
            self.wheel.note(due_s, slot);
        }
    }
}

/// Where a car belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Place {
    group: u16,
    stay: Stay,
    reserve: i64,
}

/// Where a car belongs now, and the next second at which that can change by time alone.
fn plan_place(car: &Car, times: Times, now_s: u32) -> (Option<Place>, Option<u32>) {
    let silent_s = car.seen_s.saturating_add(times.timeout_s).saturating_add(1);
    if !car.eligible || car.let_out || silent_s <= now_s {
        return (None, None);
    }
    let place = |stay| Some(Place { group: car.group, stay, reserve: car.reserve });
    if car.until_s == Car::NEVER {
        return (place(Stay::Term), Some(silent_s));
    }
    // The last seconds at which a lease of each kind still fits.
    let last_term_s = car.until_s.checked_sub(times.term_s + times.timeout_s);
    let last_short_s = car.until_s.checked_sub(times.short_s + times.timeout_s);
    match (last_term_s, last_short_s) {
        (Some(last), _) if now_s <= last => (place(Stay::Term), Some(silent_s.min(last + 1))),
        (_, Some(last)) if now_s <= last => (place(Stay::Short), Some(silent_s.min(last + 1))),
        _ => (None, None),
    }
}

/// Whole seconds since 2020-01-01T00:00:00Z, within 0 and 2^32 - 2.
fn seconds(at: Timestamp) -> u32 {
    let since = at.0.div_euclid(1_000_000) - EPOCH_S;
    u32::try_from(since.clamp(0, i64::from(Car::NEVER) - 1)).unwrap_or(0)
}

/// 2020-01-01T00:00:00Z in seconds since 1970.
const EPOCH_S: i64 = 1_577_836_800;

fn moment(seconds: u32) -> Timestamp {
    Timestamp((i64::from(seconds) + EPOCH_S) * 1_000_000)
}
