//! The end of a lease, and its settlement: once, when every attempt's verdict is known.

use diesel::prelude::*;
use ledger::chart::{self, Settlement};
use store::schema::{job, lease, market, vehicle};
use store::{Amount, HoldId, LeaseId, PartyId, TransactionId, Tx};

use super::bill::{Bill, bill, seconds_of};
use super::store::{AttemptRow, LeaseRow, earmark, load_attempts, load_lease};
use crate::job::release_if_done;
use crate::{AttemptOutcome, EndReason, Error, LeaseState, PayIn, Result, Verdict};

/// Ends a live lease and settles it if nothing is pending. Until then it keeps back no more of the
/// budget than it can still cost.
pub(super) fn end_lease(tx: &mut Tx<'_>, id: LeaseId, reason: EndReason) -> Result<()> {
    let row = load_lease(tx, id)?;
    let attempts = load_attempts(tx, id)?;
    let open_us: i64 = attempts
        .iter()
        .filter(|attempt| attempt.verdict != Verdict::Unpaid)
        .map(|attempt| attempt.billable_us)
        .sum();
    let worst_s = match attempts.is_empty() {
        true => 0,
        false => seconds_of(open_us).clamp(1, row.term_s),
    };
    diesel::update(lease::table.find(id))
        .set((
            lease::state.eq(LeaseState::Ended),
            lease::ended_at.eq(Some(tx.now)),
            lease::end_reason.eq(Some(reason)),
            lease::earmark.eq(earmark(row.price, worst_s.into())?),
        ))
        .execute(tx.conn)?;
    settle_if_ready(tx, id)
}

/// Settles an ended lease whose attempts are all decided; then the job's hold may end too.
pub(crate) fn settle_if_ready(tx: &mut Tx<'_>, id: LeaseId) -> Result<()> {
    let row = load_lease(tx, id)?;
    if row.state != LeaseState::Ended {
        return Ok(());
    }
    let attempts = load_attempts(tx, id)?;
    if attempts.iter().any(is_open) {
        return Ok(());
    }
    let bill = bill(row.price, row.term_s, &attempts)
        .ok_or_else(|| Error::corrupt(format!("the bill of {id} overflows")))?;
    let transaction_id = post_settlement(tx, &row, &bill)?;
    diesel::update(lease::table.find(id))
        .set((
            lease::state.eq(LeaseState::Settled),
            lease::settled_at.eq(Some(tx.now)),
            lease::billed_s.eq(Some(bill.seconds)),
            lease::amount.eq(Some(bill.amount)),
            lease::transaction_id.eq(transaction_id),
            lease::earmark.eq(Amount::ZERO),
        ))
        .execute(tx.conn)?;
    release_if_done(tx, row.job_id)
}

fn is_open(attempt: &AttemptRow) -> bool {
    attempt.state == AttemptOutcome::Running || attempt.verdict == Verdict::Pending
}

/// Customer's hold → owner and fee, under the lease's id as the idempotency key.
fn post_settlement(tx: &mut Tx<'_>, row: &LeaseRow, bill: &Bill) -> Result<Option<TransactionId>> {
    if !bill.amount.is_positive() {
        return Ok(None);
    }
    let (customer, hold): (PartyId, HoldId) =
        job::table.find(row.job_id).select((job::customer_id, job::hold_id)).first(tx.conn)?;
    let (owner, pay_in): (PartyId, PayIn) = vehicle::table
        .find(row.vehicle_id)
        .select((vehicle::owner_id, vehicle::pay_in))
        .first(tx.conn)?;
    let asset = market::table.find(&row.market_id).select(market::asset).first(tx.conn)?;
    let ppm = |ppm: i32| u32::try_from(ppm).map_err(|_| Error::corrupt("negative rate"));
    let settled = chart::settle(
        tx,
        &Settlement {
            lease: row.id,
            hold,
            customer,
            owner,
            asset,
            seconds: bill.seconds.into(),
            price: row.price,
            amount: bill.amount,
            fee_ppm: ppm(row.fee_ppm)?,
            pay_in: match pay_in {
                PayIn::Cash => chart::PayIn::Cash,
                PayIn::Credits => chart::PayIn::Credits { bonus_ppm: ppm(row.bonus_ppm)? },
            },
            effective_at: row.ended_at.unwrap_or(tx.now),
        },
    )?;
    Ok(Some(settled.id))
}
