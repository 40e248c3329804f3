//! Who else has to do with a car: drivers, who may stop it and let it go on, and its next owner.
//! Both are asked by a one-time code that the owner hands over, so both sides agree.

use diesel::prelude::*;
use store::schema::{vehicle, vehicle_code, vehicle_driver};
use store::{PartyId, Timestamp, Tx, VehicleId};

use super::leave::{Leaving, begin, hand_on};
use super::{NewVehicle, Preset, VehicleRow, load_vehicle, owned};
use crate::{Error, Result};

/// What a code is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// To drive the car.
    Driver,
    /// To have it.
    Transfer,
}

impl Share {
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "driver" => Some(Self::Driver),
            "transfer" => Some(Self::Transfer),
            _ => None,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Driver => "driver",
            Self::Transfer => "transfer",
        }
    }
}

/// Most drivers of a car, and most codes that wait.
pub const MAX_DRIVERS: i64 = 10;

/// Keeps the SHA-256 of a one-time code for a car. A code to hand the car over voids an earlier one.
///
/// # Errors
/// [`Error::NotFound`] for another's car, [`Error::WrongState`] for one that leaves or has as many
/// drivers and codes as it may.
pub fn give_code(
    tx: &mut Tx<'_>,
    owner: PartyId,
    id: VehicleId,
    share: Share,
    code_hash: [u8; 32],
    expires_at: Timestamp,
) -> Result<()> {
    owned(tx, owner, id)?.stays()?;
    let of_car = || vehicle_code::table.filter(vehicle_code::vehicle_id.eq(id));
    diesel::delete(of_car().filter(vehicle_code::expires_at.le(tx.now))).execute(tx.conn)?;
    match share {
        Share::Transfer => {
            diesel::delete(of_car().filter(vehicle_code::kind.eq("transfer"))).execute(tx.conn)?;
        }
        Share::Driver => {
            let waiting: i64 = of_car().count().get_result(tx.conn)?;
            let drivers: i64 = vehicle_driver::table
                .filter(vehicle_driver::vehicle_id.eq(id))
                .count()
                .get_result(tx.conn)?;
            if waiting + drivers >= MAX_DRIVERS {
                return Err(Error::WrongState("The car has as many drivers and codes as it may."));
            }
        }
    }
    diesel::insert_into(vehicle_code::table)
        .values((
            vehicle_code::code_hash.eq(code_hash.as_slice()),
            vehicle_code::vehicle_id.eq(id),
            vehicle_code::kind.eq(share.text()),
            vehicle_code::expires_at.eq(expires_at),
        ))
        .execute(tx.conn)?;
    Ok(())
}

/// What came of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// One may stop this car now.
    Driver(VehicleId),
    /// The car that was, and the one that it is now.
    Owner { was: VehicleId, is: VehicleId },
}

/// Uses a code up. A car that is handed over leaves its owner and comes to the next one as a new
/// car: with its number and record, and without consents, rules, keys, earnings or habits.
/// `no_token` is a random number, stored where the SHA-256 of a token would be.
///
/// None for a code that is wrong, used or too old.
///
/// # Errors
/// [`Error::WrongState`] for one's own car.
pub fn accept_code(
    tx: &mut Tx<'_>,
    party: PartyId,
    code_hash: [u8; 32],
    no_token: [u8; 32],
) -> Result<Option<Accepted>> {
    let known = vehicle_code::table.find(code_hash.as_slice());
    let row: Option<(VehicleId, String)> = known
        .filter(vehicle_code::expires_at.gt(tx.now))
        .select((vehicle_code::vehicle_id, vehicle_code::kind))
        .first(tx.conn)
        .optional()?;
    let Some((id, kind)) = row else { return Ok(None) };
    // Of two who use it at once the second waits here and finds it used.
    if diesel::delete(known).execute(tx.conn)? == 0 {
        return Ok(None);
    }
    let Some(car) = load_vehicle(tx, id)? else { return Ok(None) };
    car.stays()?;
    if car.owner_id == party {
        return Err(Error::WrongState("The car is yours: hand the code to somebody else."));
    }
    match Share::parse(&kind) {
        Some(Share::Driver) => add_driver(tx, party, id).map(|()| Some(Accepted::Driver(id))),
        Some(Share::Transfer) => {
            let is = transfer(tx, party, &car, no_token)?;
            Ok(Some(Accepted::Owner { was: id, is }))
        }
        None => Err(Error::corrupt(format!("a code for {kind}"))),
    }
}

fn add_driver(tx: &mut Tx<'_>, party: PartyId, id: VehicleId) -> Result<()> {
    if drives(tx, party, id)? {
        return Ok(());
    }
    diesel::insert_into(vehicle_driver::table)
        .values((
            vehicle_driver::vehicle_id.eq(id),
            vehicle_driver::party_id.eq(party),
            vehicle_driver::since.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(())
}

fn transfer(
    tx: &mut Tx<'_>,
    party: PartyId,
    car: &VehicleRow,
    no_token: [u8; 32],
) -> Result<VehicleId> {
    let new = NewVehicle {
        region: car.region_id.clone(),
        class: car.class_id.clone(),
        reserve: car.reserve,
        policy: Preset::OnCharger.policy(),
        pay_in: crate::PayIn::Cash,
    };
    let is = super::enrol(tx, party, &new, no_token)?;
    let battery = (vehicle::chemistry.eq(car.chemistry), vehicle::battery_wh.eq(car.battery_wh));
    diesel::update(vehicle::table.find(is)).set(battery).execute(tx.conn)?;
    begin(tx, car.id, Leaving::Transferred)?;
    hand_on(tx, car.id, is)?;
    Ok(is)
}

fn drives(tx: &mut Tx<'_>, party: PartyId, id: VehicleId) -> Result<bool> {
    let rows: i64 = vehicle_driver::table.find((id, party)).count().get_result(tx.conn)?;
    Ok(rows > 0)
}

/// A car, for its owner or one of its drivers.
///
/// # Errors
/// [`Error::NotFound`] for who is neither.
pub fn driven(tx: &mut Tx<'_>, party: PartyId, id: VehicleId) -> Result<VehicleRow> {
    let car = load_vehicle(tx, id)?.ok_or(Error::NotFound("vehicle"))?;
    match car.owner_id == party || drives(tx, party, id)? {
        true => Ok(car),
        false => Err(Error::NotFound("vehicle")),
    }
}

/// Stops a car, or lets it go on. Stopped, it takes nothing new and leaves what it runs at its next
/// poll. Its owner and its drivers may; whoever comes last is heard.
///
/// # Errors
/// [`Error::NotFound`] for who is neither, [`Error::WrongState`] for a car that leaves.
pub fn pause(tx: &mut Tx<'_>, party: PartyId, id: VehicleId, paused: bool) -> Result<()> {
    let car = driven(tx, party, id)?;
    car.stays()?;
    let since = paused.then(|| car.paused_at.unwrap_or(tx.now));
    diesel::update(vehicle::table.find(id).filter(vehicle::leaving.is_null()))
        .set(vehicle::paused_at.eq(since))
        .execute(tx.conn)?;
    Ok(())
}

/// Who drives a car, and since when.
///
/// # Errors
/// [`Error::NotFound`] for another's car.
pub fn drivers(
    tx: &mut Tx<'_>,
    owner: PartyId,
    id: VehicleId,
) -> Result<Vec<(PartyId, Timestamp)>> {
    owned(tx, owner, id)?;
    Ok(vehicle_driver::table
        .filter(vehicle_driver::vehicle_id.eq(id))
        .order((vehicle_driver::since, vehicle_driver::party_id))
        .select((vehicle_driver::party_id, vehicle_driver::since))
        .load(tx.conn)?)
}

/// Takes a driver off a car: its owner may, and drivers themselves.
///
/// # Errors
/// [`Error::NotFound`] for who is neither, and for one who does not drive it.
pub fn remove_driver(
    tx: &mut Tx<'_>,
    party: PartyId,
    id: VehicleId,
    driver: PartyId,
) -> Result<()> {
    let car = driven(tx, party, id)?;
    if car.owner_id != party && party != driver {
        return Err(Error::NotFound("driver"));
    }
    let row = vehicle_driver::table.find((id, driver));
    match diesel::delete(row).execute(tx.conn)? {
        0 => Err(Error::NotFound("driver")),
        _ => Ok(()),
    }
}

/// The cars that somebody drives and does not own, oldest first.
pub fn driving(tx: &mut Tx<'_>, party: PartyId) -> Result<Vec<VehicleRow>> {
    Ok(vehicle::table
        .inner_join(vehicle_driver::table.on(vehicle_driver::vehicle_id.eq(vehicle::id)))
        .filter(vehicle_driver::party_id.eq(party))
        .order(vehicle::id)
        .select(VehicleRow::as_select())
        .load(tx.conn)?)
}
