//! Markets and their prices, for everybody who is signed in.

use actix_web::{HttpResponse, get, web};
use scheduler::Stay;
use scheduler::market::{CellPrice, MarketView};
use serde::{Deserialize, Serialize};
use store::{Amount, Timestamp};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::auth::AnyUser;
use crate::problem::{Code, Problem, Result};

pub fn configure(routes: &mut ServiceConfig<'_>) {
    routes.service(markets).service(prices).service(history);
}

#[derive(Serialize, ToSchema)]
struct Market {
    id: String,
    /// What bids, reserves and prices are in.
    currency: String,
    /// The platform's fee, parts per million of what the customer pays.
    fee_ppm: i32,
    /// Bonus on earnings taken in credits, parts per million.
    credit_bonus_ppm: i32,
    regions: Vec<String>,
}

impl From<MarketView> for Market {
    fn from(view: MarketView) -> Self {
        Self {
            id: view.id,
            currency: view.asset,
            fee_ppm: view.fee_ppm,
            credit_bonus_ppm: view.bonus_ppm,
            regions: view.regions,
        }
    }
}

/// The price of a cell, as a tick found it.
#[derive(Serialize, ToSchema)]
struct Price {
    region: String,
    class: String,
    /// Bit set of what the cell's owners allow.
    permits: i32,
    /// `term`: its cars surely stay for a full term; `short`: for a short lease.
    #[schema(value_type = String, example = "term")]
    stay: Stay,
    tick: i64,
    #[schema(value_type = String, format = "date-time")]
    at: Timestamp,
    /// Per lane-hour.
    #[schema(value_type = String, example = "0.120000")]
    clearing_price: Amount,
    /// The least and the greatest price that would have cleared.
    #[schema(value_type = String)]
    low: Amount,
    #[schema(value_type = String)]
    high: Amount,
    /// Cars let, of those offered.
    lanes: i64,
    offered: i64,
}

impl From<CellPrice> for Price {
    fn from(price: CellPrice) -> Self {
        Self {
            region: price.region,
            class: price.class,
            permits: price.permits,
            stay: price.stay,
            tick: price.tick,
            at: price.at,
            clearing_price: price.price,
            low: price.low,
            high: price.high,
            lanes: price.lanes,
            offered: price.offered,
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

/// The latest prices
#[utoipa::path(operation_id = "show_prices", tag = "market", security(("bearer" = [])),
    params(("id" = String, Path, description = "The market.")),
    responses((status = 200, description = "One price for each cell that ever sold.",
        body = Vec<Price>)))]
#[get("/v1/markets/{id}/prices")]
async fn prices(app: App, _user: AnyUser, id: web::Path<String>) -> Result<HttpResponse> {
    let all = app.read(move |tx| Ok(scheduler::market::prices(tx, &id)?)).await?;
    Ok(HttpResponse::Ok().json(all.into_iter().map(Price::from).collect::<Vec<_>>()))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HistoryQuery {
    /// RFC 3339.
    from: String,
}

/// Most prices of one answer.
const MAX_HISTORY: i64 = 1_000;

/// The prices since a moment
///
/// Oldest first, at most 1,000.
#[utoipa::path(operation_id = "show_price_history", tag = "market", security(("bearer" = [])),
    params(("id" = String, Path, description = "The market."), HistoryQuery),
    responses((status = 200, description = "Prices.", body = Vec<Price>)))]
#[get("/v1/markets/{id}/history")]
async fn history(
    app: App,
    _user: AnyUser,
    id: web::Path<String>,
    query: web::Query<HistoryQuery>,
) -> Result<HttpResponse> {
    let from = Timestamp::parse(&query.from)
        .ok_or_else(|| Problem::new(Code::InvalidQuery).detail("`from` is an RFC 3339 time"))?;
    let all =
        app.read(move |tx| Ok(scheduler::market::history(tx, &id, from, MAX_HISTORY)?)).await?;
    Ok(HttpResponse::Ok().json(all.into_iter().map(Price::from).collect::<Vec<_>>()))
}
