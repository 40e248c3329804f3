//! How a car leaves: it takes no new work, what runs on it is told to go at its next poll, and when
//! its last lease has ended, what only a car at work needs is deleted. Its row and its leases stay:
//! what it earned is still explained, and a statement can still be made.

use diesel::prelude::*;
use store::schema::{
    car_hour, car_program, lease, presence, reputation, vehicle, vehicle_code, vehicle_driver,
    vehicle_key, vehicle_tariff, vehicle_vin,
};
use store::{PartyId, Tx, VehicleId};

use super::consent::{Withdrawal, withdraw_all};
use super::{load_vehicle, market_of, owned};
use crate::lease::is_live;
use crate::market::lock_market;
use crate::{Error, Result};

/// Why a car leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    Retired,
    /// Another owner has it, as another car.
    Transferred,
    /// Its owner's data is erased.
    Erased,
}

impl Leaving {
    fn text(self) -> &'static str {
        match self {
            Self::Retired => "retired",
            Self::Transferred => "transferred",
            Self::Erased => "erased",
        }
    }
}

/// Has a car leave. Asked twice it leaves as was asked first.
///
/// # Errors
/// [`Error::NotFound`] for another's car.
pub fn retire(tx: &mut Tx<'_>, owner: PartyId, id: VehicleId) -> Result<()> {
    owned(tx, owner, id)?;
    begin(tx, id, Leaving::Retired)
}

/// Has all cars of an owner leave.
pub fn leave_all(tx: &mut Tx<'_>, owner: PartyId) -> Result<Vec<VehicleId>> {
    let cars: Vec<VehicleId> = vehicle::table
        .filter(vehicle::owner_id.eq(owner))
        .filter(vehicle::active.eq(true))
        .order(vehicle::id)
        .select(vehicle::id)
        .load(tx.conn)?;
    cars.iter().try_for_each(|id| begin(tx, *id, Leaving::Erased))?;
    Ok(cars)
}

pub(super) fn begin(tx: &mut Tx<'_>, id: VehicleId, why: Leaving) -> Result<()> {
    let asked = vehicle::table.find(id).filter(vehicle::leaving.is_null());
    let begun = diesel::update(asked)
        .set((vehicle::leaving.eq(Some(why.text())), vehicle::paused_at.eq(Some(tx.now))))
        .execute(tx.conn)?;
    if begun > 0 {
        withdraw_all(tx, id, Withdrawal::Left)?;
        diesel::delete(vehicle_code::table.filter(vehicle_code::vehicle_id.eq(id)))
            .execute(tx.conn)?;
    }
    Ok(())
}

/// Cars that leave and have no lease any more, by id.
pub fn ready_to_leave(tx: &mut Tx<'_>, limit: i64) -> Result<Vec<VehicleId>> {
    let at_work =
        lease::table.filter(lease::vehicle_id.eq(vehicle::id)).filter(is_live()).select(lease::id);
    Ok(vehicle::table
        .filter(vehicle::leaving.is_not_null())
        .filter(vehicle::left_at.is_null())
        .filter(diesel::dsl::not(diesel::dsl::exists(at_work)))
        .order(vehicle::id)
        .limit(limit)
        .select(vehicle::id)
        .load(tx.conn)?)
}

/// Ends what is left of a car that leaves: its keys and tokens are void, its habits, telemetry,
/// number and drivers are deleted. False if it has a lease after all, or has left.
pub fn finish_leaving(tx: &mut Tx<'_>, id: VehicleId) -> Result<bool> {
    let Some(car) = load_vehicle(tx, id)? else { return Ok(false) };
    if car.leaving.is_none() || car.left_at.is_some() {
        return Ok(false);
    }
    // No lease can come between the look and the end.
    let market = market_of(tx, &car)?;
    lock_market(tx, &market)?;
    let live: i64 = lease::table
        .filter(lease::vehicle_id.eq(id))
        .filter(is_live())
        .count()
        .get_result(tx.conn)?;
    if live > 0 {
        return Ok(false);
    }
    // Not the SHA-256 of any token that was given out.
    let no_token = [id.as_bytes().as_slice(), id.as_bytes().as_slice()].concat();
    diesel::update(vehicle::table.find(id))
        .set((
            vehicle::active.eq(false),
            vehicle::left_at.eq(Some(tx.now)),
            vehicle::token_hash.eq(no_token),
            vehicle::rules.eq("{}"),
            vehicle::available_until.eq(None::<store::Timestamp>),
        ))
        .execute(tx.conn)?;
    forget(tx, id)?;
    Ok(true)
}

fn forget(tx: &mut Tx<'_>, id: VehicleId) -> Result<()> {
    macro_rules! forget {
        ($($table:ident)*) => {$(
            diesel::delete($table::table.filter($table::vehicle_id.eq(id))).execute(tx.conn)?;
        )*};
    }
    forget!(car_hour car_program presence reputation vehicle_code vehicle_driver vehicle_key
        vehicle_tariff vehicle_vin);
    Ok(())
}

/// The next owner's car has the number and the record of the one that was handed over.
pub(super) fn hand_on(tx: &mut Tx<'_>, from: VehicleId, to: VehicleId) -> Result<()> {
    diesel::update(vehicle_vin::table.find(from))
        .set(vehicle_vin::vehicle_id.eq(to))
        .execute(tx.conn)?;
    diesel::update(reputation::table.find(from))
        .set(reputation::vehicle_id.eq(to))
        .execute(tx.conn)?;
    Ok(())
}

impl super::VehicleRow {
    /// # Errors
    /// [`Error::WrongState`] for a car that has left or leaves.
    pub(super) fn stays(&self) -> Result<()> {
        match self.leaving {
            Some(_) => Err(Error::WrongState("The car has left or leaves.")),
            None => Ok(()),
        }
    }
}
