//! Transactions against their entries.

use std::collections::BTreeMap;

use ::store::{AnyConnection, TransactionId};

use super::store::LineRow;
use super::{CheckReport, Sum, store};
use crate::Result;
use crate::pages::Pages;

pub(super) fn check(conn: &mut AnyConnection, report: &mut CheckReport) -> Result<()> {
    let mut transactions = store::transactions();
    let mut lines = store::lines();
    while let Some(id) = transactions.next(conn)? {
        report.transactions += 1;
        skip_strays(conn, report, &mut lines, Some(id))?;
        let mut sums = BTreeMap::<Option<String>, i128>::new();
        let mut count = 0;
        while let Some(line) = lines.next_if(conn, |line| line.transaction == id)? {
            count += 1;
            report.compare("entry.line", &id, line.line, count);
            *sums.entry(line.asset).or_default() += i128::from(line.amount.0);
        }
        if count == 0 {
            report.list("transaction.entries", &id, &0, &"at least 2");
        }
        for (asset, sum) in sums {
            if sum != 0 {
                let asset = asset.unwrap_or_else(|| "no asset".to_owned());
                let stored = format!("{} {asset}", Sum(sum));
                report.list("transaction.sum", &id, &stored, &Sum(0));
            }
        }
    }
    skip_strays(conn, report, &mut lines, None)
}

/// Lists entries of transactions that are not there, up to the transaction `before`.
fn skip_strays(
    conn: &mut AnyConnection,
    report: &mut CheckReport,
    lines: &mut Pages<LineRow, (TransactionId, i32)>,
    before: Option<TransactionId>,
) -> Result<()> {
    let stray = |id: TransactionId| before.is_none_or(|before| id < before);
    while let Some(line) = lines.next_if(conn, |line| stray(line.transaction))? {
        report.list("entry.transaction_id", &line.transaction, &"an entry", &"no transaction");
    }
    Ok(())
}
