//! What holds of every clearing, on random small books. `check` is under test here as well, so
//! the invariants are stated a second time, in the plainest words.

mod common;

use std::collections::BTreeMap;

use common::{Random, SMALL, book, long, permuted};
use pricing::*;
use proptest::prelude::*;

fn config() -> ProptestConfig {
    let cases = if long() { 20_000 } else { 10_000 };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Books by seed: a failing seed is enough to replay it.
fn any_book() -> impl Strategy<Value = Book> {
    any::<u64>().prop_map(|seed| book(&mut Random(seed), &SMALL))
}

fn speed(book: &Book, cell: u32) -> u32 {
    book.cells.iter().find(|c| c.id == cell).expect("it is listed").speed_ppm
}

fn value(book: &Book, bid: &Bid, cell: u32) -> Price {
    lane_value(bid.price, speed(book, cell))
}

fn bid(book: &Book, id: u128) -> &Bid {
    book.bids.iter().find(|bid| bid.id == id).expect("it is listed")
}

fn told(clearing: &Clearing, cell: u32) -> &CellClearing {
    clearing.cells.iter().find(|told| told.cell == cell).expect("it is listed")
}

fn won(clearing: &Clearing, id: u128) -> u32 {
    clearing.fills.iter().filter(|fill| fill.bid == id).map(|fill| fill.lanes).sum()
}

/// Lanes won by their speed.
fn computing(book: &Book, clearing: &Clearing, id: u128) -> u64 {
    let fills = clearing.fills.iter().filter(|fill| fill.bid == id);
    fills.map(|fill| u64::from(fill.lanes) * u64::from(speed(book, fill.cell))).sum()
}

/// The price of a cell with lanes, sold or not.
fn price(book: &Book, told: &CellClearing) -> Price {
    let width = i128::from(told.hi - told.lo);
    told.price.unwrap_or(told.lo + (width * i128::from(book.k_ppm) / 1_000_000) as Price)
}

/// Cells a bid accepts that offer lanes.
fn open<'a>(book: &'a Book, bid: &'a Bid) -> impl Iterator<Item = &'a Cell> {
    book.cells.iter().filter(|cell| !cell.levels.is_empty() && bid.cells.contains(&cell.id))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn check_agrees(book in any_book()) {
        let clearing = clear(&book).unwrap();
        prop_assert_eq!(check(&book, &clearing), Ok(()));
    }

    #[test]
    fn order_of_listing_does_not_matter(book in any_book(), seed in any::<u64>()) {
        let shuffled = permuted(&book, &mut Random(seed));
        let (one, other) = (clear(&book).unwrap(), clear(&shuffled).unwrap());
        prop_assert_eq!(serde_json::to_vec(&one).unwrap(), serde_json::to_vec(&other).unwrap());
    }

    #[test]
    fn lanes_are_conserved_and_accepted(book in any_book()) {
        let clearing = clear(&book).unwrap();
        for fill in &clearing.fills {
            prop_assert!(bid(&book, fill.bid).cells.contains(&fill.cell));
        }
        for bid in &book.bids {
            let short = clearing.unfilled.iter().find(|short| short.bid == bid.id);
            prop_assert_eq!(won(&clearing, bid.id) + short.map_or(0, |s| s.lanes), bid.lanes);
        }
        for cell in &book.cells {
            let told = told(&clearing, cell.id);
            let fills = clearing.fills.iter().filter(|fill| fill.cell == cell.id);
            prop_assert_eq!(fills.map(|fill| fill.lanes).sum::<u32>(), told.lanes);
            prop_assert_eq!(told.sold.iter().map(|level| level.lanes).sum::<u32>(), told.lanes);
            let mut offered = BTreeMap::<Price, u32>::new();
            for level in &cell.levels {
                *offered.entry(level.reserve).or_default() += level.lanes;
            }
            for sold in &told.sold {
                prop_assert!(sold.lanes <= offered[&sold.reserve]);
            }
        }
    }

    #[test]
    fn cars_sell_exactly_when_the_price_says_so(book in any_book()) {
        let clearing = clear(&book).unwrap();
        for cell in book.cells.iter().filter(|cell| !cell.levels.is_empty()) {
            let told = told(&clearing, cell.id);
            let price = price(&book, told);
            for reserve in cell.levels.iter().map(|level| level.reserve) {
                let at = |levels: &[Level]| -> u32 {
                    levels.iter().filter(|l| l.reserve == reserve).map(|l| l.lanes).sum()
                };
                let (offered, sold) = (at(&cell.levels), at(&told.sold));
                prop_assert!(sold == 0 || reserve <= price, "sold under its reserve");
                prop_assert!(sold == offered || reserve >= price, "a cheaper car was passed over");
            }
        }
    }

    #[test]
    fn bids_have_what_is_best_for_them(book in any_book()) {
        let clearing = clear(&book).unwrap();
        for bid in &book.bids {
            let gain = |cell: u32| value(&book, bid, cell) - price(&book, told(&clearing, cell));
            let best = open(&book, bid).map(|cell| gain(cell.id)).max();
            if won(&clearing, bid.id) < bid.lanes {
                prop_assert!(best.is_none_or(|best| best <= 0), "left short and would gain");
            }
            for fill in clearing.fills.iter().filter(|fill| fill.bid == bid.id) {
                prop_assert!(gain(fill.cell) >= 0, "pays more than its price");
                prop_assert_eq!(Some(gain(fill.cell)), best, "would gain more elsewhere");
            }
        }
    }

    #[test]
    fn buyers_pay_what_sellers_receive(book in any_book()) {
        let clearing = clear(&book).unwrap();
        let paid = clearing.fills.iter().map(|fill| {
            i128::from(told(&clearing, fill.cell).price.unwrap()) * i128::from(fill.lanes)
        });
        let received = clearing.cells.iter().flat_map(|told| {
            let price = i128::from(told.price.unwrap_or(0));
            told.sold.iter().map(move |level| price * i128::from(level.lanes))
        });
        prop_assert_eq!(paid.sum::<i128>(), received.sum::<i128>());
    }

    #[test]
    fn of_two_alike_the_earlier_goes_first(book in any_book()) {
        let clearing = clear(&book).unwrap();
        let sorted = |bid: &Bid| {
            let mut cells = bid.cells.clone();
            cells.sort_unstable();
            cells
        };
        for a in &book.bids {
            for b in &book.bids {
                let alike = a.price == b.price && sorted(a) == sorted(b);
                if alike && (a.time, a.id) < (b.time, b.id) && won(&clearing, b.id) > 0 {
                    prop_assert_eq!(won(&clearing, a.id), a.lanes);
                }
            }
        }
    }

    /// The price rule moves prices only, and all prices of the range support the same fills.
    #[test]
    fn the_rule_spans_lo_to_hi(book in any_book(), k_ppm in 0..=1_000_000_u32) {
        let of = |k_ppm| clear(&Book { k_ppm, ..book.clone() }).unwrap();
        let (lowest, between, highest) = (of(0), of(k_ppm), of(1_000_000));
        prop_assert_eq!(&lowest.fills, &between.fills);
        prop_assert_eq!(&between.fills, &highest.fills);
        for at in 0..book.cells.len() {
            let (lo, hi) = (lowest.cells[at].lo, lowest.cells[at].hi);
            prop_assert!(lo <= hi);
            let inside = between.cells[at].price.is_none_or(|price| lo <= price && price <= hi);
            prop_assert!(inside);
            prop_assert_eq!(lowest.cells[at].price.unwrap_or(lo), lo);
            prop_assert_eq!(highest.cells[at].price.unwrap_or(hi), hi);
        }
    }

    /// A price outside the range, in any one cell, cannot support the fills.
    #[test]
    fn lo_and_hi_are_the_ends(book in any_book(), cell in any::<prop::sample::Index>()) {
        let cells: Vec<u32> =
            book.cells.iter().filter(|c| !c.levels.is_empty()).map(|c| c.id).collect();
        if cells.is_empty() {
            return Ok(());
        }
        let cell = cells[cell.index(cells.len())];
        for k_ppm in [0, 1_000_000] {
            let book = Book { k_ppm, ..book.clone() };
            let mut clearing = clear(&book).unwrap();
            let told = clearing.cells.iter_mut().find(|told| told.cell == cell).unwrap();
            let out = if k_ppm == 0 { -1 } else { 1 };
            (told.lo, told.hi) = (told.lo + out, told.hi + out);
            told.price = told.price.map(|price| price + out);
            let refused = check(&book, &clearing).is_err();
            prop_assert!(refused);
        }
    }

    #[test]
    fn reasons_are_true(book in any_book()) {
        let clearing = clear(&book).unwrap();
        for short in &clearing.unfilled {
            let bid = bid(&book, short.bid);
            // Alone, it would get every lane it can pay for.
            let alone = clear(&Book { bids: vec![bid.clone()], ..book.clone() }).unwrap();
            let (won, won_alone) = (won(&clearing, bid.id), won(&alone, bid.id));
            match short.reason {
                Reason::NoSupply => prop_assert_eq!(open(&book, bid).count(), 0),
                Reason::Outbid { would_win } => {
                    prop_assert!(won_alone > won);
                    prop_assert!(would_win > bid.price);
                }
                Reason::PriceTooLow { would_win } => {
                    prop_assert_eq!(won_alone, won);
                    prop_assert!(would_win > bid.price);
                }
                Reason::SoldOut => {
                    let lanes = open(&book, bid).flat_map(|cell| &cell.levels).map(|l| l.lanes);
                    prop_assert_eq!(lanes.sum::<u32>(), won);
                }
                Reason::MinFill { .. } | Reason::Budget { .. } | Reason::ShareCap => {
                    prop_assert!(false, "the book has nothing of the kind");
                }
            }
        }
    }

    /// With the price it was told, a bid that won nothing wins; with a little less it does not
    /// (rank decides one micro-unit of value). A bid that won some wins more computing: another
    /// lane, or a faster one. There the roundings of the lanes it holds may come in between.
    #[test]
    fn the_price_told_would_have_won(book in any_book()) {
        let clearing = clear(&book).unwrap();
        for short in &clearing.unfilled {
            let (Reason::Outbid { would_win } | Reason::PriceTooLow { would_win }) = short.reason
            else { continue };
            let with = |price: Price| {
                let mut book = book.clone();
                book.bids.iter_mut().filter(|bid| bid.id == short.bid).for_each(|b| b.price = price);
                computing(&book, &clear(&book).unwrap(), short.bid)
            };
            let before = computing(&book, &clearing, short.bid);
            let slowest = open(&book, bid(&book, short.bid)).map(|c| c.speed_ppm).min().unwrap();
            let rank = Price::from(1_000_000_u32.div_ceil(slowest));
            let rounding = 2 * rank * Price::from(won(&clearing, short.bid));
            prop_assert!(with(would_win + rounding) > before, "{:?} did not win", short);
            if before == 0 && would_win - rank > bid(&book, short.bid).price {
                prop_assert_eq!(with(would_win - rank - 1), 0, "{:?} won for less", short);
            }
        }
    }
}
