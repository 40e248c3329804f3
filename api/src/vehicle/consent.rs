//! What owners allow: the words, the receipts, and how consent ends.

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING, USER_AGENT};
use actix_web::{FromRequest, HttpRequest, HttpResponse, delete, get, post, put, web};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64_URL;
use futures_util::future::LocalBoxFuture;
use garde::Validate;
use scheduler::fleet::{self, ConsentRow, Hours, Law, Terms, law_for};
use scheduler::{DataClass, Purpose};
use serde::{Deserialize, Serialize};
use store::seal::Seal;
use store::{Timestamp, VehicleId};
use utoipa::ToSchema;

use super::Vehicle;
use crate::app::App;
use crate::auth::Owner;
use crate::body::Body;
use crate::problem::{Code, Problem, Result};

/// A consent that was given: the owner's receipt.
#[derive(Serialize, ToSchema)]
pub struct Receipt {
    #[schema(example = "consent_01kayz3v8ne7m9xqk2y4t6w8b0")]
    id: String,
    /// `inference`, `simulation` or `video`.
    purpose: &'static str,
    /// `synthetic` or `non_personal`.
    data_class: &'static str,
    /// The version of the words that were shown.
    #[schema(example = "2026-11")]
    text_version: String,
    /// Under which law: `EU`, `US-CA` or `US`.
    law: String,
    /// When in the week it holds, by the region's clocks; none: always.
    #[schema(value_type = Option<Object>, example = json!({ "friday": { "from": "22:00", "to": "06:00" } }))]
    hours: Option<Hours>,
    /// What the device said of itself by which it was given.
    device: Option<String>,
    #[schema(value_type = String, format = "date-time")]
    given_at: Timestamp,
    #[schema(value_type = Option<String>, format = "date-time")]
    withdrawn_at: Option<Timestamp>,
    /// `owner`, `link` (the signed one), or `left` (the car was retired or handed over).
    withdrawn_by: Option<String>,
}

impl From<ConsentRow> for Receipt {
    fn from(row: ConsentRow) -> Self {
        Self {
            id: row.id.to_string(),
            purpose: row.purpose.as_str(),
            data_class: row.data_class.as_str(),
            text_version: row.text_version,
            law: row.law,
            hours: row.hours,
            device: row.device,
            given_at: row.given_at,
            withdrawn_at: row.withdrawn_at,
            withdrawn_by: row.withdrawn_by,
        }
    }
}

/// What can be consented to for a car, in the words to show, and what was.
#[derive(Serialize, ToSchema)]
pub struct Consents {
    /// Under which law: `EU`, `US-CA` or `US`.
    law: &'static str,
    /// Whoever opens it can end every consent for the car, without an account.
    #[schema(example = "/opt-out/AZq...")]
    opt_out_link: String,
    asked: Vec<Asked>,
    /// Every consent given, withdrawn ones too.
    receipts: Vec<Receipt>,
}

/// Something an owner can consent to.
#[derive(Serialize, ToSchema)]
pub struct Asked {
    purpose: &'static str,
    data_class: &'static str,
    text_version: &'static str,
    /// To be shown before consent is given.
    text: String,
    /// Whether consent stands.
    given: bool,
}

fn asked(law: &Law, receipts: &[ConsentRow]) -> Vec<Asked> {
    let pairs = Purpose::ALL
        .iter()
        .flat_map(|purpose| DataClass::ALL.iter().map(move |class| (*purpose, *class)));
    let asked = pairs.filter_map(|(purpose, class)| {
        Some(Asked {
            purpose: purpose.as_str(),
            data_class: class.as_str(),
            text_version: fleet::CONSENT_TEXT,
            text: law.text(fleet::CONSENT_TEXT, purpose, class)?,
            given: receipts.iter().any(|row| {
                (row.purpose, row.data_class) == (purpose, class) && row.withdrawn_at.is_none()
            }),
        })
    });
    asked.collect()
}

/// List what can be consented to
///
/// The words of each purpose and class of data under the law of the car's region, the receipts of what was given, and the car's opt-out link.
#[utoipa::path(operation_id = "list_consents", tag = "vehicles", security(("bearer" = [])),
    params(("id" = String, Path, description = "The car.")),
    responses((status = 200, description = "Words and receipts.", body = Consents)))]
#[get("/v1/vehicles/{id}/consents")]
pub async fn list(app: App, owner: Owner, id: web::Path<VehicleId>) -> Result<HttpResponse> {
    let party = owner.party;
    let opt_out_link = format!("/opt-out/{}", sign(&app.seal, *id));
    let consents = app.read(move |tx| {
        let view = fleet::view(tx, party, *id)?;
        let law = law_for(tx, &view.row)?;
        Ok(Consents {
            law: law.name,
            opt_out_link,
            asked: asked(law, &view.consents),
            receipts: view.consents.into_iter().map(Receipt::from).collect(),
        })
    });
    Ok(HttpResponse::Ok().json(consents.await?))
}

/// How consent is given.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsentTerms {
    /// The version of the words that were shown. Without it, those shown now.
    #[garde(length(max = 32))]
    #[schema(example = "2026-11")]
    #[serde(default)]
    text_version: Option<String>,
    /// When in the week it holds, by the region's clocks: on days not named it does not. Without it,
    /// always.
    #[garde(skip)]
    #[schema(value_type = Option<Object>, example = json!({ "friday": { "from": "22:00", "to": "06:00" } }))]
    #[serde(default)]
    hours: Option<Hours>,
}

/// Terms, `null`, or no body at all.
#[derive(Default, Deserialize, Validate)]
#[serde(transparent)]
pub struct Named(#[garde(dive)] Option<ConsentTerms>);

pub struct Given(Terms);

impl FromRequest for Given {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let empty = header(CONTENT_LENGTH).is_none_or(|length| length == "0")
            && header(TRANSFER_ENCODING).is_none();
        let said = header(USER_AGENT).map(|text| text.chars().take(200).collect());
        let body = (!empty).then(|| Body::<Named>::from_request(request, payload));
        Box::pin(async move {
            let named = match body {
                Some(body) => body.await?.value.0.unwrap_or_default(),
                None => ConsentTerms::default(),
            };
            let ConsentTerms { text_version, hours } = named;
            Ok(Self(Terms { text_version, hours, device: said }))
        })
    }
}

type Consented = (VehicleId, String, String);

/// Consent to a purpose
///
/// In the words that `GET /v1/vehicles/{id}/consents` shows. The receipt keeps their version, the moment, and what your device says of itself. Given again with other hours, it ends and another begins.
#[utoipa::path(operation_id = "give_consent", tag = "vehicles", security(("bearer" = [])),
    request_body(content = Option<ConsentTerms>),
    params(
        ("id" = String, Path, description = "The car."),
        ("purpose" = String, Path, description = "`inference`, `simulation` or `video`."),
        ("data_class" = String, Path, description = "`synthetic` or `non_personal`."),
    ),
    responses((status = 200, description = "The car.", body = Vehicle),
        (status = 409, description = "`wrong_state`: the car has left or leaves.", body = crate::problem::ProblemBody,
            content_type = "application/problem+json")))]
#[put("/v1/vehicles/{id}/consents/{purpose}/{data_class}")]
pub async fn give(
    app: App,
    owner: Owner,
    path: web::Path<Consented>,
    given: Given,
) -> Result<HttpResponse> {
    let party = owner.party;
    let (id, what) = consent_of(path.into_inner())?;
    let car = app
        .write(move |tx| {
            fleet::give_consent_as(tx, party, id, what, &given.0)?;
            Ok(fleet::view(tx, party, id)?)
        })
        .await?;
    app.desk.forget(id);
    Ok(HttpResponse::Ok().json(Vehicle::from(car)))
}

/// Withdraw consent
///
/// No new work, and what runs under it is told to leave at the car's next poll.
#[utoipa::path(operation_id = "withdraw_consent", tag = "vehicles", security(("bearer" = [])),
    params(
        ("id" = String, Path, description = "The car."),
        ("purpose" = String, Path, description = "`inference`, `simulation` or `video`."),
        ("data_class" = String, Path, description = "`synthetic` or `non_personal`."),
    ),
    responses((status = 200, description = "The car.", body = Vehicle)))]
#[delete("/v1/vehicles/{id}/consents/{purpose}/{data_class}")]
pub async fn withdraw(app: App, owner: Owner, path: web::Path<Consented>) -> Result<HttpResponse> {
    let party = owner.party;
    let (id, (purpose, data_class)) = consent_of(path.into_inner())?;
    let car = app
        .write(move |tx| {
            fleet::withdraw_consent(tx, party, id, purpose, data_class)?;
            Ok(fleet::view(tx, party, id)?)
        })
        .await?;
    app.desk.forget(id);
    Ok(HttpResponse::Ok().json(Vehicle::from(car)))
}

fn consent_of(
    (id, purpose, data_class): (VehicleId, String, String),
) -> Result<(VehicleId, (Purpose, DataClass))> {
    match (Purpose::parse(&purpose), DataClass::parse(&data_class)) {
        (Some(purpose), Some(data_class)) => Ok((id, (purpose, data_class))),
        _ => Err(Problem::new(Code::NotFound).detail("There is no such purpose or data class.")),
    }
}

const OPT_OUT: &str = "opt-out link";

/// What only this server can have written for this car.
fn sign(seal: &Seal, id: VehicleId) -> String {
    let mac = seal.digest(OPT_OUT, id.as_bytes());
    BASE64_URL.encode([id.as_bytes().as_slice(), &mac[..16]].concat())
}

fn car_of(seal: &Seal, token: &str) -> Option<VehicleId> {
    let bytes = BASE64_URL.decode(token).ok()?;
    let id = VehicleId::from_bytes(bytes.get(..16)?.try_into().ok()?);
    let expected = sign(seal, id);
    // Of fixed length, so that the time it takes tells nothing.
    let same =
        aws_lc_rs::constant_time::verify_slices_are_equal(expected.as_bytes(), token.as_bytes());
    same.ok().map(|()| id)
}

fn page(text: &str, form: &str) -> HttpResponse {
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Opt out</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"referrer\" \
         content=\"no-referrer\"></head><body><main><h1>Opt out</h1><p>{text}</p>{form}</main></body></html>"
    ))
}

fn unknown() -> Problem {
    Problem::new(Code::NotFound).detail("The link is not good, or the car has left.")
}

/// Ask to opt a car out
///
/// The page of a car's signed link: it asks once more, and changes nothing.
#[utoipa::path(operation_id = "show_opt_out", tag = "owners",
    params(("token" = String, Path, description = "From the car's opt-out link.")),
    responses((status = 200, description = "A page with one button.", body = String,
        content_type = "text/html")))]
#[get("/opt-out/{token}")]
pub async fn ask_opt_out(app: App, token: web::Path<String>) -> Result<HttpResponse> {
    car_of(&app.seal, &token).ok_or_else(unknown)?;
    let form = "<form method=\"post\"><button>Use this car for nobody</button></form>";
    Ok(page("This ends every consent for the car at once. Work on it stops within seconds.", form))
}

/// Opt a car out
///
/// By its signed link, without an account: every consent for the car ends at once, until its owner consents anew.
#[utoipa::path(operation_id = "opt_out", tag = "owners",
    params(("token" = String, Path, description = "From the car's opt-out link.")),
    responses((status = 200, description = "Done.", body = String, content_type = "text/html")))]
#[post("/opt-out/{token}")]
pub async fn opt_out(app: App, token: web::Path<String>) -> Result<HttpResponse> {
    let id = car_of(&app.seal, &token).ok_or_else(unknown)?;
    if !app.write(move |tx| Ok(fleet::opt_out(tx, id)?)).await? {
        return Err(unknown());
    }
    app.desk.forget(id);
    Ok(page("Done: the car is used for nobody until its owner consents anew.", ""))
}
