//! What we owe, by age: accounts payable.

use ::store::Tx;
use ledger::Code;
use ledger::report::path;

use super::ageing::each_aged;
use super::cell::{party_text, row};
use super::{Column, Param, Question, Report, Result, Rows};

pub(super) const REPORT: Report = Report {
    name: "payables",
    title: "Payables by age",
    about: "What is owed to owners in cash, to the state, and to the bank for payouts under way, by \
            age in days. What is left is what came last.",
    takes: &[Param::AsOf, Param::By],
    columns: &[
        Column::text("account"),
        Column::text("place"),
        Column::text("party"),
        Column::text("asset"),
        Column::amount("owed"),
        Column::amount("days_0_30"),
        Column::amount("days_31_60"),
        Column::amount("days_61_90"),
        Column::amount("days_over_90"),
    ],
    rows,
};

fn rows(tx: &mut Tx<'_>, question: &Question, rows: &mut dyn Rows) -> Result<()> {
    let owed = |code| {
        let prepaid = matches!(code, Code::CustomerWallet | Code::OwnerCredits);
        path(code).starts_with("Liabilities") && !prepaid
    };
    let limits = [30, 60, 90, i32::MAX];
    for (of, ages) in each_aged(tx, question, limits, |account| owed(account.code))? {
        let party = party_text(of.party);
        let [young, older, old, oldest] = ages;
        row!(
            rows,
            &of.account.to_string(),
            path(of.code),
            &party,
            &of.asset,
            of.balance.posted,
            young,
            older,
            old,
            oldest,
        )?;
    }
    Ok(())
}
