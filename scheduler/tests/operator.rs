//! The operator's hand: halts and the fee schedule.

#![allow(clippy::unwrap_used)]

mod common;

use common::{World, at_home, new_job};
use ledger::Code;
use scheduler::market::{self, Standing, Why};
use scheduler::{Error, LeftOut, PayIn};
use store::{Amount, PartyId, on_both_databases};

const RESERVE: i64 = 102_000;

on_both_databases! {
    fn a_halted_region_takes_no_new_lease_and_keeps_those_it_has(db) {
        let world = World::new(db);
        let (customer, owner, operator) =
            (world.customer(10), world.party("owner"), world.party("operator"));
        let busy = world.car(owner, RESERVE, PayIn::Cash);
        world.submit(customer, &new_job(1, 1));
        world.tick();
        let order = world.beat(busy, &at_home(), None).order.unwrap();
        let halt = |region: &str, reason: &str| {
            world.db.store.write(|tx| market::halt(tx, operator, "us", region, reason))
        };
        let (halted, new) = halt("us-ca", "  odd prices ").unwrap();
        assert!(new);
        assert_eq!((halted.reason.as_str(), halted.halted_by), ("odd prices", operator));
        world.db.clock.advance_s(1);
        assert_eq!(halt("us-ca", "again").unwrap(), (halted.clone(), false), "halted once");
        for (region, reason) in [("us-ca", " "), ("us-ca", &"x".repeat(501))] {
            assert!(matches!(halt(region, reason), Err(Error::Invalid { pointer: "/reason", .. })));
        }
        assert!(matches!(halt("atlantis", "why"), Err(Error::NotFound("region"))));

        // The lease goes on to its end; nothing new is let.
        let idle = world.car(owner, RESERVE, PayIn::Cash);
        let mut new = new_job(1, 1);
        new.bid.regions = vec!["us-ca".to_owned()];
        let id = world.submit(customer, &new);
        assert_eq!(world.tick().leases, 0);
        assert_eq!(world.complete(busy, &order, 9).order, None);
        assert_eq!(world.leases(), [("settled".into(), "no_work".into(), 300, 0)]);
        let told = world.write(|tx| market::explain_bid(tx, customer, id, None)).unwrap();
        assert_eq!(told.why, Some(Why::LeftOut(LeftOut::Halted)));
        let told = world.write(|tx| market::explain_vehicle(tx, &world.config, owner, idle));
        assert_eq!(told.standing, Standing::NotOffered { reason: "region_halted".to_owned() });
        let view = world.write(market::list);
        assert_eq!(view[0].halts, [halted]);

        world.write(|tx| market::lift_halt(tx, operator, "us", "us-ca"));
        world.write(|tx| market::lift_halt(tx, operator, "us", "us-ca"));
        world.beat(idle, &at_home(), None);
        assert_eq!(world.tick().leases, 1);
        let rows = world.write(|tx| market::halts(tx, "us", 10));
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].lifted_by, rows[0].lifted_at.is_some()), (Some(operator), true));
    }
}

on_both_databases! {
    fn a_halt_while_the_market_clears_counts(db) {
        let world = World::new(db);
        let (customer, owner, operator) =
            (world.customer(10), world.party("owner"), world.party("operator"));
        world.car(owner, RESERVE, PayIn::Cash);
        let id = world.submit(customer, &new_job(1, 1));
        let draft = market::draft(&world.db.store, &world.config, "us", world.node).unwrap();
        world.write(|tx| market::halt(tx, operator, "us", "us-ca", "now"));
        let report = market::commit(&world.db.store, &world.config, draft).unwrap();
        assert_eq!((report.leases, report.unplaced), (0, 1));
        let told = world.write(|tx| market::explain_bid(tx, customer, id, None)).unwrap();
        assert_eq!(told.lost[0].reason.as_str(), "halted");
    }
}

on_both_databases! {
    fn a_lease_keeps_the_fee_of_its_tick(db) {
        let world = World::new(db);
        let (customer, owner, operator) =
            (world.customer(10), world.party("owner"), world.party("operator"));
        let now = world.db.store.now();
        let set = |from, fee_ppm, bonus_ppm| {
            world.db.store.write(|tx| {
                market::set_fee(tx, operator, "us", from, fee_ppm, bonus_ppm)
            })
        };
        let later = now.plus_s(10);
        let rate = set(later, 500_000, 0).unwrap();
        assert_eq!((rate.set_by, rate.set_at), (Some(operator), now));
        for (from, fee_ppm, bonus_ppm, field) in [
            (now, 0, 0, "/from"),
            (later, 0, 0, "/from"),
            (later.plus_s(1), -1, 0, "/fee_ppm"),
            (later.plus_s(1), 500_001, 0, "/fee_ppm"),
            (later.plus_s(1), 0, -1, "/credit_bonus_ppm"),
            (later.plus_s(1), 0, 1_000_001, "/credit_bonus_ppm"),
        ] {
            match set(from, fee_ppm, bonus_ppm) {
                Err(Error::Invalid { pointer, .. }) => assert_eq!(pointer, field),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(world.write(|tx| market::fees(tx, "us")).len(), 2);

        let car = world.car(owner, RESERVE, PayIn::Cash);
        world.submit(customer, &new_job(2, 1));
        world.tick();
        let first = world.beat(car, &at_home(), None).order.unwrap();
        // The new rate is in force when it settles, and counts for nothing here: 85 % of $0.002.
        world.complete(car, &first, 60);
        assert_eq!(world.write(market::list)[0].rate.fee_ppm, 500_000);
        let second = world.beat(car, &at_home(), None).order.unwrap();
        world.complete(car, &second, 60);
        assert_eq!(world.balance(Code::OwnerCash, owner, "USD").posted, Amount(3_400));
        assert_eq!(world.balance(Code::FeeIncome, PartyId::NIL, "USD").posted, Amount(600));

        // The next lease has it: the same reserve asks for more, and the fee is half.
        world.submit(customer, &new_job(1, 1));
        world.tick();
        let order = world.beat(car, &at_home(), None).order.unwrap();
        world.complete(car, &order, 60);
        let prices = world.write(|tx| market::prices(tx, "us"));
        assert_eq!(prices[0].price, Amount(204_000));
        assert_eq!(world.balance(Code::OwnerCash, owner, "USD").posted, Amount(3_400 + 1_700));
        assert_eq!(world.balance(Code::FeeIncome, PartyId::NIL, "USD").posted, Amount(600 + 1_700));
        world.check();
    }
}
