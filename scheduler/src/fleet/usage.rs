//! How long cars were let today, by their leases: nothing is counted that could drift from them.

use std::collections::HashMap;

use diesel::prelude::*;
use store::schema::lease;
use store::sets::Set;
use store::{LeaseId, Timestamp, Tx, VehicleId};

use super::{LocalTime, VehicleRow};
use crate::Result;

/// No lease is offered this long before it ends, microseconds.
const LONGEST_US: i64 = 24 * 3_600_000_000;

#[derive(QueryableByName)]
#[diesel(table_name = lease)]
struct Let {
    vehicle_id: VehicleId,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
}

/// Time since its region's midnight in which each of these cars was let, microseconds: of those
/// whose owners set a bound for a day.
pub(crate) fn load_used<'a>(
    tx: &mut Tx<'_>,
    cars: impl Iterator<Item = (&'a VehicleRow, i32)>,
) -> Result<HashMap<VehicleId, i64>> {
    let now = tx.now;
    let midnights: HashMap<VehicleId, Timestamp> = cars
        .filter(|(row, _)| {
            row.rules.max_hours_per_day.is_some() || row.rules.max_kwh_per_day.is_some()
        })
        .map(|(row, utc_offset_min)| (row.id, LocalTime { now, utc_offset_min }.midnight()))
        .collect();
    let first = |midnight: &Timestamp| first_id(midnight.plus_us(-LONGEST_US));
    let rows: Vec<Let> = Set::default()
        .ids("id", midnights.keys().copied())
        .ids("first", midnights.values().map(first))
        .load(
            tx.conn,
            "SELECT l.vehicle_id, l.started_at, l.ended_at FROM {set} CROSS JOIN lease l
            WHERE l.vehicle_id = w.id AND l.id >= w.first AND l.started_at IS NOT NULL",
        )?;
    let mut used: HashMap<VehicleId, i64> = HashMap::new();
    for row in rows {
        let (Some(midnight), Some(started)) = (midnights.get(&row.vehicle_id), row.started_at)
        else {
            continue;
        };
        let ended = row.ended_at.unwrap_or(now).min(now);
        *used.entry(row.vehicle_id).or_default() += ended.since(started.max(*midnight)).max(0);
    }
    Ok(used)
}

/// The least id of that moment: ids begin with their milliseconds.
fn first_id(at: Timestamp) -> LeaseId {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&(at.0.max(0) / 1_000).to_be_bytes()[2..]);
    LeaseId::from_bytes(bytes)
}
