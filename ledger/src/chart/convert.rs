//! Changing one asset into another, through a clearing account and at a rate that is kept.

use store::{Amount, PartyId, Rounding, Tx, mul_div};

use super::{Assets, ConversionRecord, Line, Record, Template, command};
use crate::command::Command;
use crate::fingerprint::Encoder;
use crate::{Code, Error, Kind, Posted, Result, engine};

const MILLION: i64 = 1_000_000;

/// Money of a customer's wallet to be changed into another currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// Idempotency key, also the transaction's subject.
    pub key: String,
    pub customer: PartyId,
    pub sold_asset: String,
    /// Over zero, micro-units of `sold_asset`.
    pub sold: Amount,
    pub bought_asset: String,
    /// Micro-units of `bought_asset` for one unit of `sold_asset`, over zero.
    pub rate_ppm: i64,
}

/// Credits of an owner to be changed into what they are redeemable in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redemption {
    /// Idempotency key, also the transaction's subject.
    pub key: String,
    pub owner: PartyId,
    /// What they are redeemed in.
    pub asset: String,
    /// Micro-units of the credit, over zero.
    pub credits: Amount,
}

/// Changes money of a wallet into another currency: the wallet and CurrencyClearing in both. What
/// is bought is sold × rate, rounded half to even to the scale of what is bought; the clearing account bears the rounding.
///
/// # Errors
/// [`Error::BadRate`]; [`Error::NotPositive`], also if nothing would be bought;
/// [`Error::SameAsset`], [`Error::UnknownAsset`], [`Error::TooFine`] if it buys less than the least
/// amount, and those of [`crate::post`].
pub fn convert(tx: &mut Tx<'_>, conversion: &Conversion) -> Result<Posted> {
    engine::run_one(tx, &Command::from(conversion.clone()))?.posted()
}

/// Redeems credits: OwnerCredits and CreditClearing in the credit, CreditClearing and OwnerCash in
/// what it is worth, rounded half to even; the clearing account bears the rounding.
///
/// # Errors
/// [`Error::NotPositive`], [`Error::UnknownAsset`], [`Error::NotRedeemable`]; [`Error::NotPositive`]
/// also if they are worth nothing; and those of [`crate::post`].
pub fn redeem(tx: &mut Tx<'_>, redemption: &Redemption) -> Result<Posted> {
    engine::run_one(tx, &Command::from(redemption.clone()))?.posted()
}

impl From<Conversion> for Command {
    fn from(conversion: Conversion) -> Self {
        let print = Encoder::new("conversion")
            .id(conversion.customer)
            .text(&conversion.sold_asset)
            .amount(conversion.sold)
            .text(&conversion.bought_asset)
            .number(conversion.rate_ppm)
            .end();
        let key = conversion.key.clone();
        let template = Template::Conversion(conversion);
        command(key, Kind::Conversion, None, None, template, print)
    }
}

impl From<Redemption> for Command {
    fn from(redemption: Redemption) -> Self {
        let print = Encoder::new("redemption")
            .id(redemption.owner)
            .text(&redemption.asset)
            .amount(redemption.credits)
            .end();
        let key = redemption.key.clone();
        let template = Template::Redemption(redemption);
        command(key, Kind::Redemption, None, None, template, print)
    }
}

pub(super) fn plan_conversion(
    conversion: &Conversion,
    assets: &Assets,
) -> Result<(Vec<Line>, Option<Record>)> {
    let Conversion { customer, sold_asset, sold, bought_asset, rate_ppm, .. } = conversion;
    let exact = exchange(*sold, *rate_ppm)?;
    if sold_asset == bought_asset {
        return Err(Error::SameAsset(sold_asset.clone()));
    }
    assets.least(sold_asset)?;
    let least = assets.least(bought_asset)?;
    let bought = round(exact, bought_asset, least)?;
    let clearing = |asset, amount| Line::debit(Code::CurrencyClearing, PartyId::NIL, asset, amount);
    let lines = vec![
        Line::debit(Code::CustomerWallet, *customer, sold_asset, *sold),
        Line::credit(Code::CurrencyClearing, PartyId::NIL, sold_asset, *sold),
        clearing(bought_asset, bought),
        Line::credit(Code::CustomerWallet, *customer, bought_asset, bought),
    ];
    Ok((lines, Some(record(sold_asset, *sold, bought_asset, bought, *rate_ppm))))
}

pub(super) fn plan_redemption(
    redemption: &Redemption,
    assets: &Assets,
) -> Result<(Vec<Line>, Option<Record>)> {
    let Redemption { owner, asset, credits, .. } = redemption;
    if !credits.is_positive() {
        return Err(Error::NotPositive);
    }
    let least = assets.least(asset)?;
    let credit = assets.credit(asset)?;
    let value = round(exchange(*credits, credit.redemption_ppm)?, asset, least)?;
    let lines = vec![
        Line::debit(Code::OwnerCredits, *owner, &credit.code, *credits),
        Line::credit(Code::CreditClearing, PartyId::NIL, &credit.code, *credits),
        Line::debit(Code::CreditClearing, PartyId::NIL, asset, value),
        Line::credit(Code::OwnerCash, *owner, asset, value),
    ];
    Ok((lines, Some(record(&credit.code, *credits, asset, value, credit.redemption_ppm))))
}

/// Something sold at a rate, not rounded yet: the first times the second, in millionths.
type Exact = (Amount, i64);

/// What is sold is worth at least a micro-unit, rounded, at this rate.
fn exchange(sold: Amount, rate_ppm: i64) -> Result<Exact> {
    if rate_ppm <= 0 {
        return Err(Error::BadRate);
    }
    if !sold.is_positive() || mul_div(sold.0, rate_ppm, MILLION, Rounding::HalfEven) == Some(0) {
        return Err(Error::NotPositive);
    }
    Ok((sold, rate_ppm))
}

/// Rounded once, to a multiple of the asset's least amount.
fn round((sold, rate_ppm): Exact, asset: &str, least: i64) -> Result<Amount> {
    let over = MILLION.checked_mul(least).ok_or(Error::Overflow)?;
    let times = mul_div(sold.0, rate_ppm, over, Rounding::HalfEven).ok_or(Error::Overflow)?;
    match times.checked_mul(least) {
        Some(0) => Err(Error::TooFine { asset: asset.to_owned(), least: Amount(least) }),
        bought => bought.map(Amount).ok_or(Error::Overflow),
    }
}

fn record(
    sold_asset: &str,
    sold: Amount,
    bought_asset: &str,
    bought: Amount,
    rate_ppm: i64,
) -> Record {
    Record::Conversion(ConversionRecord {
        sold_asset: sold_asset.to_owned(),
        sold,
        bought_asset: bought_asset.to_owned(),
        bought,
        rate_ppm,
    })
}
