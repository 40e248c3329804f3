//! Cars seen hour by hour: what a forecast is made from.

use std::collections::BTreeMap;

use diesel::prelude::*;
use store::schema::availability;
use store::{Timestamp, Tx};

use super::snapshot::Snapshot;
use crate::Result;

pub(super) const HOUR_US: i64 = 3_600_000_000;

/// A row of `availability`: an hour of one region and hardware class, summed over its ticks.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub(super) struct Hour {
    pub market_id: String,
    pub region: String,
    pub class: String,
    pub hour: Timestamp,
    pub ticks: i64,
    pub idle: i64,
    pub leased: i64,
    pub fewest: i64,
    pub most: i64,
}

/// Adds a tick's cars to the hour it is in.
pub(super) fn count_cars(tx: &mut Tx<'_>, market: &str, snapshot: &Snapshot) -> Result<()> {
    let mut cars: BTreeMap<(&str, &str), (i64, i64)> = BTreeMap::new();
    for car in &snapshot.cars {
        cars.entry((&car.region, &car.class)).or_default().0 += 1;
    }
    for ((region, class), lanes) in &snapshot.leased {
        cars.entry((region, class)).or_default().1 += lanes;
    }
    let hour = Timestamp(snapshot.now.0 - snapshot.now.0.rem_euclid(HOUR_US));
    for ((region, class), (idle, leased)) in cars {
        add_to_hour(tx, (market, region, class, hour), idle, leased)?;
    }
    Ok(())
}

fn add_to_hour(
    tx: &mut Tx<'_>,
    key: (&str, &str, &str, Timestamp),
    idle: i64,
    leased: i64,
) -> Result<()> {
    let (market, region, class, hour) = key;
    let known: Option<Hour> = availability::table.find(key).first(tx.conn).optional()?;
    let both = idle + leased;
    match known {
        Some(row) => diesel::update(availability::table.find(key))
            .set((
                availability::ticks.eq(row.ticks.saturating_add(1)),
                availability::idle.eq(row.idle.saturating_add(idle)),
                availability::leased.eq(row.leased.saturating_add(leased)),
                availability::fewest.eq(row.fewest.min(both)),
                availability::most.eq(row.most.max(both)),
            ))
            .execute(tx.conn)?,
        None => diesel::insert_into(availability::table)
            .values((
                availability::market_id.eq(market),
                availability::region_id.eq(region),
                availability::class_id.eq(class),
                availability::hour.eq(hour),
                availability::ticks.eq(1_i64),
                availability::idle.eq(idle),
                availability::leased.eq(leased),
                availability::fewest.eq(both),
                availability::most.eq(both),
            ))
            .execute(tx.conn)?,
    };
    Ok(())
}
