//! Why a car may not work.

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[$meta:meta])* $name:ident = $word:literal,)*) => {
        /// Why a car may not work. What is unknown or invalid counts as "no".
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Ineligible { $($(#[$meta])* #[serde(rename = $word)] $name,)* }

        impl Ineligible {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$name),)* _ => None }
            }
        }
    };
}

reasons! {
    NotParked = "not_parked",
    Moving = "moving",
    Occupied = "occupied",
    Unlocked = "unlocked",
    /// A door or trunk is open, or it is not known.
    DoorsOpen = "doors_open",
    /// Service or valet mode.
    InService = "in_service",
    /// Somebody or something is kept warm in it.
    ClimateKept = "climate_kept",
    /// It feeds a house.
    Powershare = "powershare",
    Updating = "updating",
    /// The clock says no: outside of the hours that the owner names, or in the quiet ones.
    OutsideHours = "outside_hours",
    QuietHours = "quiet_hours",
    /// What the owner allows for a day is used up.
    HoursUsedUp = "hours_used_up",
    EnergyUsedUp = "energy_used_up",
    NotAtHome = "not_at_home",
    NotOnWifi = "not_on_wifi",
    TemperatureUnknown = "temperature_unknown",
    ModuleTooHot = "module_too_hot",
    ModuleTooCold = "module_too_cold",
    OutsideTooHot = "outside_too_hot",
    OutsideTooCold = "outside_too_cold",
    ChargeUnknown = "charge_unknown",
    /// Not on a charger that gives more than the work draws.
    NotPluggedIn = "not_plugged_in",
    ChargeBelowFloor = "charge_below_floor",
    /// All that it can charge until the owner drives off is needed then.
    ChargingNeeded = "charging_needed",
    /// Nothing speaks against work, but not for long enough yet.
    Settling = "settling",
}

impl Ineligible {
    /// The clock or a count says no, and not a sensor: it does not flap.
    pub(super) fn is_exact(self) -> bool {
        matches!(
            self,
            Self::OutsideHours | Self::QuietHours | Self::HoursUsedUp | Self::EnergyUsedUp
        )
    }
}
