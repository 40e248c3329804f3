//! Refusals of the book, in order of precedence, and faults of storage.

use store::{AccountId, Amount, HoldId};

/// Why a command was refused. A refusal changed nothing and consumed no key.
///
/// # Precedence
/// The first that applies is the answer, in the order of the variants. A key is looked up before
/// anything is refused: the replay of a transfer that drained its account is a replay.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key names another command. `differs` lists the fields in which this one differs.
    #[error("the key {key} belongs to a command with another {}", differs.join(", "))]
    KeyReused { key: String, differs: Vec<&'static str> },
    /// A key has 1 to 200 bytes.
    #[error("a key has 1 to 200 bytes")]
    BadKey,
    /// An amount that must be over zero is not.
    #[error("the amount must be positive")]
    NotPositive,
    /// A fee is at most 1,000,000 ppm.
    #[error("a fee is at most 1,000,000 ppm")]
    BadRate,
    #[error("there is no asset {0}")]
    UnknownAsset(String),
    /// No credit is redeemable in this asset.
    #[error("no credit is redeemable in {0}")]
    NotRedeemable(String),
    #[error("a transaction has legs")]
    NoLegs,
    /// More than [`crate::MAX_LEGS`].
    #[error("a transaction has at most {max} legs", max = crate::MAX_LEGS)]
    TooManyLegs,
    #[error("a leg moves an amount other than zero")]
    ZeroLeg,
    /// Two legs name one account.
    #[error("{0} is named twice")]
    SameAccount(AccountId),
    #[error("there is no account {0}")]
    UnknownAccount(AccountId),
    /// Debits are not equal to credits.
    #[error("the legs in {asset} do not sum to zero")]
    Unbalanced { asset: String },
    #[error("there is no hold {0}")]
    UnknownHold(HoldId),
    /// No leg takes anything from the hold's account.
    #[error("no leg takes from the account of {0}")]
    NothingCaptured(HoldId),
    #[error("{0} has ended")]
    HoldEnded(HoldId),
    /// The capture wants more than is left of the hold.
    #[error("{hold} has {remaining} left, {needed} are needed")]
    OverCapture { hold: HoldId, remaining: Amount, needed: Amount },
    /// A balance would leave the range of amounts.
    #[error("the amount is out of range")]
    Overflow,
    /// The account may not be overdrawn and has less available than the command takes.
    #[error("{account} has {available} available, {needed} are needed")]
    InsufficientFunds { account: AccountId, available: Amount, needed: Amount },
    /// Not a refusal: storage failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Not a refusal: what an export writes to failed.
    #[error("writing the export: {0}")]
    Output(#[from] std::io::Error),
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// True if the command was refused, false for a fault of storage or output.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::Store(_) | Self::Output(_))
    }
}

impl From<diesel::result::Error> for Error {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}
