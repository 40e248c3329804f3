//! What customers have announced and not paid, by age: accounts receivable.

use ::store::schema::deposit;
use ::store::{Amount, Day, DepositId, PartyId, Timestamp, Tx};
use diesel::prelude::*;

use super::cell::row;
use super::{Column, Error, Param, Question, Report, Result, Rows};

pub(super) const REPORT: Report = Report {
    name: "receivables",
    title: "Receivables by age",
    about: "Customers pay before they spend, so what is open at the end of a day are transfers that \
            were announced and have not come.",
    takes: &[Param::AsOf],
    columns: &[
        Column::text("deposit"),
        Column::text("customer"),
        Column::text("asset"),
        Column::amount("amount"),
        Column::text("reference"),
        Column::day("announced_on"),
        Column::integer("days"),
        Column::text("age"),
    ],
    rows,
};

/// Deposits of a page.
const PAGE: i64 = 500;

type Row = (DepositId, PartyId, String, Amount, String, Timestamp);

fn rows(tx: &mut Tx<'_>, question: &Question, rows: &mut dyn Rows) -> Result<()> {
    let day = question.span.to.ok_or_else(|| Error::Question("name a day".to_owned()))?;
    let mut after = DepositId::NIL;
    loop {
        let page = page(tx, after, day.next().start())?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.0;
        for (id, customer, asset, amount, reference, created_at) in page {
            let announced_on = Day::of(created_at);
            let days = day.0.saturating_sub(announced_on.0);
            row!(
                rows,
                &id.to_string(),
                &customer.to_string(),
                &asset,
                amount,
                &reference,
                announced_on,
                i64::from(days),
                age(days),
            )?;
        }
    }
}

fn age(days: i32) -> &'static str {
    match days {
        ..=30 => "0-30",
        31..=60 => "31-60",
        61..=90 => "61-90",
        _ => "over 90",
    }
}

fn page(tx: &mut Tx<'_>, after: DepositId, end: Timestamp) -> Result<Vec<Row>> {
    Ok(deposit::table
        .filter(deposit::id.gt(after))
        .filter(deposit::created_at.lt(end))
        .filter(deposit::confirmed_at.is_null().or(deposit::confirmed_at.ge(Some(end))))
        .order(deposit::id)
        .limit(PAGE)
        .select((
            deposit::id,
            deposit::customer_id,
            deposit::asset,
            deposit::amount,
            deposit::reference,
            deposit::created_at,
        ))
        .load(tx.conn)?)
}
