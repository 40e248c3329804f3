//! The posting templates, on both databases.
#![allow(clippy::unwrap_used)]

mod common;

use common::{PayIn, People, assert_clean, fields, new_hold, read, usd, write};
use ledger::{Code, Error, chart, find_account, hold, open_account, place_hold, release_hold};
use store::{Amount, PartyId, Timestamp, on_both_databases};

on_both_databases! {
    fn money_goes_from_deposit_to_payout(db) {
        let people = People::with(&db, usd(100));
        let (lease, hold_id) = write(&db.store, |tx| {
            let hold = place_hold(tx, &new_hold("job", people.wallet, usd(40)))?.id;
            Ok((tx.id(), hold))
        });
        let wallet = people.balance(&db, Code::CustomerWallet, "USD");
        assert_eq!((wallet.posted, wallet.held, wallet.available()), (usd(100), usd(40), usd(60)));

        let settlement = people.settlement(lease, hold_id, usd(10));
        let settled = write(&db.store, |tx| chart::settle(tx, &settlement));
        assert!(!settled.replayed);
        let got = people.balance(&db, Code::OwnerCash, "USD").posted;
        assert_eq!(got, Amount(8_500_000));
        let again = write(&db.store, |tx| chart::settle(tx, &settlement));
        assert_eq!((again.id, again.replayed), (settled.id, true));
        assert_eq!(people.balance(&db, Code::OwnerCash, "USD").posted, got);

        let state = read(&db.store, |tx| hold(tx, hold_id));
        assert_eq!((state.captured, state.remaining(), state.open), (usd(10), usd(30), true));
        assert_eq!(write(&db.store, |tx| release_hold(tx, hold_id)), usd(30));
        assert_eq!(write(&db.store, |tx| release_hold(tx, hold_id)), Amount::ZERO);

        write(&db.store, |tx| {
            let hold = place_hold(tx, &new_hold("payout", people.cash, usd(8)))?.id;
            let id = tx.id();
            let first = chart::pay_out(tx, id, hold, people.owner, "USD", usd(8))?;
            let again = chart::pay_out(tx, id, hold, people.owner, "USD", usd(8))?;
            assert_eq!((first.id, first.replayed, again.id, again.replayed),
                (again.id, false, first.id, true));
            Ok(())
        });
        let cash = people.balance(&db, Code::OwnerCash, "USD");
        assert_eq!((cash.posted, cash.held), (Amount(500_000), Amount::ZERO));
        assert_eq!(people.balance(&db, Code::PayoutClearing, "USD").posted, usd(8));
        assert_eq!(people.balance(&db, Code::FeeIncome, "USD").posted, Amount(1_500_000));
        assert_eq!(people.balance(&db, Code::Bank, "USD").posted, usd(100));
        assert_eq!(people.balance(&db, Code::CustomerWallet, "USD").posted, usd(90));
        let report = assert_clean(&db.store);
        assert_eq!((report.transactions, report.entries, report.holds), (3, 7, 2));
    }
}

on_both_databases! {
    fn credits_are_worth_the_share_and_the_bonus(db) {
        let people = People::with(&db, usd(100));
        write(&db.store, |tx| {
            let hold = place_hold(tx, &new_hold("job", people.wallet, usd(40)))?.id;
            let pay_in = PayIn::Credits { bonus_ppm: 100_000 };
            let lease = tx.id();
            let settlement =
                chart::Settlement { pay_in, ..people.settlement(lease, hold, Amount(999_999)) };
            chart::settle(tx, &settlement)
        });
        // Share: 999,999 x 0.85 = 849,999.15, up; bonus: 85,000.
        let posted = |code, asset| people.balance(&db, code, asset).posted;
        assert_eq!(posted(Code::FeeIncome, "USD"), Amount(149_999));
        assert_eq!(posted(Code::OwnerCash, "USD"), Amount::ZERO);
        assert_eq!(posted(Code::OwnerCredits, "CREDIT"), Amount(935_000));
        assert_eq!(posted(Code::CreditClearing, "CREDIT"), Amount(-935_000));
        assert_eq!(posted(Code::CreditClearing, "USD"), Amount(935_000));
        assert_eq!(posted(Code::BonusExpense, "USD"), Amount(85_000));
        assert_clean(&db.store);
    }
}

on_both_databases! {
    fn a_refused_settlement_opens_no_account(db) {
        let people = People::with(&db, usd(5));
        write(&db.store, |tx| {
            let hold = place_hold(tx, &new_hold("job", people.wallet, usd(5)))?.id;
            let lease = tx.id();
            let newcomer: PartyId = tx.id();
            let settlement =
                chart::Settlement { owner: newcomer, ..people.settlement(lease, hold, usd(6)) };
            let refused = chart::settle(tx, &settlement);
            assert!(matches!(refused, Err(Error::OverCapture { .. })), "{refused:?}");
            assert_eq!(find_account(tx, Code::OwnerCash, newcomer, "USD")?, None);
            // The key is not consumed.
            chart::settle(tx, &chart::Settlement { owner: newcomer, ..people.settlement(lease, hold, usd(5)) })?;
            Ok(())
        });
        assert_clean(&db.store);
    }
}

on_both_databases! {
    fn templates_refuse_in_order(db) {
        let people = People::with(&db, usd(5));
        let (lease, hold_id, deposit_id) = write(&db.store, |tx| {
            let hold = place_hold(tx, &new_hold("job", people.wallet, usd(5)))?.id;
            Ok((tx.id(), hold, tx.id()))
        });
        let first = people.settlement(lease, hold_id, usd(1));
        write(&db.store, |tx| chart::settle(tx, &first));
        let refuse = |settlement: chart::Settlement| {
            db.store.write(|tx| chart::settle(tx, &settlement)).unwrap_err()
        };
        for (other, names) in [
            (chart::Settlement { amount: Amount::ZERO, ..first.clone() }, vec!["legs"]),
            (chart::Settlement { price: Amount(1), ..first.clone() }, vec!["legs"]),
            (chart::Settlement { fee_ppm: 1, ..first.clone() }, vec!["legs"]),
            (chart::Settlement { effective_at: Timestamp(8), ..first.clone() },
                vec!["effective_at"]),
            (chart::Settlement { hold: write(&db.store, |tx| Ok(tx.id())), ..first.clone() },
                vec!["hold"]),
        ] {
            match refuse(other) {
                Error::KeyReused { differs, .. } => assert_eq!(fields(&differs), names),
                error => panic!("{error}"),
            }
        }
        let lease = write(&db.store, |tx| Ok(tx.id()));
        let next = chart::Settlement { lease, ..first };
        let credits = PayIn::Credits { bonus_ppm: 0 };
        assert!(matches!(refuse(chart::Settlement { fee_ppm: 1_000_001, amount: Amount(0),
            ..next.clone() }), Error::BadRate));
        assert!(matches!(refuse(chart::Settlement { amount: Amount(-1), ..next.clone() }),
            Error::NotPositive));
        assert!(matches!(refuse(chart::Settlement { seconds: 2, ..next.clone() }),
            Error::WrongAmount { .. }));
        assert!(matches!(refuse(chart::Settlement { asset: "XAU".into(), ..next.clone() }),
            Error::UnknownAsset(_)));
        assert!(matches!(refuse(chart::Settlement { asset: "EUR".into(), pay_in: credits, ..next.clone() }),
            Error::NotRedeemable(_)));
        // Right in itself, but the hold is on another wallet.
        assert!(matches!(refuse(chart::Settlement { customer: people.owner, ..next.clone() }),
            Error::NothingCaptured(_)));
        let refused = db.store.write(|tx| {
            chart::deposit(tx, deposit_id, people.customer, "USD", Amount(-1))
        });
        assert!(matches!(refused, Err(Error::NotPositive)));
        assert_clean(&db.store);
    }
}

on_both_databases! {
    fn a_deposit_retried_later_is_a_replay(db) {
        let people = People::with(&db, Amount::ZERO);
        let id = write(&db.store, |tx| Ok(tx.id()));
        let pay_in = |amount| {
            db.store.write(|tx| chart::deposit(tx, id, people.customer, "USD", amount))
        };
        let first = pay_in(usd(3)).unwrap();
        db.clock.advance_s(60);
        let again = pay_in(usd(3)).unwrap();
        assert_eq!((first.id, first.replayed, again.replayed), (again.id, false, true));
        let other = pay_in(usd(4));
        assert!(matches!(other, Err(Error::KeyReused { differs, .. }) if fields(&differs) == ["legs"]));
        assert_eq!(people.balance(&db, Code::CustomerWallet, "USD").posted, usd(3));
    }
}

on_both_databases! {
    fn accounts_open_once_and_in_known_assets(db) {
        let party: PartyId = write(&db.store, |tx| Ok(tx.id()));
        let open = |asset: &str| {
            db.store.write(|tx| open_account(tx, Code::CustomerWallet, party, asset))
        };
        let (usd, eur) = (open("USD").unwrap(), open("EUR").unwrap());
        assert_ne!(usd, eur);
        assert_eq!(open("USD").unwrap(), usd);
        assert!(matches!(open("XAU"), Err(Error::UnknownAsset(asset)) if asset == "XAU"));
        assert!(matches!(
            db.store.read(|tx| ledger::balance(tx, store::AccountId::NIL)),
            Err(Error::UnknownAccount(_))
        ));
        let found = read(&db.store, |tx| find_account(tx, Code::CustomerWallet, party, "USD"));
        assert_eq!(found, Some(usd));
    }
}

on_both_databases! {
    fn credits_outstanding_are_worth_what_the_clearing_says(db) {
        let people = People::with(&db, usd(100));
        let hold = write(&db.store, |tx| Ok(place_hold(tx, &new_hold("job", people.wallet, usd(99)))?.id));
        for rate in [3, 10_000, 999_999, 1_000_003, 1_500_000] {
            let posted = |code, asset| people.balance(&db, code, asset).posted.0;
            let before = (posted(Code::CreditClearing, "USD"), posted(Code::OwnerCredits, "CREDIT"));
            for amount in [1, 7, 1_234_567] {
                write(&db.store, |tx| {
                    let set = format!("UPDATE asset SET redemption_ppm = {rate} WHERE code = 'CREDIT'");
                    diesel::RunQueryDsl::execute(diesel::sql_query(set), tx.conn)?;
                    let lease = tx.id();
                    let settlement = people.settlement(lease, hold, Amount(amount));
                    let pay_in = PayIn::Credits { bonus_ppm: 50_001 };
                    chart::settle(tx, &chart::Settlement { pay_in, ..settlement })
                });
            }
            let value = posted(Code::CreditClearing, "USD") - before.0;
            let credits = posted(Code::OwnerCredits, "CREDIT") - before.1;
            assert_eq!(i128::from(value) * 1_000_000, i128::from(credits) * i128::from(rate));
        }
        assert_clean(&db.store);
    }
}

on_both_databases! {
    fn money_changes_into_another_currency_at_a_rate_that_is_kept(db) {
        let people = People::with(&db, usd(100));
        let change = |key: &str, sold: i64, rate_ppm, into: &str| {
            let conversion = chart::Conversion {
                key: key.into(),
                customer: people.customer,
                sold_asset: "USD".into(),
                sold: Amount(sold),
                bought_asset: into.into(),
                rate_ppm,
            };
            db.store.write(|tx| chart::convert(tx, &conversion))
        };
        // 10.000001 x 0.917531 = 9.175310917531: down to the micro-unit.
        let first = change("fx", 10_000_001, 917_531, "EUR").unwrap();
        let posted = |code, asset| people.balance(&db, code, asset).posted;
        assert_eq!(posted(Code::CustomerWallet, "EUR"), Amount(9_175_311));
        assert_eq!(posted(Code::CustomerWallet, "USD"), Amount(100_000_000 - 10_000_001));
        assert_eq!(posted(Code::CurrencyClearing, "USD"), Amount(10_000_001));
        assert_eq!(posted(Code::CurrencyClearing, "EUR"), Amount(-9_175_311));
        assert!(change("fx", 10_000_001, 917_531, "EUR").unwrap().replayed);
        for (refused, name) in [
            (change("fx", 10_000_001, 917_532, "EUR"), "KeyReused"),
            (change("x", 1, 917_531, "USD"), "SameAsset"),
            (change("x", 0, 917_531, "EUR"), "NotPositive"),
            (change("x", 1, 0, "EUR"), "BadRate"),
            (change("x", 1, 400_000, "EUR"), "NotPositive"),
            (change("x", 1, i64::MAX, "XAU"), "UnknownAsset"),
            (change("x", i64::MAX, i64::MAX, "EUR"), "Overflow"),
            (change("x", 100_000_000, 1_000_000, "EUR"), "InsufficientFunds"),
        ] {
            let error = format!("{:?}", refused.unwrap_err());
            assert!(error.starts_with(name), "{error}");
        }
        let record: (String, Amount, String, Amount, i64) = read(&db.store, |tx| {
            use diesel::prelude::*;
            use store::schema::conversion_record::dsl;
            Ok(dsl::conversion_record
                .find(first.id)
                .select((dsl::sold_asset, dsl::sold, dsl::bought_asset, dsl::bought, dsl::rate_ppm))
                .first(tx.conn)?)
        });
        let expected = ("USD".into(), Amount(10_000_001), "EUR".into(), Amount(9_175_311), 917_531);
        assert_eq!(record, expected);
        assert_clean(&db.store);
    }
}

on_both_databases! {
    fn credits_are_redeemed_for_what_they_are_worth(db) {
        let people = People::with(&db, usd(100));
        write(&db.store, |tx| {
            let hold = place_hold(tx, &new_hold("job", people.wallet, usd(10)))?.id;
            let pay_in = PayIn::Credits { bonus_ppm: 0 };
            let lease = tx.id();
            chart::settle(tx, &chart::Settlement { pay_in, ..people.settlement(lease, hold, usd(10)) })
        });
        let redeem = |key: &str, credits| {
            let asset = "USD".to_owned();
            let owner = people.owner;
            let redemption = chart::Redemption { key: key.into(), owner, asset, credits };
            db.store.write(|tx| chart::redeem(tx, &redemption))
        };
        redeem("r", usd(3)).unwrap();
        let posted = |code, asset| people.balance(&db, code, asset).posted;
        assert_eq!(posted(Code::OwnerCash, "USD"), usd(3));
        assert_eq!(posted(Code::OwnerCredits, "CREDIT"), Amount(5_500_000));
        assert_eq!(posted(Code::CreditClearing, "USD"), Amount(5_500_000));
        assert_eq!(posted(Code::CreditClearing, "CREDIT"), Amount(-5_500_000));
        assert!(matches!(redeem("s", usd(6)), Err(Error::InsufficientFunds { .. })));
        assert_clean(&db.store);
    }
}

on_both_databases! {
    fn a_payout_is_confirmed_or_comes_back(db) {
        let people = People::with(&db, Amount::ZERO);
        write(&db.store, |tx| {
            let bank = open_account(tx, Code::Bank, PartyId::NIL, "USD")?;
            ledger::post(tx, &common::transfer("earn", bank, people.cash, usd(9)))?;
            let hold = place_hold(tx, &new_hold("payout", people.cash, usd(9)))?.id;
            let (paid, back) = (tx.id(), tx.id());
            chart::pay_out(tx, paid, hold, people.owner, "USD", usd(5))?;
            chart::pay_out(tx, back, hold, people.owner, "USD", usd(4))?;
            let commands = [
                ledger::Command::confirm_payout(paid, "USD", usd(5)),
                ledger::Command::return_payout(back, people.owner, "USD", usd(4)),
                ledger::Command::return_payout(back, people.owner, "USD", usd(4)),
            ];
            let replayed: Vec<bool> = ledger::execute(tx, &commands)?
                .into_iter()
                .map(|answer| answer.unwrap().posted().unwrap().replayed)
                .collect();
            assert_eq!(replayed, [false, false, true]);
            Ok(())
        });
        assert_eq!(people.balance(&db, Code::PayoutClearing, "USD").posted, Amount::ZERO);
        assert_eq!(people.balance(&db, Code::OwnerCash, "USD").posted, usd(4));
        assert_eq!(people.balance(&db, Code::Bank, "USD").posted, usd(4));
        assert_clean(&db.store);
    }
}

on_both_databases! {
    fn assets_are_data_with_their_scale(db) {
        let people = People::with(&db, usd(100));
        let add = |code: &str, scale, redemption: Option<(&str, i64)>| {
            let redemption = redemption.map(|(asset, ppm)| (asset.to_owned(), ppm));
            let asset = ledger::Asset { code: code.into(), scale, redemption };
            db.store.write(|tx| ledger::add_asset(tx, &asset))
        };
        add("JPY", 0, None).unwrap();
        add("JPY", 0, None).unwrap();
        add("POINTS", 2, Some(("JPY", 1_500_000))).unwrap();
        for (refused, name) in [
            (add("JPY", 2, None), "AssetExists"),
            (add("", 2, None), "BadAsset"),
            (add("jpy", 2, None), "BadAsset"),
            (add("7UP", 2, None), "BadAsset"),
            (add("SEVENTEENLETTERSX", 2, None), "BadAsset"),
            (add("GBP", 7, None), "BadAsset"),
            (add("GBP", -1, None), "BadAsset"),
            (add("MILES", 2, Some(("JPY", 0))), "BadRate"),
            (add("MILES", 2, Some(("XAU", 1))), "UnknownAsset"),
        ] {
            let error = format!("{:?}", refused.unwrap_err());
            assert!(error.starts_with(name), "{error}");
        }
        // A yen is the least there is of it.
        let deposit = |amount| {
            db.store.write(|tx| {
                let id = tx.id();
                chart::deposit(tx, id, people.customer, "JPY", Amount(amount))
            })
        };
        assert!(matches!(deposit(1_500_000), Err(Error::TooFine { least, .. }) if least == usd(1)));
        deposit(500_000_000).unwrap();
        let wallet = write(&db.store, |tx| {
            open_account(tx, Code::CustomerWallet, people.customer, "JPY")
        });
        let hold = db.store.write(|tx| place_hold(tx, &new_hold("fine", wallet, Amount(1))));
        assert!(matches!(hold, Err(Error::TooFine { .. })));
        // 10.01 USD at 155.25 are 1,554.0525 yen: 1,554 of them.
        let conversion = chart::Conversion {
            key: "fx".into(),
            customer: people.customer,
            sold_asset: "USD".into(),
            sold: Amount(10_010_000),
            bought_asset: "JPY".into(),
            rate_ppm: 155_250_000,
        };
        write(&db.store, |tx| chart::convert(tx, &conversion));
        assert_eq!(people.balance(&db, Code::CustomerWallet, "JPY").posted, usd(500 + 1_554));
        assert_clean(&db.store);
    }
}
