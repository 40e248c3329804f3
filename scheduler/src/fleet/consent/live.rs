//! What owners allow at a moment.

use std::collections::HashMap;

use ::store::schema::{consent, region};
use ::store::sets::Set;
use ::store::{Tx, VehicleId};
use diesel::prelude::*;

use super::Hours;
use crate::fleet::LocalTime;
use crate::{DataClass, Permits, Purpose, Result};

/// A consent that is not withdrawn.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = consent)]
pub(crate) struct Live {
    vehicle_id: VehicleId,
    purpose: Purpose,
    data_class: DataClass,
    hours: Option<Hours>,
}

/// Of these consents, what holds now, by car. Cars that `region_of` does not know allow nothing.
pub(crate) fn open_now<'a>(
    tx: &mut Tx<'_>,
    consents: Vec<Live>,
    region_of: impl Fn(VehicleId) -> Option<&'a str>,
) -> Result<HashMap<VehicleId, Permits>> {
    let timed = consents.iter().any(|row| row.hours.is_some());
    let offsets = if timed { load_offsets(tx)? } else { HashMap::new() };
    let mut permits: HashMap<VehicleId, Permits> = HashMap::new();
    for row in consents {
        let Some(region) = region_of(row.vehicle_id) else { continue };
        let utc_offset_min = offsets.get(region).copied().unwrap_or_default();
        let minute = LocalTime { now: tx.now, utc_offset_min }.minute();
        if row.hours.is_none_or(|hours| hours.0.covers(minute)) {
            let all = permits.entry(row.vehicle_id).or_default();
            *all = all.with(row.purpose, row.data_class);
        }
    }
    Ok(permits)
}

fn load_offsets(tx: &mut Tx<'_>) -> Result<HashMap<String, i32>> {
    let rows: Vec<(String, i32)> =
        region::table.select((region::id, region::utc_offset_min)).load(tx.conn)?;
    Ok(rows.into_iter().collect())
}

#[derive(QueryableByName)]
struct OfCar {
    #[diesel(embed)]
    live: ByName,
    #[diesel(sql_type = diesel::sql_types::Text)]
    region_id: String,
}

#[derive(QueryableByName)]
#[diesel(table_name = consent)]
struct ByName {
    vehicle_id: VehicleId,
    purpose: Purpose,
    data_class: DataClass,
    hours: Option<Hours>,
}

/// What the owners of these cars allow now; a car that is not in the answer, or is paused, nothing.
pub(crate) fn load_permits(
    tx: &mut Tx<'_>,
    ids: &[VehicleId],
) -> Result<HashMap<VehicleId, Permits>> {
    let rows: Vec<OfCar> = Set::default().ids("id", ids.iter().copied()).load(
        tx.conn,
        "SELECT c.vehicle_id, c.purpose, c.data_class, c.hours, v.region_id
        FROM {set} CROSS JOIN consent c CROSS JOIN vehicle v
        WHERE c.vehicle_id = w.id AND c.withdrawn_at IS NULL
            AND v.id = c.vehicle_id AND v.paused_at IS NULL",
    )?;
    let (consents, regions): (Vec<Live>, HashMap<VehicleId, String>) = rows
        .into_iter()
        .map(|OfCar { live, region_id }| {
            let ByName { vehicle_id, purpose, data_class, hours } = live;
            (Live { vehicle_id, purpose, data_class, hours }, (vehicle_id, region_id))
        })
        .unzip();
    open_now(tx, consents, |id| regions.get(&id).map(String::as_str))
}
