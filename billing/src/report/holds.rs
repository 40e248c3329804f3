//! What is held back.

use std::collections::HashMap;

use ::store::schema::{account, hold, hold_event};
use ::store::{Amount, Day, HoldId, PartyId, Timestamp, Tx};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::cell::{party_text, row};
use super::{Column, Error, Param, Question, Report, Result, Rows};

pub(super) const REPORT: Report = Report {
    name: "holds",
    title: "Holds outstanding",
    about: "What was held back for jobs and payouts at the end of a day, in order of placing. \
            Overdue: its time was over and it was not released.",
    takes: &[Param::AsOf],
    columns: &[
        Column::text("hold"),
        Column::text("subject"),
        Column::text("account"),
        Column::text("code"),
        Column::text("party"),
        Column::text("asset"),
        Column::time("placed_at"),
        Column::time("expires_at"),
        Column::amount("amount"),
        Column::amount("left"),
        Column::integer("days"),
        Column::text("overdue"),
    ],
    rows,
};

/// Holds of a page.
const PAGE: i64 = 500;

type Row = (
    (HoldId, String),
    (::store::AccountId, String, PartyId, String),
    (Amount, Timestamp, Option<Timestamp>),
);

fn rows(tx: &mut Tx<'_>, question: &Question, rows: &mut dyn Rows) -> Result<()> {
    let day = question.span.to.ok_or_else(|| Error::Question("name a day".to_owned()))?;
    let end = day.next().start();
    let mut after = HoldId::NIL;
    loop {
        let page = page(tx, after, end)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.0.0;
        let ids: Vec<HoldId> = page.iter().map(|row| row.0.0).collect();
        let taken = taken(tx, &ids, end)?;
        for ((id, subject), (account, code, party, asset), (amount, placed_at, expires_at)) in page
        {
            let left = amount - taken.get(&id).copied().unwrap_or_default();
            let party = party_text(party);
            let overdue = expires_at.is_some_and(|at| at < end);
            row!(
                rows,
                &id.to_string(),
                &subject,
                &account.to_string(),
                &code,
                &party,
                &asset,
                placed_at,
                expires_at,
                amount,
                left,
                i64::from(day.0.saturating_sub(Day::of(placed_at).0)),
                if overdue { "yes" } else { "" },
            )?;
        }
    }
}

/// Holds that were open at a moment.
fn page(tx: &mut Tx<'_>, after: HoldId, end: Timestamp) -> Result<Vec<Row>> {
    Ok(hold::table
        .inner_join(account::table.on(account::id.eq(hold::account_id)))
        .filter(hold::id.gt(after))
        .filter(hold::created_at.lt(end))
        .filter(hold::ended_at.is_null().or(hold::ended_at.ge(Some(end))))
        .order(hold::id)
        .limit(PAGE)
        .select((
            (hold::id, hold::subject),
            (account::id, account::code, account::party_id, account::asset),
            (hold::amount, hold::created_at, hold::expires_at),
        ))
        .load(tx.conn)?)
}

/// What had been captured or released by then.
fn taken(tx: &mut Tx<'_>, ids: &[HoldId], end: Timestamp) -> Result<HashMap<HoldId, Amount>> {
    let rows: Vec<(HoldId, Amount)> = hold_event::table
        .filter(hold_event::hold_id.eq_any(ids))
        .filter(hold_event::kind.ne("placed"))
        .filter(hold_event::at.lt(end))
        .group_by(hold_event::hold_id)
        .select((hold_event::hold_id, sql::<BigInt>("CAST(SUM(hold_event.amount) AS BIGINT)")))
        .load(tx.conn)?;
    Ok(rows.into_iter().collect())
}
