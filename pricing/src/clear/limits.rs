//! What each bid may hold at most, and why less than it wants: the part of the mechanism that is
//! not convex, by limits that only ever shrink.

use std::collections::HashMap;

use super::index::Index;
use super::ladder::Ladders;
use super::lots::Lots;
use crate::book::{Bid, Book};
use crate::price::Price;

/// Why a bid's limit is under the lanes it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Unlimited,
    MinFill,
    Budget,
    ShareCap,
}

/// Rounds in which only the worse half of the violators is rejected, and a budget's limit follows
/// the prices. Later rounds reject all, set limits that hold at any
/// price, and after as many again reject those that hold nothing too, so that it soon ends.
const GENTLE_ROUNDS: u32 = 48;

pub(super) struct Limits<'a> {
    index: &'a Index<'a>,
    /// Lanes per bid.
    pub lanes: Vec<u32>,
    pub why: Vec<Why>,
    /// Bids with a min fill above 1, by rank.
    lumpy: Vec<usize>,
    /// Bids with a budget, by rank.
    budgeted: Vec<usize>,
    /// Lanes and bids by rank, per cap, by customer.
    groups: Vec<(u64, Vec<usize>)>,
    /// Whether a bid's customer has a cap.
    capped: Vec<bool>,
    round: u32,
    /// As all was before any limit; none if no bid has a min fill.
    unlimited: Option<Ladders<'a>>,
}

impl<'a> Limits<'a> {
    pub fn new(book: &Book, index: &'a Index<'a>) -> Limits<'a> {
        let those = |is: fn(&Bid) -> bool| {
            let bids = index.bids.iter().enumerate();
            bids.filter(|(_, bid)| is(bid)).map(|(b, _)| b).collect()
        };
        let groups = groups(book, index);
        let mut capped = vec![false; index.bids.len()];
        groups.iter().flat_map(|(_, bids)| bids).for_each(|bid| capped[*bid] = true);
        Limits {
            lanes: index.bids.iter().map(|bid| bid.lanes).collect(),
            why: vec![Why::Unlimited; index.bids.len()],
            lumpy: those(|bid| bid.min_fill > 1),
            budgeted: those(|bid| bid.budget.is_some()),
            groups,
            capped,
            round: 0,
            unlimited: None,
            index,
        }
    }

    /// Whether any bid can ever be limited.
    pub fn none(&self) -> bool {
        self.lumpy.is_empty() && self.budgeted.is_empty() && self.groups.is_empty()
    }

    /// Remembers how all is before any limit.
    pub fn look_at(&mut self, lots: &Lots) {
        self.unlimited = (!self.lumpy.is_empty()).then(|| Ladders::of(self.index, lots));
    }

    /// The price at which a rejected bid would have had its min fill.
    pub fn price_of_min_fill(&self, bid: usize) -> Price {
        self.unlimited.as_ref().map_or(Price::MAX, |ladders| ladders.price_of_min_fill(bid))
    }

    /// Lowers the limits of bids that hold what they must not at these prices (per cell): caps; if those hold, budgets; if
    /// those hold, min fills. Returns the bids concerned; none if all is well.
    pub fn shrink(&mut self, lots: &Lots, prices: &[Price]) -> Vec<usize> {
        self.round += 1;
        let mut shrunk = self.shrink_to_caps(lots);
        if shrunk.is_empty() {
            shrunk = self.shrink_to_budgets(lots, prices);
        }
        if shrunk.is_empty() {
            shrunk = self.reject(lots);
        }
        shrunk
    }

    fn set(&mut self, bid: usize, lanes: u32, why: Why) {
        self.lanes[bid] = if lanes < self.index.bids[bid].min_fill { 0 } else { lanes };
        self.why[bid] = why;
    }

    /// A customer above its cap keeps what its best-ranked bids hold, up to the cap, and no bid of
    /// its may win more: so that it never comes here twice.
    fn shrink_to_caps(&mut self, lots: &Lots) -> Vec<usize> {
        let mut shrunk = Vec::new();
        for (cap, bids) in std::mem::take(&mut self.groups) {
            let held = |bid: usize| u64::from(lots.held_by(bid));
            if bids.iter().map(|bid| held(*bid)).sum::<u64>() <= cap {
                self.groups.push((cap, bids));
                continue;
            }
            let mut left = cap;
            for bid in bids {
                let lanes = held(bid).min(left);
                left -= lanes;
                if lanes < u64::from(self.lanes[bid]) {
                    // Fits: it is less than the limit.
                    self.set(bid, lanes as u32, Why::ShareCap);
                    shrunk.push(bid);
                }
            }
        }
        shrunk
    }

    fn shrink_to_budgets(&mut self, lots: &Lots, prices: &[Price]) -> Vec<usize> {
        let mut shrunk = Vec::new();
        for at in 0..self.budgeted.len() {
            let bid = self.budgeted[at];
            let Some(budget) = self.index.bids[bid].budget else { continue };
            let (held, cost) = lots.cost_of(bid, prices);
            if cost > i128::from(budget) {
                let lanes = match self.round {
                    ..=GENTLE_ROUNDS => i128::from(held) * i128::from(budget) / cost,
                    // It never pays more than its value.
                    _ => i128::from(budget) / i128::from(self.dearest_value(bid)),
                };
                // Fits: it is less than what it holds.
                self.set(bid, lanes as u32, Why::Budget);
                shrunk.push(bid);
            }
        }
        shrunk
    }

    fn dearest_value(&self, bid: usize) -> Price {
        let slots = &self.index.slots[self.index.slots_of(bid)];
        slots.iter().map(|slot| slot.value).max().unwrap_or(1).max(1)
    }

    /// Rejects the worse-ranked half of the bids that hold less than their min fill.
    fn reject(&mut self, lots: &Lots) -> Vec<usize> {
        let fewest = u32::from(self.round <= 2 * GENTLE_ROUNDS);
        let fails = |bid: &usize| {
            self.lanes[*bid] > 0
                && (fewest..self.index.bids[*bid].min_fill).contains(&lots.held_by(*bid))
        };
        let mut failing: Vec<usize> = self.lumpy.iter().copied().filter(fails).collect();
        if self.round <= GENTLE_ROUNDS {
            failing.drain(..failing.len() / 2);
        }
        for &bid in &failing {
            self.set(bid, 0, Why::MinFill);
        }
        failing
    }

    /// Serves bids that were rejected whole from unsold lanes that ask for no more than the price,
    /// in the cells that suit them best, by rank: nothing changes for anybody else, nor do prices.
    /// Returns whether any was served.
    pub fn top_up(&mut self, lots: &mut Lots, prices: &[Price]) -> bool {
        let mut served = false;
        for at in 0..self.lumpy.len() {
            let bid = self.lumpy[at];
            if self.why[bid] != Why::MinFill || lots.held_by(bid) > 0 {
                continue;
            }
            let Bid { lanes, min_fill, budget, .. } = *self.index.bids[bid];
            // A budget or a cap would have to be kept as well: such a bid stays rejected.
            if budget.is_some() || self.capped[bid] {
                continue;
            }
            let slots = best_slots(self.index, bid, prices);
            let left = |slot: usize| {
                let cell = self.index.slots[slot].cell as usize;
                lots.unsold_at(cell, prices[cell])
            };
            let left: Vec<(usize, u32)> = slots.into_iter().map(|s| (s, left(s))).collect();
            let total: u64 = left.iter().map(|(_, n)| u64::from(*n)).sum();
            if total < u64::from(min_fill) {
                continue;
            }
            let mut wants = lanes;
            for (slot, left) in left {
                let lanes = left.min(wants);
                wants -= lanes;
                if lanes > 0 {
                    lots.add(slot, lanes);
                }
            }
            self.lanes[bid] = lanes - wants;
            served = true;
        }
        served
    }
}

/// The slots where a lane leaves a bid most, if that is not less than nothing.
fn best_slots(index: &Index, bid: usize, prices: &[Price]) -> Vec<usize> {
    let gain = |slot: usize| index.slots[slot].value - prices[index.slots[slot].cell as usize];
    let best = index.slots_of(bid).map(gain).max().filter(|gain| *gain >= 0);
    index.slots_of(bid).filter(|slot| Some(gain(*slot)) == best).collect()
}

fn groups(book: &Book, index: &Index) -> Vec<(u64, Vec<usize>)> {
    let mut caps: Vec<(u128, u64)> =
        book.caps.iter().map(|cap| (cap.customer, u64::from(cap.lanes))).collect();
    if caps.is_empty() {
        return Vec::new();
    }
    caps.sort_unstable();
    let mut bids: HashMap<u128, Vec<usize>> = HashMap::new();
    for (b, bid) in index.bids.iter().enumerate() {
        if let Some(customer) = bid.customer {
            bids.entry(customer).or_default().push(b);
        }
    }
    let with_bids = caps.into_iter().map(|(customer, cap)| (cap, bids.remove(&customer)));
    with_bids.filter_map(|(cap, bids)| bids.map(|bids| (cap, bids))).collect()
}
