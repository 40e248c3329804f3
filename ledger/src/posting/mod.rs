//! Transactions: what a caller posts, and posting it.
//!
//! # Phases
//! 1. The key: known with the same body, the first answer; known with another, a refusal.
//! 2. The shape of the legs, then their accounts (immutable rows, no lock), then the sums.
//! 3. Lock the balances in order of account id, and read the hold that is captured.
//! 4. Fold in Rust ([`fold`]): new balances and entries, or a refusal.
//! 5. Write transaction, entries, balances, hold.
//!
//! The key is looked up without a lock. Of two commands with one key at once, one waits for the
//! other, in phase 3 or at the key's unique index in phase 5, and then finds it: before a refusal
//! and after a lost insert the key is looked up again.

pub(crate) mod fingerprint;
pub(crate) mod fold;
pub(crate) mod store;

use ::store::{AccountId, Amount, HoldId, Timestamp, TransactionId, Tx};

use crate::account::store::corrupt;
use crate::hold::store::Event;
use crate::hold::{self, HoldState};
use crate::{Error, Result};
use fingerprint::{Encoder, Fingerprint};
use store::Stored;

/// The most legs that one transaction can have.
pub const MAX_LEGS: usize = 64;

/// What kind of business a transaction records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A customer paid in.
    Deposit,
    /// A lease was paid for.
    Settlement,
    /// An owner's money was ordered to be paid out.
    Payout,
    /// The bank confirmed a payout.
    PayoutConfirmed,
    /// The bank sent a payout back.
    PayoutReturned,
    /// A customer got money back.
    Refund,
    /// An owner changed credits into cash or compute.
    Redemption,
    /// Put right by hand.
    Adjustment,
    /// Undoes another transaction.
    Reversal,
}

impl Kind {
    pub const ALL: [Self; 9] = [
        Self::Deposit,
        Self::Settlement,
        Self::Payout,
        Self::PayoutConfirmed,
        Self::PayoutReturned,
        Self::Refund,
        Self::Redemption,
        Self::Adjustment,
        Self::Reversal,
    ];

    /// As stored.
    pub fn text(self) -> &'static str {
        match self {
            Self::Deposit => "deposit",
            Self::Settlement => "settlement",
            Self::Payout => "payout",
            Self::PayoutConfirmed => "payout_confirmed",
            Self::PayoutReturned => "payout_returned",
            Self::Refund => "refund",
            Self::Redemption => "redemption",
            Self::Adjustment => "adjustment",
            Self::Reversal => "reversal",
        }
    }

    /// The kind with this text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.text() == text)
    }
}

/// One line of a transaction: an amount into or out of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leg {
    pub account: AccountId,
    /// Positive for a debit, negative for a credit, in micro-units of the account's asset.
    pub amount: Amount,
}

/// A transaction to post. Its body is all of it but the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTransaction {
    /// Idempotency key, unique among transactions; usually the id of `subject`.
    pub key: String,
    pub kind: Kind,
    /// TypeID of what it is about.
    pub subject: String,
    /// When it counts. A part of the body: a retry names the same moment, not its own.
    pub effective_at: Timestamp,
    /// Two at least, in as many assets as need be, each account at most once.
    pub legs: Vec<Leg>,
}

/// A transaction in the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posted {
    pub id: TransactionId,
    /// True if it was there already: the same key with the same body.
    pub replayed: bool,
}

/// Posts a transaction.
///
/// # Errors
/// Every refusal but those about holds; see [`Error`] for their order.
pub fn post(tx: &mut Tx<'_>, new: &NewTransaction) -> Result<Posted> {
    let fingerprint = encode(Encoder::new("post"), new).end();
    execute(tx, &Command { new, hold: None, fingerprint, names_moment: true })
}

/// The body of a transaction after the rest of its command.
pub(crate) fn encode(command: Encoder, new: &NewTransaction) -> Encoder {
    command.text(new.kind.text()).text(&new.subject).moment(Some(new.effective_at)).legs(&new.legs)
}

/// A transaction as some command wants it.
pub(crate) struct Command<'a> {
    pub new: &'a NewTransaction,
    /// The hold that pays what is taken from its account.
    pub hold: Option<HoldId>,
    pub fingerprint: Fingerprint,
    /// False if `effective_at` is the moment of posting and thus no part of the body.
    pub names_moment: bool,
}

pub(crate) fn execute(tx: &mut Tx<'_>, command: &Command<'_>) -> Result<Posted> {
    if let Some(first) = find_replayed(tx, command)? {
        return Ok(first);
    }
    match execute_new(tx, command) {
        Ok(Some(id)) => Ok(Posted { id, replayed: false }),
        Ok(None) => find_replayed(tx, command)?.ok_or_else(|| corrupt("a key that is there")),
        Err(refusal) if refusal.is_refusal() => find_replayed(tx, command)?.ok_or(refusal),
        Err(fault) => Err(fault),
    }
}

/// The first answer to a command whose key is known.
fn find_replayed(tx: &mut Tx<'_>, command: &Command<'_>) -> Result<Option<Posted>> {
    let Some((id, fingerprint)) = store::find(tx.conn, &command.new.key)? else {
        return Ok(None);
    };
    if fingerprint == command.fingerprint.as_bytes() {
        return Ok(Some(Posted { id, replayed: true }));
    }
    let stored = store::load(tx.conn, id)?;
    let same_hold = match command.hold {
        Some(hold) => store::captured_from(tx.conn, id, hold)?,
        None => true,
    };
    let key = command.new.key.clone();
    Err(Error::KeyReused { key, differs: differences(command, &stored, same_hold) })
}

fn differences(command: &Command<'_>, stored: &Stored, same_hold: bool) -> Vec<&'static str> {
    let new = command.new;
    let mut legs: Vec<_> = new.legs.iter().map(|leg| (leg.account, leg.amount)).collect();
    legs.sort_unstable();
    let fields = [
        ("kind", new.kind.text() != stored.kind),
        ("subject", new.subject != stored.subject),
        ("effective_at", command.names_moment && new.effective_at != stored.effective_at),
        ("legs", legs != stored.legs),
        ("hold", !same_hold),
    ];
    let mut differs: Vec<_> =
        fields.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field).collect();
    if differs.is_empty() {
        differs.push("command");
    }
    differs
}

/// Phases 2 to 5. `None` if another command took the key meanwhile; nothing is written then.
fn execute_new(tx: &mut Tx<'_>, command: &Command<'_>) -> Result<Option<TransactionId>> {
    let legs = &command.new.legs;
    check_key(&command.new.key)?;
    fold::check_legs(legs)?;
    let ids: Vec<_> = legs.iter().map(|leg| leg.account).collect();
    let accounts = store::load_accounts(tx.conn, &ids)?;
    fold::check_sums(&accounts, legs)?;
    let mut states = store::lock_balances(tx.conn, &accounts)?;
    let capture = match command.hold {
        Some(id) => Some((id, plan_capture(tx, &states, legs, id)?)),
        None => None,
    };
    let captured = capture.as_ref().map(|(_, (captured, _))| *captured);
    let entries = fold::fold_transaction(&mut states, legs, captured)?;
    let id = tx.id();
    if !store::insert(tx, id, command)? {
        return Ok(None);
    }
    store::insert_entries(tx.conn, id, &entries)?;
    store::store_balances(tx.conn, &states)?;
    if let Some((hold, (captured, after))) = capture {
        hold::store::store_change(tx, hold, &after, Event::Captured(id), captured.amount)?;
    }
    Ok(Some(id))
}

fn plan_capture(
    tx: &mut Tx<'_>,
    states: &fold::States,
    legs: &[Leg],
    id: HoldId,
) -> Result<(fold::Captured, HoldState)> {
    let hold = hold::store::load(tx.conn, id)?.ok_or(Error::UnknownHold(id))?;
    fold::fold_capture(states, legs, id, &hold)
}

/// The most bytes of a key.
const MAX_KEY: usize = 200;

pub(crate) fn check_key(key: &str) -> Result<()> {
    if key.is_empty() || key.len() > MAX_KEY { Err(Error::BadKey) } else { Ok(()) }
}
