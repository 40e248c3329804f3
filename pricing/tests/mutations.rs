//! `check` refuses what is broken: each kind of violation by a clearing broken in that way, and
//! any change of a random clearing that cannot be right.

mod common;

use std::collections::BTreeSet;

use common::{Random, SMALL, book, long};
use pricing::*;
use proptest::prelude::*;

/// Cell 1 sells 2 lanes at 10 and 2 at 20, for 20; cell 2, half as fast, 2 at 4 and 2 at 9, for 10:
/// to 1 (cell 1), 2 (cell 2) and 3 (two of each). Bid 4 is like 2 and 3 and comes too late. Cell 3
/// offers nothing, cell 4 sells nothing (50 to 60), cell 5 one lane of two (5 to 9). In cell 6 bid
/// 8 wins the two lanes of its cap, and bid 9 is rejected, for a third lane is not all of two; in
/// cell 7 bids 10 and 11 win one and two of four; in cell 8 bid 12 pays 1 of the 2 it has.
fn example() -> (Book, Clearing) {
    let cell = |id, speed_ppm, levels: &[(Price, u32)]| Cell {
        id,
        speed_ppm,
        levels: levels.iter().map(|&(reserve, lanes)| Level { reserve, lanes }).collect(),
    };
    let bid = |id, price, lanes, cells: &[u32]| Bid {
        id,
        time: id as i64,
        price,
        lanes,
        cells: cells.to_vec(),
        ..Bid::default()
    };
    let book = Book {
        grid: 1,
        k_ppm: 0,
        cells: vec![
            cell(1, 1_000_000, &[(10, 2), (20, 2), (30, 1)]),
            cell(2, 500_000, &[(4, 2), (9, 2)]),
            cell(3, 1_000_000, &[]),
            cell(4, 1_000_000, &[(60, 1)]),
            cell(5, 1_000_000, &[(5, 1), (9, 1)]),
            cell(6, 1_000_000, &[(2, 2), (4, 1)]),
            cell(7, 1_000_000, &[(2, 4)]),
            cell(8, 1_000_000, &[(1, 1), (9, 1)]),
        ],
        bids: vec![
            bid(1, 40, 2, &[1]),
            bid(2, 20, 2, &[1, 2]),
            bid(3, 20, 4, &[1, 2]),
            bid(4, 20, 4, &[1, 2]),
            bid(5, 8, 1, &[3]),
            bid(6, 50, 1, &[4]),
            bid(7, 10, 1, &[5]),
            Bid { min_fill: 2, customer: Some(1), ..bid(8, 7, 3, &[6]) },
            Bid { min_fill: 2, ..bid(9, 5, 2, &[6]) },
            bid(10, 4, 1, &[7]),
            Bid { min_fill: 2, ..bid(11, 4, 2, &[7]) },
            Bid { budget: Some(2), ..bid(12, 3, 1, &[8]) },
        ],
        caps: vec![Cap { customer: 1, lanes: 2 }],
    };
    let clearing = clear(&book).expect("the book is valid");
    (book, clearing)
}

type Break = (fn(&mut Clearing), Violation);

fn breaks() -> Vec<Break> {
    [breaks_of_form(), breaks_of_lanes(), breaks_of_prices(), breaks_of_words()].concat()
}

fn breaks_of_form() -> Vec<Break> {
    use Violation::*;
    vec![
        (|c| c.cells.swap(0, 1), CellList { expected: Some(1), found: Some(2) }),
        (|c| c.cells.truncate(7), CellList { expected: Some(8), found: None }),
        (
            |c| c.cells.push(CellClearing { cell: 9, ..c.cells[2].clone() }),
            CellList { expected: None, found: Some(9) },
        ),
        (|c| c.fills[0].bid = 99, UnknownBid { bid: 99 }),
        (|c| c.fills.swap(0, 1), FillOrder { bid: 1, cell: 1 }),
        (|c| c.fills.swap(2, 3), FillOrder { bid: 3, cell: 1 }),
        (|c| c.fills.insert(0, c.fills[0].clone()), FillOrder { bid: 1, cell: 1 }),
        (|c| c.fills[0].lanes = 0, EmptyFill { bid: 1, cell: 1 }),
        (|c| c.fills[0].cell = 2, NotAccepted { bid: 1, cell: 2 }),
        (|c| c.fills[0].cell = 99, NotAccepted { bid: 1, cell: 99 }),
    ]
}

fn breaks_of_lanes() -> Vec<Break> {
    use Violation::*;
    vec![
        (|c| c.fills[0].lanes = 3, Overfilled { bid: 1 }),
        (|c| c.fills[5].lanes = 1, UnderMinFill { bid: 8 }),
        (|c| c.fills[5].lanes = 3, AboveCap { customer: 1 }),
        (|c| c.cells[0].sold.swap(0, 1), LevelList { cell: 1 }),
        (|c| c.cells[0].sold[1].reserve = 10, LevelList { cell: 1 }),
        (|c| c.cells[0].sold[1].reserve = 11, LevelList { cell: 1 }),
        (|c| c.cells[0].sold[1].lanes = 0, LevelList { cell: 1 }),
        (|c| c.cells[0].sold[0].lanes = 3, Oversold { cell: 1, reserve: 10 }),
        (|c| c.cells[0].lanes = 5, LanesDiffer { cell: 1, filled: 4, sold: 4, stated: 5 }),
        (|c| c.fills[2].lanes = 1, LanesDiffer { cell: 1, filled: 3, sold: 4, stated: 4 }),
        (|c| c.cells[0].sold[1].lanes = 1, LanesDiffer { cell: 1, filled: 4, sold: 3, stated: 4 }),
        (|c| c.cells[0].price = None, PriceWithoutSale { cell: 1 }),
        (|c| c.cells[3].price = Some(50), PriceWithoutSale { cell: 4 }),
    ]
}

fn breaks_of_prices() -> Vec<Break> {
    use Violation::*;
    /// What stands for the price of the cell that sold nothing.
    fn unsold_at(clearing: &mut Clearing, price: Price) {
        (clearing.cells[3].lo, clearing.cells[3].hi) = (price, price);
    }
    vec![
        (|c| c.cells[0].price = Some(21), AboveValue { bid: 3, cell: 1 }),
        (|c| c.cells[0].price = Some(19), BelowReserve { cell: 1, reserve: 20 }),
        (
            |c| {
                // A car at 20 was sold, one at 10 was not.
                (c.fills[2].lanes, c.cells[0].sold[0].lanes, c.cells[0].lanes) = (1, 1, 3);
            },
            CheaperUnsold { cell: 1, reserve: 10 },
        ),
        (|c| unsold_at(c, 61), CheaperUnsold { cell: 4, reserve: 60 }),
        (|c| unsold_at(c, Price::MAX), CheaperUnsold { cell: 4, reserve: 60 }),
        (|c| unsold_at(c, 49), ShortButGains { bid: 6, cell: 4 }),
        (|c| unsold_at(c, Price::MIN), ShortButGains { bid: 6, cell: 4 }),
        (|c| c.cells[1].price = Some(9), BetterCell { bid: 3, cell: 1, better: 2 }),
        (|c| c.cells[7].price = Some(3), AboveBudget { bid: 12, pays: 3 }),
        (|c| (c.fills[2].bid, c.fills[3].bid) = (4, 4), OutOfRank { bid: 3, behind: 4 }),
        (
            |c| {
                c.fills.remove(7);
                (c.cells[6].lanes, c.cells[6].sold[0].lanes) = (1, 1);
                let reason = pricing::Reason::MinFill { would_win: 5 };
                c.unfilled.push(Unfilled { bid: 11, lanes: 2, reason });
            },
            RejectedInVain { bid: 11 },
        ),
        (|c| c.cells[3].lo = 51, Range { cell: 4, lo: 50, hi: 60 }),
        (|c| c.cells[3].hi = 59, Range { cell: 4, lo: 50, hi: 60 }),
        (|c| c.cells[0].lo = 19, Range { cell: 1, lo: 20, hi: 20 }),
        (|c| c.cells[1].hi = 11, Range { cell: 2, lo: 10, hi: 10 }),
        (|c| c.cells[2].hi = 1, Range { cell: 3, lo: 0, hi: 0 }),
        (|c| c.cells[4].price = Some(6), PriceRule { cell: 5, expected: 5 }),
        (|c| c.cells[0].lo_by.cell = 99, Setter { cell: 1 }),
        (|c| c.cells[0].lo_by.by = SetBy::Reserve(10), Setter { cell: 1 }),
        (|c| c.cells[1].hi_by.by = SetBy::Nothing, Setter { cell: 2 }),
        (|c| c.cells[4].lo_by.by = SetBy::Bid(9), Setter { cell: 5 }),
        (|c| c.cells[0].hi_by.by = SetBy::Bid(1), Setter { cell: 1 }),
        (|c| c.welfare += 1, Welfare { stated: 98, found: 97 }),
        (|c| c.welfare = i128::MIN, Welfare { stated: i128::MIN, found: 97 }),
        (|c| c.bound = 96, Bound { welfare: 97, stated: 96, at_most: 108 }),
        (|c| c.bound = 109, Bound { welfare: 97, stated: 109, at_most: 108 }),
    ]
}

fn breaks_of_words() -> Vec<Break> {
    use Violation::{Reason as Untrue, UnfilledList};
    vec![
        (
            |c| {
                c.unfilled.remove(2);
            },
            UnfilledList { bid: 5 },
        ),
        (|c| c.unfilled[1].lanes = 3, UnfilledList { bid: 4 }),
        (|c| c.unfilled.swap(0, 1), UnfilledList { bid: 6 }),
        (
            |c| c.unfilled.push(Unfilled { bid: 1, ..c.unfilled[0].clone() }),
            UnfilledList { bid: 1 },
        ),
        (|c| c.unfilled[0].reason = Reason::PriceTooLow { would_win: 50 }, Untrue { bid: 6 }),
        (|c| c.unfilled[1].reason = Reason::Outbid { would_win: 20 }, Untrue { bid: 4 }),
        (|c| c.unfilled[1].reason = Reason::NoSupply, Untrue { bid: 4 }),
        (|c| c.unfilled[4].reason = Reason::Budget { would_need: 9 }, Untrue { bid: 9 }),
        (|c| c.unfilled[4].reason = Reason::ShareCap, Untrue { bid: 9 }),
        (|c| c.unfilled[4].reason = Reason::MinFill { would_win: 5 }, Untrue { bid: 9 }),
        (|c| c.unfilled[1].reason = Reason::SoldOut, Untrue { bid: 4 }),
        (|c| c.unfilled[2].reason = Reason::Outbid { would_win: 9 }, Untrue { bid: 5 }),
    ]
}

#[test]
fn each_break_is_refused_by_name() {
    let (book, clearing) = example();
    assert_eq!(check(&book, &clearing), Ok(()));
    for (spoil, violation) in breaks() {
        let mut broken = clearing.clone();
        spoil(&mut broken);
        assert_eq!(check(&book, &broken), Err(violation));
    }
}

/// A variant added to `Violation` must be added here, and be broken above (or, for the two that
/// cannot be reached this way, elsewhere).
#[test]
fn every_kind_of_violation_is_broken() {
    use Violation::*;
    let kind = |violation: &Violation| match violation {
        Book(_) => panic!("tested with the refusals"),
        Dual { .. } => panic!("implied by the others; tested by itself beside the code"),
        CellList { .. } => 0,
        UnknownBid { .. } => 1,
        FillOrder { .. } => 2,
        EmptyFill { .. } => 3,
        NotAccepted { .. } => 4,
        Overfilled { .. } => 5,
        UnderMinFill { .. } => 6,
        AboveCap { .. } => 7,
        LevelList { .. } => 8,
        Oversold { .. } => 9,
        LanesDiffer { .. } => 10,
        PriceWithoutSale { .. } => 11,
        AboveValue { .. } => 12,
        BelowReserve { .. } => 13,
        CheaperUnsold { .. } => 14,
        ShortButGains { .. } => 15,
        BetterCell { .. } => 16,
        AboveBudget { .. } => 17,
        OutOfRank { .. } => 18,
        RejectedInVain { .. } => 19,
        Range { .. } => 20,
        PriceRule { .. } => 21,
        Setter { .. } => 22,
        Welfare { .. } => 23,
        Bound { .. } => 24,
        UnfilledList { .. } => 25,
        Violation::Reason { .. } => 26,
    };
    let kinds: BTreeSet<u32> = breaks().iter().map(|(_, violation)| kind(violation)).collect();
    assert_eq!(kinds, (0..=26).collect());
}

fn config() -> ProptestConfig {
    let cases = if long() { 20_000 } else { 10_000 };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Changes one number or entry; false if there is nothing of the kind to change.
fn spoil(clearing: &mut Clearing, random: &mut Random) -> bool {
    let step = random.one_of(&[-1, 1]);
    let (fills, cells, unfilled) =
        (clearing.fills.len(), clearing.cells.len(), clearing.unfilled.len());
    let mut pick = |len: usize| (len > 0).then(|| random.within(0, len as u64 - 1) as usize);
    let kind = pick(10);
    let (Some(kind), Some(cell)) = (kind, pick(cells)) else { return false };
    let (fill, short) = (pick(fills), pick(unfilled));
    let told = &mut clearing.cells[cell];
    match (kind, fill, short) {
        (0, Some(fill), _) => {
            clearing.fills.remove(fill);
        }
        (1, Some(fill), _) => {
            let lanes = &mut clearing.fills[fill].lanes;
            *lanes = lanes.wrapping_add_signed(step);
        }
        (2, Some(fill), _) => clearing.fills.push(clearing.fills[fill].clone()),
        (3, _, Some(short)) => {
            clearing.unfilled.remove(short);
        }
        (4, _, Some(short)) => {
            let lanes = &mut clearing.unfilled[short].lanes;
            *lanes = lanes.wrapping_add_signed(step);
        }
        (5, _, _) => clearing.welfare += i128::from(step),
        (6, _, _) => told.lanes = told.lanes.wrapping_add_signed(step),
        (7, _, _) if told.price.is_some() => {
            told.price = told.price.map(|price| price + Price::from(step));
        }
        (8, _, _) => told.lo += Price::from(step),
        (9, _, _) => told.hi += Price::from(step),
        _ => return false,
    }
    true
}

/// Hands lanes of one bid to another that accepts the cell, and restates all that follows.
fn hand_over(book: &Book, clearing: &mut Clearing, random: &mut Random) -> bool {
    if clearing.fills.is_empty() || book.bids.len() < 2 {
        return false;
    }
    let from = random.within(0, clearing.fills.len() as u64 - 1) as usize;
    let cell = clearing.fills[from].cell;
    let taker = &book.bids[random.within(0, book.bids.len() as u64 - 1) as usize];
    if !taker.cells.contains(&cell) || taker.id == clearing.fills[from].bid {
        return false;
    }
    let lanes = random.within(1, u64::from(clearing.fills[from].lanes)) as u32;
    clearing.fills[from].lanes -= lanes;
    match clearing.fills.iter_mut().find(|fill| (fill.bid, fill.cell) == (taker.id, cell)) {
        Some(fill) => fill.lanes += lanes,
        None => clearing.fills.push(Fill { bid: taker.id, cell, lanes }),
    }
    restate(book, clearing);
    true
}

fn restate(book: &Book, clearing: &mut Clearing) {
    let bid = |id| book.bids.iter().find(|bid| bid.id == id).expect("it is in the book");
    let speed =
        |id| book.cells.iter().find(|cell| cell.id == id).expect("it is in the book").speed_ppm;
    let rank = |bid: &Bid| (-bid.price, bid.time, bid.id);
    clearing.fills.retain(|fill| fill.lanes > 0);
    clearing.fills.sort_by_key(|fill| (rank(bid(fill.bid)), fill.cell));
    let mut ranked: Vec<&Bid> = book.bids.iter().collect();
    ranked.sort_by_key(|bid| rank(bid));
    let fills = &clearing.fills;
    let won = |id| fills.iter().filter(|f| f.bid == id).map(|f| f.lanes).sum::<u32>();
    let open = |id: &u32| book.cells.iter().any(|c| c.id == *id && !c.levels.is_empty());
    let reason = |bid: &Bid| match bid.cells.iter().any(open) {
        true => Reason::Outbid { would_win: Price::MAX },
        false => Reason::NoSupply,
    };
    let short = |bid: &&Bid| Unfilled {
        bid: bid.id,
        lanes: bid.lanes.saturating_sub(won(bid.id)),
        reason: reason(bid),
    };
    clearing.unfilled = ranked.iter().map(short).filter(|short| short.lanes > 0).collect();
    let value: i128 = fills
        .iter()
        .map(|f| i128::from(lane_value(bid(f.bid).price, speed(f.cell))) * i128::from(f.lanes))
        .sum();
    let sold = clearing.cells.iter().flat_map(|cell| &cell.sold);
    clearing.welfare =
        value - sold.map(|l| i128::from(l.reserve) * i128::from(l.lanes)).sum::<i128>();
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_changed_number_is_noticed(seed in any::<u64>()) {
        let mut random = Random(seed);
        let book = book(&mut random, &SMALL);
        let mut clearing = clear(&book).unwrap();
        if spoil(&mut clearing, &mut random) {
            let refused = check(&book, &clearing).is_err();
            prop_assert!(refused, "not noticed: {:?}", clearing);
        }
    }

    /// An allocation that `check` lets pass may differ from ours in ties, never in welfare.
    #[test]
    fn no_worse_allocation_passes(seed in any::<u64>()) {
        let mut random = Random(seed);
        let book = book(&mut random, &SMALL);
        let optimum = clear(&book).unwrap();
        let mut other = optimum.clone();
        if hand_over(&book, &mut other, &mut random) && other.welfare != optimum.welfare {
            prop_assert!(check(&book, &other).is_err(), "passed: {:?}", other);
        }
    }

    /// `check` never panics, whatever it is given: the clearing of another book, extreme numbers.
    #[test]
    fn strangers_do_not_panic(seed in any::<u64>()) {
        let mut random = Random(seed);
        let (mine, other) = (book(&mut random, &SMALL), book(&mut random, &SMALL));
        let mut clearing = clear(&other).unwrap();
        for told in &mut clearing.cells {
            let extremes = [Price::MIN, -1, 0, MAX_PRICE, Price::MAX];
            told.lo = random.one_of(&extremes);
            told.hi = random.one_of(&extremes);
            told.price = random.one_of(&[told.price, None, Some(Price::MIN), Some(Price::MAX)]);
            told.lanes = random.one_of(&[told.lanes, 0, u32::MAX]);
        }
        for fill in &mut clearing.fills {
            fill.lanes = random.one_of(&[fill.lanes, 0, u32::MAX]);
        }
        let _ = check(&mine, &clearing);
        let _ = check(&other, &clearing);
    }
}
