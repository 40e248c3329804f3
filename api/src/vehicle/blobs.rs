//! The blobs of a car's own attempt, piece by piece in both directions.

use ::vehicle::road::UPLOAD_OFFSET;
use actix_web::http::header::{CONTENT_RANGE, HeaderName, RANGE};
use actix_web::{HttpRequest, HttpResponse, get, head, put, web};
use futures_util::TryStreamExt;
use scheduler::lease;

use super::uploads::Rest;
use crate::app::App;
use crate::auth::Car;
use crate::blobs::parse_digest;
use crate::problem::{Code, Problem, ProblemBody, Result};

/// Fetch a blob of the car's attempt
///
/// Program, input or checkpoint of the attempt that the car has now; nothing else is found.
#[utoipa::path(tag = "cars", security(("vehicle" = [])),
    params(
        ("digest" = String, Path, description = "SHA-256 of the bytes, in hexadecimal."),
        ("Range" = Option<String>, Header, description = "`bytes=N-`: without the first N."),
    ),
    responses(
        (status = 200, description = "The bytes.", body = Vec<u8>,
            content_type = "application/octet-stream"),
        (status = 206, description = "The bytes from there on.", body = Vec<u8>,
            content_type = "application/octet-stream"),
    ))]
#[get("/v1/vehicles/blobs/{digest}")]
pub async fn fetch_blob(
    app: App,
    car: Car,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let digest = parse_digest(&path).ok_or_else(|| Problem::new(Code::NotFound))?;
    let (state, asked) = (app.clone(), digest.clone());
    let may = web::block(move || {
        let vehicle = car.identify(&state)?;
        Ok::<_, Problem>(state.store.read(|tx| lease::may_fetch(tx, vehicle, &asked.0))?)
    });
    if !may.await?? {
        return Err(Problem::new(Code::NotFound));
    }
    if let Some(from) = asked_from(&request)
        && let Some((size, bytes)) = app.blobs.stream_from(&digest, from).await?
    {
        let range = format!("bytes {from}-{}/{size}", size - 1);
        let mut answer = HttpResponse::PartialContent();
        answer.content_type("application/octet-stream").insert_header((CONTENT_RANGE, range));
        return Ok(answer.streaming(bytes.map_err(Problem::from)));
    }
    let bytes = app.blobs.stream(&digest).await?.map_err(Problem::from);
    Ok(HttpResponse::Ok().content_type("application/octet-stream").streaming(bytes))
}

/// The offset of a `Range: bytes=N-`. Any other range is answered with all the bytes, as it may be.
fn asked_from(request: &HttpRequest) -> Option<u64> {
    let text = request.headers().get(RANGE)?.to_str().ok()?;
    let from = text.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()?;
    (from > 0).then_some(from)
}

/// Ask how much of a blob has come
///
/// Of an upload of this car's that was cut: it goes on from there. 0 if there is none.
#[utoipa::path(tag = "cars", security(("vehicle" = [])),
    params(("digest" = String, Path, description = "SHA-256 of the bytes, in hexadecimal.")),
    responses((status = 200, description = "In the header `Upload-Offset`.",
        headers(("Upload-Offset" = u64, description = "Bytes."))))) ]
#[head("/v1/vehicles/blobs/{digest}")]
pub async fn show_upload(app: App, car: Car, path: web::Path<String>) -> Result<HttpResponse> {
    let digest = parse_digest(&path).ok_or_else(|| Problem::new(Code::NotFound))?;
    let state = app.clone();
    let vehicle = web::block(move || car.identify(&state)).await??;
    let offset = app.cars.uploads.offset(vehicle, &digest);
    let header = (HeaderName::from_static(UPLOAD_OFFSET), offset);
    Ok(HttpResponse::Ok().insert_header(header).finish())
}

/// Store what the car's attempt made
///
/// An output or a checkpoint, while the car has an attempt. Nobody can read it before a report names it. With a `Content-Range` that ends with the blob an upload that was cut goes on (RFC 9110, 14.5).
#[utoipa::path(tag = "cars", security(("vehicle" = [])),
    params(
        ("digest" = String, Path, description = "SHA-256 of the bytes, in hexadecimal."),
        ("Content-Range" = Option<String>, Header, description = "`bytes FROM-LAST/SIZE`"),
    ),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "The blob is stored.", body = Object,
            example = json!({ "digest": "9f86d081...", "size": 4 })),
        (status = 409, description = "`no_attempt` or `wrong_offset`", body = ProblemBody,
            content_type = "application/problem+json"),
    ))]
#[put("/v1/vehicles/blobs/{digest}")]
pub async fn store_blob(
    app: App,
    car: Car,
    path: web::Path<String>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse> {
    let digest = parse_digest(&path).ok_or_else(|| Problem::new(Code::InvalidDigest))?;
    let rest = said_range(&request)?;
    let state = app.clone();
    let may = web::block(move || {
        let vehicle = car.identify(&state)?;
        let may = state.store.read(|tx| lease::may_store(tx, vehicle))?;
        Ok::<_, Problem>(may.then_some(vehicle))
    });
    let vehicle = may.await??.ok_or_else(|| Problem::new(Code::NoAttempt))?;
    let limits = &app.scheduler.limits;
    let most = limits.output_bytes.max(limits.checkpoint_bytes);
    let (from, what) = ((vehicle, app.store.now()), (&digest, rest));
    let size = app.cars.uploads.receive(&app.blobs, from, what, most, body).await?;
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

fn said_range(request: &HttpRequest) -> Result<Option<Rest>> {
    let Some(value) = request.headers().get(CONTENT_RANGE) else { return Ok(None) };
    let rest = value.to_str().ok().and_then(Rest::parse);
    let unread =
        || Problem::new(Code::InvalidBody).detail("Content-Range: to the end of the blob.");
    rest.map(Some).ok_or_else(unread)
}
