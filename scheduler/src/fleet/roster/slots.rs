//! Cars in slots, and the table that finds a car's slot by its id.

use ::store::{Amount, VehicleId};
use hashbrown::HashTable;

use super::{Entry, GroupId, moment, seconds};

/// A car: 64 bytes. Seconds are those of [`super::seconds`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Car {
    pub id: VehicleId,
    /// Net, micro-units per lane-hour.
    pub reserve: i64,
    pub until_s: u32,
    pub seen_s: u32,
    /// The earliest second for which the wheel has a note of it that was not looked at yet.
    pub due_s: u32,
    /// Where it is on offer: shelf, and position there.
    pub shelf: Option<std::num::NonZeroU32>,
    pub position: u32,
    pub note: u32,
    pub mark_s: u32,
    pub group: u16,
    pub eligible: bool,
    pub let_out: bool,
    pub used: bool,
}

const _: () = assert!(size_of::<Car>() <= 64);

impl Car {
    /// No second at all.
    pub const NEVER: u32 = u32::MAX;

    fn new(id: VehicleId) -> Self {
        Self {
            id,
            reserve: 0,
            until_s: Self::NEVER,
            seen_s: 0,
            due_s: 0,
            shelf: None,
            position: 0,
            note: 0,
            mark_s: 0,
            group: 0,
            eligible: false,
            let_out: false,
            used: true,
        }
    }

    pub fn put(&mut self, entry: &Entry) {
        self.group = entry.group.0;
        self.reserve = entry.reserve.0;
        self.until_s = entry.until.map_or(Self::NEVER, seconds);
        self.seen_s = seconds(entry.seen_at);
        self.eligible = entry.eligible;
        self.let_out = entry.let_out;
        self.note = entry.note;
        self.mark_s = seconds(entry.mark);
    }

    pub fn entry(&self) -> Entry {
        Entry {
            group: GroupId(self.group),
            reserve: Amount(self.reserve),
            until: (self.until_s != Self::NEVER).then(|| moment(self.until_s)),
            seen_at: moment(self.seen_s),
            eligible: self.eligible,
            let_out: self.let_out,
            note: self.note,
            mark: moment(self.mark_s),
        }
    }
}

/// Slots come in blocks, so that growing copies nothing.
const BLOCK: usize = 1 << 14;

#[derive(Debug, Default)]
pub(super) struct Slots {
    blocks: Vec<Vec<Car>>,
    free: Vec<u32>,
    /// Slots by the hash of their car's id: ids are not stored twice.
    table: HashTable<u32>,
}

impl Slots {
    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn car(&self, slot: u32) -> &Car {
        let slot = slot as usize;
        &self.blocks[slot / BLOCK][slot % BLOCK]
    }

    pub fn car_mut(&mut self, slot: u32) -> &mut Car {
        let slot = slot as usize;
        &mut self.blocks[slot / BLOCK][slot % BLOCK]
    }

    pub fn is_used(&self, slot: u32) -> bool {
        self.car(slot).used
    }

    pub fn find(&self, id: VehicleId) -> Option<u32> {
        self.table.find(hash(id), |slot| self.car(*slot).id == id).copied()
    }

    pub fn find_or_add(&mut self, id: VehicleId) -> u32 {
        if let Some(slot) = self.find(id) {
            return slot;
        }
        let slot = self.new_slot(id);
        let blocks = &self.blocks;
        let rehash = |slot: &u32| hash(blocks[*slot as usize / BLOCK][*slot as usize % BLOCK].id);
        self.table.insert_unique(hash(id), slot, rehash);
        slot
    }

    fn new_slot(&mut self, id: VehicleId) -> u32 {
        if let Some(slot) = self.free.pop() {
            *self.car_mut(slot) = Car::new(id);
            return slot;
        }
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        let last = self.blocks.len() - 1;
        self.blocks[last].push(Car::new(id));
        // 2^32 cars are more than there are.
        (last * BLOCK + self.blocks[last].len() - 1) as u32
    }

    /// Forgets the car; its slot may stand for another.
    pub fn free(&mut self, slot: u32) {
        let id = self.car(slot).id;
        if let Ok(found) = self.table.find_entry(hash(id), |other| *other == slot) {
            found.remove();
        }
        self.car_mut(slot).used = false;
        self.free.push(slot);
    }
}

/// The last eight bytes of a UUIDv7 are random, and the platform makes the ids: spread them over
/// all bits, and that is enough.
fn hash(id: VehicleId) -> u64 {
    let bytes = id.as_bytes();
    let mut tail = [0; 8];
    tail.copy_from_slice(&bytes[8..]);
    let mixed = u64::from_le_bytes(tail).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 32)
}
