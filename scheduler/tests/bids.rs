//! What a bid may say: fewest lanes, a budget, a share, a window, a time in force.

#![allow(clippy::unwrap_used)]

mod common;

use common::{World, at_home, new_job};
use scheduler::job::{self, BidChange};
use scheduler::market::{self, BidOutcome, Fate, Reason, Why};
use scheduler::{Config, Error, JobState, LeftOut, PayIn, fleet};
use store::{Amount, JobId, PartyId, VehicleId, on_both_databases};

const RESERVE: i64 = 102_000;

fn outcome(world: &World, customer: PartyId, id: JobId) -> BidOutcome {
    world.write(|tx| market::explain_bid(tx, customer, id, None)).unwrap()
}

fn tick(world: &World) -> usize {
    world.db.clock.advance_s(1);
    world.tick().leases
}

/// Every car says again that it is at home.
fn beat(world: &World, cars: &[VehicleId]) {
    for car in cars {
        world.beat(*car, &at_home(), None);
    }
}

on_both_databases! {
    fn all_or_none_is_that(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        world.car(owner, RESERVE, PayIn::Cash);
        world.car(owner, RESERVE, PayIn::Cash);
        let mut new = new_job(5, 3);
        new.bid.min_fill = 3;
        let id = world.submit(customer, &new);
        assert_eq!(tick(&world), 0);
        let told = outcome(&world, customer, id);
        assert!(matches!(told.why, Some(Why::Short(Reason::MinFill { .. }))), "{told:?}");
        // Two cars stay for whoever takes fewer.
        let other = world.submit(customer, &new_job(1, 1));
        assert_eq!(tick(&world), 1);
        assert_eq!(outcome(&world, customer, other).fate, Fate::Filled);
        for _ in 0..2 {
            world.car(owner, RESERVE, PayIn::Cash);
        }
        assert_eq!(tick(&world), 3);
        assert_eq!(outcome(&world, customer, id).fate, Fate::Filled);
        world.check();
    }
}

on_both_databases! {
    fn of_lanes_that_go_together_none_is_let_if_one_is_lost(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let cars = [(); 3].map(|()| world.car(owner, RESERVE, PayIn::Cash));
        let mut new = new_job(5, 3);
        new.bid.min_fill = 3;
        let id = world.submit(customer, &new);
        let draft = market::draft(&world.db.store, &world.config, "us", world.node).unwrap();
        world.beat(cars[0], &common::driver_back(), None);
        let report = market::commit(&world.db.store, &world.config, draft).unwrap();
        assert_eq!((report.leases, report.unplaced), (0, 3));
        let lost: Vec<(i32, &str)> = outcome(&world, customer, id)
            .lost.into_iter().map(|lost| (lost.lanes, lost.reason.as_str())).collect();
        assert_eq!(lost, [(1, "car_gone"), (2, "below_min_fill")]);
        world.beat(cars[0], &at_home(), None);
        assert_eq!(tick(&world), 3);
    }
}

on_both_databases! {
    fn a_budget_buys_as_many_cars_as_it_can_bear(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        for _ in 0..10 {
            world.car(owner, RESERVE, PayIn::Cash);
        }
        // 333 micro-dollars for the shortest lease at the reserve, and 1,000 at the bid's price.
        let mut new = new_job(10, 10);
        new.bid.budget = Amount(1_500);
        let id = world.submit(customer, &new);
        let leases = tick(&world);
        let told = outcome(&world, customer, id);
        assert!((1..=4).contains(&leases), "{told:?}");
        assert!(matches!(told.why, Some(Why::Short(Reason::Budget { .. }))), "{told:?}");
        let earmarked: i64 = world.leases().iter().map(|lease| lease.3).sum();
        assert!(earmarked <= 1_500 && earmarked > 0, "{earmarked}");
        // A budget below one lane for the shortest lease ends the job and is given back.
        let mut poor = new_job(1, 1);
        poor.bid.budget = Amount(1);
        let poor = world.submit(customer, &poor);
        tick(&world);
        let job = world.job(customer, poor);
        assert_eq!((job.row.state, job.held), (JobState::Failed, Amount::ZERO));
        world.check();
    }
}

on_both_databases! {
    fn nobody_has_more_than_its_share(db) {
        let mut world = World::new(db);
        world.config = Config { share_cap_ppm: 500_000, ..common::config() };
        let (big, small, owner) = (world.customer(10), world.customer(10), world.party("owner"));
        for _ in 0..4 {
            world.car(owner, RESERVE, PayIn::Cash);
        }
        let mut new = new_job(4, 4);
        new.bid.price = Amount(700_000);
        let first = world.submit(big, &new);
        let second = world.submit(big, &new);
        assert_eq!(tick(&world), 2);
        let told = outcome(&world, big, second);
        assert_eq!(told.why, Some(Why::Short(Reason::ShareCap)), "{told:?}");
        // Two it has: no more, however the next tick goes; the others are another's.
        assert_eq!(tick(&world), 0);
        world.submit(small, &new_job(4, 4));
        assert_eq!(tick(&world), 2);
        assert_eq!(outcome(&world, big, first).fate, Fate::Unfilled);
    }
}

on_both_databases! {
    fn a_car_that_leaves_soon_is_let_for_short_or_not_at_all(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let car = world.car(owner, RESERVE, PayIn::Cash);
        let until = |left_s: i64| {
            let at = world.db.store.now().plus_s(left_s);
            world.write(|tx| fleet::set_available_until(tx, owner, car, Some(at)));
        };
        let term = |world: &World| -> Vec<i32> {
            use diesel::prelude::*;
            use store::schema::lease;
            world.write(|tx| Ok(lease::table.order(lease::id.desc()).select(lease::term_s).load(tx.conn)?))
        };
        let past = world.db.store.write(|tx| {
            fleet::set_available_until(tx, owner, car, Some(tx.now))
        });
        assert!(matches!(past, Err(Error::Invalid { pointer: "/available_until", .. })));
        let mut steady = new_job(1, 1);
        steady.bid.short_leases = false;
        let steady = world.submit(customer, &steady);
        // Ten minutes: too short for one who wants a full term, unless the job ends before.
        until(600);
        assert_eq!(tick(&world), 0);
        assert_eq!(outcome(&world, customer, steady).why, Some(Why::LeftOut(LeftOut::NoSupply)));
        let mut soon = new_job(1, 1);
        soon.bid.short_leases = false;
        soon.bid.deadline = Some(world.db.store.now().plus_s(200));
        world.submit(customer, &soon);
        assert_eq!(tick(&world), 1);
        assert_eq!(term(&world), [199], "until the deadline");

        let other = world.car(owner, RESERVE, PayIn::Cash);
        let at = world.db.store.now().plus_s(600);
        world.write(|tx| fleet::set_available_until(tx, owner, other, Some(at)));
        world.submit(customer, &new_job(1, 1));
        assert_eq!(tick(&world), 1);
        assert_eq!(term(&world)[0], 300, "the short lease");
        // A minute: for nobody.
        let last = world.car(owner, RESERVE, PayIn::Cash);
        let at = world.db.store.now().plus_s(60);
        world.write(|tx| fleet::set_available_until(tx, owner, last, Some(at)));
        world.submit(customer, &new_job(1, 1));
        assert_eq!(tick(&world), 0);
        let told = world.write(|tx| market::explain_vehicle(tx, &world.config, owner, last));
        let standing = market::Standing::NotOffered { reason: "wanted_too_soon".to_owned() };
        assert_eq!(told.standing, standing);
        // Who knows no end is let for a full term, also to who wants no short lease.
        world.write(|tx| fleet::set_available_until(tx, owner, last, None));
        assert_eq!(tick(&world), 1);
        assert_eq!(term(&world)[0], 900);
    }
}

on_both_databases! {
    fn a_bid_out_of_force_takes_no_more_cars(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let mut new = new_job(3, 3);
        new.bid.expires_at = Some(world.db.store.now().plus_s(5));
        let id = world.submit(customer, &new);
        let first = world.car(owner, RESERVE, PayIn::Cash);
        assert_eq!(tick(&world), 1);
        let order = world.beat(first, &at_home(), None).order.unwrap();
        world.db.clock.advance_s(4);
        let second = world.car(owner, RESERVE, PayIn::Cash);
        world.beat(first, &at_home(), None);
        assert_eq!(tick(&world), 0);
        assert_eq!(outcome(&world, customer, id).why, Some(Why::LeftOut(LeftOut::Expired)));
        // Renewed it goes on.
        let later = world.db.store.now().plus_s(2);
        let renew = BidChange { price: None, expires_at: Some(later) };
        world.write(|tx| job::change_bid(tx, customer, id, &renew));
        assert_eq!(tick(&world), 1);
        let other = world.beat(second, &at_home(), None).order.unwrap();
        // Its leases work on after it, and take the tasks that are left.
        world.db.clock.advance_s(2);
        world.sweep();
        assert_eq!(world.job(customer, id).row.state, JobState::Active);
        let next = world.complete(first, &order, 1).order.unwrap();
        world.complete(second, &other, 1);
        world.complete(first, &next, 1);
        assert_eq!(world.job(customer, id).row.state, JobState::Completed);

        // And without a car left the job ends, and its money comes back.
        let mut new = new_job(1, 1);
        new.bid.expires_at = Some(world.db.store.now().plus_s(5));
        let idle = world.submit(customer, &new);
        world.db.clock.advance_s(5);
        assert_eq!(world.sweep().expired_jobs, 1);
        let job = world.job(customer, idle);
        assert_eq!((job.row.state, job.held), (JobState::Failed, Amount::ZERO));
        world.check();
    }
}

on_both_databases! {
    fn a_new_price_counts_from_the_next_tick_and_leases_keep_theirs(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let cars = [RESERVE, 4 * RESERVE].map(|reserve| world.car(owner, reserve, PayIn::Cash));
        let id = world.submit(customer, &new_job(4, 2));
        assert_eq!(tick(&world), 1);
        let price = |price: i64| {
            let change = BidChange { price: Some(Amount(price)), expires_at: None };
            world.db.store.write(|tx| job::change_bid(tx, customer, id, &change))
        };
        for wrong in [0, -1, i64::MAX] {
            assert!(matches!(price(wrong), Err(Error::Invalid { pointer: "/max_price", .. })));
        }
        beat(&world, &cars[1..]);
        price(480_000).unwrap();
        assert_eq!(tick(&world), 1);
        let earmarks: Vec<i64> = world.leases().iter().map(|lease| lease.3).collect();
        // 900 s at 0.36 and at 0.48 an hour.
        assert_eq!(earmarks, [90_000, 120_000]);

        // A lower price while the market clears takes the lane away, not the money.
        let late = world.submit(customer, &new_job(1, 1));
        world.car(owner, RESERVE, PayIn::Cash);
        let draft = market::draft(&world.db.store, &world.config, "us", world.node).unwrap();
        let lower = BidChange { price: Some(Amount(1)), expires_at: None };
        world.write(|tx| job::change_bid(tx, customer, late, &lower));
        let report = market::commit(&world.db.store, &world.config, draft).unwrap();
        assert_eq!((report.leases, report.unplaced), (0, 1));
        let told = outcome(&world, customer, late);
        assert_eq!(told.lost[0].reason.as_str(), "bid_changed");
        world.write(|tx| job::cancel(tx, customer, late));
        let ended = world.db.store.write(|tx| job::change_bid(tx, customer, late, &lower));
        assert!(matches!(ended, Err(Error::JobEnded)));
        let stranger = world.party("customer");
        let refused = world.db.store.write(|tx| job::change_bid(tx, stranger, id, &lower));
        assert!(matches!(refused, Err(Error::NotFound("job"))));
    }
}
