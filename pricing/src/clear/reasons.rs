//! Why a bid was left short, and the price that would have won one more lane.

use super::cost::Cost;
use super::flow::Flow;
use super::index::Index;
use super::limits::{Limits, Why};
use super::range::Range;
use crate::clearing::Reason;
use crate::price::{Price, least_price_worth};

pub(super) struct Reasons<'a, 'b, 'c, 'd> {
    index: &'a Index<'d>,
    flow: &'a mut Flow<'b>,
    /// Per cell and level, the lanes offered up to and with it.
    offered: Vec<Vec<u64>>,
    limits: &'a Limits<'c>,
    ranges: &'a [Range],
    /// Per cell.
    prices: &'a [Price],
}

impl<'a, 'b, 'c, 'd> Reasons<'a, 'b, 'c, 'd> {
    pub fn new(
        index: &'a Index<'d>,
        flow: &'a mut Flow<'b>,
        limits: &'a Limits<'c>,
        ranges: &'a [Range],
        prices: &'a [Price],
    ) -> Reasons<'a, 'b, 'c, 'd> {
        let running = |sum: &mut u64, lanes: u32| {
            *sum += u64::from(lanes);
            Some(*sum)
        };
        let offered = index.levels.iter();
        let offered = offered
            .map(|levels| levels.iter().map(|l| l.lanes).scan(0, running).collect())
            .collect();
        Reasons { index, flow, offered, limits, ranges, prices }
    }

    /// The reason of a bid that is short.
    pub fn of(&mut self, bid: usize) -> Reason {
        let slots = self.index.slots_of(bid);
        if slots.is_empty() {
            return Reason::NoSupply;
        }
        let held = u64::from(self.flow.lots.held_by(bid));
        match self.limits.why[bid] {
            _ if held == 0 && self.is_priced_out(bid) => {}
            Why::Unlimited => {}
            Why::MinFill => {
                return Reason::MinFill { would_win: self.limits.price_of_min_fill(bid) };
            }
            Why::Budget => return Reason::Budget { would_need: self.would_need(bid) },
            Why::ShareCap => return Reason::ShareCap,
        }
        let would_win = match held {
            0 => self.would_win(bid, &self.flow.reach.cost),
            // Few bids are short in part, about one a cell: this may cost a pass over the arcs.
            _ => {
                let cost = self.flow.reach_without(bid).cost;
                self.would_win(bid, &cost)
            }
        };
        match would_win {
            None => Reason::SoldOut,
            Some(would_win) if self.affordable(bid) > held => Reason::Outbid { would_win },
            Some(would_win) => Reason::PriceTooLow { would_win },
        }
    }

    /// Whether no supporting price is low enough for it, whatever its limit.
    fn is_priced_out(&self, bid: usize) -> bool {
        let mut slots = self.index.slots[self.index.slots_of(bid)].iter();
        slots.all(|slot| slot.value < self.ranges[slot.cell as usize].lo)
    }

    /// What it pays and the cheapest lane beside; or its min fill of such, if it holds none.
    fn would_need(&self, bid: usize) -> Price {
        let (held, cost) = self.flow.lots.cost_of(bid, self.prices);
        let slots = &self.index.slots[self.index.slots_of(bid)];
        let cheapest = slots.iter().map(|slot| self.prices[slot.cell as usize]).min().unwrap_or(0);
        let more = if held > 0 { 1 } else { self.index.bids[bid].min_fill.max(1) };
        let need = cost + i128::from(cheapest) * i128::from(more);
        Price::try_from(need).unwrap_or(Price::MAX)
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

    fn would_win(&self, bid: usize, cost: &[Cost]) -> Option<Price> {
        let slots = self.index.slots[self.index.slots_of(bid)].iter();
        let reachable = slots.filter(|slot| !cost[slot.cell as usize].is_never());
        let price = reachable.map(|slot| {
            let cost = cost[slot.cell as usize];
            let value = cost.value + Price::from(cost.displaces());
            least_price_worth(value, self.index.cells[slot.cell as usize].speed_ppm)
        });
        price.min()
    }
}
