//! What has to be done before a month is closed, found in the books.

use ::store::schema::{deposit, hold, lease};
use ::store::{Amount, Day, Month, Timestamp, Tx};
use diesel::prelude::*;
use ledger::Code;
use ledger::report::{AsOf, trial_balance_as_of};

use crate::Result;

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub name: &'static str,
    /// What it means, and what to do.
    pub about: &'static str,
    /// How many there are; none is as it should be.
    pub open: i64,
    /// The month is not closed while there are any, unless somebody says why.
    pub blocks: bool,
}

/// The list of a month. It counts rows of the month's end and before; what has been put right since
/// is not on it.
///
/// # Errors
/// Faults of storage only.
pub fn check_list(tx: &mut Tx<'_>, month: Month) -> Result<Vec<Item>> {
    let end = month.end();
    let last = Day(month.next().first_day().0.saturating_sub(1));
    let trial = trial_balance_as_of(tx, AsOf::Booked(last))?;
    let out = trial.iter().fold(std::collections::BTreeMap::new(), |mut sums, line| {
        let sum: &mut i128 = sums.entry(line.asset.as_str()).or_default();
        *sum += i128::from(line.debit.0) - i128::from(line.credit.0);
        sums
    });
    let unbalanced = out.values().filter(|sum| **sum != 0).count();
    let under_way = trial
        .iter()
        .filter(|line| line.code == Code::PayoutClearing)
        .filter(|line| line.debit != Amount::ZERO || line.credit != Amount::ZERO)
        .count();
    Ok(vec![
        Item {
            name: "unsettled_leases",
            about: "Leases that ended in the month or before and are not settled: what they cost \
                    would be booked in the next month. Wait, or see what keeps their results.",
            open: unsettled_leases(tx, end)?,
            blocks: true,
        },
        Item {
            name: "overdue_holds",
            about: "Holds whose time was over by the month's end and that keep money back still.",
            open: overdue_holds(tx, end)?,
            blocks: true,
        },
        Item {
            name: "assets_out_of_balance",
            about: "Assets in which debits are not credits. Run `driveway ledger check`.",
            open: count(unbalanced),
            blocks: true,
        },
        Item {
            name: "payouts_unconfirmed",
            about: "Currencies with payouts that were ordered and are not on the bank's statement.",
            open: count(under_way),
            blocks: false,
        },
        Item {
            name: "transfers_not_come",
            about: "Transfers that customers announced in the month or before, and that have not \
                    come.",
            open: transfers_not_come(tx, end)?,
            blocks: false,
        },
    ])
}

fn count(of: usize) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}

fn unsettled_leases(tx: &mut Tx<'_>, end: Timestamp) -> Result<i64> {
    let unsettled =
        lease::table.filter(lease::settled_at.is_null()).filter(lease::ended_at.lt(Some(end)));
    Ok(unsettled.count().get_result(tx.conn)?)
}

fn overdue_holds(tx: &mut Tx<'_>, end: Timestamp) -> Result<i64> {
    let overdue = hold::table.filter(hold::open.eq(true)).filter(hold::expires_at.lt(Some(end)));
    Ok(overdue.count().get_result(tx.conn)?)
}

fn transfers_not_come(tx: &mut Tx<'_>, end: Timestamp) -> Result<i64> {
    let pending =
        deposit::table.filter(deposit::state.eq("pending")).filter(deposit::created_at.lt(end));
    Ok(pending.count().get_result(tx.conn)?)
}
