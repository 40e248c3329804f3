//! Why a bid was left short, and the price that would have won one more lane.

use super::cost::Cost;
use super::flow::Flow;
use super::index::Index;
use crate::clearing::Reason;
use crate::price::{Price, least_price_worth};

pub(super) struct Reasons<'a> {
    index: &'a Index<'a>,
    flow: &'a Flow<'a>,
    /// Per cell and level, the lanes offered up to and with it.
    offered: Vec<Vec<u64>>,
}

impl<'a> Reasons<'a> {
    pub fn new(index: &'a Index<'a>, flow: &'a Flow<'a>) -> Reasons<'a> {
        let running = |sum: &mut u64, lanes: u32| {
            *sum += u64::from(lanes);
            Some(*sum)
        };
        let offered = index.levels.iter();
        let offered = offered
            .map(|levels| levels.iter().map(|l| l.lanes).scan(0, running).collect())
            .collect();
        Reasons { index, flow, offered }
    }

    /// The reason of a bid that is short.
    pub fn of(&self, bid: usize) -> Reason {
        let slots = self.index.slots_of(bid);
        if slots.is_empty() {
            return Reason::NoSupply;
        }
        let held: u64 = self.flow.held[slots].iter().map(|lanes| u64::from(*lanes)).sum();
        let would_win = match held {
            0 => self.would_win(bid, &self.flow.reach.cost),
            _ => self.would_win(bid, &self.cost_without(bid)),
        };
        match would_win {
            None => Reason::SoldOut,
            Some(would_win) if self.affordable(bid) > held => Reason::Outbid { would_win },
            Some(would_win) => Reason::PriceTooLow { would_win },
        }
    }

    /// Lanes of its cells that the bid would have got, had there been no other.
    fn affordable(&self, bid: usize) -> u64 {
        let slots = &self.index.slots[self.index.slots_of(bid)];
        let lanes = slots.iter().map(|slot| {
            let cell = slot.cell as usize;
            let levels = self.index.levels[cell].partition_point(|l| l.reserve <= slot.value);
            levels.checked_sub(1).map_or(0, |last| self.offered[cell][last])
        });
        lanes.sum()
    }

    /// What a lane costs a bid that holds some: it can neither displace nor usefully move itself.
    /// Few bids are short in part (about one a cell), so this may cost a pass over the arcs.
    fn cost_without(&self, bid: usize) -> Vec<Cost> {
        let mut reach = self.flow.reach.clone();
        let mut open = vec![true; reach.cost.len()];
        self.flow.settle(&mut reach, &mut open, Some(bid));
        reach.cost
    }

    fn would_win(&self, bid: usize, cost: &[Cost]) -> Option<Price> {
        let slots = self.index.slots[self.index.slots_of(bid)].iter();
        let reachable = slots.filter(|slot| cost[slot.cell as usize] != Cost::NEVER);
        let price = reachable.map(|slot| {
            let cost = cost[slot.cell as usize];
            let value = cost.value() + Price::from(cost.displaces());
            least_price_worth(value, self.index.cells[slot.cell as usize].speed_ppm)
        });
        price.min()
    }
}
