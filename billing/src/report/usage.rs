//! What ran, for how long, and on how much energy.

use ::store::schema::{hardware_class, lease, market, vehicle};
use ::store::{Amount, Timestamp, Tx};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Text};

use super::cell::row;
use super::{Column, Param, Question, Report, Result, Rows};

pub(super) const REPORT: Report = Report {
    name: "usage",
    title: "Usage and energy",
    about: "Leases settled in a period by region and class: how many, how long the cars were let, \
            how long was billed, what customers paid, and the energy: the class's watts for as long \
            as the cars were let, an upper bound and no measurement.",
    takes: &[Param::Period],
    columns: &[
        Column::text("asset"),
        Column::text("region"),
        Column::text("class"),
        Column::integer("leases"),
        Column::integer("let_seconds"),
        Column::integer("billed_seconds"),
        Column::amount("gross"),
        Column::integer("watt_hours"),
    ],
    rows,
};

type Row = ((String, String, String, i32), (i64, i64, i64, Amount));

fn rows(tx: &mut Tx<'_>, question: &Question, rows: &mut dyn Rows) -> Result<()> {
    let from = question.span.from.map_or(Timestamp(i64::MIN), |day| day.start());
    let to = question.span.to.map_or(Timestamp(i64::MAX), |day| day.next().start());
    let sum = |of: &str| sql::<BigInt>(&format!("CAST(COALESCE(SUM({of}), 0) AS BIGINT)"));
    let let_us = "lease.ended_at - COALESCE(lease.started_at, lease.ended_at)";
    let mut groups: Vec<Row> = lease::table
        .inner_join(vehicle::table.on(vehicle::id.eq(lease::vehicle_id)))
        .inner_join(hardware_class::table.on(hardware_class::id.eq(vehicle::class_id)))
        .inner_join(market::table.on(market::id.eq(lease::market_id)))
        .filter(lease::settled_at.ge(Some(from)))
        .filter(lease::settled_at.lt(Some(to)))
        .group_by(sql::<Text>(
            "market.asset, vehicle.region_id, vehicle.class_id, hardware_class.watts",
        ))
        .select((
            (
                sql::<Text>("market.asset"),
                sql::<Text>("vehicle.region_id"),
                sql::<Text>("vehicle.class_id"),
                sql::<Integer>("hardware_class.watts"),
            ),
            (sql::<BigInt>("COUNT(*)"), sum(let_us), sum("lease.billed_s"), sum("lease.amount")),
        ))
        .load(tx.conn)?;
    // Here and not in the database: every database has an order of texts of its own.
    groups.sort_unstable();
    for ((asset, region, class, watts), (leases, let_us, billed_s, gross)) in groups {
        let watt_hours = i128::from(let_us) * i128::from(watts) / 3_600_000_000;
        row!(
            rows,
            &asset,
            &region,
            &class,
            leases,
            let_us / 1_000_000,
            billed_s,
            gross,
            i64::try_from(watt_hours).unwrap_or(i64::MAX),
        )?;
    }
    Ok(())
}
