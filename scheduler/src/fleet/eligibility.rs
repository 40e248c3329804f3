//! May this car work now? One pure function with a reason for every "no".

use serde::{Deserialize, Serialize};
use vehicle::protocol::{ChargeState, Gear, Telemetry};

/// What an owner asks before the car may work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// No work at or below this state of charge unless plugged in, percent, 0 to 100.
    pub soc_floor: i32,
    /// Work on the charger only.
    pub plugged_only: bool,
}

/// Why a car may not work. Unknown telemetry counts as "no".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ineligible {
    NotParked,
    Moving,
    Occupied,
    Unlocked,
    InService,
    ChargeUnknown,
    NotPluggedIn,
    ChargeBelowFloor,
}

impl Ineligible {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotParked => "not_parked",
            Self::Moving => "moving",
            Self::Occupied => "occupied",
            Self::Unlocked => "unlocked",
            Self::InService => "in_service",
            Self::ChargeUnknown => "charge_unknown",
            Self::NotPluggedIn => "not_plugged_in",
            Self::ChargeBelowFloor => "charge_below_floor",
        }
    }
}

/// Parked, idle, and with energy to spare by the owner's policy; else the first reason why not.
pub fn eligible(telemetry: &Telemetry, policy: Policy) -> Result<(), Ineligible> {
    parked(telemetry)?;
    energy(telemetry, policy)
}

/// Parked and idle, whatever the battery.
pub fn parked(telemetry: &Telemetry) -> Result<(), Ineligible> {
    if telemetry.gear != Some(Gear::P) {
        return Err(Ineligible::NotParked);
    }
    if telemetry.vehicle_speed != Some(0.0) {
        return Err(Ineligible::Moving);
    }
    if telemetry.driver_seat_occupied != Some(false) {
        return Err(Ineligible::Occupied);
    }
    if telemetry.locked != Some(true) {
        return Err(Ineligible::Unlocked);
    }
    if telemetry.service_mode != Some(false) || telemetry.valet_mode != Some(false) {
        return Err(Ineligible::InService);
    }
    Ok(())
}

fn energy(telemetry: &Telemetry, policy: Policy) -> Result<(), Ineligible> {
    let plugged = match telemetry.detailed_charge_state {
        Some(ChargeState::Charging | ChargeState::Complete | ChargeState::Starting) => true,
        Some(ChargeState::Disconnected | ChargeState::NoPower | ChargeState::Stopped) => false,
        None => return Err(Ineligible::ChargeUnknown),
    };
    if plugged {
        return Ok(());
    }
    if policy.plugged_only {
        return Err(Ineligible::NotPluggedIn);
    }
    match telemetry.soc {
        Some(soc) if !(0.0..=100.0).contains(&soc) => Err(Ineligible::ChargeUnknown),
        Some(soc) if soc <= policy.soc_floor as f32 => Err(Ineligible::ChargeBelowFloor),
        Some(_) => Ok(()),
        None => Err(Ineligible::ChargeUnknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_home() -> Telemetry {
        Telemetry {
            gear: Some(Gear::P),
            vehicle_speed: Some(0.0),
            driver_seat_occupied: Some(false),
            locked: Some(true),
            service_mode: Some(false),
            valet_mode: Some(false),
            detailed_charge_state: Some(ChargeState::Disconnected),
            soc: Some(80.0),
            module_temp_max: Some(25.0),
        }
    }

    const POLICY: Policy = Policy { soc_floor: 50, plugged_only: false };

    #[test]
    fn at_home_above_the_floor_it_may_work() {
        assert_eq!(eligible(&at_home(), POLICY), Ok(()));
    }

    #[test]
    fn every_no_has_its_reason() {
        type Change = fn(&mut Telemetry);
        let cases: &[(Change, Ineligible)] = &[
            (|t| t.gear = Some(Gear::D), Ineligible::NotParked),
            (|t| t.gear = None, Ineligible::NotParked),
            (|t| t.vehicle_speed = Some(0.5), Ineligible::Moving),
            (|t| t.vehicle_speed = Some(f32::NAN), Ineligible::Moving),
            (|t| t.vehicle_speed = None, Ineligible::Moving),
            (|t| t.driver_seat_occupied = Some(true), Ineligible::Occupied),
            (|t| t.driver_seat_occupied = None, Ineligible::Occupied),
            (|t| t.locked = Some(false), Ineligible::Unlocked),
            (|t| t.locked = None, Ineligible::Unlocked),
            (|t| t.service_mode = Some(true), Ineligible::InService),
            (|t| t.service_mode = None, Ineligible::InService),
            (|t| t.valet_mode = Some(true), Ineligible::InService),
            (|t| t.valet_mode = None, Ineligible::InService),
            (|t| t.detailed_charge_state = None, Ineligible::ChargeUnknown),
            (|t| t.soc = None, Ineligible::ChargeUnknown),
            (|t| t.soc = Some(f32::NAN), Ineligible::ChargeUnknown),
            (|t| t.soc = Some(101.0), Ineligible::ChargeUnknown),
            (|t| t.soc = Some(50.0), Ineligible::ChargeBelowFloor),
        ];
        for (number, (change, reason)) in cases.iter().enumerate() {
            let mut telemetry = at_home();
            change(&mut telemetry);
            assert_eq!(eligible(&telemetry, POLICY), Err(*reason), "case {number}");
        }
        assert_eq!(eligible(&Telemetry::default(), POLICY), Err(Ineligible::NotParked));
    }

    #[test]
    fn on_the_charger_the_floor_does_not_bind() {
        let plugged_only = Policy { soc_floor: 50, plugged_only: true };
        for (state, low, strict) in [
            (ChargeState::Charging, Ok(()), Ok(())),
            (ChargeState::Complete, Ok(()), Ok(())),
            (ChargeState::Starting, Ok(()), Ok(())),
            (
                ChargeState::Disconnected,
                Err(Ineligible::ChargeBelowFloor),
                Err(Ineligible::NotPluggedIn),
            ),
            (
                ChargeState::NoPower,
                Err(Ineligible::ChargeBelowFloor),
                Err(Ineligible::NotPluggedIn),
            ),
            (
                ChargeState::Stopped,
                Err(Ineligible::ChargeBelowFloor),
                Err(Ineligible::NotPluggedIn),
            ),
        ] {
            let telemetry =
                Telemetry { detailed_charge_state: Some(state), soc: Some(10.0), ..at_home() };
            assert_eq!(eligible(&telemetry, POLICY), low, "{state:?}");
            assert_eq!(eligible(&telemetry, plugged_only), strict, "{state:?}");
        }
    }
}
