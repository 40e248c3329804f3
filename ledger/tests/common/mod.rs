//! What the ledger's tests share.
#![allow(dead_code, clippy::unwrap_used)]

use ledger::{
    Balance, Code, Error, Kind, Leg, NewHold, NewTransaction, check, open_account, party_balance,
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
