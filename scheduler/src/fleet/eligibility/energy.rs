//! How long the battery lets a car work: not below the owner's floor, and not at the cost of the
//! charge that is wanted when the owner drives off.
//!
//! Work draws `w`, a charger gives `P`, and `E` is missing at the time `T`: after work of length `t`
//! the rest of the time still has to do, `(P - w) t + P (T - t) >= E`, so `t <= (P T - E) / w`.
//! On the battery `P` is 0 and what is not missing can be spent. Estimates err on the safe side:
//! a tenth more is wanted and a quarter of an hour less is left; a charger whose power is not told
//! counts for little, and a battery for large where it must be filled and for small where it is
//! spent.

use store::Timestamp;
use vehicle::protocol::{ChargeState, Telemetry};

use super::{Circumstances, Ineligible, Margins, Policy};

/// What a charger gives at least, kilowatts.
const LEAST_KW: f64 = 1.0;
/// Batteries whose size is not told: the smallest and the largest, kilowatt-hours.
const SMALL_KWH: f64 = 50.0;
const LARGE_KWH: f64 = 120.0;
/// Work stops so much above the least charge: what is drawn until it has stopped, percent.
const GUARD: f64 = 0.25;
/// More that must be charged than is missing: losses, and slower at the end.
const LOSSES: f64 = 1.1;
/// Less time to charge than until the drive, minutes.
const EARLY_MIN: i64 = 15;
/// A battery that the car calls full may be this far below what is wanted, percent.
const FULL: f64 = 1.0;

enum Source {
    Battery,
    /// On the mains, full.
    Full,
    /// Kilowatts into the battery.
    Charger(f64),
}

/// What the battery says of itself.
struct Charge {
    source: Source,
    soc: f64,
    /// Kilowatt-hours a percent: at least, at most.
    least: f64,
    most: f64,
}

/// Until when it may work.
pub(super) fn lasts(
    telemetry: &Telemetry,
    policy: &Policy,
    around: &Circumstances,
    margins: Margins,
) -> Result<Option<Timestamp>, Ineligible> {
    let draw_kw = f64::from(around.draw_w.max(1)) / 1_000.0;
    let charge = Charge::read(telemetry)?;
    // What a weak charger gives does not keep the battery from falling.
    let on_mains = match charge.source {
        Source::Battery => false,
        Source::Full => true,
        Source::Charger(kw) => kw >= draw_kw * margins.power,
    };
    if policy.plugged_only && !on_mains {
        return Err(Ineligible::NotPluggedIn);
    }
    let spent = |kwh: f64| after_hours(around.now, kwh / draw_kw);
    let mut ends = None;
    if !on_mains {
        let above = charge.soc - f64::from(policy.soc_floor) - GUARD;
        if above - margins.soc <= 0.0 {
            return Err(Ineligible::ChargeBelowFloor);
        }
        ends = Some(spent(above * charge.least));
    }
    let Some((at, drive)) =
        policy.rules.ready_by.and_then(|it| around.local().next(it, |it| it.at))
    else {
        return Ok(ends);
    };
    let spare = charge.spare_kwh(drive.soc.into(), at, on_mains, around.now, margins);
    let by_drive = match spare {
        Some(kwh) if kwh <= 0.0 => return Err(Ineligible::ChargingNeeded),
        Some(kwh) => spent(kwh).min(at),
        None => at,
    };
    Ok(Some(ends.map_or(by_drive, |end| end.min(by_drive))))
}

impl Charge {
    fn read(telemetry: &Telemetry) -> Result<Self, Ineligible> {
        let unknown = Ineligible::ChargeUnknown;
        let soc = in_range(telemetry.soc, 100.0)?.ok_or(unknown)?;
        let ac = in_range(telemetry.ac_charging_power, 1_000.0)?;
        let dc = in_range(telemetry.dc_charging_power, 1_000.0)?;
        let source = match telemetry.detailed_charge_state.ok_or(unknown)? {
            ChargeState::Disconnected | ChargeState::NoPower | ChargeState::Stopped => {
                Source::Battery
            }
            ChargeState::Complete => Source::Full,
            ChargeState::Starting => Source::Charger(LEAST_KW),
            ChargeState::Charging => Source::Charger(match (ac, dc) {
                (None, None) => LEAST_KW,
                (ac, dc) => ac.unwrap_or(0.0).max(dc.unwrap_or(0.0)),
            }),
        };
        let energy = in_range(telemetry.energy_remaining, 300.0)?;
        // Near empty the quotient says little.
        let size = energy.filter(|_| soc >= 5.0).map(|kwh| kwh / soc);
        let (least, most) = size.map_or((SMALL_KWH / 100.0, LARGE_KWH / 100.0), |it| (it, it));
        Ok(Self { source, soc, least, most })
    }

    /// What can be spent and still leave `target` percent at `at`; none: as much as one likes.
    fn spare_kwh(
        &self,
        target: f64,
        at: Timestamp,
        on_mains: bool,
        now: Timestamp,
        margins: Margins,
    ) -> Option<f64> {
        let missing = target - self.soc;
        if on_mains && missing <= 0.0 || matches!(self.source, Source::Full) && missing <= FULL {
            return None;
        }
        let missing = missing + GUARD + margins.soc;
        let early_us = (EARLY_MIN + margins.minutes) * 60_000_000;
        let hours = (at.since(now) - early_us).max(0) as f64 / 3_600e6;
        let gives = match self.source {
            Source::Charger(kw) => kw * hours,
            Source::Battery | Source::Full => 0.0,
        };
        let needs = match missing > 0.0 {
            true => missing * self.most * LOSSES,
            false => missing * self.least,
        };
        Some(gives - needs)
    }
}

/// None if it is not told; an error if it cannot be.
fn in_range(value: Option<f32>, most: f64) -> Result<Option<f64>, Ineligible> {
    match value.map(f64::from) {
        Some(value) if !(0.0..=most).contains(&value) => Err(Ineligible::ChargeUnknown),
        value => Ok(value),
    }
}

fn after_hours(now: Timestamp, hours: f64) -> Timestamp {
    // Ten years are for ever.
    now.plus_us((hours.clamp(0.0, 87_600.0) * 3_600e6) as i64)
}
