//! Paying for a lease.

use store::{Amount, HoldId, LeaseId, PartyId, Rounding, Timestamp, Tx, mul_div};

use super::{Assets, Credit, Line, PayIn, Record, SettlementRecord, Template, command, split};
use crate::command::Command;
use crate::fingerprint::{Encoder, Fingerprint};
use crate::{Code, Error, Kind, Posted, Result, engine};

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
    /// Billed time, whole seconds.
    pub seconds: i64,
    /// Clearing price per lane-hour, micro-units of `asset`.
    pub price: Amount,
    /// What the customer pays, over zero, micro-units of `asset`: price × seconds / 3600, rounded
    /// half to even.
    pub amount: Amount,
    /// The platform's part of it, parts per million.
    pub fee_ppm: u32,
    pub pay_in: PayIn,
    /// When the lease ended. A part of the body: a retry names the same moment.
    pub effective_at: Timestamp,
}

/// Pays for a lease out of the job's hold: debit CustomerWallet, credit FeeIncome and either
/// OwnerCash or CreditClearing, which BonusExpense adds to and OwnerCredits has the counterpart of.
/// Price, time and rates are kept beside it.
///
/// # Errors
/// Those of [`split`] and [`crate::capture_hold`], [`Error::WrongAmount`], [`Error::UnknownAsset`],
/// [`Error::NotRedeemable`].
pub fn settle(tx: &mut Tx<'_>, settlement: &Settlement) -> Result<Posted> {
    engine::run_one(tx, &Command::from(settlement.clone()))?.posted()
}

impl From<Settlement> for Command {
    fn from(settlement: Settlement) -> Self {
        let Settlement { lease, hold, effective_at, .. } = settlement;
        let print = encode(&settlement);
        let template = Template::Settlement(settlement);
        let key = lease.to_string();
        command(key, Kind::Settlement, Some(effective_at), Some(hold), template, print)
    }
}

fn encode(settlement: &Settlement) -> Fingerprint {
    let command = Encoder::new("settlement")
        .id(settlement.lease)
        .id(settlement.hold)
        .id(settlement.customer)
        .id(settlement.owner)
        .text(&settlement.asset)
        .amount(settlement.amount)
        .number(settlement.fee_ppm.into())
        .moment(Some(settlement.effective_at))
        .number(settlement.seconds)
        .amount(settlement.price);
    match settlement.pay_in {
        PayIn::Cash => command.text("cash").end(),
        PayIn::Credits { bonus_ppm } => command.text("credits").number(bonus_ppm.into()).end(),
    }
}

/// The lines of a settlement. Pure.
pub(super) fn plan(
    settlement: &Settlement,
    assets: &Assets,
) -> Result<(Vec<Line>, Option<Record>)> {
    let Settlement { customer, owner, asset, amount, fee_ppm, pay_in, .. } = settlement;
    let Settlement { lease, seconds, price, .. } = *settlement;
    // Fee and amount by themselves: what is wrong with them comes before the asset.
    split(*amount, *fee_ppm, PayIn::Cash, 0)?;
    let expected = mul_div(price.0, seconds, 3_600, Rounding::HalfEven).map(Amount);
    if expected != Some(*amount) {
        return Err(Error::WrongAmount { amount: *amount });
    }
    assets.least(asset)?;
    let credit = match pay_in {
        PayIn::Cash => None,
        PayIn::Credits { .. } => Some(assets.credit(asset)?),
    };
    let redemption_ppm = credit.map(|credit| credit.redemption_ppm);
    let split = split(*amount, *fee_ppm, *pay_in, redemption_ppm.unwrap_or_default())?;
    let mut lines = vec![
        Line::debit(Code::CustomerWallet, *customer, asset, *amount),
        Line::credit(Code::FeeIncome, PartyId::NIL, asset, split.fee),
        Line::credit(Code::OwnerCash, *owner, asset, split.owner_cash),
    ];
    if let Some(Credit { code, .. }) = credit {
        lines.extend([
            Line::debit(Code::BonusExpense, PartyId::NIL, asset, split.bonus),
            Line::credit(Code::CreditClearing, PartyId::NIL, asset, split.credit_value),
            Line::debit(Code::CreditClearing, PartyId::NIL, code, split.owner_credits),
            Line::credit(Code::OwnerCredits, *owner, code, split.owner_credits),
        ]);
    }
    lines.retain(|line| line.amount != Amount::ZERO);
    let bonus_ppm = match pay_in {
        PayIn::Cash => None,
        PayIn::Credits { bonus_ppm } => Some(i64::from(*bonus_ppm)),
    };
    let fee_ppm = i64::from(*fee_ppm);
    let record = SettlementRecord { lease, seconds, price, fee_ppm, bonus_ppm, redemption_ppm };
    Ok((lines, Some(Record::Settlement(record))))
}
