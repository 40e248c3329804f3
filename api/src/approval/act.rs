//! Doing what was proposed.

use ::store::schema::{asset, finance_limit};
use ::store::{Amount, ApprovalId, Day, PartyId, TransactionId, Tx};
use diesel::prelude::*;
use ledger::report::{AsOf, account_as_of};
use ledger::{Command, Kind, Late, Leg, NewTransaction, Outcome, Refund, Reversal};

use super::model::{Fee, Journal, JournalLeg, LargeRefund, Limit, Proposal};
use crate::problem::{Code, Problem, Result};

/// Who and why.
pub(super) struct Deed<'a> {
    pub id: ApprovalId,
    pub by: PartyId,
    pub approved_by: PartyId,
    pub reason: &'a str,
}

/// Does it, and names what was made.
///
/// # Errors
/// What cannot be done; nothing is done then if the caller's transaction is rolled back.
pub(super) fn execute(tx: &mut Tx<'_>, deed: &Deed<'_>, proposal: &Proposal) -> Result<String> {
    match proposal {
        Proposal::Journal(journal) => post(tx, deed, journal),
        Proposal::Refund(refund) => give_back(tx, deed, refund),
        Proposal::Fee(fee) => set_fee(tx, deed, fee),
        Proposal::Limit(limit) => set_limit(tx, deed, limit),
    }
}

impl Deed<'_> {
    /// Runs a command that leads back to its proposal.
    fn run(&self, tx: &mut Tx<'_>, command: Command) -> Result<TransactionId> {
        let tags = [
            ("by", self.by.to_string()),
            ("approved_by", self.approved_by.to_string()),
            ("approval", self.id.to_string()),
        ];
        let tagged = |command: Command, (name, value): &(&str, String)| command.tagged(name, value);
        let command = tags.iter().fold(command, tagged);
        let posted = ledger::run(tx, &command).and_then(Outcome::posted);
        Ok(posted.map_err(refused)?.id)
    }
}

fn post(tx: &mut Tx<'_>, deed: &Deed<'_>, journal: &Journal) -> Result<String> {
    let Journal { effective_on, reverse_on, legs } = journal;
    if *effective_on > Day::of(tx.now) {
        return Err(invalid("/proposal/effective_on", "today or before"));
    }
    if reverse_on.is_some_and(|day| day <= *effective_on) {
        return Err(invalid("/proposal/reverse_on", "after the day on which it counts"));
    }
    let legs = legs.iter().zip(0..).map(leg).collect::<Result<Vec<Leg>>>()?;
    let key = deed.id.to_string();
    let new = NewTransaction {
        metadata: [("reason".to_owned(), deed.reason.to_owned())].into(),
        late: Late::Adjust,
        ..NewTransaction::new(&key, Kind::Adjustment, &key, effective_on.start(), legs.clone())
    };
    let made = deed.run(tx, Command::post(new))?;
    if let Some(day) = reverse_on {
        check_own(tx, &legs)?;
        let reversal = Reversal {
            key: format!("{key}:reversed"),
            of: made,
            reason: deed.reason.to_owned(),
            effective_at: Some(day.start()),
        };
        deed.run(tx, Command::from(reversal))?;
    }
    Ok(made.to_string())
}

fn leg((leg, number): (&JournalLeg, usize)) -> Result<Leg> {
    let amount = match (leg.debit, leg.credit) {
        (Some(debit), None) if debit.is_positive() => debit,
        (None, Some(credit)) if credit.is_positive() => -credit,
        _ => {
            let at = format!("/proposal/legs/{number}");
            return Err(invalid(&at, "a debit or a credit, above zero"));
        }
    };
    Ok(Leg { account: leg.account, amount })
}

/// What is undone later is in the balances of now no more: that is for our own accounts alone.
fn check_own(tx: &mut Tx<'_>, legs: &[Leg]) -> Result<()> {
    for (leg, number) in legs.iter().zip(0..) {
        if account_as_of(tx, leg.account, AsOf::Now)?.party != PartyId::NIL {
            let at = format!("/proposal/legs/{number}/account");
            return Err(invalid(&at, "an accrual is of the platform's own accounts"));
        }
    }
    Ok(())
}

fn give_back(tx: &mut Tx<'_>, deed: &Deed<'_>, refund: &LargeRefund) -> Result<String> {
    let LargeRefund { transaction, account, amount } = refund;
    let asset = ledger::account_asset(tx, *account).map_err(refused)?;
    if asset != amount.currency {
        return Err(invalid("/proposal/amount/currency", &format!("the account is in {asset}")));
    }
    let refund = Refund {
        key: deed.id.to_string(),
        of: *transaction,
        account: *account,
        amount: amount.amount,
        reason: deed.reason.to_owned(),
    };
    Ok(deed.run(tx, Command::from(refund))?.to_string())
}

fn set_fee(tx: &mut Tx<'_>, deed: &Deed<'_>, fee: &Fee) -> Result<String> {
    let Fee { market, from, fee_ppm, credit_bonus_ppm } = fee;
    scheduler::market::set_fee(tx, deed.by, market, *from, *fee_ppm, *credit_bonus_ppm)?;
    Ok(format!("{market} from {from}"))
}

fn set_limit(tx: &mut Tx<'_>, deed: &Deed<'_>, limit: &Limit) -> Result<String> {
    let Limit { from, refund } = limit;
    if *from <= tx.now {
        return Err(invalid("/proposal/from", "in the future"));
    }
    if refund.amount < Amount::ZERO {
        return Err(invalid("/proposal/refund/amount", "not below zero"));
    }
    let known = asset::table.find(&refund.currency).count().get_result::<i64>(tx.conn)?;
    if known == 0 {
        return Err(invalid("/proposal/refund/currency", "not a currency of ours"));
    }
    let key = ("refund", refund.currency.as_str(), *from);
    let taken: i64 = finance_limit::table.find(key).count().get_result(tx.conn)?;
    if taken > 0 {
        return Err(invalid("/proposal/from", "another limit begins then"));
    }
    diesel::insert_into(finance_limit::table)
        .values((
            finance_limit::name.eq("refund"),
            finance_limit::asset.eq(&refund.currency),
            finance_limit::from_at.eq(*from),
            finance_limit::amount.eq(refund.amount),
            finance_limit::approval_id.eq(Some(deed.id)),
        ))
        .execute(tx.conn)?;
    Ok(format!("{} from {from}", refund.currency))
}

fn invalid(pointer: &str, why: &str) -> Problem {
    Problem::new(Code::InvalidBody).at(pointer, why)
}

/// What the book says against legs that a person wrote.
fn refused(error: ledger::Error) -> Problem {
    use ledger::Error as E;
    match &error {
        E::UnknownAccount(_)
        | E::SameAccount(_)
        | E::Unbalanced { .. }
        | E::TooFine { .. }
        | E::ZeroLeg
        | E::NoLegs
        | E::TooManyLegs => invalid("/proposal", &error.to_string()),
        _ => error.into(),
    }
}
