//! Lanes are conserved.

use super::Violation;
use super::view::{CellView, View};

pub(super) fn check_bids(view: &View) -> Result<(), Violation> {
    match view.bids.iter().find(|bid| bid.filled() > u64::from(bid.bid.lanes)) {
        Some(bid) => Err(Violation::Overfilled { bid: bid.bid.id }),
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
        match view.levels.get(&level.reserve) {
            None => return Err(Violation::LevelList { cell }),
            Some(_) if lanes == 0 => return Err(Violation::LevelList { cell }),
            Some(offered) if lanes > *offered => {
                return Err(Violation::Oversold { cell, reserve: level.reserve });
            }
            Some(_) => sold += lanes,
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
