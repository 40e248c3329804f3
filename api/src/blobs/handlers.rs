//! `/v1/blobs`.

use actix_web::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use actix_web::{HttpResponse, get, put, web};
use futures_util::StreamExt;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use vehicle::protocol::Digest;

use super::keeper::{BlobError, Blobs, MAX_BLOB, parse_digest};
use super::store as rows;
use crate::app::App;
use crate::auth::AnyUser;
use crate::body::broken;
use crate::problem::{Code, Problem, ProblemBody, Result};

pub fn configure(routes: &mut ServiceConfig<'_>) {
    routes.service(put_blob).service(get_blob);
}

#[derive(Serialize, ToSchema)]
pub struct Blob {
    /// SHA-256, 64 lower-case hexadecimal digits.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    digest: String,
    /// Bytes.
    #[schema(example = 4)]
    size: usize,
}

impl From<BlobError> for Problem {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::NotFound => Self::new(Code::NotFound),
            BlobError::TooLarge => Self::new(Code::BodyTooLarge),
            BlobError::Mismatch(_) => Self::new(Code::DigestMismatch).detail(error.to_string()),
            other => Self::internal(other),
        }
    }
}

fn digest(path: web::Path<String>) -> Result<Digest> {
    parse_digest(&path).ok_or_else(|| Problem::new(Code::InvalidDigest))
}

/// Store a blob
///
/// The bytes as they are, at most 64 MiB. Storing the same blob again changes nothing.
#[utoipa::path(tag = "blobs", security(("bearer" = [])),
    params(("digest" = String, Path, description = "SHA-256 of the bytes, in hexadecimal.")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "The blob is stored and yours to read.", body = Blob),
        (status = 413, description = "`body_too_large`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 422, description = "`digest_mismatch` or `invalid_digest`: nothing was stored.",
            body = ProblemBody, content_type = "application/problem+json"),
    ))]
#[put("/v1/blobs/{digest}")]
async fn put_blob(
    app: App,
    user: AnyUser,
    path: web::Path<String>,
    body: web::Payload,
) -> Result<HttpResponse> {
    let digest = digest(path)?;
    let size = receive(&app.blobs, &digest, body, MAX_BLOB as u64).await?;
    let (store, granted) = (app.store.clone(), digest.clone());
    web::block(move || rows::grant_alone(&store, &granted, user.party, size)).await??;
    Ok(HttpResponse::Ok().json(Blob { digest: digest.0, size }))
}

/// Even if the blob is there already the bytes are read and checked: having them is what gives
/// the right to read them. More than `most` bytes are refused.
async fn receive(
    blobs: &Blobs,
    digest: &Digest,
    mut body: web::Payload,
    most: u64,
) -> Result<usize> {
    let mut upload = blobs.upload(digest).await?;
    let mut came = 0;
    while let Some(chunk) = body.next().await {
        match chunk {
            Ok(chunk) => {
                came += chunk.len() as u64;
                if came > most {
                    upload.abort().await;
                    return Err(BlobError::TooLarge.into());
                }
                upload.write(chunk).await?;
            }
            Err(error) => {
                upload.abort().await;
                return Err(broken(error));
            }
        }
    }
    Ok(upload.finish().await?)
}

/// Read a blob
///
/// For who stored it, or was given it as a result.
#[utoipa::path(tag = "blobs", security(("bearer" = [])),
    params(("digest" = String, Path, description = "SHA-256 of the bytes, in hexadecimal.")),
    responses(
        (status = 200, description = "The bytes.", body = Vec<u8>,
            content_type = "application/octet-stream"),
    ))]
#[get("/v1/blobs/{digest}")]
async fn get_blob(app: App, user: AnyUser, path: web::Path<String>) -> Result<HttpResponse> {
    // As with any id in a path: what cannot be a digest names nothing.
    let digest = parse_digest(&path).ok_or_else(|| Problem::new(Code::NotFound))?;
    let asked = digest.clone();
    if !app.read(move |tx| Ok(rows::may_read(tx, &asked, user.party)?)).await? {
        return Err(Problem::new(Code::NotFound));
    }
    let bytes = app.blobs.read(&digest).await?;
    Ok(HttpResponse::Ok()
        .content_type("application/octet-stream")
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((CACHE_CONTROL, "private, max-age=31536000, immutable"))
        .body(bytes))
}
