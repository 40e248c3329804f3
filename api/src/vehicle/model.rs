//! Cars on the wire.

use ::vehicle::protocol::Heartbeat;
use garde::Validate;
use scheduler::PayIn;
use scheduler::fleet::{ConsentRow, Policy, VehicleRow, VehicleView};
use serde::{Deserialize, Deserializer, Serialize};
use store::{Amount, Timestamp, VehicleId};
use utoipa::ToSchema;

use crate::problem;

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
    /// No work at or below this state of charge unless plugged in, percent.
    #[serde(default = "half")]
    #[garde(range(min = 0, max = 100))]
    #[schema(minimum = 0, maximum = 100, default = 50)]
    soc_floor: i32,
    /// Work on the charger only.
    #[serde(default = "yes")]
    #[garde(skip)]
    #[schema(default = true)]
    plugged_only: bool,
    /// `cash` or `credits`.
    #[garde(skip)]
    #[schema(value_type = String, example = "cash")]
    pay_in: PayIn,
}

fn half() -> i32 {
    50
}

fn yes() -> bool {
    true
}

impl NewVehicle {
    pub fn into_domain(self) -> problem::Result<scheduler::fleet::NewVehicle> {
        Ok(scheduler::fleet::NewVehicle {
            region: self.region,
            class: self.class,
            reserve: self.reserve,
            policy: Policy { soc_floor: self.soc_floor, plugged_only: self.plugged_only },
            pay_in: self.pay_in,
        })
    }
}

/// What is not named stays.
#[derive(Clone, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyChange {
    #[garde(skip)]
    #[schema(value_type = Option<String>, example = "0.120000")]
    reserve: Option<Amount>,
    #[garde(range(min = 0, max = 100))]
    #[schema(minimum = 0, maximum = 100)]
    soc_floor: Option<i32>,
    #[garde(skip)]
    plugged_only: Option<bool>,
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
        let policy = Policy {
            soc_floor: self.soc_floor.unwrap_or(row.soc_floor),
            plugged_only: self.plugged_only.unwrap_or(row.plugged_only),
        };
        Ok((policy, self.reserve.unwrap_or(row.reserve), self.pay_in.unwrap_or(row.pay_in)))
    }
}

#[derive(Serialize, ToSchema)]
pub struct Vehicle {
    #[schema(value_type = String, example = "vehicle_01kayz3v8ne7m9xqk2y4t6w8b0")]
    pub id: VehicleId,
    region: String,
    class: String,
    #[schema(value_type = String)]
    reserve: Amount,
    soc_floor: i32,
    plugged_only: bool,
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
    /// Every consent given, withdrawn ones too.
    #[schema(value_type = Vec<Object>)]
    consents: Vec<ConsentRow>,
}

impl From<VehicleView> for Vehicle {
    fn from(view: VehicleView) -> Self {
        let VehicleView { row, consents, seen_at, eligible, reason } = view;
        Self {
            id: row.id,
            region: row.region_id,
            class: row.class_id,
            reserve: row.reserve,
            soc_floor: row.soc_floor,
            plugged_only: row.plugged_only,
            pay_in: row.pay_in,
            available_until: row.available_until,
            seen_at,
            eligible,
            reason,
            consents,
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
