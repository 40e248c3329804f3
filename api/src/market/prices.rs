//! Markets and their prices, for everybody who is signed in.

use actix_web::{HttpResponse, get, web};
use scheduler::Stay;
use scheduler::market::{Candle, CellPrice, alarms};
use serde::{Deserialize, Serialize};
use store::{Amount, Timestamp};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::{CellQuery, alarm_word, as_query, moment};
use crate::app::App;
use crate::auth::AnyUser;
use crate::problem::Result;

pub fn configure(routes: &mut ServiceConfig<'_>) {
    routes.service(prices).service(history).service(candles);
}

/// The price of a cell, as a tick found it.
#[derive(Serialize, ToSchema)]
pub struct Price {
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
    /// `thin`: so few cars were on offer that one owner could set the price; `wide`: the price
    /// could have lain far from where it does.
    alarms: Vec<&'static str>,
}

impl Price {
    pub fn new(price: CellPrice, config: &scheduler::Config) -> Self {
        Self {
            alarms: alarms(&price, config).into_iter().map(alarm_word).collect(),
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

fn answer(app: &App, rows: Vec<CellPrice>) -> HttpResponse {
    let rows = rows.into_iter().map(|row| Price::new(row, &app.scheduler));
    HttpResponse::Ok().json(rows.collect::<Vec<_>>())
}

/// The latest prices
#[utoipa::path(operation_id = "show_prices", tag = "market", security(("bearer" = [])),
    params(("id" = String, Path, description = "The market.")),
    responses((status = 200, description = "One price for each cell that ever sold.",
        body = Vec<Price>)))]
#[get("/v1/markets/{id}/prices")]
async fn prices(app: App, _user: AnyUser, id: web::Path<String>) -> Result<HttpResponse> {
    let all = app.read(move |tx| Ok(scheduler::market::prices(tx, &id)?)).await?;
    Ok(answer(&app, all))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HistoryQuery {
    /// RFC 3339.
    from: String,
    /// One region only.
    region: Option<String>,
    /// One hardware class only.
    class: Option<String>,
}

/// Most prices of one answer.
const MAX_HISTORY: usize = 1_000;

/// Where prices changed
///
/// For each cell the last price before `from`, which held then, and every change since, oldest
/// first, at most 1,000 in all: ask again from the last `at` for more.
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
    let HistoryQuery { from, region, class } = query.into_inner();
    let from = moment("from", &from)?;
    let cells = CellQuery { region, class }.filter();
    let all = app
        .read(move |tx| Ok(scheduler::market::price_changes(tx, &id, &cells, from, MAX_HISTORY)?))
        .await?;
    Ok(answer(&app, all))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CandleQuery {
    /// RFC 3339.
    from: String,
    /// RFC 3339; now if not named. At most 1,000 intervals after `from`.
    to: Option<String>,
    /// Seconds: 60, 300, 900, 3600 or 86400.
    #[serde(default = "an_hour")]
    #[param(default = 3_600)]
    interval_s: i64,
    /// One region only.
    region: Option<String>,
    /// One hardware class only.
    class: Option<String>,
}

fn an_hour() -> i64 {
    3_600
}

/// What a cell's price did in a while, per lane-hour.
#[derive(Serialize, ToSchema)]
struct CandleView {
    #[schema(value_type = String, format = "date-time")]
    from: Timestamp,
    region: String,
    class: String,
    /// Bit set of what the cell's owners allow.
    permits: i32,
    #[schema(value_type = String, example = "term")]
    stay: Stay,
    #[schema(value_type = String)]
    open: Amount,
    #[schema(value_type = String)]
    high: Amount,
    #[schema(value_type = String)]
    low: Amount,
    #[schema(value_type = String)]
    close: Amount,
    /// Mean over the cars let.
    #[schema(value_type = String)]
    mean: Amount,
    /// Cars let.
    volume: i64,
    /// Ticks in which the cell sold.
    ticks: i64,
}

impl From<Candle> for CandleView {
    fn from(candle: Candle) -> Self {
        Self {
            from: candle.from,
            region: candle.key.region,
            class: candle.key.class,
            permits: candle.key.permits.0,
            stay: candle.key.stay,
            open: candle.open,
            high: candle.high,
            low: candle.low,
            close: candle.close,
            mean: candle.mean,
            volume: candle.volume,
            ticks: candle.ticks,
        }
    }
}

/// Candles and volume
///
/// Oldest first, aligned to whole intervals in UTC; a while in which a cell let nothing has none.
#[utoipa::path(operation_id = "show_candles", tag = "market", security(("bearer" = [])),
    params(("id" = String, Path, description = "The market."), CandleQuery),
    responses((status = 200, description = "Candles.", body = Vec<CandleView>)))]
#[get("/v1/markets/{id}/candles")]
async fn candles(
    app: App,
    _user: AnyUser,
    id: web::Path<String>,
    query: web::Query<CandleQuery>,
) -> Result<HttpResponse> {
    let CandleQuery { from, to, interval_s, region, class } = query.into_inner();
    let from = moment("from", &from)?;
    let to = to.map(|to| moment("to", &to)).transpose()?;
    let cells = CellQuery { region, class }.filter();
    let all = app
        .read(move |tx| {
            let range = (from, to.unwrap_or(tx.now.plus_us(1)));
            scheduler::market::candles(tx, &id, &cells, range, interval_s).map_err(as_query)
        })
        .await?;
    Ok(HttpResponse::Ok().json(all.into_iter().map(CandleView::from).collect::<Vec<_>>()))
}
