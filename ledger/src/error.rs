//! Refusals of the book, in order of precedence, and faults of storage.

use std::fmt;

use store::{AccountId, Amount, HoldId, Month, Timestamp, TransactionId};

/// Why a command was refused. A refusal changed nothing and consumed no key.
///
/// # Precedence
/// The first that applies is the answer, in the order of the variants. A key is looked up before
/// anything is refused: the replay of a transfer that drained its account is a replay.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key names another command. `differs` lists the fields in which this one differs.
    #[error("the key {key} belongs to another command: {}", list(differs))]
    KeyReused { key: String, differs: Vec<Difference> },
    /// A key has 1 to 200 bytes, none of them zero.
    #[error("a key has 1 to 200 bytes, none of them zero")]
    BadKey,
    /// A subject, a reason, or the name or value of metadata has at most [`crate::MAX_TEXT`] bytes,
    /// none of them zero; a reason has one at least; there are at most [`crate::MAX_METADATA`] names.
    #[error(
        "a text is too long, or has a zero byte, or there are too many, or a reason is missing"
    )]
    BadText,
    /// An asset's code has 1 to 16 of `A`-`Z` and `0`-`9`, the first a letter; its scale is 0 to 6.
    #[error("a code has 1 to 16 of A-Z and 0-9, the first a letter, and a scale is 0 to 6")]
    BadAsset,
    /// A fee is at most 1,000,000 ppm, and an exchange rate over zero.
    #[error("a fee is at most 1,000,000 ppm, and an exchange rate over zero")]
    BadRate,
    /// An amount that must be over zero is not.
    #[error("the amount must be positive")]
    NotPositive,
    /// The amount of a settlement is not its price times its time.
    #[error("{amount} is not the price times the time, rounded half to even")]
    WrongAmount { amount: Amount },
    /// A conversion needs two assets.
    #[error("{0} cannot be changed into itself")]
    SameAsset(String),
    #[error("there is no asset {0}")]
    UnknownAsset(String),
    /// There is an asset of this code that is not the same.
    #[error("there is another asset {0}")]
    AssetExists(String),
    /// No credit is redeemable in this asset.
    #[error("no credit is redeemable in {0}")]
    NotRedeemable(String),
    #[error("there is no transaction {0}")]
    UnknownTransaction(TransactionId),
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
    /// An amount is finer than the scale of its asset.
    #[error("amounts of {asset} are multiples of {least}")]
    TooFine { asset: String, least: Amount },
    /// Debits are not equal to credits.
    #[error("the legs in {asset} do not sum to zero")]
    Unbalanced { asset: String },
    /// The month in which it counts is closed.
    #[error("{0} is closed")]
    MonthClosed(Month),
    /// A month can be closed once it has been over for an hour.
    #[error("{month} can be closed from {from}")]
    MonthNotOver { month: Month, from: Timestamp },
    /// The month is open, or nobody has asked for it to be opened again.
    #[error("{0} is not closed, or nobody has asked to open it again")]
    MonthNotClosed(Month),
    /// Who asks to open a month again cannot do it too.
    #[error("another person must do that")]
    SamePerson,
    /// It was reversed already.
    #[error("{0} was reversed")]
    AlreadyReversed(TransactionId),
    /// A part of it was given back: give the rest back too.
    #[error("a part of {0} was refunded")]
    AlreadyRefunded(TransactionId),
    /// The refund wants more than is left of the transaction.
    #[error("{remaining} of {of} can be given back, {needed} are wanted")]
    OverRefund { of: TransactionId, remaining: Amount, needed: Amount },
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
    /// A command that it is linked to was refused.
    #[error("a command that this one is linked to was refused")]
    LinkedFailed,
    /// Not a refusal: whoever ran the batch that this was in broke off, and did nothing of it.
    #[error("the batch broke off")]
    Stopped,
    /// Not a refusal: the batch that this was in could not be written; nothing of it was done.
    #[error("the batch failed: {0}")]
    Batch(std::sync::Arc<Error>),
    /// Not a refusal: storage failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Not a refusal: what an export writes to failed.
    #[error("writing the export: {0}")]
    Output(#[from] std::io::Error),
}

/// A field in which a command differs from the first one with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub field: &'static str,
    /// What the first command said.
    pub first: String,
    /// What this one says.
    pub now: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was {}, not {}", self.field, self.first, self.now)
    }
}

fn list(differs: &[Difference]) -> String {
    differs.iter().map(Difference::to_string).collect::<Vec<_>>().join("; ")
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// True if the command was refused, false for a fault of storage or output.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::Store(_) | Self::Output(_) | Self::Stopped | Self::Batch(_))
    }

    pub(crate) fn corrupt(what: &str) -> Self {
        Self::Store(store::Error::Corrupt(what.to_owned()))
    }
}

impl From<diesel::result::Error> for Error {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}
