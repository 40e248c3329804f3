//! Payouts: an owner asks, finance approves, the bank is told.

use ::store::schema::{bank_file, payout, payout_account};
use ::store::{Amount, BankFileId, HoldId, PartyId, PayoutId, Timestamp, TransactionId, Tx};
use diesel::prelude::*;
use ledger::{Code, NewHold};

use crate::bank_file::{BankFormat, Debtor, Pain001, Payment, Run};
use crate::{Error, Result};

/// A row of `payout`.
#[derive(Clone, Debug, Queryable)]
pub struct Payout {
    pub id: PayoutId,
    pub owner: PartyId,
    pub asset: String,
    /// Whole cents, in micro-units.
    pub amount: Amount,
    /// `requested` or `approved`.
    pub state: String,
    pub hold: HoldId,
    pub transaction: Option<TransactionId>,
    pub bank_file: Option<BankFileId>,
    pub approved_by: Option<PartyId>,
    pub requested_at: Timestamp,
    pub approved_at: Option<Timestamp>,
}

/// Names the account that an owner is paid to.
///
/// # Errors
/// [`Error::Holder`], [`Error::Iban`].
pub fn set_payout_account(tx: &mut Tx<'_>, owner: PartyId, holder: &str, iban: &str) -> Result<()> {
    let holder = holder.trim();
    if !(1..=70).contains(&holder.chars().count()) {
        return Err(Error::Holder);
    }
    let iban: sepa::Iban =
        iban.parse().map_err(|error: sepa::IbanError| Error::Iban(error.to_string()))?;
    diesel::delete(payout_account::table.find(owner)).execute(tx.conn)?;
    diesel::insert_into(payout_account::table)
        .values((
            payout_account::party_id.eq(owner),
            payout_account::holder.eq(holder),
            payout_account::iban.eq(iban.as_str()),
            payout_account::updated_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(())
}

/// Asks for a payout of `amount`, or of all whole cents; it is held back until finance approves.
/// What is less than a cent stays.
///
/// # Errors
/// [`Error::NotPayable`], [`Error::NoPayoutAccount`], [`Error::NotWholeCents`],
/// [`Error::NothingToPay`], [`Error::InsufficientFunds`].
pub fn request(
    tx: &mut Tx<'_>,
    owner: PartyId,
    asset: &str,
    amount: Option<Amount>,
) -> Result<PayoutId> {
    let account = ledger::find_account(tx, Code::OwnerCash, owner, asset)?;
    let account = account.ok_or_else(|| match asset {
        "CREDIT" => Error::NotPayable(asset.to_owned()),
        _ => Error::NothingToPay,
    })?;
    load_account(tx, owner)?;
    let available = ledger::balance(tx, account)?.available();
    let amount = amount.unwrap_or_else(|| available.whole_cents());
    if !amount.is_positive() {
        return Err(Error::NothingToPay);
    }
    if amount != amount.whole_cents() {
        return Err(Error::NotWholeCents);
    }
    let id: PayoutId = tx.id();
    let hold = NewHold {
        key: format!("payout:{id}"),
        account,
        amount,
        subject: id.to_string(),
        expires_at: None,
    };
    let hold = match ledger::place_hold(tx, &hold) {
        Ok(placed) => placed.id,
        Err(ledger::Error::InsufficientFunds { available, needed, .. }) => {
            return Err(Error::InsufficientFunds { available, needed });
        }
        Err(error) => return Err(error.into()),
    };
    diesel::insert_into(payout::table)
        .values((
            payout::id.eq(id),
            payout::owner_id.eq(owner),
            payout::asset.eq(asset),
            payout::amount.eq(amount),
            payout::state.eq("requested"),
            payout::hold_id.eq(hold),
            payout::requested_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(id)
}

/// Approves payouts, all or none: posts them and writes the one file that pays them.
///
/// # Errors
/// [`Error::MixedRun`], [`Error::UnknownPayout`], [`Error::AlreadyApproved`],
/// [`Error::NoPayoutAccount`], [`Error::BankFile`].
pub fn approve(
    tx: &mut Tx<'_>,
    approver: PartyId,
    ids: &[PayoutId],
    debtor: &Debtor,
) -> Result<BankFileId> {
    // One order for everybody, so that two runs side by side wait for each other.
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    let payouts = ids.iter().map(|id| load_requested(tx, *id)).collect::<Result<Vec<_>>>()?;
    let asset = payouts.first().map(|payout| payout.asset.clone()).ok_or(Error::MixedRun)?;
    let twice = ids.windows(2).any(|pair| pair[0] == pair[1]);
    if twice || payouts.iter().any(|payout| payout.asset != asset) {
        return Err(Error::MixedRun);
    }
    let file: BankFileId = tx.id();
    let mut payments = Vec::new();
    for row in &payouts {
        let posted = ledger::chart::pay_out(tx, row.id, row.hold, row.owner, &asset, row.amount)?;
        let (holder, iban) = load_account(tx, row.owner)?;
        payments.push(Payment { payout: row.id, holder, iban, amount: row.amount });
        // The state is asked for again: of two runs side by side one has lost.
        let approved = diesel::update(payout::table.find(row.id))
            .filter(payout::state.eq("requested"))
            .set((
                payout::state.eq("approved"),
                payout::transaction_id.eq(Some(posted.id)),
                payout::bank_file_id.eq(Some(file)),
                payout::approved_by.eq(Some(approver)),
                payout::approved_at.eq(Some(tx.now)),
            ))
            .execute(tx.conn)?;
        if approved == 0 {
            return Err(Error::AlreadyApproved(row.id));
        }
    }
    let run = Run { id: file, at: tx.now, asset: &asset, payments: &payments };
    let content = Pain001.write(debtor, &run)?;
    diesel::insert_into(bank_file::table)
        .values((
            bank_file::id.eq(file),
            bank_file::content.eq(content),
            bank_file::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(file)
}

/// One payout of this owner's.
///
/// # Errors
/// [`Error::UnknownPayout`].
pub fn load(tx: &mut Tx<'_>, id: PayoutId) -> Result<Payout> {
    payout::table.find(id).first(tx.conn).optional()?.ok_or(Error::UnknownPayout(id))
}

/// The payouts after `after`, oldest first; of one owner, or of all.
pub fn list(
    tx: &mut Tx<'_>,
    owner: Option<PartyId>,
    after: Option<PayoutId>,
    limit: i64,
) -> Result<Vec<Payout>> {
    let page = payout::table.filter(payout::id.gt(after.unwrap_or(PayoutId::NIL)));
    let page = page.order(payout::id).limit(limit);
    Ok(match owner {
        Some(owner) => page.filter(payout::owner_id.eq(owner)).load(tx.conn)?,
        None => page.load(tx.conn)?,
    })
}

/// A bank file's text.
///
/// # Errors
/// [`Error::UnknownFile`].
pub fn bank_file(tx: &mut Tx<'_>, id: BankFileId) -> Result<String> {
    let content = bank_file::table.find(id).select(bank_file::content).first(tx.conn).optional()?;
    content.ok_or(Error::UnknownFile)
}

fn load_requested(tx: &mut Tx<'_>, id: PayoutId) -> Result<Payout> {
    let row = load(tx, id)?;
    if row.state == "requested" { Ok(row) } else { Err(Error::AlreadyApproved(id)) }
}

fn load_account(tx: &mut Tx<'_>, owner: PartyId) -> Result<(String, String)> {
    let account = payout_account::table
        .find(owner)
        .select((payout_account::holder, payout_account::iban))
        .first(tx.conn)
        .optional()?;
    account.ok_or(Error::NoPayoutAccount)
}
