//! Least costs over cells: a shortest-path forest whose costs only ever rise.

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
/// going on, per pair of cells: the row is the cell where the cost arises (`onward`), or the cell
/// gone on to (`backward`).
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
        let open = vec![true; reach.cost.len()];
        reach.settle(&open, ways);
        reach
    }

    /// What the way chosen in a cell costs now.
    pub fn cost_now(&self, cell: usize, ways: Ways) -> Cost {
        match self.via[cell] {
            Via::Exit => ways.exits[cell],
            Via::Cell(to) => {
                let gain = ways.onward[cell * self.via.len() + to as usize];
                let cost = self.cost[to as usize];
                let is_open = gain != NO_MOVE && !cost.is_never();
                if is_open { cost.before_move(gain) } else { Cost::NEVER }
            }
        }
    }

    /// Settles anew the given cells, whose ways are no more, and those that have no other way of
    /// the same cost than through them.
    pub fn repair(&mut self, closed: &[usize], ways: Ways) {
        if !closed.is_empty() {
            let open = self.affected(closed, ways);
            self.settle(&open, ways);
        }
    }

    /// The cells whose costs rise when these ways are closed; the others are given ways that are
    /// left, of the same cost (as Ramalingam and Reps 1996). There are mostly such: equal classes
    /// make for many ways to the same lane. A way of the same cost goes to a cell with one move
    /// less, so that is decided before, and the only kind to look at.
    fn affected(&mut self, closed: &[usize], ways: Ways) -> Vec<bool> {
        let (by_moves, first) = self.by_moves();
        let mut is_closed = vec![false; self.via.len()];
        closed.iter().for_each(|cell| is_closed[*cell] = true);
        let mut affected = vec![false; self.via.len()];
        for &cell in &by_moves {
            let cell = cell as usize;
            let leads_there = matches!(self.via[cell], Via::Cell(to) if affected[to as usize]);
            if !is_closed[cell] && !leads_there {
                continue;
            }
            let moves = self.cost[cell].moves() as usize;
            let nearer = &by_moves[first[moves.saturating_sub(1)]..first[moves]];
            match self.another(cell, nearer, &affected, ways) {
                Some(via) => self.via[cell] = via,
                None => affected[cell] = true,
            }
        }
        affected
    }

    /// The cells by the moves on their ways, and where those of each number begin.
    fn by_moves(&self) -> (Vec<u32>, Vec<usize>) {
        let moves = |cost: &Cost| cost.moves() as usize;
        let most = self.cost.iter().map(moves).max().unwrap_or(0);
        let mut first = vec![0; most + 2];
        self.cost.iter().for_each(|cost| first[moves(cost) + 1] += 1);
        (1..first.len()).for_each(|at| first[at] += first[at - 1]);
        let (mut next, mut sorted) = (first.clone(), vec![0; self.cost.len()]);
        for (cost, cell) in self.cost.iter().zip(0..) {
            let next = &mut next[moves(cost)];
            sorted[*next] = cell;
            *next += 1;
        }
        (sorted, first)
    }

    /// A way of the same cost as the present one, not through an affected cell.
    fn another(&self, cell: usize, nearer: &[u32], affected: &[bool], ways: Ways) -> Option<Via> {
        let (n, cost) = (affected.len(), self.cost[cell]);
        if ways.exits[cell] == cost || cost.is_never() {
            return Some(Via::Exit);
        }
        let gains = &ways.onward[cell * n..][..n];
        let is_another = |to: &&u32| {
            let (there, gain) = (self.cost[**to as usize], gains[**to as usize]);
            there.value - gain == cost.value
                && !affected[**to as usize]
                && there.before_move(gain) == cost
        };
        nearer.iter().find(is_another).map(|to| Via::Cell(*to))
    }

    /// Computes the costs of the open cells anew, given that they can only have risen. Dijkstra,
    /// ordered by the rise, without a heap: most pairs of cells are near, so that each settled cell
    /// looks at all that are left anyway.
    fn settle(&mut self, open: &[bool], ways: Ways) {
        let mut left = self.entered(open, ways);
        let n = open.len();
        let mut least = least_rise(&left);
        while least < left.len() {
            let Pending { cell, found, via, .. } = left.swap_remove(least);
            let cell = cell as usize;
            self.via[cell] = via;
            least = 0;
            if found.is_never() {
                least = least_rise(&left);
                continue;
            }
            self.cost[cell] = found;
            let gains = &ways.backward[cell * n..][..n];
            let mut least_rise = (i64::MAX, i64::MAX);
            for (at, pending) in left.iter_mut().enumerate() {
                pending.offer(found, gains[pending.cell as usize], cell as u32);
                if pending.rise < least_rise {
                    (least, least_rise) = (at, pending.rise);
                }
            }
        }
    }

    /// The open cells, with the best that their exits and the other cells offer. Until it is known
    /// again, the cost of an open cell is never.
    fn entered(&mut self, open: &[bool], ways: Ways) -> Vec<Pending> {
        let n = open.len();
        let mut left = Vec::new();
        for (cell, _) in open.iter().enumerate().filter(|(_, is_open)| **is_open) {
            let before = std::mem::replace(&mut self.cost[cell], Cost::NEVER);
            let found = ways.exits[cell];
            let rise = found.above(before);
            left.push(Pending { cell: cell as u32, before, found, via: Via::Exit, rise });
        }
        for pending in &mut left {
            let gains = &ways.onward[pending.cell as usize * n..][..n];
            let near = ways.index.near(pending.cell as usize);
            if near.len() < n / 4 {
                for &to in near {
                    pending.offer(self.cost[to as usize], gains[to as usize], to);
                }
            } else {
                for (to, (&cost, &gain)) in (0..).zip(self.cost.iter().zip(gains)) {
                    pending.offer(cost, gain, to);
                }
            }
        }
        left
    }
}

/// A cell whose cost is about to be found.
struct Pending {
    cell: u32,
    before: Cost,
    /// The least found so far, how, and how far it is above what was before.
    found: Cost,
    via: Via,
    rise: Rise,
}

impl Pending {
    /// The way by another cell at that cost, if the move gains so much.
    fn offer(&mut self, cost: Cost, gain: Price, by: u32) {
        // Nearly always decided by the value alone.
        if cost.value - gain <= self.found.value && cost.before_move(gain) < self.found {
            self.found = cost.before_move(gain);
            (self.via, self.rise) = (Via::Cell(by), self.found.above(self.before));
        }
    }
}

/// The position of the first of the least risen; 0 if there is none.
fn least_rise(left: &[Pending]) -> usize {
    let least = left.iter().enumerate().min_by_key(|(_, pending)| pending.rise);
    least.map_or(0, |(at, _)| at)
}
