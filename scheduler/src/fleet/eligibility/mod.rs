//! May this car work now, and until when? Pure functions with a reason for every "no".
//!
//! A car that was told "no" by a sensor may work again only when every threshold is passed by a
//! margin, and has been for [`Circumstances::hold_s`] without a break: so nothing flaps. What it
//! remembers for that is its last [`Eligibility`].

// Charge, power and temperature are measured, not money.
#![allow(clippy::float_arithmetic)]

mod energy;
mod reason;
#[cfg(test)]
mod tests;

pub use reason::Ineligible;

use store::Timestamp;
use vehicle::protocol::{ClimateKeeper, Doors, Gear, Network, Powershare, Telemetry};

use super::policy::{LocalTime, Policy, Range, Rules};

/// What a car that is kept awake draws beside its computer, watts.
pub const AWAKE_W: i32 = 250;

/// The battery's own limits for work, degrees Celsius.
const MODULE_TEMP: Range = Range { min: -10, max: 50 };

/// What counts beside telemetry and policy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Circumstances {
    pub now: Timestamp,
    /// Of its region: local standard time less UTC, minutes.
    pub utc_offset_min: i32,
    /// What it draws at work, all in all, watts; above 0.
    pub draw_w: i32,
    /// Its leases since midnight, microseconds.
    pub used_us: i64,
    /// How long nothing must speak against work before it begins again, seconds.
    pub hold_s: i64,
}

/// The answer, and what the next one is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eligibility {
    pub outcome: Result<(), Ineligible>,
    /// While it may not work: since when nothing speaks against it.
    pub clear_since: Option<Timestamp>,
    /// Until when it may work at most, if it begins now; none: nothing known ends it. Never before
    /// now.
    pub until: Option<Timestamp>,
}

impl Eligibility {
    pub fn is_ok(&self) -> bool {
        self.outcome.is_ok()
    }
}

/// By how much thresholds must be passed.
#[derive(Clone, Copy)]
struct Margins {
    /// Percent of charge.
    soc: f64,
    degrees: f64,
    /// Of the charger's power over the draw.
    power: f64,
    minutes: i64,
}

/// For a car that may work.
const STAY: Margins = Margins { soc: 0.0, degrees: 0.0, power: 1.0, minutes: 0 };
/// For one that wants to again.
const RETURN: Margins = Margins { soc: 2.0, degrees: 3.0, power: 1.25, minutes: 10 };

/// Decides. `last` is the verdict before; none for a car that was not heard of yet.
pub fn judge(
    telemetry: &Telemetry,
    policy: &Policy,
    last: Option<&Eligibility>,
    around: &Circumstances,
) -> Eligibility {
    let no = |reason, clear_since| Eligibility { outcome: Err(reason), clear_since, until: None };
    let yes = |until| Eligibility { outcome: Ok(()), clear_since: None, until };
    let (left, clear_since) = match last {
        Some(Eligibility { outcome: Err(reason), clear_since, .. }) => {
            (Some(*reason), *clear_since)
        }
        Some(Eligibility { outcome: Ok(()), .. }) | None => (None, None),
    };
    let margins = if left.is_some() { RETURN } else { STAY };
    let until = match check(telemetry, policy, around, margins) {
        Ok(until) => until,
        Err(reason) => return no(reason, None),
    };
    if left.is_none_or(Ineligible::is_exact) {
        return yes(until);
    }
    let since = clear_since.unwrap_or(around.now);
    match around.now.since(since) >= around.hold_s.saturating_mul(1_000_000) {
        true => yes(until),
        false => no(Ineligible::Settling, Some(since)),
    }
}

/// Until when it may work, or the first reason why not.
fn check(
    telemetry: &Telemetry,
    policy: &Policy,
    around: &Circumstances,
    margins: Margins,
) -> Result<Option<Timestamp>, Ineligible> {
    parked(telemetry)?;
    place(telemetry, &policy.rules)?;
    temperatures(telemetry, &policy.rules, margins)?;
    let energy = energy::lasts(telemetry, policy, around, margins)?;
    let ends = [clock(&policy.rules, around)?, used(&policy.rules, around)?, energy];
    Ok(ends.into_iter().flatten().min())
}

/// Parked and idle, whatever the battery.
pub fn parked(telemetry: &Telemetry) -> Result<(), Ineligible> {
    let first = [
        (telemetry.gear == Some(Gear::P), Ineligible::NotParked),
        (telemetry.vehicle_speed == Some(0.0), Ineligible::Moving),
        (telemetry.driver_seat_occupied == Some(false), Ineligible::Occupied),
        (telemetry.locked == Some(true), Ineligible::Unlocked),
        (telemetry.door_state == Some(Doors::default()), Ineligible::DoorsOpen),
        (telemetry.service_mode == Some(false), Ineligible::InService),
        (telemetry.valet_mode == Some(false), Ineligible::InService),
        // Not every car has these: one that does not speak of them has not.
        (
            matches!(telemetry.climate_keeper_mode, None | Some(ClimateKeeper::Off)),
            Ineligible::ClimateKept,
        ),
        (
            matches!(
                telemetry.powershare_status,
                None | Some(Powershare::Inactive | Powershare::Stopped)
            ),
            Ineligible::Powershare,
        ),
        (
            matches!(telemetry.software_update_installation_percent_complete, None | Some(0 | 100)),
            Ineligible::Updating,
        ),
    ];
    first.into_iter().find(|(fine, _)| !fine).map_or(Ok(()), |(_, reason)| Err(reason))
}

fn place(telemetry: &Telemetry, rules: &Rules) -> Result<(), Ineligible> {
    if rules.home_only && telemetry.located_at_home != Some(true) {
        return Err(Ineligible::NotAtHome);
    }
    if rules.wifi_only && !matches!(telemetry.network, Some(Network::Wifi | Network::Ethernet)) {
        return Err(Ineligible::NotOnWifi);
    }
    Ok(())
}

fn temperatures(telemetry: &Telemetry, rules: &Rules, margins: Margins) -> Result<(), Ineligible> {
    let warmest = celsius(telemetry.module_temp_max)?;
    let coldest = match telemetry.module_temp_min {
        Some(_) => celsius(telemetry.module_temp_min)?,
        None if rules.module_temp.is_some() => return Err(Ineligible::TemperatureUnknown),
        None => warmest,
    };
    let own = rules.module_temp.unwrap_or(MODULE_TEMP);
    let module = Range { min: own.min.max(MODULE_TEMP.min), max: own.max.min(MODULE_TEMP.max) };
    // A range narrower than both margins is asked as it is.
    let margin =
        |range: Range| margins.degrees.min(f64::from(range.max - range.min).max(0.0) / 2.0);
    if warmest > f64::from(module.max) - margin(module) {
        return Err(Ineligible::ModuleTooHot);
    }
    if coldest < f64::from(module.min) + margin(module) {
        return Err(Ineligible::ModuleTooCold);
    }
    if let Some(outside) = rules.outside_temp {
        let now = celsius(telemetry.outside_temp)?;
        if now > f64::from(outside.max) - margin(outside) {
            return Err(Ineligible::OutsideTooHot);
        }
        if now < f64::from(outside.min) + margin(outside) {
            return Err(Ineligible::OutsideTooCold);
        }
    }
    Ok(())
}

fn celsius(value: Option<f32>) -> Result<f64, Ineligible> {
    let known = value.map(f64::from).filter(|degrees| (-60.0..=120.0).contains(degrees));
    known.ok_or(Ineligible::TemperatureUnknown)
}

/// When the clock ends the work, within a day.
fn clock(rules: &Rules, around: &Circumstances) -> Result<Option<Timestamp>, Ineligible> {
    if rules.hours.is_none() && rules.quiet.is_none() {
        return Ok(None);
    }
    let local = around.local();
    let minute = local.minute();
    if !rules.open(minute) {
        let in_hours = Rules { quiet: None, ..*rules }.open(minute);
        return Err(if in_hours { Ineligible::QuietHours } else { Ineligible::OutsideHours });
    }
    let shut = (minute + 1..=minute + 24 * 60).find(|minute| !rules.open(*minute));
    Ok(shut.map(|minute| local.at_minute(minute)))
}

/// When what is left of today's allowance is used up, if that is today.
fn used(rules: &Rules, around: &Circumstances) -> Result<Option<Timestamp>, Ineligible> {
    const HOUR_US: i64 = 3_600_000_000;
    let hours = rules.max_hours_per_day.map(|hours| i64::from(hours) * HOUR_US - around.used_us);
    let energy = rules.max_kwh_per_day.map(|kwh| {
        i64::from(kwh) * 1_000 * HOUR_US / i64::from(around.draw_w.max(1)) - around.used_us
    });
    if hours.is_some_and(|left| left <= 0) {
        return Err(Ineligible::HoursUsedUp);
    }
    if energy.is_some_and(|left| left <= 0) {
        return Err(Ineligible::EnergyUsedUp);
    }
    let Some(left) = [hours, energy].into_iter().flatten().min() else { return Ok(None) };
    let end = around.now.plus_us(left);
    Ok((end < around.local().next_midnight()).then_some(end))
}

impl Circumstances {
    pub(crate) fn local(&self) -> LocalTime {
        LocalTime { now: self.now, utc_offset_min: self.utc_offset_min }
    }
}
