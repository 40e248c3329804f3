//! Who holds how many lanes where, and the ways that opens.

use std::collections::BinaryHeap;

use super::cost::Cost;
use super::index::Index;
use super::reach::NO_MOVE;
use crate::book::Level;
use crate::price::Price;

/// A lot and what it gains by a move, in 12 bytes instead of 16: there are more of these than of
/// anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Mover {
    gain_high: i32,
    gain_low: u32,
    lot: u32,
}

impl Mover {
    fn new(gain: Price, lot: usize) -> Mover {
        Mover { gain_high: (gain >> 32) as i32, gain_low: gain as u32, lot: lot as u32 }
    }

    fn gain(self) -> Price {
        Price::from(self.gain_high) << 32 | Price::from(self.gain_low)
    }
}

/// The state of the market in the midst of clearing. A slot that holds lanes is a *lot*.
pub(super) struct Lots<'a> {
    index: &'a Index<'a>,
    /// Lanes held, per slot.
    pub held: Vec<u32>,
    /// Lanes wanted and not held, per bid.
    pub short: Vec<u32>,
    /// Per cell, the level of the next unsold lane and the lanes left in it.
    next: Vec<(usize, u32)>,
    /// Per cell, its lots, the worst rank on top: values follow rank, so that is the least value.
    /// Entries of lots that are no more stay inside, but never on top; so below.
    weakest: Vec<BinaryHeap<u32>>,
    /// Per arc, the lots that may take it, the greatest gain on top, of equals the worst rank.
    movers: Vec<BinaryHeap<Mover>>,
    /// Per pair of cells, from and to, the gain on top, or [`NO_MOVE`].
    pub gain: Vec<Price>,
    /// The same per pair of cells, to and from.
    pub gain_back: Vec<Price>,
    /// Per cell, the cost of its next unsold lane or of its weakest holder's.
    pub exits: Vec<Cost>,
}

impl<'a> Lots<'a> {
    /// Nobody holds anything yet, and each bid wants as many lanes as its limit.
    pub fn new(index: &'a Index<'a>, limits: &[u32]) -> Lots<'a> {
        let cells = index.cells.len();
        let mut lots = Lots {
            index,
            held: vec![0; index.slots.len()],
            short: limits.to_vec(),
            next: index.levels.iter().map(|levels| (0, levels[0].lanes)).collect(),
            weakest: vec![BinaryHeap::new(); cells],
            movers: vec![BinaryHeap::new(); index.arc_count()],
            gain: vec![NO_MOVE; cells * cells],
            gain_back: vec![NO_MOVE; cells * cells],
            exits: vec![Cost::NEVER; cells],
        };
        (0..cells).for_each(|cell| lots.update_exit(cell));
        lots
    }

    fn update_exit(&mut self, cell: usize) {
        let unsold = self.next_unsold(cell).map(|reserve| Cost::exit(reserve, 0));
        let displaced = self.weakest(cell).map(|lot| self.worth(lot));
        self.exits[cell] = [unsold, displaced].into_iter().flatten().min().unwrap_or(Cost::NEVER);
    }

    /// What a lane in this slot is worth to its bid, with the tie by rank.
    pub fn worth(&self, slot: usize) -> Cost {
        let slot = &self.index.slots[slot];
        Cost::exit(slot.value, self.index.bids.len() as u32 - slot.bid)
    }

    /// The lot of the worst rank in a cell.
    pub fn weakest(&self, cell: usize) -> Option<usize> {
        self.weakest[cell].peek().map(|lot| *lot as usize)
    }

    /// The lot that gains most by the move; only where one does.
    pub fn mover(&self, from: usize, to: usize) -> usize {
        self.movers[self.index.arc(from, to)].peek().map_or(0, |mover| mover.lot as usize)
    }

    /// The level of the dearest lane sold of a cell, and the lanes sold of it.
    pub fn dearest_sold(&self, cell: usize) -> Option<(Price, u32)> {
        let (level, left) = self.next[cell];
        let levels = &self.index.levels[cell];
        match levels.get(level).filter(|l| left < l.lanes) {
            Some(in_part) => Some((in_part.reserve, in_part.lanes - left)),
            None => level.checked_sub(1).map(|last| (levels[last].reserve, levels[last].lanes)),
        }
    }

    /// The reserve of the cheapest lane unsold of a cell.
    pub fn next_unsold(&self, cell: usize) -> Option<Price> {
        self.index.levels[cell].get(self.next[cell].0).map(|level| level.reserve)
    }

    /// Lanes of the cheapest unsold level that are left.
    pub fn unsold(&self, cell: usize) -> u32 {
        self.next[cell].1
    }

    /// Unsold lanes of a cell that ask for exactly `price`, if there is none that asks for less.
    pub fn unsold_at(&self, cell: usize, price: Price) -> u32 {
        if self.next_unsold(cell) == Some(price) { self.next[cell].1 } else { 0 }
    }

    /// Gives unsold lanes of the cheapest level to a bid.
    pub fn add(&mut self, slot: usize, lanes: u32) {
        self.grow(slot, lanes);
        self.sell(self.index.slots[slot].cell as usize, lanes);
    }

    /// Lanes sold of a cell, per level.
    pub fn sold(&self, cell: usize) -> Vec<Level> {
        let (level, left) = self.next[cell];
        let levels = &self.index.levels[cell];
        let mut sold = levels[..level].to_vec();
        sold.extend(levels.get(level).map(|l| Level { reserve: l.reserve, lanes: l.lanes - left }));
        sold.retain(|level| level.lanes > 0);
        sold
    }

    /// Lanes that a bid holds: no more than it wants.
    pub fn held_by(&self, bid: usize) -> u32 {
        self.held[self.index.slots_of(bid)].iter().sum()
    }

    /// Lanes that a bid holds and what they cost at these prices, per hour.
    pub fn cost_of(&self, bid: usize, prices: &[Price]) -> (u32, i128) {
        let mut sum = (0, 0);
        for slot in self.index.slots_of(bid).filter(|slot| self.held[*slot] > 0) {
            let price = prices[self.index.slots[slot].cell as usize];
            sum.0 += self.held[slot];
            sum.1 += i128::from(price) * i128::from(self.held[slot]);
        }
        sum
    }

    /// Reserves and lanes left of the unsold levels of a cell.
    pub fn unsold_steps(&self, cell: usize) -> Vec<(Price, u64)> {
        let (next, left) = self.next[cell];
        let unsold = self.index.levels[cell].iter().enumerate().skip(next);
        unsold
            .map(|(l, level)| (level.reserve, if l == next { left } else { level.lanes }))
            .map(|(reserve, lanes)| (reserve, u64::from(lanes)))
            .collect()
    }

    pub fn sell(&mut self, cell: usize, amount: u32) {
        let (level, left) = &mut self.next[cell];
        *left -= amount;
        if *left == 0 {
            *level += 1;
            *left = self.index.levels[cell].get(*level).map_or(0, |l| l.lanes);
        }
        self.update_exit(cell);
    }

    /// Takes lanes of the dearest sold level back; no more than are sold of it.
    pub fn unsell(&mut self, cell: usize, amount: u32) {
        let (level, left) = &mut self.next[cell];
        let levels = &self.index.levels[cell];
        let untouched = levels.get(*level).is_none_or(|l| *left == l.lanes);
        if untouched && *level > 0 {
            *level -= 1;
            *left = 0;
        }
        *left += amount;
        self.update_exit(cell);
    }

    pub fn grow(&mut self, slot: usize, amount: u32) {
        let index = self.index;
        if self.held[slot] == 0 && amount > 0 {
            let here = &index.slots[slot];
            let cell = here.cell as usize;
            self.weakest[cell].push(slot as u32);
            for other in index.slots_of(here.bid as usize).filter(|o| *o != slot) {
                let there = &index.slots[other];
                let to = there.cell as usize;
                let gain = there.value - here.value;
                let movers = &mut self.movers[index.arc(cell, to)];
                if movers.len() == movers.capacity() {
                    // Half as much again, not twice: it is the most of the memory.
                    movers.reserve_exact(movers.len() / 2 + 2);
                }
                movers.push(Mover::new(gain, slot));
                if gain > self.gain[cell * self.exits.len() + to] {
                    self.set_gain(cell, to, gain);
                }
            }
            self.held[slot] = amount;
            self.update_exit(cell);
            return;
        }
        self.held[slot] += amount;
    }

    pub fn shrink(&mut self, slot: usize, amount: u32) {
        self.held[slot] -= amount;
        if self.held[slot] > 0 || amount == 0 {
            return;
        }
        let index = self.index;
        let here = &index.slots[slot];
        let cell = here.cell as usize;
        drop_ceased(&mut self.weakest[cell], |lot| self.held[*lot as usize] > 0);
        for other in index.slots_of(here.bid as usize).filter(|o| *o != slot) {
            let to = index.slots[other].cell as usize;
            let movers = &mut self.movers[index.arc(cell, to)];
            drop_ceased(movers, |mover| self.held[mover.lot as usize] > 0);
            let gain = movers.peek().map_or(NO_MOVE, |mover| mover.gain());
            self.set_gain(cell, to, gain);
        }
        self.update_exit(cell);
    }

    fn set_gain(&mut self, from: usize, to: usize, gain: Price) {
        let cells = self.exits.len();
        self.gain[from * cells + to] = gain;
        self.gain_back[to * cells + from] = gain;
    }
}

fn drop_ceased<T: Ord>(heap: &mut BinaryHeap<T>, is_lot: impl Fn(&T) -> bool) {
    while heap.peek().is_some_and(|top| !is_lot(top)) {
        heap.pop();
    }
}
