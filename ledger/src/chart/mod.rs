//! The posting templates of the house. Each is one transaction with one key, the id of its subject.

mod split;

use store::{Amount, DepositId, HoldId, LeaseId, PartyId, PayoutId, Timestamp, Tx};

use crate::posting::Posted;
use crate::{Error, Result};

pub use split::{PayIn, Split, split};

/// A lease to be paid for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The key: a lease settles once.
    pub lease: LeaseId,
    /// The job's hold, on the wallet of `customer`.
    pub hold: HoldId,
    pub customer: PartyId,
    pub owner: PartyId,
    /// What the customer pays in.
    pub asset: String,
    /// What the customer pays, over zero, micro-units of `asset`.
    pub amount: Amount,
    /// The platform's part of it, parts per million.
    pub fee_ppm: u32,
    pub pay_in: PayIn,
    /// When the lease ended. A part of the body: a retry names the same moment.
    pub effective_at: Timestamp,
}

/// A lease paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    pub posted: Posted,
    pub owner_cash: Amount,
    /// Micro-units of the credit.
    pub owner_credits: Amount,
    /// What the platform added to the owner's share, in the settlement's asset.
    pub bonus: Amount,
    pub fee: Amount,
}

/// Books money that a customer paid in: debit Bank, credit CustomerWallet.
///
/// # Errors
/// [`Error::KeyReused`], [`Error::NotPositive`], [`Error::UnknownAsset`], [`Error::Overflow`].
pub fn deposit(
    tx: &mut Tx<'_>,
    id: DepositId,
    customer: PartyId,
    asset: &str,
    amount: Amount,
) -> Result<Posted> {
    let _ = (tx, id, customer, asset, amount);
    Err(Error::NoLegs)
}

/// Pays for a lease out of the job's hold.
///
/// # Errors
/// Those of [`split`] and [`crate::capture_hold`], [`Error::UnknownAsset`], [`Error::NotRedeemable`].
pub fn settle(tx: &mut Tx<'_>, settlement: &Settlement) -> Result<Settled> {
    let _ = (tx, settlement);
    Err(Error::NoLegs)
}

/// Orders a payout out of the owner's hold: debit OwnerCash, credit PayoutClearing.
///
/// # Errors
/// Those of [`crate::capture_hold`], [`Error::NotPositive`], [`Error::UnknownAsset`].
pub fn pay_out(
    tx: &mut Tx<'_>,
    id: PayoutId,
    hold: HoldId,
    owner: PartyId,
    asset: &str,
    amount: Amount,
) -> Result<Posted> {
    let _ = (tx, id, hold, owner, asset, amount);
    Err(Error::NoLegs)
}
