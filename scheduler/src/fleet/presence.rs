//! The last word of each car.

use std::collections::HashMap;

use diesel::prelude::*;
use store::schema::presence;
use store::sets::Set;
use store::{Timestamp, Tx, VehicleId};
use vehicle::protocol::Telemetry;

use super::{Eligibility, Ineligible};
use crate::{Error, Result};

/// A row of `presence`.
#[derive(Clone, Debug, PartialEq, Queryable)]
pub(crate) struct Presence {
    pub vehicle_id: VehicleId,
    pub seen_at: Timestamp,
    pub eligible: bool,
    pub reason: String,
    pub telemetry: String,
    pub clear_since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

/// What a later word is held against.
#[derive(Clone, Debug, QueryableByName)]
#[diesel(table_name = presence)]
pub(crate) struct Word {
    pub vehicle_id: VehicleId,
    pub seen_at: Timestamp,
    pub eligible: bool,
    pub reason: String,
    pub clear_since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

impl Word {
    pub(crate) fn new(vehicle_id: VehicleId, now: Timestamp, verdict: &Eligibility) -> Self {
        let Eligibility { outcome, clear_since, until } = *verdict;
        let reason = outcome.err().map_or("", Ineligible::as_str).to_owned();
        Self { vehicle_id, seen_at: now, eligible: outcome.is_ok(), reason, clear_since, until }
    }

    /// The verdict that it was; a reason that nobody knows any more is waited for like another.
    pub(crate) fn verdict(&self) -> Eligibility {
        let Self { clear_since, until, .. } = *self;
        let outcome = match self.eligible {
            true => Ok(()),
            false => Err(Ineligible::parse(&self.reason).unwrap_or(Ineligible::Settling)),
        };
        Eligibility { outcome, clear_since, until }
    }

    /// Worth a write: the word changed, or it is so old that the car would soon count as gone.
    pub(crate) fn supersedes(&self, stored: Option<&Self>, refresh_us: i64) -> bool {
        stored.is_none_or(|stored| {
            self.eligible != stored.eligible
                || self.reason != stored.reason
                || self.clear_since != stored.clear_since
                || self.seen_at.since(stored.seen_at) >= refresh_us
        })
    }

    /// The row that says it.
    pub(crate) fn with(&self, telemetry: &Telemetry) -> Result<Presence> {
        let Self { vehicle_id, seen_at, eligible, ref reason, clear_since, until } = *self;
        let telemetry =
            serde_json::to_string(telemetry).map_err(|error| Error::corrupt(error.to_string()))?;
        let reason = reason.clone();
        Ok(Presence { vehicle_id, seen_at, eligible, reason, telemetry, clear_since, until })
    }
}

pub(crate) fn load_presence(tx: &mut Tx<'_>, id: VehicleId) -> Result<Option<Presence>> {
    Ok(presence::table.find(id).first(tx.conn).optional()?)
}

/// The words of these cars, without their telemetry.
pub(crate) fn load_words(tx: &mut Tx<'_>, ids: &[VehicleId]) -> Result<HashMap<VehicleId, Word>> {
    let rows: Vec<Word> = Set::default().ids("id", ids.iter().copied()).load(
        tx.conn,
        "SELECT p.vehicle_id, p.seen_at, p.eligible, p.reason, p.clear_since, p.until
        FROM {set} CROSS JOIN presence p WHERE p.vehicle_id = w.id",
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
        .maybe_numbers("clear_since", rows().map(|word| Some(word.clear_since?.0)))
        .maybe_numbers("until", rows().map(|word| Some(word.until?.0)))
        .insert(
            tx.conn,
            "presence",
            "ON CONFLICT (vehicle_id) DO UPDATE SET seen_at = excluded.seen_at,
                eligible = excluded.eligible, reason = excluded.reason,
                telemetry = excluded.telemetry, clear_since = excluded.clear_since,
                until = excluded.until",
        )?;
    Ok(())
}
