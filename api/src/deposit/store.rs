//! Deposits in the database.

use diesel::prelude::*;
use store::schema::{asset, deposit};
use store::{Amount, DepositId, PartyId, Timestamp, Tx};

use super::{Deposit, Source, State};
use crate::mail::{self, Template};
use crate::money::Money;
use crate::problem::{Code, Problem, Result};

#[derive(Queryable)]
struct Row {
    id: DepositId,
    customer_id: PartyId,
    asset: String,
    amount: Amount,
    source: String,
    reference: String,
    state: String,
    created_at: Timestamp,
    confirmed_at: Option<Timestamp>,
}

const COLUMNS: (
    deposit::id,
    deposit::customer_id,
    deposit::asset,
    deposit::amount,
    deposit::source,
    deposit::reference,
    deposit::state,
    deposit::created_at,
    deposit::confirmed_at,
) = (
    deposit::id,
    deposit::customer_id,
    deposit::asset,
    deposit::amount,
    deposit::source,
    deposit::reference,
    deposit::state,
    deposit::created_at,
    deposit::confirmed_at,
);

impl From<Row> for Deposit {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            customer_id: row.customer_id,
            amount: Money { amount: row.amount, currency: row.asset },
            source: if row.source == "test" { Source::Test } else { Source::BankTransfer },
            reference: row.reference,
            state: if row.state == "pending" { State::Pending } else { State::Confirmed },
            created_at: row.created_at,
            confirmed_at: row.confirmed_at,
        }
    }
}

/// A new deposit; of source `test` it is posted at once.
pub fn create(
    tx: &mut Tx<'_>,
    customer: PartyId,
    money: &Money,
    source: Source,
) -> Result<Deposit> {
    check(tx, money)?;
    let id: DepositId = tx.id();
    diesel::insert_into(deposit::table)
        .values((
            deposit::id.eq(id),
            deposit::customer_id.eq(customer),
            deposit::asset.eq(&money.currency),
            deposit::amount.eq(money.amount),
            deposit::source.eq(match source {
                Source::BankTransfer => "bank_transfer",
                Source::Test => "test",
            }),
            deposit::reference.eq(reference(id)),
            deposit::state.eq("pending"),
            deposit::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    match source {
        Source::BankTransfer => get(tx, id),
        Source::Test => book(tx, id, None),
    }
}

/// What a deposit may be: money, above zero, in whole cents as banks move it.
fn check(tx: &mut Tx<'_>, money: &Money) -> Result<()> {
    let amount = |code| Err(Problem::new(code).at("/amount/amount", money.amount.to_string()));
    if !money.amount.is_positive() {
        return amount(Code::AmountNotPositive);
    }
    if money.amount != money.amount.whole_cents() {
        return amount(Code::AmountNotInCents);
    }
    let known = asset::table
        .filter(asset::code.eq(&money.currency).and(asset::redemption_asset.is_null()))
        .select(asset::code)
        .first::<String>(tx.conn)
        .optional()?;
    if known.is_none() {
        let problem = Problem::new(Code::UnknownCurrency);
        return Err(problem.at("/amount/currency", "not a currency of ours"));
    }
    Ok(())
}

/// Posts a pending deposit to its customer's wallet.
pub fn confirm(tx: &mut Tx<'_>, id: DepositId, by: PartyId) -> Result<Deposit> {
    let confirmed = book(tx, id, Some(by))?;
    let amount = confirmed.amount.clone();
    mail::enqueue(tx, confirmed.customer_id, &Template::DepositConfirmed { amount })?;
    Ok(confirmed)
}

fn book(tx: &mut Tx<'_>, id: DepositId, by: Option<PartyId>) -> Result<Deposit> {
    // The change of state first: it locks the row, and of two at once one finds it changed.
    let pending = deposit::id.eq(id).and(deposit::state.eq("pending"));
    let changed = diesel::update(deposit::table.filter(pending))
        .set((
            deposit::state.eq("confirmed"),
            deposit::confirmed_by.eq(by),
            deposit::confirmed_at.eq(Some(tx.now)),
        ))
        .execute(tx.conn)?;
    let found = get(tx, id)?;
    if changed == 0 {
        return Err(Problem::new(Code::WrongState).detail("The deposit was confirmed before."));
    }
    let Money { amount, currency } = &found.amount;
    let posted = ledger::chart::deposit(tx, id, found.customer_id, currency, *amount)?;
    diesel::update(deposit::table.find(id))
        .set(deposit::transaction_id.eq(Some(posted.id)))
        .execute(tx.conn)?;
    Ok(found)
}

fn get(tx: &mut Tx<'_>, id: DepositId) -> Result<Deposit> {
    let row: Option<Row> = deposit::table.find(id).select(COLUMNS).first(tx.conn).optional()?;
    row.map(Deposit::from).ok_or_else(|| Problem::new(Code::NotFound))
}

/// A customer's deposits, or everybody's that are pending.
pub fn list(
    tx: &mut Tx<'_>,
    customer: Option<PartyId>,
    after: Option<DepositId>,
    rows: i64,
) -> Result<Vec<Deposit>> {
    let page = deposit::table
        .filter(deposit::id.gt(after.unwrap_or(DepositId::NIL)))
        .order(deposit::id)
        .limit(rows)
        .select(COLUMNS);
    let rows: Vec<Row> = match customer {
        Some(customer) => page.filter(deposit::customer_id.eq(customer)).load(tx.conn)?,
        None => page.filter(deposit::state.eq("pending")).load(tx.conn)?,
    };
    Ok(rows.into_iter().map(Deposit::from).collect())
}

/// Eight characters that nobody misreads, from the id's last 40 bits, which are random.
fn reference(id: DepositId) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let bits = id.as_bytes()[11..].iter().fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
    let sign = |place: u64| char::from(ALPHABET[(bits >> (5 * place) & 31) as usize]);
    let part = |from: u64| (from..from + 4).map(sign).collect::<String>();
    format!("DW-{}-{}", part(0), part(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_readable_and_differ() {
        let id =
            |last| DepositId::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 0, 17, 1, last]);
        assert_eq!(reference(id(0)).len(), "DW-7K3M-9QXZ".len());
        assert_ne!(reference(id(0)), reference(id(1)));
    }
}
