//! Accounts: the chart's codes, opening and balances.

mod code;
pub(crate) mod store;

pub use code::{Code, Side};

use ::store::{AccountId, Amount, PartyId, Tx};

use crate::{Error, Result};

/// What an account has, in its own direction (credit-normal: credits less debits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Balance {
    /// Sum of its entries.
    pub posted: Amount,
    /// What open holds keep back, never negative.
    pub held: Amount,
}

impl Balance {
    /// What can still be taken: posted less held.
    pub fn available(&self) -> Amount {
        self.posted - self.held
    }
}

/// Finds or makes the account of `party` ([`PartyId::NIL`] is the platform) under `code` in `asset`.
///
/// # Errors
/// [`Error::UnknownAsset`].
pub fn open_account(tx: &mut Tx<'_>, code: Code, party: PartyId, asset: &str) -> Result<AccountId> {
    if let Some(id) = store::find(tx.conn, code, party, asset)? {
        return Ok(id);
    }
    if !store::asset_exists(tx.conn, asset)? {
        return Err(Error::UnknownAsset(asset.to_owned()));
    }
    store::insert(tx, code, party, asset)
}

/// The account of `party` under `code` in `asset`, if it was ever opened.
pub fn find_account(
    tx: &mut Tx<'_>,
    code: Code,
    party: PartyId,
    asset: &str,
) -> Result<Option<AccountId>> {
    store::find(tx.conn, code, party, asset)
}

/// The asset that an account is in.
///
/// # Errors
/// [`Error::UnknownAccount`].
pub fn account_asset(tx: &mut Tx<'_>, account: AccountId) -> Result<String> {
    store::asset(tx.conn, account)?.ok_or(Error::UnknownAccount(account))
}

/// What an account has.
///
/// # Errors
/// [`Error::UnknownAccount`].
pub fn balance(tx: &mut Tx<'_>, account: AccountId) -> Result<Balance> {
    store::balance(tx.conn, account)?.ok_or(Error::UnknownAccount(account))
}

/// What a party's account has; zero if it was never opened.
pub fn party_balance(tx: &mut Tx<'_>, code: Code, party: PartyId, asset: &str) -> Result<Balance> {
    match find_account(tx, code, party, asset)? {
        Some(account) => balance(tx, account),
        None => Ok(Balance::default()),
    }
}
