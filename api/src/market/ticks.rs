//! Ticks in figures: what was wanted, offered and sold, and who gained.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, get, web};
use scheduler::Stay;
use scheduler::market::{TickDetail, TickView};
use serde::Serialize;
use store::{Amount, ClearingId, Timestamp};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::auth::AnyUser;
use crate::pagination::{Page, PageQuery};
use crate::problem::Result;

pub fn configure(routes: &mut ServiceConfig<'_>) {
    routes.service(ticks).service(show_tick);
}

/// A tick: lanes, and money per hour in the market's currency.
#[derive(Serialize, ToSchema)]
struct Tick {
    #[schema(value_type = String, example = "clearing_01kayz3v8ne7m9xqk2y4t6w8b0")]
    clearing: ClearingId,
    tick: i64,
    #[schema(value_type = String, format = "date-time")]
    at: Timestamp,
    bids: i64,
    /// Lanes that bids in the book wanted, that cars offered, and that were sold.
    wanted: i64,
    offered: i64,
    sold: i64,
    /// Demand that was not met, and supply that stays idle.
    unmet: i64,
    idle: i64,
    /// Lanes sold that found no lawful car, by reason.
    unplaced: BTreeMap<&'static str, i64>,
    /// What the lanes sold are worth to their bids, less their reserves.
    #[schema(value_type = String)]
    welfare: Amount,
    /// The most welfare there was, had no bid been all or none, none had a budget, and no customer
    /// a share: the optimum of the linear program.
    #[schema(value_type = String)]
    bound: Amount,
    /// What buyers pay; of it, what is above the reserves; and what the lanes are worth to the
    /// buyers beyond what they pay.
    #[schema(value_type = String)]
    payments: Amount,
    #[schema(value_type = String)]
    owner_surplus: Amount,
    #[schema(value_type = String)]
    customer_surplus: Amount,
    /// How far prices could have lain apart, over the lanes sold: the most that bids or reserves
    /// that were not meant could have moved from one side to the other.
    #[schema(value_type = String)]
    spread: Amount,
    /// Whether `driveway market replay` can make it again.
    replayable: bool,
}

impl From<TickView> for Tick {
    fn from(view: TickView) -> Self {
        let figures = view.figures;
        Self {
            clearing: view.clearing,
            tick: view.tick,
            at: view.at,
            bids: figures.bids,
            wanted: figures.wanted,
            offered: figures.offered,
            sold: figures.sold,
            unmet: figures.wanted - figures.sold,
            idle: figures.offered - figures.sold,
            unplaced: view.unplaced.into_iter().map(|(why, n)| (why.as_str(), n)).collect(),
            welfare: Amount(figures.welfare),
            bound: Amount(figures.bound),
            payments: Amount(figures.payments),
            owner_surplus: Amount(figures.owner_surplus),
            customer_surplus: Amount(figures.customer_surplus()),
            spread: Amount(figures.spread),
            replayable: view.replayable,
        }
    }
}

/// List a market's ticks
///
/// Newest first; ticks in which nobody waited for a car are not kept.
#[utoipa::path(operation_id = "list_ticks", tag = "market", security(("bearer" = [])),
    params(("id" = String, Path, description = "The market."), PageQuery),
    responses((status = 200, description = "A page of ticks.", body = Page<Tick>)))]
#[get("/v1/markets/{id}/ticks")]
async fn ticks(
    app: App,
    _user: AnyUser,
    id: web::Path<String>,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse> {
    let page = query.of::<i64>()?;
    let ticks =
        app.read(move |tx| Ok(scheduler::market::ticks(tx, &id, page.after, page.rows())?)).await?;
    let ticks: Vec<Tick> = ticks.into_iter().map(Tick::from).collect();
    Ok(HttpResponse::Ok().json(page.page(ticks, |tick| tick.tick)))
}

/// A tick and what it left undone.
#[derive(Serialize, ToSchema)]
struct TickReport {
    #[serde(flatten)]
    tick: Tick,
    /// Lanes wanted by bids in the book and not won, by reason.
    unmet_by_reason: BTreeMap<&'static str, u64>,
    /// Bids that waited and were not in the book, by reason.
    left_out: BTreeMap<&'static str, i64>,
    /// Cells with cars that were not let.
    idle_cells: Vec<IdleCell>,
}

#[derive(Serialize, ToSchema)]
struct IdleCell {
    region: String,
    class: String,
    /// Bit set of what the cell's owners allow.
    permits: i32,
    #[schema(value_type = String, example = "term")]
    stay: Stay,
    lanes: u64,
    /// The least that one of them asks, with the fee on top, per lane-hour.
    #[schema(value_type = String)]
    least_ask: Amount,
    /// Below it one more car would have been let; none: at no price.
    #[schema(value_type = Option<String>)]
    would_sell_below: Option<Amount>,
}

impl From<TickDetail> for TickReport {
    fn from(detail: TickDetail) -> Self {
        let unmet = detail.unmet;
        let idle = detail.idle.into_iter().map(|(key, idle)| IdleCell {
            region: key.region,
            class: key.class,
            permits: key.permits.0,
            stay: key.stay,
            lanes: idle.lanes,
            least_ask: Amount(idle.reserve),
            would_sell_below: idle.would_sell.map(Amount),
        });
        Self {
            tick: detail.view.into(),
            unmet_by_reason: BTreeMap::from([
                ("no_supply", unmet.no_supply),
                ("sold_out", unmet.sold_out),
                ("price_too_low", unmet.price_too_low),
                ("outbid", unmet.outbid),
                ("min_fill", unmet.min_fill),
                ("budget", unmet.budget),
                ("share_cap", unmet.share_cap),
            ]),
            left_out: detail.left_out.into_iter().map(|(why, n)| (why.as_str(), n)).collect(),
            idle_cells: idle.collect(),
        }
    }
}

/// Show a tick
///
/// Demand that was not met, by reason, and cars that were not let, by cell.
#[utoipa::path(operation_id = "show_tick", tag = "market", security(("bearer" = [])),
    params(
        ("id" = String, Path, description = "The market."),
        ("tick" = i64, Path, description = "A tick of `/v1/markets/{id}/ticks`."),
    ),
    responses((status = 200, description = "The tick.", body = TickReport)))]
#[get("/v1/markets/{id}/ticks/{tick}")]
async fn show_tick(
    app: App,
    _user: AnyUser,
    path: web::Path<(String, i64)>,
) -> Result<HttpResponse> {
    let (id, tick) = path.into_inner();
    let detail = app.read(move |tx| Ok(scheduler::market::tick_detail(tx, &id, tick)?)).await?;
    Ok(HttpResponse::Ok().json(TickReport::from(detail)))
}
