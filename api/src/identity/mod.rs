//! Sign-up, log-in, and who am I.

pub mod model;
pub mod password;
pub mod store;
pub mod token;

use actix_web::{HttpResponse, get, post, web};
use utoipa_actix_web::service_config::ServiceConfig;

use self::model::{AccessToken, Login, Party, Role, SignUp};
use crate::app::App;
use crate::audit::{self, Actor};
use crate::auth::AnyUser;
use crate::body::Body;
use crate::problem::{Code, Problem, Result};

pub fn configure(routes: &mut ServiceConfig<'_>) {
    routes.service(sign_up).service(log_in).service(me);
}

/// Sign up
///
/// For customers and owners. A welcome mail follows.
#[utoipa::path(tag = "identity", request_body = SignUp, responses(
    (status = 201, description = "The new account.", body = Party),
    (status = 409, description = "`email_taken`", body = crate::problem::ProblemBody,
        content_type = "application/problem+json"),
))]
#[post("/v1/signup")]
async fn sign_up(app: App, body: Body<SignUp>) -> Result<HttpResponse> {
    let party = web::block(move || create_user(&app.store, body.value)).await??;
    Ok(HttpResponse::Created().json(party))
}

fn create_user(store: &::store::Store, request: SignUp) -> Result<Party> {
    let SignUp { email, password, name, role } = request;
    let hash = password::hash(&password)?;
    store.write(|tx| self::store::create(tx, &email, &name, role.into(), &hash))
}

/// A party of any role, made by whoever runs the server.
pub fn add_user(
    store: &::store::Store,
    email: &str,
    name: &str,
    role: Role,
    password: &str,
) -> Result<Party> {
    let hash = password::hash(password)?;
    store.write(|tx| {
        let party = self::store::create(tx, email, name, role, &hash)?;
        let after = serde_json::json!({ "role": role });
        let by = Actor::COMMAND_LINE;
        audit::record(tx, by, "user.created", party.id, serde_json::Value::Null, after)?;
        Ok(party)
    })
}

/// Log in
///
/// The token goes into `Authorization: Bearer TOKEN`.
#[utoipa::path(tag = "identity", request_body = Login, responses(
    (status = 200, description = "An access token.", body = AccessToken),
    (status = 401, description = "`wrong_credentials`", body = crate::problem::ProblemBody,
        content_type = "application/problem+json"),
))]
#[post("/v1/login")]
async fn log_in(app: App, body: Body<Login>) -> Result<HttpResponse> {
    let lifetime_s = app.tokens.lifetime_s;
    let token = web::block(move || {
        let Login { email, password } = body.value;
        let known = app.store.read(|tx| self::store::by_email(tx, &email))?;
        let hash = known.as_ref().map(|(_, _, hash)| hash.as_str());
        let right = password::verify(&password, hash);
        let party = known.filter(|_| right);
        let (id, role, _) = party.ok_or_else(|| Problem::new(Code::WrongCredentials))?;
        app.tokens.issue(id, role, app.store.now())
    });
    Ok(HttpResponse::Ok().json(AccessToken {
        access_token: token.await??,
        token_type: "Bearer",
        expires_in: lifetime_s,
    }))
}

/// Who am I
#[utoipa::path(tag = "identity", security(("bearer" = [])), responses(
    (status = 200, description = "The account of the token.", body = Party),
))]
#[get("/v1/me")]
async fn me(app: App, user: AnyUser) -> Result<HttpResponse> {
    let me = app.read(move |tx| self::store::get(tx, user.party)).await?;
    Ok(HttpResponse::Ok().json(me))
}

/// The party with this address.
pub fn find(store: &::store::Store, email: &str) -> Result<Option<::store::PartyId>> {
    let known = store.read(|tx| self::store::by_email(tx, email))?;
    Ok(known.map(|(id, ..)| id))
}
