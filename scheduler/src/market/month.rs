//! What a car might earn in a month, from what the market remembers. Honest about what it is: days
//! of the past, none of them invented.

use std::collections::{BTreeMap, HashMap};

use store::schema::region;
use store::{Amount, Rounding, Timestamp, Tx, mul_div};

use diesel::prelude::*;

use super::leader::observe;
use super::supply::ask;
use super::{CellFilter, candles, hours};
use crate::Result;
use crate::fleet::{LocalTime, Rules, VehicleRow};

const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;
/// Days that are looked at.
const DAYS: i64 = 28;
/// Days of a month.
const MONTH: i64 = 30;

/// What each day of the past would have been worth, after the fee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonthPast {
    pub asset: String,
    /// Ascending, micro-units.
    pub days: Vec<Amount>,
    /// Hours a day that the owner's rules leave, at most.
    pub hours_per_day: i64,
}

impl MonthPast {
    /// Thirty days each like the day of which `percent` of the days are no better; none without days.
    pub fn at(&self, percent: usize) -> Option<Amount> {
        let last = self.days.len().checked_sub(1)?;
        let day = self.days.get((last * percent + 50) / 100)?;
        day.0.checked_mul(MONTH).map(Amount)
    }
}

/// What the market sees of a net reserve: its asset, and the ask with the fee, on the grid.
pub fn ask_of(tx: &mut Tx<'_>, car: &VehicleRow, net: Amount) -> Result<(String, Amount)> {
    let market = crate::fleet::market_of(tx, car)?;
    let reign = observe(tx, &market)?;
    Ok((reign.row.asset.clone(), Amount(ask(&reign, net)?)))
}

/// What a car of this region, class and reserve would have earned on each day that the market
/// remembers.
pub fn estimate_month(tx: &mut Tx<'_>, car: &VehicleRow) -> Result<MonthPast> {
    let market = crate::fleet::market_of(tx, car)?;
    let reign = observe(tx, &market)?;
    let asks = ask(&reign, car.reserve)?;
    let utc_offset_min: i32 =
        region::table.find(&car.region_id).select(region::utc_offset_min).first(tx.conn)?;
    let to = Timestamp(tx.now.0 - tx.now.0.rem_euclid(HOUR_US));
    let from = to.plus_us(-DAYS * DAY_US);
    let cell =
        CellFilter { region: Some(car.region_id.clone()), class: Some(car.class_id.clone()) };
    let used = hours(tx, &market, &cell, (from, to))?;
    let mut sold: HashMap<Timestamp, (i128, i64)> = HashMap::new();
    for candle in candles(tx, &market, &cell, (from, to), 3_600)? {
        let hour = sold.entry(candle.from).or_default();
        hour.0 += i128::from(candle.mean.0) * i128::from(candle.volume);
        hour.1 += candle.volume;
    }
    let past = used.into_iter().map(|hour| {
        let price = sold.get(&hour.hour).and_then(|(paid, lanes)| mean(*paid, *lanes));
        PastHour { from: hour.hour, let_ppm: hour.utilisation_ppm, price }
    });
    let net_ppm = 1_000_000 - i64::from(reign.rate.fee_ppm);
    let rules = &car.rules;
    let days = fold_days(past, rules, utc_offset_min, asks, net_ppm);
    Ok(MonthPast { asset: reign.row.asset, days, hours_per_day: open_hours(rules) })
}

fn mean(paid: i128, lanes: i64) -> Option<i64> {
    paid.checked_div(lanes.into()).and_then(|price| i64::try_from(price).ok())
}

/// An hour that the market remembers.
#[derive(Clone, Copy, Debug)]
struct PastHour {
    from: Timestamp,
    /// Of the cars that were there, how many were let.
    let_ppm: i64,
    /// Mean, per lane-hour; none: nothing was sold.
    price: Option<i64>,
}

/// What each day comes to, ascending: the hours of it that the rules leave, the best first if a day
/// has a bound of hours.
fn fold_days(
    past: impl Iterator<Item = PastHour>,
    rules: &Rules,
    utc_offset_min: i32,
    asks: i64,
    net_ppm: i64,
) -> Vec<Amount> {
    let mut days: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for hour in past {
        let local = LocalTime { now: hour.from, utc_offset_min };
        let worth = days.entry(local.minute().div_euclid(24 * 60)).or_default();
        if !rules.open(local.minute()) {
            continue;
        }
        let price = hour.price.filter(|price| *price >= asks).unwrap_or(0);
        let expected = mul_div(price, hour.let_ppm, 1_000_000, Rounding::Down).unwrap_or(0);
        worth.push(mul_div(expected, net_ppm, 1_000_000, Rounding::Down).unwrap_or(0));
    }
    let bound = rules.max_hours_per_day.and_then(|hours| usize::try_from(hours).ok());
    let sum = |mut hours: Vec<i64>| {
        hours.sort_unstable_by(|a, b| b.cmp(a));
        hours.truncate(bound.unwrap_or(usize::MAX));
        Amount(hours.iter().fold(0, |sum: i64, hour| sum.saturating_add(*hour)))
    };
    let mut sums: Vec<Amount> = days.into_values().map(sum).collect();
    sums.sort_unstable();
    sums
}

/// Hours of a day that the rules leave, on the average of a week, rounded.
fn open_hours(rules: &Rules) -> i64 {
    let minutes = (0..7 * 24 * 60).filter(|minute| rules.open(*minute)).count();
    let open = i64::try_from(minutes).unwrap_or_default().saturating_add(7 * 30) / (7 * 60);
    rules.max_hours_per_day.map_or(open, |bound| open.min(bound.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Span, Week};

    #[test]
    fn a_day_is_worth_its_open_hours_and_a_month_thirty_of_them() {
        // Three days from a Monday's midnight on; the price is that of the hour, half are let.
        let begin = Timestamp::parse("2026-11-23T00:00:00Z").unwrap();
        let past = |count: i64| {
            (0..count).map(move |hour| PastHour {
                from: begin.plus_us(hour * HOUR_US),
                let_ppm: 500_000,
                price: (hour % 24 >= 20).then_some(1_000_000 * (1 + hour / 24)),
            })
        };
        let all = fold_days(past(72), &Rules::default(), 0, 0, 900_000);
        assert_eq!(all, [1_800_000, 3_600_000, 5_400_000].map(Amount));
        // Too dear for the first two days.
        let dear = fold_days(past(72), &Rules::default(), 0, 2_500_000, 900_000);
        assert_eq!(dear, [0, 0, 5_400_000].map(Amount));
        let span = Span { from: "21:00".parse().unwrap(), to: "23:00".parse().unwrap() };
        let night = Rules { hours: Some(Week::every(span)), ..Rules::default() };
        assert_eq!(fold_days(past(24), &night, 0, 0, 900_000), [900_000].map(Amount));
        assert_eq!((open_hours(&night), open_hours(&Rules::default())), (2, 24));
        let one = Rules { max_hours_per_day: Some(1), ..night };
        assert_eq!(fold_days(past(24), &one, 0, 0, 900_000), [450_000].map(Amount));
        assert_eq!(open_hours(&one), 1);
        let month = MonthPast { asset: "USD".into(), days: all, hours_per_day: 24 };
        assert_eq!(
            [10, 50, 90].map(|p| month.at(p).unwrap().0 / 30),
            [1_800_000, 3_600_000, 5_400_000]
        );
        assert_eq!(MonthPast { days: vec![], ..month }.at(50), None);
    }
}
