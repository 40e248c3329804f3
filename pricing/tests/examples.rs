//! Worked by hand.

use pricing::*;

fn cell(id: u32, speed_ppm: u32, levels: &[(Price, u32)]) -> Cell {
    let levels = levels.iter().map(|&(reserve, lanes)| Level { reserve, lanes }).collect();
    Cell { id, speed_ppm, levels }
}

fn bid(id: u128, price: Price, lanes: u32, cells: &[u32]) -> Bid {
    Bid { id, time: 0, price, lanes, cells: cells.to_vec(), ..Bid::default() }
}

fn book(cells: Vec<Cell>, bids: Vec<Bid>) -> Book {
    Book { grid: 1, k_ppm: 0, cells, bids, ..Book::default() }
}

const HW4: u32 = 1_000_000;
const HALF: u32 = 500_000;

fn cleared(book: &Book) -> Clearing {
    let clearing = clear(book).expect("the book is valid");
    assert_eq!(check(book, &clearing), Ok(()));
    clearing
}

fn fills(clearing: &Clearing) -> Vec<(u128, u32, u32)> {
    clearing.fills.iter().map(|fill| (fill.bid, fill.cell, fill.lanes)).collect()
}

fn range(clearing: &Clearing, at: usize) -> (Price, Price) {
    (clearing.cells[at].lo, clearing.cells[at].hi)
}

fn reasons(clearing: &Clearing) -> Vec<(u128, u32, Reason)> {
    clearing.unfilled.iter().map(|u| (u.bid, u.lanes, u.reason.clone())).collect()
}

/// One cell: supply 5×2, 7×2, 11×4 meets demand 20×1, 12×2, 10×3. The curves cross at 4 lanes,
/// where bid 3 is left with one of three: its value is the price.
#[test]
fn supply_meets_demand() {
    let book = book(
        vec![cell(1, HW4, &[(11, 4), (5, 2), (7, 2)])],
        vec![bid(3, 10, 3, &[1]), bid(1, 20, 1, &[1]), bid(2, 12, 2, &[1])],
    );
    let clearing = cleared(&book);
    assert_eq!(fills(&clearing), [(1, 1, 1), (2, 1, 2), (3, 1, 1)]);
    assert_eq!(
        clearing.cells,
        [CellClearing {
            cell: 1,
            price: Some(10),
            lo: 10,
            hi: 10,
            lanes: 4,
            sold: vec![Level { reserve: 5, lanes: 2 }, Level { reserve: 7, lanes: 2 }],
            lo_by: Setter { cell: 1, by: SetBy::Bid(3) },
            hi_by: Setter { cell: 1, by: SetBy::Bid(3) },
        }]
    );
    assert_eq!(clearing.welfare, 20 + 2 * 12 + 10 - 2 * 5 - 2 * 7);
    // Without the others it would have had three lanes; an unsold one is to be had for 11.
    assert_eq!(reasons(&clearing), [(3, 2, Reason::Outbid { would_win: 11 })]);
}

/// Nobody left short: the range is from the dearest sold reserve to the next one.
#[test]
fn the_price_rule_splits_the_range() {
    let mut book = book(vec![cell(1, HW4, &[(5, 1), (9, 1)])], vec![bid(1, 20, 1, &[1])]);
    for (k_ppm, price) in [(0, 5), (500_000, 7), (600_000, 7), (750_000, 8), (1_000_000, 9)] {
        book.k_ppm = k_ppm;
        let clearing = cleared(&book);
        assert_eq!(range(&clearing, 0), (5, 9));
        assert_eq!(clearing.cells[0].price, Some(price), "k = {k_ppm}");
    }
}

/// Greedy would fail: bid 1 takes the cheap cell 1, and bid 2, which accepts only that, is lost.
/// Bid 1 has to move to cell 2: 10 + 9 − 1 − 4 = 14 beats 10 − 1 = 9.
#[test]
fn a_holder_moves_to_make_room() {
    let book = book(
        vec![cell(1, HW4, &[(1, 1)]), cell(2, HW4, &[(4, 1)])],
        vec![bid(1, 10, 1, &[1, 2]), bid(2, 9, 1, &[1])],
    );
    let clearing = cleared(&book);
    assert_eq!(fills(&clearing), [(1, 2, 1), (2, 1, 1)]);
    assert_eq!(clearing.welfare, 14);
    // Bid 1 has no reason to envy bid 2: p2 ≤ p1, between the reserve 4 and the 9 of bid 2.
    assert_eq!([range(&clearing, 0), range(&clearing, 1)], [(4, 9), (4, 9)]);
}

/// Cross-class. Cell 1 is half as fast. Bid 1 (100) is worth 50 there and 100 in cell 2, bid 2
/// (80) 40 and 80: the fast lane goes to bid 1, and prices must make bid 2 content with the slow:
/// 40 − p1 ≥ 80 − p2, while 100 − p2 ≥ 50 − p1. So p2 − p1 is within 40 and 50.
#[test]
fn classes_differ_by_what_a_lane_is_worth() {
    let book = book(
        vec![cell(1, HALF, &[(10, 1), (30, 1)]), cell(2, HW4, &[(20, 1)])],
        vec![bid(1, 100, 1, &[1, 2]), bid(2, 80, 1, &[1, 2])],
    );
    let clearing = cleared(&book);
    assert_eq!(fills(&clearing), [(1, 2, 1), (2, 1, 1)]);
    assert_eq!(clearing.welfare, 100 + 40 - 20 - 10);
    assert_eq!([range(&clearing, 0), range(&clearing, 1)], [(10, 30), (50, 80)]);
}

/// A dearer bid is displaced by a cheaper one: with one slow and one fast lane, 1 (100, either),
/// 2 (85, fast only), 3 (80, slow only), no reserves. 1 slow + 2 fast = 135; 3 slow + 1 fast = 140.
#[test]
fn a_cheaper_bid_can_displace_a_dearer_one() {
    let book = book(
        vec![cell(1, HALF, &[(0, 1)]), cell(2, HW4, &[(0, 1)])],
        vec![bid(1, 100, 1, &[1, 2]), bid(2, 85, 1, &[2]), bid(3, 80, 1, &[1])],
    );
    let clearing = cleared(&book);
    assert_eq!(fills(&clearing), [(1, 2, 1), (3, 1, 1)]);
    assert_eq!(clearing.welfare, 140);
    // 2 is out: p2 ≥ 85. 1 prefers fast: p2 ≤ p1 + 50, so p1 ≥ 35; p1 ≤ 40, hence p2 ≤ 90.
    assert_eq!([range(&clearing, 0), range(&clearing, 1)], [(35, 40), (85, 90)]);
    assert_eq!(reasons(&clearing), [(2, 1, Reason::Outbid { would_win: 91 })]);
}

/// The same with two fast lanes held by equals, 2 and 4. Bid 1 can only move to that of bid 2, the
/// earlier: which then moves to the other lane, for the later to yield.
#[test]
fn of_two_equals_the_later_yields_wherever_it_is() {
    let book = book(
        vec![cell(1, HALF, &[(0, 1)]), cell(2, HW4, &[(0, 1)]), cell(3, HW4, &[(0, 1)])],
        vec![
            bid(1, 100, 1, &[1, 2]),
            bid(2, 85, 1, &[2, 3]),
            bid(4, 85, 1, &[2, 3]),
            bid(3, 80, 1, &[1]),
        ],
    );
    assert_eq!(fills(&cleared(&book)), [(1, 2, 1), (2, 3, 1), (3, 1, 1)]);
}

#[test]
fn every_reason() {
    let book = book(
        vec![cell(1, HW4, &[(10, 1), (50, 1)]), cell(2, HW4, &[]), cell(3, HALF, &[(10, 2)])],
        vec![
            bid(1, 40, 1, &[1]),
            bid(2, 30, 1, &[1]),
            bid(3, 9, 1, &[1]),
            bid(4, 99, 1, &[2]),
            bid(5, 99, 1, &[]),
            bid(6, 70, 5, &[3]),
            bid(7, 19, 1, &[3]),
        ],
    );
    let clearing = cleared(&book);
    assert_eq!(
        reasons(&clearing),
        [
            (4, 1, Reason::NoSupply),
            (5, 1, Reason::NoSupply),
            (6, 3, Reason::SoldOut),
            (2, 1, Reason::Outbid { would_win: 41 }),
            // Its 9 at half speed are 4.5, under the reserve, whoever else bids; 72 at half speed
            // is 36, one more than the 35 of bid 6.
            (7, 1, Reason::PriceTooLow { would_win: 72 }),
            (3, 1, Reason::PriceTooLow { would_win: 41 }),
        ]
    );
    assert_eq!(clearing.cells[1].price, None);
    assert_eq!(range(&clearing, 1), (0, 0));
}

/// Equal prices: the earlier first, then the lower id, whatever the listing.
#[test]
fn ties_go_by_time_then_id() {
    let at = |id, time| Bid { time, ..bid(id, 10, 1, &[1]) };
    let book = book(vec![cell(1, HW4, &[(1, 2)])], vec![at(3, 5), at(2, 5), at(9, 4)]);
    assert_eq!(fills(&cleared(&book)), [(9, 1, 1), (2, 1, 1)]);
}

/// A price equal to the reserve trades; an equal bid does not displace.
#[test]
fn no_gain_is_enough_for_a_car_and_not_for_a_swap() {
    let book = book(
        vec![cell(1, HW4, &[(10, 1)])],
        vec![bid(1, 10, 1, &[1]), Bid { time: -1, ..bid(2, 10, 1, &[1]) }],
    );
    let clearing = cleared(&book);
    assert_eq!(fills(&clearing), [(2, 1, 1)]);
    assert_eq!(clearing.welfare, 0);
    assert_eq!(range(&clearing, 0), (10, 10));
}

#[test]
fn empty_books_clear() {
    let nothing = book(vec![], vec![]);
    assert_eq!(cleared(&nothing).welfare, 0);
    let no_bids = cleared(&book(vec![cell(1, HW4, &[(7, 1)])], vec![]));
    assert_eq!((no_bids.cells[0].price, range(&no_bids, 0)), (None, (0, 7)));
    let no_cells = cleared(&book(vec![], vec![bid(1, 5, 1, &[])]));
    assert_eq!(reasons(&no_cells), [(1, 1, Reason::NoSupply)]);
}

/// The largest numbers a book may hold: nothing overflows, and lanes cost no time.
#[test]
fn extreme_books_clear() {
    let max = MAX_PRICE;
    let speeds = [1, HALF, HW4, MAX_SPEED_PPM];
    let cells = (0..24)
        .map(|c| {
            let levels = [(0, u32::MAX / 2), (max, u32::MAX / 2 + 1)];
            cell(u32::MAX - c, speeds[c as usize % 4], &levels)
        })
        .collect();
    let bids = (0..200)
        .map(|b| Bid {
            id: u128::MAX - b,
            time: if b % 2 == 0 { i64::MIN } else { i64::MAX },
            price: [1, max - 1, max][b as usize % 3],
            lanes: u32::MAX,
            cells: (0..24).filter(|c| (b >> (c % 6)) & 1 == 0).map(|c| u32::MAX - c).collect(),
            ..Bid::default()
        })
        .collect();
    for (grid, k_ppm) in [(1, 0), (max, 999_999), (max, 1_000_000)] {
        let book = Book { grid, k_ppm, ..book(Vec::clone(&cells), Vec::clone(&bids)) };
        assert!(cleared(&book).welfare > 0);
    }
}

/// No price fits where the reserve is the highest and the class the slowest.
#[test]
fn a_price_that_does_not_fit_saturates() {
    let book = book(vec![cell(1, 1, &[(MAX_PRICE, 1)])], vec![bid(1, 1, 1, &[1])]);
    let reason = Reason::PriceTooLow { would_win: Price::MAX };
    assert_eq!(reasons(&cleared(&book)), [(1, 1, reason)]);
}

#[test]
fn books_and_clearings_survive_json() {
    let book =
        book(vec![cell(1, HW4, &[(5, 1)])], vec![bid(u128::MAX, 9, 2, &[1]), bid(2, 5, 1, &[1])]);
    let clearing = cleared(&book);
    let text = serde_json::to_string(&(&book, &clearing)).unwrap();
    let back: (Book, Clearing) = serde_json::from_str(&text).unwrap();
    assert_eq!(back, (book, clearing));
}
