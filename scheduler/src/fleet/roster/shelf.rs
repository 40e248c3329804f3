//! Cars on offer: a shelf for each cell and reserve, a list of slots on each.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;

use super::Place;
use super::slots::Slots;
use crate::Stay;

#[derive(Debug, Default)]
pub(super) struct Shelves {
    /// Shelf n is at n - 1. One that is empty stays, for the next car at its place.
    lists: Vec<(Place, Vec<u32>)>,
    by_place: HashMap<Place, NonZeroU32>,
    cells: BTreeMap<(u16, Stay), BTreeMap<i64, u32>>,
}

/// A cell with something on offer.
pub(super) struct CellView<'a> {
    pub group: u16,
    pub stay: Stay,
    levels: &'a BTreeMap<i64, u32>,
}

impl CellView<'_> {
    /// Reserves that are asked, and by how many cars.
    pub fn levels(&self) -> impl Iterator<Item = (i64, u32)> {
        self.levels.iter().map(|(reserve, cars)| (*reserve, *cars))
    }
}

impl Shelves {
    pub fn cells(&self) -> impl Iterator<Item = CellView<'_>> {
        self.cells.iter().map(|(&(group, stay), levels)| CellView { group, stay, levels })
    }

    pub fn cars(&self, group: u16, stay: Stay, reserve: i64) -> &[u32] {
        let shelf = self.by_place.get(&Place { group, stay, reserve });
        shelf.map_or(&[], |shelf| &self.lists[index(*shelf)].1)
    }

    /// Moves the car there; nowhere is off all shelves.
    pub fn put(&mut self, slots: &mut Slots, slot: u32, place: Option<Place>) {
        let at = slots.car(slot).shelf.map(|shelf| self.lists[index(shelf)].0);
        if at == place {
            return;
        }
        self.take(slots, slot);
        let Some(place) = place else { return };
        let shelf = self.shelf(place);
        let list = &mut self.lists[index(shelf)].1;
        let car = slots.car_mut(slot);
        car.shelf = Some(shelf);
        car.position = list.len() as u32;
        list.push(slot);
        *self
            .cells
            .entry((place.group, place.stay))
            .or_default()
            .entry(place.reserve)
            .or_default() += 1;
    }

    /// Off its shelf, if it is on one: the last of the list takes its position.
    pub fn take(&mut self, slots: &mut Slots, slot: u32) {
        let car = slots.car_mut(slot);
        let Some(shelf) = car.shelf.take() else { return };
        let position = car.position as usize;
        let (place, list) = &mut self.lists[index(shelf)];
        list.swap_remove(position);
        if let Some(moved) = list.get(position) {
            slots.car_mut(*moved).position = position as u32;
        }
        let place = *place;
        self.count_out(place);
    }

    fn shelf(&mut self, place: Place) -> NonZeroU32 {
        if let Some(shelf) = self.by_place.get(&place) {
            return *shelf;
        }
        self.lists.push((place, Vec::new()));
        let shelf = NonZeroU32::MIN.saturating_add(self.lists.len() as u32 - 1);
        self.by_place.insert(place, shelf);
        shelf
    }

    fn count_out(&mut self, place: Place) {
        let cell = (place.group, place.stay);
        let Some(levels) = self.cells.get_mut(&cell) else { return };
        if let Some(cars) = levels.get_mut(&place.reserve) {
            *cars -= 1;
            if *cars == 0 {
                levels.remove(&place.reserve);
            }
        }
        if levels.is_empty() {
            self.cells.remove(&cell);
        }
    }
}

fn index(shelf: NonZeroU32) -> usize {
    shelf.get() as usize - 1
}
