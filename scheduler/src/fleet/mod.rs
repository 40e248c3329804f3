//! Vehicles: what their owners let them do, and how they are.

mod consent;
mod cost;
mod eligibility;
pub mod key;
mod leave;
mod policy;
mod presence;
pub mod roster;
mod share;
mod store;
mod usage;
mod vin;

pub use consent::{
    CONSENT_TEXT, ConsentRow, Hours, LAWS, Law, Terms, Withdrawal, give_consent, give_consent_as,
    law_for, law_of, laws_of, opt_out, withdraw_all, withdraw_consent,
};
pub(crate) use consent::{Live, load_permits, open_now};

pub use cost::{
    Band, Basis, Costs, Interval, Lines, Price, Tariff, drop_tariff, due_to_reprice, intervals,
    load_costs, reprice, set_own_reserve, set_tariff, stress_ppm, wear_per_kwh,
};
pub use eligibility::{AWAKE_W, Circumstances, Eligibility, Ineligible, judge, parked};
pub use leave::{Leaving, finish_leaving, leave_all, ready_to_leave, retire};
pub use policy::{
    LocalTime, Policy, Preset, Range, ReadyBy, Rules, Span, TimeOfDay, Week, check_rules,
};
pub(crate) use presence::{Presence, Word, load_presence, load_words, store_words};
pub use share::{
    Accepted, MAX_DRIVERS, Share, accept_code, driven, drivers, driving, give_code, pause,
    remove_driver,
};
pub use store::{Battery, NewVehicle, VehicleRow, VehicleView};
pub(crate) use store::{Place, load_places, load_vehicle, load_vehicles, market_of};
pub(crate) use usage::load_used;
pub use vin::{SealedVin, Vin, sealed_vins};

use ::store::schema::vehicle;
use ::store::{Amount, PartyId, Timestamp, Tx, VehicleId};
use diesel::prelude::*;

use crate::{Error, PayIn, Result};

/// The dearest reserve or bid that is accepted: 1 million units per lane-hour.
pub const MAX_PRICE: Amount = Amount(1_000_000_000_000);

/// Adds a car to its owner's. It works for nobody until consent is given.
///
/// `token_hash` is the SHA-256 of the secret the car signs in with.
///
/// # Errors
/// [`Error::Invalid`] for an unknown region or class, a reserve below zero or above
/// [`MAX_PRICE`], a floor above 100.
pub fn enrol(
    tx: &mut Tx<'_>,
    owner: PartyId,
    new: &NewVehicle,
    token_hash: [u8; 32],
) -> Result<VehicleId> {
    store::check_new(tx, new)?;
    store::insert(tx, owner, new, token_hash)
}

/// Says which car it is, and what its battery is, as far as its owner tells.
///
/// # Errors
/// [`Error::NotFound`] for another's car; [`Error::Invalid`] for a number that another car has, or
/// that the law of the region does not take, and for a battery out of range.
pub fn describe(
    tx: &mut Tx<'_>,
    owner: PartyId,
    id: VehicleId,
    vin: Option<&SealedVin>,
    battery: Option<Battery>,
) -> Result<()> {
    let car = owned(tx, owner, id)?;
    if let Some(battery) = battery {
        store::check_battery(battery)?;
        diesel::update(vehicle::table.find(id))
            .set((
                vehicle::chemistry.eq(Some(battery.chemistry)),
                vehicle::battery_wh.eq(Some(battery.wh)),
            ))
            .execute(tx.conn)?;
    }
    if let Some(vin) = vin {
        vin::check(tx, &car.region_id, vin)?;
        vin::insert(tx, id, vin)?;
    }
    Ok(())
}

/// Changes what the owner wants of a car; takes effect with its next heartbeat.
pub fn set_policy(
    tx: &mut Tx<'_>,
    owner: PartyId,
    id: VehicleId,
    policy: Policy,
    reserve: Amount,
    pay_in: PayIn,
) -> Result<()> {
    store::check_policy(&policy, reserve)?;
    owned(tx, owner, id)?.stays()?;
    diesel::update(vehicle::table.find(id))
        .set((
            vehicle::soc_floor.eq(policy.soc_floor),
            vehicle::plugged_only.eq(policy.plugged_only),
            vehicle::rules.eq(policy.rules.text()?),
            vehicle::reserve.eq(reserve),
            vehicle::pay_in.eq(pay_in),
        ))
        .execute(tx.conn)?;
    Ok(())
}

/// Says when the owner will want the car again; none: not known. It is not offered for leases that
/// could last until then; one that runs is not cut short by it.
///
/// # Errors
/// [`Error::NotFound`] for another's car, [`Error::Invalid`] for a moment that has passed.
pub fn set_available_until(
    tx: &mut Tx<'_>,
    owner: PartyId,
    id: VehicleId,
    until: Option<Timestamp>,
) -> Result<()> {
    owned(tx, owner, id)?;
    if until.is_some_and(|until| until <= tx.now) {
        return Err(Error::invalid("/available_until", "in the future"));
    }
    diesel::update(vehicle::table.find(id))
        .set(vehicle::available_until.eq(until))
        .execute(tx.conn)?;
    Ok(())
}

/// One car of this owner's, with its consents and presence.
pub fn view(tx: &mut Tx<'_>, owner: PartyId, id: VehicleId) -> Result<VehicleView> {
    let row = owned(tx, owner, id)?;
    store::load_view(tx, row)
}

/// The owner's cars after `after`, oldest first.
pub fn list(
    tx: &mut Tx<'_>,
    owner: PartyId,
    after: Option<VehicleId>,
    limit: i64,
) -> Result<Vec<VehicleView>> {
    let rows = store::load_page(tx, owner, after, limit)?;
    rows.into_iter().map(|row| store::load_view(tx, row)).collect()
}

/// The car that signs in with a token of this SHA-256.
pub fn authenticate(tx: &mut Tx<'_>, token_hash: &[u8; 32]) -> Result<Option<VehicleId>> {
    let id = vehicle::table
        .filter(vehicle::token_hash.eq(token_hash.as_slice()))
        .filter(vehicle::active.eq(true))
        .select(vehicle::id)
        .first(tx.conn)
        .optional()?;
    Ok(id)
}

pub(crate) fn owned(tx: &mut Tx<'_>, owner: PartyId, id: VehicleId) -> Result<VehicleRow> {
    match load_vehicle(tx, id)? {
        Some(row) if row.owner_id == owner => Ok(row),
        _ => Err(Error::NotFound("vehicle")),
    }
}
