//! The last word of each car.

use diesel::prelude::*;
use store::schema::presence;
use store::{Timestamp, Tx, VehicleId};
use vehicle::protocol::Telemetry;

use super::Ineligible;
use crate::{Error, Result};

/// A row of `presence`.
#[derive(Clone, Debug, PartialEq, Queryable, Insertable)]
#[diesel(table_name = presence)]
pub(crate) struct Presence {
    pub vehicle_id: VehicleId,
    pub seen_at: Timestamp,
    pub eligible: bool,
    pub reason: String,
    pub telemetry: String,
}

impl Presence {
    pub(crate) fn new(
        vehicle_id: VehicleId,
        now: Timestamp,
        verdict: std::result::Result<(), Ineligible>,
        telemetry: &Telemetry,
    ) -> Result<Self> {
        Ok(Self {
            vehicle_id,
            seen_at: now,
            eligible: verdict.is_ok(),
            reason: verdict.err().map_or("", Ineligible::as_str).to_owned(),
            telemetry: serde_json::to_string(telemetry)
                .map_err(|error| Error::corrupt(error.to_string()))?,
        })
    }

    /// Worth a write: the word changed, or it is so old that the car would soon count as gone.
    pub(crate) fn supersedes(&self, stored: Option<&Self>, refresh_us: i64) -> bool {
        stored.is_none_or(|stored| {
            self.eligible != stored.eligible
                || self.reason != stored.reason
                || self.seen_at.since(stored.seen_at) >= refresh_us
        })
    }
}

pub(crate) fn load_presence(tx: &mut Tx<'_>, id: VehicleId) -> Result<Option<Presence>> {
    Ok(presence::table.find(id).first(tx.conn).optional()?)
}

pub(crate) fn store_presence(tx: &mut Tx<'_>, word: &Presence) -> Result<()> {
    let updated = diesel::update(presence::table.find(word.vehicle_id))
        .set((
            presence::seen_at.eq(word.seen_at),
            presence::eligible.eq(word.eligible),
            presence::reason.eq(&word.reason),
            presence::telemetry.eq(&word.telemetry),
        ))
        .execute(tx.conn)?;
    if updated == 0 {
        diesel::insert_into(presence::table).values(word).execute(tx.conn)?;
    }
    Ok(())
}
