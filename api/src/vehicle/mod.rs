//! Cars: what owners say of them, and what they say themselves.

mod activity;
mod blobs;
mod cars;
mod consent;
mod enrolment;
mod import;
mod model;
mod offer;
mod reputation;
mod reserve;
mod sharing;
mod uploads;

use ::store::VehicleId;
use ::vehicle::road::SEQUENCE;
use actix_web::{HttpRequest, HttpResponse, get, patch, post, web};
use rand::RngCore;
use scheduler::fleet;
use sha2::{Digest, Sha256};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::auth::{Car, Owner};
use crate::body::Body;
use crate::idempotency::IdempotencyKey;
use crate::pagination::{Page, PageQuery};
use crate::problem::{Problem, ProblemBody, Result};
pub use activity::{Activity, csv as activity_csv};
pub use cars::{Cars, SignedIn};
pub use model::{AddedVehicle, NewVehicle, PolicyChange, VIN, Vehicle};

pub fn configure(routes: &mut ServiceConfig<'_>) {
    routes.service(heartbeat).service(add).service(list).service(show).service(change);
    routes.service(import::import).service(offer::show_market).service(activity::list);
    routes.service(consent::list).service(consent::give).service(consent::withdraw);
    routes.service(consent::ask_opt_out).service(consent::opt_out);
    routes.service(sharing::pause).service(sharing::resume).service(sharing::retire);
    routes.service(sharing::share).service(sharing::accept).service(sharing::driving);
    routes.service(reserve::show).service(reserve::set_tariff).service(reserve::drop_tariff);
    routes.service(reserve::estimate);
    routes.service(sharing::drivers).service(sharing::remove_driver);
    routes.service(enrolment::start_enrolment).service(enrolment::enrol);
    routes
        .service(enrolment::sign_in)
        .service(blobs::fetch_blob)
        .service(blobs::store_blob)
        .service(blobs::show_upload);
    routes.service(reputation::show_reputation).service(reputation::list_dissents);
}

/// Add a car
///
/// The answer holds the car's token, once: a replay lacks it. It works for nobody until you consent to a purpose.
#[utoipa::path(operation_id = "add_vehicle", tag = "vehicles",
    security(("bearer" = [])), request_body = NewVehicle,
    params(("Idempotency-Key" = String, Header, description = "A new random key for new work.")),
    responses((status = 201, description = "The car and its token.", body = AddedVehicle)))]
#[post("/v1/vehicles")]
async fn add(
    app: App,
    owner: Owner,
    key: IdempotencyKey,
    body: Body<NewVehicle>,
) -> Result<HttpResponse> {
    let party = owner.party;
    let Body { value, fingerprint } = body;
    let told = value.identity(&app.seal)?;
    let new = value.into_domain()?;
    let mut secret = [0; 32];
    rand::rng().fill_bytes(&mut secret);
    let token = format!("car_{}", hex::encode(secret));
    let token_hash = Sha256::digest(&token).into();
    key.once_with_secret(&app.store, party, fingerprint, ("token", token), move |tx| {
        let id = fleet::enrol(tx, party, &new, token_hash)?;
        fleet::describe(tx, party, id, told.vin.as_ref(), told.battery)?;
        Ok(Vehicle::from(fleet::view(tx, party, id)?))
    })
    .await
}

/// List your cars
#[utoipa::path(operation_id = "list_vehicles", tag = "vehicles",
    security(("bearer" = [])), params(PageQuery), responses(
    (status = 200, description = "A page of cars.", body = Page<Vehicle>),
))]
#[get("/v1/vehicles")]
async fn list(app: App, owner: Owner, query: web::Query<PageQuery>) -> Result<HttpResponse> {
    let page = query.of::<VehicleId>()?;
    let party = owner.party;
    let cars = app.read(move |tx| Ok(fleet::list(tx, party, page.after, page.rows())?)).await?;
    let cars: Vec<Vehicle> = cars.into_iter().map(Vehicle::from).collect();
    Ok(HttpResponse::Ok().json(page.page(cars, |car| car.id)))
}

/// Show a car
#[utoipa::path(operation_id = "show_vehicle", tag = "vehicles", security(("bearer" = [])),
    params(("id" = String, Path, description = "The car.")),
    responses((status = 200, description = "The car.", body = Vehicle)))]
#[get("/v1/vehicles/{id}")]
async fn show(app: App, owner: Owner, id: web::Path<VehicleId>) -> Result<HttpResponse> {
    let party = owner.party;
    let car = app.read(move |tx| Ok(fleet::view(tx, party, *id)?)).await?;
    Ok(HttpResponse::Ok().json(Vehicle::from(car)))
}

/// Change what you want of a car
///
/// Takes effect with its next heartbeat; a lease that runs keeps its price.
#[utoipa::path(operation_id = "change_vehicle", tag = "vehicles",
    security(("bearer" = [])), request_body = PolicyChange,
    params(("id" = String, Path, description = "The car.")),
    responses((status = 200, description = "The car.", body = Vehicle)))]
#[patch("/v1/vehicles/{id}")]
async fn change(
    app: App,
    owner: Owner,
    id: web::Path<VehicleId>,
    body: Body<PolicyChange>,
) -> Result<HttpResponse> {
    let party = owner.party;
    let change = body.value;
    let car = app
        .write(move |tx| {
            let now = fleet::view(tx, party, *id)?.row;
            let (policy, reserve, pay_in) = change.over(&now)?;
            fleet::set_policy(tx, party, *id, policy, reserve, pay_in)?;
            if let Some(own) = change.reserve {
                fleet::set_own_reserve(tx, *id, own)?;
            }
            if let Some(until) = change.available_until {
                fleet::set_available_until(tx, party, *id, until)?;
            }
            Ok(fleet::view(tx, party, *id)?)
        })
        .await?;
    app.desk.forget(car.row.id);
    Ok(HttpResponse::Ok().json(Vehicle::from(car)))
}

/// A car's heartbeat
///
/// Telemetry up, the next order down. The car signs in with its own token. One with a key of its own counts the heartbeats of its session in the header `Driveway-Sequence`: each number is taken once, in ascending order.
#[utoipa::path(tag = "cars", security(("vehicle" = [])),
    request_body(content = Object, example = json!({
        "telemetry": {
            "Gear": "P", "VehicleSpeed": 0.0, "DriverSeatOccupied": false, "Locked": true,
            "DoorState": { "DriverFront": false, "DriverRear": false, "PassengerFront": false,
                "PassengerRear": false, "TrunkFront": false, "TrunkRear": false },
            "ServiceMode": false, "ValetMode": false,
            "DetailedChargeState": "Charging", "Soc": 72.0, "ACChargingPower": 7.2,
            "EnergyRemaining": 54.0, "ModuleTempMax": 24.0
        },
        "attempt": null
    })),
    responses(
        (status = 200, description = "What the car should do.", body = Object,
            example = json!({ "next_poll_ms": 5000, "order": null, "vacate": null })),
        (status = 409, description = "`stale_heartbeat`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 401, description = "The car's token is not known.", body = ProblemBody,
            content_type = "application/problem+json"),
    ))]
#[post("/v1/vehicles/heartbeat")]
async fn heartbeat(
    app: App,
    car: Car,
    request: HttpRequest,
    body: Body<model::Beat>,
) -> Result<HttpResponse> {
    let state = app.clone();
    let beat = body.value.0;
    let number = sequence(&request);
    let reply = web::block(move || {
        let (id, last) = car.hear(&state, number)?;
        let reply = state.desk.heartbeat(id, &beat)?;
        Ok::<_, Problem>(state.cars.complete(reply, last))
    });
    Ok(HttpResponse::Ok().json(reply.await??))
}

/// The heartbeat's number; 0, which is never taken, if it has none.
fn sequence(request: &HttpRequest) -> u64 {
    let value = request.headers().get(SEQUENCE).and_then(|value| value.to_str().ok());
    value.and_then(|text| text.parse().ok()).unwrap_or_default()
}
