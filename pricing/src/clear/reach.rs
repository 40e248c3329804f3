//! Least costs over cells: a shortest-path forest whose costs only ever rise.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::cost::{Cost, Rise};
use super::index::Index;
use crate::price::Price;

/// The gain of an arc that nobody can take: no cost survives it.
pub(super) const NO_MOVE: Price = -(1 << 60);

/// How the least cost in a cell is attained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Via {
    /// In the cell itself.
    Exit,
    /// By way of a near cell.
    Cell(u32),
}

/// Least costs in every cell, and how they are attained.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    pub cost: Vec<Cost>,
    pub via: Vec<Via>,
}

/// The graph in one of its two directions: what a cell costs by itself, and what is gained by
/// going on, per arc from the cell where the cost arises and per arc from the cell gone on to.
#[derive(Clone, Copy)]
pub(super) struct Ways<'a> {
    pub index: &'a Index<'a>,
    pub exits: &'a [Cost],
    pub onward: &'a [Price],
    pub backward: &'a [Price],
}

impl Reach {
    /// All costs anew; `below` is under each of them and consistent, as potentials must be.
    pub fn settled(below: Vec<Cost>, ways: Ways) -> Reach {
        let mut reach = Reach { via: vec![Via::Exit; below.len()], cost: below };
        let mut open = vec![true; reach.cost.len()];
        reach.settle(&mut open, ways);
        reach
    }

    /// What the way chosen in a cell costs now.
    pub fn cost_now(&self, cell: usize, ways: Ways) -> Cost {
        match self.via[cell] {
            Via::Exit => ways.exits[cell],
            Via::Cell(to) => {
                let gain = ways.onward[ways.index.arc(cell, to as usize)];
                let cost = self.cost[to as usize];
                let is_open = gain != NO_MOVE && !cost.is_never();
                if is_open { cost.before_move(gain) } else { Cost::NEVER }
            }
        }
    }

    /// Settles anew the given cells and those whose way leads through them.
    pub fn repair(&mut self, roots: &[usize], ways: Ways) {
        if !roots.is_empty() {
            let mut open = self.leading_to(roots);
            self.settle(&mut open, ways);
        }
    }

    /// The cells whose ways lead through one of `roots`.
    fn leading_to(&self, roots: &[usize]) -> Vec<bool> {
        let mut known: Vec<Option<bool>> = vec![None; self.via.len()];
        roots.iter().for_each(|root| known[*root] = Some(true));
        let mut walked = Vec::new();
        for start in 0..known.len() {
            let mut cell = start;
            let leads = loop {
                if let Some(leads) = known[cell] {
                    break leads;
                }
                walked.push(cell);
                match self.via[cell] {
                    Via::Cell(to) => cell = to as usize,
                    Via::Exit => break false,
                }
            };
            walked.drain(..).for_each(|cell| known[cell] = Some(leads));
        }
        known.into_iter().map(|leads| leads == Some(true)).collect()
    }

    /// Computes the costs of the open cells anew, given that they can only have risen. Dijkstra,
    /// ordered by the rise.
    fn settle(&mut self, open: &mut [bool], ways: Ways) {
        let cells: Vec<usize> = (0..open.len()).filter(|cell| open[*cell]).collect();
        let before: Vec<Cost> = cells.iter().map(|cell| self.cost[*cell]).collect();
        // Until it is known again, an open cell leads nowhere.
        cells.iter().for_each(|cell| self.cost[*cell] = Cost::NEVER);
        let mut queue: BinaryHeap<Reverse<(Rise, usize)>> = BinaryHeap::new();
        let mut found = vec![(Cost::NEVER, Via::Exit); cells.len()];
        let mut place = vec![0_u32; open.len()];
        for (at, &cell) in cells.iter().enumerate() {
            place[cell] = at as u32;
            let mut best = (ways.exits[cell], Via::Exit);
            let arcs = ways.index.arcs_from(cell);
            for (&to, &gain) in ways.index.near(cell).iter().zip(&ways.onward[arcs]) {
                let cost = self.cost[to as usize];
                // Nearly always decided by the value alone.
                if cost.value - gain <= best.0.value && cost.before_move(gain) < best.0 {
                    best = (cost.before_move(gain), Via::Cell(to));
                }
            }
            found[at] = best;
            queue.push(Reverse((best.0.above(before[at]), at)));
        }
        while let Some(Reverse((_, at))) = queue.pop() {
            let cell = cells[at];
            if !std::mem::replace(&mut open[cell], false) {
                continue;
            }
            let (cost, via) = found[at];
            (self.cost[cell], self.via[cell]) = (cost, via);
            if cost.is_never() {
                self.cost[cell] = Cost::NEVER;
                continue;
            }
            let arcs = ways.index.arcs_from(cell);
            for (&from, &gain) in ways.index.near(cell).iter().zip(&ways.backward[arcs]) {
                if !open[from as usize] {
                    continue;
                }
                let there = place[from as usize] as usize;
                let cost = cost.before_move(gain);
                if cost < found[there].0 {
                    found[there] = (cost, Via::Cell(cell as u32));
                    queue.push(Reverse((cost.above(before[there]), there)));
                }
            }
        }
    }
}
