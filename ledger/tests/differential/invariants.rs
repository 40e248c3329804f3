//! What always holds of a book, whatever was done to it.

use std::collections::BTreeMap;

use diesel::prelude::*;
use ledger::{Code, Error};
use store::schema::{account, balance, hold, ledger_transaction, period};
use store::testing::TestDb;
use store::{Month, Tx};

use crate::command::DAY;
use crate::state::Lines;

/// Invariants 1, 3 and 4 of the design, of what is stored.
pub fn after_commit(tx: &mut Tx<'_>) -> Result<(), Error> {
    let rows: Vec<(String, String, i64, i64)> = account::table
        .inner_join(balance::table.on(balance::account_id.eq(account::id)))
        .select((account::code, account::asset, balance::posted, balance::held))
        .load(tx.conn)?;
    let mut trial = BTreeMap::<String, i128>::new();
    for (code, asset, posted, held) in rows {
        let code = Code::parse(&code).unwrap();
        *trial.entry(asset).or_default() += i128::from(posted);
        assert!(held >= 0, "{code} holds {held}");
        // The others are credit-normal.
        let has_floor = matches!(code, Code::CustomerWallet | Code::OwnerCash | Code::OwnerCredits);
        assert!(!has_floor || -posted >= held, "{code} has {} and holds {held}", -posted);
    }
    assert!(trial.values().all(|sum| *sum == 0), "{trial:?}");
    let holds: Vec<(i64, i64, i64, bool)> = hold::table
        .select((hold::amount, hold::captured, hold::released, hold::open))
        .load(tx.conn)?;
    for (amount, captured, released, open) in holds {
        assert!(captured >= 0 && released >= 0 && captured + released <= amount);
        assert_eq!(open, captured + released < amount);
    }
    Ok(())
}

/// What was there before.
#[derive(Default)]
pub struct Watch {
    /// Transactions with their entries.
    transactions: Lines,
    /// How many transactions are booked in a month that is closed.
    closed: BTreeMap<Month, i64>,
}

impl Watch {
    /// Invariant 6: nothing is booked in a month while it is closed.
    pub fn months(&mut self, db: &TestDb) {
        let counts = db.store.read(|tx| {
            let closed: Vec<Month> = period::table
                .filter(period::state.ne("open"))
                .select(period::month)
                .load(tx.conn)?;
            let count = |month: Month| {
                let booked_on = ledger_transaction::booked_on;
                let of_month = ledger_transaction::table
                    .filter(booked_on.ge(month.first_day()))
                    .filter(booked_on.lt(month.next().first_day()));
                Ok((month, of_month.count().get_result(tx.conn)?))
            };
            closed.into_iter().map(count).collect::<Result<BTreeMap<_, _>, Error>>()
        });
        let counts = counts.unwrap();
        for (month, count) in &counts {
            assert_eq!(self.closed.get(month).unwrap_or(count), count, "{month} is closed");
        }
        self.closed = counts;
    }

    /// Invariant 2: what was once in the book is in it for ever, unchanged.
    pub fn history(&mut self, lines: &Lines) {
        let transactions = lines.iter().filter(|line| line.starts_with("transaction "));
        let transactions: Lines = transactions.cloned().collect();
        let changed: Vec<_> = self.transactions.difference(&transactions).collect();
        assert!(changed.is_empty(), "{changed:#?}");
        self.transactions = transactions;
    }
}

/// Invariant 4: every hold ends. The log has waited for longer than any lasts.
pub fn at_end(tx: &mut Tx<'_>) -> Result<(), Error> {
    let over = hold::table.filter(hold::open).filter(hold::expires_at.le(tx.now.0 - DAY));
    let left: i64 = over.count().get_result(tx.conn)?;
    assert_eq!(left, 0, "holds outlive their time");
    Ok(())
}
