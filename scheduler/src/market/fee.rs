//! What the platform takes: dated rates, never changed once they are set.

use diesel::prelude::*;
use store::schema::fee_rate;
use store::{PartyId, Timestamp, Tx};

use super::known;
use crate::{Error, Result};

/// A row of `fee_rate`: in force from `from_at` until the next.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct FeeRate {
    pub market_id: String,
    pub from_at: Timestamp,
    /// Parts per million of what the customer pays, 0 to 500,000.
    pub fee_ppm: i32,
    /// Bonus on earnings taken in credits, parts per million, 0 to 1,000,000.
    pub bonus_ppm: i32,
    /// None: the installation.
    pub set_by: Option<PartyId>,
    pub set_at: Timestamp,
}

/// Sets the rate from a coming moment on. Leases keep the rate of the tick that made them.
///
/// # Errors
/// [`Error::NotFound`] for an unknown market; [`Error::Invalid`] for a moment that has passed or
/// has a rate already, and for a rate out of range.
pub fn set_fee(
    tx: &mut Tx<'_>,
    operator: PartyId,
    market: &str,
    from_at: Timestamp,
    fee_ppm: i32,
    bonus_ppm: i32,
) -> Result<FeeRate> {
    known(tx, market)?;
    if from_at <= tx.now {
        return Err(Error::invalid("/from", "in the future"));
    }
    if !(0..=500_000).contains(&fee_ppm) {
        return Err(Error::invalid("/fee_ppm", "0 to 500000"));
    }
    if !(0..=1_000_000).contains(&bonus_ppm) {
        return Err(Error::invalid("/credit_bonus_ppm", "0 to 1000000"));
    }
    let taken: i64 = fee_rate::table.find((market, from_at)).count().get_result(tx.conn)?;
    if taken > 0 {
        return Err(Error::invalid("/from", "another rate begins then"));
    }
    let (set_by, set_at) = (Some(operator), tx.now);
    diesel::insert_into(fee_rate::table)
        .values((
            fee_rate::market_id.eq(market),
            fee_rate::from_at.eq(from_at),
            fee_rate::fee_ppm.eq(fee_ppm),
            fee_rate::bonus_ppm.eq(bonus_ppm),
            fee_rate::set_by.eq(set_by),
            fee_rate::set_at.eq(set_at),
        ))
        .execute(tx.conn)?;
    let market_id = market.to_owned();
    Ok(FeeRate { market_id, from_at, fee_ppm, bonus_ppm, set_by, set_at })
}

/// Every rate of a market, oldest first.
pub fn fees(tx: &mut Tx<'_>, market: &str) -> Result<Vec<FeeRate>> {
    known(tx, market)?;
    let rates = fee_rate::table.filter(fee_rate::market_id.eq(market));
    Ok(rates.order(fee_rate::from_at).load(tx.conn)?)
}

/// The rate in force now.
pub(super) fn rate_now(tx: &mut Tx<'_>, market: &str) -> Result<FeeRate> {
    let rate = fee_rate::table
        .filter(fee_rate::market_id.eq(market))
        .filter(fee_rate::from_at.le(tx.now))
        .order(fee_rate::from_at.desc())
        .first(tx.conn)
        .optional()?;
    rate.ok_or_else(|| Error::corrupt(format!("no fee of {market} is in force")))
}
