//! Whether the money is there.

use std::collections::BTreeMap;

use ::store::{Amount, Rounding, Tx, mul_div};
use ledger::Code;
use ledger::report::{path, trial_balance_as_of};

use super::cell::row;
use super::deferred_revenue::worth;
use super::error::overflow;
use super::{Column, Param, Question, Report, Result, Rows};

pub(super) const REPORT: Report = Report {
    name: "solvency",
    title: "Solvency",
    about: "What is owed in each currency, credits at what they are redeemed for, against the money \
            at the bank; `cover` is what is left.",
    takes: &[Param::AsOf, Param::By],
    columns: &[Column::text("asset"), Column::text("line"), Column::amount("amount")],
    rows,
};

fn rows(tx: &mut Tx<'_>, question: &Question, rows: &mut dyn Rows) -> Result<()> {
    let worth = worth(tx)?;
    // By currency: what is owed under each name, and what is at the bank.
    let mut owed = BTreeMap::<String, BTreeMap<&'static str, Amount>>::new();
    let mut bank = BTreeMap::<String, Amount>::new();
    for line in trial_balance_as_of(tx, question.span.after())? {
        let credits = line.credit.checked_sub(line.debit).ok_or_else(overflow)?;
        let place = path(line.code);
        if line.code == Code::Bank {
            bank.insert(line.asset, -credits);
        } else if place.starts_with("Liabilities") {
            let (asset, amount) = match worth.get(&line.asset) {
                Some((asset, ppm)) => {
                    let value = mul_div(credits.0, *ppm, 1_000_000, Rounding::Up);
                    (asset.clone(), Amount(value.ok_or_else(overflow)?))
                }
                None => (line.asset, credits),
            };
            let sum = owed.entry(asset).or_default().entry(place).or_default();
            *sum = sum.checked_add(amount).ok_or_else(overflow)?;
        }
    }
    for asset in bank.keys().filter(|asset| !owed.contains_key(*asset)).cloned().collect::<Vec<_>>()
    {
        owed.insert(asset, BTreeMap::new());
    }
    for (asset, places) in owed {
        let total = places.values().copied().try_fold(Amount::ZERO, Amount::checked_add);
        let total = total.ok_or_else(overflow)?;
        let at_bank = bank.get(&asset).copied().unwrap_or_default();
        for (place, amount) in places {
            row!(rows, &asset, place, amount)?;
        }
        row!(rows, &asset, "owed", total)?;
        row!(rows, &asset, "at the bank", at_bank)?;
        row!(rows, &asset, "cover", at_bank.checked_sub(total).ok_or_else(overflow)?)?;
    }
    Ok(())
}
