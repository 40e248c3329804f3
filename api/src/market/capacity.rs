//! How much there is: the book's depth, the hours that were, and those to come.

use actix_web::{HttpResponse, get, web};
use scheduler::Stay;
use scheduler::market::{CellDepth, Depth, FORECAST_METHOD, ForecastHour, ObservedHour};
use serde::{Deserialize, Serialize};
use store::{Amount, ClearingId, Timestamp};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::{CellQuery, as_query, moment};
use crate::app::App;
use crate::auth::AnyUser;
use crate::problem::Result;

pub fn configure(routes: &mut ServiceConfig<'_>) {
    routes.service(show_depth).service(show_hours).service(show_forecast);
}

/// The book of the last tick, before it was cleared.
#[derive(Default, Serialize, ToSchema)]
struct Book {
    /// None before the first tick.
    #[schema(value_type = Option<String>)]
    clearing: Option<ClearingId>,
    tick: Option<i64>,
    #[schema(value_type = Option<String>, format = "date-time")]
    at: Option<Timestamp>,
    cells: Vec<CellBook>,
}

#[derive(Serialize, ToSchema)]
struct CellBook {
    region: String,
    class: String,
    /// Bit set of what the cell's owners allow.
    permits: i32,
    #[schema(value_type = String, example = "term")]
    stay: Stay,
    #[schema(value_type = Option<String>)]
    clearing_price: Option<Amount>,
    /// Cars let.
    lanes: i64,
    /// Reserves with the fee on top, cheapest first, at most 50.
    asks: Vec<Level>,
    /// What cars are worth to bids, dearest first, at most 50. A bid stands in every cell that it
    /// accepts.
    bids: Vec<Level>,
}

/// Cars at one price per lane-hour.
#[derive(Serialize, ToSchema)]
struct Level {
    #[schema(value_type = String)]
    price: Amount,
    lanes: i64,
}

impl From<Depth> for Level {
    fn from(depth: Depth) -> Self {
        Self { price: depth.price, lanes: depth.lanes }
    }
}

impl From<CellDepth> for CellBook {
    fn from(cell: CellDepth) -> Self {
        Self {
            region: cell.key.region,
            class: cell.key.class,
            permits: cell.key.permits.0,
            stay: cell.key.stay,
            clearing_price: cell.price,
            lanes: cell.lanes,
            asks: cell.asks.into_iter().map(Level::from).collect(),
            bids: cell.bids.into_iter().map(Level::from).collect(),
        }
    }
}

/// Show the depth of the book
#[utoipa::path(operation_id = "show_depth", tag = "market", security(("bearer" = [])),
    params(("id" = String, Path, description = "The market."), CellQuery),
    responses((status = 200, description = "The last tick's book.", body = Book)))]
#[get("/v1/markets/{id}/depth")]
async fn show_depth(
    app: App,
    _user: AnyUser,
    id: web::Path<String>,
    query: web::Query<CellQuery>,
) -> Result<HttpResponse> {
    let cells = query.into_inner().filter();
    let found = app.read(move |tx| Ok(scheduler::market::depth(tx, &id, &cells)?)).await?;
    let book = found.map_or_else(Book::default, |(tick, cells)| Book {
        clearing: Some(tick.clearing),
        tick: Some(tick.tick),
        at: Some(tick.at),
        cells: cells.into_iter().map(CellBook::from).collect(),
    });
    Ok(HttpResponse::Ok().json(book))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HoursQuery {
    /// RFC 3339.
    from: String,
    /// RFC 3339; now if not named. At most 1,000 hours after `from`.
    to: Option<String>,
    /// One region only.
    region: Option<String>,
    /// One hardware class only.
    class: Option<String>,
}

/// An hour of one region and hardware class, as its ticks saw it.
#[derive(Serialize, ToSchema)]
struct Hour {
    region: String,
    class: String,
    #[schema(value_type = String, format = "date-time")]
    hour: Timestamp,
    /// Ticks that counted.
    ticks: i64,
    /// Mean cars idle and let, decimals.
    #[schema(value_type = String, example = "3.250000")]
    idle: Amount,
    #[schema(value_type = String, example = "0.750000")]
    leased: Amount,
    /// Of the cars seen, those let, parts per million.
    utilisation_ppm: i64,
    /// Fewest and most cars seen in one tick, idle or let.
    fewest: i64,
    most: i64,
}

impl From<ObservedHour> for Hour {
    fn from(hour: ObservedHour) -> Self {
        Self {
            region: hour.region,
            class: hour.class,
            hour: hour.hour,
            ticks: hour.ticks,
            idle: hour.idle,
            leased: hour.leased,
            utilisation_ppm: hour.utilisation_ppm,
            fewest: hour.fewest,
            most: hour.most,
        }
    }
}

/// Utilisation by hour
///
/// Oldest first; an hour in which no tick saw a car has none.
#[utoipa::path(operation_id = "show_hours", tag = "market", security(("bearer" = [])),
    params(("id" = String, Path, description = "The market."), HoursQuery),
    responses((status = 200, description = "Hours.", body = Vec<Hour>)))]
#[get("/v1/markets/{id}/hours")]
async fn show_hours(
    app: App,
    _user: AnyUser,
    id: web::Path<String>,
    query: web::Query<HoursQuery>,
) -> Result<HttpResponse> {
    let HoursQuery { from, to, region, class } = query.into_inner();
    let from = moment("from", &from)?;
    let to = to.map(|to| moment("to", &to)).transpose()?;
    let cells = CellQuery { region, class }.filter();
    let all = app
        .read(move |tx| {
            let range = (from, to.unwrap_or(tx.now.plus_us(1)));
            scheduler::market::hours(tx, &id, &cells, range).map_err(as_query)
        })
        .await?;
    Ok(HttpResponse::Ok().json(all.into_iter().map(Hour::from).collect::<Vec<_>>()))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ForecastQuery {
    /// 1 to 168.
    #[serde(default = "a_day")]
    #[param(minimum = 1, maximum = 168, default = 24)]
    hours: i64,
    /// One region only.
    region: Option<String>,
    /// One hardware class only.
    class: Option<String>,
}

fn a_day() -> i64 {
    24
}

#[derive(Serialize, ToSchema)]
struct Forecast {
    /// How it is made, and what it leaves out.
    method: &'static str,
    hours: Vec<ComingHour>,
}

/// What is expected of an hour of one region and hardware class.
#[derive(Serialize, ToSchema)]
struct ComingHour {
    region: String,
    class: String,
    #[schema(value_type = String, format = "date-time")]
    hour: Timestamp,
    /// Days on which the same hour was seen: with few, it says little.
    days: i64,
    /// Mean cars, idle or let, and of them idle, decimals.
    #[schema(value_type = String, example = "4.000000")]
    cars: Amount,
    #[schema(value_type = String, example = "3.250000")]
    idle: Amount,
    /// Fewest and most cars seen in that hour.
    fewest: i64,
    most: i64,
}

impl From<ForecastHour> for ComingHour {
    fn from(hour: ForecastHour) -> Self {
        Self {
            region: hour.region,
            class: hour.class,
            hour: hour.hour,
            days: hour.days,
            cars: hour.cars,
            idle: hour.idle,
            fewest: hour.fewest,
            most: hour.most,
        }
    }
}

/// Forecast capacity by hour
#[utoipa::path(operation_id = "forecast_capacity", tag = "market", security(("bearer" = [])),
    params(("id" = String, Path, description = "The market."), ForecastQuery),
    responses((status = 200, description = "The hours to come, oldest first, with the method.",
        body = Forecast)))]
#[get("/v1/markets/{id}/capacity")]
async fn show_forecast(
    app: App,
    _user: AnyUser,
    id: web::Path<String>,
    query: web::Query<ForecastQuery>,
) -> Result<HttpResponse> {
    let ForecastQuery { hours, region, class } = query.into_inner();
    let cells = CellQuery { region, class }.filter();
    let all = app
        .read(move |tx| scheduler::market::forecast(tx, &id, &cells, hours).map_err(as_query))
        .await?;
    let hours = all.into_iter().map(ComingHour::from).collect();
    Ok(HttpResponse::Ok().json(Forecast { method: FORECAST_METHOD, hours }))
}
