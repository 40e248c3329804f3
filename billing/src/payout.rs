//! Payouts: an owner asks, finance approves, the bank is told.
//!
//! # Order of locks
//! An approval posts to many accounts in one transaction, and so do settlements under their
//! market's lock: it takes the rows of all markets of its asset first, by id.

use ::store::schema::{asset, bank_file, market, payout, payout_account};
use ::store::{
    Amount, AnyConnection, BankFileId, HoldId, PartyId, PayoutId, Timestamp, TransactionId, Tx,
};
use diesel::prelude::*;
use ledger::{Code, NewHold};

use crate::bank_file::{
    BankFormat, Debtor, MAX_NAME, MAX_PAYMENT, MAX_PAYMENTS, Pain001, Payment, Run, spell,
};
use crate::{Error, Result};

/// A row of `payout`.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
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

/// Names the account that an owner is paid to, in place of the one before. Payouts that are not yet
/// approved go to the new one. The IBAN may be written in groups and in lower case.
///
/// # Errors
/// [`Error::Holder`], [`Error::Iban`].
pub fn set_payout_account(tx: &mut Tx<'_>, owner: PartyId, holder: &str, iban: &str) -> Result<()> {
    let holder = holder.trim();
    let one_line = !holder.chars().any(char::is_control);
    if holder.chars().count() > MAX_NAME || !one_line || spell(holder).is_none() {
        return Err(Error::Holder);
    }
    let iban = sepa::validate_iban(iban).map_err(|error| Error::Iban(error.to_string()))?;
    let set = (
        payout_account::holder.eq(holder),
        payout_account::iban.eq(iban.as_str()),
        payout_account::updated_at.eq(tx.now),
    );
    let upsert = diesel::insert_into(payout_account::table)
        .values((payout_account::party_id.eq(owner), set))
        .on_conflict(payout_account::party_id)
        .do_update()
        .set(set);
    match tx.conn {
        AnyConnection::Postgres(conn) => upsert.execute(conn)?,
        AnyConnection::Sqlite(conn) => upsert.execute(conn)?,
    };
    Ok(())
}

/// Asks for a payout of `amount`, or of all whole cents; it is held back until finance approves.
/// What is less than a cent stays, and so does what is over [`MAX_PAYMENT`].
///
/// # Errors
/// In this order: [`Error::NotPayable`], [`Error::NotWholeCents`], [`Error::NoPayoutAccount`],
/// [`Error::NothingToPay`] (no amount named and less than a cent there),
/// [`Error::InsufficientFunds`].
pub fn request(
    tx: &mut Tx<'_>,
    owner: PartyId,
    asset: &str,
    amount: Option<Amount>,
) -> Result<PayoutId> {
    check_payable(tx, asset)?;
    if amount.is_some_and(|amount| !amount.is_positive() || amount != amount.whole_cents()) {
        return Err(Error::NotWholeCents);
    }
    load_account(tx, owner)?;
    let available = ledger::party_balance(tx, Code::OwnerCash, owner, asset)?.available();
    let available = available.min(MAX_PAYMENT);
    let amount = amount.unwrap_or(available.whole_cents());
    if !amount.is_positive() {
        return Err(Error::NothingToPay);
    }
    if amount > available {
        return Err(Error::InsufficientFunds { available, needed: amount });
    }
    let id: PayoutId = tx.id();
    let hold = place_hold(tx, id, owner, asset, amount)?;
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

/// Money is paid out, credits are redeemed.
fn check_payable(tx: &mut Tx<'_>, code: &str) -> Result<()> {
    let redemption: Option<Option<String>> =
        asset::table.find(code).select(asset::redemption_asset).first(tx.conn).optional()?;
    match redemption {
        Some(None) => Ok(()),
        Some(Some(_)) | None => Err(Error::NotPayable(code.to_owned())),
    }
}

fn place_hold(
    tx: &mut Tx<'_>,
    id: PayoutId,
    owner: PartyId,
    asset: &str,
    amount: Amount,
) -> Result<HoldId> {
    let hold = NewHold {
        key: format!("payout:{id}"),
        account: ledger::open_account(tx, Code::OwnerCash, owner, asset)?,
        amount,
        subject: id.to_string(),
        expires_at: None,
    };
    match ledger::place_hold(tx, &hold) {
        Ok(placed) => Ok(placed.id),
        // Taken by another command since the balance was read.
        Err(ledger::Error::InsufficientFunds { available, needed, .. }) => {
            Err(Error::InsufficientFunds { available, needed })
        }
        Err(error) => Err(error.into()),
    }
}

/// Approves payouts, all or none: posts them and writes the one file that pays them, in the order
/// of their ids. That the approver may do so at all is for the caller to know.
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
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    let twice = ids.windows(2).any(|pair| pair[0] == pair[1]);
    if twice || !(1..=MAX_PAYMENTS).contains(&ids.len()) {
        return Err(Error::MixedRun);
    }
    let asset = load(tx, ids[0])?.asset;
    lock_markets(tx, &asset)?;
    let payouts = load_run(tx, approver, &ids, &asset)?;
    let mut payments = Vec::with_capacity(payouts.len());
    for row in &payouts {
        let (holder, iban) = load_account(tx, row.owner)?;
        payments.push(Payment { payout: row.id, holder, iban, amount: row.amount });
    }
    let file: BankFileId = tx.id();
    let run = Run { id: file, at: tx.now, asset: &asset, payments: &payments };
    let content = Pain001.write(debtor, &run)?;
    diesel::insert_into(bank_file::table)
        .values((
            bank_file::id.eq(file),
            bank_file::content.eq(content),
            bank_file::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    for row in &payouts {
        pay(tx, row, approver, file)?;
    }
    Ok(file)
}

fn lock_markets(tx: &mut Tx<'_>, asset: &str) -> Result<()> {
    let markets: Vec<String> = market::table
        .filter(market::asset.eq(asset))
        .order(market::id)
        .select(market::id)
        .load(tx.conn)?;
    for id in markets {
        ::store::lock_row(tx.conn, "market", &id)?;
    }
    Ok(())
}

fn load_run(
    tx: &mut Tx<'_>,
    approver: PartyId,
    ids: &[PayoutId],
    asset: &str,
) -> Result<Vec<Payout>> {
    let payouts = ids.iter().map(|id| load(tx, *id)).collect::<Result<Vec<_>>>()?;
    if payouts.iter().any(|payout| payout.asset != asset || payout.owner == approver) {
        return Err(Error::MixedRun);
    }
    match payouts.iter().find(|payout| payout.state != "requested") {
        Some(payout) => Err(Error::AlreadyApproved(payout.id)),
        None => Ok(payouts),
    }
}

fn pay(tx: &mut Tx<'_>, row: &Payout, approver: PartyId, file: BankFileId) -> Result<()> {
    // The state is asked for again, and the row kept: of two runs side by side one has lost.
    let claimed = diesel::update(payout::table.find(row.id))
        .filter(payout::state.eq("requested"))
        .set((
            payout::state.eq("approved"),
            payout::bank_file_id.eq(Some(file)),
            payout::approved_by.eq(Some(approver)),
            payout::approved_at.eq(Some(tx.now)),
        ))
        .execute(tx.conn)?;
    if claimed == 0 {
        return Err(Error::AlreadyApproved(row.id));
    }
    let posted = ledger::chart::pay_out(tx, row.id, row.hold, row.owner, &row.asset, row.amount)?;
    diesel::update(payout::table.find(row.id))
        .set(payout::transaction_id.eq(Some(posted.id)))
        .execute(tx.conn)?;
    Ok(())
}

/// A payout as it stands.
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

fn load_account(tx: &mut Tx<'_>, owner: PartyId) -> Result<(String, String)> {
    let account = payout_account::table
        .find(owner)
        .select((payout_account::holder, payout_account::iban))
        .first(tx.conn)
        .optional()?;
    account.ok_or(Error::NoPayoutAccount)
}
