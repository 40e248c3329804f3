//! Holds: money kept back in an account until it is captured or released.

use diesel::prelude::*;
use store::schema::hold;
use store::{AccountId, Amount, HoldId, Timestamp, TransactionId, Tx};

use crate::posting::{NewTransaction, Posted};
use crate::{Command, Error, Result, engine};

/// A hold to place. Its body is all of it but the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHold {
    /// Idempotency key, unique among holds.
    pub key: String,
    pub account: AccountId,
    /// Over zero, in micro-units of the account's asset.
    pub amount: Amount,
    /// TypeID of what it is for.
    pub subject: String,
    /// When [`expire_holds`] may release it; `None` is never.
    pub expires_at: Option<Timestamp>,
}

/// A hold in the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    pub id: HoldId,
    /// True if it was there already: the same key with the same body.
    pub replayed: bool,
}

/// A hold as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldState {
    pub account: AccountId,
    /// What was kept back when it was placed.
    pub amount: Amount,
    pub captured: Amount,
    pub released: Amount,
    /// False once all of it was captured or released.
    pub open: bool,
    pub subject: String,
    /// How much has happened to it: the number of its last event.
    pub events: i32,
}

/// What happened to a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Placed,
    Captured(TransactionId),
    Released,
    Expired,
}

impl Event {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Captured(_) => "captured",
            Self::Released => "released",
            Self::Expired => "expired",
        }
    }
}

impl HoldState {
    /// What is still kept back.
    pub fn remaining(&self) -> Amount {
        self.amount - self.captured - self.released
    }
}

/// Keeps an amount of an account back.
///
/// # Errors
/// [`Error::KeyReused`], [`Error::BadKey`], [`Error::BadText`], [`Error::NotPositive`],
/// [`Error::UnknownAccount`], [`Error::Overflow`], [`Error::InsufficientFunds`].
pub fn place_hold(tx: &mut Tx<'_>, new: &NewHold) -> Result<Placed> {
    engine::run_one(tx, &Command::hold(new.clone()))?.held()
}

/// Posts a transaction of which the leg that takes from the hold's account is taken from the hold.
/// The hold ends when nothing is left of it. An expired hold can be captured until
/// [`expire_holds`] has released it.
///
/// # Errors
/// Those of [`crate::post`], and [`Error::UnknownHold`], [`Error::NothingCaptured`],
/// [`Error::HoldEnded`], [`Error::OverCapture`].
pub fn capture_hold(tx: &mut Tx<'_>, hold: HoldId, new: &NewTransaction) -> Result<Posted> {
    engine::run_one(tx, &Command::capture(hold, new.clone()))?.posted()
}

/// Releases what is left of a hold, ends it and answers that amount; zero if it has ended already.
///
/// # Errors
/// [`Error::UnknownHold`].
pub fn release_hold(tx: &mut Tx<'_>, hold: HoldId) -> Result<Amount> {
    engine::run_one(tx, &Command::release(hold))?.released()
}

/// Releases up to `limit` open holds that have expired by now, the longest expired first, and
/// answers which. It is a part of each hold's history.
///
/// # Errors
/// Faults of storage only.
pub fn expire_holds(tx: &mut Tx<'_>, limit: usize) -> Result<Vec<HoldId>> {
    let expired: Vec<HoldId> = hold::table
        .filter(hold::open)
        .filter(hold::expires_at.le(tx.now))
        .order((hold::expires_at, hold::id))
        .select(hold::id)
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .load(tx.conn)?;
    let commands: Vec<Command> = expired.iter().map(|id| Command::expire(*id)).collect();
    let mut released = Vec::new();
    for (id, answer) in expired.into_iter().zip(engine::execute(tx, &commands)?) {
        // Another transaction may have ended it meanwhile.
        if answer?.released()?.is_positive() {
            released.push(id);
        }
    }
    Ok(released)
}

/// A hold as it stands.
///
/// # Errors
/// [`Error::UnknownHold`].
pub fn hold(tx: &mut Tx<'_>, hold: HoldId) -> Result<HoldState> {
    let mut found = engine::read::load_holds(tx.conn, &[hold].into())?;
    found.remove(&hold).ok_or(Error::UnknownHold(hold))
}
