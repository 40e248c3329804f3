//! What people may ask of us about their own data: a copy, and that it is erased.
//!
//! Each is a row, done in the background within minutes by whichever process comes first.

mod archive;
mod held;
mod store;

use ::store::seal::Seal;
use ::store::{PartyId, RequestId, Store, Timestamp, Tx};
use actix_web::{HttpResponse, get, post, web};
use garde::Validate;
use scheduler::fleet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::auth::Owner;
use crate::body::Body;
use crate::problem::{Code, Problem, ProblemBody, Result};
pub use held::{HELD, Held, Then};

pub fn configure(routes: &mut ServiceConfig<'_>) {
    routes.service(ask_copy).service(show).service(fetch_copy).service(ask_erasure);
}

/// How long a copy can be fetched, seconds.
const KEPT_S: i64 = 7 * 24 * 3_600;
/// What a copy is sealed as.
const COPY: &str = "copy of personal data";

/// Something that you asked for.
#[derive(Serialize, ToSchema)]
struct PersonalRequest {
    #[schema(value_type = String, example = "request_01kayz3v8ne7m9xqk2y4t6w8b0")]
    id: RequestId,
    /// `export` or `erasure`.
    kind: String,
    /// `pending`, `done` or `expired` (a copy that is deleted again).
    state: String,
    #[schema(value_type = String, format = "date-time")]
    asked_at: Timestamp,
    #[schema(value_type = Option<String>, format = "date-time")]
    done_at: Option<Timestamp>,
    /// Until when a copy can be fetched.
    #[schema(value_type = Option<String>, format = "date-time")]
    expires_at: Option<Timestamp>,
}

impl From<store::Request> for PersonalRequest {
    fn from(row: store::Request) -> Self {
        let store::Request { id, kind, state, asked_at, done_at, expires_at, .. } = row;
        Self { id, kind, state, asked_at, done_at, expires_at }
    }
}

/// Ask for a copy of your data
///
/// Made within minutes, kept encrypted, and deleted after seven days. Asked again while one is being made, that one is answered.
#[utoipa::path(operation_id = "ask_for_copy", tag = "personal data", security(("bearer" = [])),
    responses((status = 202, description = "It is being made.", body = PersonalRequest)))]
#[post("/v1/personal-data/exports")]
async fn ask_copy(app: App, owner: Owner) -> Result<HttpResponse> {
    let party = owner.party;
    let request = app.write(move |tx| store::ask(tx, party, "export")).await?;
    Ok(HttpResponse::Accepted().json(PersonalRequest::from(request)))
}

/// Show what became of a request about your data
#[utoipa::path(operation_id = "show_personal_request", tag = "personal data",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "The request.")),
    responses((status = 200, description = "The request.", body = PersonalRequest)))]
#[get("/v1/personal-data/requests/{id}")]
async fn show(app: App, owner: Owner, id: web::Path<RequestId>) -> Result<HttpResponse> {
    let party = owner.party;
    let request = app.read(move |tx| store::find(tx, party, *id)).await?;
    Ok(HttpResponse::Ok().json(PersonalRequest::from(request)))
}

/// Fetch a copy of your data
///
/// A tar of JSON and CSV, with a `README.txt`.
#[utoipa::path(operation_id = "fetch_copy", tag = "personal data", security(("bearer" = [])),
    params(("id" = String, Path, description = "The request.")),
    responses(
        (status = 200, description = "The copy.", body = Vec<u8>, content_type = "application/x-tar"),
        (status = 409, description = "`wrong_state`: it is not made yet, or deleted again.",
            body = ProblemBody, content_type = "application/problem+json"),
    ))]
#[get("/v1/personal-data/exports/{id}")]
async fn fetch_copy(app: App, owner: Owner, id: web::Path<RequestId>) -> Result<HttpResponse> {
    let (party, seal) = (owner.party, app.seal.clone());
    let copy = app.read(move |tx| {
        let sealed = store::sealed(tx, party, *id)?;
        let sealed = sealed.ok_or_else(|| Problem::new(Code::WrongState))?;
        Ok(seal.open(COPY, &sealed)?)
    });
    let name = ("Content-Disposition", "attachment; filename=\"driveway-data.tar\"");
    Ok(HttpResponse::Ok().content_type("application/x-tar").insert_header(name).body(copy.await?))
}

/// Whether you mean it.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct Erasure {
    /// Your e-mail address, written out: what is erased does not come back.
    #[garde(length(max = 254))]
    #[schema(example = "owner@example.org")]
    confirm: String,
    /// You give up what is owed to you and was not paid out. Else the erasure is refused while a
    /// cent or more is.
    #[serde(default)]
    #[garde(skip)]
    give_up_balance: bool,
}

/// Have your data erased
///
/// All cars stop and leave, as when you retire them; when the last lease has ended, your profile, mail, bank account, the cars' numbers, keys, habits and telemetry are deleted. The books stay for as long as the law asks, and name you by a number that leads to nobody. You cannot sign in any more.
#[utoipa::path(operation_id = "ask_for_erasure", tag = "personal data", security(("bearer" = [])),
    request_body = Erasure, responses(
        (status = 202, description = "It is being done.", body = PersonalRequest),
        (status = 409, description = "`wrong_state`: money is owed to you, or a payout waits.",
            body = ProblemBody, content_type = "application/problem+json"),
    ))]
#[post("/v1/personal-data/erasure")]
async fn ask_erasure(app: App, owner: Owner, body: Body<Erasure>) -> Result<HttpResponse> {
    let party = owner.party;
    let Erasure { confirm, give_up_balance } = body.value;
    let (request, cars) = app
        .write(move |tx| {
            check_erasure(tx, party, &confirm, give_up_balance)?;
            let request = store::ask(tx, party, "erasure")?;
            store::lock_out(tx, party)?;
            Ok((request, fleet::leave_all(tx, party)?))
        })
        .await?;
    cars.into_iter().for_each(|car| app.desk.forget(car));
    Ok(HttpResponse::Accepted().json(PersonalRequest::from(request)))
}

fn check_erasure(tx: &mut Tx<'_>, party: PartyId, confirm: &str, give_up: bool) -> Result<()> {
    let email = crate::identity::store::get(tx, party)?.email;
    if email != crate::identity::store::normalise(confirm) {
        return Err(Problem::new(Code::InvalidBody).at("/confirm", "not your e-mail address"));
    }
    let refuse = |why: String| Err(Problem::new(Code::WrongState).detail(why));
    if store::payouts_wait(tx, party)? {
        return refuse("A payout waits for approval: have it paid first.".to_owned());
    }
    match store::owed(tx, party)?.first().filter(|_| !give_up) {
        Some((asset, amount)) => refuse(format!(
            "{amount} {asset} is owed to you: have it paid out first, or give it up with `give_up_balance`."
        )),
        None => Ok(()),
    }
}

/// Requests of one look.
const BATCH: i64 = 20;

/// Does what waits, as far as it can be done now, and deletes copies that are too old.
pub fn step(state: &Store, seal: &Seal) -> Result<()> {
    for request in state.read(|tx| store::pending(tx, BATCH))? {
        match request.kind.as_str() {
            "export" => make_copy(state, seal, &request)?,
            _ => erase(state, &request)?,
        }
    }
    if state.read(store::any_expired)? {
        state.write(store::expire)?;
    }
    Ok(())
}

fn make_copy(state: &Store, seal: &Seal, request: &store::Request) -> Result<()> {
    let copy = state.read(|tx| archive::archive(tx, seal, request.party_id))?;
    let sealed = seal.seal(COPY, &copy)?;
    state.write(|tx| {
        let until = tx.now.plus_s(KEPT_S);
        store::finish(tx, request.id, Some((sealed, until))).map(drop)
    })
}

/// When the last car has left.
fn erase(state: &Store, request: &store::Request) -> Result<()> {
    let party = request.party_id;
    state.write(|tx| {
        // A car that came while it waited leaves too.
        if !fleet::leave_all(tx, party)?.is_empty() || !store::finish(tx, request.id, None)? {
            return Ok(());
        }
        store::drop_copies(tx, party)?;
        HELD.iter().try_for_each(|held| held.erase(tx, party))
    })
}
