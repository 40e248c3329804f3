use proptest::prelude::*;
use vehicle::protocol::ChargeState;

use super::*;
use crate::fleet::{ReadyBy, Span, TimeOfDay, Week};

fn at_home() -> Telemetry {
    Telemetry {
        gear: Some(Gear::P),
        vehicle_speed: Some(0.0),
        driver_seat_occupied: Some(false),
        locked: Some(true),
        service_mode: Some(false),
        valet_mode: Some(false),
        door_state: Some(Doors::default()),
        detailed_charge_state: Some(ChargeState::Disconnected),
        soc: Some(80.0),
        module_temp_max: Some(25.0),
        module_temp_min: Some(22.0),
        outside_temp: Some(15.0),
        located_at_home: Some(true),
        network: Some(Network::Wifi),
        energy_remaining: Some(60.0),
        ..Telemetry::default()
    }
}

fn time(text: &str) -> TimeOfDay {
    text.parse().unwrap()
}

fn span(from: &str, to: &str) -> Span {
    Span { from: time(from), to: time(to) }
}

/// Everything that can be asked, and nothing of it stands in the way.
fn strict() -> Policy {
    Policy {
        soc_floor: 50,
        plugged_only: false,
        rules: Rules {
            ready_by: Some(Week::every(ReadyBy { at: time("07:00"), soc: 60 })),
            hours: Some(Week::every(span("20:00", "06:00"))),
            quiet: Some(span("23:00", "23:30")),
            module_temp: Some(Range { min: 10, max: 40 }),
            outside_temp: Some(Range { min: 0, max: 30 }),
            wifi_only: true,
            home_only: true,
            max_hours_per_day: Some(8),
            max_kwh_per_day: Some(2),
        },
    }
}

/// 2026-11-23, a Monday, at this minute of the day in UTC.
fn monday(minute: i64) -> Timestamp {
    Timestamp::parse("2026-11-23T00:00:00Z").unwrap().plus_s(minute * 60)
}

/// Seven hours past ten in the evening by the clocks of California.
fn around() -> Circumstances {
    Circumstances {
        now: monday((24 + 6) * 60),
        utc_offset_min: -480,
        draw_w: 350,
        used_us: 0,
        hold_s: 300,
    }
}

#[test]
fn at_home_above_the_floor_it_may_work_until_something_ends_it() {
    let now = around().now;
    let free = Policy { plugged_only: false, ..Policy::default() };
    let verdict = judge(&at_home(), &free, None, &around());
    // 29.75 percent of 75 kWh at 350 W.
    let hours = (80.0 - 50.0 - 0.25) * 0.75 / 0.35;
    assert!(verdict.is_ok());
    assert_eq!(verdict.until.unwrap().since(now) / 1_000_000, (hours * 3_600.0) as i64);
    // The quiet hour begins at 23:00, in one hour.
    let verdict = judge(&at_home(), &strict(), None, &around());
    assert_eq!((verdict.outcome, verdict.until), (Ok(()), Some(now.plus_s(3_600))));
}

#[test]
fn every_no_has_its_reason() {
    use Ineligible as No;
    type Change = fn(&mut Telemetry, &mut Policy, &mut Circumstances);
    let cases: &[(Change, No)] = &[
        (|t, _, _| t.gear = Some(Gear::D), No::NotParked),
        (|t, _, _| t.gear = None, No::NotParked),
        (|t, _, _| t.vehicle_speed = Some(0.5), No::Moving),
        (|t, _, _| t.vehicle_speed = Some(f32::NAN), No::Moving),
        (|t, _, _| t.vehicle_speed = None, No::Moving),
        (|t, _, _| t.driver_seat_occupied = Some(true), No::Occupied),
        (|t, _, _| t.driver_seat_occupied = None, No::Occupied),
        (|t, _, _| t.locked = Some(false), No::Unlocked),
        (|t, _, _| t.locked = None, No::Unlocked),
        (
            |t, _, _| t.door_state = Some(Doors { trunk_rear: true, ..Doors::default() }),
            No::DoorsOpen,
        ),
        (|t, _, _| t.door_state = None, No::DoorsOpen),
        (|t, _, _| t.service_mode = Some(true), No::InService),
        (|t, _, _| t.service_mode = None, No::InService),
        (|t, _, _| t.valet_mode = Some(true), No::InService),
        (|t, _, _| t.valet_mode = None, No::InService),
        (|t, _, _| t.climate_keeper_mode = Some(ClimateKeeper::Dog), No::ClimateKept),
        (|t, _, _| t.powershare_status = Some(Powershare::Enabled), No::Powershare),
        (|t, _, _| t.software_update_installation_percent_complete = Some(1), No::Updating),
        (|t, _, _| t.software_update_installation_percent_complete = Some(-1), No::Updating),
        (|t, _, _| t.located_at_home = Some(false), No::NotAtHome),
        (|t, _, _| t.located_at_home = None, No::NotAtHome),
        (|t, _, _| t.network = Some(Network::Cellular), No::NotOnWifi),
        (|t, _, _| t.network = None, No::NotOnWifi),
        (|t, _, _| t.module_temp_max = None, No::TemperatureUnknown),
        (|t, _, _| t.module_temp_max = Some(f32::NAN), No::TemperatureUnknown),
        (|t, _, _| t.module_temp_max = Some(500.0), No::TemperatureUnknown),
        (|t, _, _| t.module_temp_min = None, No::TemperatureUnknown),
        (|t, _, _| t.outside_temp = None, No::TemperatureUnknown),
        (|t, _, _| t.outside_temp = Some(f32::INFINITY), No::TemperatureUnknown),
        (|t, _, _| t.module_temp_max = Some(40.5), No::ModuleTooHot),
        (|t, _, _| t.module_temp_min = Some(9.5), No::ModuleTooCold),
        (|t, _, _| t.outside_temp = Some(30.5), No::OutsideTooHot),
        (|t, _, _| t.outside_temp = Some(-0.5), No::OutsideTooCold),
        (|_, _, a| a.now = monday((24 + 14) * 60), No::OutsideHours),
        (|_, _, a| a.now = monday((24 + 7) * 60), No::QuietHours),
        (|_, p, a| (p.rules.max_kwh_per_day, a.used_us) = (None, 8 * HOUR_US), No::HoursUsedUp),
        // 2 kWh at 350 W are 5.7 hours.
        (|_, _, a| a.used_us = 6 * HOUR_US, No::EnergyUsedUp),
        (|t, _, _| t.detailed_charge_state = None, No::ChargeUnknown),
        (|t, _, _| t.soc = None, No::ChargeUnknown),
        (|t, _, _| t.soc = Some(f32::NAN), No::ChargeUnknown),
        (|t, _, _| t.soc = Some(101.0), No::ChargeUnknown),
        (|t, _, _| t.soc = Some(-1.0), No::ChargeUnknown),
        (|t, _, _| t.energy_remaining = Some(f32::NAN), No::ChargeUnknown),
        (|t, _, _| t.ac_charging_power = Some(-1.0), No::ChargeUnknown),
        (|t, _, _| t.dc_charging_power = Some(f32::NAN), No::ChargeUnknown),
        (|_, p, _| p.plugged_only = true, No::NotPluggedIn),
        (|t, _, _| t.soc = Some(50.25), No::ChargeBelowFloor),
        (|t, _, _| t.soc = Some(60.25), No::ChargingNeeded),
    ];
    let mut seen: Vec<No> = cases.iter().map(|(_, reason)| *reason).collect();
    for (number, (change, reason)) in cases.iter().enumerate() {
        let (mut telemetry, mut policy, mut around) = (at_home(), strict(), around());
        change(&mut telemetry, &mut policy, &mut around);
        let verdict = judge(&telemetry, &policy, None, &around);
        assert_eq!(verdict.outcome, Err(*reason), "case {number}");
        assert_eq!(No::parse(reason.as_str()), Some(*reason));
    }
    seen.push(No::Settling);
    for reason in No::ALL {
        assert!(seen.contains(reason), "{reason:?} is not in the table");
    }
    let nothing = judge(&Telemetry::default(), &Policy::default(), None, &around());
    assert_eq!(nothing.outcome, Err(No::NotParked));
}

const HOUR_US: i64 = 3_600_000_000;

#[test]
fn on_the_charger_the_floor_does_not_bind() {
    use Ineligible::{ChargeBelowFloor, NotPluggedIn};
    for (state, kw, low, strict) in [
        (ChargeState::Charging, Some(7.0), Ok(()), Ok(())),
        (ChargeState::Charging, None, Ok(()), Ok(())),
        (ChargeState::Charging, Some(0.3), Err(ChargeBelowFloor), Err(NotPluggedIn)),
        (ChargeState::Complete, None, Ok(()), Ok(())),
        (ChargeState::Starting, None, Ok(()), Ok(())),
        (ChargeState::Disconnected, Some(7.0), Err(ChargeBelowFloor), Err(NotPluggedIn)),
        (ChargeState::NoPower, None, Err(ChargeBelowFloor), Err(NotPluggedIn)),
        (ChargeState::Stopped, None, Err(ChargeBelowFloor), Err(NotPluggedIn)),
    ] {
        let telemetry = Telemetry {
            detailed_charge_state: Some(state),
            soc: Some(10.0),
            ac_charging_power: kw,
            ..at_home()
        };
        let plugged = Policy::default();
        let any = Policy { plugged_only: false, ..plugged };
        assert_eq!(judge(&telemetry, &any, None, &around()).outcome, low, "{state:?}");
        assert_eq!(judge(&telemetry, &plugged, None, &around()).outcome, strict, "{state:?}");
    }
}

#[test]
fn charging_for_the_drive_comes_first() {
    // At 22:00: nine hours less a quarter to charge from 60 to 80 percent of 75 kWh.
    let policy = Policy {
        rules: Rules {
            ready_by: Some(Week::every(ReadyBy { at: time("07:00"), soc: 80 })),
            ..Rules::default()
        },
        ..Policy::default()
    };
    let charging = |kw: f32, soc: f32| Telemetry {
        detailed_charge_state: Some(ChargeState::Charging),
        ac_charging_power: Some(kw),
        soc: Some(soc),
        energy_remaining: Some(soc * 0.75),
        ..at_home()
    };
    let ask = |telemetry| judge(&telemetry, &policy, None, &around());
    let now = around().now;
    // 16.7 kWh are wanted.
    assert_eq!(ask(charging(1.9, 60.0)).outcome, Err(Ineligible::ChargingNeeded));
    let hours = (2.0 * 8.75 - 20.25 * 0.75 * 1.1) / 0.35;
    let until = ask(charging(2.0, 60.0)).until.unwrap();
    assert!((until.since(now) - (hours * 3_600e6) as i64).abs() < 1_000, "{until:?}");
    // With power to spare it may work until the drive.
    assert_eq!(ask(charging(11.0, 60.0)).until, Some(now.plus_s(9 * 3_600)));
    assert_eq!(ask(charging(2.0, 80.0)).until, Some(now.plus_s(9 * 3_600)));
    // Full by its own word is full, if that is near what is wanted.
    let full = |soc| Telemetry {
        detailed_charge_state: Some(ChargeState::Complete),
        ..charging(0.0, soc)
    };
    assert!(ask(full(79.5)).is_ok());
    assert_eq!(ask(full(70.0)).outcome, Err(Ineligible::ChargingNeeded));
    // At the drive's moment the next day's counts.
    let later = Circumstances { now: now.plus_s(9 * 3_600), ..around() };
    let next = judge(&charging(11.0, 80.0), &policy, None, &later);
    assert_eq!(next.until, Some(later.now.plus_s(24 * 3_600)));
}

#[test]
fn who_left_returns_beyond_the_margin_and_after_the_hold() {
    let policy = Policy { plugged_only: false, ..Policy::default() };
    let mut last = None;
    let mut around = around();
    let mut at = |seconds: i64, soc: f32| {
        around.now = around.now.plus_s(seconds);
        let verdict =
            judge(&Telemetry { soc: Some(soc), ..at_home() }, &policy, last.as_ref(), &around);
        last = Some(verdict);
        verdict.outcome
    };
    let (low, wait) = (Err(Ineligible::ChargeBelowFloor), Err(Ineligible::Settling));
    for (seconds, soc, expected) in [
        (0, 50.5, Ok(())),
        (10, 50.2, low),
        (10, 51.0, low),
        (10, 52.2, low),
        (10, 53.0, wait),
        (299, 53.0, wait),
        (0, 52.0, low),
        (10, 53.0, wait),
        (299, 53.0, wait),
        (1, 53.0, Ok(())),
        (1, 50.5, Ok(())),
    ] {
        assert_eq!(at(seconds, soc), expected, "{soc} percent");
    }
}

#[test]
fn the_clock_needs_no_hold() {
    let policy = strict();
    let mut around = around();
    around.now = monday((24 + 3) * 60 + 59);
    let shut = judge(&at_home(), &policy, None, &around);
    assert_eq!(shut.outcome, Err(Ineligible::OutsideHours));
    around.now = around.now.plus_s(60);
    assert!(judge(&at_home(), &policy, Some(&shut), &around).is_ok());
}

proptest! {
    #[test]
    fn nothing_flaps_faster_than_the_hold(
        steps in prop::collection::vec((1_i64..200, 45.0_f32..60.0, 35.0_f32..45.0, 0..20), 1..200)
    ) {
        let mut policy = strict();
        policy.rules.hours = None;
        policy.rules.quiet = None;
        policy.rules.ready_by = None;
        let mut around = around();
        let mut last: Option<Eligibility> = None;
        let mut left_at = None;
        for (seconds, soc, degrees, driver) in steps {
            around.now = around.now.plus_s(seconds);
            let telemetry = Telemetry {
                soc: Some(soc),
                energy_remaining: Some(soc * 0.75),
                module_temp_max: Some(degrees),
                driver_seat_occupied: Some(driver == 0),
                ..at_home()
            };
            let verdict = judge(&telemetry, &policy, last.as_ref(), &around);
            if verdict.is_ok() {
                prop_assert!(soc > 50.0 && degrees <= 40.0 && driver != 0);
                if let Some(left) = left_at.take() {
                    prop_assert!(around.now.since(left) >= 300_000_000);
                }
            } else if last.is_none_or(|last| last.is_ok()) {
                left_at = Some(around.now);
            }
            last = Some(verdict);
        }
    }

    #[test]
    fn more_charge_is_never_worse(
        soc in 0.0_f32..100.0,
        more in 0.0_f32..50.0,
        kw in prop::option::of(0.0_f32..12.0),
        plugged in any::<bool>(),
        told in any::<bool>(),
        target in 0..=100,
        minute in 0_i64..10_080,
    ) {
        let mut policy = Policy { plugged_only: false, ..Policy::default() };
        let drive = ReadyBy { at: time("07:00"), soc: target };
        policy.rules.ready_by = Some(Week::every(drive));
        let around = Circumstances { now: monday(minute), ..around() };
        let with = |soc: f32| Telemetry {
            detailed_charge_state: Some(match plugged {
                true => ChargeState::Charging,
                false => ChargeState::Disconnected,
            }),
            ac_charging_power: kw,
            soc: Some(soc),
            // A quotient that is the same for every charge.
            energy_remaining: told.then_some(soc * 0.5),
            ..at_home()
        };
        let (less, more) = ((5.0 + soc).min(100.0), (5.0 + soc + more).min(100.0));
        let less = judge(&with(less), &policy, None, &around);
        let more = judge(&with(more), &policy, None, &around);
        if less.is_ok() {
            prop_assert!(more.is_ok());
            let (less, more) = (less.until.unwrap(), more.until.unwrap());
            prop_assert!(less <= more.plus_us(60_000_000), "{less:?} {more:?}");
        }
    }
}
