//! A small book with a row of everything, and its sealer.
#![allow(dead_code)]

use ledger::proof::{Extent, PublicKey, Sealed, Signer, VerifyReport, seal, verify};
use ledger::{
    Code, Error, NewTransaction, capture_hold, chart, expire_holds, open_account, period,
    place_hold, post, release_hold,
};
use store::testing::TestDb;
use store::{Amount, LeaseId, Month, PartyId, Store, TransactionId, Tx};

use crate::common::{PayIn, People, new_hold, read, transfer, usd, write};

pub fn signer() -> Signer {
    Signer::from_seed(&[7; 32]).unwrap()
}

pub fn keys() -> [PublicKey; 1] {
    [signer().public()]
}

pub fn seal_now(store: &Store, extent: Extent) -> Sealed {
    seal(store, &signer(), extent).unwrap()
}

/// Everything sealed holds.
pub fn assert_holds(store: &Store) -> VerifyReport {
    let report = read(store, |tx| verify(tx, &keys()));
    assert!(report.holds(), "{:#?}", report.tampered);
    report
}

/// Deposits, settlements in cash and credits, a conversion, a correction, holds that ended each way
/// and one that is open, and months in every state.
pub fn rich_book(db: &TestDb) -> People {
    let people = People::with(db, usd(100));
    write(&db.store, |tx| {
        let hold = place_hold(tx, &new_hold("job", people.wallet, usd(40)))?.id;
        let lease: LeaseId = tx.id();
        let settled = chart::settle(tx, &people.settlement(lease, hold, usd(10)))?;
        the_rest(tx, &people, settled.id)?;
        let lease: LeaseId = tx.id();
        let in_credits = chart::Settlement {
            pay_in: PayIn::Credits { bonus_ppm: 100_000 },
            ..people.settlement(lease, hold, usd(5))
        };
        chart::settle(tx, &in_credits)?;
        let released = place_hold(tx, &new_hold("released", people.wallet, usd(1)))?.id;
        release_hold(tx, released)?;
        let captured = place_hold(tx, &new_hold("captured", people.wallet, usd(2)))?.id;
        let bank = open_account(tx, Code::Bank, PartyId::NIL, "USD")?;
        capture_hold(tx, captured, &transfer("capture", people.wallet, bank, usd(2)))?;
        let expires_at = Some(tx.now);
        let short = ledger::NewHold { expires_at, ..new_hold("short", people.wallet, usd(3)) };
        place_hold(tx, &short)?;
        expire_holds(tx, 10)?;
        let euros: PartyId = tx.id();
        let deposit = tx.id();
        chart::deposit(tx, deposit, euros, "EUR", Amount(1_234_567)).map(drop)
    });
    people
}

/// A conversion, a correction with metadata, and months in every state.
fn the_rest(tx: &mut Tx<'_>, people: &People, settled: TransactionId) -> Result<(), Error> {
    let conversion = chart::Conversion {
        key: "change".to_owned(),
        customer: people.customer,
        sold_asset: "USD".to_owned(),
        sold: usd(1),
        bought_asset: "EUR".to_owned(),
        rate_ppm: 900_000,
    };
    chart::convert(tx, &conversion)?;
    let metadata = [("order", "A-1"), ("team", "blue")];
    let correction = NewTransaction {
        corrects: Some(settled),
        metadata: metadata.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..transfer("correction", people.cash, people.wallet, usd(1))
    };
    post(tx, &correction)?;
    let (ann, ben): (PartyId, PartyId) = (tx.id(), tx.id());
    let [soft, closed, reopening, open] =
        ["2026-07", "2026-08", "2026-09", "2026-10"].map(|m| Month::parse(m).unwrap());
    period::soft_close(tx, soft, ann, "because")?;
    for month in [closed, reopening, open] {
        period::close(tx, month, ann, "because")?;
    }
    for month in [reopening, open] {
        period::ask_to_reopen(tx, month, ann, "because")?;
    }
    period::reopen(tx, open, ben, "because")
}
