//! Cars seen hour by hour: what a forecast is made from.

use std::collections::BTreeMap;

use diesel::prelude::*;
use store::schema::availability;
use store::{Amount, Rounding, Timestamp, Tx, mul_div};

use super::snapshot::Snapshot;
use super::{CellFilter, known};
use crate::{Error, Result};

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

/// An hour of one region and hardware class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedHour {
    pub region: String,
    pub class: String,
    pub hour: Timestamp,
    /// Ticks that counted.
    pub ticks: i64,
    /// Mean cars idle and let, in millionths of a car.
    pub idle: Amount,
    pub leased: Amount,
    /// Of the cars seen, how many were let: parts per million.
    pub utilisation_ppm: i64,
    /// Fewest and most cars seen in one tick, idle or let.
    pub fewest: i64,
    pub most: i64,
}

/// The hours from `from` up to `to`, oldest first.
///
/// # Errors
/// [`crate::Error::NotFound`] for an unknown market; [`crate::Error::Invalid`] for a range that is
/// empty or longer than 1,000 hours.
pub fn hours(
    tx: &mut Tx<'_>,
    market: &str,
    cells: &CellFilter,
    (from, to): (Timestamp, Timestamp),
) -> Result<Vec<ObservedHour>> {
    known(tx, market)?;
    if from >= to || to.since(from) > 1_000 * HOUR_US {
        return Err(Error::invalid("/to", "after `from`, by no more than 1000 hours"));
    }
    let rows = load_hours(tx, market, from, to)?;
    let rows = rows.iter().filter(|row| cells.takes(&row.region, &row.class));
    Ok(rows.map(observed).collect())
}

fn load_hours(tx: &mut Tx<'_>, market: &str, from: Timestamp, to: Timestamp) -> Result<Vec<Hour>> {
    let rows = availability::table
        .filter(availability::market_id.eq(market))
        .filter(availability::hour.ge(from))
        .filter(availability::hour.lt(to))
        .order((availability::hour, availability::region_id, availability::class_id))
        .load(tx.conn)?;
    Ok(rows)
}

fn observed(row: &Hour) -> ObservedHour {
    ObservedHour {
        region: row.region.clone(),
        class: row.class.clone(),
        hour: row.hour,
        ticks: row.ticks,
        idle: mean(row.idle, row.ticks),
        leased: mean(row.leased, row.ticks),
        utilisation_ppm: mul_div(row.leased, 1_000_000, row.idle + row.leased, Rounding::HalfEven)
            .unwrap_or(0),
        fewest: row.fewest,
        most: row.most,
    }
}

fn mean(sum: i64, count: i64) -> Amount {
    Amount(mul_div(sum, 1_000_000, count, Rounding::HalfEven).unwrap_or(0))
}

/// What is expected of an hour to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForecastHour {
    pub region: String,
    pub class: String,
    pub hour: Timestamp,
    /// Days on which the same hour was seen: with few, it says little.
    pub days: i64,
    /// Mean cars, idle or let, and of them idle, in millionths of a car.
    pub cars: Amount,
    pub idle: Amount,
    /// Fewest and most cars seen in that hour.
    pub fewest: i64,
    pub most: i64,
}

/// Days that a forecast looks back.
pub const FORECAST_DAYS: i64 = 14;
/// How a forecast is made, for who reads it.
pub const FORECAST_METHOD: &str = "The mean over the last 14 days of what was seen in the same \
    hour of the day (UTC), with the fewest and the most cars seen in one tick of those hours. An \
    hour that was never seen has no forecast. Neither weekdays nor trends are considered, and it \
    has not been tested against what came.";

/// The `hours` to come, oldest first, beginning with the one that runs.
///
/// # Errors
/// [`crate::Error::NotFound`] for an unknown market; [`crate::Error::Invalid`] for other than 1 to
/// 168 hours.
pub fn forecast(
    tx: &mut Tx<'_>,
    market: &str,
    cells: &CellFilter,
    hours: i64,
) -> Result<Vec<ForecastHour>> {
    known(tx, market)?;
    if !(1..=168).contains(&hours) {
        return Err(Error::invalid("/hours", "1 to 168"));
    }
    let this = Timestamp(tx.now.0 - tx.now.0.rem_euclid(HOUR_US));
    // The hour that runs is not over: it is no observation yet.
    let seen = load_hours(tx, market, this.plus_us(-FORECAST_DAYS * 24 * HOUR_US), this)?;
    Ok(fold_forecast(seen.iter().filter(|row| cells.takes(&row.region, &row.class)), this, hours))
}

fn fold_forecast<'a>(
    seen: impl Iterator<Item = &'a Hour>,
    this: Timestamp,
    hours: i64,
) -> Vec<ForecastHour> {
    let of_day = |at: Timestamp| at.0.div_euclid(HOUR_US).rem_euclid(24);
    let mut by_hour: BTreeMap<(i64, &str, &str), Vec<&Hour>> = BTreeMap::new();
    for row in seen {
        by_hour.entry((of_day(row.hour), &row.region, &row.class)).or_default().push(row);
    }
    let mut forecast = Vec::new();
    for hour in (0..hours).map(|ahead| this.plus_us(ahead * HOUR_US)) {
        let first = (of_day(hour), "", "");
        let same = by_hour.range(first..).take_while(|((of, ..), _)| *of == first.0);
        for ((_, region, class), rows) in same {
            let days = i64::try_from(rows.len()).unwrap_or(i64::MAX);
            let sum =
                |of: fn(&Hour) -> i64| rows.iter().map(|row| mean(of(row), row.ticks).0).sum();
            forecast.push(ForecastHour {
                region: (*region).to_owned(),
                class: (*class).to_owned(),
                hour,
                days,
                cars: Amount(
                    mul_div(sum(|row| row.idle + row.leased), 1, days, Rounding::HalfEven)
                        .unwrap_or(0),
                ),
                idle: Amount(
                    mul_div(sum(|row| row.idle), 1, days, Rounding::HalfEven).unwrap_or(0),
                ),
                fewest: rows.iter().map(|row| row.fewest).min().unwrap_or(0),
                most: rows.iter().map(|row| row.most).max().unwrap_or(0),
            });
        }
    }
    forecast
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(day: i64, of_day: i64, ticks: i64, idle: i64, leased: i64) -> Hour {
        Hour {
            market_id: "us".to_owned(),
            region: "us-ca".to_owned(),
            class: "hw4".to_owned(),
            hour: Timestamp((day * 24 + of_day) * HOUR_US),
            ticks,
            idle,
            leased,
            fewest: (idle + leased) / ticks - 1,
            most: (idle + leased) / ticks + 1,
        }
    }

    #[test]
    fn a_forecast_is_the_mean_of_the_same_hours() {
        // Two ticks with 2 idle and 1 let; one with 6 idle.
        let seen = [hour(10, 3, 2, 4, 2), hour(11, 3, 1, 6, 0), hour(11, 4, 1, 9, 0)];
        let this = Timestamp((12 * 24 + 2) * HOUR_US);
        let told = fold_forecast(seen.iter(), this, 3);
        assert_eq!(told.len(), 2, "hour 2 was never seen");
        assert_eq!((told[0].hour, told[0].days), (this.plus_us(HOUR_US), 2));
        assert_eq!((told[0].cars, told[0].idle), (Amount(4_500_000), Amount(4_000_000)));
        assert_eq!((told[0].fewest, told[0].most), (2, 7));
        assert_eq!((told[1].days, told[1].cars), (1, Amount(9_000_000)));
        assert_eq!(fold_forecast(seen.iter(), this, 27).len(), 4, "and the same the day after");
    }

    #[test]
    fn utilisation_is_what_was_let_of_what_was_seen() {
        let told = observed(&hour(10, 3, 3, 6, 2));
        assert_eq!((told.idle, told.leased), (Amount(2_000_000), Amount(666_667)));
        assert_eq!(told.utilisation_ppm, 250_000);
        let empty = Hour { fewest: 0, most: 0, ..hour(10, 3, 1, 0, 0) };
        assert_eq!(observed(&empty).utilisation_ppm, 0);
    }
}
