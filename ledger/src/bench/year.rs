//! A year's book to read: transfers spread over the days before now, and the days summed.

use diesel::RunQueryDsl;
use store::{ManualClock, Store};

use super::Fault;
use super::load::{Load, Transfers};
use crate::{Writer, WriterConfig};

/// Transfers that are committed at once.
const BATCH: usize = 4_096;
/// Microseconds of a year of 365 days.
const YEAR_US: i64 = 365 * 86_400_000_000;

/// Posts transfers, two entries each, from Zipf's wallets to one hot account, evenly over the year
/// after the clock's moment; and sums up the days as the sealer would have.
///
/// # Errors
/// Whatever fails: nothing may.
pub fn fill_year(
    store: &Store,
    clock: &ManualClock,
    accounts: usize,
    transfers: usize,
) -> Result<(), Fault> {
    let load = Load::prepare(store, accounts)?;
    let writer = Writer::new(store.clone(), WriterConfig::default());
    let batches = transfers.div_ceil(BATCH).max(1);
    let step = YEAR_US / i64::try_from(batches)?;
    let mut source = Transfers::new(&load, store, 1);
    for _ in 0..batches {
        for answer in writer.execute_all(source.by_ref().take(BATCH).collect())? {
            answer?;
        }
        clock.advance_us(step);
    }
    store.write(|tx| {
        let sums = "INSERT INTO day_balance (account_id, day, net, upto) \
             SELECT e.account_id, t.booked_on, CAST(SUM(e.amount) AS BIGINT), MAX(e.number) \
             FROM entry e JOIN ledger_transaction t ON t.id = e.transaction_id \
             GROUP BY e.account_id, t.booked_on";
        diesel::sql_query(sums).execute(tx.conn)?;
        diesel::sql_query("ANALYZE").execute(tx.conn)?;
        Ok::<_, store::Error>(())
    })?;
    Ok(())
}
