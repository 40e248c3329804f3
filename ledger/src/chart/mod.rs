//! The posting templates of the house. Each is one transaction with one key.
//!
//! A template names accounts by code, party and asset; they are opened on the way, and not by a
//! refusal. Planning is pure: [`plan`] says the lines, the engine posts them.

mod convert;
mod settle;
mod split;

use std::collections::BTreeMap;

use store::{Amount, DepositId, HoldId, LeaseId, PartyId, PayoutId, Timestamp, Tx};

use crate::command::{Body, Command, Draft, Lines};
use crate::fingerprint::{Encoder, Fingerprint};
use crate::posting::{Kind, Late};
use crate::{Code, Error, Posted, Result, engine};

pub use convert::{Conversion, Redemption, convert, redeem};
pub use settle::{Settlement, settle};
pub use split::{PayIn, Split, split};

/// What lines are made from.
#[derive(Clone, Debug)]
pub(crate) enum Template {
    Deposit { customer: PartyId, asset: String, amount: Amount },
    PayOut { owner: PartyId, asset: String, amount: Amount },
    ConfirmPayout { asset: String, amount: Amount },
    ReturnPayout { owner: PartyId, asset: String, amount: Amount },
    Settlement(Settlement),
    Conversion(Conversion),
    Redemption(Redemption),
}

/// Why a transaction moved what it moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Settlement(SettlementRecord),
    Conversion(ConversionRecord),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SettlementRecord {
    pub lease: LeaseId,
    pub seconds: i64,
    /// Per lane-hour.
    pub price: Amount,
    pub fee_ppm: i64,
    pub bonus_ppm: Option<i64>,
    pub redemption_ppm: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConversionRecord {
    pub sold_asset: String,
    pub sold: Amount,
    pub bought_asset: String,
    pub bought: Amount,
    pub rate_ppm: i64,
}

/// The assets there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Assets {
    /// Micro-units in the least amount of each: 1 for a scale of 6, 1,000,000 for whole units.
    pub least: BTreeMap<String, i64>,
    /// The credit that is redeemable in an asset; the first by code if there are several.
    pub credits: BTreeMap<String, Credit>,
}

/// A credit and what one unit of it is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credit {
    pub code: String,
    /// Micro-units of the asset it is redeemable in.
    pub redemption_ppm: i64,
}

impl Assets {
    /// The least amount of an asset, in micro-units.
    pub(crate) fn least(&self, asset: &str) -> Result<i64> {
        self.least.get(asset).copied().ok_or_else(|| Error::UnknownAsset(asset.to_owned()))
    }

    /// The credit that is redeemable in `asset`.
    fn credit(&self, asset: &str) -> Result<&Credit> {
        self.credits.get(asset).ok_or_else(|| Error::NotRedeemable(asset.to_owned()))
    }
}

/// A leg whose account may not be there yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub code: Code,
    pub party: PartyId,
    pub asset: String,
    /// Positive for a debit.
    pub amount: Amount,
}

impl Line {
    fn debit(code: Code, party: PartyId, asset: &str, amount: Amount) -> Self {
        Self { code, party, asset: asset.to_owned(), amount }
    }

    fn credit(code: Code, party: PartyId, asset: &str, amount: Amount) -> Self {
        Self::debit(code, party, asset, Amount(amount.0.saturating_neg()))
    }
}

/// The lines of a template, and the record that explains them.
pub(crate) fn plan(template: &Template, assets: &Assets) -> Result<(Vec<Line>, Option<Record>)> {
    const US: PartyId = PartyId::NIL;
    let (debit, credit, asset, amount) = match template {
        Template::Settlement(settlement) => return settle::plan(settlement, assets),
        Template::Conversion(conversion) => return convert::plan_conversion(conversion, assets),
        Template::Redemption(redemption) => return convert::plan_redemption(redemption, assets),
        Template::Deposit { customer, asset, amount } => {
            ((Code::Bank, US), (Code::CustomerWallet, *customer), asset, *amount)
        }
        Template::PayOut { owner, asset, amount } => {
            ((Code::OwnerCash, *owner), (Code::PayoutClearing, US), asset, *amount)
        }
        Template::ConfirmPayout { asset, amount } => {
            ((Code::PayoutClearing, US), (Code::Bank, US), asset, *amount)
        }
        Template::ReturnPayout { owner, asset, amount } => {
            ((Code::PayoutClearing, US), (Code::OwnerCash, *owner), asset, *amount)
        }
    };
    if !amount.is_positive() {
        return Err(Error::NotPositive);
    }
    let debit = Line::debit(debit.0, debit.1, asset, amount);
    Ok((vec![debit, Line::credit(credit.0, credit.1, asset, amount)], None))
}

/// A command of the chart: its key is also its subject.
fn command(
    key: String,
    kind: Kind,
    effective_at: Option<Timestamp>,
    hold: Option<HoldId>,
    template: Template,
    fingerprint: Fingerprint,
) -> Command {
    let draft = Draft {
        key,
        kind,
        subject: None,
        effective_at,
        hold,
        lines: Lines::Template(Box::new(template)),
        relation: None,
        metadata: Vec::new(),
        late: Late::NextOpen,
    };
    Command { fingerprint, body: Body::Post(draft) }
}

/// Books money that a customer paid in: debit Bank, credit CustomerWallet. It takes effect now.
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
    engine::run_one(tx, &Command::deposit(id, customer, asset, amount))?.posted()
}

/// Orders a payout out of the owner's hold: debit OwnerCash, credit PayoutClearing. It takes effect
/// now.
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
    engine::run_one(tx, &Command::pay_out(id, hold, owner, asset, amount))?.posted()
}

impl Command {
    /// [`deposit`].
    pub fn deposit(id: DepositId, customer: PartyId, asset: &str, amount: Amount) -> Self {
        let print = Encoder::new("deposit").id(id).id(customer).text(asset).amount(amount).end();
        let template = Template::Deposit { customer, asset: asset.to_owned(), amount };
        command(id.to_string(), Kind::Deposit, None, None, template, print)
    }

    /// [`pay_out`].
    pub fn pay_out(
        id: PayoutId,
        hold: HoldId,
        owner: PartyId,
        asset: &str,
        amount: Amount,
    ) -> Self {
        let print = Encoder::new("payout").id(id).id(hold).id(owner).text(asset).amount(amount);
        let template = Template::PayOut { owner, asset: asset.to_owned(), amount };
        command(id.to_string(), Kind::Payout, None, Some(hold), template, print.end())
    }

    /// The bank has carried a payout out: debit PayoutClearing, credit Bank.
    ///
    /// Refused with [`Error::NotPositive`], [`Error::UnknownAsset`], [`Error::KeyReused`].
    pub fn confirm_payout(id: PayoutId, asset: &str, amount: Amount) -> Self {
        let print = Encoder::new("payout confirmed").id(id).text(asset).amount(amount).end();
        let template = Template::ConfirmPayout { asset: asset.to_owned(), amount };
        command(format!("{id}:confirmed"), Kind::PayoutConfirmed, None, None, template, print)
    }

    /// The bank has sent a payout back: debit PayoutClearing, credit OwnerCash.
    ///
    /// Refused with [`Error::NotPositive`], [`Error::UnknownAsset`], [`Error::KeyReused`].
    pub fn return_payout(id: PayoutId, owner: PartyId, asset: &str, amount: Amount) -> Self {
        let print = Encoder::new("payout returned").id(id).id(owner).text(asset).amount(amount);
        let template = Template::ReturnPayout { owner, asset: asset.to_owned(), amount };
        let key = format!("{id}:returned");
        command(key, Kind::PayoutReturned, None, None, template, print.end())
    }
}
