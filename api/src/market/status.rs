//! The markets there are, and the state of each.

use actix_web::{HttpResponse, get, web};
use scheduler::market::{Halt, MarketView, Status};
use serde::Serialize;
use store::{ClearingId, Timestamp};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::prices::Price;
use crate::app::App;
use crate::auth::AnyUser;
use crate::problem::Result;

pub fn configure(routes: &mut ServiceConfig<'_>) {
    routes.service(markets).service(show);
}

#[derive(Serialize, ToSchema)]
struct Market {
    id: String,
    /// What bids, reserves and prices are in.
    currency: String,
    /// The platform's fee, parts per million of what the customer pays; see
    /// `/v1/markets/{id}/fees` for the rates to come.
    fee_ppm: i32,
    /// Bonus on earnings taken in credits, parts per million.
    credit_bonus_ppm: i32,
    regions: Vec<String>,
    /// Regions that take no new leases; those that run go on.
    halted: Vec<Halted>,
}

#[derive(Serialize, ToSchema)]
struct Halted {
    region: String,
    #[schema(value_type = String, format = "date-time")]
    since: Timestamp,
    reason: String,
}

impl From<Halt> for Halted {
    fn from(halt: Halt) -> Self {
        Self { region: halt.region, since: halt.halted_at, reason: halt.reason }
    }
}

impl From<MarketView> for Market {
    fn from(view: MarketView) -> Self {
        Self {
            id: view.id,
            currency: view.asset,
            fee_ppm: view.rate.fee_ppm,
            credit_bonus_ppm: view.rate.bonus_ppm,
            regions: view.regions,
            halted: view.halts.into_iter().map(Halted::from).collect(),
        }
    }
}

/// List the markets
#[utoipa::path(operation_id = "list_markets", tag = "market", security(("bearer" = [])), responses(
    (status = 200, description = "Every market.", body = Vec<Market>),
))]
#[get("/v1/markets")]
async fn markets(app: App, _user: AnyUser) -> Result<HttpResponse> {
    let all = app.read(|tx| Ok(scheduler::market::list(tx)?)).await?;
    Ok(HttpResponse::Ok().json(all.into_iter().map(Market::from).collect::<Vec<_>>()))
}

/// A market and what is wrong in it.
#[derive(Serialize, ToSchema)]
struct MarketStatus {
    #[serde(flatten)]
    market: Market,
    last_tick: Option<LastTick>,
    /// Of the last tick that let cars, within the last hour, the prices that raise an alarm.
    alarms: Vec<Price>,
}

#[derive(Serialize, ToSchema)]
struct LastTick {
    #[schema(value_type = String)]
    clearing: ClearingId,
    tick: i64,
    #[schema(value_type = String, format = "date-time")]
    at: Timestamp,
}

/// Show a market
///
/// Halted regions, alarms on thin cells and wide prices, and its last tick.
#[utoipa::path(operation_id = "show_market", tag = "market", security(("bearer" = [])),
    params(("id" = String, Path, description = "The market.")),
    responses((status = 200, description = "The market.", body = MarketStatus)))]
#[get("/v1/markets/{id}")]
async fn show(app: App, _user: AnyUser, id: web::Path<String>) -> Result<HttpResponse> {
    let config = app.scheduler.clone();
    let status = app.read(move |tx| Ok(scheduler::market::status(tx, &config, &id)?)).await?;
    let Status { market, last, alarms } = status;
    let alarms = alarms.into_iter().map(|(price, _)| Price::new(price, &app.scheduler));
    Ok(HttpResponse::Ok().json(MarketStatus {
        market: market.into(),
        last_tick: last.map(|last| LastTick {
            clearing: last.clearing,
            tick: last.tick,
            at: last.at,
        }),
        alarms: alarms.collect(),
    }))
}
