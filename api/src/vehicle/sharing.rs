//! Drivers, pauses, and cars that change hands or retire.

use actix_web::{HttpResponse, delete, get, post, put, web};
use garde::Validate;
use rand::RngCore;
use scheduler::fleet::{self, Accepted, Share};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::{PartyId, Timestamp, VehicleId};
use utoipa::ToSchema;

use super::Vehicle;
use super::enrolment::new_code;
use super::model::state_of;
use crate::app::App;
use crate::auth::Owner;
use crate::body::Body;
use crate::problem::{Code, Problem, ProblemBody, Result};

/// How long a code to drive or to have a car can be used, seconds.
const CODE_S: i64 = 24 * 3_600;

/// A car as one of its drivers sees it.
#[derive(Serialize, ToSchema)]
pub struct DrivenVehicle {
    #[schema(value_type = String)]
    id: VehicleId,
    region: String,
    class: String,
    /// `active`, `paused`, `leaving`, `retired` or `transferred`.
    state: &'static str,
    #[schema(value_type = Option<String>, format = "date-time")]
    paused_at: Option<Timestamp>,
}

impl From<fleet::VehicleRow> for DrivenVehicle {
    fn from(row: fleet::VehicleRow) -> Self {
        Self {
            state: state_of(&row),
            id: row.id,
            region: row.region_id,
            class: row.class_id,
            paused_at: row.paused_at,
        }
    }
}

/// Pause a car
///
/// Its owner and its drivers may. It takes nothing new, and what runs is told to leave at its next poll, within three seconds.
#[utoipa::path(operation_id = "pause_vehicle", tag = "vehicles", security(("bearer" = [])),
    params(("id" = String, Path, description = "The car.")),
    responses((status = 200, description = "The car.", body = DrivenVehicle),
        (status = 409, description = "`wrong_state`: it has left or leaves.", body = ProblemBody,
            content_type = "application/problem+json")))]
#[put("/v1/vehicles/{id}/pause")]
pub async fn pause(app: App, owner: Owner, id: web::Path<VehicleId>) -> Result<HttpResponse> {
    set_paused(&app, owner.party, *id, true).await
}

/// Let a car go on
///
/// Its owner and its drivers may, whoever paused it.
#[utoipa::path(operation_id = "resume_vehicle", tag = "vehicles", security(("bearer" = [])),
    params(("id" = String, Path, description = "The car.")),
    responses((status = 200, description = "The car.", body = DrivenVehicle),
        (status = 409, description = "`wrong_state`: it has left or leaves.", body = ProblemBody,
            content_type = "application/problem+json")))]
#[delete("/v1/vehicles/{id}/pause")]
pub async fn resume(app: App, owner: Owner, id: web::Path<VehicleId>) -> Result<HttpResponse> {
    set_paused(&app, owner.party, *id, false).await
}

async fn set_paused(app: &App, party: PartyId, id: VehicleId, on: bool) -> Result<HttpResponse> {
    let car = app
        .write(move |tx| {
            fleet::pause(tx, party, id, on)?;
            Ok(fleet::driven(tx, party, id)?)
        })
        .await?;
    app.desk.forget(id);
    Ok(HttpResponse::Ok().json(DrivenVehicle::from(car)))
}

/// What a code is for.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCode {
    /// `driver`: may pause the car and let it go on; `transfer`: has the car from then on.
    #[garde(skip)]
    #[schema(example = "driver")]
    r#for: String,
}

/// A code to hand over.
#[derive(Serialize, ToSchema)]
pub struct SharingCode {
    /// Told once; only its SHA-256 is kept.
    #[schema(example = "7K3FQ-2M9XA-HB4TC-W6E5D")]
    code: String,
    #[schema(value_type = String, format = "date-time")]
    expires_at: Timestamp,
}

/// Share or hand over a car
///
/// Answers a code for somebody else with an owner's account: used once, within a day, at `/v1/vehicles/accept`. A new code to hand the car over voids an earlier one.
#[utoipa::path(operation_id = "share_vehicle", tag = "vehicles", security(("bearer" = [])),
    request_body = NewCode, params(("id" = String, Path, description = "The car.")),
    responses((status = 201, description = "The code.", body = SharingCode),
        (status = 409, description = "`wrong_state`: it has left or leaves, or has ten drivers.",
            body = ProblemBody, content_type = "application/problem+json")))]
#[post("/v1/vehicles/{id}/codes")]
pub async fn share(
    app: App,
    owner: Owner,
    id: web::Path<VehicleId>,
    body: Body<NewCode>,
) -> Result<HttpResponse> {
    let party = owner.party;
    let share = Share::parse(&body.value.r#for)
        .ok_or_else(|| Problem::new(Code::InvalidBody).at("/for", "`driver` or `transfer`"))?;
    let code = new_code();
    let hash = Sha256::digest(&code).into();
    let expires_at = app.store.now().plus_s(CODE_S);
    app.write(move |tx| Ok(fleet::give_code(tx, party, *id, share, hash, expires_at)?)).await?;
    Ok(HttpResponse::Created().json(SharingCode { code, expires_at }))
}

/// A code that was handed over.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GivenCode {
    #[garde(length(max = 64))]
    #[schema(example = "7K3FQ-2M9XA-HB4TC-W6E5D")]
    code: String,
}

/// Accept a car
///
/// With the code that its owner handed you. As a driver you may pause it and let it go on. Handed over, it is yours as a new car: it works for nobody until you enrol it and consent; what it earned before stays with its earlier owner.
#[utoipa::path(operation_id = "accept_vehicle", tag = "vehicles", security(("bearer" = [])),
    request_body = GivenCode, responses(
        (status = 200, description = "The car.", body = DrivenVehicle),
        (status = 409, description = "`wrong_state`: it is yours, or leaves.", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 422, description = "`code_wrong`: wrong, used or older than a day.",
            body = ProblemBody, content_type = "application/problem+json"),
    ))]
#[post("/v1/vehicles/accept")]
pub async fn accept(app: App, owner: Owner, body: Body<GivenCode>) -> Result<HttpResponse> {
    let party = owner.party;
    let hash = Sha256::digest(body.value.code.trim()).into();
    let mut no_token = [0; 32];
    rand::rng().fill_bytes(&mut no_token);
    let (car, was) = app
        .write(move |tx| {
            let accepted = fleet::accept_code(tx, party, hash, no_token)?;
            let (id, was) = match accepted.ok_or_else(|| Problem::new(Code::CodeWrong))? {
                Accepted::Driver(id) => (id, id),
                Accepted::Owner { was, is } => (is, was),
            };
            Ok((fleet::driven(tx, party, id)?, was))
        })
        .await?;
    app.desk.forget(was);
    Ok(HttpResponse::Ok().json(DrivenVehicle::from(car)))
}

/// Who drives a car.
#[derive(Serialize, ToSchema)]
pub struct Driver {
    #[schema(value_type = String, example = "party_01kayz3v8ne7m9xqk2y4t6w8b0")]
    party: PartyId,
    #[schema(value_type = String, format = "date-time")]
    since: Timestamp,
}

/// List a car's drivers
#[utoipa::path(operation_id = "list_drivers", tag = "vehicles", security(("bearer" = [])),
    params(("id" = String, Path, description = "The car.")),
    responses((status = 200, description = "At most ten.", body = Vec<Driver>)))]
#[get("/v1/vehicles/{id}/drivers")]
pub async fn drivers(app: App, owner: Owner, id: web::Path<VehicleId>) -> Result<HttpResponse> {
    let party = owner.party;
    let rows = app.read(move |tx| Ok(fleet::drivers(tx, party, *id)?)).await?;
    let drivers = rows.into_iter().map(|(party, since)| Driver { party, since });
    Ok(HttpResponse::Ok().json(drivers.collect::<Vec<_>>()))
}

/// Take a driver off a car
///
/// Its owner may, and drivers themselves.
#[utoipa::path(operation_id = "remove_driver", tag = "vehicles", security(("bearer" = [])),
    params(
        ("id" = String, Path, description = "The car."),
        ("party" = String, Path, description = "The driver."),
    ),
    responses((status = 204, description = "Done.")))]
#[delete("/v1/vehicles/{id}/drivers/{party}")]
pub async fn remove_driver(
    app: App,
    owner: Owner,
    path: web::Path<(VehicleId, PartyId)>,
) -> Result<HttpResponse> {
    let (party, (id, driver)) = (owner.party, path.into_inner());
    app.write(move |tx| Ok(fleet::remove_driver(tx, party, id, driver)?)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// List the cars you drive
///
/// Others', which you may pause and let go on.
#[utoipa::path(operation_id = "list_driven_vehicles", tag = "vehicles", security(("bearer" = [])),
    responses((status = 200, description = "The cars.", body = Vec<DrivenVehicle>)))]
#[get("/v1/driving")]
pub async fn driving(app: App, owner: Owner) -> Result<HttpResponse> {
    let party = owner.party;
    let rows = app.read(move |tx| Ok(fleet::driving(tx, party)?)).await?;
    let cars = rows.into_iter().map(DrivenVehicle::from);
    Ok(HttpResponse::Ok().json(cars.collect::<Vec<_>>()))
}

/// Retire a car
///
/// It takes nothing new, and what runs is told to leave at its next poll. When its last lease has ended, its keys and tokens are void, and its number, habits, telemetry and drivers are deleted. What it earned stays, and statements still tell it.
#[utoipa::path(operation_id = "retire_vehicle", tag = "vehicles", security(("bearer" = [])),
    params(("id" = String, Path, description = "The car.")),
    responses((status = 200, description = "The car.", body = Vehicle)))]
#[post("/v1/vehicles/{id}/retire")]
pub async fn retire(app: App, owner: Owner, id: web::Path<VehicleId>) -> Result<HttpResponse> {
    let party = owner.party;
    let car = app
        .write(move |tx| {
            fleet::retire(tx, party, *id)?;
            fleet::finish_leaving(tx, *id)?;
            Ok(fleet::view(tx, party, *id)?)
        })
        .await?;
    app.desk.forget(car.row.id);
    Ok(HttpResponse::Ok().json(Vehicle::from(car)))
}
