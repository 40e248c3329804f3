//! Computing again what a transaction moved. Pure.

use std::collections::BTreeMap;

use store::{AccountId, Amount, Rounding, mul_div};

use super::{ExplainedLeg, Step};
use crate::Code;
use crate::chart::{ConversionRecord, PayIn, SettlementRecord, Split, split};
use crate::report::path;

const MILLION: i64 = 1_000_000;

/// Debits are equal to credits in every asset.
pub(super) fn balances(legs: &[ExplainedLeg]) -> Vec<Step> {
    let mut sums: BTreeMap<&str, (i128, i128)> = BTreeMap::new();
    for leg in legs {
        let (debits, credits) = sums.entry(&leg.asset).or_default();
        let side = if leg.amount.is_positive() { debits } else { credits };
        *side += i128::from(leg.amount.0).abs();
    }
    let step = |(asset, (debits, credits)): (&str, (i128, i128))| Step {
        name: "debits = credits",
        how: format!("all debits in {asset}, against all credits"),
        asset: asset.to_owned(),
        derived: i64::try_from(debits).ok().map(Amount),
        booked: Amount(i64::try_from(credits).unwrap_or(i64::MAX)),
    };
    sums.into_iter().map(step).collect()
}

/// Each leg is the opposite of the original's, and there is no other.
pub(super) fn reversal(legs: &[ExplainedLeg], original: &[ExplainedLeg]) -> Vec<Step> {
    let amount = |legs: &[ExplainedLeg], account: AccountId| {
        legs.iter().find(|leg| leg.account == account).map_or(Amount::ZERO, |leg| leg.amount)
    };
    let mut accounts: Vec<&ExplainedLeg> = original.iter().collect();
    accounts.extend(legs.iter().filter(|leg| original.iter().all(|o| o.account != leg.account)));
    let step = |leg: &ExplainedLeg| {
        let was = amount(original, leg.account);
        Step {
            name: "reversed",
            how: format!("the opposite of {was} in {}", path(leg.code)),
            asset: leg.asset.clone(),
            derived: was.0.checked_neg().map(Amount),
            booked: amount(legs, leg.account),
        }
    };
    accounts.into_iter().map(step).collect()
}

/// From time and price to who got what.
pub(super) fn settlement(legs: &[ExplainedLeg], record: &SettlementRecord) -> Vec<Step> {
    let asset = legs.iter().find(|leg| leg.code == Code::CustomerWallet);
    let asset = asset.map_or("", |leg| leg.asset.as_str());
    let booked = Booked { legs, asset };
    let SettlementRecord { price, seconds, .. } = record;
    let amount = mul_div(price.0, *seconds, 3_600, Rounding::HalfEven).map(Amount);
    let mut steps = vec![booked.step(
        "amount",
        format!(
            "{price} a lane-hour × {seconds} s / 3600 = {}, rounded half to even",
            fraction(price.0, *seconds, 3_600)
        ),
        amount,
        booked.debits(Code::CustomerWallet),
    )];
    let pay_in = match record.bonus_ppm {
        None => Some(PayIn::Cash),
        Some(ppm) => u32::try_from(ppm).ok().map(|bonus_ppm| PayIn::Credits { bonus_ppm }),
    };
    let parts = amount.zip(u32::try_from(record.fee_ppm).ok()).zip(pay_in);
    let parts = parts.and_then(|((amount, fee_ppm), pay_in)| {
        split(amount, fee_ppm, pay_in, record.redemption_ppm.unwrap_or_default()).ok()
    });
    steps.extend(shares(&booked, record, amount.unwrap_or_default(), parts));
    steps
}

/// The share and the fee, and with credits the bonus and their number.
fn shares(
    booked: &Booked<'_>,
    record: &SettlementRecord,
    amount: Amount,
    parts: Option<Split>,
) -> Vec<Step> {
    let part = |of: fn(&Split) -> Amount| parts.as_ref().map(of);
    let net_ppm = MILLION.saturating_sub(record.fee_ppm);
    let share_how = format!(
        "{amount} × (1000000 - {} ppm fee) / 1000000 = {}, rounded up",
        record.fee_ppm,
        fraction(amount.0, net_ppm, MILLION)
    );
    let share = parts.as_ref().and_then(|parts| amount.checked_sub(parts.fee));
    let booked_bonus = booked.debits(Code::BonusExpense);
    let booked_value = booked.credits(Code::CreditClearing);
    let mut steps = match record.bonus_ppm {
        None => vec![booked.step("share", share_how, share, booked.credits(Code::OwnerCash))],
        Some(bonus_ppm) => vec![
            booked.step(
                "share",
                share_how,
                share,
                booked_value.checked_sub(booked_bonus).unwrap_or_default(),
            ),
            booked.step(
                "bonus",
                format!(
                    "the share × {bonus_ppm} ppm = {}, rounded up, and what whole credits are worth more",
                    fraction(share.unwrap_or_default().0, bonus_ppm, MILLION)
                ),
                part(|parts| parts.bonus),
                booked_bonus,
            ),
            booked.step(
                "credits' worth",
                "the share and the bonus".to_owned(),
                part(|parts| parts.credit_value),
                booked_value,
            ),
            booked.credits_step(record, part(|parts| parts.owner_credits)),
        ],
    };
    steps.push(booked.step(
        "fee",
        "what the share leaves of the amount".to_owned(),
        part(|parts| parts.fee),
        booked.credits(Code::FeeIncome),
    ));
    steps
}

/// What the legs say, by code, in the asset of the settlement.
struct Booked<'a> {
    legs: &'a [ExplainedLeg],
    asset: &'a str,
}

impl Booked<'_> {
    fn debits(&self, code: Code) -> Amount {
        let own = self.legs.iter().filter(|leg| leg.code == code && leg.asset == self.asset);
        sum(own)
    }

    fn credits(&self, code: Code) -> Amount {
        negated(self.debits(code))
    }

    fn step(
        &self,
        name: &'static str,
        how: String,
        derived: Option<Amount>,
        booked: Amount,
    ) -> Step {
        Step { name, how, asset: self.asset.to_owned(), derived, booked }
    }

    fn credits_step(&self, record: &SettlementRecord, derived: Option<Amount>) -> Step {
        let credits = || self.legs.iter().filter(|leg| leg.code == Code::OwnerCredits);
        let asset = credits().next().map_or("", |leg| leg.asset.as_str()).to_owned();
        let ppm = record.redemption_ppm.unwrap_or_default();
        let how = format!("their worth at {ppm} ppm of {} for one", self.asset);
        Step { name: "credits", how, asset, derived, booked: negated(sum(credits())) }
    }
}

/// From one asset to another.
pub(super) fn conversion(legs: &[ExplainedLeg], record: &ConversionRecord) -> Vec<Step> {
    let ConversionRecord { sold_asset, sold, bought_asset, bought, rate_ppm } = record;
    let derived = mul_div(sold.0, *rate_ppm, MILLION, Rounding::HalfEven).map(Amount);
    let recorded = derived == Some(*bought);
    vec![
        Step {
            name: "sold",
            how: "as recorded".to_owned(),
            asset: sold_asset.clone(),
            derived: Some(*sold),
            booked: moved(legs, sold_asset, *sold),
        },
        Step {
            name: "bought",
            how: format!(
                "{sold} {sold_asset} × {rate_ppm} / 1000000 = {}, rounded half to even: the clearing account bears it",
                fraction(sold.0, *rate_ppm, MILLION)
            ),
            asset: bought_asset.clone(),
            derived,
            booked: if recorded { moved(legs, bought_asset, *bought) } else { *bought },
        },
    ]
}

/// The amount if some leg moves it, else all that was debited.
fn moved(legs: &[ExplainedLeg], asset: &str, amount: Amount) -> Amount {
    let of_asset = || legs.iter().filter(|leg| leg.asset == asset);
    if of_asset().any(|leg| leg.amount == amount || negated(leg.amount) == amount) {
        return amount;
    }
    sum(of_asset().filter(|leg| leg.amount.is_positive()))
}

fn sum<'a>(legs: impl Iterator<Item = &'a ExplainedLeg>) -> Amount {
    let sum: i128 = legs.map(|leg| i128::from(leg.amount.0)).sum();
    Amount(i64::try_from(sum).unwrap_or(i64::MAX))
}

fn negated(amount: Amount) -> Amount {
    Amount(amount.0.saturating_neg())
}

/// `value × by / over` in micro-units, exact: `45678979/3600 micro-units`, or a whole number of them.
fn fraction(value: i64, by: i64, over: i64) -> String {
    let product = i128::from(value) * i128::from(by);
    let over = i128::from(over);
    match product % over {
        0 => format!("{} micro-units", product / over),
        _ => format!("{product}/{over} micro-units"),
    }
}
