//! Payouts: asked for, approved, refused.
#![allow(clippy::unwrap_used)]

mod common;

use billing::Error;
use billing::bank_file::{Debtor, MAX_PAYMENTS};
use billing::payout::{self, Payout};
use common::{IBAN, World};
use diesel::prelude::*;
use ledger::Code;
use store::schema::{
    account, balance, bank_file, hold, hold_event, ledger_transaction, payout as payouts,
    payout_account,
};
use store::{Amount, BankFileId, PartyId, PayoutId, VehicleId, on_both_databases};

const CENT: i64 = 10_000;

fn debtor() -> Debtor {
    Debtor::default()
}

fn name_account(world: &World, owner: PartyId) {
    world.write(|tx| payout::set_payout_account(tx, owner, "Olga Example", IBAN));
}

fn request(world: &World, owner: PartyId, amount: Option<i64>) -> Result<PayoutId, Error> {
    let amount = amount.map(Amount);
    world.db.store.write(|tx| payout::request(tx, owner, "USD", amount))
}

fn approve(world: &World, ids: &[PayoutId]) -> Result<BankFileId, Error> {
    world.db.store.write(|tx| payout::approve(tx, world.finance, ids, &debtor()))
}

fn load(world: &World, id: PayoutId) -> Payout {
    world.read(|tx| payout::load(tx, id))
}

/// Rows of every table that a payout writes to, and all balances.
fn all_rows(world: &World) -> (Vec<i64>, Vec<(Amount, Amount)>, Vec<Payout>) {
    world.read(|tx| {
        let counts = vec![
            payouts::table.count().get_result(tx.conn)?,
            payout_account::table.count().get_result(tx.conn)?,
            bank_file::table.count().get_result(tx.conn)?,
            hold::table.count().get_result(tx.conn)?,
            hold_event::table.count().get_result(tx.conn)?,
            ledger_transaction::table.count().get_result(tx.conn)?,
            account::table.count().get_result(tx.conn)?,
        ];
        let balances = balance::table
            .order(balance::account_id)
            .select((balance::posted, balance::held))
            .load(tx.conn)?;
        Ok((counts, balances, payout::list(tx, None, None, 1_000)?))
    })
}

on_both_databases! {
    fn all_whole_cents_are_paid_and_the_dust_stays(db) {
        let world = World::new(db, "Olga");
        name_account(&world, world.owner);
        world.earn(world.cash_car, 12_345_678);
        let id = request(&world, world.owner, None).unwrap();
        let asked = load(&world, id);
        assert_eq!((asked.amount, asked.state.as_str()), (Amount(12_340_000), "requested"));
        let cash = world.balance(Code::OwnerCash, "USD");
        assert_eq!((cash.held, cash.available()), (Amount(12_340_000), Amount(5_678)));

        world.db.clock.advance_s(60);
        let file = approve(&world, &[id]).unwrap();
        let paid = load(&world, id);
        assert_eq!((paid.state.as_str(), paid.bank_file), ("approved", Some(file)));
        assert_eq!((paid.approved_by, paid.approved_at), (Some(world.finance), Some(world.now())));
        assert!(paid.transaction.is_some());
        let cash = world.balance(Code::OwnerCash, "USD");
        assert_eq!((cash.posted, cash.held), (Amount(5_678), Amount::ZERO));
        let clearing = world.read(|tx| {
            Ok(ledger::party_balance(tx, Code::PayoutClearing, PartyId::NIL, "USD")?)
        });
        assert_eq!(clearing.posted, Amount(12_340_000));
        let xml = world.read(|tx| payout::bank_file(tx, file));
        let reference = id.to_string().replace('_', "-");
        for part in [reference.as_str(), IBAN, "Olga Example", r#"<InstdAmt Ccy="USD">12.34<"#] {
            assert!(xml.contains(part), "{part}: {xml}");
        }
        // The dust is not worth a cent, until more is earned.
        assert!(matches!(request(&world, world.owner, None), Err(Error::NothingToPay)));
        world.earn(world.cash_car, 4_322);
        let id = request(&world, world.owner, None).unwrap();
        assert_eq!(load(&world, id).amount, Amount::CENT);
        world.assert_clean();
    }
}

on_both_databases! {
    fn what_is_asked_for_is_held_and_cannot_be_asked_for_twice(db) {
        let world = World::new(db, "Olga");
        name_account(&world, world.owner);
        world.earn(world.cash_car, 100 * CENT + 1);
        request(&world, world.owner, Some(60 * CENT)).unwrap();
        let refused = request(&world, world.owner, Some(41 * CENT));
        let Err(Error::InsufficientFunds { available, needed }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!((available, needed), (Amount(40 * CENT + 1), Amount(41 * CENT)));
        request(&world, world.owner, Some(40 * CENT)).unwrap();
        assert!(matches!(request(&world, world.owner, None), Err(Error::NothingToPay)));
        world.assert_clean();
    }
}

on_both_databases! {
    fn refusals_in_their_order_leave_nothing(db) {
        let world = World::new(db, "Olga");
        world.earn(world.cash_car, 5 * CENT);
        let (otto, _) = world.another_owner("Otto");
        let ask = |owner, asset: &str, amount: Option<i64>| {
            let asset = asset.to_owned();
            world.db.store.write(|tx| payout::request(tx, owner, &asset, amount.map(Amount)))
        };
        let refused = |owner, asset: &str, amount, refusal: fn(&Error) -> bool| {
            let before = all_rows(&world);
            let error = ask(owner, asset, amount).unwrap_err();
            assert!(refusal(&error), "{asset} {amount:?}: {error:?}");
            assert_eq!(all_rows(&world), before);
        };
        let olga = world.owner;
        // Nobody has an account to pay to yet.
        refused(olga, "CREDIT", Some(1), |e| matches!(e, Error::NotPayable(_)));
        refused(olga, "XYZ", None, |e| matches!(e, Error::NotPayable(_)));
        refused(olga, "", None, |e| matches!(e, Error::NotPayable(_)));
        for amount in [1, CENT - 1, CENT + 1, 0, -CENT, i64::MIN, i64::MAX] {
            refused(olga, "USD", Some(amount), |e| matches!(e, Error::NotWholeCents));
        }
        refused(olga, "USD", Some(CENT), |e| matches!(e, Error::NoPayoutAccount));
        refused(olga, "USD", None, |e| matches!(e, Error::NoPayoutAccount));
        name_account(&world, olga);
        name_account(&world, otto);
        refused(olga, "USD", Some(6 * CENT), |e| matches!(e, Error::InsufficientFunds { .. }));
        let huge = i64::MAX - i64::MAX % CENT;
        refused(olga, "USD", Some(huge), |e| matches!(e, Error::InsufficientFunds { .. }));
        refused(olga, "EUR", None, |e| matches!(e, Error::NothingToPay));
        refused(olga, "EUR", Some(CENT), |e| matches!(e, Error::InsufficientFunds { .. }));
        refused(otto, "USD", None, |e| matches!(e, Error::NothingToPay));
        ask(olga, "USD", Some(5 * CENT)).unwrap();
    }
}

on_both_databases! {
    fn a_run_is_approved_whole_or_not_at_all(db) {
        let world = World::new(db, "Olga");
        let (otto, otto_car) = world.another_owner("Otto");
        world.earn(world.cash_car, 10 * CENT);
        world.earn(otto_car, 20 * CENT);
        name_account(&world, world.owner);
        name_account(&world, otto);
        let first = request(&world, world.owner, Some(4 * CENT)).unwrap();
        let second = request(&world, world.owner, Some(5 * CENT)).unwrap();
        let ottos = request(&world, otto, None).unwrap();
        let unknown: PayoutId = world.read(|tx| Ok(tx.id()));
        approve(&world, &[first]).unwrap();

        let as_party = |party, ids: &[PayoutId]| {
            let before = all_rows(&world);
            let refused = world.db.store.write(|tx| payout::approve(tx, party, ids, &debtor()));
            assert_eq!(all_rows(&world), before);
            refused.unwrap_err()
        };
        let by_finance = |ids: &[PayoutId]| as_party(world.finance, ids);
        assert!(matches!(by_finance(&[]), Error::MixedRun));
        assert!(matches!(by_finance(&[second, second]), Error::MixedRun));
        assert!(matches!(by_finance(&vec![second; MAX_PAYMENTS + 1]), Error::MixedRun));
        assert!(matches!(by_finance(&[second, unknown]), Error::UnknownPayout(id) if id == unknown));
        assert!(matches!(by_finance(&[unknown]), Error::UnknownPayout(_)));
        assert!(matches!(by_finance(&[ottos, first]), Error::AlreadyApproved(id) if id == first));
        assert!(matches!(by_finance(&[first]), Error::AlreadyApproved(_)));
        // Nobody approves their own.
        assert!(matches!(as_party(otto, &[ottos, second]), Error::MixedRun));
        let no_debtor = Debtor { iban: "DE00".to_owned(), ..debtor() };
        let refused = world.db.store.write(|tx| {
            payout::approve(tx, world.finance, &[second], &no_debtor)
        });
        assert!(matches!(refused, Err(Error::BankFile(_))));

        let file = approve(&world, &[ottos, second]).unwrap();
        assert_eq!((load(&world, ottos).bank_file, load(&world, second).bank_file),
            (Some(file), Some(file)));
        let xml = world.read(|tx| payout::bank_file(tx, file));
        assert_eq!(xml.matches("<CdtTrfTxInf>").count(), 2);
        assert!(xml.contains("<CtrlSum>0.25</CtrlSum>"));
        let missing = world.db.store.read(|tx| payout::bank_file(tx, tx.id()));
        assert!(matches!(missing, Err(Error::UnknownFile)));
        world.assert_clean();
    }
}

on_both_databases! {
    fn a_run_in_two_assets_or_without_an_account_is_refused(db) {
        let world = World::new(db, "Olga");
        world.earn(world.cash_car, 10 * CENT);
        name_account(&world, world.owner);
        let dollars = request(&world, world.owner, Some(CENT)).unwrap();
        let euros = world.write(|tx| {
            use store::schema::payout as row;
            let id: PayoutId = tx.id();
            let values = (
                row::id.eq(id),
                row::owner_id.eq(world.owner),
                row::asset.eq("EUR"),
                row::amount.eq(Amount::CENT),
                row::state.eq("requested"),
                row::hold_id.eq(store::HoldId::NIL),
                row::requested_at.eq(tx.now),
            );
            diesel::insert_into(row::table).values(values).execute(tx.conn)?;
            Ok(id)
        });
        assert!(matches!(approve(&world, &[dollars, euros]), Err(Error::MixedRun)));
        world.write(|tx| Ok(diesel::delete(payout_account::table).execute(tx.conn)?));
        let before = all_rows(&world);
        assert!(matches!(approve(&world, &[dollars]), Err(Error::NoPayoutAccount)));
        assert_eq!(all_rows(&world), before);
    }
}

on_both_databases! {
    fn runs_side_by_side_pay_each_payout_once(db) {
        let world = World::new(db, "Olga");
        let cars: Vec<(PartyId, VehicleId)> =
            (0..4).map(|number| world.another_owner(&format!("Owner {number}"))).collect();
        let mut ids = Vec::new();
        for (owner, car) in &cars {
            name_account(&world, *owner);
            for _ in 0..3 {
                world.earn(*car, 7 * CENT);
                ids.push(request(&world, *owner, None).unwrap());
            }
        }
        // Every payout is in three runs, forwards and backwards; settlements go on beside them.
        let runs: Vec<Vec<PayoutId>> = (0..ids.len())
            .map(|start| (0..3).map(|step| ids[(start + step * 5) % ids.len()]).collect())
            .collect();
        let approved: Vec<Result<BankFileId, Error>> = std::thread::scope(|scope| {
            let earning = scope.spawn(|| cars.iter().for_each(|(_, car)| world.earn(*car, CENT)));
            let runs: Vec<_> =
                runs.iter().map(|run| scope.spawn(|| approve(&world, run))).collect();
            earning.join().unwrap();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        });
        let mut paid = 0;
        for (run, answer) in runs.iter().zip(&approved) {
            match answer {
                Ok(file) => {
                    paid += run.len();
                    assert!(run.iter().all(|id| load(&world, *id).bank_file == Some(*file)));
                }
                Err(Error::AlreadyApproved(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        let all = world.read(|tx| payout::list(tx, None, None, 100));
        assert_eq!(all.iter().filter(|payout| payout.state == "approved").count(), paid);
        assert!(paid >= 3);
        world.assert_clean();
    }
}

on_both_databases! {
    fn lists_are_pages_of_one_owner_or_of_all(db) {
        let world = World::new(db, "Olga");
        let (otto, otto_car) = world.another_owner("Otto");
        world.earn(world.cash_car, 10 * CENT);
        world.earn(otto_car, 10 * CENT);
        name_account(&world, world.owner);
        name_account(&world, otto);
        let mut ids = Vec::new();
        for owner in [world.owner, otto, world.owner] {
            world.db.clock.advance_s(1);
            ids.push(request(&world, owner, Some(CENT)).unwrap());
        }
        let list = |owner, after, limit| {
            let page = world.read(|tx| payout::list(tx, owner, after, limit));
            page.into_iter().map(|payout| payout.id).collect::<Vec<_>>()
        };
        assert_eq!(list(None, None, 10), ids);
        assert_eq!(list(None, Some(ids[0]), 1), [ids[1]]);
        assert_eq!(list(Some(world.owner), None, 10), [ids[0], ids[2]]);
        assert_eq!(list(Some(otto), Some(ids[1]), 10), []);
    }
}

on_both_databases! {
    fn an_owner_names_one_account_and_may_change_it(db) {
        let world = World::new(db, "Olga");
        let set = |holder: &str, iban: &str| {
            world.db.store.write(|tx| payout::set_payout_account(tx, world.owner, holder, iban))
        };
        for (holder, iban, refusal) in [
            ("", IBAN, "holder"),
            ("   ", IBAN, "holder"),
            ("Olga\0", IBAN, "holder"),
            ("Ol\nga", IBAN, "holder"),
            ("李雷", IBAN, "holder"),
            ("\u{202e}\n", IBAN, "holder"),
            (&"x".repeat(71), IBAN, "holder"),
            ("Olga", "", "iban"),
            ("Olga", "GB00BUKB20201555555555", "iban"),
            ("Olga", "GB33BUKB2020155555555", "iban"),
            ("Olga", "XX33BUKB20201555555555", "iban"),
            ("Olga", "<script>", "iban"),
        ] {
            let refused = set(holder, iban);
            let as_expected = match refusal {
                "holder" => matches!(refused, Err(Error::Holder)),
                _ => matches!(refused, Err(Error::Iban(_))),
            };
            assert!(as_expected, "{holder} {iban}: {refused:?}");
        }
        assert_eq!(all_rows(&world).0[1], 0);
        set(" Łukasz ", "gb33 BUKB 2020 1555 5555 55").unwrap();
        set("Olga", "DE89 3704 0044 0532 0130 00").unwrap();
        set("Łukasz", IBAN).unwrap();
        let rows: Vec<(String, String)> = world.read(|tx| {
            let all = payout_account::table.select((payout_account::holder, payout_account::iban));
            Ok(all.load(tx.conn)?)
        });
        assert_eq!(rows, [("Łukasz".to_owned(), IBAN.to_owned())]);
    }
}
