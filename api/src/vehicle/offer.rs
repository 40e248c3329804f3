//! What becomes of a car in the market.

use actix_web::{HttpResponse, get, web};
use scheduler::Stay;
use scheduler::market::{Offer, Standing, Unsold, explain_vehicle};
use serde::Serialize;
use store::{Amount, ClearingId, LeaseId, Timestamp, VehicleId};
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Owner;
use crate::job::set_by;
use crate::money::Money;
use crate::problem::Result;

/// A car in its market, by what you ask now and the market's last tick.
#[derive(Serialize, ToSchema)]
pub struct VehicleOffer {
    /// `leased`, `sold` (in the last tick; that lease has ended), `unsold`, `waiting` for the next
    /// tick, or `not_offered`.
    state: &'static str,
    /// Why it was not let: `no_demand`, `reserve_too_high` or `drawn` (as many others asked the
    /// same, and these were chosen); or why it is not on offer: `no_heartbeat`, `no_consent`,
    /// `region_halted`, `resting`, `wanted_too_soon`, or what its telemetry says.
    reason: Option<String>,
    /// Your reserve, and what the market asks for it: with the fee on top, on the price grid.
    reserve: Money,
    asks: Money,
    cell: Option<OfferCell>,
    #[schema(value_type = Option<String>)]
    clearing: Option<ClearingId>,
    tick: Option<i64>,
    #[schema(value_type = Option<String>, format = "date-time")]
    at: Option<Timestamp>,
    #[schema(value_type = Option<String>)]
    lease: Option<LeaseId>,
    /// What it was sold at, or what the cell's cars were, per lane-hour.
    price: Option<Money>,
    /// With a reserve up to this one it would have been sold, all else as it was.
    would_sell_at: Option<Money>,
    /// What keeps the cell's price from being lower: `reserve`, `another_bid` or `nothing`.
    set_by: Option<&'static str>,
}

#[derive(Serialize, ToSchema)]
struct OfferCell {
    region: String,
    class: String,
    /// Bit set of what you allow.
    permits: i32,
    #[schema(value_type = String, example = "term")]
    stay: Stay,
}

impl From<Offer> for VehicleOffer {
    fn from(offer: Offer) -> Self {
        let asset = offer.asset;
        let money = |amount: Amount| Money::new(amount, &asset);
        let mut told = Self {
            state: "waiting",
            reason: None,
            reserve: money(offer.reserve),
            asks: money(offer.asks),
            cell: offer.cell.map(|key| OfferCell {
                region: key.region,
                class: key.class,
                permits: key.permits.0,
                stay: key.stay,
            }),
            clearing: offer.tick.as_ref().map(|tick| tick.clearing),
            tick: offer.tick.as_ref().map(|tick| tick.tick),
            at: offer.tick.as_ref().map(|tick| tick.at),
            lease: None,
            price: None,
            would_sell_at: None,
            set_by: None,
        };
        match offer.standing {
            Standing::Waiting => {}
            Standing::NotOffered { reason } => {
                (told.state, told.reason) = ("not_offered", Some(reason));
            }
            Standing::Leased { lease, price } => {
                (told.state, told.lease, told.price) = ("leased", Some(lease), Some(money(price)));
            }
            Standing::Sold { lease, price } => {
                (told.state, told.lease, told.price) = ("sold", Some(lease), Some(money(price)));
            }
            Standing::Unsold(Unsold { reason, price, set_by: setter, would_sell_at }) => {
                (told.state, told.reason) = ("unsold", Some(reason.to_owned()));
                told.price = price.map(money);
                told.would_sell_at = would_sell_at.map(money);
                told.set_by = Some(set_by(setter).0);
            }
        }
        told
    }
}

/// Explain a car's place in the market
///
/// What it was let at, or why not and at which reserve it would have been.
#[utoipa::path(operation_id = "show_vehicle_market", tag = "vehicles", security(("bearer" = [])),
    params(("id" = String, Path, description = "The car.")),
    responses((status = 200, description = "The car in its market.", body = VehicleOffer)))]
#[get("/v1/vehicles/{id}/market")]
pub async fn show_market(app: App, owner: Owner, id: web::Path<VehicleId>) -> Result<HttpResponse> {
    let (party, config) = (owner.party, app.scheduler.clone());
    let offer = app.read(move |tx| Ok(explain_vehicle(tx, &config, party, *id)?)).await?;
    Ok(HttpResponse::Ok().json(VehicleOffer::from(offer)))
}
