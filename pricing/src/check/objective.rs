//! The allocation is the best that its bids' limits leave.

use super::Violation;
use super::view::View;
use crate::clearing::Clearing;
use crate::price::Price;

/// Whether the stated welfare is that of the allocation, no allocation can have more, and the
/// bound lies between it and what the same prices prove of a book without min fills, budgets and
/// caps.
pub(super) fn check_objectives(view: &View, clearing: &Clearing) -> Result<(), Violation> {
    let (stated, found) = (clearing.welfare, primal(view));
    if stated != found {
        return Err(Violation::Welfare { stated, found });
    }
    let (dual, at_most) = duals(view);
    if found != dual {
        return Err(Violation::Dual { primal: found, dual });
    }
    match (found..=at_most).contains(&clearing.bound) {
        true => Ok(()),
        false => Err(Violation::Bound { welfare: found, stated: clearing.bound, at_most }),
    }
}

fn primal(view: &View) -> i128 {
    let fills = view.bids.iter().flat_map(|bid| view.fills_of(bid));
    let value: i128 = fills.map(|slot| i128::from(slot.value) * i128::from(slot.lanes)).sum();
    let sold = view.cells.iter().flat_map(|cell| &cell.told.sold);
    value - sold.map(|l| i128::from(l.reserve) * i128::from(l.lanes)).sum::<i128>()
}

/// What the prices let sellers and buyers hope for at most: an upper bound of any welfare. First
/// if bids held short by their own conditions want no more than they won, then if they want all.
fn duals(view: &View) -> (i128, i128) {
    let sellers = view.cells.iter().flat_map(|cell| {
        let rent = |reserve: Price| (i128::from(cell.price) - i128::from(reserve)).max(0);
        cell.levels.iter().map(move |(reserve, lanes)| rent(*reserve) * i128::from(*lanes))
    });
    let sellers: i128 = sellers.sum();
    let mut duals = (sellers, sellers);
    for bid in &view.bids {
        let gain = bid.best.map_or(0, |(gain, _)| gain).max(0);
        let lanes = if bid.limited { bid.filled } else { u64::from(bid.bid.lanes) };
        duals.0 += gain * i128::from(lanes);
        duals.1 += gain * i128::from(bid.bid.lanes);
    }
    duals
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
            cells: vec![Cell {
                id: 1,
                speed_ppm: 1_000_000,
                levels: vec![Level { reserve: 5, lanes: 1 }],
            }],
            bids: [(1, 10), (2, 8)]
                .map(|(id, price)| Bid { id, price, lanes: 1, cells: vec![1], ..Bid::default() })
                .to_vec(),
            ..Book::default()
        };
        let mut clearing = crate::clear(&book).unwrap();
        assert_eq!((clearing.cells[0].price, clearing.welfare), (Some(8), 5));
        for (price, dual) in [(7, 6), (8, 5), (9, 5), (10, 5), (11, 6)] {
            clearing.cells[0].price = Some(price);
            let view = View::of(&book, &clearing).unwrap();
            let expected =
                if dual == 5 { Ok(()) } else { Err(Violation::Dual { primal: 5, dual }) };
            assert_eq!(check_objectives(&view, &clearing), expected);
        }
    }
}
