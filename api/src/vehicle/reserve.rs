//! What work costs a car, line by line, and what it may earn.

use actix_web::{HttpResponse, delete, get, put, web};
use garde::Validate;
use scheduler::fleet::{self, Interval, Tariff, VehicleRow};
use scheduler::market::{ask_of, estimate_month};
use serde::{Deserialize, Serialize};
use store::{Amount, Timestamp, Tx, VehicleId};
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Owner;
use crate::body::Body;
use crate::money::Money;
use crate::problem::{ProblemBody, Result};

/// Hours that are told ahead, with the one that runs.
const HOURS: usize = 24;

/// What a kilowatt-hour costs you, and what you want on top.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTariff {
    /// `flat`; `time_of_use` with `bands` of `hours` by weekday; or `feed` with `prices`, each of
    /// which holds until the next. `per_kwh` holds where nothing else does.
    #[garde(skip)]
    #[schema(value_type = Object, example = json!({ "kind": "time_of_use", "per_kwh": "0.32",
        "bands": [{ "per_kwh": "0.14", "hours": { "monday": { "from": "22:00", "to": "06:00" } } }] }))]
    tariff: Tariff,
    /// Per hour of the car.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = String, default = "0", example = "0.010000")]
    margin: Amount,
}

/// What an hour of the car costs.
#[derive(Serialize, ToSchema)]
pub struct Reserve {
    /// Least you take, after the fee, per hour: what you ask, or what it costs if that is more.
    reserve: Money,
    /// The same with the fee on top, on the market's price grid: what the market sees.
    asks: Money,
    /// What you ask at least.
    own_reserve: Money,
    /// The hour that runs and those to come, if the car stays as it is. Empty without a tariff.
    intervals: Vec<ReserveInterval>,
}

/// An hour, line by line.
#[derive(Serialize, ToSchema)]
pub struct ReserveInterval {
    #[schema(value_type = String, format = "date-time")]
    from: Timestamp,
    per_kwh: Money,
    /// Whether its energy comes out of the battery, by what the car said last and your policy.
    on_battery: bool,
    /// Electricity of the computer, and of the car that it keeps awake.
    computer: Money,
    awake: Money,
    /// Of the battery: of energy that comes out of it only.
    wear: Money,
    margin: Money,
    /// The sum: what it costs, and you want.
    cost: Money,
    /// That, or what you ask if it is more; and as the market sees it.
    reserve: Money,
    fee: Money,
    asks: Money,
}

fn told(tx: &mut Tx<'_>, car: &VehicleRow) -> Result<Reserve> {
    let costs = fleet::load_costs(tx, car.id)?;
    let (asset, asks) = ask_of(tx, car, car.reserve)?;
    let money = |amount: Amount| Money::new(amount, &asset);
    let own = costs.as_ref().map_or(car.reserve, |costs| costs.own_reserve);
    let rows = match &costs {
        Some(costs) => fleet::intervals(tx, car, costs, HOURS)?,
        None => vec![],
    };
    let mut intervals = Vec::with_capacity(rows.len());
    for Interval { from, per_kwh, on_battery, lines, reserve } in rows {
        let (_, asks) = ask_of(tx, car, reserve)?;
        intervals.push(ReserveInterval {
            from,
            per_kwh: money(per_kwh),
            on_battery,
            computer: money(lines.computer),
            awake: money(lines.awake),
            wear: money(lines.wear),
            margin: money(lines.margin),
            cost: money(lines.net),
            reserve: money(reserve),
            fee: money(Amount(asks.0 - reserve.0)),
            asks: money(asks),
        });
    }
    Ok(Reserve {
        reserve: money(car.reserve),
        asks: money(asks),
        own_reserve: money(own),
        intervals,
    })
}

/// Show what an hour of the car costs
///
/// Line by line for the hour that runs and those to come: electricity by your tariff, the car that is kept awake, wear of the battery, your margin, and the fee on top.
#[utoipa::path(operation_id = "show_reserve", tag = "vehicles", security(("bearer" = [])),
    params(("id" = String, Path, description = "The car.")),
    responses((status = 200, description = "The reserve.", body = Reserve)))]
#[get("/v1/vehicles/{id}/reserve")]
pub async fn show(app: App, owner: Owner, id: web::Path<VehicleId>) -> Result<HttpResponse> {
    let party = owner.party;
    let reserve = app.read(move |tx| {
        let car = fleet::view(tx, party, *id)?.row;
        told(tx, &car)
    });
    Ok(HttpResponse::Ok().json(reserve.await?))
}

/// Name your tariff
///
/// From then on the reserve is computed, anew each minute: the greater of what you ask and what an hour costs. A lease that runs keeps its price.
#[utoipa::path(operation_id = "set_tariff", tag = "vehicles", security(("bearer" = [])),
    request_body = NewTariff, params(("id" = String, Path, description = "The car.")),
    responses((status = 200, description = "The reserve.", body = Reserve),
        (status = 409, description = "`wrong_state`: it has left or leaves.", body = ProblemBody,
            content_type = "application/problem+json")))]
#[put("/v1/vehicles/{id}/tariff")]
pub async fn set_tariff(
    app: App,
    owner: Owner,
    id: web::Path<VehicleId>,
    body: Body<NewTariff>,
) -> Result<HttpResponse> {
    let (party, id) = (owner.party, *id);
    let NewTariff { tariff, margin } = body.value;
    let reserve = app.write(move |tx| {
        fleet::set_tariff(tx, party, id, &tariff, margin)?;
        let car = fleet::view(tx, party, id)?.row;
        told(tx, &car)
    });
    let reserve = reserve.await?;
    app.desk.forget(id);
    Ok(HttpResponse::Ok().json(reserve))
}

/// Drop your tariff
///
/// The reserve is what you ask.
#[utoipa::path(operation_id = "drop_tariff", tag = "vehicles", security(("bearer" = [])),
    params(("id" = String, Path, description = "The car.")),
    responses((status = 204, description = "Done.")))]
#[delete("/v1/vehicles/{id}/tariff")]
pub async fn drop_tariff(app: App, owner: Owner, id: web::Path<VehicleId>) -> Result<HttpResponse> {
    let (party, id) = (owner.party, *id);
    app.write(move |tx| Ok(fleet::drop_tariff(tx, party, id)?)).await?;
    app.desk.forget(id);
    Ok(HttpResponse::NoContent().finish())
}

/// What the car might earn in 30 days, by the market's past.
#[derive(Serialize, ToSchema)]
pub struct MonthEstimate {
    /// If each day were as one of the worst tenth, as the middle one, as one of the best tenth of
    /// the days that the market remembers. After the fee. None: the market remembers no day.
    p10: Option<Money>,
    p50: Option<Money>,
    p90: Option<Money>,
    /// Days of the last 28 of which the market remembers cars of this region and class.
    days: usize,
    /// Hours a day that your rules leave; that the car is there and charged in all of them is
    /// assumed.
    hours_per_day: i64,
    #[schema(value_type = String)]
    reserve: Amount,
    /// What it does not know.
    caveats: [&'static str; 4],
}

const CAVEATS: [&str; 4] = [
    "It is the past of this region and class: other cars that come will share what is asked for.",
    "It takes the car for parked, charged and awake in all hours that your rules leave.",
    "A car is taken to be let as often as the others that asked no more than the price.",
    "Electricity and wear are not taken off, nor is tax.",
];

/// Estimate what a car earns
///
/// From the prices and lettings of the last 28 days: what a car of its region and class with its reserve would have earned each day, in the hours that your rules leave.
#[utoipa::path(operation_id = "estimate_earnings", tag = "vehicles", security(("bearer" = [])),
    params(("id" = String, Path, description = "The car.")),
    responses((status = 200, description = "The estimate.", body = MonthEstimate)))]
#[get("/v1/vehicles/{id}/estimate")]
pub async fn estimate(app: App, owner: Owner, id: web::Path<VehicleId>) -> Result<HttpResponse> {
    let party = owner.party;
    let estimate = app.read(move |tx| {
        let car = fleet::view(tx, party, *id)?.row;
        let month = estimate_month(tx, &car)?;
        let money = |amount: Option<Amount>| amount.map(|it| Money::new(it, &month.asset));
        Ok(MonthEstimate {
            p10: money(month.at(10)),
            p50: money(month.at(50)),
            p90: money(month.at(90)),
            days: month.days.len(),
            hours_per_day: month.hours_per_day,
            reserve: car.reserve,
            caveats: CAVEATS,
        })
    });
    Ok(HttpResponse::Ok().json(estimate.await?))
}
