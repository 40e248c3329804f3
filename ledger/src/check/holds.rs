//! Holds against their events, and captures against the transactions that made them.

use ::store::{AnyConnection, HoldId};

use super::store::{EventRow, HoldRow};
use super::{CheckReport, Sum, store};
use crate::pages::Pages;
use crate::{Code, Result, Side};

pub(super) fn check(conn: &mut AnyConnection, report: &mut CheckReport) -> Result<()> {
    let mut holds = store::holds();
    let mut events = store::events();
    while let Some(row) = holds.next(conn)? {
        report.holds += 1;
        skip_strays(conn, report, &mut events, Some(row.id))?;
        let side = row.code.as_deref().and_then(Code::parse).map(Code::side);
        let mut fold = Fold::default();
        while let Some(event) = events.next_if(conn, |event| event.hold == row.id)? {
            fold_event(report, &mut fold, &event, side);
        }
        compare_hold(report, &row, &fold);
    }
    skip_strays(conn, report, &mut events, None)
}

/// The fold of a hold's events.
#[derive(Default)]
struct Fold {
    events: i32,
    placed: i128,
    captured: i128,
    released: i128,
}

/// `side` is the account's, `None` if it has none: that is listed with the account.
fn fold_event(report: &mut CheckReport, fold: &mut Fold, event: &EventRow, side: Option<Side>) {
    let id = &event.hold;
    fold.events += 1;
    report.compare("hold_event.number", id, event.number, fold.events);
    let placed_first = (event.kind == "placed") == (fold.events == 1);
    if !placed_first {
        report.list("hold_event.kind", id, &event.kind, &"placed, once and first");
    }
    let amount = i128::from(event.amount.0);
    match event.kind.as_str() {
        "placed" => fold.placed += amount,
        "captured" => fold.captured += amount,
        _ => fold.released += amount,
    }
    let moved = event.moved.map_or(0, |moved| i128::from(moved.0));
    let taken = match side {
        Some(Side::Debit) => -moved,
        Some(Side::Credit) => moved,
        None => moved.abs(),
    };
    let captured = if event.kind == "captured" { amount } else { 0 };
    report.compare("hold_event.amount", id, Sum(captured), Sum(taken));
    if event.kind != "captured" && event.transaction.is_some() {
        report.list("hold_event.transaction_id", id, &"a transaction", &"none");
    }
}

fn compare_hold(report: &mut CheckReport, row: &HoldRow, fold: &Fold) {
    let id = &row.id;
    report.compare("hold.amount", id, Sum(row.amount.0.into()), Sum(fold.placed));
    report.compare("hold.captured", id, Sum(row.captured.0.into()), Sum(fold.captured));
    report.compare("hold.released", id, Sum(row.released.0.into()), Sum(fold.released));
    let left = fold.placed - fold.captured - fold.released;
    if left < 0 {
        report.list("hold.remaining", id, &Sum(left), &"at least 0");
    }
    report.compare("hold.open", id, row.open, left > 0);
    report.compare("hold.ended_at", id, row.ended_at.is_some(), left <= 0);
}

/// Lists events of holds that are not there, up to the hold `before`.
fn skip_strays(
    conn: &mut AnyConnection,
    report: &mut CheckReport,
    events: &mut Pages<EventRow, (HoldId, i32)>,
    before: Option<HoldId>,
) -> Result<()> {
    let stray = |id: HoldId| before.is_none_or(|before| id < before);
    while let Some(event) = events.next_if(conn, |event| stray(event.hold))? {
        report.list("hold_event.hold_id", &event.hold, &event.kind, &"no hold");
    }
    Ok(())
}
