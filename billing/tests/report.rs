//! Reports: what they say, and that they say it alike in every format.
#![allow(clippy::unwrap_used)]

#[path = "common/report.rs"]
mod answers;
mod common;

use answers::{Row, as_of, between, cells, parse_csv, parse_xlsx, rows, try_write, written};
use billing::payout;
use billing::preview::{Rates, fee_effect};
use billing::report::{ALL, Error, Format, Param, Words};
use common::{IBAN, World};
use diesel::prelude::*;
use ledger::export::Slice;
use ledger::proof::{Extent, Signer, seal};
use ledger::{Code, Command, Refund};
use store::schema::{day_balance, deposit, lease};
use store::{Amount, DepositId, LeaseId, PayoutId, TransactionId, VehicleId, on_both_databases};

const DAY_S: i64 = 86_400;

/// A lease of an hour.
fn hour(world: &World, car: VehicleId, price: i64) -> (LeaseId, TransactionId) {
    let lease = world.settle(car, price, 3_600);
    let transaction: Option<TransactionId> = world
        .read(|tx| Ok(lease::table.find(lease).select(lease::transaction_id).first(tx.conn)?));
    (lease, transaction.unwrap())
}

/// Gives a part of what the customer paid for a lease back.
fn refund(world: &World, of: TransactionId, amount: i64) {
    world.write(|tx| {
        let wallet = ledger::find_account(tx, Code::CustomerWallet, world.customer, "USD")?;
        let key = tx.id::<store::kind::Transaction>().to_string();
        let reason = "=HYPERLINK(\"http://example.org\")".to_owned();
        let (account, amount) = (wallet.unwrap(), Amount(amount));
        ledger::refund(tx, &Refund { key, of, account, amount, reason })?;
        Ok(())
    });
}

/// A payout that was asked for and ordered.
fn pay_out(world: &World, amount: i64) -> PayoutId {
    world.write(|tx| {
        payout::set_payout_account(tx, world.owner, "Olga Example", IBAN)?;
        let id = payout::request(tx, world.owner, "USD", Some(Amount(amount)))?;
        let debtor = billing::bank_file::Debtor::default();
        payout::approve(tx, world.finance, &[id], &debtor)?;
        Ok(id)
    })
}

fn announce(world: &World, reference: &str, amount: i64) {
    world.write(|tx| {
        let id: DepositId = tx.id();
        diesel::insert_into(deposit::table)
            .values((
                deposit::id.eq(id),
                deposit::customer_id.eq(world.customer),
                deposit::asset.eq("USD"),
                deposit::amount.eq(Amount(amount)),
                deposit::source.eq("bank_transfer"),
                deposit::reference.eq(reference),
                deposit::state.eq("pending"),
                deposit::created_at.eq(tx.now),
            ))
            .execute(tx.conn)?;
        Ok(())
    });
}

/// A row of everything: leases in cash and credits, a refund, a payout, a transfer that has not
/// come.
fn busy(db: store::testing::TestDb) -> (World, PayoutId) {
    let world = World::new(db, "Olga");
    let (_, paid) = hour(&world, world.cash_car, 2_000_000);
    hour(&world, world.credit_car, 1_000_000);
    refund(&world, paid, 500_000);
    announce(&world, "@SUM(1)", 70_000_000);
    world.db.clock.advance_s(2 * DAY_S);
    let payout = pay_out(&world, 1_000_000);
    hour(&world, world.cash_car, 3_000_000);
    (world, payout)
}

/// What a report has to be told besides the time.
fn needed(world: &World, payout: PayoutId, takes: &[Param]) -> Words {
    let account =
        world.read(|tx| Ok(ledger::find_account(tx, Code::OwnerCash, world.owner, "USD")?));
    Words {
        account: takes.contains(&Param::Account).then(|| account.unwrap().to_string()),
        payout: takes.contains(&Param::Payout).then(|| payout.to_string()),
        ..Words::default()
    }
}

on_both_databases! {
    fn every_format_says_the_same_and_says_it_again(db) {
        let (world, payout) = busy(db);
        let store = &world.db.store;
        for report in ALL {
            let words = needed(&world, payout, report.takes);
            let json = rows(store, report.name, &words);
            assert!(!json.is_empty(), "{}", report.name);
            let csv = written(store, report.name, &words, Format::Csv);
            assert_eq!(parse_csv(&csv), json, "{}", report.name);
            let xlsx = written(store, report.name, &words, Format::Xlsx);
            assert_eq!(parse_xlsx(&xlsx), json, "{}", report.name);
            // Later, and after more business that does not count yet.
            world.db.clock.advance_s(60);
            let again = [Format::Csv, Format::Xlsx].map(|of| written(store, report.name, &words, of));
            assert_eq!(again, [csv, xlsx], "{}", report.name);
        }
    }
}

on_both_databases! {
    fn no_text_of_a_caller_becomes_a_formula(db) {
        let (world, _) = busy(db);
        let csv = |name| {
            String::from_utf8(written(&world.db.store, name, &Words::default(), Format::Csv))
        };
        assert!(csv("receivables").unwrap().contains(",'@SUM(1),"));
        let journal = csv("journal").unwrap();
        assert!(journal.contains("=HYPERLINK") && !journal.contains(",=HYPERLINK"), "{journal}");
    }
}

on_both_databases! {
    fn what_leases_brought_in_is_shown_by_where_they_ran(db) {
        let (world, _) = busy(db);
        let all = rows(&world.db.store, "fee_revenue", &Words::default());
        let columns = ["asset", "region", "class", "leases", "seconds", "gross", "fee", "owners", "bonus"];
        // 2 + 1 + 3 less half a dollar given back; of all 15 % fee, of the credits 10 % bonus.
        assert_eq!(cells(&all, &columns), [[
            "USD", "us-ca", "hw4", "3", "10800", "5.500000", "0.825000", "4.675000", "0.085000",
        ]]);
        let first_day = between("2026-11-24", "2026-11-24");
        let first = rows(&world.db.store, "fee_revenue", &first_day);
        assert_eq!((&*first[0]["leases"], &*first[0]["gross"]), ("2", "2.500000"));

        let net = rows(&world.db.store, "income_statement", &Words::default());
        assert_eq!(cells(&net, &["place", "amount"]), [
            ["Income:Fees", "0.825000"], ["Expenses:Bonuses", "0.085000"], ["total", "0.740000"],
        ]);
        let words = Words { presentation: Some("gross".to_owned()), ..Words::default() };
        let gross = rows(&world.db.store, "income_statement", &words);
        assert_eq!(cells(&gross, &["place", "amount"]), [
            ["Income:Compute", "5.500000"], ["Income:Fees", "0.000000"],
            ["Expenses:Bonuses", "0.085000"], ["Expenses:Owners", "4.675000"],
            ["total", "0.740000"],
        ]);
        let usage = rows(&world.db.store, "usage", &Words::default());
        assert_eq!(cells(&usage, &["leases", "billed_seconds", "gross"]), [["3", "10800", "6.000000"]]);
    }
}

on_both_databases! {
    fn debts_are_as_old_as_what_is_left_of_them(db) {
        let world = World::new(db, "Olga");
        let store = &world.db.store;
        hour(&world, world.cash_car, 1_000_000);
        world.db.clock.advance_s(40 * DAY_S);
        hour(&world, world.cash_car, 1_000_000);
        let ages = ["place", "owed", "days_0_30", "days_31_60", "days_61_90", "days_over_90"];
        let cash = "Liabilities:Owners:Cash";
        let at = |day: &str| cells(&rows(store, "payables", &as_of(day)), &ages);
        assert_eq!(at("2026-11-30"), [[cash, "0.850000", "0.850000", "0.000000", "0.000000", "0.000000"]]);
        assert_eq!(at("2027-01-05"), [[cash, "1.700000", "0.850000", "0.850000", "0.000000", "0.000000"]]);
        assert_eq!(at("2027-03-30"), [[cash, "1.700000", "0.000000", "0.000000", "0.850000", "0.850000"]]);
        // What is paid is the oldest.
        pay_out(&world, 1_000_000);
        assert_eq!(at("2027-01-05"), [
            [cash, "0.700000", "0.700000", "0.000000", "0.000000", "0.000000"],
            ["Liabilities:Clearing:Payouts", "1.000000", "1.000000", "0.000000", "0.000000", "0.000000"],
        ]);
        // The wallet: 9,000 paid in on the first day, less two leases.
        let prepaid = rows(store, "deferred_revenue", &as_of("2028-01-01"));
        let columns = ["place", "accounts", "amount", "days_over_365"];
        assert_eq!(cells(&prepaid, &columns), [
            ["Liabilities:Customers:Wallets", "1", "8998.000000", "8998.000000"],
        ]);
    }
}

on_both_databases! {
    fn credits_that_sleep_are_breakage(db) {
        let world = World::new(db, "Olga");
        hour(&world, world.credit_car, 1_000_000);
        let asleep = rows(&world.db.store, "deferred_revenue", &as_of("2027-12-01"));
        let credits: Vec<&Row> = asleep.iter().filter(|row| row["asset"] == "CREDIT").collect();
        assert_eq!(credits[0]["value"], "0.935000");
        assert_eq!(credits[0]["value_over_365"], "0.935000");
        let cover = rows(&world.db.store, "solvency", &Words::default());
        let line = |name: &str| cover.iter().find(|row| row["line"] == name).unwrap()["amount"].clone();
        assert_eq!(line("Liabilities:Owners:Credits"), "0.935000");
        assert_eq!((line("at the bank"), line("owed")), ("9000.000000".into(), "8999.935000".into()));
        assert_eq!(line("cover"), "0.065000");
    }
}

on_both_databases! {
    fn a_payout_leads_back_to_the_leases_it_paid(db) {
        let world = World::new(db, "Olga");
        let leases = [500_000, 500_000, 500_000].map(|net| {
            world.db.clock.advance_s(60);
            world.earn(world.cash_car, net);
        });
        assert_eq!(leases.len(), 3);
        let payouts = [750_000, 740_000].map(|amount| pay_out(&world, amount));
        let paid = payouts.map(|payout| {
            let words = Words { payout: Some(payout.to_string()), ..Words::default() };
            let rows = rows(&world.db.store, "payout_transactions", &words);
            assert!(rows.iter().all(|row| row["lease"].starts_with("lease_")), "{rows:?}");
            cells(&rows, &["number", "earned", "paid"])
        });
        assert_eq!(paid[0], [["1", "0.500000", "0.500000"], ["2", "0.500000", "0.250000"]]);
        // The first payout was entry 4 of the account.
        assert_eq!(paid[1], [["2", "0.500000", "0.250000"], ["3", "0.500000", "0.490000"]]);
        let waiting = world.write(|tx| payout::request(tx, world.owner, "USD", Some(Amount(10_000))));
        for (id, why) in [(waiting, "not paid out"), (world.write(|tx| Ok(tx.id())), "no payout")] {
            let words = Words { payout: Some(id.to_string()), ..Words::default() };
            let refused = try_write(&world.db.store, "payout_transactions", &words, Format::Json);
            assert!(matches!(refused, Err(Error::Question(said)) if said.contains(why)));
        }
    }
}

on_both_databases! {
    fn holds_are_told_as_they_were(db) {
        let world = World::new(db, "Olga");
        let store = &world.db.store;
        hour(&world, world.cash_car, 1_000_000);
        world.db.clock.advance_s(DAY_S);
        hour(&world, world.cash_car, 2_000_000);
        let columns = ["amount", "left", "days", "overdue"];
        let at = |day: &str| cells(&rows(store, "holds", &as_of(day)), &columns);
        assert_eq!(at("2026-11-23"), Vec::<Vec<String>>::new());
        assert_eq!(at("2026-11-24"), [["8000.000000", "7999.000000", "0", ""]]);
        assert_eq!(at("2026-11-25"), [["8000.000000", "7997.000000", "1", ""]]);
    }
}

on_both_databases! {
    fn slices_of_the_journal_have_everything_once(db) {
        let (world, _) = busy(db);
        let store = &world.db.store;
        let signer = Signer::from_seed(&[7; 32]).unwrap();
        let journal = billing::report::find("journal").unwrap();
        let slice = |after, upto| {
            let mut out = Vec::new();
            store
                .read(|tx| {
                    billing::report::write_rows(journal, &[], Format::Csv, &mut out, |rows| {
                        billing::report::journal(tx, &Slice::Blocks { after, upto }, rows)
                    })
                })
                .unwrap();
            parse_csv(&out)
        };
        let mut sealed = Vec::new();
        let mut cursor = 0;
        for _ in 0..3 {
            seal(store, &signer, Extent::All).unwrap();
            let head = world.read(|tx| Ok(ledger::proof::head(tx)?.number));
            sealed.extend(slice(cursor, head));
            assert_eq!(slice(head, head), vec![]);
            cursor = head;
            hour(&world, world.cash_car, 1_000_000);
        }
        seal(store, &signer, Extent::All).unwrap();
        let head = world.read(|tx| Ok(ledger::proof::head(tx)?.number));
        sealed.extend(slice(cursor, head));
        sealed.sort();
        let mut all = rows(store, "journal", &Words::default());
        all.sort();
        assert_eq!(sealed, all);
        assert!(sealed.iter().any(|row| row["relation"] == "refunds" && !row["lease"].is_empty()));
    }
}

on_both_databases! {
    fn the_general_ledger_runs_from_opening_to_closing(db) {
        let (world, _) = busy(db);
        let store = &world.db.store;
        for by in ["booked", "posted", "effective"] {
            let words = Words { by: Some(by.to_owned()), ..between("2026-11-25", "2026-11-26") };
            let lines = rows(store, "general_ledger", &words);
            let mut running = Amount::ZERO;
            for line in &lines {
                let amount = |name: &str| line[name].parse::<Amount>().unwrap_or_default();
                match &*line["line"] {
                    "opening" => running = amount("balance"),
                    "entry" => running = running + amount("debit") - amount("credit"),
                    _ => {}
                }
                assert_eq!(amount("balance"), running, "{line:?}");
            }
            let count = |of: &str| lines.iter().filter(|line| line["line"] == of).count();
            assert_eq!(count("opening"), count("closing"));
            // A payout ordered and a lease paid for: two legs and three.
            assert_eq!(count("entry"), 5, "{by}");
        }
    }
}

on_both_databases! {
    fn a_ledger_whose_days_are_not_its_entries_is_not_reported(db) {
        let (world, _) = busy(db);
        let signer = Signer::from_seed(&[7; 32]).unwrap();
        seal(&world.db.store, &signer, Extent::All).unwrap();
        let ask = || try_write(&world.db.store, "general_ledger", &Words::default(), Format::Csv);
        ask().unwrap();
        world.write(|tx| {
            diesel::update(day_balance::table).set(day_balance::net.eq(Amount(1))).execute(tx.conn)?;
            Ok(())
        });
        assert!(matches!(ask(), Err(Error::Store(_))), "{:?}", ask());
    }
}

on_both_databases! {
    fn a_returned_payout_can_be_paid_again(db) {
        let world = World::new(db, "Olga");
        world.earn(world.cash_car, 1_000_000);
        let first = pay_out(&world, 600_000);
        world.write(|tx| {
            let back = Command::return_payout(first, world.owner, "USD", Amount(600_000));
            ledger::run(tx, &back)?.posted()?;
            Ok(())
        });
        let second = pay_out(&world, 1_000_000);
        let words = Words { payout: Some(second.to_string()), ..Words::default() };
        let paid = rows(&world.db.store, "payout_transactions", &words);
        assert_eq!(cells(&paid, &["kind", "paid"]), [
            ["settlement", "0.400000"], ["payout_returned", "0.600000"],
        ]);
    }
}

on_both_databases! {
    fn another_fee_is_previewed_on_what_was_booked(db) {
        let (world, _) = busy(db);
        let ask = |fee_ppm, bonus_ppm| {
            let rates = Rates { fee_ppm, bonus_ppm };
            world.read(|tx| fee_effect(tx, "us", store::testing::START, rates))
        };
        let same = ask(150_000, 100_000);
        let booked = rows(&world.db.store, "usage", &Words::default());
        assert_eq!(same.gross.to_string(), booked[0]["gross"]);
        assert_eq!((same.leases, same.fee, same.bonus), (3, same.fee_then, same.bonus_then));
        // 15 % of six dollars, and 10 % on 85 % of the one that was taken in credits.
        assert_eq!((same.fee, same.bonus), (Amount(900_000), Amount(85_000)));
        let other = ask(100_000, 0);
        assert_eq!((other.fee, other.fee_then), (Amount(900_000), Amount(600_000)));
        assert_eq!(other.bonus_then, Amount::ZERO);
        let later = world.db.store.now().plus_s(1);
        let none = world.read(|tx| fee_effect(tx, "us", later, Rates { fee_ppm: 0, bonus_ppm: 0 }));
        assert_eq!((none.leases, none.gross), (0, Amount::ZERO));
    }
}
