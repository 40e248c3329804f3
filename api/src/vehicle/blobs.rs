//! The blobs of a car's own attempt, piece by piece in both directions.

use actix_web::{HttpResponse, get, put, web};
use futures_util::TryStreamExt;
use scheduler::lease;

use crate::app::App;
use crate::auth::Car;
use crate::blobs::{parse_digest, receive};
use crate::problem::{Code, Problem, Result};

/// Fetch a blob of the car's attempt
///
/// Program, input or checkpoint of the attempt that the car has now; nothing else is found.
#[utoipa::path(tag = "cars", security(("vehicle" = [])),
    params(("digest" = String, Path, description = "SHA-256 of the bytes, in hexadecimal.")),
    responses((status = 200, description = "The bytes.", body = Vec<u8>,
        content_type = "application/octet-stream")))]
#[get("/v1/vehicles/blobs/{digest}")]
pub async fn fetch_blob(app: App, car: Car, path: web::Path<String>) -> Result<HttpResponse> {
    let digest = parse_digest(&path).ok_or_else(|| Problem::new(Code::NotFound))?;
    let (state, asked) = (app.clone(), digest.clone());
    let may = web::block(move || {
        let vehicle = car.identify(&state)?;
        Ok::<_, Problem>(state.store.read(|tx| lease::may_fetch(tx, vehicle, &asked.0))?)
    });
    if !may.await?? {
        return Err(Problem::new(Code::NotFound));
    }
    let bytes = app.blobs.stream(&digest).await?.map_err(Problem::from);
    Ok(HttpResponse::Ok().content_type("application/octet-stream").streaming(bytes))
}

/// Store what the car's attempt made
///
/// An output or a checkpoint, while the car has an attempt. Nobody can read it before a report names it.
#[utoipa::path(tag = "cars", security(("vehicle" = [])),
    params(("digest" = String, Path, description = "SHA-256 of the bytes, in hexadecimal.")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, description = "The blob is stored.", body = Object,
        example = json!({ "digest": "9f86d081...", "size": 4 }))))]
#[put("/v1/vehicles/blobs/{digest}")]
pub async fn store_blob(
    app: App,
    car: Car,
    path: web::Path<String>,
    body: web::Payload,
) -> Result<HttpResponse> {
    let digest = parse_digest(&path).ok_or_else(|| Problem::new(Code::InvalidDigest))?;
    let state = app.clone();
    let may = web::block(move || {
        let vehicle = car.identify(&state)?;
        Ok::<_, Problem>(state.store.read(|tx| lease::may_store(tx, vehicle))?)
    });
    if !may.await?? {
        return Err(Problem::new(Code::NoAttempt));
    }
    let limits = &app.scheduler.limits;
    let most = limits.output_bytes.max(limits.checkpoint_bytes);
    let size = receive(&app.blobs, &digest, body, most).await?;
    let (store, named) = (app.store.clone(), digest.clone());
    let recorded = web::block(move || {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        match store.write(|tx| scheduler::blob::record(tx, &named.0, size)) {
            // Two cars that made the same bytes at once.
            Err(scheduler::Error::Store(error)) if error.is_unique_violation() => Ok(()),
            recorded => recorded,
        }
    });
    recorded.await??;
    Ok(HttpResponse::Ok().json(serde_json::json!({ "digest": digest, "size": size })))
}
