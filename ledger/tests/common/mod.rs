//! What the ledger's tests share.
#![allow(dead_code, clippy::unwrap_used)]

use diesel::prelude::*;
use ledger::{
    Balance, Code, Error, Kind, Leg, NewHold, NewTransaction, check, open_account, party_balance,
};
use store::schema::{
    account, balance, conversion_record, entry, hold, hold_event, ledger_transaction, period,
    period_event, settlement_record, transaction_metadata,
};
use store::testing::TestDb;
use store::{AccountId, Amount, HoldId, LeaseId, PartyId, Store, Timestamp, Tx};

pub fn write<T>(store: &Store, work: impl FnOnce(&mut Tx<'_>) -> Result<T, Error>) -> T {
    store.write(work).unwrap()
}

pub fn read<T>(store: &Store, query: impl FnOnce(&mut Tx<'_>) -> Result<T, Error>) -> T {
    store.read(query).unwrap()
}

pub fn usd(units: i64) -> Amount {
    Amount(units * 1_000_000)
}

/// A transfer of `amount` from one account to another, both credit-normal.
pub fn transfer(key: &str, from: AccountId, to: AccountId, amount: Amount) -> NewTransaction {
    let legs = vec![Leg { account: from, amount }, Leg { account: to, amount: -amount }];
    NewTransaction::new(key, Kind::Adjustment, "test", Timestamp(1), legs)
}

pub fn new_hold(key: &str, account: AccountId, amount: Amount) -> NewHold {
    NewHold { key: key.to_owned(), account, amount, subject: "test".to_owned(), expires_at: None }
}

/// A customer with money in the wallet, and an owner.
pub struct People {
    pub customer: PartyId,
    pub owner: PartyId,
    pub wallet: AccountId,
    pub cash: AccountId,
}

impl People {
    pub fn with(db: &TestDb, amount: Amount) -> Self {
        write(&db.store, |tx| {
            let (customer, owner) = (tx.id(), tx.id());
            let wallet = open_account(tx, Code::CustomerWallet, customer, "USD")?;
            let cash = open_account(tx, Code::OwnerCash, owner, "USD")?;
            if amount.is_positive() {
                let id = tx.id();
                ledger::chart::deposit(tx, id, customer, "USD", amount)?;
            }
            Ok(Self { customer, owner, wallet, cash })
        })
    }

    pub fn balance(&self, db: &TestDb, code: Code, asset: &str) -> Balance {
        let party = match code {
            Code::CustomerWallet => self.customer,
            Code::OwnerCash | Code::OwnerCredits => self.owner,
            _ => PartyId::NIL,
        };
        read(&db.store, |tx| party_balance(tx, code, party, asset))
    }

    pub fn settlement(&self, lease: LeaseId, hold: HoldId, amount: Amount) -> Settlement {
        Settlement {
            lease,
            hold,
            customer: self.customer,
            owner: self.owner,
            asset: "USD".to_owned(),
            seconds: 1,
            price: Amount(amount.0.saturating_mul(3_600)),
            amount,
            fee_ppm: 150_000,
            pay_in: PayIn::Cash,
            effective_at: Timestamp(7),
        }
    }
}

pub use ledger::chart::{PayIn, Settlement};

pub fn assert_clean(store: &Store) -> check::CheckReport {
    let report = read(store, check::check);
    assert!(report.is_clean(), "{:#?}", report.differences);
    assert!(report.trial_balance.values().all(|sum| *sum == Amount::ZERO), "{report:?}");
    report
}

/// The fields in which a command differs from the first with its key.
pub fn fields(differs: &[ledger::Difference]) -> Vec<&'static str> {
    differs.iter().map(|difference| difference.field).collect()
}

/// Every refusal there is, by name, in order of precedence.
pub const REFUSALS: [&str; 33] = [
    "KeyReused",
    "BadKey",
    "BadText",
    "BadAsset",
    "BadRate",
    "NotPositive",
    "WrongAmount",
    "SameAsset",
    "UnknownAsset",
    "AssetExists",
    "NotRedeemable",
    "UnknownTransaction",
    "NoLegs",
    "TooManyLegs",
    "ZeroLeg",
    "SameAccount",
    "UnknownAccount",
    "TooFine",
    "Unbalanced",
    "MonthClosed",
    "MonthNotOver",
    "MonthNotClosed",
    "SamePerson",
    "AlreadyReversed",
    "AlreadyRefunded",
    "OverRefund",
    "UnknownHold",
    "NothingCaptured",
    "HoldEnded",
    "OverCapture",
    "Overflow",
    "InsufficientFunds",
    "LinkedFailed",
];

/// The lines of a table of refusals are in order of precedence.
pub fn assert_in_order<'a>(names: impl Iterator<Item = &'a str>) {
    let place = |name| REFUSALS.iter().position(|known| *known == name).unwrap();
    let places: Vec<usize> = names.map(place).collect();
    assert!(places.is_sorted(), "{places:?}");
}

/// All that a command could change.
pub type Rows = (Vec<(AccountId, i64, i64, i64)>, Vec<(HoldId, i64, i64, bool)>, [i64; 9]);

pub fn rows(tx: &mut Tx<'_>) -> Rows {
    let balances = balance::table
        .order(balance::account_id)
        .select((balance::account_id, balance::posted, balance::held, balance::entries))
        .load(tx.conn)
        .unwrap();
    let holds = hold::table
        .order(hold::id)
        .select((hold::id, hold::captured, hold::released, hold::open))
        .load(tx.conn)
        .unwrap();
    let counts = [
        account::table.count().get_result(tx.conn).unwrap(),
        ledger_transaction::table.count().get_result(tx.conn).unwrap(),
        entry::table.count().get_result(tx.conn).unwrap(),
        hold_event::table.count().get_result(tx.conn).unwrap(),
        transaction_metadata::table.count().get_result(tx.conn).unwrap(),
        settlement_record::table.count().get_result(tx.conn).unwrap(),
        conversion_record::table.count().get_result(tx.conn).unwrap(),
        period::table.count().get_result(tx.conn).unwrap(),
        period_event::table.count().get_result(tx.conn).unwrap(),
    ];
    (balances, holds, counts)
}

/// The refusal's variant.
pub fn name(error: &Error) -> String {
    let text = format!("{error:?}");
    text.split([' ', '(']).next().unwrap_or_default().to_owned()
}

/// Runs it in a transaction that goes on and commits, and compares all rows.
pub fn refused<T: std::fmt::Debug>(
    db: &TestDb,
    command: impl FnOnce(&mut Tx<'_>) -> Result<T, Error>,
) -> String {
    write(&db.store, |tx| {
        let before = rows(tx);
        let error = command(tx).unwrap_err();
        assert!(error.is_refusal(), "{error}");
        assert_eq!(rows(tx), before, "{error}");
        Ok(name(&error))
    })
}
