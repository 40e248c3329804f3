//! Access tokens: JWT signed with Ed25519, by RFC 9068 of type `at+jwt`.
//!
//! The key lives in the database, so that every node on it accepts every node's tokens.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode,
};
use serde::{Deserialize, Serialize};
use store::{PartyId, Store, Timestamp};

use super::model::Role;
use crate::keys::{self, Purpose};
use crate::problem::{Code, Problem, Result};

const TYPE: &str = "at+jwt";
const ISSUER: &str = "driveway";
const AUDIENCE: &str = "driveway-api";

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: PartyId,
    role: Role,
    iat: i64,
    exp: i64,
}

/// Signs and checks tokens.
pub struct TokenKey {
    id: String,
    signing: EncodingKey,
    verifying: DecodingKey,
    /// Seconds a token lives.
    pub lifetime_s: i64,
}

impl TokenKey {
    /// The newest key of the database; the first node to ask makes it.
    pub fn load(store: &Store, lifetime_s: i64) -> Result<Self> {
        let (id, private) = keys::newest(store, Purpose::Tokens)?;
        Self::new(id, &private, lifetime_s)
    }

    fn new(id: String, private: &[u8], lifetime_s: i64) -> Result<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(private).map_err(Problem::internal)?;
        let verifying = DecodingKey::from_ed_der(pair.public_key().as_ref());
        Ok(Self { id, signing: EncodingKey::from_ed_der(private), verifying, lifetime_s })
    }

    pub fn issue(&self, party: PartyId, role: Role, now: Timestamp) -> Result<String> {
        let iat = now.0 / 1_000_000;
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(self.id.clone());
        let (iss, aud) = (ISSUER.to_owned(), AUDIENCE.to_owned());
        let claims = Claims { iss, aud, sub: party, role, iat, exp: iat + self.lifetime_s };
        encode(&header, &claims, &self.signing).map_err(Problem::internal)
    }

    /// Who the token speaks for. Expiry is checked here, with the store's clock.
    pub fn check(&self, token: &str, now: Timestamp) -> Result<(PartyId, Role)> {
        let invalid = || Problem::new(Code::TokenInvalid);
        let header = decode_header(token).map_err(|_| invalid())?;
        let typed = header.typ.is_some_and(|typ| typ.eq_ignore_ascii_case(TYPE));
        if !typed || header.alg != Algorithm::EdDSA || header.kid.as_deref() != Some(&self.id) {
            return Err(invalid());
        }
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&[AUDIENCE]);
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        rules.validate_exp = false;
        let claims =
            decode::<Claims>(token, &self.verifying, &rules).map_err(|_| invalid())?.claims;
        let now = now.0 / 1_000_000;
        if claims.iat > now + 60 {
            return Err(invalid());
        }
        if claims.exp <= now {
            return Err(Problem::new(Code::TokenExpired));
        }
        Ok((claims.sub, claims.role))
    }
}
