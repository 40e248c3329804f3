//! Successive shortest paths over cells.
//!
//! The state is who holds how many lanes where. `reach` is, per cell, the least cost of making one
//! lane free there: by its next unsold lane, by displacing its weakest holder, or by moving a
//! holder on to another cell `d` and paying the reach of `d`. Following the choices leads to an
//! exit. A bid enters the cell where its surplus over `reach` is greatest, as long as that is worth
//! it.
//!
//! Why it is the optimum: `reach` is a feasible potential of the residual graph at every moment
//! (no choice in any cell is cheaper), and its first component is a supporting price vector, the
//! greatest one. It only ever rises: an entering bid picks its best cell, so the moves and the
//! displacement it newly allows are no cheaper than `reach`; the reverse of a move made is exactly
//! as dear. Hence a bid once refused or displaced never needs to be looked at again, and after an
//! augmentation only the cells whose choice has vanished, and those that have no other as cheap than
//! to lead there, are settled anew (by Dijkstra on the rises, which are never negative).
//!
//! Cost: an entry reads the bid's own cells; an augmentation that exhausts a level or moves the
//! last lane of a holder costs at most one pass over the arcs between near cells. A lot that comes
//! to be or ceases costs its bid's cells times a heap operation.

use std::cmp::Reverse;

use super::cost::Cost;
use super::index::Index;
use super::lots::Lots;
use super::reach::{Reach, Via, Ways};
use crate::price::Price;

/// One step of a path: what happens in a cell, to which lot (none where an unsold lane is taken).
struct Step {
    cell: usize,
    via: Via,
    lot: Option<usize>,
}

pub(super) struct Flow<'a> {
    index: &'a Index<'a>,
    pub lots: Lots<'a>,
    pub reach: Reach,
}

/// What a lane costs, where it can be had from an unsold lane, a holder or by a holder's move.
pub(super) fn upward<'b>(index: &'b Index, lots: &'b Lots) -> Ways<'b> {
    Ways { index, exits: &lots.exits, onward: &lots.gain, backward: &lots.gain_back }
}

impl<'a> Flow<'a> {
    /// The optimum for the bids with these limits.
    pub fn new(index: &'a Index<'a>, limits: &[u32]) -> Flow<'a> {
        let lots = Lots::new(index, limits);
        let via = vec![Via::Exit; lots.exits.len()];
        let reach = Reach { cost: lots.exits.clone(), via };
        let mut flow = Flow { index, lots, reach };
        (0..index.bids.len()).for_each(|bid| flow.enter(bid));
        flow
    }

    /// An optimum found otherwise, whose lanes are supported by these prices.
    pub fn supported(index: &'a Index<'a>, lots: Lots<'a>, prices: &[Price]) -> Flow<'a> {
        let reach = Reach { cost: Vec::new(), via: Vec::new() };
        let mut flow = Flow { index, lots, reach };
        flow.resettle(prices);
        flow
    }

    /// Finds the reach anew, after lots have changed that these prices support.
    pub fn resettle(&mut self, prices: &[Price]) {
        let below = prices.iter().map(|price| Cost::exit(*price, 0)).collect();
        self.reach = Reach::settled(below, upward(self.index, &self.lots));
    }

    /// What a lane would cost each cell if a bid held nothing: no cheaper than it does.
    pub fn reach_without(&mut self, bid: usize) -> Reach {
        let slots = self.index.slots_of(bid);
        let held: Vec<u32> = self.lots.held[slots.clone()].to_vec();
        slots.clone().zip(&held).for_each(|(slot, held)| self.lots.shrink(slot, *held));
        let mut reach = self.reach.clone();
        let ways = upward(self.index, &self.lots);
        let cells = self.index.slots[slots.clone()].iter().map(|slot| slot.cell as usize);
        let closed = |cell: &usize| reach.cost_now(*cell, ways) != reach.cost[*cell];
        let roots: Vec<usize> = cells.filter(closed).collect();
        reach.repair(&roots, ways);
        slots.zip(&held).for_each(|(slot, held)| self.lots.grow(slot, *held));
        reach
    }

    /// Where the way of a lane of `cell` ends, and at which lot, if it displaces one.
    pub fn exit_of(&self, mut cell: usize) -> (usize, Option<usize>) {
        while let Via::Cell(to) = self.reach.via[cell] {
            cell = to as usize;
        }
        (cell, self.displaced(cell))
    }

    fn displaced(&self, cell: usize) -> Option<usize> {
        self.lots.weakest(cell).filter(|_| self.lots.exits[cell].displaces())
    }

    /// Fills a bid as far as it is worth it, displacing and moving others where that is better.
    fn enter(&mut self, bid: usize) {
        while self.lots.short[bid] > 0 {
            let Some(slot) = self.best_slot(bid) else { return };
            self.augment(bid, slot);
        }
    }

    fn best_slot(&self, bid: usize) -> Option<usize> {
        let cost = |slot: usize| self.reach.cost[self.index.slots[slot].cell as usize];
        let value = |slot: usize| self.index.slots[slot].value;
        // The first of the best, as min_by_key gives.
        let surplus = |slot: &usize| {
            let cost = cost(*slot);
            (Reverse(value(*slot) - cost.value), cost.tail)
        };
        let best = self.index.slots_of(bid).min_by_key(surplus);
        best.filter(|&slot| cost(slot).is_worth(value(slot)))
    }

    fn augment(&mut self, bid: usize, slot: usize) {
        let path = self.path(self.index.slots[slot].cell as usize);
        let amount = path.iter().map(|step| self.width(step)).fold(self.lots.short[bid], u32::min);
        self.lots.short[bid] -= amount;
        self.lots.grow(slot, amount);
        for step in &path {
            match (step.via, step.lot) {
                (Via::Exit, None) => self.lots.sell(step.cell, amount),
                (Via::Exit, Some(lot)) => {
                    self.lots.shrink(lot, amount);
                    self.lots.short[self.index.slots[lot].bid as usize] += amount;
                }
                (Via::Cell(to), Some(lot)) => {
                    // A bid that moves to a cell accepts it, so there is a sibling.
                    if let Some(there) = self.index.sibling(lot, to) {
                        self.lots.grow(there, amount);
                        self.lots.shrink(lot, amount);
                    }
                }
                (Via::Cell(_), None) => {}
            }
        }
        let ways = upward(self.index, &self.lots);
        let closed = |cell: &usize| self.reach.cost_now(*cell, ways) != self.reach.cost[*cell];
        let roots: Vec<usize> = path.iter().map(|step| step.cell).filter(closed).collect();
        self.reach.repair(&roots, ways);
    }

    /// The choices from a cell to an exit. They strictly approach it, so no cell comes twice.
    fn path(&self, mut cell: usize) -> Vec<Step> {
        let mut path = Vec::new();
        loop {
            let via = self.reach.via[cell];
            match via {
                Via::Cell(to) => {
                    let lot = Some(self.lots.mover(cell, to as usize));
                    path.push(Step { cell, via, lot });
                    cell = to as usize;
                }
                Via::Exit => {
                    path.push(Step { cell, via, lot: self.displaced(cell) });
                    return path;
                }
            }
        }
    }

    /// How many lanes a step can carry.
    fn width(&self, step: &Step) -> u32 {
        step.lot.map_or_else(|| self.lots.unsold(step.cell), |lot| self.lots.held[lot])
    }
}
