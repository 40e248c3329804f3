//! What was paid or earned in advance and not used yet, and what may never be.

use std::collections::BTreeMap;

use ::store::schema::asset;
use ::store::{Amount, Rounding, Tx, mul_div};
use diesel::prelude::*;
use ledger::Code;
use ledger::report::path;

use super::ageing::{Ages, each_aged};
use super::cell::row;
use super::error::overflow;
use super::{Column, Param, Question, Report, Result, Rows};

pub(super) const REPORT: Report = Report {
    name: "deferred_revenue",
    title: "Deferred revenue and breakage",
    about: "What customers have paid in and not spent, and the credits that owners have not \
            redeemed, by age in days; `value` is what credits are worth when they are redeemed. \
            What is over a year old is what may never be used (breakage): it is an estimate, and \
            nothing of it is booked as income.",
    takes: &[Param::AsOf, Param::By],
    columns: &[
        Column::text("place"),
        Column::text("asset"),
        Column::integer("accounts"),
        Column::amount("amount"),
        Column::amount("days_0_90"),
        Column::amount("days_91_180"),
        Column::amount("days_181_365"),
        Column::amount("days_over_365"),
        Column::text("value_asset"),
        Column::amount("value"),
        Column::amount("value_over_365"),
    ],
    rows,
};

fn rows(tx: &mut Tx<'_>, question: &Question, rows: &mut dyn Rows) -> Result<()> {
    let prepaid = [Code::CustomerWallet, Code::OwnerCredits];
    let limits = [90, 180, 365, i32::MAX];
    let mut sums = BTreeMap::<(Code, String), (i64, Ages<4>)>::new();
    for (of, ages) in each_aged(tx, question, limits, |of| prepaid.contains(&of.code))? {
        let (accounts, sum) = sums.entry((of.code, of.asset)).or_default();
        *accounts += 1;
        for (sum, part) in sum.iter_mut().zip(ages) {
            *sum = sum.checked_add(part).ok_or_else(overflow)?;
        }
    }
    let worth = worth(tx)?;
    for ((code, asset), (accounts, ages)) in sums {
        let amount =
            ages.into_iter().try_fold(Amount::ZERO, Amount::checked_add).ok_or_else(overflow)?;
        let [young, older, old, oldest] = ages;
        let rate = worth.get(&asset);
        let value = |credits: Amount| match rate {
            Some((_, ppm)) => mul_div(credits.0, *ppm, 1_000_000, Rounding::HalfEven)
                .map(|value| Some(Amount(value)))
                .ok_or_else(overflow),
            None => Ok(None),
        };
        row!(
            rows,
            path(code),
            &asset,
            accounts,
            amount,
            young,
            older,
            old,
            oldest,
            rate.map(|(redeemed_in, _)| redeemed_in),
            value(amount)?,
            value(oldest)?,
        )?;
    }
    Ok(())
}

/// What credits are redeemed in, and at which rate in parts per million.
pub(super) fn worth(tx: &mut Tx<'_>) -> Result<BTreeMap<String, (String, i64)>> {
    let rows: Vec<(String, Option<String>, Option<i64>)> = asset::table
        .filter(asset::redemption_asset.is_not_null())
        .select((asset::code, asset::redemption_asset, asset::redemption_ppm))
        .load(tx.conn)?;
    Ok(rows.into_iter().filter_map(|(code, to, ppm)| Some((code, (to?, ppm?)))).collect())
}
