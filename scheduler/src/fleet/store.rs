//! Rows of vehicles.

use std::collections::HashMap;

use diesel::prelude::*;
use store::schema::{hardware_class, region, vehicle};
use store::sets::Set;
use store::{Amount, PartyId, Timestamp, Tx, VehicleId};

use super::{AWAKE_W, ConsentRow, MAX_PRICE, Policy, Rules, check_rules};
use crate::{Chemistry, Error, PayIn, Result};

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

/// A car's battery, as its owner says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Battery {
    pub chemistry: Chemistry,
    /// Capacity, watt-hours: 1,000 to 300,000.
    pub wh: i32,
}

/// A row of `vehicle`.
#[derive(Clone, Debug, PartialEq, Queryable, QueryableByName, Selectable)]
#[diesel(table_name = vehicle)]
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
    pub rules: Rules,
    pub chemistry: Option<Chemistry>,
    pub battery_wh: Option<i32>,
    /// Since when its owner or a driver wants no work.
    pub paused_at: Option<Timestamp>,
    /// `retired`, `transferred` or `erased`: it takes no more work, and leaves when its last lease
    /// has ended.
    pub leaving: Option<String>,
    pub left_at: Option<Timestamp>,
}

impl VehicleRow {
    pub fn policy(&self) -> Policy {
        let Self { soc_floor, plugged_only, rules, .. } = *self;
        Policy { soc_floor, plugged_only, rules }
    }

    /// None: its owner did not say.
    pub fn battery(&self) -> Option<Battery> {
        Some(Battery { chemistry: self.chemistry?, wh: self.battery_wh? })
    }
}

/// A car as its owner sees it.
#[derive(Clone, Debug)]
pub struct VehicleView {
    pub row: VehicleRow,
    pub consents: Vec<ConsentRow>,
    /// Its number, all but the last four characters masked.
    pub vin: Option<String>,
    /// When it was last heard of, and why it may not work then.
    pub seen_at: Option<Timestamp>,
    pub eligible: bool,
    pub reason: Option<String>,
    /// Until when its charge and rules let it work, as far as known then.
    pub until: Option<Timestamp>,
}

pub(super) fn check_policy(policy: &Policy, reserve: Amount) -> Result<()> {
    if !(0..=100).contains(&policy.soc_floor) {
        return Err(Error::invalid("/soc_floor", "a percentage from 0 to 100"));
    }
    if reserve < Amount::ZERO || reserve > MAX_PRICE {
        return Err(Error::invalid("/reserve", format!("from 0 to {MAX_PRICE} per lane-hour")));
    }
    check_rules(&policy.rules)
}

pub(super) fn check_battery(battery: Battery) -> Result<()> {
    match (1_000..=300_000).contains(&battery.wh) {
        true => Ok(()),
        false => Err(Error::invalid("/battery/capacity_wh", "from 1000 to 300000")),
    }
}

pub(super) fn check_new(tx: &mut Tx<'_>, new: &NewVehicle) -> Result<()> {
    check_policy(&new.policy, new.reserve)?;
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
            vehicle::rules.eq(new.policy.rules.text()?),
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
    let consents = super::consent::consents_of(tx, row.id)?;
    let vin = super::vin::masked(tx, row.id)?;
    let presence = super::load_presence(tx, row.id)?;
    Ok(VehicleView {
        consents,
        vin,
        seen_at: presence.as_ref().map(|word| word.seen_at),
        eligible: presence.as_ref().is_some_and(|word| word.eligible),
        until: presence.as_ref().and_then(|word| word.until),
        reason: presence.map(|word| word.reason).filter(|reason| !reason.is_empty()),
        row,
    })
}

/// Those of these cars that there are.
pub(crate) fn load_vehicles(tx: &mut Tx<'_>, ids: &[VehicleId]) -> Result<Vec<VehicleRow>> {
    let set = Set::default().ids("id", ids.iter().copied());
    Ok(set.load(tx.conn, "SELECT v.* FROM {set} CROSS JOIN vehicle v WHERE v.id = w.id")?)
}

/// What a car's region and class say of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    pub market: String,
    pub utc_offset_min: i32,
    /// At work, all in all, watts.
    pub draw_w: i32,
}

/// By region and class: they are few.
pub(crate) fn load_places(tx: &mut Tx<'_>) -> Result<HashMap<(String, String), Place>> {
    let regions: Vec<(String, String, i32)> = region::table
        .select((region::id, region::market_id, region::utc_offset_min))
        .load(tx.conn)?;
    let classes: Vec<(String, i32)> =
        hardware_class::table.select((hardware_class::id, hardware_class::watts)).load(tx.conn)?;
    let mut places = HashMap::new();
    for (region, market, utc_offset_min) in regions {
        for (class, watts) in &classes {
            let (market, draw_w) = (market.clone(), watts + AWAKE_W);
            let place = Place { market, utc_offset_min, draw_w };
            places.insert((region.clone(), class.clone()), place);
        }
    }
    Ok(places)
}
