//! Holds: money kept back in an account until it is captured or released.

pub(crate) mod store;

use ::store::{AccountId, Amount, HoldId, Timestamp, Tx};

use crate::posting::{NewTransaction, Posted};
use crate::{Error, Result};

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
/// [`Error::KeyReused`], [`Error::BadKey`], [`Error::NotPositive`], [`Error::UnknownAccount`],
/// [`Error::Overflow`], [`Error::InsufficientFunds`].
pub fn place_hold(tx: &mut Tx<'_>, new: &NewHold) -> Result<Placed> {
    let _ = (tx, new);
    Err(Error::NoLegs)
}

/// Posts a transaction of which the leg that takes from the hold's account is taken from the hold.
/// The hold ends when nothing is left of it.
///
/// # Errors
/// Those of [`crate::post`], and [`Error::UnknownHold`], [`Error::NothingCaptured`],
/// [`Error::HoldEnded`], [`Error::OverCapture`].
pub fn capture_hold(tx: &mut Tx<'_>, hold: HoldId, new: &NewTransaction) -> Result<Posted> {
    let _ = (tx, new);
    Err(Error::UnknownHold(hold))
}

/// Releases what is left of a hold, ends it and answers that amount; zero if it has ended already.
///
/// # Errors
/// [`Error::UnknownHold`].
pub fn release_hold(tx: &mut Tx<'_>, hold: HoldId) -> Result<Amount> {
    let _ = tx;
    Err(Error::UnknownHold(hold))
}

/// Releases up to `limit` open holds that have expired by now and answers which.
///
/// # Errors
/// Faults of storage only.
pub fn expire_holds(tx: &mut Tx<'_>, limit: usize) -> Result<Vec<HoldId>> {
    let _ = (tx, limit);
    Ok(Vec::new())
}

/// A hold as it stands.
///
/// # Errors
/// [`Error::UnknownHold`].
pub fn hold(tx: &mut Tx<'_>, hold: HoldId) -> Result<HoldState> {
    let _ = tx;
    Err(Error::UnknownHold(hold))
}
