//! Bids left short are told so, and why.

use std::collections::HashMap;

use super::Violation;
use super::view::{BidView, View};
use crate::clearing::{Clearing, Reason};
use crate::price::Price;

pub(super) fn check_unfilled(view: &View, clearing: &Clearing) -> Result<(), Violation> {
    let wanted = wanted_under_caps(view);
    let mut listed = clearing.unfilled.iter();
    for bid in view.bids.iter().filter(|bid| bid.short() > 0) {
        let id = bid.bid.id;
        let told = listed.next().filter(|told| told.bid == id);
        let told = told.filter(|told| u64::from(told.lanes) == bid.short());
        let told = told.ok_or(Violation::UnfilledList { bid: id })?;
        if !can_be(view, bid, &told.reason, &wanted) {
            return Err(Violation::Reason { bid: id });
        }
    }
    listed.next().map_or(Ok(()), |extra| Err(Violation::UnfilledList { bid: extra.bid }))
}

/// Lanes wanted per customer with a cap, and the cap.
fn wanted_under_caps(view: &View) -> HashMap<u128, (u64, u32)> {
    let caps = view.book.caps.iter();
    let mut wanted: HashMap<u128, (u64, u32)> =
        caps.map(|cap| (cap.customer, (0, cap.lanes))).collect();
    if !wanted.is_empty() {
        for bid in &view.bids {
            if let Some(wanted) = bid.bid.customer.and_then(|id| wanted.get_mut(&id)) {
                wanted.0 += u64::from(bid.bid.lanes);
            }
        }
    }
    wanted
}

fn can_be(view: &View, bid: &BidView, reason: &Reason, wanted: &HashMap<u128, (u64, u32)>) -> bool {
    let slots = view.slots_of(bid);
    match *reason {
        Reason::NoSupply => slots.is_empty(),
        Reason::PriceTooLow { would_win } | Reason::Outbid { would_win } => {
            !slots.is_empty() && would_win > bid.bid.price
        }
        // Whoever holds all lanes of its cells holds some.
        Reason::SoldOut => bid.filled > 0,
        Reason::MinFill { would_win } => bid.bid.min_fill > 1 && would_win > bid.bid.price,
        Reason::Budget { .. } => {
            let dearest: Option<Price> = slots.iter().map(|slot| slot.value).max();
            let most = i128::from(dearest.unwrap_or(0)) * i128::from(bid.bid.lanes);
            bid.bid.budget.is_some_and(|budget| i128::from(budget) < most)
        }
        Reason::ShareCap => {
            let wanted = bid.bid.customer.and_then(|customer| wanted.get(&customer));
            wanted.is_some_and(|(wanted, cap)| *wanted > u64::from(*cap))
        }
    }
}
