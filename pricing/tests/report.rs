//! What is said beside fills and prices: what a tick was worth, who sets prices, what an unsold
//! lane would have had to ask for.

mod common;

use common::{FAMILIES, Random, SMALL, book, book_of, long};
use pricing::*;
use proptest::prelude::*;

fn config() -> ProptestConfig {
    let cases = if long() { 20_000 } else { 2_000 };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn cell(id: u32, levels: &[(Price, u32)]) -> Cell {
    let levels = levels.iter().map(|&(reserve, lanes)| Level { reserve, lanes }).collect();
    Cell { id, speed_ppm: 1_000_000, levels }
}

fn bid(id: u128, price: Price, lanes: u32, cells: &[u32]) -> Bid {
    Bid { id, price, lanes, cells: cells.to_vec(), ..Bid::default() }
}

/// Cell 1: bid 1 takes one lane at 10, bid 2 wants all of two at 20 and there is but one below 25:
/// rejected. To have two it must pay for the one at 25. Bid 3 may have one lane of two, bid 4
/// spends 10 of 15. Nobody is there for cell 2.
#[test]
fn a_report_tells_what_was_left_undone() {
    let book = Book {
        grid: 1,
        cells: vec![cell(1, &[(10, 2), (25, 2)]), cell(2, &[(7, 3)]), cell(3, &[(10, 9)])],
        bids: vec![
            bid(1, 30, 1, &[1]),
            Bid { min_fill: 2, ..bid(2, 20, 2, &[1]) },
            Bid { customer: Some(5), ..bid(3, 40, 2, &[3]) },
            Bid { budget: Some(15), ..bid(4, 30, 2, &[3]) },
            bid(5, 9, 4, &[3]),
        ],
        caps: vec![Cap { customer: 5, lanes: 1 }],
        ..Book::default()
    };
    let clearing = clear(&book).expect("the book is valid");
    assert_eq!(check(&book, &clearing), Ok(()));
    let reasons: Vec<(u128, u32, Reason)> =
        clearing.unfilled.iter().map(|u| (u.bid, u.lanes, u.reason.clone())).collect();
    assert_eq!(
        reasons,
        [
            (3, 1, Reason::ShareCap),
            (4, 1, Reason::Budget { would_need: 20 }),
            (2, 2, Reason::MinFill { would_win: 25 }),
            (5, 4, Reason::PriceTooLow { would_win: 10 }),
        ]
    );
    let report = report(&book, &clearing);
    assert_eq!(report.welfare, 20 + 30 + 20);
    assert_eq!(report.bound, 20 + 10 + 2 * 30 + 2 * 20);
    assert_eq!((report.turnover, report.lanes), (30, 3));
    let unmet =
        Unmet { min_fill: 2, budget: 1, share_cap: 1, price_too_low: 4, ..Unmet::default() };
    assert_eq!(report.unmet, unmet);
    assert_eq!(report.unmet.above_price(), 4);
    let idle = |cell, lanes, reserve, would_sell| Idle { cell, lanes, reserve, would_sell };
    assert_eq!(
        report.idle,
        [idle(1, 3, 10, Some(10)), idle(2, 3, 7, None), idle(3, 7, 10, Some(10))]
    );
}

/// Two cells tied by a bid that could have either: what sets the price of one is in the other.
#[test]
fn the_setter_of_a_price_is_named_where_it_is() {
    let book = Book {
        grid: 1,
        cells: vec![cell(1, &[(1, 1)]), cell(2, &[(4, 1)])],
        bids: vec![bid(1, 10, 1, &[1, 2]), bid(2, 9, 1, &[1]), bid(3, 8, 1, &[2])],
        ..Book::default()
    };
    let clearing = clear(&book).expect("the book is valid");
    let of = |cell, by| Setter { cell, by };
    // Bid 3 would have cell 2, and bid 1 would leave it for cell 1, were that cheaper.
    let lo: Vec<Setter> = clearing.cells.iter().map(|cell| cell.lo_by).collect();
    assert_eq!(lo, [of(2, SetBy::Bid(3)), of(2, SetBy::Bid(3))]);
    // Bid 2 holds cell 1 and leaves at 9; bid 1 would follow the price of cell 2 only up to that.
    let hi: Vec<Setter> = clearing.cells.iter().map(|cell| cell.hi_by).collect();
    assert_eq!(hi, [of(1, SetBy::Bid(2)), of(1, SetBy::Bid(2))]);
}

proptest! {
    #![proptest_config(config())]

    /// One more lane sells for less than it was told, and does not for more.
    #[test]
    fn an_unsold_lane_would_have_sold(seed in any::<u64>(), pick in any::<prop::sample::Index>()) {
        let mut book = book(&mut Random(seed), &SMALL);
        book.grid = 1;
        let clearing = clear(&book).unwrap();
        let at = pick.index(book.cells.len());
        let id = book.cells[at].id;
        let of = |clearing: &Clearing| clearing.cells.iter().find(|c| c.cell == id).cloned().unwrap();
        let told = of(&clearing);
        if told.hi == 0 && book.cells[at].levels.is_empty() {
            return Ok(());
        }
        let with_one_more_at = |reserve| {
            let mut book = book.clone();
            book.cells[at].levels.push(Level { reserve, lanes: 1 });
            clear(&book).unwrap()
        };
        let sells_at = |reserve| -> u32 {
            let sold = of(&with_one_more_at(reserve)).sold;
            sold.iter().filter(|level| level.reserve <= reserve).map(|level| level.lanes).sum()
        };
        let offered = |reserve| -> u32 {
            let levels = book.cells[at].levels.iter().filter(|level| level.reserve <= reserve);
            levels.map(|level| level.lanes).sum()
        };
        match told.would_sell() {
            Some(reserve) => {
                let below = reserve - 1;
                prop_assert!(reserve == 0 || sells_at(below) == offered(below) + 1);
                let above = reserve + 1;
                prop_assert!(sells_at(above) <= offered(above));
            }
            // At best somebody would have taken it instead of another such.
            None => prop_assert_eq!(with_one_more_at(0).welfare, clearing.welfare),
        }
    }

    #[test]
    fn a_report_adds_up(family in prop::sample::select(FAMILIES.to_vec()), seed in any::<u64>()) {
        let book = book_of(family, &mut Random(seed), &SMALL);
        let clearing = clear(&book).unwrap();
        let report = report(&book, &clearing);
        let wanted: u64 = book.bids.iter().map(|bid| u64::from(bid.lanes)).sum();
        let Unmet { no_supply, sold_out, price_too_low, outbid, .. } = report.unmet;
        let unmet = no_supply + sold_out + price_too_low + outbid + report.unmet.above_price();
        prop_assert_eq!(report.lanes + unmet, wanted);
        let levels = book.cells.iter().flat_map(|cell| &cell.levels);
        let offered: u64 = levels.map(|level| u64::from(level.lanes)).sum();
        prop_assert_eq!(report.lanes + report.idle.iter().map(|i| i.lanes).sum::<u64>(), offered);
    }
}
