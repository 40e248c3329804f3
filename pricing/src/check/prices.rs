//! Prices support the allocation.

use std::collections::HashMap;

use super::Violation;
use super::view::{BidView, CellView, View};

/// Complementary slackness: what every buyer and every car holds is the best for it at the price.
pub(super) fn check_support(view: &View) -> Result<(), Violation> {
    for bid in &view.bids {
        if let Some(slot) = view.fills_of(bid).find(|slot| view.gain(slot) < 0) {
            return Err(Violation::AboveValue {
                bid: bid.bid.id,
                cell: view.cells[slot.cell as usize].cell.id,
            });
        }
    }
    view.cells.iter().try_for_each(check_sellers)?;
    view.bids.iter().try_for_each(|bid| check_buyer(view, bid))?;
    view.bids.iter().try_for_each(|bid| check_budget(view, bid))
}

fn check_sellers(view: &CellView) -> Result<(), Violation> {
    let cell = view.cell.id;
    if let Some(level) = view.told.sold.iter().find(|level| level.reserve > view.price) {
        return Err(Violation::BelowReserve { cell, reserve: level.reserve });
    }
    match view.unsold {
        Some((reserve, _)) if reserve < view.price => {
            Err(Violation::CheaperUnsold { cell, reserve })
        }
        _ => Ok(()),
    }
}

fn check_buyer(view: &View, bid: &BidView) -> Result<(), Violation> {
    let id = bid.bid.id;
    let Some((gain, best)) = bid.best else { return Ok(()) };
    let better = view.cells[best as usize].cell.id;
    if gain > 0 && bid.is_short_by_price() {
        return Err(Violation::ShortButGains { bid: id, cell: better });
    }
    match view.fills_of(bid).find(|slot| view.gain(slot) < gain) {
        Some(slot) => {
            let cell = view.cells[slot.cell as usize].cell.id;
            Err(Violation::BetterCell { bid: id, cell, better })
        }
        None => Ok(()),
    }
}

fn check_budget(view: &View, bid: &BidView) -> Result<(), Violation> {
    let Some(budget) = bid.bid.budget else { return Ok(()) };
    let price = |cell: usize| i128::from(view.cells[cell].price);
    let pays: i128 = view.fills_of(bid).map(|s| price(s.cell as usize) * i128::from(s.lanes)).sum();
    match pays > i128::from(budget) {
        true => Err(Violation::AboveBudget { bid: bid.bid.id, pays }),
        false => Ok(()),
    }
}

/// Of two bids alike in price and cells, the later wins only once the earlier is whole, unless the
/// earlier is held short by its own conditions.
pub(super) fn check_rank(view: &View) -> Result<(), Violation> {
    for equals in view.bids.chunk_by(|a, b| a.bid.price == b.bid.price) {
        let first_short = equals.iter().position(BidView::is_short_by_price);
        let Some(first_short) = first_short else { continue };
        let mut short: HashMap<Vec<u32>, u128> = HashMap::new();
        for bid in &equals[first_short..] {
            if bid.filled == 0 && !bid.is_short_by_price() {
                continue;
            }
            let mut cells: Vec<u32> = view.slots_of(bid).iter().map(|slot| slot.cell).collect();
            cells.sort_unstable();
            if let Some(ahead) = short.get(&cells).filter(|_| bid.filled > 0) {
                return Err(Violation::OutOfRank { bid: *ahead, behind: bid.bid.id });
            }
            if bid.is_short_by_price() {
                short.entry(cells).or_insert(bid.bid.id);
            }
        }
    }
    Ok(())
}

/// No bid was rejected for its min fill that could have been served whole, at these prices and in
/// its best cells, from cars that ask for no more. Bids with a budget or a cap are left out.
pub(super) fn check_rejected(view: &View) -> Result<(), Violation> {
    let capped: std::collections::HashSet<u128> =
        view.book.caps.iter().map(|cap| cap.customer).collect();
    for bid in view.bids.iter().filter(|bid| bid.limited && bid.filled == 0) {
        let is_capped = bid.bid.customer.is_some_and(|customer| capped.contains(&customer));
        if bid.bid.min_fill < 2 || bid.bid.budget.is_some() || is_capped {
            continue;
        }
        let best = bid.best.map(|(gain, _)| gain).filter(|gain| *gain >= 0);
        let slots = view.slots_of(bid).iter().filter(|slot| Some(view.gain(slot)) == best);
        let left = slots.map(|slot| match view.cells[slot.cell as usize].unsold {
            Some((reserve, lanes)) if reserve <= view.cells[slot.cell as usize].price => lanes,
            _ => 0,
        });
        if left.sum::<u64>() >= u64::from(bid.bid.min_fill) {
            return Err(Violation::RejectedInVain { bid: bid.bid.id });
        }
    }
    Ok(())
}
