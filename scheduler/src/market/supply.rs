//! Cars that wait for work, what they ask, and the cell each is in.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use pricing::gross_reserve;
use store::schema::{consent, lease, presence, region, vehicle};
use store::{Amount, PartyId, Timestamp, Tx, VehicleId};

use super::CellRef;
use super::leader::Reign;
use crate::assurance::load_resting;
use crate::fleet::{Live, open_now};
use crate::{Config, Error, Permits, Result, Stay};

/// Ids a statement: well under both databases' limits of bound values.
pub(super) const CHUNK: usize = 500;

/// A car that waits for work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IdleCar {
    pub id: VehicleId,
    pub owner: PartyId,
    pub region: String,
    pub class: String,
    pub permits: Permits,
    /// Net of the fee, per lane-hour.
    pub reserve: Amount,
    /// When its owner will want it, or its charge or rules end its work; none: not known.
    pub until: Option<Timestamp>,
}

type Row = (VehicleId, PartyId, String, String, Amount, Option<Timestamp>, Option<Timestamp>);

/// Every idle car of a market, by id.
pub(super) fn load_idle(tx: &mut Tx<'_>, config: &Config, market: &str) -> Result<Vec<IdleCar>> {
    let since = tx.now.plus_s(-config.heartbeat_timeout_s);
    let rows: Vec<Row> = vehicle::table
        .inner_join(region::table.on(region::id.eq(vehicle::region_id)))
        .inner_join(presence::table.on(presence::vehicle_id.eq(vehicle::id)))
        .filter(region::market_id.eq(market))
        .filter(vehicle::active.eq(true))
        .filter(vehicle::paused_at.is_null())
        .filter(presence::eligible.eq(true))
        .filter(presence::seen_at.ge(since))
        .order(vehicle::id)
        .select((
            vehicle::id,
            vehicle::owner_id,
            vehicle::region_id,
            vehicle::class_id,
            vehicle::reserve,
            vehicle::available_until,
            presence::until,
        ))
        .load(tx.conn)?;
    let busy: Vec<VehicleId> =
        lease::table.filter(crate::lease::is_live()).select(lease::vehicle_id).load(tx.conn)?;
    let consents = consent::table
        .filter(consent::withdrawn_at.is_null())
        .select(Live::as_select())
        .load(tx.conn)?;
    let permits = permits_of(tx, consents, &rows)?;
    let resting = load_resting(tx)?;
    Ok(idle(rows, busy.into_iter().chain(resting), permits))
}

/// Those of these cars that are still idle, as they are now.
pub(super) fn load_idle_of(
    tx: &mut Tx<'_>,
    config: &Config,
    ids: &[VehicleId],
) -> Result<HashMap<VehicleId, IdleCar>> {
    let since = tx.now.plus_s(-config.heartbeat_timeout_s);
    let resting = load_resting(tx)?;
    let mut found = HashMap::new();
    for chunk in ids.chunks(CHUNK) {
        let rows: Vec<Row> = vehicle::table
            .inner_join(presence::table.on(presence::vehicle_id.eq(vehicle::id)))
            .filter(vehicle::id.eq_any(chunk))
            .filter(vehicle::active.eq(true))
            .filter(vehicle::paused_at.is_null())
            .filter(presence::eligible.eq(true))
            .filter(presence::seen_at.ge(since))
            .select((
                vehicle::id,
                vehicle::owner_id,
                vehicle::region_id,
                vehicle::class_id,
                vehicle::reserve,
                vehicle::available_until,
                presence::until,
            ))
            .load(tx.conn)?;
        let busy: Vec<VehicleId> = lease::table
            .filter(lease::vehicle_id.eq_any(chunk))
            .filter(crate::lease::is_live())
            .select(lease::vehicle_id)
            .load(tx.conn)?;
        let consents = consent::table
            .filter(consent::vehicle_id.eq_any(chunk))
            .filter(consent::withdrawn_at.is_null())
            .select(Live::as_select())
            .load(tx.conn)?;
        let permits = permits_of(tx, consents, &rows)?;
        let off = busy.into_iter().chain(resting.iter().copied());
        found.extend(idle(rows, off, permits).into_iter().map(|car| (car.id, car)));
    }
    Ok(found)
}

/// What the owners of these cars allow now.
fn permits_of(
    tx: &mut Tx<'_>,
    consents: Vec<Live>,
    rows: &[Row],
) -> Result<HashMap<VehicleId, Permits>> {
    let regions: HashMap<VehicleId, &str> = rows.iter().map(|row| (row.0, &*row.2)).collect();
    open_now(tx, consents, |id| regions.get(&id).copied())
}

/// Who is neither at work nor resting, and allows something.
fn idle(
    rows: Vec<Row>,
    busy: impl Iterator<Item = VehicleId>,
    permits: HashMap<VehicleId, Permits>,
) -> Vec<IdleCar> {
    let busy: HashSet<VehicleId> = busy.collect();
    let idle = rows.into_iter().filter(|(id, ..)| !busy.contains(id));
    let cars = idle.filter_map(|(id, owner, region, class, reserve, named, lasts)| {
        let permits = *permits.get(&id)?;
        let until = named.into_iter().chain(lasts).min();
        Some(IdleCar { id, owner, region, class, permits, reserve, until })
    });
    cars.collect()
}

/// The owner's net reserve as the market sees it: with the fee on top, on the grid.
pub(super) fn ask(reign: &Reign, net: Amount) -> Result<i64> {
    gross_reserve(net.0, reign.rate.fee_ppm.unsigned_abs(), reign.row.grid)
        .ok_or_else(|| Error::corrupt(format!("reserve {net} overflows")))
}

/// The car's cell; none if it stays for less than a short lease.
pub(super) fn cell_of<'a>(
    car: &'a IdleCar,
    now: Timestamp,
    config: &Config,
) -> Option<CellRef<'a>> {
    let stay = stay(car.until, now, config)?;
    Some(CellRef { region: &car.region, class: &car.class, permits: car.permits, stay })
}

/// How long a car surely stays, by when its owner wants it. An offer may wait for the car as long
/// as a silent one is believed in, so that much is added to the lease.
pub(super) fn stay(until: Option<Timestamp>, now: Timestamp, config: &Config) -> Option<Stay> {
    let Some(until) = until else { return Some(Stay::Term) };
    let left = until.since(now);
    let covers = |term_s: i32| {
        left >= (i64::from(term_s) + config.heartbeat_timeout_s).saturating_mul(1_000_000)
    };
    match () {
        () if covers(config.term_s) => Some(Stay::Term),
        () if covers(lease_s(Stay::Short, config)) => Some(Stay::Short),
        () => None,
    }
}

/// The longest lease in a cell, seconds.
pub(super) fn lease_s(stay: Stay, config: &Config) -> i32 {
    match stay {
        Stay::Term => config.term_s,
        Stay::Short => config.short_term_s.min(config.term_s),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_car_stays_for_a_term_or_a_short_lease_or_is_not_offered() {
        let config =
            Config { term_s: 900, short_term_s: 300, heartbeat_timeout_s: 30, ..Config::default() };
        let now = Timestamp(1_000_000);
        for (left_s, expected) in [
            (930, Some(Stay::Term)),
            (929, Some(Stay::Short)),
            (330, Some(Stay::Short)),
            (329, None),
            (0, None),
            (-5, None),
            (i64::MAX / 2_000_000, Some(Stay::Term)),
        ] {
            assert_eq!(stay(Some(now.plus_s(left_s)), now, &config), expected, "{left_s}");
        }
        assert_eq!(stay(None, now, &config), Some(Stay::Term));
    }
}
