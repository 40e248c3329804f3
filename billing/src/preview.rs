//! What another rate would have made of business that is done.

use ::store::schema::{lease, ledger_transaction as posting, market, settlement_record};
use ::store::{Amount, Rounding, Timestamp, TransactionId, Tx, mul_div};
use diesel::prelude::*;
use ledger::chart::{PayIn, Split, split};

use crate::{Error, Result};

/// A market's rates, parts per million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    pub fee_ppm: u32,
    /// On earnings taken in credits.
    pub bonus_ppm: u32,
}

/// Settlements as they were, and as they would have been. Amounts are in the market's asset; what
/// was given back since counts as paid.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Effect {
    pub asset: String,
    pub leases: i64,
    /// What customers paid.
    pub gross: Amount,
    pub fee: Amount,
    pub fee_then: Amount,
    pub bonus: Amount,
    pub bonus_then: Amount,
}

/// Settlements of a page.
const PAGE: i64 = 5_000;

#[derive(Queryable)]
struct Settled {
    id: TransactionId,
    seconds: i64,
    price: Amount,
    fee_ppm: i64,
    bonus_ppm: Option<i64>,
    redemption_ppm: Option<i64>,
}

/// What `rates` would have made of a market's settlements since a moment.
///
/// # Errors
/// Faults of storage only; an unknown market has no settlements.
pub fn fee_effect(tx: &mut Tx<'_>, of: &str, since: Timestamp, rates: Rates) -> Result<Effect> {
    let asset: Option<String> =
        market::table.find(of).select(market::asset).first(tx.conn).optional()?;
    let mut effect = Effect { asset: asset.unwrap_or_default(), ..Effect::default() };
    let mut after = TransactionId::NIL;
    loop {
        let page = page(tx, of, since, after)?;
        let Some(last) = page.last() else { return Ok(effect) };
        after = last.id;
        page.iter().try_for_each(|settled| fold(&mut effect, settled, rates))?;
    }
}

fn page(tx: &mut Tx<'_>, of: &str, since: Timestamp, after: TransactionId) -> Result<Vec<Settled>> {
    Ok(settlement_record::table
        .inner_join(posting::table.on(posting::id.eq(settlement_record::transaction_id)))
        .inner_join(lease::table.on(lease::id.eq(settlement_record::lease_id)))
        .filter(settlement_record::transaction_id.gt(after))
        .filter(posting::posted_at.ge(since))
        .filter(lease::market_id.eq(of))
        .order(settlement_record::transaction_id)
        .limit(PAGE)
        .select((
            settlement_record::transaction_id,
            settlement_record::seconds,
            settlement_record::price,
            settlement_record::fee_ppm,
            settlement_record::bonus_ppm,
            settlement_record::redemption_ppm,
        ))
        .load(tx.conn)?)
}

/// Pure.
fn fold(effect: &mut Effect, of: &Settled, rates: Rates) -> Result<()> {
    let gross = mul_div(of.price.0, of.seconds, 3_600, Rounding::HalfEven).map(Amount);
    let gross = gross.ok_or(Error::Ledger(ledger::Error::Overflow))?;
    let ppm = |rate: i64| u32::try_from(rate).map_err(|_| Error::Ledger(ledger::Error::BadRate));
    let apart = |fee_ppm: u32, bonus_ppm: u32| -> Result<Split> {
        let pay_in = match of.bonus_ppm {
            Some(_) => PayIn::Credits { bonus_ppm },
            None => PayIn::Cash,
        };
        Ok(split(gross, fee_ppm, pay_in, of.redemption_ppm.unwrap_or_default())?)
    };
    let was = apart(ppm(of.fee_ppm)?, ppm(of.bonus_ppm.unwrap_or_default())?)?;
    let then = apart(rates.fee_ppm, rates.bonus_ppm)?;
    let sums = [
        (&mut effect.gross, gross),
        (&mut effect.fee, was.fee),
        (&mut effect.fee_then, then.fee),
        (&mut effect.bonus, was.bonus),
        (&mut effect.bonus_then, then.bonus),
    ];
    for (sum, part) in sums {
        *sum = sum.checked_add(part).ok_or(Error::Ledger(ledger::Error::Overflow))?;
    }
    effect.leases += 1;
    Ok(())
}
