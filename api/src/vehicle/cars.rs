//! Cars that are signed in. What they say often costs no signature and no look into the database: a
//! token with a MAC tells the car, its key and its session; a number tells one heartbeat from
//! another.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64_URL;
use scheduler::fleet::key;
use store::{Store, Timestamp, VehicleId};
use vehicle::protocol::{Digest, FileKey, HeartbeatReply};

use super::uploads::Uploads;
use crate::keys::{self, Purpose};
use crate::problem::{Code, Problem, Result};

/// Seconds that a token lives.
pub const TOKEN_S: i64 = 15 * 60;
/// How old the knowledge of replaced keys may be, microseconds.
const FRESH_US: i64 = 1_000_000;
/// Tokens of a key that was replaced longer ago have expired, by nodes whose clocks are a minute
/// apart.
const ALIVE_US: i64 = (TOKEN_S + 60) * 1_000_000;
/// How long after a ban's moment a car is told of it again, microseconds: until then it may not have
/// been committed, or read here.
const LATE_US: i64 = 10_000_000;
/// The latest bans that cars are told of. No order holds a banned program, so its key is told no more.
const MAX_BANNED: i64 = 256;
const PREFIX: &str = "drive1.";
/// Vehicle, first half of the key's id, session, expiry.
const CLAIMS: usize = 16 + 16 + 8 + 8;
const MAC: usize = 32;

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedIn {
    pub vehicle: VehicleId,
    key: [u8; 16],
    /// Grows from one session to the next: the moment it began.
    session: i64,
}

/// Signs tokens and checks them. The key is that of the database, so every node's tokens are taken
/// by every node.
pub struct Cars {
    mac: hmac::Key,
    /// What programs' keys are made with.
    programs: hmac::Key,
    /// The last heartbeat of each car. Lost with the process, which takes the next one that comes.
    heard: Vec<Mutex<HashMap<VehicleId, Heard>>>,
    /// What cars were sending when they were cut off.
    pub uploads: Uploads,
    replaced: Mutex<Replaced>,
    /// Held by who asks for replaced keys.
    asking: Mutex<()>,
}

/// A heartbeat that was taken.
#[derive(Clone, Copy)]
struct Heard {
    session: i64,
    number: u64,
    at: Timestamp,
}

/// The keys of cars that were enrolled while tokens of earlier keys can be alive, and the programs
/// that were banned last.
#[derive(Default)]
struct Replaced {
    asked_at: Option<Timestamp>,
    keys: HashMap<VehicleId, [u8; 16]>,
    banned: Vec<(Digest, Timestamp)>,
}

impl Cars {
    pub fn load(store: &Store) -> Result<Self> {
        let (_, private) = keys::newest(store, Purpose::Tokens)?;
        // A key of its own, derived: what is signed here can stand for nothing else.
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &private);
        let derive = |purpose: &[u8]| {
            hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&secret, purpose).as_ref())
        };
        Ok(Self {
            mac: derive(b"cars' tokens"),
            programs: derive(b"programs in cars"),
            uploads: Uploads::default(),
            heard: (0..64).map(|_| Mutex::default()).collect(),
            replaced: Mutex::default(),
            asking: Mutex::default(),
        })
    }

    /// A token for a car with this key.
    pub fn issue(&self, vehicle: VehicleId, key_id: &[u8; 32], now: Timestamp) -> String {
        let expires_s = now.0 / 1_000_000 + TOKEN_S;
        let mut token = Vec::with_capacity(CLAIMS + MAC);
        token.extend_from_slice(vehicle.as_bytes());
        token.extend_from_slice(&half(key_id));
        token.extend_from_slice(&now.0.to_be_bytes());
        token.extend_from_slice(&expires_s.to_be_bytes());
        token.extend_from_slice(hmac::sign(&self.mac, &token).as_ref());
        format!("{PREFIX}{}", BASE64_URL.encode(token))
    }

    /// Whether this is such a token at all.
    pub fn is_token(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// Whom the token speaks for. Blocks for a look into the database once a second, one caller of
    /// all: the others go by what was known a moment before.
    ///
    /// # Errors
    /// `token_invalid`: forged, or the car has another key by now; `token_expired`.
    pub fn check(&self, store: &Store, token: &str) -> Result<SignedIn> {
        let now = store.now();
        let invalid = || Problem::new(Code::TokenInvalid);
        let signed_in = self.open(token, now)?;
        self.freshen(store, now)?;
        match lock(&self.replaced).keys.get(&signed_in.vehicle) {
            Some(key) if *key != signed_in.key => Err(invalid()),
            _ => Ok(signed_in),
        }
    }

    fn open(&self, token: &str, now: Timestamp) -> Result<SignedIn> {
        let invalid = || Problem::new(Code::TokenInvalid);
        let text = token.strip_prefix(PREFIX).ok_or_else(invalid)?;
        let bytes = BASE64_URL.decode(text).map_err(|_| invalid())?;
        let bytes: [u8; CLAIMS + MAC] = bytes.try_into().map_err(|_| invalid())?;
        let (claims, mac) = bytes.split_at(CLAIMS);
        hmac::verify(&self.mac, claims, mac).map_err(|_| invalid())?;
        let part = |from: usize| <[u8; 8]>::try_from(&claims[from..from + 8]).unwrap_or_default();
        let id = <[u8; 16]>::try_from(&claims[..16]).unwrap_or_default();
        let key = <[u8; 16]>::try_from(&claims[16..32]).unwrap_or_default();
        if i64::from_be_bytes(part(40)) <= now.0 / 1_000_000 {
            return Err(Problem::new(Code::TokenExpired));
        }
        let session = i64::from_be_bytes(part(32));
        Ok(SignedIn { vehicle: VehicleId::from_bytes(id), key, session })
    }

    /// Takes a heartbeat's number: from 1, greater than the last one of its session, and of no session
    /// that a later one has followed.
    ///
    /// Answers when this process heard the one before.
    ///
    /// # Errors
    /// `stale_heartbeat`.
    pub fn hear(&self, car: &SignedIn, number: u64, at: Timestamp) -> Result<Option<Timestamp>> {
        let place = usize::from(car.vehicle.as_bytes()[15]) % self.heard.len();
        let mut heard = lock(&self.heard[place]);
        let last = heard.get(&car.vehicle).copied();
        let old = last.is_some_and(|last| (car.session, number) <= (last.session, last.number));
        if number == 0 || old {
            return Err(Problem::new(Code::StaleHeartbeat));
        }
        heard.insert(car.vehicle, Heard { session: car.session, number, at });
        Ok(last.map(|last| last.at))
    }

    /// What an answer holds for a car on the road alone: the key of the program in its cache, and
    /// what was banned since its last heartbeat.
    pub fn complete(&self, mut reply: HeartbeatReply, last: Option<Timestamp>) -> HeartbeatReply {
        if let Some(order) = &mut reply.order {
            let key = hmac::sign(&self.programs, order.program.0.as_bytes());
            order.program_key = key.as_ref().try_into().ok().map(FileKey::new);
        }
        let since = last.map_or(Timestamp(0), |at| at.plus_us(-LATE_US));
        let replaced = lock(&self.replaced);
        let news = replaced.banned.iter().filter(|(_, at)| *at >= since);
        reply.forget = news.map(|(digest, _)| digest.clone()).collect();
        reply
    }

    fn freshen(&self, store: &Store, now: Timestamp) -> Result<()> {
        let asked_at = || lock(&self.replaced).asked_at;
        let is_fresh = |at: Option<Timestamp>| at.is_some_and(|at| now.since(at) < FRESH_US);
        let known = asked_at();
        if is_fresh(known) {
            return Ok(());
        }
        let _asks = match self.asking.try_lock() {
            Ok(asks) => asks,
            // Somebody asks; who comes before the first answer waits for it.
            Err(_) if known.is_some() => return Ok(()),
            Err(_) => lock(&self.asking),
        };
        if is_fresh(asked_at()) {
            return Ok(());
        }
        let (keys, banned) = store.read(|tx| {
            let keys = key::keys_since(tx, now.plus_us(-ALIVE_US))?;
            Ok::<_, scheduler::Error>((keys, scheduler::ban::latest_programs(tx, MAX_BANNED)?))
        })?;
        let banned = banned.into_iter().map(|(digest, at)| (Digest(digest), at)).collect();
        let named = |(id, key): (VehicleId, Vec<u8>)| Some((id, half(&key.try_into().ok()?)));
        let keys = keys.into_iter().filter_map(named).collect();
        *lock(&self.replaced) = Replaced { asked_at: Some(now), keys, banned };
        Ok(())
    }
}

fn half(key_id: &[u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&key_id[..16]);
    half
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
