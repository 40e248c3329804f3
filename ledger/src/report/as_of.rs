//! What an account had at some time, by the three ways in which a book counts time.
//!
//! An account's entries are in order of the moments at which they were posted, so a posted balance
//! is found by search. The days of the books are summed behind the book (`day_balance`), so a booked
//! balance is a sum of days and of the few entries after them. An effective balance is the booked one
//! and the entries that were booked on a later day than the one on which they count.

use std::collections::HashMap;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable};
use store::schema::{account, balance, day_balance, entry, ledger_transaction as posting};
use store::{AccountId, Amount, AnyConnection, Day, Timestamp, TransactionId, Tx};

use crate::account::store::parse_code;
use crate::{Code, Error, Result};

/// Up to when a book is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AsOf {
    /// All of it.
    #[default]
    Now,
    /// What was posted before this moment: what the book itself said then.
    Posted(Timestamp),
    /// What the books count up to this day and with it. A late entry counts in the first month that
    /// was open.
    Booked(Day),
    /// What took effect up to this day and with it, however late it was booked.
    Effective(Day),
}

/// What an account had, in its own direction.
///
/// By posted time it reads some tens of entries, whatever the account's length; by days it reads the
/// account's days and the entries that were not summed into them yet.
///
/// # Errors
/// [`Error::UnknownAccount`].
pub fn balance_as_of(tx: &mut Tx<'_>, account: AccountId, as_of: AsOf) -> Result<Amount> {
    let head = head(tx.conn, account)?;
    let debits = match as_of {
        AsOf::Now => head.posted,
        AsOf::Posted(before) => last_before(tx.conn, &head, before)?.balance_after,
        AsOf::Booked(day) => booked(tx.conn, &head, day)?,
        AsOf::Effective(day) => {
            let late = late(tx.conn, day)?;
            let late = late.get(&account).copied().unwrap_or_default();
            booked(tx.conn, &head, day)?.checked_add(late).ok_or(Error::Overflow)?
        }
    };
    head.code.side().own(debits).ok_or(Error::Overflow)
}

/// [`balance_as_of`] with [`AsOf::Posted`]: the opening balance of a period that starts then, and
/// the closing balance of one that ends then.
///
/// # Errors
/// [`Error::UnknownAccount`].
pub fn balance_at(tx: &mut Tx<'_>, account: AccountId, before: Timestamp) -> Result<Amount> {
    balance_as_of(tx, account, AsOf::Posted(before))
}

/// An account and its last entry.
pub(super) struct Head {
    pub id: AccountId,
    pub code: Code,
    /// Debits less credits.
    pub posted: Amount,
    /// Number of the last entry.
    pub entries: i64,
}

pub(super) fn head(conn: &mut AnyConnection, id: AccountId) -> Result<Head> {
    let row: Option<(String, Amount, i64)> = account::table
        .inner_join(balance::table.on(balance::account_id.eq(account::id)))
        .filter(account::id.eq(id))
        .select((account::code, balance::posted, balance::entries))
        .first(conn)
        .optional()?;
    let (code, posted, entries) = row.ok_or(Error::UnknownAccount(id))?;
    Ok(Head { id, code: parse_code(&code)?, posted, entries })
}

/// A place in an account's history: behind the entry of this number, 0 is before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Position {
    pub number: i64,
    /// Debits less credits.
    pub balance_after: Amount,
}

/// Entries that one step of the search looks at.
const PROBES: i64 = 15;

/// The last entry that was posted before a moment.
pub(super) fn last_before(
    conn: &mut AnyConnection,
    head: &Head,
    before: Timestamp,
) -> Result<Position> {
    let mut last = Position::default();
    // The first entry that is known not to be before the moment.
    let mut end = head.entries + 1;
    while end - last.number > 1 {
        let numbers = probes(last.number, end);
        let rows: Vec<(i64, Amount, Timestamp)> = entry::table
            .inner_join(posting::table.on(posting::id.eq(entry::transaction_id)))
            .filter(entry::account_id.eq(head.id))
            .filter(entry::number.eq_any(&numbers))
            .order(entry::number)
            .select((entry::number, entry::balance_after, posting::posted_at))
            .load(conn)?;
        if rows.len() != numbers.len() {
            return Err(Error::corrupt(&format!("{} has a gap in its entries", head.id)));
        }
        for (number, balance_after, posted_at) in rows {
            if posted_at >= before {
                end = number;
                break;
            }
            last = Position { number, balance_after };
        }
    }
    Ok(last)
}

/// Numbers that divide what lies between two others, neither of them included. The last before the
/// end is among them: most questions are about the recent past.
fn probes(after: i64, end: i64) -> Vec<i64> {
    let between = end - after - 1;
    let count = between.min(PROBES);
    (1..=count)
        .map(|n| after + (i128::from(between) * i128::from(n) / i128::from(count)) as i64)
        .collect()
}

/// Debits less credits of the days up to `day`.
fn booked(conn: &mut AnyConnection, head: &Head, day: Day) -> Result<Amount> {
    let days = days(conn, head.id, head.id, day)?;
    let (sum, upto) = days.get(&head.id).copied().unwrap_or_default();
    with_tail(conn, head.id, head.entries, (sum, upto), day)
}

/// What the summed days up to `day` come to, and the number of the last entry in any summed day, of
/// the accounts in `first..=last`.
pub(super) fn days(
    conn: &mut AnyConnection,
    first: AccountId,
    last: AccountId,
    day: Day,
) -> Result<HashMap<AccountId, (Amount, i64)>> {
    let sum = sql::<BigInt>("CAST(SUM(CASE WHEN day_balance.day <= ")
        .bind::<Integer, _>(day)
        .sql(" THEN day_balance.net ELSE 0 END) AS BIGINT)");
    let rows: Vec<(AccountId, Amount, i64)> = day_balance::table
        .filter(day_balance::account_id.ge(first))
        .filter(day_balance::account_id.le(last))
        .group_by(day_balance::account_id)
        .select((day_balance::account_id, sum, sql::<BigInt>("MAX(day_balance.upto)")))
        .load(conn)?;
    Ok(rows.into_iter().map(|(id, sum, upto)| (id, (sum, upto))).collect())
}

/// Adds the entries that are in no summed day yet.
pub(super) fn with_tail(
    conn: &mut AnyConnection,
    account: AccountId,
    entries: i64,
    (sum, upto): (Amount, i64),
    day: Day,
) -> Result<Amount> {
    if entries <= upto {
        return Ok(sum);
    }
    let first: TransactionId = entry::table
        .filter(entry::account_id.eq(account))
        .filter(entry::number.eq(upto + 1))
        .select(entry::transaction_id)
        .first(conn)?;
    let tail: Option<Amount> = entry::table
        .inner_join(posting::table.on(posting::id.eq(entry::transaction_id)))
        .filter(entry::account_id.eq(account))
        .filter(entry::number.gt(upto))
        // Says nothing new, but a planner that knows it does not read all transactions.
        .filter(posting::id.ge(first_id(moment_of(first).plus_us(-SKEW_US))))
        .filter(posting::booked_on.le(day))
        .select(sql::<Nullable<BigInt>>("CAST(SUM(entry.amount) AS BIGINT)"))
        .first(conn)?;
    sum.checked_add(tail.unwrap_or_default()).ok_or(Error::Overflow)
}

type Sums = HashMap<AccountId, Amount>;

/// Transactions of one question: planners count on a few when they are named.
const CHUNK: usize = 500;

/// What took effect up to `day` but is booked after it, by account. In two steps: planners think late
/// entries many, and would read the whole book to join them.
pub(super) fn late(conn: &mut AnyConnection, day: Day) -> Result<Sums> {
    let transactions: Vec<TransactionId> = posting::table
        // As the index of late entries has it.
        .filter(sql::<Bool>(
            "ledger_transaction.booked_on > ledger_transaction.effective_at / 86400000000",
        ))
        .filter(posting::booked_on.gt(day))
        .filter(posting::effective_at.lt(day.next().start()))
        .select(posting::id)
        .load(conn)?;
    let mut sums = Sums::new();
    for chunk in transactions.chunks(CHUNK) {
        let rows: Vec<(AccountId, Amount)> = entry::table
            .filter(entry::transaction_id.eq_any(chunk))
            .select((entry::account_id, entry::amount))
            .load(conn)?;
        for (account, amount) in rows {
            let sum = sums.entry(account).or_default();
            *sum = sum.checked_add(amount).ok_or(Error::Overflow)?;
        }
    }
    Ok(sums)
}

/// What was posted at a moment or since, by account. It reads those transactions only.
pub(super) fn since(conn: &mut AnyConnection, from: Timestamp) -> Result<Sums> {
    let rows: Vec<(AccountId, Amount)> = posting::table
        .inner_join(entry::table.on(entry::transaction_id.eq(posting::id)))
        .filter(posting::id.ge(first_id(from.plus_us(-SKEW_US))))
        .filter(posting::posted_at.ge(from))
        .group_by(entry::account_id)
        .select((entry::account_id, sql::<BigInt>("CAST(SUM(entry.amount) AS BIGINT)")))
        .load(conn)?;
    Ok(rows.into_iter().collect())
}

/// How far a transaction's id can be from the moment at which it was posted: the clocks of processes
/// that post to one account need not agree to this.
pub(super) const SKEW_US: i64 = 3_600_000_000;

/// No id of this moment or later is under this one.
pub(crate) fn first_id(at: Timestamp) -> TransactionId {
    let ms = u128::try_from(at.0.max(0) / 1_000).unwrap_or_default();
    TransactionId::from_bytes((ms << 80).to_be_bytes())
}

/// The moment at which an id was made, to the millisecond.
fn moment_of(id: TransactionId) -> Timestamp {
    let ms = u128::from_be_bytes(*id.as_bytes()) >> 80;
    Timestamp(i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_lie_between_and_end_before_the_end() {
        for (after, end) in [(0, 2), (0, 3), (7, 30), (0, 10_000_001), (0, i64::MAX)] {
            let probes = probes(after, end);
            assert!(probes.windows(2).all(|pair| pair[0] < pair[1]), "{probes:?}");
            assert!(probes[0] > after && probes.last() == Some(&(end - 1)), "{probes:?}");
        }
        assert!(probes(4, 5).is_empty());
    }

    #[test]
    fn ids_follow_the_moments() {
        let ids = store::IdSource::seeded(3);
        for us in [0, 999, 1_000, 1_795_478_400_000_000] {
            let id: TransactionId = ids.id(Timestamp(us));
            assert!(first_id(Timestamp(us)) <= id && id < first_id(Timestamp(us + 1_000)));
            assert_eq!(moment_of(id), Timestamp(us / 1_000 * 1_000));
        }
    }
}
