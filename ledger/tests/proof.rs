//! Sealing, verifying, and proofs of balances.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/proof.rs"]
mod proofs;

use common::{People, read, transfer, usd, write};
use diesel::prelude::*;
use ledger::proof::{
    Extent, Proof, ProofError, SNAPSHOTS_KEPT, Signer, check_proof, head, prove, seal,
    seal_in_blocks_of, verify,
};
use ledger::{Code, find_account, open_account, post, report};
use proofs::{assert_holds, keys, rich_book, seal_now, signer};
use store::testing::TestDb;
use store::{AccountId, Amount, PartyId, on_both_databases};

/// Every account of a customer or an owner.
fn owed(db: &TestDb) -> Vec<report::AccountBalance> {
    let all = read(&db.store, report::balances);
    let owed = [Code::CustomerWallet, Code::OwnerCash, Code::OwnerCredits];
    all.into_iter().filter(|row| owed.contains(&row.code)).collect()
}

fn proof_of(db: &TestDb, account: AccountId) -> Option<Proof> {
    read(&db.store, |tx| prove(tx, account, &keys()))
}

on_both_databases! {
    fn an_empty_book_is_sealed_and_holds(db) {
        let report = assert_holds(&db.store);
        assert_eq!((report.blocks, report.head), (0, None));
        assert_eq!(report.unsealed, 3, "the assets wait");
        let sealed = seal_now(&db.store, Extent::All);
        assert_eq!((sealed.blocks, sealed.records), (1, 3));
        let report = assert_holds(&db.store);
        assert_eq!((report.blocks, report.records, report.unsealed), (1, 3, 0));
        assert_eq!(seal_now(&db.store, Extent::All), Default::default(), "nothing new");
        assert_eq!(seal_now(&db.store, Extent::Recent), Default::default());
    }
}

on_both_databases! {
    fn what_is_committed_is_sealed_once(db) {
        let people = rich_book(&db);
        let first = seal_now(&db.store, Extent::Recent);
        assert_eq!(first.blocks, 1);
        let report = assert_holds(&db.store);
        assert_eq!((report.records, report.unsealed, report.statements), (first.records, 0, 0));
        for round in 0..5 {
            db.clock.advance_s(1_000);
            let key = format!("more {round}");
            write(&db.store, |tx| post(tx, &transfer(&key, people.wallet, people.cash, usd(1))));
            assert_eq!(assert_holds(&db.store).unsealed, 1);
            let extent = if round % 2 == 0 { Extent::Recent } else { Extent::All };
            let sealed = seal_now(&db.store, extent);
            assert_eq!((sealed.blocks, sealed.records), (1, 1));
        }
        let report = assert_holds(&db.store);
        assert_eq!((report.blocks, report.unsealed, report.statements), (6, 0, 2));
        let head = read(&db.store, head);
        assert_eq!(report.head, Some(head));
    }
}

on_both_databases! {
    fn a_late_commit_is_sealed(db) {
        let (people, others) = (People::with(&db, usd(100)), People::with(&db, usd(100)));
        // Its ids are of the transaction's moment; it commits after a block is sealed.
        let late = |key: &str, seconds: i64, recent: bool| {
            let early = db.store.now();
            db.clock.advance_s(seconds);
            write(&db.store, |tx| {
                post(tx, &transfer(&format!("punctual {key}"), others.wallet, others.cash, usd(1)))
            });
            seal_now(&db.store, Extent::Recent);
            write(&db.store, |tx| {
                tx.now = early;
                post(tx, &transfer(key, people.wallet, people.cash, usd(1)))
            });
            assert_eq!(assert_holds(&db.store).unsealed, 1);
            assert_eq!(seal_now(&db.store, Extent::Recent).records, u64::from(recent));
            assert_eq!(seal_now(&db.store, Extent::All).records, u64::from(!recent));
            assert_eq!(assert_holds(&db.store).unsealed, 0);
        };
        late("at once", 0, true);
        late("a minute", 60, true);
        late("the next", 1, true);
        late("days", 200_000, false);
    }
}

/// Only PostgreSQL has a second writer while one is open.
#[test]
fn what_was_open_while_a_block_was_sealed_is_in_the_next() {
    let db = TestDb::postgres();
    let people = People::with(&db, usd(100));
    let sealed = |records: u64| {
        assert_eq!(seal_now(&db.store, Extent::All).records, records);
        let report = assert_holds(&db.store);
        (report.transactions, report.unsealed)
    };
    write(&db.store, |tx| {
        let early = post(tx, &transfer("open", people.wallet, people.cash, usd(1)))?;
        db.clock.advance_s(10);
        assert_eq!(sealed(3 + 3 + 1), (1, 0), "nothing of what is open");
        write(&db.store, |tx| {
            let bank = open_account(tx, Code::Bank, PartyId::NIL, "USD")?;
            let other: PartyId = tx.id();
            let other = open_account(tx, Code::OwnerCash, other, "USD")?;
            let later = post(tx, &transfer("punctual", bank, other, usd(1)))?;
            assert!(early.id < later.id);
            Ok(())
        });
        assert_eq!(sealed(2), (2, 0), "later ids first");
        Ok(())
    });
    assert_eq!(assert_holds(&db.store).unsealed, 1);
    assert_eq!(seal_now(&db.store, Extent::Recent).records, 1);
    assert_eq!(assert_holds(&db.store).unsealed, 0);
}

on_both_databases! {
    fn a_backlog_becomes_many_blocks(db) {
        let people = People::with(&db, usd(1_000));
        let mut number = 0;
        for extent in [Extent::All, Extent::Recent, Extent::All] {
            for round in 0..40 {
                number += 1;
                // In one moment, and over hours.
                db.clock.advance_us(if round % 3 == 0 { 5_000_000_000 } else { 10 });
                let new = transfer(&number.to_string(), people.wallet, people.cash, Amount(1));
                write(&db.store, |tx| post(tx, &new));
            }
            let sealed = seal_in_blocks_of(&db.store, &signer(), extent, 7).unwrap();
            assert!(sealed.records >= 40 && sealed.blocks >= 6, "{sealed:?}");
            assert_eq!(assert_holds(&db.store).unsealed, 0);
        }
        assert_eq!(assert_holds(&db.store).statements, 2);
        assert_eq!(seal_now(&db.store, Extent::All), Default::default());
    }
}

on_both_databases! {
    fn sealers_at_once_make_one_chain(db) {
        let people = People::with(&db, usd(1_000));
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (db, people) = (&db, &people);
                scope.spawn(move || {
                    for round in 0..10 {
                        let key = format!("{thread} {round}");
                        let new = transfer(&key, people.wallet, people.cash, Amount(1));
                        write(&db.store, |tx| post(tx, &new));
                        let extent = if round % 3 == 0 { Extent::All } else { Extent::Recent };
                        seal_now(&db.store, extent);
                    }
                });
            }
        });
        seal_now(&db.store, Extent::All);
        let report = assert_holds(&db.store);
        assert_eq!((report.unsealed, report.transactions), (0, 41));
        // Assets, accounts (bank, wallet, cash), transactions: each in one block.
        assert_eq!(report.records, 3 + 3 + 41);
    }
}

on_both_databases! {
    fn every_account_has_a_proof(db) {
        rich_book(&db);
        seal_now(&db.store, Extent::All);
        let rows = owed(&db);
        assert_eq!(rows.len(), 5);
        for row in &rows {
            let proof = proof_of(&db, row.account).unwrap();
            let checked = check_proof(&proof, Some(&keys()[0])).unwrap();
            assert_eq!((checked.account, checked.party), (row.account, row.party));
            assert_eq!((checked.code.as_str(), &checked.asset), (row.code.text(), &row.asset));
            assert_eq!((checked.balance, checked.key_trusted), (row.balance.posted, true));
            let of_asset = rows.iter().filter(|other| other.asset == row.asset);
            let total: Amount = of_asset.map(|other| other.balance.posted).sum();
            assert_eq!(checked.total, total, "what is owed is the sum of the balances");
            let text = serde_json::to_string(&proof).unwrap();
            assert_eq!(serde_json::from_str::<Proof>(&text).unwrap(), proof);
        }
        let bank = read(&db.store, |tx| find_account(tx, Code::Bank, PartyId::NIL, "USD"));
        assert_eq!(proof_of(&db, bank.unwrap()), None, "the platform's own");
        let new = write(&db.store, |tx| {
            let party = tx.id();
            open_account(tx, Code::OwnerCash, party, "USD")
        });
        assert_eq!(proof_of(&db, new), None, "opened since");
        let unknown = read(&db.store, |tx| Ok(prove(tx, AccountId::from_bytes([9; 16]), &keys())));
        assert!(matches!(unknown, Err(ledger::Error::UnknownAccount(_))));
    }
}

on_both_databases! {
    fn a_proof_is_of_its_moment(db) {
        let people = People::with(&db, usd(100));
        assert_eq!(proof_of(&db, people.wallet), None, "nothing is sealed yet");
        for round in 0..SNAPSHOTS_KEPT + 3 {
            db.clock.advance_s(10);
            let key = format!("{round}");
            write(&db.store, |tx| post(tx, &transfer(&key, people.wallet, people.cash, usd(1))));
            seal_now(&db.store, Extent::All);
            let proof = proof_of(&db, people.wallet).unwrap();
            assert_eq!(proof.balance, usd(99 - round as i64));
            assert_eq!(proof.block.sealed_at, db.store.now());
        }
        // A block without a statement changes no proof.
        write(&db.store, |tx| post(tx, &transfer("later", people.wallet, people.cash, usd(1))));
        let before = proof_of(&db, people.wallet);
        seal_now(&db.store, Extent::Recent);
        assert_eq!(proof_of(&db, people.wallet), before);
        // The pages of the oldest statements are gone, all roots are there.
        let pages: i64 = read(&db.store, |tx| {
            Ok(store::schema::liability_page::table.count().get_result(tx.conn)?)
        });
        assert_eq!(pages, SNAPSHOTS_KEPT as i64);
        assert_eq!(assert_holds(&db.store).statements, SNAPSHOTS_KEPT as u64 + 3);
    }
}

#[test]
fn a_proof_with_any_bit_changed_does_not_hold() {
    let db = TestDb::sqlite();
    rich_book(&db);
    seal_now(&db.store, Extent::All);
    let wallet = owed(&db)[0].account;
    let proof = proof_of(&db, wallet).unwrap();
    let text = serde_json::to_string_pretty(&proof).unwrap();
    let key = keys()[0];
    let mut changed = 0;
    for position in 0..text.len() {
        for bit in 0..7 {
            let mut bytes = text.clone().into_bytes();
            bytes[position] ^= 1 << bit;
            let Ok(other) = serde_json::from_slice::<Proof>(&bytes) else { continue };
            // Another way to write the same, such as white space.
            if other == proof {
                continue;
            }
            changed += 1;
            assert!(check_proof(&other, Some(&key)).is_err(), "{other:#?}");
            assert!(check_proof(&other, None).is_err(), "{other:#?}");
        }
    }
    assert!(changed > 1_000, "{changed}");
}

#[test]
fn a_proof_is_refused_with_its_reason() {
    let db = TestDb::sqlite();
    rich_book(&db);
    seal_now(&db.store, Extent::All);
    let proof = proof_of(&db, owed(&db)[0].account).unwrap();
    let other = Signer::from_seed(&[8; 32]).unwrap().public();
    assert_eq!(check_proof(&proof, Some(&other)), Err(ProofError::OtherKey));
    assert_eq!(
        check_proof(&Proof { public_key: other, ..proof.clone() }, None),
        Err(ProofError::KeyId)
    );
    let mut wrong = proof.clone();
    wrong.block.number += 1;
    assert_eq!(check_proof(&wrong, None), Err(ProofError::BlockHash));
    let mut wrong = proof.clone();
    wrong.liabilities[0].total = Amount(1);
    assert_eq!(check_proof(&wrong, None), Err(ProofError::Liabilities));
    let mut wrong = proof.clone();
    wrong.asset = "XXX".to_owned();
    assert_eq!(check_proof(&wrong, None), Err(ProofError::Asset));
    let wrong = Proof { balance: proof.balance + Amount(1), ..proof.clone() };
    assert_eq!(check_proof(&wrong, None), Err(ProofError::Path));
    assert!(!check_proof(&proof, None).unwrap().key_trusted);
}

on_both_databases! {
    fn keys_are_known_or_the_chain_does_not_hold(db) {
        People::with(&db, usd(1));
        seal_now(&db.store, Extent::All);
        let next = Signer::from_seed(&[9; 32]).unwrap();
        write(&db.store, |tx| {
            let party = tx.id();
            open_account(tx, Code::OwnerCash, party, "USD")
        });
        seal(&db.store, &next, Extent::All).unwrap();
        let both = [signer().public(), next.public()];
        assert!(read(&db.store, |tx| verify(tx, &both)).holds());
        let report = read(&db.store, |tx| verify(tx, &both[..1]));
        assert_eq!(report.tampered.len(), 1);
        let first = report.tampered[0].to_string();
        let key = next.public().id();
        assert_eq!(first, format!("block 2: it is signed with the unknown key {key}"));
    }
}

on_both_databases! {
    fn pages_of_any_size_prove_every_account(db) {
        let mut opened: Vec<AccountId> = Vec::new();
        let bank = write(&db.store, |tx| open_account(tx, Code::Bank, PartyId::NIL, "USD"));
        for count in [0, 1, 2, 1023, 1024, 1025, 3000] {
            db.clock.advance_s(1);
            while opened.len() < count {
                let batch = (count - opened.len()).min(30);
                write(&db.store, |tx| {
                    let mut legs = Vec::new();
                    for _ in 0..batch {
                        let party = tx.id();
                        let account = open_account(tx, Code::CustomerWallet, party, "USD")?;
                        let amount = Amount(-(opened.len() as i64) - 1);
                        legs.push(ledger::Leg { account, amount });
                        opened.push(account);
                    }
                    let total: Amount = legs.iter().map(|leg| leg.amount).sum();
                    legs.push(ledger::Leg { account: bank, amount: -total });
                    let key = format!("fill {}", opened.len());
                    post(tx, &ledger::NewTransaction { legs, ..transfer(&key, bank, bank, usd(1)) })
                });
            }
            seal_now(&db.store, Extent::All);
            for position in [0, 1, 1022, 1023, 1024, 2047, 2048, 2999] {
                let Some(account) = opened.get(position) else { continue };
                let proof = proof_of(&db, *account).unwrap();
                let checked = check_proof(&proof, Some(&keys()[0])).unwrap();
                assert_eq!(checked.balance, Amount(position as i64 + 1));
                assert_eq!(checked.total, Amount((count * (count + 1) / 2) as i64));
                assert_eq!(proof.liabilities[0].accounts, count as i64);
            }
        }
        let report = assert_holds(&db.store);
        assert_eq!((report.statements, report.unsealed), (7, 0));
    }
}
