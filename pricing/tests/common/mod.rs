//! Seeded random books, shared by the tests and the bench.
#![allow(dead_code)]

pub mod oracle;

use pricing::{Bid, Book, Cap, Cell, Level, Price};

/// SplitMix64: small, seedable, the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From `low` to `high`, both possible.
    pub fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.within(0, choices.len() as u64 - 1) as usize]
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.within(0, last as u64) as usize);
        }
    }
}

/// How large a random book may be.
pub struct Size {
    pub cells: u64,
    pub levels: u64,
    pub bids: u64,
    pub lanes: u64,
    pub price: u64,
}

pub const SMALL: Size = Size { cells: 5, levels: 4, bids: 12, lanes: 5, price: 40 };

/// Few price points (so ties abound), or many; several classes; empty cells; bids that accept
/// from none to all of them.
pub fn book(random: &mut Random, size: &Size) -> Book {
    let grid = random.one_of(&[1, 1, 2, 5]);
    let scale = random.one_of(&[1, 1, 1, 997]);
    let cells: Vec<Cell> = (0..random.within(1, size.cells))
        .map(|n| Cell {
            id: (n * 7 + 3) as u32,
            speed_ppm: random.one_of(&[1_000_000, 1_000_000, 288_000, 500_000, 2_499_999]),
            levels: (0..random.within(0, size.levels))
                .map(|_| Level {
                    reserve: (random.within(0, size.price) * scale) as Price * grid,
                    lanes: random.within(1, size.lanes) as u32,
                })
                .collect(),
        })
        .collect();
    let mut bids: Vec<Bid> = Vec::new();
    for n in 0..random.within(0, size.bids) {
        // Every fourth is like an earlier one, so that rank has something to decide.
        let like = (n > 0 && random.within(0, 3) == 0).then(|| random.within(0, n - 1) as usize);
        let (price, accepted) = match like {
            Some(other) => (bids[other].price, bids[other].cells.clone()),
            None => {
                let price = (random.within(1, size.price) * scale) as Price * grid;
                (price, some_of(&cells, random))
            }
        };
        bids.push(Bid {
            id: u128::from(random.next()) << 64 | u128::from(n),
            time: random.within(0, 3) as i64,
            price,
            lanes: random.within(1, size.lanes) as u32,
            cells: accepted,
            ..Bid::default()
        });
    }
    let k_ppm = random.one_of(&[0, 0, 1_000_000, 500_000, 333_333]);
    Book { grid, k_ppm, cells, bids, ..Book::default() }
}

fn some_of(cells: &[Cell], random: &mut Random) -> Vec<u32> {
    let wants = random.within(1, 4);
    cells.iter().map(|cell| cell.id).filter(|_| random.within(0, 4) < wants).collect()
}

/// Which conditions bids make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Convex,
    /// Every fifth bid wants all or none.
    AllOrNone,
    /// Two of five bids want all or none, another at least some.
    Lumpy,
    /// Some bids have a budget.
    Budgets,
    /// Some customers have a cap.
    Caps,
    /// All of it.
    Mixed,
}

pub const FAMILIES: [Family; 6] = [
    Family::Convex,
    Family::AllOrNone,
    Family::Lumpy,
    Family::Budgets,
    Family::Caps,
    Family::Mixed,
];

/// A book whose bids make the conditions of a family.
pub fn book_of(family: Family, random: &mut Random, size: &Size) -> Book {
    let mut book = book(random, size);
    let is = |kind| family == kind || family == Family::Mixed;
    for bid in &mut book.bids {
        if family == Family::AllOrNone {
            bid.min_fill = random.one_of(&[0, 0, 1, 0, bid.lanes]);
        }
        if is(Family::Lumpy) {
            let some = random.within(0, u64::from(bid.lanes)) as u32;
            bid.min_fill = random.one_of(&[0, 1, bid.lanes, bid.lanes, some]);
        }
        if is(Family::Budgets) {
            let most = bid.price as u64 * u64::from(bid.lanes);
            let some = random.within(0, most) as Price;
            bid.budget = random.one_of(&[None, Some(some), Some(some), Some(bid.price), Some(0)]);
        }
        if is(Family::Caps) {
            bid.customer = random.one_of(&[None, Some(1), Some(2), Some(3)]);
        }
    }
    if is(Family::Caps) {
        let lanes = |random: &mut Random| random.within(0, size.lanes * 3) as u32;
        book.caps = [1, 2, 9].map(|customer| Cap { customer, lanes: lanes(random) }).to_vec();
    }
    book
}

/// The same book, listed in another order.
pub fn permuted(book: &Book, random: &mut Random) -> Book {
    let mut book = book.clone();
    random.shuffle(&mut book.cells);
    random.shuffle(&mut book.bids);
    random.shuffle(&mut book.caps);
    book.cells.iter_mut().for_each(|cell| random.shuffle(&mut cell.levels));
    book.bids.iter_mut().for_each(|bid| random.shuffle(&mut bid.cells));
    book
}

/// Whether DRIVEWAY_TEST_LONG asks for many more cases.
pub fn long() -> bool {
    std::env::var_os("DRIVEWAY_TEST_LONG").is_some_and(|value| value == "1")
}
