//! What work costs a car, and the reserve that follows from it.

mod lines;
mod tariff;

pub use lines::{Basis, Lines, stress_ppm, wear_per_kwh};
pub use tariff::{Band, Price, Tariff};

use ::store::schema::{hardware_class, region, vehicle, vehicle_tariff};
use ::store::{Amount, PartyId, Timestamp, Tx, VehicleId};
use ::vehicle::protocol::{ChargeState, Telemetry};
use diesel::prelude::*;

use super::{AWAKE_W, LocalTime, MAX_PRICE, VehicleRow, load_presence, load_vehicle, owned};
use crate::{Error, Result};

/// How old a computed reserve may be, seconds.
const FRESH_S: i64 = 60;

/// What an owner says of costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Costs {
    pub tariff: Tariff,
    /// Micro-units per lane-hour.
    pub margin: Amount,
    /// What the owner asks at least, net.
    pub own_reserve: Amount,
}

/// The reserve of an interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    pub from: Timestamp,
    pub per_kwh: Amount,
    pub on_battery: bool,
    pub lines: Lines,
    /// The greater of what is computed and what the owner asks.
    pub reserve: Amount,
}

/// Keeps a tariff: from now on the reserve is computed.
///
/// # Errors
/// [`Error::NotFound`] for another's car, [`Error::WrongState`] for one that leaves,
/// [`Error::Invalid`] for a tariff that is none, or a margin below zero or above [`MAX_PRICE`].
pub fn set_tariff(
    tx: &mut Tx<'_>,
    owner: PartyId,
    id: VehicleId,
    tariff: &Tariff,
    margin: Amount,
) -> Result<()> {
    let car = owned(tx, owner, id)?;
    car.stays()?;
    tariff.check()?;
    if !(Amount::ZERO..=MAX_PRICE).contains(&margin) {
        return Err(Error::invalid("/margin", format!("from 0 to {MAX_PRICE} per lane-hour")));
    }
    let text = serde_json::to_string(tariff).map_err(|error| Error::corrupt(error.to_string()))?;
    let own = load_costs(tx, id)?.map_or(car.reserve, |costs| costs.own_reserve);
    diesel::delete(vehicle_tariff::table.find(id)).execute(tx.conn)?;
    diesel::insert_into(vehicle_tariff::table)
        .values((
            vehicle_tariff::vehicle_id.eq(id),
            vehicle_tariff::tariff.eq(text),
            vehicle_tariff::margin.eq(margin),
            vehicle_tariff::own_reserve.eq(own),
            vehicle_tariff::computed_at.eq(Timestamp(0)),
        ))
        .execute(tx.conn)?;
    reprice(tx, id)
}

/// Forgets the tariff: the reserve is what the owner asks.
///
/// # Errors
/// [`Error::NotFound`] for another's car.
pub fn drop_tariff(tx: &mut Tx<'_>, owner: PartyId, id: VehicleId) -> Result<()> {
    owned(tx, owner, id)?;
    if let Some(costs) = load_costs(tx, id)? {
        store_reserve(tx, id, costs.own_reserve)?;
        diesel::delete(vehicle_tariff::table.find(id)).execute(tx.conn)?;
    }
    Ok(())
}

/// The owner asks for this at least from now on; what is computed may be more.
pub fn set_own_reserve(tx: &mut Tx<'_>, id: VehicleId, reserve: Amount) -> Result<()> {
    let known = diesel::update(vehicle_tariff::table.find(id))
        .set(vehicle_tariff::own_reserve.eq(reserve))
        .execute(tx.conn)?;
    if known > 0 { reprice(tx, id) } else { Ok(()) }
}

/// What an owner says of a car's costs; none: no tariff.
pub fn load_costs(tx: &mut Tx<'_>, id: VehicleId) -> Result<Option<Costs>> {
    let columns = (vehicle_tariff::tariff, vehicle_tariff::margin, vehicle_tariff::own_reserve);
    let row: Option<(String, Amount, Amount)> =
        vehicle_tariff::table.find(id).select(columns).first(tx.conn).optional()?;
    row.map(|(text, margin, own_reserve)| {
        let tariff =
            serde_json::from_str(&text).map_err(|error| Error::corrupt(error.to_string()))?;
        Ok(Costs { tariff, margin, own_reserve })
    })
    .transpose()
}

/// Cars whose reserve was computed too long ago.
pub fn due_to_reprice(tx: &mut Tx<'_>, limit: i64) -> Result<Vec<VehicleId>> {
    Ok(vehicle_tariff::table
        .filter(vehicle_tariff::computed_at.le(tx.now.plus_s(-FRESH_S)))
        .order(vehicle_tariff::computed_at)
        .limit(limit)
        .select(vehicle_tariff::vehicle_id)
        .load(tx.conn)?)
}

/// Computes a car's reserve anew. A lease that runs keeps its price.
pub fn reprice(tx: &mut Tx<'_>, id: VehicleId) -> Result<()> {
    let Some(car) = load_vehicle(tx, id)? else { return Ok(()) };
    let Some(costs) = load_costs(tx, id)? else { return Ok(()) };
    let now = intervals(tx, &car, &costs, 1)?;
    if let Some(interval) = now.first().filter(|interval| interval.reserve != car.reserve) {
        store_reserve(tx, id, interval.reserve)?;
    }
    diesel::update(vehicle_tariff::table.find(id))
        .set(vehicle_tariff::computed_at.eq(tx.now))
        .execute(tx.conn)?;
    Ok(())
}

fn store_reserve(tx: &mut Tx<'_>, id: VehicleId, reserve: Amount) -> Result<()> {
    diesel::update(vehicle::table.find(id)).set(vehicle::reserve.eq(reserve)).execute(tx.conn)?;
    Ok(())
}

const HOUR_US: i64 = 3_600_000_000;

/// A car's reserve now, and in each of the hours that follow, `count` in all, if it stays as it is.
pub fn intervals(
    tx: &mut Tx<'_>,
    car: &VehicleRow,
    costs: &Costs,
    count: usize,
) -> Result<Vec<Interval>> {
    let watts: i32 =
        hardware_class::table.find(&car.class_id).select(hardware_class::watts).first(tx.conn)?;
    let utc_offset_min: i32 =
        region::table.find(&car.region_id).select(region::utc_offset_min).first(tx.conn)?;
    let state = State::of(load_presence(tx, car.id)?.map(|word| word.telemetry), car)?;
    let first = Timestamp(tx.now.0 - tx.now.0.rem_euclid(HOUR_US));
    let later = (1_i64..).map(|hour| first.plus_us(hour * HOUR_US));
    let moments = std::iter::once(tx.now).chain(later).take(count);
    moments
        .map(|from| {
            let per_kwh = costs.tariff.at(LocalTime { now: from, utc_offset_min });
            let lines = Lines::new(&Basis {
                per_kwh,
                computer_w: watts,
                awake_w: AWAKE_W,
                on_battery: state.on_battery,
                chemistry: car.chemistry,
                soc: state.soc,
                degrees: state.degrees,
                margin: costs.margin,
            });
            let lines = lines.ok_or_else(|| Error::corrupt("a reserve overflows"))?;
            let reserve = lines.net.max(costs.own_reserve).min(MAX_PRICE);
            Ok(Interval { from, per_kwh, on_battery: state.on_battery, lines, reserve })
        })
        .collect()
}

/// What the car said last of what its wear depends on.
struct State {
    on_battery: bool,
    soc: Option<i32>,
    degrees: Option<i32>,
}

impl State {
    /// On the charger if it says so, or if its owner lets it work there only.
    fn of(telemetry: Option<String>, car: &VehicleRow) -> Result<Self> {
        let told: Option<Telemetry> = telemetry
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|error| Error::corrupt(error.to_string()))?;
        let whole = |value: Option<f32>, least: f32, most: f32| {
            let known = value.filter(|value| (least..=most).contains(value));
            known.map(|value| value.round() as i32)
        };
        let charging = told.as_ref().and_then(|told| told.detailed_charge_state);
        let charging = matches!(
            charging,
            Some(ChargeState::Charging | ChargeState::Complete | ChargeState::Starting)
        );
        Ok(Self {
            on_battery: !charging && !car.plugged_only,
            soc: whole(told.as_ref().and_then(|told| told.soc), 0.0, 100.0),
            degrees: whole(told.and_then(|told| told.module_temp_max), -60.0, 120.0),
        })
    }
}
