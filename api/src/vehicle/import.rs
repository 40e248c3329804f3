//! A fleet's cars by file: all of them, or none and a list of what is wrong in which line.

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, post, web};
use rand::RngCore;
use scheduler::fleet::{self, Battery, Preset, SealedVin, Vin};
use scheduler::{Chemistry, PayIn};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::seal::Seal;
use store::{Amount, PartyId, Tx, VehicleId};
use utoipa::ToSchema;

use super::model::seal_vin;
use crate::app::App;
use crate::auth::Owner;
use crate::body::MAX_JSON;
use crate::fingerprint::Fingerprint;
use crate::idempotency::IdempotencyKey;
use crate::problem::{Code, Problem, Result};

/// Most cars of a file.
const MAX_CARS: usize = 1_000;
/// Most faults that are told of one file.
const MAX_FAULTS: usize = 100;

/// A line as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    vin: String,
    region: String,
    class: String,
    reserve: String,
    #[serde(default)]
    pay_in: Option<String>,
    #[serde(default)]
    preset: Option<String>,
    #[serde(default)]
    chemistry: Option<String>,
    #[serde(default)]
    capacity_wh: Option<String>,
}

/// A line as it is meant.
struct Meant {
    line: u64,
    vin: SealedVin,
    battery: Option<Battery>,
    new: fleet::NewVehicle,
    /// Nobody signs in with it: the car is enrolled with a key.
    token_hash: [u8; 32],
}

/// A car of the file.
#[derive(Serialize, ToSchema)]
pub struct ImportedVehicle {
    /// Of the file, from 1.
    line: u64,
    #[schema(value_type = String)]
    id: VehicleId,
    #[schema(example = "*************2788")]
    vin: String,
}

/// The cars of a file.
#[derive(Serialize, ToSchema)]
pub struct Imported {
    vehicles: Vec<ImportedVehicle>,
}

type Fault = (u64, &'static str, String);

/// Add a fleet by file
///
/// CSV with a header line: `vin,region,class,reserve` and, if you like, `pay_in,preset,chemistry,capacity_wh`. At most 1,000 cars. All are added or none: a refusal points at each line and column at fault, as `/line/7/vin`. Then enrol each car with a code of its own, and consent for each.
#[utoipa::path(operation_id = "import_vehicles", tag = "vehicles", security(("bearer" = [])),
    request_body(content = String, content_type = "text/csv",
        example = "vin,region,class,reserve,pay_in\n1M8GDM9AXKP042788,us-ca,hw4,0.09,cash\n"),
    params(("Idempotency-Key" = String, Header, description = "A new random key for new work.")),
    responses((status = 201, description = "All of them.", body = Imported)))]
#[post("/v1/vehicles/import")]
pub async fn import(
    app: App,
    owner: Owner,
    key: IdempotencyKey,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse> {
    let party = owner.party;
    let text = read(&request, payload).await?;
    let fingerprint = Fingerprint::of(&serde_json::Value::String(text.clone()));
    let seal = app.seal.clone();
    let cars = web::block(move || parse(&text, &seal)).await??;
    key.once(&app.store, party, fingerprint, StatusCode::CREATED, move |tx| add(tx, party, &cars))
        .await
}

async fn read(request: &HttpRequest, payload: web::Payload) -> Result<String> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
    if !kind.trim().eq_ignore_ascii_case("text/csv") {
        return Err(
            Problem::new(Code::UnsupportedMediaType).detail("Send `Content-Type: text/csv`.")
        );
    }
    let bytes = payload.to_bytes_limited(MAX_JSON).await;
    let bytes = bytes.map_err(|_| Problem::new(Code::BodyTooLarge))?;
    let bytes = bytes.map_err(|_| invalid("", "the body could not be read"))?;
    let text = String::from_utf8(bytes.to_vec()).map_err(|_| invalid("", "not UTF-8"))?;
    match text.contains('\0') {
        true => Err(invalid("", "text without the character U+0000")),
        false => Ok(text),
    }
}

fn invalid(pointer: &str, why: &str) -> Problem {
    Problem::new(Code::InvalidBody).at(pointer, why)
}

fn parse(text: &str, seal: &Seal) -> Result<Vec<Meant>> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let headers = reader.headers().map_err(|error| invalid("/line/1", &error.to_string()))?.clone();
    let (mut cars, mut faults) = (Vec::new(), Vec::new());
    for (count, record) in reader.records().enumerate() {
        if count >= MAX_CARS {
            return Err(invalid("", "more than 1000 cars: send several files"));
        }
        let fault_at = |error: &csv::Error| error.position().map_or(1, csv::Position::line);
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                faults.push((fault_at(&error), "", error.to_string()));
                continue;
            }
        };
        let at = record.position().map_or(1, csv::Position::line);
        match record.deserialize::<Line>(Some(&headers)) {
            Ok(line) => cars.extend(mean(at, &line, seal, &mut faults)),
            Err(error) => faults.push((at, "", why(&error))),
        }
    }
    if faults.is_empty() && cars.is_empty() {
        faults.push((2, "", "names no car".to_owned()));
    }
    if faults.is_empty() { Ok(cars) } else { Err(report(&faults)) }
}

/// What is wrong with a line, without the line's number, which the pointer has.
fn why(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => err.to_string(),
        _ => error.to_string(),
    }
}

fn report(faults: &[Fault]) -> Problem {
    let all = faults.len();
    let shown = faults.iter().take(MAX_FAULTS);
    let problem = shown.fold(Problem::new(Code::InvalidBody), |problem, (line, column, why)| {
        let column = if column.is_empty() { String::new() } else { format!("/{column}") };
        problem.at(format!("/line/{line}{column}"), why)
    });
    problem.detail(format!("{all} faults; no car was added."))
}

/// What a line means; each fault of it is told.
fn mean(line: u64, text: &Line, seal: &Seal, faults: &mut Vec<Fault>) -> Option<Meant> {
    let mut fault = |column, why: &str| faults.push((line, column, why.to_owned()));
    let vin = Vin::parse(&text.vin);
    if vin.is_none() {
        fault("vin", "17 letters and digits, of which none is I, O or Q");
    }
    let reserve: Option<Amount> = text.reserve.parse().ok();
    if reserve.is_none() {
        fault("reserve", "an amount such as 0.09");
    }
    let pay_in = PayIn::parse(named(&text.pay_in).unwrap_or("cash"));
    if pay_in.is_none() {
        fault("pay_in", "`cash` or `credits`");
    }
    let preset = Preset::parse(named(&text.preset).unwrap_or("on_charger"));
    if preset.is_none() {
        fault("preset", "`nights_at_home`, `on_charger` or `when_parked`");
    }
    let battery = match (named(&text.chemistry), named(&text.capacity_wh)) {
        (None, None) => Some(None),
        (chemistry, wh) => {
            let chemistry = chemistry.and_then(Chemistry::parse);
            if chemistry.is_none() {
                fault("chemistry", "`lfp` or `nmc`");
            }
            let wh: Option<i32> = wh.and_then(|wh| wh.parse().ok());
            if wh.is_none() {
                fault("capacity_wh", "from 1000 to 300000");
            }
            chemistry.zip(wh).map(|(chemistry, wh)| Some(Battery { chemistry, wh }))
        }
    };
    let mut secret = [0; 32];
    rand::rng().fill_bytes(&mut secret);
    let sealed = vin.and_then(|vin| seal_vin(seal, &vin).ok());
    Some(Meant {
        line,
        vin: sealed?,
        battery: battery?,
        new: fleet::NewVehicle {
            region: text.region.clone(),
            class: text.class.clone(),
            reserve: reserve?,
            policy: preset?.policy(),
            pay_in: pay_in?,
        },
        token_hash: Sha256::digest(secret).into(),
    })
}

fn named(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

/// Adds them in the caller's transaction, which is undone if one line is refused.
fn add(tx: &mut Tx<'_>, owner: PartyId, cars: &[Meant]) -> Result<Imported> {
    let (mut vehicles, mut faults) = (Vec::with_capacity(cars.len()), Vec::new());
    for car in cars {
        match add_one(tx, owner, car) {
            Ok(id) => {
                vehicles.push(ImportedVehicle { line: car.line, id, vin: car.vin.masked.clone() })
            }
            Err(scheduler::Error::Invalid { pointer, why }) => {
                faults.push((car.line, column(pointer), why));
            }
            Err(error) => return Err(error.into()),
        }
    }
    if faults.is_empty() { Ok(Imported { vehicles }) } else { Err(report(&faults)) }
}

fn add_one(tx: &mut Tx<'_>, owner: PartyId, car: &Meant) -> scheduler::Result<VehicleId> {
    let id = fleet::enrol(tx, owner, &car.new, car.token_hash)?;
    fleet::describe(tx, owner, id, Some(&car.vin), car.battery)?;
    Ok(id)
}

fn column(pointer: &'static str) -> &'static str {
    match pointer {
        "/battery/capacity_wh" => "capacity_wh",
        pointer => pointer.trim_start_matches('/'),
    }
}
