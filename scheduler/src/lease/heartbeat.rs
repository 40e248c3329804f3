//! One car's poll, by itself. The desk gathers those of many cars.

use store::{Store, VehicleId};
use vehicle::protocol::{Heartbeat, HeartbeatReply};

use super::engine::{Call, Glance, Served, glance, serve};
use crate::{Config, Error, Result};

/// How often a car may be sent on to the market that its lease turns out to be of.
const MAX_MOVES: usize = 4;

/// Takes a car's word and answers with what it should do. An idle car whose word is not new costs
/// one look.
///
/// # Errors
/// [`Error::NotFound`] for a vehicle that does not exist or is retired.
pub fn heartbeat(
    store: &Store,
    config: &Config,
    id: VehicleId,
    beat: &Heartbeat,
) -> Result<HeartbeatReply> {
    let calls = [Call { vehicle: id, beat }];
    let mut market = match store.read(|tx| glance(tx, config, &calls))?.pop() {
        Some(Glance::Reply { reply, .. }) => return Ok(reply),
        Some(Glance::Market(market)) => market,
        Some(Glance::Unknown) | None => return Err(Error::NotFound("vehicle")),
    };
    for _ in 0..MAX_MOVES {
        match store.write(|tx| serve(tx, config, &market, &calls))?.pop() {
            Some(Served::Reply { reply, .. }) => return Ok(reply),
            Some(Served::Elsewhere(other)) => market = other,
            Some(Served::Unknown) | None => return Err(Error::NotFound("vehicle")),
        }
    }
    Err(Error::Busy)
}
