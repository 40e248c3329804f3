//! Who asks, by the type in a handler's signature: a handler that names `Customer` runs for
//! customers only. What belongs to another tenant is not found, which the noun's queries see to.

use std::future::{Ready, ready};
use std::ops::Deref;

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpRequest, web};
use scheduler::fleet;
use sha2::{Digest, Sha256};
use store::{PartyId, Timestamp, VehicleId};

use crate::app::AppState;
use crate::audit::{Actor, Who};
use crate::identity::model::Role;
use crate::origin::Origin;
use crate::problem::{Code, Problem, Result};
use crate::vehicle::Cars;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Principal {
    pub party: PartyId,
    pub role: Role,
    pub origin: Origin,
}

impl Principal {
    /// Who acts, for the log of privileged acts.
    pub fn actor(&self) -> Actor {
        Actor { who: Who::Party(self.party), origin: self.origin }
    }
}

/// The token after `Bearer`.
pub fn bearer(request: &HttpRequest) -> Result<&str> {
    let header = request.headers().get(AUTHORIZATION);
    let header = header.ok_or_else(|| Problem::new(Code::TokenMissing))?;
    let text = header.to_str().map_err(|_| Problem::new(Code::TokenInvalid))?;
    let (scheme, token) = text.split_once(' ').unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Problem::new(Code::TokenMissing));
    }
    Ok(token.trim())
}

/// The application's state, which the server always gives.
pub fn state(request: &HttpRequest) -> Result<&AppState> {
    let app = request.app_data::<web::Data<AppState>>();
    app.map(|app| app.as_ref()).ok_or_else(|| Problem::internal("no application state"))
}

fn principal(request: &HttpRequest, roles: &[Role]) -> Result<Principal> {
    let app = state(request)?;
    let (party, role) = app.tokens.check(bearer(request)?, app.store.now())?;
    if !roles.contains(&role) {
        return Err(Problem::new(Code::WrongRole));
    }
    Ok(Principal { party, role, origin: Origin::of(request) })
}

macro_rules! roles {
    ($($(#[$doc:meta])* $name:ident: $($role:ident)|+;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name(pub Principal);

        impl Deref for $name {
            type Target = Principal;
            fn deref(&self) -> &Principal {
                &self.0
            }
        }

        impl FromRequest for $name {
            type Error = Problem;
            type Future = Ready<Result<Self>>;

            fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                ready(principal(request, &[$(Role::$role),+]).map(Self))
            }
        }
    )*};
}

roles! {
    Customer: Customer;
    Owner: Owner;
    Finance: Finance;
    Operator: Operator;
    /// An owner, or finance, who sees every owner's.
    OwnerOrFinance: Owner | Finance;
    /// Who reads the whole book.
    Books: Finance | Operator;
    AnyUser: Customer | Owner | Finance | Operator;
}

/// A car, by the token that it sent. Whether that is good is asked with the work itself, which
/// may wait for the database.
#[derive(Clone, Debug)]
pub struct Car(String);

impl Car {
    /// Who it is.
    ///
    /// # Errors
    /// `token_invalid`, `token_expired`.
    pub fn identify(&self, app: &AppState) -> Result<VehicleId> {
        match Cars::is_token(&self.0) {
            true => Ok(app.cars.check(&app.store, &self.0)?.vehicle),
            false => self.by_hash(app),
        }
    }

    /// Who it is, and when this process last heard of it, if this heartbeat of its was not heard
    /// before. A car without a key of its own numbers none.
    ///
    /// # Errors
    /// As [`Self::identify`], and `stale_heartbeat`.
    pub fn hear(&self, app: &AppState, number: u64) -> Result<(VehicleId, Option<Timestamp>)> {
        if !Cars::is_token(&self.0) {
            return Ok((self.by_hash(app)?, Some(app.store.now())));
        }
        let car = app.cars.check(&app.store, &self.0)?;
        let last = app.cars.hear(&car, number, app.store.now())?;
        Ok((car.vehicle, last))
    }

    fn by_hash(&self, app: &AppState) -> Result<VehicleId> {
        let hash = Sha256::digest(&self.0).into();
        let id = app.store.read(|tx| fleet::authenticate(tx, &hash))?;
        id.ok_or_else(|| Problem::new(Code::TokenInvalid))
    }
}

impl FromRequest for Car {
    type Error = Problem;
    type Future = Ready<Result<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(bearer(request).map(|token| Self(token.to_owned())))
    }
}
