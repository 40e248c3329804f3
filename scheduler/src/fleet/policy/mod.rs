//! What an owner asks before the car may work.

mod check;
mod time;

pub use check::check_rules;
pub use time::{LocalTime, Span, TimeOfDay, Week};

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::sql_types::Text;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// All of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// No work at or below this state of charge unless plugged in, percent, 0 to 100.
    pub soc_floor: i32,
    /// Work on the charger only.
    pub plugged_only: bool,
    pub rules: Rules,
}

impl Default for Policy {
    /// On the charger only, and else whenever it is parked.
    fn default() -> Self {
        Self { soc_floor: 50, plugged_only: true, rules: Rules::default() }
    }
}

/// What an owner may ask beside the floor and the charger. What is left out is not asked. Times are
/// those of the car's region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromSqlRow)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// When the owner drives off, and the least charge then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_by: Option<Week<ReadyBy>>,
    /// When it may work: with one day named, on the others not at all. A span over midnight
    /// belongs to the day it begins on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours: Option<Week<Span>>,
    /// When it may not, every day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet: Option<Span>,
    /// Battery modules and the air outside, degrees Celsius.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module_temp: Option<Range>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outside_temp: Option<Range>,
    /// Not on the mobile network.
    pub wifi_only: bool,
    pub home_only: bool,
    /// Of leases, from midnight to midnight: 1 to 24.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_hours_per_day: Option<i32>,
    /// What the computer and the car that it keeps awake draw: 1 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_kwh_per_day: Option<i32>,
}

/// A drive that is sure to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadyBy {
    pub at: TimeOfDay,
    /// Least state of charge then, percent, 0 to 100.
    pub soc: i32,
}

/// Both ends may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    pub min: i32,
    pub max: i32,
}

/// A policy that fits in one choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Plugged in, at home, from 22:00 to 6:00, not on the mobile network.
    NightsAtHome,
    /// Whenever it is parked and plugged in.
    OnCharger,
    /// Whenever it is parked, above a charge of 60 percent.
    WhenParked,
}

impl Preset {
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "nights_at_home" => Some(Self::NightsAtHome),
            "on_charger" => Some(Self::OnCharger),
            "when_parked" => Some(Self::WhenParked),
            _ => None,
        }
    }

    pub fn policy(self) -> Policy {
        let night = TimeOfDay::new(22, 0).zip(TimeOfDay::new(6, 0));
        match self {
            Self::NightsAtHome => Policy {
                rules: Rules {
                    hours: night.map(|(from, to)| Week::every(Span { from, to })),
                    wifi_only: true,
                    home_only: true,
                    ..Rules::default()
                },
                ..Policy::default()
            },
            Self::OnCharger => Policy::default(),
            Self::WhenParked => {
                Policy { soc_floor: 60, plugged_only: false, rules: Rules::default() }
            }
        }
    }
}

impl Rules {
    /// As a row has it.
    pub(super) fn text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| Error::corrupt(error.to_string()))
    }
}

impl<DB: Backend> FromSql<Text, DB> for Rules
where
    String: FromSql<Text, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
        Ok(serde_json::from_str(&String::from_sql(bytes)?)?)
    }
}
