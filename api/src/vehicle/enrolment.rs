//! How a car gets a key of its own, and signs in with it.

use ::store::{Timestamp, VehicleId};
use ::vehicle::road::{ASSERTION_TYPE, AUDIENCE, Enrolment, SignIn, enrolment_message};
use actix_web::{HttpResponse, post, web};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64_URL;
use garde::Validate;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use rand::RngCore;
use scheduler::fleet::key;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::cars::TOKEN_S;
use crate::app::{App, AppState};
use crate::auth::Owner;
use crate::body::Body;
use crate::problem::{Code, Problem, ProblemBody, Result};

/// How long a code can be used, microseconds.
const CODE_US: i64 = 30 * 60 * 1_000_000;
/// The longest life of an assertion, and how far ahead of ours its clock may be, seconds.
const ASSERTION_S: i64 = 60;
const AHEAD_S: i64 = 30;
/// The fastest that a car may move blobs, bytes a second.
const BYTES_PER_S: u64 = 32 << 20;

/// A code to enrol a car with.
#[derive(Serialize, ToSchema)]
pub struct EnrolmentCode {
    /// Told once; only its SHA-256 is kept.
    #[schema(example = "7K3FQ-2M9XA-HB4TC-W6E5D")]
    code: String,
    #[schema(value_type = String, format = "date-time")]
    expires_at: Timestamp,
}

/// Ask for a code to enrol a car
///
/// The car makes a key, and shows that it has it, with this code: `driveway vehicle enrol`. It can be used once, within half an hour. A new code voids an unused one; once it is used, the car's earlier key or token is void.
#[utoipa::path(tag = "vehicles", security(("bearer" = [])),
    params(("id" = String, Path, description = "The car.")),
    responses((status = 201, description = "The code.", body = EnrolmentCode)))]
#[post("/v1/vehicles/{id}/enrolment")]
pub async fn start_enrolment(
    app: App,
    owner: Owner,
    id: web::Path<VehicleId>,
) -> Result<HttpResponse> {
    let party = owner.party;
    let code = new_code();
    let hash: [u8; 32] = Sha256::digest(&code).into();
    let expires_at = app.store.now().plus_us(CODE_US);
    app.write(move |tx| Ok(key::give_code(tx, party, *id, hash, expires_at)?)).await?;
    Ok(HttpResponse::Created().json(EnrolmentCode { code, expires_at }))
}

/// 100 random bits in letters that are not mistaken for each other.
pub(super) fn new_code() -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let mut random = [0; 20];
    rand::rng().fill_bytes(&mut random);
    let letter = |byte: &u8| char::from(LETTERS[usize::from(byte % 32)]);
    let groups: Vec<String> =
        random.chunks(5).map(|group| group.iter().map(letter).collect()).collect();
    groups.join("-")
}

/// A body of [`::vehicle::road`].
#[derive(Deserialize)]
#[serde(transparent)]
pub struct Plain<T>(T);

impl<T> Validate for Plain<T> {
    type Context = ();
    fn validate_into(&self, _: &(), _: &mut dyn FnMut() -> garde::Path, _: &mut garde::Report) {}
}

/// Enrol a car
///
/// Sent by the car. `proof` is the Ed25519 signature, by the private half of `public_key`, of the bytes `driveway enrolment`, 0, the code, 0, the public key. Bytes are in base64url.
#[utoipa::path(tag = "cars",
    request_body(content = Object, example = json!({
        "code": "7K3FQ-2M9XA-HB4TC-W6E5D", "public_key": "pIqG...", "proof": "9dFv..."
    })),
    responses(
        (status = 200, description = "The car has its key.", body = Object,
            example = json!({ "vehicle": "vehicle_01kayz3v8ne7m9xqk2y4t6w8b0" })),
        (status = 401, description = "`code_invalid` or `proof_invalid`", body = ProblemBody,
            content_type = "application/problem+json"),
    ))]
#[post("/v1/vehicles/enrol")]
pub async fn enrol(app: App, body: Body<Plain<Enrolment>>) -> Result<HttpResponse> {
    let Enrolment { code, public_key, proof } = body.value.0;
    let invalid = || Problem::new(Code::ProofInvalid);
    let public = BASE64_URL.decode(public_key).map_err(|_| invalid())?;
    let proof = BASE64_URL.decode(proof).map_err(|_| invalid())?;
    let message = enrolment_message(&code, &public);
    UnparsedPublicKey::new(&ED25519, &public).verify(&message, &proof).map_err(|_| invalid())?;
    let key_id = Sha256::digest(&public).into();
    let mut no_token = [0; 32];
    rand::rng().fill_bytes(&mut no_token);
    let code_hash = Sha256::digest(&code).into();
    let enrol = app.write(move |tx| Ok(key::enrol_key(tx, code_hash, &public, key_id, no_token)?));
    let vehicle = enrol.await?.ok_or_else(|| Problem::new(Code::CodeInvalid))?;
    Ok(HttpResponse::Ok().json(serde_json::json!({ "vehicle": vehicle })))
}

#[derive(Deserialize)]
struct Assertion {
    assertion: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    jti: String,
    iat: i64,
    exp: i64,
}

/// Sign a car in
///
/// With a `private_key_jwt` (RFC 7523): EdDSA, `typ` `car+jwt`; `kid`, `iss` and `sub` the SHA-256 of the car's public key in hexadecimal; `aud` `driveway-cars`; `jti` of 8 to 64 characters that was not used before; `iat` now, and `exp` a minute later at most. A car whose clock is wrong is told `now_ms`, milliseconds of Unix time: it signs again by that.
#[utoipa::path(operation_id = "sign_in_vehicle", tag = "cars",
    request_body(content = Object, example = json!({ "assertion": "eyJhbGciOiJFZERTQSJ9..." })),
    responses(
        (status = 200, description = "A token for heartbeats and blobs.", body = Object,
            example = json!({
                "vehicle": "vehicle_01kayz3v8ne7m9xqk2y4t6w8b0", "token": "drive1.AZr...",
                "expires_in_s": 900, "bytes_per_s": 33554432
            })),
        (status = 401, description = "`assertion_invalid`, `assertion_replayed` or `clock_wrong`",
            body = ProblemBody, content_type = "application/problem+json"),
    ))]
#[post("/v1/vehicles/token")]
pub async fn sign_in(app: App, body: Body<Plain<Assertion>>) -> Result<HttpResponse> {
    let state = app.clone();
    let assertion = body.value.0.assertion;
    let signed_in = web::block(move || take(&state, &assertion)).await??;
    Ok(HttpResponse::Ok().json(signed_in))
}

fn take(app: &AppState, assertion: &str) -> Result<SignIn> {
    let invalid = || Problem::new(Code::AssertionInvalid);
    let header = decode_header(assertion).map_err(|_| invalid())?;
    let typed = header.typ.is_some_and(|typ| typ.eq_ignore_ascii_case(ASSERTION_TYPE));
    let kid = header.kid.filter(|_| typed).ok_or_else(invalid)?;
    let key_id: [u8; 32] =
        hex::decode(&kid).ok().and_then(|id| id.try_into().ok()).ok_or_else(invalid)?;
    let found = app.store.read(|tx| key::find_key(tx, &key_id))?;
    let (vehicle, public) = found.ok_or_else(invalid)?;

    let mut rules = Validation::new(Algorithm::EdDSA);
    rules.set_audience(&[AUDIENCE]);
    rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    rules.validate_exp = false;
    let by = DecodingKey::from_ed_der(&public);
    let claims = decode::<Claims>(assertion, &by, &rules).map_err(|_| invalid())?.claims;
    let lives = claims.exp.checked_sub(claims.iat).ok_or_else(invalid)?;
    let named = claims.iss == kid && claims.sub == kid && (8..=64).contains(&claims.jti.len());
    if !named || !(1..=ASSERTION_S).contains(&lives) || claims.jti.contains('\0') {
        return Err(invalid());
    }
    let now = app.store.now();
    let now_s = now.0 / 1_000_000;
    if claims.iat > now_s + AHEAD_S || claims.exp <= now_s {
        return Err(Problem::new(Code::ClockWrong).now_ms(now.0 / 1_000));
    }
    let expires_at = Timestamp(claims.exp.saturating_mul(1_000_000));
    let taken = app.store.write(|tx| key::take_assertion(tx, &key_id, &claims.jti, expires_at));
    let fresh = match taken {
        Err(scheduler::Error::Store(error)) if error.is_unique_violation() => false,
        taken => taken?,
    };
    if !fresh {
        return Err(Problem::new(Code::AssertionReplayed));
    }
    Ok(SignIn {
        vehicle: vehicle.to_string(),
        token: app.cars.issue(vehicle, &key_id, now),
        expires_in_s: u32::try_from(TOKEN_S).unwrap_or(u32::MAX),
        bytes_per_s: BYTES_PER_S,
    })
}
