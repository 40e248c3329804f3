//! Who gets what of a payment. Pure.

use store::{Amount, Rounding, mul_div};

use crate::{Error, Result};

const MILLION: i64 = 1_000_000;

/// How an owner is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayIn {
    Cash,
    /// In credits, with a bonus on the owner's share in parts per million, paid by the platform.
    Credits {
        bonus_ppm: u32,
    },
}

/// A payment taken apart, in micro-units of the settlement asset except for `owner_credits`.
/// `amount = owner's share + fee` exactly, the share being `owner_cash` or else the redemption value
/// of `owner_credits` less `bonus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Split {
    pub owner_cash: Amount,
    /// Micro-units of the credit.
    pub owner_credits: Amount,
    /// What `owner_credits` are worth at redemption: the owner's share and the bonus.
    pub credit_value: Amount,
    /// The platform's expense, with what the redemption rate leaves over.
    pub bonus: Amount,
    pub fee: Amount,
}

/// Takes a payment apart. The owner's share is `amount` less the fee, rounded up; the fee takes the
/// residual. A bonus is rounded up too. `redemption_ppm` is micro-units of the settlement asset for
/// one unit of credit, and does not matter to a payment in cash.
///
/// Credits are issued in multiples of the least number that is worth whole micro-units, so that the
/// book stays exact at any rate: the number is rounded up and the bonus pays the difference, less
/// than `redemption_ppm / gcd(redemption_ppm, 1e6)` micro-units. Rates with few digits leave next to
/// nothing (one micro-unit at most at 1.5, nothing at 1 or 0.01).
///
/// # Errors
/// [`Error::BadRate`] for a fee over one million ppm or a redemption rate that is not positive,
/// [`Error::NotPositive`], [`Error::Overflow`].
pub fn split(amount: Amount, fee_ppm: u32, pay_in: PayIn, redemption_ppm: i64) -> Result<Split> {
    let net_ppm = MILLION - i64::from(fee_ppm);
    if net_ppm < 0 {
        return Err(Error::BadRate);
    }
    if !amount.is_positive() {
        return Err(Error::NotPositive);
    }
    let share = up(amount, net_ppm, MILLION)?;
    let fee = amount.checked_sub(share).ok_or(Error::Overflow)?;
    match pay_in {
        PayIn::Cash => Ok(Split { owner_cash: share, fee, ..Split::default() }),
        PayIn::Credits { bonus_ppm } => {
            let bonus = up(share, i64::from(bonus_ppm), MILLION)?;
            let value = share.checked_add(bonus).ok_or(Error::Overflow)?;
            let (owner_credits, credit_value) = credits_worth(value, redemption_ppm)?;
            let bonus = credit_value.checked_sub(share).ok_or(Error::Overflow)?;
            Ok(Split { owner_cash: Amount::ZERO, owner_credits, credit_value, bonus, fee })
        }
    }
}

/// The least credits that are worth at least `value` and whole micro-units, and what they are worth.
fn credits_worth(value: Amount, redemption_ppm: i64) -> Result<(Amount, Amount)> {
    if redemption_ppm <= 0 {
        return Err(Error::BadRate);
    }
    let divisor = gcd(redemption_ppm, MILLION);
    let (worth, step) = (redemption_ppm / divisor, MILLION / divisor);
    let steps = up(value, 1, worth)?.0;
    let times = |factor: i64| steps.checked_mul(factor).map(Amount).ok_or(Error::Overflow);
    Ok((times(step)?, times(worth)?))
}

fn up(amount: Amount, by: i64, over: i64) -> Result<Amount> {
    mul_div(amount.0, by, over, Rounding::Up).map(Amount).ok_or(Error::Overflow)
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
