//! Successive shortest paths over cells.
//!
//! The state is who holds how many lanes where. `reach[c]` is the least cost of making one lane
//! free in cell `c`: by its next unsold lane, by displacing its weakest holder, or by moving a
//! holder on to another cell `d` and paying `reach[d]` there. `via[c]` is the choice that attains
//! it; following the choices leads to an exit. A bid enters the cell where its surplus over
//! `reach` is greatest, as long as that is worth it.
//!
//! Why it is the optimum: `reach` is a feasible potential of the residual graph at every moment
//! (no choice in any cell is cheaper), and its first component is a supporting price vector, the
//! greatest one. It only ever rises: an entering bid picks its best cell, so the moves and the
//! displacement it newly allows are no cheaper than `reach`; the reverse of a move made is exactly
//! as dear. Hence a bid once refused or displaced never needs to be looked at again, and after an
//! augmentation only the cells whose choice has vanished, and those that lead there, are settled
//! anew (by Dijkstra on the rises, which are never negative).
//!
//! Cost: an entry reads the bid's own cells; an augmentation that exhausts a level or moves the
//! last lane of a holder costs at most one pass over the arcs between near cells. A lot that comes
//! to be or ceases costs its bid's cells times a heap operation.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::cost::Cost;
use super::index::Index;
use crate::book::Level;
use crate::price::Price;

/// The gain of an arc that nobody can take.
const NO_MOVE: Price = Price::MIN;

/// How one lane is made free in a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Via {
    Unsold,
    Displace,
    Move(u32),
}

/// One step of a path: what happens in a cell, to which lot (for `Unsold`: to none).
struct Step {
    cell: usize,
    via: Via,
    lot: usize,
}

/// Least costs of a lane in every cell, and how they are attained.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    pub cost: Vec<Cost>,
    via: Vec<Via>,
}

pub(super) struct Flow<'a> {
    index: &'a Index<'a>,
    /// Lanes held, per slot. A slot that holds some is a lot.
    pub held: Vec<u32>,
    /// Lanes wanted and not held, per bid.
    pub short: Vec<u32>,
    /// Per cell, the level of the next unsold lane and the lanes left in it.
    next: Vec<(usize, u32)>,
    /// Per cell, its lots, the worst rank on top: values follow rank, so that is the least value.
    /// Entries of lots that are no more stay inside, but never on top; so below.
    weakest: Vec<BinaryHeap<u32>>,
    /// Per arc, (gain, lot) of the lots that may take it.
    movers: Vec<BinaryHeap<(Price, u32)>>,
    /// Per arc, the gain on top.
    gain: Vec<Price>,
    pub reach: Reach,
}

impl<'a> Flow<'a> {
    /// Nobody holds anything yet, and each bid wants as many lanes as its limit.
    pub fn new(index: &'a Index<'a>, limits: &[u32]) -> Flow<'a> {
        let cells = index.cells.len();
        let mut flow = Flow {
            index,
            held: vec![0; index.slots.len()],
            short: limits.to_vec(),
            next: index.levels.iter().map(|levels| (0, levels[0].lanes)).collect(),
            weakest: vec![BinaryHeap::new(); cells],
            movers: vec![BinaryHeap::new(); index.arc_count],
            gain: vec![NO_MOVE; index.arc_count],
            reach: Reach { cost: vec![Cost::NEVER; cells], via: vec![Via::Unsold; cells] },
        };
        for c in 0..cells {
            flow.reach.cost[c] = flow.unsold(c);
        }
        flow
    }

    /// The reserve of the dearest lane sold of a cell.
    pub fn dearest_sold(&self, cell: usize) -> Option<Price> {
        let (level, left) = self.next[cell];
        let levels = &self.index.levels[cell];
        let in_part = levels.get(level).filter(|l| left < l.lanes);
        let whole = || level.checked_sub(1).map(|last| &levels[last]);
        in_part.or_else(whole).map(|level| level.reserve)
    }

    /// The reserve of the cheapest lane unsold of a cell.
    pub fn next_unsold(&self, cell: usize) -> Option<Price> {
        self.index.levels[cell].get(self.next[cell].0).map(|level| level.reserve)
    }

    /// Unsold lanes of a cell that ask for exactly `price`, if there is none that asks for less.
    pub fn unsold_at(&self, cell: usize, price: Price) -> u32 {
        if self.next_unsold(cell) == Some(price) { self.next[cell].1 } else { 0 }
    }

    /// Gives unsold lanes of the cheapest level to a bid, without regard to costs.
    pub fn add(&mut self, slot: usize, lanes: u32) {
        self.grow(slot, lanes);
        self.sell(self.index.slots[slot].cell as usize, lanes);
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

    /// What the lanes of a cell can be had for from whoever has them now, cheapest first, each with
    /// the lanes up to and with it: unsold ones for their reserve, held ones for a micro-unit more
    /// than they are worth to the holder.
    pub fn ladder(&self, cell: usize) -> Vec<(Price, u64)> {
        let (next, left) = self.next[cell];
        let levels = &self.index.levels[cell];
        let unsold = levels.iter().enumerate().skip(next);
        let mut steps: Vec<(Price, u64)> = unsold
            .map(|(l, level)| (level.reserve, if l == next { left } else { level.lanes }))
            .map(|(reserve, lanes)| (reserve, u64::from(lanes)))
            .collect();
        let mut lots: Vec<usize> = self.weakest[cell].iter().map(|lot| *lot as usize).collect();
        lots.sort_unstable();
        lots.dedup();
        let lots = lots.into_iter().map(|l| (self.index.slots[l].value + 1, self.held[l].into()));
        steps.extend(lots);
        steps.sort_unstable();
        let mut sum = 0;
        steps.iter_mut().for_each(|(_, lanes)| {
            sum += *lanes;
            *lanes = sum;
        });
        steps
    }

    /// Where the way of a lane of `cell` ends, and how: at which lot, if it displaces one.
    pub fn exit_of(&self, mut cell: usize) -> (usize, Via, Option<usize>) {
        while let Via::Move(to) = self.reach.via[cell] {
            cell = to as usize;
        }
        let lot = self.weakest[cell].peek().map(|lot| *lot as usize);
        (cell, self.reach.via[cell], lot)
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

    /// The gain of the best move from one cell to a near one.
    pub fn best_move(&self, from: usize, to: usize) -> Option<Price> {
        let gain = self.gain[self.index.arc(from, to)];
        (gain != NO_MOVE).then_some(gain)
    }

    /// Fills a bid as far as it is worth it, displacing and moving others where that is better.
    pub fn enter(&mut self, bid: usize) {
        while self.short[bid] > 0 {
            let Some(slot) = self.best_slot(bid) else { return };
            self.augment(bid, slot);
        }
    }

    fn best_slot(&self, bid: usize) -> Option<usize> {
        let cost = |slot: usize| self.reach.cost[self.index.slots[slot].cell as usize];
        let value = |slot: usize| self.index.slots[slot].value;
        // The first of the best: max_by_key would give the last.
        let best = self.index.slots_of(bid).min_by_key(|&s| Reverse(cost(s).surplus_of(value(s))));
        best.filter(|&slot| cost(slot).is_worth(value(slot)))
    }

    fn augment(&mut self, bid: usize, slot: usize) {
        let path = self.path(self.index.slots[slot].cell as usize);
        let amount = path.iter().map(|step| self.width(step)).fold(self.short[bid], u32::min);
        self.short[bid] -= amount;
        self.grow(slot, amount);
        for step in &path {
            match step.via {
                Via::Unsold => self.sell(step.cell, amount),
                Via::Displace => {
                    self.shrink(step.lot, amount);
                    self.short[self.index.slots[step.lot].bid as usize] += amount;
                }
                Via::Move(to) => {
                    // A bid that moves to a cell accepts it, so there is a sibling.
                    if let Some(there) = self.index.sibling(step.lot, to) {
                        self.grow(there, amount);
                        self.shrink(step.lot, amount);
                    }
                }
            }
        }
        self.repair(&path);
    }

    /// The choices from a cell to an exit. They strictly approach it, so no cell comes twice.
    fn path(&self, mut cell: usize) -> Vec<Step> {
        let mut path = Vec::new();
        loop {
            let via = self.reach.via[cell];
            let lot = match via {
                Via::Unsold => 0,
                Via::Displace => self.weakest[cell].peek().map_or(0, |lot| *lot as usize),
                Via::Move(to) => {
                    let arc = self.index.arc(cell, to as usize);
                    self.movers[arc].peek().map_or(0, |(_, lot)| *lot as usize)
                }
            };
            path.push(Step { cell, via, lot });
            match via {
                Via::Move(to) => cell = to as usize,
                Via::Unsold | Via::Displace => return path,
            }
        }
    }

    /// How many lanes a step can carry.
    fn width(&self, step: &Step) -> u32 {
        match step.via {
            Via::Unsold => self.next[step.cell].1,
            Via::Displace | Via::Move(_) => self.held[step.lot],
        }
    }

    fn sell(&mut self, cell: usize, amount: u32) {
        let (level, left) = &mut self.next[cell];
        *left -= amount;
        if *left == 0 {
            *level += 1;
            *left = self.index.levels[cell].get(*level).map_or(0, |l| l.lanes);
        }
    }

    fn grow(&mut self, slot: usize, amount: u32) {
        if self.held[slot] == 0 {
            let here = &self.index.slots[slot];
            self.weakest[here.cell as usize].push(slot as u32);
            for other in self.index.slots_of(here.bid as usize).filter(|o| *o != slot) {
                let there = &self.index.slots[other];
                let arc = self.index.arc(here.cell as usize, there.cell as usize);
                let gain = there.value - here.value;
                self.movers[arc].push((gain, slot as u32));
                self.gain[arc] = self.gain[arc].max(gain);
            }
        }
        self.held[slot] += amount;
    }

    fn shrink(&mut self, slot: usize, amount: u32) {
        self.held[slot] -= amount;
        if self.held[slot] > 0 {
            return;
        }
        let held = &self.held;
        let here = &self.index.slots[slot];
        let cell = here.cell as usize;
        drop_ceased(&mut self.weakest[cell], |lot| held[*lot as usize] > 0);
        for other in self.index.slots_of(here.bid as usize).filter(|o| *o != slot) {
            let arc = self.index.arc(cell, self.index.slots[other].cell as usize);
            drop_ceased(&mut self.movers[arc], |(_, lot)| held[*lot as usize] > 0);
            self.gain[arc] = self.movers[arc].peek().map_or(NO_MOVE, |(gain, _)| *gain);
        }
    }

    /// Settles the cells whose way to an exit an augmentation has closed.
    fn repair(&mut self, path: &[Step]) {
        let closed =
            |step: &&Step| self.cost_via(step.cell, step.via) != self.reach.cost[step.cell];
        let roots: Vec<usize> = path.iter().filter(closed).map(|step| step.cell).collect();
        if roots.is_empty() {
            return;
        }
        let mut open = self.leading_to(&roots);
        let mut reach =
            std::mem::replace(&mut self.reach, Reach { cost: Vec::new(), via: Vec::new() });
        self.settle(&mut reach, &mut open, None);
        self.reach = reach;
    }

    fn cost_via(&self, cell: usize, via: Via) -> Cost {
        match via {
            Via::Unsold => self.unsold(cell),
            Via::Displace => self.displace(cell, None),
            Via::Move(to) => self.step(cell, to as usize, self.reach.cost[to as usize], None),
        }
    }

    /// The cells whose choices lead through one of `roots`.
    fn leading_to(&self, roots: &[usize]) -> Vec<bool> {
        let mut known: Vec<Option<bool>> = vec![None; self.reach.via.len()];
        roots.iter().for_each(|root| known[*root] = Some(true));
        let mut walked = Vec::new();
        for start in 0..known.len() {
            let mut cell = start;
            let leads = loop {
                if let Some(leads) = known[cell] {
                    break leads;
                }
                walked.push(cell);
                match self.reach.via[cell] {
                    Via::Move(to) => cell = to as usize,
                    Via::Unsold | Via::Displace => break false,
                }
            };
            walked.drain(..).for_each(|cell| known[cell] = Some(leads));
        }
        known.into_iter().map(|leads| leads == Some(true)).collect()
    }

    /// Computes all costs anew, from prices that support what is held: no cost is below those.
    pub fn settle_above(&mut self, prices: &[Price]) {
        let cost = prices.iter().map(|price| Cost::exit(*price, 0)).collect();
        let mut reach = Reach { cost, via: vec![Via::Unsold; prices.len()] };
        self.settle(&mut reach, &mut vec![true; prices.len()], None);
        self.reach = reach;
    }

    /// Computes the costs of the open cells anew, given that they can only have risen, without the
    /// lots of the bid `skip`. Dijkstra, ordered by the rise.
    pub fn settle(&self, reach: &mut Reach, open: &mut [bool], skip: Option<usize>) {
        let mut found = vec![(Cost::NEVER, Via::Unsold); open.len()];
        let mut queue = BinaryHeap::new();
        for cell in (0..open.len()).filter(|cell| open[*cell]) {
            let mut best = (self.unsold(cell), Via::Unsold);
            better(&mut best, self.displace(cell, skip), Via::Displace);
            for &to in self.index.near[cell].iter().filter(|to| !open[**to as usize]) {
                let cost = self.step(cell, to as usize, reach.cost[to as usize], skip);
                better(&mut best, cost, Via::Move(to));
            }
            found[cell] = best;
            queue.push(Reverse((best.0.above(reach.cost[cell]), cell)));
        }
        while let Some(Reverse((_, cell))) = queue.pop() {
            if !open[cell] {
                continue;
            }
            open[cell] = false;
            (reach.cost[cell], reach.via[cell]) = found[cell];
            for &from in self.index.near[cell].iter().filter(|from| open[**from as usize]) {
                let from = from as usize;
                let cost = self.step(from, cell, found[cell].0, skip);
                if better(&mut found[from], cost, Via::Move(cell as u32)) {
                    queue.push(Reverse((cost.above(reach.cost[from]), from)));
                }
            }
        }
    }

    fn unsold(&self, cell: usize) -> Cost {
        let level = self.index.levels[cell].get(self.next[cell].0);
        level.map_or(Cost::NEVER, |level| Cost::exit(level.reserve, 0))
    }

    fn displace(&self, cell: usize, skip: Option<usize>) -> Cost {
        let top = self.weakest[cell].peek().copied();
        let lot = match top {
            Some(lot) if self.is_of(lot, skip) => {
                self.weakest[cell].iter().copied().filter(|l| self.counts(*l, skip)).max()
            }
            top => top,
        };
        let ranks = self.index.bids.len() as u32;
        lot.map(|lot| &self.index.slots[lot as usize])
            .map_or(Cost::NEVER, |slot| Cost::exit(slot.value, ranks - slot.bid))
    }

    /// The cost in `from` by the best move to `to`, where a lane costs `cost`.
    fn step(&self, from: usize, to: usize, cost: Cost, skip: Option<usize>) -> Cost {
        let arc = self.index.arc(from, to);
        let mut gain = self.gain[arc];
        if self.movers[arc].peek().is_some_and(|(_, lot)| self.is_of(*lot, skip)) {
            let others = self.movers[arc].iter().filter(|(_, lot)| self.counts(*lot, skip));
            gain = others.map(|(gain, _)| *gain).max().unwrap_or(NO_MOVE);
        }
        if gain == NO_MOVE || cost == Cost::NEVER { Cost::NEVER } else { cost.before_move(gain) }
    }

    fn is_of(&self, lot: u32, bid: Option<usize>) -> bool {
        bid.is_some_and(|bid| self.index.slots[lot as usize].bid as usize == bid)
    }

    fn counts(&self, lot: u32, skip: Option<usize>) -> bool {
        self.held[lot as usize] > 0 && !self.is_of(lot, skip)
    }
}

/// Keeps the cheaper way; of two equal ones the first.
fn better(best: &mut (Cost, Via), cost: Cost, via: Via) -> bool {
    let is_better = cost < best.0;
    if is_better {
        *best = (cost, via);
    }
    is_better
}

fn drop_ceased<T: Ord>(heap: &mut BinaryHeap<T>, is_lot: impl Fn(&T) -> bool) {
    while heap.peek().is_some_and(|top| !is_lot(top)) {
        heap.pop();
    }
}
