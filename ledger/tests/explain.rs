//! Explanations compute again what was booked, and say where it differs.
#![allow(clippy::unwrap_used)]

mod common;

use common::{PayIn, People, Settlement, new_hold, read, transfer, usd, write};
use diesel::prelude::*;
use ledger::chart::{self, Conversion};
use ledger::explain::{Explanation, Step, explain, explain_entry};
use ledger::{NewTransaction, Reversal, place_hold, post, reverse};
use store::schema::{conversion_record, entry, ledger_transaction as posting, settlement_record};
use store::testing::TestDb;
use store::{Amount, Day, LeaseId, TransactionId, on_both_databases};

/// 37 s at 1.234567 an hour: 45678979/3600 micro-units.
const SECONDS: i64 = 37;
const PRICE: Amount = Amount(1_234_567);
const AMOUNT: Amount = Amount(12_689);

struct Lease {
    id: LeaseId,
    transaction: TransactionId,
}

fn settle(db: &TestDb, people: &People, pay_in: PayIn) -> Lease {
    let (id, hold) = write(&db.store, |tx| {
        let id: LeaseId = tx.id();
        let hold = place_hold(tx, &new_hold(&id.to_string(), people.wallet, usd(1)))?.id;
        Ok((id, hold))
    });
    db.clock.advance_s(60);
    let settlement = people.settlement(id, hold, AMOUNT);
    let (seconds, price, effective_at) = (SECONDS, PRICE, db.store.now());
    let settlement = Settlement { pay_in, effective_at, seconds, price, ..settlement };
    let transaction = write(&db.store, |tx| chart::settle(tx, &settlement)).id;
    Lease { id, transaction }
}

/// Writes another record over the settlement's own.
fn record(db: &TestDb, lease: &Lease, price: Amount, credits: Option<(i64, i64)>) {
    write(&db.store, |tx| {
        diesel::delete(settlement_record::table.find(lease.transaction)).execute(tx.conn)?;
        let row = (
            settlement_record::transaction_id.eq(lease.transaction),
            settlement_record::lease_id.eq(lease.id),
            settlement_record::seconds.eq(SECONDS),
            settlement_record::price.eq(price),
            settlement_record::fee_ppm.eq(150_000_i64),
            settlement_record::bonus_ppm.eq(credits.map(|(bonus, _)| bonus)),
            settlement_record::redemption_ppm.eq(credits.map(|(_, redemption)| redemption)),
        );
        Ok(diesel::insert_into(settlement_record::table).values(row).execute(tx.conn)?)
    });
}

fn explained(db: &TestDb, id: TransactionId) -> Explanation {
    read(&db.store, |tx| explain(tx, id)).unwrap()
}

fn step<'a>(explanation: &'a Explanation, name: &str) -> &'a Step {
    let found = explanation.steps.iter().find(|step| step.name == name);
    found.unwrap_or_else(|| panic!("{name}: {explanation:#?}"))
}

on_both_databases! {
    fn a_settlement_in_cash_is_computed_again(db) {
        let people = People::with(&db, usd(10));
        let lease = settle(&db, &people, PayIn::Cash);
        let explanation = explained(&db, lease.transaction);
        assert!(explanation.holds(), "{explanation:#?}");
        assert_eq!(step(&explanation, "amount").booked, AMOUNT);
        assert!(step(&explanation, "amount").how.contains("45678979/3600 micro-units"));
        // 12689 × 0.85 = 10785.65
        assert_eq!(step(&explanation, "share").derived, Some(Amount(10_786)));
        assert!(step(&explanation, "share").how.contains("10785650000/1000000 micro-units"));
        assert_eq!(step(&explanation, "fee").derived, Some(Amount(1_903)));
        assert_eq!(explanation.captured[0].amount, AMOUNT);
        assert!(explanation.touches(people.customer) && explanation.touches(people.owner));
        let lines = explanation.lines();
        assert_eq!(lines.last().unwrap(), "It holds.");
        let leg = |line: &String| line.contains("Liabilities:Owners:Cash:") && line.contains("credit");
        assert!(lines.iter().any(leg), "{lines:#?}");

        record(&db, &lease, Amount(PRICE.0 + 100), None);
        let explanation = explained(&db, lease.transaction);
        assert!(!explanation.holds() && !step(&explanation, "amount").holds());
        assert!(explanation.lines().iter().any(|line| line.contains("but booked is 0.012689")));
    }
}

on_both_databases! {
    fn a_settlement_in_credits_shows_bonus_and_redemption(db) {
        let people = People::with(&db, usd(10));
        let lease = settle(&db, &people, PayIn::Credits { bonus_ppm: 100_000 });
        let explanation = explained(&db, lease.transaction);
        assert!(explanation.holds(), "{explanation:#?}");
        assert_eq!(step(&explanation, "share").derived, Some(Amount(10_786)));
        assert_eq!(step(&explanation, "bonus").derived, Some(Amount(1_079)));
        assert_eq!(step(&explanation, "credits' worth").derived, Some(Amount(11_865)));
        assert_eq!(step(&explanation, "credits").asset, "CREDIT");
        record(&db, &lease, PRICE, Some((100_000, 500_000)));
        assert!(!step(&explained(&db, lease.transaction), "credits").holds());
        record(&db, &lease, PRICE, Some((100_000, 0)));
        assert_eq!(step(&explained(&db, lease.transaction), "fee").derived, None);
    }
}

on_both_databases! {
    fn what_is_not_recorded_is_said(db) {
        let people = People::with(&db, usd(10));
        let lease = settle(&db, &people, PayIn::Cash);
        write(&db.store, |tx| {
            let gone = diesel::delete(settlement_record::table.find(lease.transaction));
            Ok(gone.execute(tx.conn)?)
        });
        let explanation = explained(&db, lease.transaction);
        assert!(explanation.holds());
        assert_eq!(explanation.unknown.len(), 1);
        let nothing = TransactionId::from_bytes([9; 16]);
        assert_eq!(read(&db.store, |tx| explain(tx, nothing)), None);
    }
}

on_both_databases! {
    fn references_lead_both_ways_and_a_reversal_is_the_opposite(db) {
        let people = People::with(&db, usd(10));
        let new = transfer("first", people.wallet, people.cash, usd(3));
        let first = write(&db.store, |tx| post(tx, &new)).id;
        let reversal = Reversal {
            key: "back".to_owned(),
            of: first,
            reason: "a mistake".to_owned(),
            effective_at: Some(db.store.now()),
        };
        let back = write(&db.store, |tx| reverse(tx, &reversal)).id;
        let metadata = [("ticket".to_owned(), "4711".to_owned())].into();
        let part = transfer("part", people.wallet, people.cash, usd(1));
        let part = NewTransaction { corrects: Some(first), metadata, ..part };
        let part = write(&db.store, |tx| post(tx, &part)).id;
        write(&db.store, |tx| {
            let late = posting::booked_on.eq(Day(31));
            Ok(diesel::update(posting::table.find(part)).set(late).execute(tx.conn)?)
        });
        let original = explained(&db, first);
        let mut by: Vec<_> =
            original.referred_by.iter().map(|r| (r.relation.as_str(), r.transaction)).collect();
        by.sort();
        assert_eq!(by, [("corrects", part), ("reverses", back)]);
        let reversal = explained(&db, back);
        assert_eq!(reversal.refers_to.as_ref().unwrap().transaction, first);
        assert_eq!(reversal.steps.iter().filter(|step| step.name == "reversed").count(), 2);
        assert!(reversal.holds());
        assert!(reversal.lines().contains(&"reason = a mistake".to_owned()));
        let lines = explained(&db, part).lines();
        assert!(lines.iter().any(|line| line.contains("late: its month was closed")), "{lines:#?}");
        assert!(lines.contains(&"ticket = 4711".to_owned()));
        let refer = |id: TransactionId, relation: &str| {
            write(&db.store, |tx| {
                let set = posting::relation.eq(relation);
                Ok(diesel::update(posting::table.find(id)).set(set).execute(tx.conn)?)
            });
        };
        refer(back, "refunds");
        refer(part, "reverses");
        assert!(!explained(&db, part).holds(), "one of three is no reversal");
    }
}

on_both_databases! {
    fn a_conversion_shows_rate_and_rounding(db) {
        let people = People::with(&db, usd(10));
        // 1.000003 USD at 0.9 are 900002.7 micro-units.
        let (sold, bought) = (Amount(1_000_003), Amount(900_003));
        let conversion = Conversion {
            key: "change".to_owned(),
            customer: people.customer,
            sold_asset: "USD".to_owned(),
            sold,
            bought_asset: "EUR".to_owned(),
            rate_ppm: 900_000,
        };
        let id = write(&db.store, |tx| chart::convert(tx, &conversion)).id;
        let explanation = explained(&db, id);
        assert!(explanation.holds(), "{explanation:#?}");
        assert_eq!(step(&explanation, "bought").booked, bought);
        let how = &step(&explanation, "bought").how;
        assert!(how.contains("900002700000/1000000 micro-units"), "{how}");
        let record = |bought: Amount, rate_ppm: i64| {
            write(&db.store, |tx| {
                let set =
                    (conversion_record::bought.eq(bought), conversion_record::rate_ppm.eq(rate_ppm));
                let record = diesel::update(conversion_record::table.find(id));
                Ok(record.set(set).execute(tx.conn)?)
            });
        };
        record(bought, 900_002);
        assert!(!step(&explained(&db, id), "bought").holds());
        record(Amount(900_004), 900_000);
        assert!(!step(&explained(&db, id), "bought").holds());
    }
}

on_both_databases! {
    fn an_entry_leads_to_its_transaction_and_a_changed_balance_shows(db) {
        let people = People::with(&db, usd(10));
        let id = write(&db.store, |tx| {
            post(tx, &transfer("one", people.wallet, people.cash, usd(1)))
        }).id;
        let of = |number| read(&db.store, |tx| explain_entry(tx, people.wallet, number));
        assert_eq!(of(2).unwrap().transaction, id);
        assert_eq!(of(3), None);
        assert!(of(2).unwrap().holds());
        let change = |amount: Amount| {
            write(&db.store, |tx| {
                let row = entry::table
                    .filter(entry::account_id.eq(people.wallet))
                    .filter(entry::number.eq(1));
                Ok(diesel::update(row).set(entry::balance_after.eq(amount)).execute(tx.conn)?)
            });
        };
        change(usd(-11));
        assert!(!of(2).unwrap().holds());
        assert!(of(2).unwrap().lines().iter().any(|line| line.contains("does not follow")));
    }
}
