//! What many lanes at once would cost, cell by cell.

use super::index::Index;
use super::lots::Lots;
use crate::price::{Price, lane_value};

/// Per cell, what its lanes can be had for from whoever has them, cheapest first, each with the
/// lanes up to and with it: unsold ones for their reserve, held ones for a micro-unit more than
/// they are worth to the holder.
pub(super) struct Ladders<'a> {
    index: &'a Index<'a>,
    steps: Vec<Vec<(Price, u64)>>,
}

impl<'a> Ladders<'a> {
    pub fn of(index: &'a Index<'a>, lots: &Lots) -> Ladders<'a> {
        let mut steps: Vec<Vec<(Price, u64)>> =
            (0..index.cells.len()).map(|cell| lots.unsold_steps(cell)).collect();
        for (slot, &held) in index.slots.iter().zip(&lots.held).filter(|(_, held)| **held > 0) {
            steps[slot.cell as usize].push((slot.value + 1, u64::from(held)));
        }
        for steps in &mut steps {
            steps.sort_unstable();
            let mut sum = 0;
            steps.iter_mut().for_each(|(_, lanes)| {
                sum += *lanes;
                *lanes = sum;
            });
        }
        Ladders { index, steps }
    }

    /// The least price above a bid's own at which its cells have as many lanes as its min fill.
    pub fn price_of_min_fill(&self, bid: usize) -> Price {
        let slots = &self.index.slots[self.index.slots_of(bid)];
        let lanes = |price: Price| -> u64 {
            let within = slots.iter().map(|slot| {
                let cell = slot.cell as usize;
                let value = lane_value(price, self.index.cells[cell].speed_ppm);
                let steps = self.steps[cell].partition_point(|(step, _)| *step <= value);
                steps.checked_sub(1).map_or(0, |last| self.steps[cell][last].1)
            });
            within.sum()
        };
        let wants = u64::from(self.index.bids[bid].min_fill);
        let (mut under, mut enough) = (self.index.bids[bid].price, Price::MAX);
        while enough - under > 1 {
            let middle = under + (enough - under) / 2;
            if lanes(middle) >= wants { enough = middle } else { under = middle }
        }
        enough
    }
}
