//! The posting templates of the house. Each is one transaction with one key, the id of its subject.

mod split;
mod template;

use store::{Amount, DepositId, HoldId, LeaseId, PartyId, PayoutId, Timestamp, Tx};

use crate::posting::fingerprint::{Encoder, Fingerprint};
use crate::{Code, Error, Kind, Posted, Result};
use template::{Credit, Line, Template};

pub use split::{PayIn, Split, split};

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
    /// What the customer pays, over zero, micro-units of `asset`.
    pub amount: Amount,
    /// The platform's part of it, parts per million.
    pub fee_ppm: u32,
    pub pay_in: PayIn,
    /// When the lease ended. A part of the body: a retry names the same moment.
    pub effective_at: Timestamp,
}

/// A lease paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    pub posted: Posted,
    pub owner_cash: Amount,
    /// Micro-units of the credit.
    pub owner_credits: Amount,
    /// What the platform added to the owner's share, in the settlement's asset.
    pub bonus: Amount,
    pub fee: Amount,
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
    let command = Encoder::new("deposit").id(id).id(customer).text(asset).amount(amount);
    let template = Template {
        key: id.to_string(),
        kind: Kind::Deposit,
        effective_at: None,
        hold: None,
        fingerprint: command.end(),
    };
    template::post(tx, &template, |_| {
        if !amount.is_positive() {
            return Err(Error::NotPositive);
        }
        Ok(vec![
            Line::debit(Code::Bank, PartyId::NIL, asset, amount),
            Line::credit(Code::CustomerWallet, customer, asset, amount),
        ])
    })
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
    let command = Encoder::new("payout").id(id).id(hold).id(owner).text(asset).amount(amount);
    let template = Template {
        key: id.to_string(),
        kind: Kind::Payout,
        effective_at: None,
        hold: Some(hold),
        fingerprint: command.end(),
    };
    template::post(tx, &template, |_| {
        if !amount.is_positive() {
            return Err(Error::NotPositive);
        }
        Ok(vec![
            Line::debit(Code::OwnerCash, owner, asset, amount),
            Line::credit(Code::PayoutClearing, PartyId::NIL, asset, amount),
        ])
    })
}

/// Pays for a lease out of the job's hold: debit CustomerWallet, credit FeeIncome and either
/// OwnerCash or CreditClearing, which BonusExpense adds to and OwnerCredits has the counterpart of.
/// A replay answers what the first call booked.
///
/// # Errors
/// Those of [`split`] and [`crate::capture_hold`], [`Error::UnknownAsset`], [`Error::NotRedeemable`].
pub fn settle(tx: &mut Tx<'_>, settlement: &Settlement) -> Result<Settled> {
    let template = Template {
        key: settlement.lease.to_string(),
        kind: Kind::Settlement,
        effective_at: Some(settlement.effective_at),
        hold: Some(settlement.hold),
        fingerprint: encode(settlement),
    };
    let posted = template::post(tx, &template, |tx| {
        let credit = match settlement.pay_in {
            PayIn::Cash => None,
            PayIn::Credits { .. } => Some(template::find_credit(tx.conn, &settlement.asset)?),
        };
        plan_settlement(settlement, credit.as_ref())
    })?;
    let booked = template::load_booked(tx.conn, posted.id)?;
    let sum = |code| booked.get(&code).copied().unwrap_or_default();
    Ok(Settled {
        posted,
        owner_cash: -sum(Code::OwnerCash),
        owner_credits: -sum(Code::OwnerCredits),
        bonus: sum(Code::BonusExpense),
        fee: -sum(Code::FeeIncome),
    })
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
        .moment(Some(settlement.effective_at));
    match settlement.pay_in {
        PayIn::Cash => command.text("cash").end(),
        PayIn::Credits { bonus_ppm } => command.text("credits").number(bonus_ppm.into()).end(),
    }
}

/// The lines of a settlement. Pure.
fn plan_settlement(settlement: &Settlement, credit: Option<&Credit>) -> Result<Vec<Line>> {
    let Settlement { customer, owner, asset, amount, fee_ppm, pay_in, .. } = settlement;
    let redemption_ppm = credit.map_or(0, |credit| credit.redemption_ppm);
    let split = split(*amount, *fee_ppm, *pay_in, redemption_ppm)?;
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
    Ok(lines)
}
