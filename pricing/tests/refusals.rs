//! Every refusal of a book, and that `clear` and `check` refuse the same.

use pricing::*;

/// A book that only just fits in every respect.
fn valid() -> Book {
    let max = MAX_PRICE;
    Book {
        grid: 5,
        k_ppm: 1_000_000,
        cells: vec![
            Cell {
                id: 1,
                speed_ppm: 1,
                levels: vec![
                    Level { reserve: 0, lanes: u32::MAX - 1 },
                    Level { reserve: max, lanes: 1 },
                ],
            },
            Cell { id: 2, speed_ppm: MAX_SPEED_PPM, levels: vec![] },
        ],
        bids: vec![
            Bid { id: 7, time: i64::MIN, price: 1, lanes: 1, cells: vec![2, 1], ..Bid::default() },
            Bid {
                id: 8,
                time: i64::MAX,
                price: max,
                lanes: u32::MAX,
                cells: vec![],
                ..Bid::default()
            },
        ],
        ..Book::default()
    }
}

type Fault = (fn(&mut Book), BookError);

fn faults() -> Vec<Fault> {
    use BookError::*;
    vec![
        (
            |b| b.cells = (0..2_049).map(|id| Cell { id, ..b.cells[1].clone() }).collect(),
            TooManyCells { cells: 2_049 },
        ),
        (|b| b.grid = 0, GridOutOfRange { grid: 0 }),
        (|b| b.grid = -5, GridOutOfRange { grid: -5 }),
        (|b| b.grid = Price::MIN, GridOutOfRange { grid: Price::MIN }),
        (|b| b.grid = MAX_PRICE + 1, GridOutOfRange { grid: MAX_PRICE + 1 }),
        (|b| b.k_ppm = 1_000_001, PriceRuleOutOfRange { k_ppm: 1_000_001 }),
        (|b| b.cells[1].id = 1, DuplicateCell { cell: 1 }),
        (|b| b.cells[1].speed_ppm = 0, SpeedOutOfRange { cell: 2, speed_ppm: 0 }),
        (
            |b| b.cells[0].speed_ppm = MAX_SPEED_PPM + 1,
            SpeedOutOfRange { cell: 1, speed_ppm: MAX_SPEED_PPM + 1 },
        ),
        (|b| b.cells[0].levels[0].lanes = 0, LevelWithoutLanes { cell: 1, reserve: 0 }),
        (|b| b.cells[0].levels[0].reserve = -5, ReserveOutOfRange { cell: 1, reserve: -5 }),
        (
            |b| b.cells[0].levels[1].reserve = MAX_PRICE + 5,
            ReserveOutOfRange { cell: 1, reserve: MAX_PRICE + 5 },
        ),
        (|b| b.cells[0].levels[0].reserve = 7, ReserveOffGrid { cell: 1, reserve: 7 }),
        (|b| b.cells[0].levels[1].lanes = 2, TooManyLanes { cell: 1 }),
        (|b| b.bids[1].id = 7, DuplicateBid { bid: 7 }),
        (|b| b.bids[0].price = 0, PriceOutOfRange { bid: 7, price: 0 }),
        (|b| b.bids[0].price = -1, PriceOutOfRange { bid: 7, price: -1 }),
        (|b| b.bids[1].price = MAX_PRICE + 1, PriceOutOfRange { bid: 8, price: MAX_PRICE + 1 }),
        (|b| b.bids[1].price = Price::MAX, PriceOutOfRange { bid: 8, price: Price::MAX }),
        (|b| b.bids[0].lanes = 0, BidWithoutLanes { bid: 7 }),
        (|b| b.bids[0].min_fill = 2, MinFillAboveLanes { bid: 7, min_fill: 2, lanes: 1 }),
        (|b| b.bids[0].budget = Some(-1), NegativeBudget { bid: 7, budget: -1 }),
        (|b| b.bids[1].budget = Some(Price::MIN), NegativeBudget { bid: 8, budget: Price::MIN }),
        (|b| b.bids[1].cells = vec![1, 3], UnknownCell { bid: 8, cell: 3 }),
        (|b| b.bids[0].cells = vec![1, 2, 1], RepeatedCell { bid: 7, cell: 1 }),
        (
            |b| b.caps = vec![Cap { customer: 9, lanes: 1 }, Cap { customer: 9, lanes: 2 }],
            DuplicateCap { customer: 9 },
        ),
    ]
}

#[test]
fn each_fault_is_refused_by_name() {
    let clearing = clear(&valid()).unwrap();
    for (spoil, refusal) in faults() {
        let mut book = valid();
        spoil(&mut book);
        assert_eq!(validate(&book), Err(refusal.clone()));
        assert_eq!(clear(&book), Err(refusal.clone()));
        assert_eq!(check(&book, &clearing), Err(Violation::Book(refusal)));
    }
}

#[test]
fn what_only_just_fits_is_accepted() {
    let book = valid();
    assert_eq!(validate(&book), Ok(()));
    assert_eq!(check(&book, &clear(&book).unwrap()), Ok(()));
}

/// Of two faults the first in the order of the variants is named.
#[test]
fn refusals_have_precedence() {
    let faults = faults();
    for (first, refusal) in &faults {
        for (second, other) in &faults {
            let mut book = valid();
            // The later fault first, so that it cannot hide behind the other.
            second(&mut book);
            if refusal_order(refusal) < refusal_order(other) && validate(&book).is_err() {
                first(&mut book);
                assert_eq!(validate(&book), Err(refusal.clone()), "before {other:?}");
            }
        }
    }
}

/// Sizes, then rules, then cells, then bids; within a cell or a bid the variants' order. Faults of
/// two cells or two bids are found in the order of listing, so those rank alike.
fn refusal_order(error: &BookError) -> u32 {
    use BookError::*;
    match error {
        TooManyCells { .. } => 0,
        TooManyBids { .. } => 1,
        TooManyAcceptances { .. } => 2,
        GridOutOfRange { .. } => 3,
        PriceRuleOutOfRange { .. } => 4,
        DuplicateCell { .. } => 5,
        SpeedOutOfRange { .. }
        | LevelWithoutLanes { .. }
        | ReserveOutOfRange { .. }
        | ReserveOffGrid { .. }
        | TooManyLanes { .. } => 6,
        DuplicateBid { .. } => 7,
        PriceOutOfRange { .. }
        | BidWithoutLanes { .. }
        | MinFillAboveLanes { .. }
        | NegativeBudget { .. }
        | UnknownCell { .. }
        | RepeatedCell { .. } => 8,
        DuplicateCap { .. } => 9,
    }
}

#[test]
fn errors_read_well() {
    assert_eq!(
        BookError::UnknownCell { bid: 255, cell: 3 }.to_string(),
        "bid 000000000000000000000000000000ff names the unknown cell 3"
    );
}

/// A million bids of one lane, for half as many lanes in two cells.
#[test]
fn a_million_small_bids_clear() {
    let cell = |id| Cell {
        id,
        speed_ppm: 1_000_000,
        levels: (1..=250).map(|n| Level { reserve: n * 100, lanes: 1_000 }).collect(),
    };
    let bid = |n: u32| Bid {
        id: u128::from(n),
        price: Price::from(n % 50_021 + 1),
        lanes: 1,
        cells: vec![1, 2],
        min_fill: n % 2,
        ..Bid::default()
    };
    let book = Book {
        grid: 1,
        cells: vec![cell(1), cell(2)],
        bids: (0..1_000_000).map(bid).collect(),
        ..Book::default()
    };
    let clearing = clear(&book).expect("the book is valid");
    assert_eq!(check(&book, &clearing), Ok(()));
    assert_eq!(clearing.cells.iter().map(|cell| cell.lanes).sum::<u32>(), 500_000);
}

/// A budget that no lane is within wins none, and leaves the lanes to others.
#[test]
fn budgets_below_one_lane_win_nothing() {
    let level = Level { reserve: 10, lanes: 4 };
    let bid =
        |id, budget| Bid { id, price: 20, lanes: 2, cells: vec![1], budget, ..Bid::default() };
    let mut book = Book {
        grid: 1,
        cells: vec![Cell { id: 1, speed_ppm: 1_000_000, levels: vec![level] }],
        bids: vec![bid(1, Some(0)), bid(2, Some(9)), bid(3, Some(10)), bid(4, None)],
        ..Book::default()
    };
    let clearing = clear(&book).expect("the book is valid");
    assert_eq!(check(&book, &clearing), Ok(()));
    let won: Vec<(u128, u32)> = clearing.fills.iter().map(|fill| (fill.bid, fill.lanes)).collect();
    assert_eq!(won, [(3, 1), (4, 2)]);
    // And one that only just reaches for all it wants is not cut.
    book.bids[3].budget = Some(20);
    let clearing = clear(&book).expect("the book is valid");
    assert_eq!(clearing.fills.last().map(|fill| fill.lanes), Some(2));
}
