//! Seeded books.

use super::{Case, Family, Shape};
use crate::book::{Bid, Book, Cell, Level};
use crate::price::{Price, lane_value};

/// Cells in a region: one hw3, three hw4, one ai5.
const SPEEDS: [u32; 5] = [288_000, 1_000_000, 1_000_000, 1_000_000, 2_500_000];

/// SplitMix64: small, seedable, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From `low` to `high`, both possible.
    fn within(&mut self, low: u32, high: u32) -> u32 {
        low + (self.next() % u64::from(high - low + 1)) as u32
    }
}

/// Reserves from 0.04 to 0.19 an hw4-hour, bids from 0.03 to 0.25 for 1 to 40 lanes; together the
/// bids want about as many lanes as there are.
pub(super) fn book(case: &Case) -> Book {
    let mut random = Random(u64::from(case.bids));
    let step = 150_000 / Price::from(case.levels);
    let places = u64::from(case.cells) * u64::from(case.levels);
    let most = (u64::from(case.bids) * 40 / places).clamp(1, 1_000_000) as u32;
    let cell = |id: u32, random: &mut Random| {
        let speed_ppm = SPEEDS[id as usize % SPEEDS.len()];
        let levels = (0..case.levels).map(|l| Level {
            reserve: lane_value(40_000 + Price::from(l) * step, speed_ppm) / 100 * 100,
            lanes: random.within(1, most),
        });
        Cell { id, speed_ppm, levels: levels.collect() }
    };
    let cells = (0..case.cells).map(|id| cell(id, &mut random)).collect();
    let mut bid = |id: u32| {
        let bid = Bid {
            id: id.into(),
            time: random.within(0, 1_000).into(),
            price: random.within(30_000, 250_000).into(),
            lanes: random.within(1, 40),
            cells: accepted(case, &mut random),
            ..Bid::default()
        };
        conditions(case.family, bid)
    };
    let bids = (0..case.bids).map(&mut bid).collect();
    Book { grid: 100, cells, bids, ..Book::default() }
}

fn conditions(family: Family, bid: Bid) -> Bid {
    let share = Price::from(20 + (bid.id % 97) as u32 * 80 / 96);
    match (family, bid.id % 10) {
        (Family::AllOrNone, 3 | 8) => Bid { min_fill: bid.lanes, ..bid },
        (Family::Budgets, 7) => {
            let budget = Some(bid.price * Price::from(bid.lanes) / 100 * share);
            Bid { budget, ..bid }
        }
        _ => bid,
    }
}

fn accepted(case: &Case, random: &mut Random) -> Vec<u32> {
    let regions = case.cells / 5;
    let class = match random.within(0, 2) {
        0 => 0..5,
        1 => 1..4,
        _ => 4..5,
    };
    let fits = |cell: &u32| class.contains(&(cell % 5));
    match case.shape {
        Shape::All => (0..case.cells).collect(),
        Shape::Classes => exactly((0..case.cells).filter(fits)),
        Shape::Regions => {
            let from = random.within(0, regions - 1);
            let to = (from + random.within(0, 2)).min(regions - 1);
            exactly((from * 5..to * 5 + 5).filter(fits))
        }
        Shape::Random => {
            let mut cells: Vec<u32> = Vec::with_capacity(10);
            while cells.len() < 10 {
                let cell = random.within(0, case.cells - 1);
                if !cells.contains(&cell) {
                    cells.push(cell);
                }
            }
            cells
        }
    }
}

/// Without room for more: the book is part of what is measured.
fn exactly(cells: impl Iterator<Item = u32>) -> Vec<u32> {
    cells.collect::<Vec<u32>>().into_boxed_slice().into_vec()
}
