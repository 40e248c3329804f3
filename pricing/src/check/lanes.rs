//! Lanes are conserved, and no bid or customer holds more or fewer than it may.

use std::collections::HashMap;

use super::Violation;
use super::view::{CellView, View};

pub(super) fn check_bids(view: &View) -> Result<(), Violation> {
    for bid in &view.bids {
        let id = bid.bid.id;
        if bid.filled > u64::from(bid.bid.lanes) {
            return Err(Violation::Overfilled { bid: id });
        }
        if (1..u64::from(bid.bid.min_fill)).contains(&bid.filled) {
            return Err(Violation::UnderMinFill { bid: id });
        }
    }
    check_caps(view)
}

fn check_caps(view: &View) -> Result<(), Violation> {
    if view.book.caps.is_empty() {
        return Ok(());
    }
    let mut won: HashMap<u128, u64> = HashMap::new();
    for bid in view.bids.iter().filter(|bid| bid.filled > 0) {
        if let Some(customer) = bid.bid.customer {
            *won.entry(customer).or_default() += bid.filled;
        }
    }
    let above = |customer: u128, lanes: u32| won.get(&customer).is_some_and(|w| *w > lanes.into());
    match view.book.caps.iter().find(|cap| above(cap.customer, cap.lanes)) {
        Some(cap) => Err(Violation::AboveCap { customer: cap.customer }),
        None => Ok(()),
    }
}

pub(super) fn check_cells(view: &View) -> Result<(), Violation> {
    view.cells.iter().try_for_each(check_cell)
}

fn check_cell(view: &CellView) -> Result<(), Violation> {
    let cell = view.cell.id;
    let told = view.told;
    if told.sold.windows(2).any(|pair| pair[0].reserve >= pair[1].reserve) {
        return Err(Violation::LevelList { cell });
    }
    let mut sold = 0_u64;
    for level in &told.sold {
        let lanes = u64::from(level.lanes);
        let offered = view.levels.binary_search_by_key(&level.reserve, |(reserve, _)| *reserve);
        match offered.map(|at| view.levels[at].1) {
            Err(_) => return Err(Violation::LevelList { cell }),
            Ok(_) if lanes == 0 => return Err(Violation::LevelList { cell }),
            Ok(offered) if lanes > offered => {
                return Err(Violation::Oversold { cell, reserve: level.reserve });
            }
            Ok(_) => sold += lanes,
        }
    }
    let filled = view.filled;
    if filled != sold || sold != u64::from(told.lanes) {
        return Err(Violation::LanesDiffer { cell, filled, sold, stated: told.lanes });
    }
    if told.price.is_some() != (sold > 0) {
        return Err(Violation::PriceWithoutSale { cell });
    }
    Ok(())
}
