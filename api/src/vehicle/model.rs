//! Cars on the wire.

use ::vehicle::protocol::Heartbeat;
use garde::Validate;
use scheduler::fleet::{Policy, Preset, Rules, SealedVin, VehicleRow, VehicleView, Vin};
use scheduler::{Chemistry, PayIn};
use serde::{Deserialize, Deserializer, Serialize};
use store::seal::Seal;
use store::{Amount, Timestamp, VehicleId};
use utoipa::ToSchema;

use super::consent::Receipt;
use crate::problem::{self, Code, Problem};

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVehicle {
    /// Where it parks: see `/v1/markets`.
    #[garde(length(max = 64))]
    #[schema(example = "us-ca")]
    region: String,
    /// Its inference computer: `hw3`, `hw4` or `ai5`.
    #[garde(length(max = 64))]
    #[schema(example = "hw4")]
    class: String,
    /// Least you take, after the fee, per hour of the car, in the market's currency.
    #[garde(skip)]
    #[schema(value_type = String, example = "0.090000")]
    reserve: Amount,
    /// A policy in one choice: `nights_at_home`, `on_charger` (the default) or `when_parked`. What
    /// you name beside it comes in place of what it says.
    #[serde(default = "on_charger")]
    #[garde(skip)]
    #[schema(value_type = String, default = "on_charger", example = "nights_at_home")]
    preset: Preset,
    /// No work at or below this state of charge unless plugged in, percent.
    #[garde(range(min = 0, max = 100))]
    #[schema(minimum = 0, maximum = 100, default = 50)]
    soc_floor: Option<i32>,
    /// Work on the charger only.
    #[garde(skip)]
    #[schema(default = true)]
    plugged_only: Option<bool>,
    /// What else you ask.
    #[garde(skip)]
    #[schema(value_type = Option<Object>, example = json!({"wifi_only": true}))]
    rules: Option<Rules>,
    /// `cash` or `credits`.
    #[garde(skip)]
    #[schema(value_type = String, example = "cash")]
    pay_in: PayIn,
    /// Its vehicle identification number: kept encrypted, shown masked. One car here has it at a
    /// time.
    #[garde(length(max = 32))]
    #[serde(default)]
    #[schema(example = "1M8GDM9AXKP042788")]
    vin: Option<String>,
    /// For what its wear costs.
    #[garde(dive)]
    #[serde(default)]
    battery: Option<Battery>,
}

/// A battery, as its owner says.
#[derive(Clone, Copy, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Battery {
    /// `lfp` (lithium iron phosphate) or `nmc` (nickel or manganese, and cobalt).
    #[garde(skip)]
    #[schema(value_type = String, example = "lfp")]
    chemistry: Chemistry,
    /// Watt-hours.
    #[garde(range(min = 1_000, max = 300_000))]
    #[schema(example = 60_000, minimum = 1_000, maximum = 300_000)]
    capacity_wh: i32,
}

/// Which car it is.
pub struct Identity {
    pub vin: Option<SealedVin>,
    pub battery: Option<scheduler::fleet::Battery>,
}

/// What a number is sealed as.
pub const VIN: &str = "vehicle vin";

pub fn seal_vin(seal: &Seal, vin: &Vin) -> problem::Result<SealedVin> {
    Ok(SealedVin {
        digest: seal.digest(VIN, vin.as_str().as_bytes()),
        sealed: seal.seal(VIN, vin.as_str().as_bytes())?,
        masked: vin.masked(),
        checks: vin.checks(),
    })
}

/// Where a car stands with its owner.
pub fn state_of(row: &VehicleRow) -> &'static str {
    match (row.leaving.as_deref(), row.left_at) {
        (Some(_), None) => "leaving",
        (Some("transferred"), Some(_)) => "transferred",
        (Some(_), Some(_)) => "retired",
        (None, _) if row.paused_at.is_some() => "paused",
        (None, _) => "active",
    }
}

fn on_charger() -> Preset {
    Preset::OnCharger
}

/// A policy with what is named in place of what it says.
fn over(
    policy: Policy,
    soc_floor: Option<i32>,
    plugged_only: Option<bool>,
    rules: Option<Rules>,
) -> Policy {
    Policy {
        soc_floor: soc_floor.unwrap_or(policy.soc_floor),
        plugged_only: plugged_only.unwrap_or(policy.plugged_only),
        rules: rules.unwrap_or(policy.rules),
    }
}

impl NewVehicle {
    /// # Errors
    /// `invalid_body` for what is no vehicle identification number.
    pub fn identity(&self, seal: &Seal) -> problem::Result<Identity> {
        let no_vin = || {
            let why = "17 letters and digits, of which none is I, O or Q";
            Problem::new(Code::InvalidBody).at("/vin", why)
        };
        let vin =
            self.vin.as_deref().map(|text| Vin::parse(text).ok_or_else(no_vin)).transpose()?;
        let vin = vin.map(|vin| seal_vin(seal, &vin)).transpose()?;
        let battery = self.battery.map(|battery| scheduler::fleet::Battery {
            chemistry: battery.chemistry,
            wh: battery.capacity_wh,
        });
        Ok(Identity { vin, battery })
    }

    pub fn into_domain(self) -> problem::Result<scheduler::fleet::NewVehicle> {
        Ok(scheduler::fleet::NewVehicle {
            region: self.region,
            class: self.class,
            reserve: self.reserve,
            policy: over(self.preset.policy(), self.soc_floor, self.plugged_only, self.rules),
            pay_in: self.pay_in,
        })
    }
}

/// What is not named stays.
#[derive(Clone, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyChange {
    /// With a tariff, what an hour costs may be more: then that is the reserve.
    #[garde(skip)]
    #[schema(value_type = Option<String>, example = "0.120000")]
    pub reserve: Option<Amount>,
    /// A policy in one choice, in place of all that the car's said: `nights_at_home`, `on_charger`
    /// or `when_parked`.
    #[garde(skip)]
    #[schema(value_type = Option<String>, example = "nights_at_home")]
    preset: Option<Preset>,
    #[garde(range(min = 0, max = 100))]
    #[schema(minimum = 0, maximum = 100)]
    soc_floor: Option<i32>,
    #[garde(skip)]
    plugged_only: Option<bool>,
    /// What else you ask, in place of all rules before. What is left out is not asked. `ready_by`
    /// and `hours` are by weekday; times are standard time of the car's region, degrees are Celsius.
    #[garde(skip)]
    #[schema(value_type = Option<Object>, example = json!({
        "ready_by": { "monday": { "at": "07:30", "soc": 80 } },
        "hours": { "monday": { "from": "22:00", "to": "06:00" } },
        "quiet": { "from": "12:00", "to": "13:00" },
        "module_temp": { "min": 5, "max": 40 }, "outside_temp": { "min": -5, "max": 30 },
        "wifi_only": true, "home_only": true, "max_hours_per_day": 8, "max_kwh_per_day": 3
    }))]
    rules: Option<Rules>,
    #[garde(skip)]
    #[schema(value_type = Option<String>)]
    pay_in: Option<PayIn>,
    /// When you want the car again: it is let for no longer. Null: not known. Once that moment has
    /// passed it is not offered until you name another.
    #[serde(default, deserialize_with = "named")]
    #[garde(skip)]
    #[schema(value_type = Option<String>, format = "date-time")]
    pub available_until: Option<Option<Timestamp>>,
}

/// Told apart: named as null, and not named.
fn named<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<Timestamp>>, D::Error> {
    Option::deserialize(value).map(Some)
}

impl PolicyChange {
    pub fn over(&self, row: &VehicleRow) -> problem::Result<(Policy, Amount, PayIn)> {
        let before = self.preset.map_or_else(|| row.policy(), Preset::policy);
        let policy = over(before, self.soc_floor, self.plugged_only, self.rules);
        Ok((policy, self.reserve.unwrap_or(row.reserve), self.pay_in.unwrap_or(row.pay_in)))
    }
}

#[derive(Serialize, ToSchema)]
pub struct Vehicle {
    #[schema(value_type = String, example = "vehicle_01kayz3v8ne7m9xqk2y4t6w8b0")]
    pub id: VehicleId,
    /// `active`, `paused`, `leaving` (until its last lease has ended), `retired` or `transferred`.
    state: &'static str,
    /// All but its last four characters masked.
    #[schema(example = "*************2788")]
    vin: Option<String>,
    battery: Option<Battery>,
    region: String,
    class: String,
    #[schema(value_type = String)]
    reserve: Amount,
    soc_floor: i32,
    plugged_only: bool,
    /// What else you ask.
    #[schema(value_type = Object)]
    rules: Rules,
    #[schema(value_type = String)]
    pay_in: PayIn,
    /// When you want it again, as far as known.
    #[schema(value_type = Option<String>, format = "date-time")]
    available_until: Option<Timestamp>,
    /// When it was last heard of.
    #[schema(value_type = Option<String>, format = "date-time")]
    seen_at: Option<Timestamp>,
    /// Whether it could work then, and if not, why.
    eligible: bool,
    reason: Option<String>,
    /// Until when its charge and your rules let it work, by what it said last.
    #[schema(value_type = Option<String>, format = "date-time")]
    works_until: Option<Timestamp>,
    /// Every consent given, withdrawn ones too.
    consents: Vec<Receipt>,
}

impl From<VehicleView> for Vehicle {
    fn from(view: VehicleView) -> Self {
        let VehicleView { row, consents, vin, seen_at, eligible, reason, until } = view;
        let battery = row.battery();
        Self {
            id: row.id,
            state: state_of(&row),
            vin,
            battery: battery.map(|it| Battery { chemistry: it.chemistry, capacity_wh: it.wh }),
            region: row.region_id,
            class: row.class_id,
            reserve: row.reserve,
            soc_floor: row.soc_floor,
            plugged_only: row.plugged_only,
            rules: row.rules,
            pay_in: row.pay_in,
            available_until: row.available_until,
            seen_at,
            eligible,
            reason,
            works_until: until,
            consents: consents.into_iter().map(Receipt::from).collect(),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct AddedVehicle {
    #[serde(flatten)]
    vehicle: Vehicle,
    /// What the car signs in with. In the first answer only, and stored nowhere.
    token: Option<String>,
}

/// A heartbeat, as [`::vehicle::protocol`] defines it.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct Beat(pub Heartbeat);

impl Validate for Beat {
    type Context = ();
    fn validate_into(&self, _: &(), _: &mut dyn FnMut() -> garde::Path, _: &mut garde::Report) {}
}
