//! A small book with a row of everything, and its sealer.
#![allow(dead_code)]

use diesel::prelude::*;
use ledger::proof::{Extent, PublicKey, Sealed, Signer, VerifyReport, seal, verify};
use ledger::{Code, capture_hold, chart, expire_holds, open_account, place_hold, release_hold};
use store::testing::TestDb;
use store::{Amount, LeaseId, PartyId, Store, Tx};

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

/// Deposits, settlements in cash and credits, holds that ended each way and one that is open, and by
/// hand what explains them.
pub fn rich_book(db: &TestDb) -> People {
    let people = People::with(db, usd(100));
    write(&db.store, |tx| {
        let hold = place_hold(tx, &new_hold("job", people.wallet, usd(40)))?.id;
        let lease: LeaseId = tx.id();
        let settled = chart::settle(tx, &people.settlement(lease, hold, usd(10)))?;
        explain(tx, settled.posted.id, lease);
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

/// What no template of these tests writes.
fn explain(tx: &mut Tx<'_>, id: store::TransactionId, lease: LeaseId) {
    use store::schema::{
        conversion_record as conversion, period, period_event, settlement_record as settlement,
        transaction_metadata as metadata,
    };
    let rows = [("order", "A-1"), ("team", "blue")];
    for (name, value) in rows {
        let row =
            (metadata::transaction_id.eq(id), metadata::name.eq(name), metadata::value.eq(value));
        diesel::insert_into(metadata::table).values(row).execute(tx.conn).unwrap();
    }
    let row = (
        settlement::transaction_id.eq(id),
        settlement::lease_id.eq(lease),
        settlement::seconds.eq(60_i64),
        settlement::price.eq(usd(600)),
        settlement::fee_ppm.eq(150_000_i64),
    );
    diesel::insert_into(settlement::table).values(row).execute(tx.conn).unwrap();
    let row = (
        conversion::transaction_id.eq(id),
        conversion::sold_asset.eq("USD"),
        conversion::sold.eq(usd(1)),
        conversion::bought_asset.eq("EUR"),
        conversion::bought.eq(Amount(900_000)),
        conversion::rate_ppm.eq(900_000_i64),
    );
    diesel::insert_into(conversion::table).values(row).execute(tx.conn).unwrap();
    let by: PartyId = tx.id();
    for (month, kinds, state) in [
        (24_300, &["closed"][..], "closed"),
        (24_301, &["closed", "reopen_asked"], "reopening"),
        (24_302, &["closed", "reopen_asked", "reopened"], "open"),
    ] {
        for kind in kinds {
            let row = (
                period_event::id.eq(tx.id::<store::kind::PeriodEvent>()),
                period_event::month.eq(month),
                period_event::kind.eq(*kind),
                period_event::by_id.eq(by),
                period_event::reason.eq("because"),
                period_event::at.eq(tx.now),
            );
            diesel::insert_into(period_event::table).values(row).execute(tx.conn).unwrap();
        }
        let row = (period::month.eq(month), period::state.eq(state));
        diesel::insert_into(period::table).values(row).execute(tx.conn).unwrap();
    }
}
