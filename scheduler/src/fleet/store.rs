//! Rows of vehicles and consents.

use diesel::prelude::*;
use serde::Serialize;
use store::schema::{consent, hardware_class, region, vehicle};
use store::{Amount, ConsentId, PartyId, Timestamp, Tx, VehicleId};

use super::{MAX_PRICE, Policy};
use crate::{DataClass, Error, PayIn, Permits, Purpose, Result};

/// What an owner says of a car.
#[derive(Clone, Debug)]
pub struct NewVehicle {
    pub region: String,
    pub class: String,
    /// Net of the fee, per lane-hour, in the market's asset.
    pub reserve: Amount,
    pub policy: Policy,
    pub pay_in: PayIn,
}

/// A row of `vehicle`.
#[derive(Clone, Debug, Queryable)]
pub struct VehicleRow {
    pub id: VehicleId,
    pub owner_id: PartyId,
    pub region_id: String,
    pub class_id: String,
    pub reserve: Amount,
    pub soc_floor: i32,
    pub plugged_only: bool,
    pub pay_in: PayIn,
    pub token_hash: Vec<u8>,
    pub active: bool,
    pub created_at: Timestamp,
    /// When the owner will want it; none: not known.
    pub available_until: Option<Timestamp>,
}

impl VehicleRow {
    pub fn policy(&self) -> Policy {
        Policy { soc_floor: self.soc_floor, plugged_only: self.plugged_only }
    }
}

/// A row of `consent`.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Serialize)]
pub struct ConsentRow {
    pub id: ConsentId,
    pub vehicle_id: VehicleId,
    pub purpose: Purpose,
    pub data_class: DataClass,
    pub text_version: String,
    pub given_at: Timestamp,
    pub withdrawn_at: Option<Timestamp>,
}

/// A car as its owner sees it.
#[derive(Clone, Debug)]
pub struct VehicleView {
    pub row: VehicleRow,
    pub consents: Vec<ConsentRow>,
    /// When it was last heard of, and why it may not work then.
    pub seen_at: Option<Timestamp>,
    pub eligible: bool,
    pub reason: Option<String>,
}

pub(super) fn check_policy(soc_floor: i32, reserve: Amount) -> Result<()> {
    if !(0..=100).contains(&soc_floor) {
        return Err(Error::invalid("/soc_floor", "a percentage from 0 to 100"));
    }
    if reserve < Amount::ZERO || reserve > MAX_PRICE {
        return Err(Error::invalid("/reserve", format!("from 0 to {MAX_PRICE} per lane-hour")));
    }
    Ok(())
}

pub(super) fn check_new(tx: &mut Tx<'_>, new: &NewVehicle) -> Result<()> {
    check_policy(new.policy.soc_floor, new.reserve)?;
    let regions: i64 = region::table.find(&new.region).count().get_result(tx.conn)?;
    if regions == 0 {
        return Err(Error::invalid("/region", "no such region"));
    }
    let classes: i64 = hardware_class::table.find(&new.class).count().get_result(tx.conn)?;
    if classes == 0 {
        return Err(Error::invalid("/class", "no such hardware class"));
    }
    Ok(())
}

pub(super) fn insert(
    tx: &mut Tx<'_>,
    owner: PartyId,
    new: &NewVehicle,
    token_hash: [u8; 32],
) -> Result<VehicleId> {
    let id = tx.id();
    diesel::insert_into(vehicle::table)
        .values((
            vehicle::id.eq(id),
            vehicle::owner_id.eq(owner),
            vehicle::region_id.eq(&new.region),
            vehicle::class_id.eq(&new.class),
            vehicle::reserve.eq(new.reserve),
            vehicle::soc_floor.eq(new.policy.soc_floor),
            vehicle::plugged_only.eq(new.policy.plugged_only),
            vehicle::pay_in.eq(new.pay_in),
            vehicle::token_hash.eq(token_hash.as_slice()),
            vehicle::active.eq(true),
            vehicle::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(id)
}

pub(crate) fn load_vehicle(tx: &mut Tx<'_>, id: VehicleId) -> Result<Option<VehicleRow>> {
    Ok(vehicle::table.find(id).first(tx.conn).optional()?)
}

/// The market that the car's region belongs to.
pub(crate) fn market_of(tx: &mut Tx<'_>, car: &VehicleRow) -> Result<String> {
    Ok(region::table.find(&car.region_id).select(region::market_id).first(tx.conn)?)
}

pub(super) fn load_page(
    tx: &mut Tx<'_>,
    owner: PartyId,
    after: Option<VehicleId>,
    limit: i64,
) -> Result<Vec<VehicleRow>> {
    let rows = vehicle::table
        .filter(vehicle::owner_id.eq(owner))
        .filter(vehicle::id.gt(after.unwrap_or(VehicleId::NIL)))
        .order(vehicle::id)
        .limit(limit)
        .load(tx.conn)?;
    Ok(rows)
}

pub(super) fn load_view(tx: &mut Tx<'_>, row: VehicleRow) -> Result<VehicleView> {
    let consents =
        consent::table.filter(consent::vehicle_id.eq(row.id)).order(consent::id).load(tx.conn)?;
    let presence = super::load_presence(tx, row.id)?;
    Ok(VehicleView {
        consents,
        seen_at: presence.as_ref().map(|word| word.seen_at),
        eligible: presence.as_ref().is_some_and(|word| word.eligible),
        reason: presence.map(|word| word.reason).filter(|reason| !reason.is_empty()),
        row,
    })
}

/// What the owner allows now.
pub(crate) fn load_permits(tx: &mut Tx<'_>, id: VehicleId) -> Result<Permits> {
    let live: Vec<(Purpose, DataClass)> = consent::table
        .filter(consent::vehicle_id.eq(id))
        .filter(consent::withdrawn_at.is_null())
        .select((consent::purpose, consent::data_class))
        .load(tx.conn)?;
    Ok(live.into_iter().fold(Permits::default(), |all, (purpose, class)| all.with(purpose, class)))
}
