//! What became of each bid and car, and what would have become of it.

#![allow(clippy::unwrap_used)]

mod common;

use common::{World, driver_back, new_job};
use scheduler::fleet::{self, Policy};
use scheduler::market::{self, BidOutcome, Fate, Offer, Reason, SetterView, Standing, Unsold, Why};
use scheduler::{DataClass, Error, LeftOut, PayIn, Purpose, job};
use store::{Amount, JobId, PartyId, VehicleId, on_both_databases};

const RESERVE: i64 = 102_000;
/// The same with the fee on top.
const ASK: Amount = Amount(120_000);

fn outcome(world: &World, customer: PartyId, id: JobId) -> BidOutcome {
    world.write(|tx| market::explain_bid(tx, customer, id, None)).unwrap()
}

fn offer(world: &World, owner: PartyId, car: VehicleId) -> Offer {
    world.write(|tx| market::explain_vehicle(tx, &world.config, owner, car))
}

fn tick(world: &World) -> usize {
    world.db.clock.advance_s(1);
    world.tick().leases
}

on_both_databases! {
    fn a_bid_is_filled_in_part_or_told_what_would_have_won(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let id = world.submit(customer, &new_job(3, 3));
        let ask = |tick| world.write(|tx| market::explain_bid(tx, customer, id, tick));
        assert_eq!(ask(None), None, "before the first tick");
        tick(&world);
        let told = outcome(&world, customer, id);
        assert_eq!((told.fate, told.why), (Fate::NotInBook, Some(Why::LeftOut(LeftOut::NoSupply))));

        // One car under its price, one above.
        world.car(owner, RESERVE, PayIn::Cash);
        world.car(owner, 5 * RESERVE, PayIn::Cash);
        assert_eq!(tick(&world), 1);
        let told = outcome(&world, customer, id);
        assert_eq!((told.fate, told.wanted, told.won), (Fate::Partly, 3, 1));
        assert_eq!(told.cells.len(), 1);
        // Who wants more than there is sets the price: below it, another lane would be wanted.
        assert_eq!((told.cells[0].price, told.cells[0].lanes), (Some(Amount(360_000)), 1));
        assert_eq!(told.cells[0].set_by, SetterView::OwnBid);
        let would_win = Amount(600_000);
        assert_eq!(told.why, Some(Why::Short(Reason::PriceTooLow { would_win: would_win.0 })));
        assert_eq!(ask(Some(told.tick.tick)).unwrap(), told);
        let gone = world.db.store.read(|tx| market::explain_bid(tx, customer, id, Some(99)));
        assert!(matches!(gone, Err(Error::NotFound("tick"))));

        // And so it is: at that price the dear car is won, at less it is not.
        let bid = |price: Amount| {
            let change = job::BidChange { price: Some(price), expires_at: None };
            world.write(|tx| job::change_bid(tx, customer, id, &change));
        };
        bid(Amount(would_win.0 - 1));
        assert_eq!(tick(&world), 0);
        bid(would_win);
        assert_eq!(tick(&world), 1);
        let stranger = world.party("customer");
        let refused = world.db.store.read(|tx| market::explain_bid(tx, stranger, id, None));
        assert!(matches!(refused, Err(Error::NotFound("job"))));
    }
}

on_both_databases! {
    fn who_is_outbid_hears_the_price_and_not_by_whom(db) {
        let world = World::new(db);
        let (rich, poor, owner) = (world.customer(10), world.customer(10), world.party("owner"));
        world.car(owner, RESERVE, PayIn::Cash);
        let mut dear = new_job(1, 1);
        dear.bid.price = Amount(500_000);
        let first = world.submit(rich, &dear);
        let second = world.submit(poor, &new_job(1, 1));
        assert_eq!(tick(&world), 1);
        let told = outcome(&world, rich, first);
        assert_eq!((told.fate, told.why), (Fate::Filled, None));
        // The loser sets the price.
        assert_eq!(told.cells[0].price, Some(Amount(360_000)));
        assert_eq!(told.cells[0].set_by, SetterView::AnotherBid);
        let told = outcome(&world, poor, second);
        assert_eq!(told.why, Some(Why::Short(Reason::Outbid { would_win: 500_001 })));
        assert_eq!(told.cells[0].set_by, SetterView::OwnBid);
    }
}

on_both_databases! {
    fn a_car_is_told_at_which_reserve_it_would_have_been_let(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let (cheap, dear) = (world.car(owner, RESERVE, PayIn::Cash), world.car(owner, 3 * RESERVE, PayIn::Cash));
        assert_eq!(offer(&world, owner, dear).standing, Standing::Waiting);
        world.submit(customer, &new_job(1, 1));
        assert_eq!(tick(&world), 1);
        let told = offer(&world, owner, cheap);
        assert!(matches!(told.standing, Standing::Leased { price: ASK, .. }), "{told:?}");
        let told = offer(&world, owner, dear);
        assert_eq!((told.reserve, told.asks), (Amount(3 * RESERVE), Amount(360_000)));
        let at = Amount(101_150);
        assert_eq!(told.standing, Standing::Unsold(Unsold {
            reason: "reserve_too_high",
            price: Some(ASK),
            set_by: SetterView::Reserve(ASK),
            would_sell_at: Some(at),
        }));

        // And so it is: with that reserve it is let instead, with a grid step more lots are drawn.
        let policy = Policy { plugged_only: false, ..Policy::default() };
        let set = |reserve| {
            world.write(|tx| fleet::set_policy(tx, owner, dear, policy, reserve, PayIn::Cash));
        };
        world.sweep();
        world.beat(cheap, &driver_back(), None);
        assert_eq!(offer(&world, owner, cheap).standing,
            Standing::NotOffered { reason: "occupied".to_owned() });
        set(at);
        world.submit(customer, &new_job(1, 1));
        assert!(tick(&world) > 0);
        assert!(matches!(offer(&world, owner, dear).standing, Standing::Leased { .. }));
        let stranger = world.party("owner");
        let refused = world.db.store.read(|tx| {
            market::explain_vehicle(tx, &world.config, stranger, dear)
        });
        assert!(matches!(refused, Err(Error::NotFound("vehicle"))));
    }
}

on_both_databases! {
    fn a_car_that_is_not_on_offer_is_told_why(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let car = world.car(owner, RESERVE, PayIn::Cash);
        let reason = || match offer(&world, owner, car).standing {
            Standing::NotOffered { reason } => reason,
            other => format!("{other:?}"),
        };
        for purpose in Purpose::ALL {
            world.write(|tx| {
                fleet::withdraw_consent(tx, owner, car, *purpose, DataClass::Synthetic)
            });
        }
        assert_eq!(reason(), "no_consent");
        world.write(|tx| {
            fleet::give_consent(tx, owner, car, Purpose::Video, DataClass::Synthetic)
        });
        // On offer, but not for what the job is.
        let id = world.submit(customer, &new_job(1, 1));
        tick(&world);
        let told = outcome(&world, customer, id);
        assert_eq!(told.why, Some(Why::LeftOut(LeftOut::NoSupply)));
        let Standing::Unsold(told) = offer(&world, owner, car).standing else { panic!() };
        assert_eq!((told.reason, told.would_sell_at), ("no_demand", None));
        world.db.clock.advance_s(60);
        assert_eq!(reason(), "no_heartbeat");
    }
}

on_both_databases! {
    fn a_tick_adds_up(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        for reserve in [RESERVE, RESERVE, 4 * RESERVE] {
            world.car(owner, reserve, PayIn::Cash);
        }
        world.submit(customer, &new_job(3, 3));
        tick(&world);
        let ticks = world.write(|tx| market::ticks(tx, "us", None, 10));
        assert_eq!(ticks.len(), 1);
        let figures = ticks[0].figures;
        assert_eq!((figures.bids, figures.wanted, figures.offered, figures.sold), (1, 3, 3, 2));
        // Two lanes worth $0.36 with reserves of $0.12; the third wanted sets the price.
        assert_eq!((figures.welfare, figures.bound, figures.payments), (480_000, 480_000, 720_000));
        assert_eq!((figures.owner_surplus, figures.customer_surplus()), (480_000, 0));
        assert_eq!(figures.spread, 0);
        let unknown = world.db.store.read(|tx| market::ticks(tx, "moon", None, 10));
        assert!(matches!(unknown, Err(Error::NotFound("market"))));
    }
}
