//! Holds: money kept back in an account until it is captured or released.

pub(crate) mod store;

use ::store::{AccountId, Amount, HoldId, Timestamp, Tx};

use crate::account::store::corrupt;
use crate::posting::fingerprint::{Encoder, Fingerprint};
use crate::posting::store::{load_accounts, lock_balances, store_balances};
use crate::posting::{self, Command, NewTransaction, Posted, check_key, fold};
use crate::{Error, Result};
use store::Event;

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
    let fingerprint = Encoder::new("hold")
        .id(new.account)
        .amount(new.amount)
        .text(&new.subject)
        .moment(new.expires_at)
        .end();
    if let Some(first) = find_replayed(tx, new, &fingerprint)? {
        return Ok(first);
    }
    match place_new(tx, new, &fingerprint) {
        Ok(Some(id)) => Ok(Placed { id, replayed: false }),
        Ok(None) => {
            find_replayed(tx, new, &fingerprint)?.ok_or_else(|| corrupt("a key that is there"))
        }
        Err(refusal) if refusal.is_refusal() => {
            find_replayed(tx, new, &fingerprint)?.ok_or(refusal)
        }
        Err(fault) => Err(fault),
    }
}

/// The first answer to a command whose key is known.
fn find_replayed(
    tx: &mut Tx<'_>,
    new: &NewHold,
    fingerprint: &Fingerprint,
) -> Result<Option<Placed>> {
    let Some((id, stored)) = store::find(tx.conn, &new.key)? else {
        return Ok(None);
    };
    if stored == fingerprint.as_bytes() {
        return Ok(Some(Placed { id, replayed: true }));
    }
    let first = hold(tx, id)?;
    let fields = [
        ("account", new.account != first.account),
        ("amount", new.amount != first.amount),
        ("subject", new.subject != first.subject),
        ("expires_at", new.expires_at != store::expires_at(tx.conn, id)?),
    ];
    let differs = fields.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field);
    Err(Error::KeyReused { key: new.key.clone(), differs: differs.collect() })
}

/// `None` if another command took the key meanwhile; nothing is written then.
fn place_new(tx: &mut Tx<'_>, new: &NewHold, fingerprint: &Fingerprint) -> Result<Option<HoldId>> {
    check_key(&new.key)?;
    if !new.amount.is_positive() {
        return Err(Error::NotPositive);
    }
    let accounts = load_accounts(tx.conn, &[new.account])?;
    if accounts.is_empty() {
        return Err(Error::UnknownAccount(new.account));
    }
    let mut states = lock_balances(tx.conn, &accounts)?;
    fold::fold_hold(&mut states, new.account, new.amount)?;
    let id = tx.id();
    if !store::insert(tx, id, new, fingerprint)? {
        return Ok(None);
    }
    store_balances(tx.conn, &states)?;
    Ok(Some(id))
}

/// Posts a transaction of which the leg that takes from the hold's account is taken from the hold.
/// The hold ends when nothing is left of it. An expired hold can be captured until
/// [`expire_holds`] has released it.
///
/// # Errors
/// Those of [`crate::post`], and [`Error::UnknownHold`], [`Error::NothingCaptured`],
/// [`Error::HoldEnded`], [`Error::OverCapture`].
pub fn capture_hold(tx: &mut Tx<'_>, hold: HoldId, new: &NewTransaction) -> Result<Posted> {
    let fingerprint = posting::encode(Encoder::new("capture").id(hold), new).end();
    posting::execute(tx, &Command { new, hold: Some(hold), fingerprint, names_moment: true })
}

/// Releases what is left of a hold, ends it and answers that amount; zero if it has ended already.
///
/// # Errors
/// [`Error::UnknownHold`].
pub fn release_hold(tx: &mut Tx<'_>, hold: HoldId) -> Result<Amount> {
    let account = self::hold(tx, hold)?.account;
    let released = release(tx, &[(hold, account)], Event::Released)?;
    Ok(released.first().map_or(Amount::ZERO, |(_, amount)| *amount))
}

/// Releases up to `limit` open holds that have expired by now and answers which.
///
/// # Errors
/// Faults of storage only.
pub fn expire_holds(tx: &mut Tx<'_>, limit: usize) -> Result<Vec<HoldId>> {
    let expired = store::find_expired(tx.conn, tx.now, limit)?;
    let released = release(tx, &expired, Event::Expired)?;
    Ok(released.into_iter().map(|(hold, _)| hold).collect())
}

/// Locks the accounts of these holds, then releases those that are still open.
fn release(
    tx: &mut Tx<'_>,
    holds: &[(HoldId, AccountId)],
    event: Event,
) -> Result<Vec<(HoldId, Amount)>> {
    let ids: Vec<_> = holds.iter().map(|(_, account)| *account).collect();
    let accounts = load_accounts(tx.conn, &ids)?;
    let mut states = lock_balances(tx.conn, &accounts)?;
    let mut released = Vec::new();
    for &(id, _) in holds {
        let before = hold(tx, id)?;
        if !before.open {
            continue;
        }
        let (amount, after) = fold::fold_release(&mut states, &before)?;
        store::store_change(tx, id, &after, event, amount)?;
        released.push((id, amount));
    }
    if !released.is_empty() {
        store_balances(tx.conn, &states)?;
    }
    Ok(released)
}

/// A hold as it stands.
///
/// # Errors
/// [`Error::UnknownHold`].
pub fn hold(tx: &mut Tx<'_>, hold: HoldId) -> Result<HoldState> {
    store::load(tx.conn, hold)?.ok_or(Error::UnknownHold(hold))
}
