//! The last word of each car.

use std::collections::HashMap;

use diesel::prelude::*;
use store::schema::presence;
use store::sets::Set;
use store::{Timestamp, Tx, VehicleId};
use vehicle::protocol::Telemetry;

use super::Ineligible;
use crate::{Error, Result};

/// A row of `presence`.
#[derive(Clone, Debug, PartialEq, Queryable)]
pub(crate) struct Presence {
    pub vehicle_id: VehicleId,
    pub seen_at: Timestamp,
    pub eligible: bool,
    pub reason: String,
    pub telemetry: String,
}

/// What a later word is held against.
#[derive(Clone, Debug, QueryableByName)]
#[diesel(table_name = presence)]
pub(crate) struct Word {
    pub vehicle_id: VehicleId,
    pub seen_at: Timestamp,
    pub eligible: bool,
    pub reason: String,
}

impl Word {
    pub(crate) fn new(
        vehicle_id: VehicleId,
        now: Timestamp,
        verdict: std::result::Result<(), Ineligible>,
    ) -> Self {
        let reason = verdict.err().map_or("", Ineligible::as_str).to_owned();
        Self { vehicle_id, seen_at: now, eligible: verdict.is_ok(), reason }
    }

    /// Worth a write: the word changed, or it is so old that the car would soon count as gone.
    pub(crate) fn supersedes(&self, stored: Option<&Self>, refresh_us: i64) -> bool {
        stored.is_none_or(|stored| {
            self.eligible != stored.eligible
                || self.reason != stored.reason
                || self.seen_at.since(stored.seen_at) >= refresh_us
        })
    }

    /// The row that says it.
    pub(crate) fn with(&self, telemetry: &Telemetry) -> Result<Presence> {
        let Self { vehicle_id, seen_at, eligible, ref reason } = *self;
        let telemetry =
            serde_json::to_string(telemetry).map_err(|error| Error::corrupt(error.to_string()))?;
        Ok(Presence { vehicle_id, seen_at, eligible, reason: reason.clone(), telemetry })
    }
}

pub(crate) fn load_presence(tx: &mut Tx<'_>, id: VehicleId) -> Result<Option<Presence>> {
    Ok(presence::table.find(id).first(tx.conn).optional()?)
}

/// The words of these cars, without their telemetry.
pub(crate) fn load_words(tx: &mut Tx<'_>, ids: &[VehicleId]) -> Result<HashMap<VehicleId, Word>> {
    let rows: Vec<Word> = Set::default().ids("id", ids.iter().copied()).load(
        tx.conn,
        "SELECT p.vehicle_id, p.seen_at, p.eligible, p.reason FROM {set} CROSS JOIN presence p
        WHERE p.vehicle_id = w.id",
    )?;
    Ok(rows.into_iter().map(|word| (word.vehicle_id, word)).collect())
}

/// Puts these words in place of those before them; at most one of a car.
pub(crate) fn store_words(tx: &mut Tx<'_>, words: &[Presence]) -> Result<()> {
    let rows = || words.iter();
    Set::default()
        .ids("vehicle_id", rows().map(|word| word.vehicle_id))
        .numbers("seen_at", rows().map(|word| word.seen_at.0))
        .flags("eligible", rows().map(|word| word.eligible))
        .texts("reason", rows().map(|word| &*word.reason))
        .texts("telemetry", rows().map(|word| &*word.telemetry))
        .insert(
            tx.conn,
            "presence",
            "ON CONFLICT (vehicle_id) DO UPDATE SET seen_at = excluded.seen_at,
                eligible = excluded.eligible, reason = excluded.reason,
                telemetry = excluded.telemetry",
        )?;
    Ok(())
}
