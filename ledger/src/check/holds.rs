//! Holds against the history of their events.

use std::collections::HashMap;

use diesel::prelude::*;
use store::schema::{hold, hold_event};
use store::{AccountId, Amount, HoldId, Tx};

use super::CheckReport;
use crate::{Error, Result};

/// Holds of a page.
const PAGE: i64 = 500;

#[derive(Queryable)]
struct Row {
    id: HoldId,
    account: AccountId,
    amount: Amount,
    captured: Amount,
    released: Amount,
    open: bool,
}

/// Checks every hold; answers what the open ones keep back, by account.
pub(super) fn check_holds(
    tx: &mut Tx<'_>,
    report: &mut CheckReport,
) -> Result<HashMap<AccountId, Amount>> {
    let mut held: HashMap<AccountId, Amount> = HashMap::new();
    let mut after = HoldId::NIL;
    loop {
        let page = load_page(tx, after)?;
        let Some(last) = page.last() else { return Ok(held) };
        after = last.id;
        for row in page {
            report.holds += 1;
            let left = check_hold(tx, report, &row)?;
            if row.open {
                let back = held.entry(row.account).or_default();
                *back = back.checked_add(left).ok_or(Error::Overflow)?;
            }
        }
    }
}

fn load_page(tx: &mut Tx<'_>, after: HoldId) -> Result<Vec<Row>> {
    let page = hold::table
        .filter(hold::id.gt(after))
        .order(hold::id)
        .limit(PAGE)
        .select((
            hold::id,
            hold::account_id,
            hold::amount,
            hold::captured,
            hold::released,
            hold::open,
        ))
        .load(tx.conn)?;
    Ok(page)
}

/// Folds the hold's events; answers what is left of it by them.
fn check_hold(tx: &mut Tx<'_>, report: &mut CheckReport, row: &Row) -> Result<Amount> {
    let events: Vec<(i32, String, Amount)> = hold_event::table
        .filter(hold_event::hold_id.eq(row.id))
        .order(hold_event::number)
        .select((hold_event::number, hold_event::kind, hold_event::amount))
        .load(tx.conn)?;
    let (mut placed, mut captured, mut released) = (Amount::ZERO, Amount::ZERO, Amount::ZERO);
    for ((number, kind, amount), expected) in events.into_iter().zip(1..) {
        report.compare("hold_event.number", row.id, number, expected);
        let sum = match kind.as_str() {
            "placed" => &mut placed,
            "captured" => &mut captured,
            _ => &mut released,
        };
        *sum = sum.checked_add(amount).ok_or(Error::Overflow)?;
    }
    report.compare("hold.amount", row.id, row.amount, placed);
    report.compare("hold.captured", row.id, row.captured, captured);
    report.compare("hold.released", row.id, row.released, released);
    let left = placed.checked_sub(captured).and_then(|rest| rest.checked_sub(released));
    let left = left.ok_or(Error::Overflow)?;
    report.compare("hold.left", row.id, left < Amount::ZERO, false);
    if !row.open {
        report.compare("hold.ended with", row.id, left, Amount::ZERO);
    }
    Ok(left)
}
