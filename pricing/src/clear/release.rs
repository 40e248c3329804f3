//! The flow backwards: lanes that a bid must give up go to where they are worth most.
//!
//! `relief` is, per cell, the greatest worth of one lane becoming free there: to a bid left short,
//! to the car that takes it back (its reserve), or to a holder elsewhere who moves here, freeing a
//! lane for the next. It is the mirror image of `reach` in `flow.rs`: written as a cost (negated)
//! it only ever rises, its first component is the least supporting price vector, and the same
//! argument shows that what is left after each step is the optimum of the bids that remain.

use super::cost::Cost;
use super::flow::{Flow, upward};
use super::index::Index;
use super::lots::Lots;
use super::reach::{Reach, Via, Ways};
use crate::price::Price;

/// Who takes a free lane.
#[derive(Debug, Clone, Copy)]
enum Taker {
    /// The cheapest car that would rather have it back.
    Car,
    /// The slot of a bid left short.
    Slot(usize),
    /// A lot in another cell.
    Mover(usize),
}

pub(super) struct Release<'a> {
    index: &'a Index<'a>,
    pub lots: Lots<'a>,
    relief: Reach,
    /// Per cell, what a free lane is worth there, as a cost.
    exits: Vec<Cost>,
    /// Per cell, its slots by rank, and how many of the first are of bids no longer short.
    waiting: Vec<(Vec<u32>, usize)>,
}

impl<'a> Release<'a> {
    pub fn new(index: &'a Index<'a>, flow: Flow<'a>) -> Release<'a> {
        let cells = index.cells.len();
        let mut waiting = vec![(Vec::new(), 0); cells];
        for (at, slot) in index.slots.iter().enumerate() {
            if flow.lots.short[slot.bid as usize] > 0 {
                waiting[slot.cell as usize].0.push(at as u32);
            }
        }
        let below = flow.reach.cost.iter().map(|cost| cost.negated()).collect();
        let relief = Reach { cost: below, via: vec![Via::Exit; cells] };
        let exits = vec![Cost::NEVER; cells];
        let mut release = Release { index, lots: flow.lots, relief, exits, waiting };
        (0..cells).for_each(|cell| release.update_exit(cell));
        let below = std::mem::take(&mut release.relief.cost);
        release.relief = Reach::settled(below, release.ways());
        release
    }

    /// The least supporting prices.
    pub fn lo(&self) -> Vec<Price> {
        let worth = |cost: &Cost| if cost.is_never() { 0 } else { (-cost.value).max(0) };
        self.relief.cost.iter().map(worth).collect()
    }

    /// The greatest supporting prices.
    pub fn hi(&self) -> Vec<Price> {
        let below = self.lo().into_iter().map(|price| Cost::exit(price, 0)).collect();
        let reach = Reach::settled(below, upward(self.index, &self.lots));
        reach.cost.iter().map(|cost| cost.value).collect()
    }

    /// Takes lanes from a bid until it holds no more than `limit`; it gets none of them back.
    pub fn shrink(&mut self, bid: usize, limit: u32) {
        if std::mem::take(&mut self.lots.short[bid]) > 0 {
            self.repair(&[], bid);
        }
        loop {
            let over = self.lots.held_by(bid).saturating_sub(limit);
            let Some(slot) = self.least_worth(bid).filter(|_| over > 0) else { return };
            self.free(slot, over);
        }
    }

    fn ways(&self) -> Ways<'_> {
        Ways {
            index: self.index,
            exits: &self.exits,
            onward: &self.lots.gain_back,
            backward: &self.lots.gain,
        }
    }

    fn update_exit(&mut self, cell: usize) {
        let car = self.lots.dearest_sold(cell).map(|(reserve, _)| Cost::exit(reserve, 0));
        let bid = self.first_waiting(cell).map(|slot| self.lots.worth(slot));
        let best = [car, bid].into_iter().flatten().max();
        self.exits[cell] = best.map_or(Cost::NEVER, Cost::negated);
    }

    fn first_waiting(&mut self, cell: usize) -> Option<usize> {
        let (slots, passed) = &mut self.waiting[cell];
        let is_short =
            |slot: u32| self.lots.short[self.index.slots[slot as usize].bid as usize] > 0;
        while slots.get(*passed).is_some_and(|slot| !is_short(*slot)) {
            *passed += 1;
        }
        slots.get(*passed).map(|slot| *slot as usize)
    }

    /// The lot of a bid whose lanes are worth most to others, less what they are to it.
    fn least_worth(&self, bid: usize) -> Option<usize> {
        let lots = self.index.slots_of(bid).filter(|slot| self.lots.held[*slot] > 0);
        lots.min_by_key(|&slot| {
            let slot = &self.index.slots[slot];
            let cost = self.relief.cost[slot.cell as usize];
            (cost.value + slot.value, cost.tail)
        })
    }

    /// Hands up to `most` lanes of a lot on, along one path.
    fn free(&mut self, slot: usize, most: u32) {
        let path = self.path(self.index.slots[slot].cell as usize);
        let widths = path.iter().map(|(cell, taker)| self.width(*cell, *taker));
        let amount = widths.fold(most.min(self.lots.held[slot]), u32::min);
        self.lots.shrink(slot, amount);
        let mut whole = None;
        for &(cell, taker) in &path {
            match taker {
                Taker::Car => self.lots.unsell(cell, amount),
                Taker::Slot(slot) => {
                    let bid = self.index.slots[slot].bid as usize;
                    self.lots.grow(slot, amount);
                    self.lots.short[bid] -= amount;
                    whole = (self.lots.short[bid] == 0).then_some(bid);
                }
                Taker::Mover(lot) => {
                    if let Some(here) = self.index.sibling(lot, cell as u32) {
                        self.lots.grow(here, amount);
                        self.lots.shrink(lot, amount);
                    }
                }
            }
        }
        let cells: Vec<usize> = path.into_iter().map(|(cell, _)| cell).collect();
        match whole {
            Some(bid) => self.repair(&cells, bid),
            None => self.repair_after(&cells),
        }
    }

    /// After a bid is no longer short, and lanes of these cells went another way.
    fn repair(&mut self, cells: &[usize], bid: usize) {
        let of_bid = self.index.slots[self.index.slots_of(bid)].iter().map(|s| s.cell as usize);
        let cells: Vec<usize> = of_bid.chain(cells.iter().copied()).collect();
        self.repair_after(&cells);
    }

    fn repair_after(&mut self, cells: &[usize]) {
        cells.iter().for_each(|cell| self.update_exit(*cell));
        let mut relief = std::mem::replace(&mut self.relief, Reach { cost: vec![], via: vec![] });
        let ways = self.ways();
        // A lot that is no more closes the way of every cell to which it would have moved.
        let closed = |cell: &usize| relief.cost_now(*cell, ways) != relief.cost[*cell];
        let roots: Vec<usize> = (0..relief.cost.len()).filter(closed).collect();
        relief.repair(&roots, ways);
        self.relief = relief;
    }

    fn path(&mut self, mut cell: usize) -> Vec<(usize, Taker)> {
        let mut path = Vec::new();
        loop {
            match self.relief.via[cell] {
                Via::Cell(from) => {
                    path.push((cell, Taker::Mover(self.lots.mover(from as usize, cell))));
                    cell = from as usize;
                }
                Via::Exit => {
                    let waiting = self.first_waiting(cell);
                    let bid = waiting.filter(|_| self.exits[cell].tail != 0);
                    path.push((cell, bid.map_or(Taker::Car, Taker::Slot)));
                    return path;
                }
            }
        }
    }

    fn width(&self, cell: usize, taker: Taker) -> u32 {
        match taker {
            Taker::Car => self.lots.dearest_sold(cell).map_or(0, |(_, lanes)| lanes),
            Taker::Slot(slot) => self.lots.short[self.index.slots[slot].bid as usize],
            Taker::Mover(lot) => self.lots.held[lot],
        }
    }
}
