//! What holds of every clearing whatever conditions bids make, in the plainest words, on random
//! small books of each family; and that arbitrary bytes do not upset it.

mod common;

use std::collections::BTreeMap;

use common::{FAMILIES, Family, Random, SMALL, book_of, long, permuted};
use pricing::*;
use proptest::prelude::*;

fn config() -> ProptestConfig {
    let cases = if long() { 20_000 } else { 4_000 };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// By family and seed: enough to replay a failure.
fn any_book() -> impl Strategy<Value = (Family, Book)> {
    let family = proptest::sample::select(FAMILIES.to_vec());
    (family, any::<u64>()).prop_map(|(family, seed)| (family, book(family, seed)))
}

fn book(family: Family, seed: u64) -> Book {
    book_of(family, &mut Random(seed), &SMALL)
}

/// A book and its clearing, with prices by cell.
struct Market<'a> {
    book: &'a Book,
    clearing: &'a Clearing,
    prices: BTreeMap<u32, Price>,
}

impl<'a> Market<'a> {
    fn of(book: &'a Book, clearing: &'a Clearing) -> Market<'a> {
        let price = |told: &CellClearing| {
            let width = i128::from(told.hi - told.lo);
            told.price.unwrap_or(told.lo + (width * i128::from(book.k_ppm) / 1_000_000) as Price)
        };
        let prices = clearing.cells.iter().map(|told| (told.cell, price(told))).collect();
        Market { book, clearing, prices }
    }

    fn cell(&self, id: u32) -> &Cell {
        self.book.cells.iter().find(|cell| cell.id == id).expect("it is in the book")
    }

    fn fills(&self, bid: &Bid) -> impl Iterator<Item = &Fill> {
        self.clearing.fills.iter().filter(move |fill| fill.bid == bid.id)
    }

    fn won(&self, bid: &Bid) -> u32 {
        self.fills(bid).map(|fill| fill.lanes).sum()
    }

    fn pays(&self, bid: &Bid) -> i128 {
        self.fills(bid).map(|f| i128::from(self.prices[&f.cell]) * i128::from(f.lanes)).sum()
    }

    fn gain(&self, bid: &Bid, cell: u32) -> Price {
        lane_value(bid.price, self.cell(cell).speed_ppm) - self.prices[&cell]
    }

    /// The most that a lane of any cell with lanes leaves a bid.
    fn best_gain(&self, bid: &Bid) -> Option<Price> {
        let open = bid.cells.iter().filter(|cell| !self.cell(**cell).levels.is_empty());
        open.map(|cell| self.gain(bid, *cell)).max()
    }

    fn reason(&self, bid: &Bid) -> Option<&Reason> {
        self.clearing.unfilled.iter().find(|told| told.bid == bid.id).map(|told| &told.reason)
    }

    fn is_limited(&self, bid: &Bid) -> bool {
        let reason = self.reason(bid);
        matches!(reason, Some(Reason::MinFill { .. } | Reason::Budget { .. } | Reason::ShareCap))
    }

    /// Unsold lanes of a cell that ask for no more than the price.
    fn left_at_price(&self, cell: u32) -> u32 {
        let price = self.prices[&cell];
        let told = self.clearing.cells.iter().find(|told| told.cell == cell).expect("it is told");
        let lanes = |levels: &[Level]| -> u32 {
            levels.iter().filter(|l| l.reserve <= price).map(|l| l.lanes).sum()
        };
        lanes(&self.cell(cell).levels) - lanes(&told.sold)
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn check_agrees((_, book) in any_book()) {
        let clearing = clear(&book).unwrap();
        prop_assert_eq!(check(&book, &clearing), Ok(()));
    }

    #[test]
    fn order_of_listing_does_not_matter((_, book) in any_book(), seed in any::<u64>()) {
        let shuffled = permuted(&book, &mut Random(seed));
        let (one, other) = (clear(&book).unwrap(), clear(&shuffled).unwrap());
        prop_assert_eq!(serde_json::to_vec(&one).unwrap(), serde_json::to_vec(&other).unwrap());
    }

    #[test]
    fn bids_get_what_they_may((_, book) in any_book()) {
        let clearing = clear(&book).unwrap();
        let market = Market::of(&book, &clearing);
        for bid in &book.bids {
            let won = market.won(bid);
            prop_assert!(won <= bid.lanes);
            prop_assert!(won == 0 || won >= bid.min_fill, "under its min fill: {:?}", bid);
            prop_assert!(bid.budget.is_none_or(|b| market.pays(bid) <= b.into()), "{:?}", bid);
            prop_assert!(market.fills(bid).all(|fill| bid.cells.contains(&fill.cell)));
            prop_assert_eq!(market.reason(bid).is_some(), won < bid.lanes);
        }
        for cap in &book.caps {
            let bids = book.bids.iter().filter(|bid| bid.customer == Some(cap.customer));
            prop_assert!(bids.map(|bid| market.won(bid)).sum::<u32>() <= cap.lanes);
        }
    }

    /// Everybody's best at the price: cars, holders, and bids left short for the price alone.
    #[test]
    fn prices_support_what_is_sold((_, book) in any_book()) {
        let clearing = clear(&book).unwrap();
        let market = Market::of(&book, &clearing);
        for told in &clearing.cells {
            let price = market.prices[&told.cell];
            prop_assert!(told.lo <= price && price <= told.hi);
            prop_assert!(told.sold.iter().all(|level| level.reserve <= price));
            let cheaper = market.cell(told.cell).levels.iter().filter(|l| l.reserve < price);
            let sold: u32 = told.sold.iter().filter(|l| l.reserve < price).map(|l| l.lanes).sum();
            prop_assert_eq!(cheaper.map(|level| level.lanes).sum::<u32>(), sold);
            let filled = clearing.fills.iter().filter(|fill| fill.cell == told.cell);
            prop_assert_eq!(filled.map(|fill| fill.lanes).sum::<u32>(), told.lanes);
            prop_assert_eq!(told.sold.iter().map(|level| level.lanes).sum::<u32>(), told.lanes);
        }
        for bid in &book.bids {
            let Some(best) = market.best_gain(bid) else { continue };
            for fill in market.fills(bid) {
                prop_assert!(market.gain(bid, fill.cell) >= 0, "paradoxically accepted: {:?}", bid);
                prop_assert_eq!(market.gain(bid, fill.cell), best, "better elsewhere: {:?}", bid);
            }
            if market.won(bid) < bid.lanes && !market.is_limited(bid) {
                prop_assert!(best <= 0, "short, and gains: {:?}", bid);
            }
        }
    }

    /// Who is held short by its own conditions has such, and no rejection was in vain.
    #[test]
    fn excuses_are_true((_, book) in any_book()) {
        let clearing = clear(&book).unwrap();
        let market = Market::of(&book, &clearing);
        let cap = |bid: &Bid| book.caps.iter().find(|cap| Some(cap.customer) == bid.customer);
        for bid in &book.bids {
            match market.reason(bid) {
                Some(Reason::MinFill { would_win }) => {
                    prop_assert!(bid.min_fill > 1 && *would_win > bid.price);
                    let Some(best) = market.best_gain(bid).filter(|gain| *gain >= 0) else { continue };
                    let open = bid.cells.iter().filter(|cell| !market.cell(**cell).levels.is_empty());
                    let best = open.filter(|cell| market.gain(bid, **cell) == best);
                    let left: u32 = best.map(|cell| market.left_at_price(*cell)).sum();
                    let free = bid.budget.is_none() && cap(bid).is_none() && market.won(bid) == 0;
                    prop_assert!(!free || left < bid.min_fill, "could be served: {:?}", bid);
                }
                Some(Reason::Budget { would_need }) => {
                    prop_assert!(bid.budget.is_some());
                    prop_assert!(i128::from(*would_need) >= market.pays(bid));
                }
                Some(Reason::ShareCap) => prop_assert!(cap(bid).is_some()),
                _ => {}
            }
        }
    }

    /// The welfare is that of the lanes, the same as what the prices promise sellers and buyers at
    /// most, and the bound is not under it.
    #[test]
    fn welfare_is_the_dual((family, book) in any_book()) {
        let clearing = clear(&book).unwrap();
        let market = Market::of(&book, &clearing);
        let mut dual = 0;
        for cell in &book.cells {
            for level in &cell.levels {
                let rent = i128::from(market.prices[&cell.id] - level.reserve).max(0);
                dual += rent * i128::from(level.lanes);
            }
        }
        for bid in &book.bids {
            let lanes = if market.is_limited(bid) { market.won(bid) } else { bid.lanes };
            let gain = market.best_gain(bid).unwrap_or(0).max(0);
            dual += i128::from(gain) * i128::from(lanes);
        }
        prop_assert_eq!(clearing.welfare, dual);
        prop_assert!(clearing.bound >= clearing.welfare);
        prop_assert!(family != Family::Convex || clearing.bound == clearing.welfare);
    }

    /// A rejected bid that pays what it was told, all others as they are, wins.
    #[test]
    fn the_price_told_to_the_rejected_would_have_won(seed in any::<u64>()) {
        let mut book = book(Family::Lumpy, seed);
        let told = clear(&book).unwrap();
        for short in &told.unfilled {
            let Reason::MinFill { would_win } = short.reason else { continue };
            if would_win > MAX_PRICE {
                continue;
            }
            let at = book.bids.iter().position(|bid| bid.id == short.bid).unwrap();
            let price = std::mem::replace(&mut book.bids[at].price, would_win);
            let clearing = clear(&book).unwrap();
            let won = Market::of(&book, &clearing).won(&book.bids[at]);
            prop_assert!(won >= book.bids[at].min_fill && won > 0, "{:?} did not win", short);
            book.bids[at].price = price;
        }
    }

    /// In place of a fuzzer: any bytes make a book, which is refused or cleared, and then checks.
    #[test]
    fn any_bytes_are_refused_or_cleared(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let book = decoded(&bytes);
        match validate(&book) {
            Ok(()) => {
                let clearing = clear(&book).unwrap();
                prop_assert_eq!(check(&book, &clearing), Ok(()), "{:?}", book);
            }
            Err(refusal) => prop_assert_eq!(clear(&book), Err(refusal)),
        }
    }
}

/// Reads numbers off bytes, most of them lawful, some at the ends of what is.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn number(&mut self, extremes: &[i64]) -> i64 {
        match self.byte() {
            at @ 250.. => extremes[usize::from(at) % extremes.len()],
            small => i64::from(small),
        }
    }

    fn lanes(&mut self) -> u32 {
        let extremes = [0, i64::from(u32::MAX), i64::from(u32::MAX / 3), 1 << 20];
        self.number(&extremes) as u32
    }

    fn price(&mut self) -> Price {
        self.number(&[MAX_PRICE, MAX_PRICE - 1, MAX_PRICE + 1, -1, Price::MIN, Price::MAX, 0])
    }
}

fn decoded(bytes: &[u8]) -> Book {
    let mut bytes = Bytes(bytes);
    let speeds = [1, 288_000, 1_000_000, 2_500_000, MAX_SPEED_PPM, 0, u32::MAX];
    let (k, cells) = (bytes.byte(), bytes.byte() % 6);
    let mut book = Book { grid: 1, k_ppm: u32::from(k) * 3_937, ..Book::default() };
    for id in 0..cells {
        let (speed, levels) = (bytes.byte(), bytes.byte() % 4);
        let level = |bytes: &mut Bytes| Level { reserve: bytes.price(), lanes: bytes.lanes() };
        book.cells.push(Cell {
            id: u32::from(id) * 70_001,
            // The unlawful ones seldom.
            speed_ppm: speeds[usize::from(speed) % if speed > 245 { 7 } else { 5 }],
            levels: (0..levels).map(|_| level(&mut bytes)).collect(),
        });
    }
    if bytes.byte().is_multiple_of(4) {
        book.caps.push(Cap { customer: 1, lanes: bytes.lanes() });
    }
    while !bytes.0.is_empty() {
        let (accepts, flags) = (bytes.byte(), bytes.byte());
        let known = (0..cells).filter(|cell| accepts >> cell & 1 == 1);
        book.bids.push(Bid {
            id: (book.bids.len() as u128).saturating_sub(u128::from(flags == 255)),
            time: bytes.number(&[i64::MIN, i64::MAX]),
            price: bytes.price(),
            lanes: bytes.lanes(),
            cells: known.map(|cell| u32::from(cell) * 70_001).collect(),
            min_fill: if flags & 1 == 1 { bytes.lanes() } else { 0 },
            budget: (flags & 2 == 2).then(|| bytes.price()),
            customer: (flags & 4 == 4).then_some(1),
        });
        let bid = book.bids.last_mut().expect("it was just pushed");
        // Most bids are made lawful, or no book would be.
        if flags & 24 != 24 {
            bid.price = bid.price.clamp(1, MAX_PRICE);
            bid.lanes = bid.lanes.max(1);
            bid.min_fill = bid.min_fill.min(bid.lanes);
            bid.budget = bid.budget.map(|budget| budget.max(0));
        }
    }
    book
}
