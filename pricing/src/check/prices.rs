//! Prices support the allocation, and the allocation is the best.

use std::collections::HashMap;

use super::Violation;
use super::view::{CellView, View};
use crate::price::{Price, price_at};

/// Complementary slackness: what every buyer and every car holds is the best for it at the price.
pub(super) fn check_support(view: &View) -> Result<(), Violation> {
    for bid in 0..view.bids.len() {
        for &(c, _) in &view.bids[bid].fills {
            if view.gain(bid, c) < 0 {
                let cell = view.cells[c].cell.id;
                return Err(Violation::AboveValue { bid: view.bids[bid].bid.id, cell });
            }
        }
    }
    view.cells.iter().try_for_each(check_sellers)?;
    (0..view.bids.len()).try_for_each(|bid| check_buyer(view, bid))
}

fn check_sellers(view: &CellView) -> Result<(), Violation> {
    let cell = view.cell.id;
    if let Some(level) = view.told.sold.iter().find(|level| level.reserve > view.price) {
        return Err(Violation::BelowReserve { cell, reserve: level.reserve });
    }
    match next_unsold(view) {
        Some(reserve) if reserve < view.price => Err(Violation::CheaperUnsold { cell, reserve }),
        _ => Ok(()),
    }
}

/// The reserve of the cheapest unsold lane.
fn next_unsold(view: &CellView) -> Option<Price> {
    let sold = |reserve| view.told.sold.iter().find(|level| level.reserve == reserve);
    let left = |(reserve, offered): (&Price, &u64)| {
        let sold = sold(*reserve).map_or(0, |level| u64::from(level.lanes));
        (sold < *offered).then_some(*reserve)
    };
    view.levels.iter().find_map(left)
}

fn check_buyer(view: &View, bid: usize) -> Result<(), Violation> {
    let id = view.bids[bid].bid.id;
    let best = view.open_to(bid).map(|c| (view.gain(bid, c), c)).max();
    let Some((gain, best)) = best else { return Ok(()) };
    let better = view.cells[best].cell.id;
    if view.bids[bid].short() > 0 && gain > 0 {
        return Err(Violation::ShortButGains { bid: id, cell: better });
    }
    match view.bids[bid].fills.iter().find(|(c, _)| view.gain(bid, *c) < gain) {
        Some((c, _)) => {
            Err(Violation::BetterCell { bid: id, cell: view.cells[*c].cell.id, better })
        }
        None => Ok(()),
    }
}

/// Of two bids alike in price and cells, the later wins only once the earlier is whole.
pub(super) fn check_rank(view: &View) -> Result<(), Violation> {
    let mut short: HashMap<(Price, &[usize]), u128> = HashMap::new();
    for bid in &view.bids {
        let kind = (bid.bid.price, bid.accepts.as_slice());
        if let Some(ahead) = short.get(&kind).filter(|_| bid.filled() > 0) {
            return Err(Violation::OutOfRank { bid: *ahead, behind: bid.bid.id });
        }
        if bid.short() > 0 {
            short.entry(kind).or_insert(bid.bid.id);
        }
    }
    Ok(())
}

/// Whether `lo` and `hi` are the ends of the supporting range, and the price follows the rule.
pub(super) fn check_range(view: &View) -> Result<(), Violation> {
    let (lo, hi) = ends(view);
    for (c, cell) in view.cells.iter().enumerate() {
        let id = cell.cell.id;
        if (cell.told.lo, cell.told.hi) != (lo[c], hi[c]) {
            return Err(Violation::Range { cell: id, lo: lo[c], hi: hi[c] });
        }
        let expected = price_at(lo[c], hi[c], view.k_ppm);
        if cell.price != expected {
            return Err(Violation::PriceRule { cell: id, expected });
        }
    }
    Ok(())
}

/// Bellman-Ford on `lo_d ≥ lo_c + gain(c → d)` and `hi_c ≤ hi_d − gain(c → d)`. It ends because
/// the prices, already found to support the allocation, bound both; values are in range.
fn ends(view: &View) -> (Vec<Price>, Vec<Price>) {
    let (mut lo, mut hi) = own_bounds(view);
    let moves = best_moves(view);
    loop {
        let before = (lo.clone(), hi.clone());
        for &(from, to, gain) in &moves {
            lo[to] = lo[to].max(lo[from] + gain);
            hi[from] = hi[from].min(hi[to] - gain);
        }
        if before == (lo.clone(), hi.clone()) {
            return (lo, hi);
        }
    }
}

/// The bounds a cell has by itself. One without supply has none and counts as 0.
fn own_bounds(view: &View) -> (Vec<Price>, Vec<Price>) {
    let dearest = |cell: &CellView| cell.told.sold.last().map_or(0, |level| level.reserve);
    // A cell without an unsold lane that has any lane has holders, which bound it below.
    let unsold = |cell: &CellView| match next_unsold(cell) {
        Some(reserve) => reserve,
        None if cell.levels.is_empty() => 0,
        None => Price::MAX / 2,
    };
    let mut lo: Vec<Price> = view.cells.iter().map(dearest).collect();
    let mut hi: Vec<Price> = view.cells.iter().map(unsold).collect();
    for bid in 0..view.bids.len() {
        for &(c, _) in &view.bids[bid].fills {
            hi[c] = hi[c].min(view.value(bid, c));
        }
        if view.bids[bid].short() > 0 {
            view.open_to(bid).for_each(|c| lo[c] = lo[c].max(view.value(bid, c)));
        }
    }
    (lo, hi)
}

/// The greatest gain of a holder by a move, for each pair of cells that has one.
fn best_moves(view: &View) -> Vec<(usize, usize, Price)> {
    let n = view.cells.len();
    let mut best: Vec<Option<Price>> = vec![None; n * n];
    for bid in 0..view.bids.len() {
        for &(from, _) in &view.bids[bid].fills {
            for to in view.open_to(bid).filter(|to| *to != from) {
                let gain = view.value(bid, to) - view.value(bid, from);
                let best = &mut best[from * n + to];
                *best = (*best).max(Some(gain));
            }
        }
    }
    let moves = best.into_iter().enumerate();
    moves.filter_map(|(at, gain)| gain.map(|gain| (at / n, at % n, gain))).collect()
}

/// Whether the stated welfare is that of the allocation, and no allocation can have more.
pub(super) fn check_objectives(view: &View, stated: i128) -> Result<(), Violation> {
    let found = primal(view);
    if stated != found {
        return Err(Violation::Welfare { stated, found });
    }
    let dual = dual(view);
    if found != dual { Err(Violation::Dual { primal: found, dual }) } else { Ok(()) }
}

fn primal(view: &View) -> i128 {
    let worth = |bid: usize| {
        let fills = view.bids[bid].fills.iter();
        fills.map(move |(c, n)| i128::from(view.value(bid, *c)) * i128::from(*n)).sum::<i128>()
    };
    let value: i128 = (0..view.bids.len()).map(worth).sum();
    let sold = view.cells.iter().flat_map(|cell| &cell.told.sold);
    value - sold.map(|l| i128::from(l.reserve) * i128::from(l.lanes)).sum::<i128>()
}

/// What the prices let sellers and buyers hope for at most: an upper bound of any welfare.
fn dual(view: &View) -> i128 {
    let sellers = view.cells.iter().flat_map(|cell| {
        let rent = |reserve: Price| (i128::from(cell.price) - i128::from(reserve)).max(0);
        cell.levels.iter().map(move |(reserve, lanes)| rent(*reserve) * i128::from(*lanes))
    });
    let buyers = (0..view.bids.len()).map(|bid| {
        let gain = view.open_to(bid).map(|c| view.gain(bid, c)).max();
        gain.unwrap_or(0).max(0) * i128::from(view.bids[bid].bid.lanes)
    });
    sellers.sum::<i128>() + buyers.sum::<i128>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::{Bid, Book, Cell, Level};

    /// The slackness conditions imply it, so `check` never gets as far: here it stands alone.
    #[test]
    fn prices_that_do_not_support_have_another_dual() {
        let book = Book {
            grid: 1,
            k_ppm: 0,
            cells: vec![Cell {
                id: 1,
                speed_ppm: 1_000_000,
                levels: vec![Level { reserve: 5, lanes: 1 }],
            }],
            bids: [(1, 10), (2, 8)]
                .map(|(id, price)| Bid { id, time: 0, price, lanes: 1, cells: vec![1] })
                .to_vec(),
        };
        let mut clearing = crate::clear(&book).unwrap();
        assert_eq!((clearing.cells[0].price, clearing.welfare), (Some(8), 5));
        for (price, dual) in [(7, 6), (8, 5), (9, 5), (10, 5), (11, 6)] {
            clearing.cells[0].price = Some(price);
            let view = View::of(&book, &clearing).unwrap();
            let expected =
                if dual == 5 { Ok(()) } else { Err(Violation::Dual { primal: 5, dual }) };
            assert_eq!(check_objectives(&view, 5), expected);
        }
    }
}
