//! From a payout back to what earned it.

use ::store::schema::{entry, ledger_transaction as posting, payout, settlement_record};
use ::store::{AccountId, Amount, LeaseId, PayoutId, Timestamp, TransactionId, Tx};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};

use super::cell::row;
use super::error::overflow;
use super::{Column, Error, Param, Question, Report, Result, Rows};

pub(super) const REPORT: Report = Report {
    name: "payout_transactions",
    title: "Payout to transactions",
    about: "The earnings that a payout paid, oldest first: what was earned first is paid first. \
            `paid` is the part of each that this payout paid; together they are the payout.",
    takes: &[Param::Payout],
    columns: &[
        Column::text("transaction"),
        Column::text("kind"),
        Column::text("subject"),
        Column::text("lease"),
        Column::time("posted_at"),
        Column::integer("number"),
        Column::amount("earned"),
        Column::amount("paid"),
    ],
    rows,
};

/// Entries of a page.
const PAGE: i64 = 1_000;

#[derive(Queryable)]
struct Earning {
    transaction: TransactionId,
    kind: String,
    subject: String,
    lease: Option<LeaseId>,
    posted_at: Timestamp,
    number: i64,
    /// Debits are positive.
    amount: Amount,
}

fn rows(tx: &mut Tx<'_>, question: &Question, rows: &mut dyn Rows) -> Result<()> {
    let id = question.payout.ok_or_else(|| Error::Question("name the `payout`".to_owned()))?;
    let (account, upto, amount) = ordered(tx, id)?;
    // Of all that was ever earned, this payout paid what comes after what was taken before it.
    let mut before = taken_before(tx, account, upto)?;
    let (mut after, mut left) = (0, amount);
    while left.is_positive() {
        let page = earnings(tx, account, after, upto)?;
        let Some(last) = page.last() else {
            return Err(Error::Disagrees(format!("{left} of {id} was never earned")));
        };
        after = last.number;
        for earning in page {
            let earned = earning.amount.0.checked_neg().map(Amount).ok_or_else(overflow)?;
            let skipped = before.min(earned);
            before = before - skipped;
            let paid = left.min(earned - skipped);
            left = left - paid;
            if paid.is_positive() {
                let Earning { transaction, kind, subject, lease, posted_at, number, .. } = earning;
                let (transaction, lease) = (transaction.to_string(), lease.map(|l| l.to_string()));
                row!(
                    rows,
                    &transaction,
                    &kind,
                    &subject,
                    lease.as_ref(),
                    posted_at,
                    number,
                    earned,
                    paid,
                )?;
            }
        }
    }
    Ok(())
}

/// The owner's account, the number of the entry that took the payout from it, and the payout.
fn ordered(tx: &mut Tx<'_>, id: PayoutId) -> Result<(AccountId, i64, Amount)> {
    let row: Option<(Option<TransactionId>, Amount)> = payout::table
        .find(id)
        .select((payout::transaction_id, payout::amount))
        .first(tx.conn)
        .optional()?;
    let refuse = |why: &str| Error::Question(format!("{id} {why}"));
    let (transaction, amount) = row.ok_or_else(|| refuse("is no payout"))?;
    let transaction = transaction.ok_or_else(|| refuse("was not paid out yet"))?;
    let (account, number) = entry::table
        .filter(entry::transaction_id.eq(transaction))
        .filter(entry::amount.gt(Amount::ZERO))
        .select((entry::account_id, entry::number))
        .first(tx.conn)?;
    Ok((account, number, amount))
}

fn taken_before(tx: &mut Tx<'_>, account: AccountId, number: i64) -> Result<Amount> {
    let sum: Option<Amount> = entry::table
        .filter(entry::account_id.eq(account))
        .filter(entry::number.lt(number))
        .filter(entry::amount.gt(Amount::ZERO))
        .select(sql::<Nullable<BigInt>>("CAST(SUM(entry.amount) AS BIGINT)"))
        .first(tx.conn)?;
    Ok(sum.unwrap_or_default())
}

fn earnings(tx: &mut Tx<'_>, account: AccountId, after: i64, upto: i64) -> Result<Vec<Earning>> {
    Ok(entry::table
        .inner_join(posting::table.on(posting::id.eq(entry::transaction_id)))
        .left_join(settlement_record::table.on(settlement_record::transaction_id.eq(posting::id)))
        .filter(entry::account_id.eq(account))
        .filter(entry::number.gt(after))
        .filter(entry::number.lt(upto))
        .filter(entry::amount.lt(Amount::ZERO))
        .order(entry::number)
        .limit(PAGE)
        .select((
            posting::id,
            posting::kind,
            posting::subject,
            settlement_record::lease_id.nullable(),
            posting::posted_at,
            entry::number,
            entry::amount,
        ))
        .load(tx.conn)?)
}
