//! Prices as they were, the depth of the book, the hours seen, and quotes made from them.

#![allow(clippy::unwrap_used)]

mod common;

use common::{World, at_home, new_job};
use scheduler::market::{
    self, Alarm, CellFilter, Fate, Past, Quote, QuoteRequest, Why, Work, would_clear,
};
use scheduler::{DataClass, Error, LeftOut, PayIn, Purpose};
use store::{Amount, PartyId, Timestamp, on_both_databases};

const RESERVE: i64 = 102_000;

/// Lets a car at each of these reserves, a minute apart, with bids of a single lane; the car is
/// not there afterwards.
fn sell(world: &World, reserves: &[i64]) {
    let (customer, owner) = (world.customer(10), world.party("owner"));
    for reserve in reserves {
        let car = world.car(owner, *reserve, PayIn::Cash);
        world.submit(customer, &new_job(1, 1));
        assert_eq!(world.tick().leases, 1);
        let order = world.beat(car, &at_home(), None).order.unwrap();
        world.complete(car, &order, 1);
        world.beat(car, &common::driver_back(), None);
        world.db.clock.advance_s(59);
    }
}

fn all() -> CellFilter {
    CellFilter::default()
}

on_both_databases! {
    fn a_history_is_where_prices_changed(db) {
        let world = World::new(db);
        let start = world.db.store.now();
        sell(&world, &[RESERVE, RESERVE, 2 * RESERVE, 2 * RESERVE, RESERVE]);
        let changes = |from: Timestamp, cells: &CellFilter, limit| {
            let rows = world.write(|tx| market::price_changes(tx, "us", cells, from, limit));
            rows.into_iter().map(|row| (row.tick, row.price.0)).collect::<Vec<_>>()
        };
        let points = [(1, 120_000), (3, 240_000), (5, 120_000)];
        assert_eq!(changes(start, &all(), 100), points);
        // From within: the price that held then, though it was set before.
        assert_eq!(changes(start.plus_s(150), &all(), 100), [(3, 240_000), (5, 120_000)]);
        assert_eq!(changes(start.plus_s(9_999), &all(), 100), [(5, 120_000)]);
        assert_eq!(changes(start, &all(), 2), points[..2]);
        let elsewhere = CellFilter { region: Some("us-tx".to_owned()), class: None };
        assert_eq!(changes(start, &elsewhere, 100), []);
        let here = CellFilter { region: Some("us-ca".to_owned()), class: Some("hw4".to_owned()) };
        assert_eq!(changes(start, &here, 100), points);
        let unknown = world.db.store.read(|tx| market::price_changes(tx, "moon", &all(), start, 9));
        assert!(matches!(unknown, Err(Error::NotFound("market"))));
    }
}

on_both_databases! {
    fn candles_hold_what_was_let_in_a_while(db) {
        let world = World::new(db);
        let start = world.db.store.now();
        sell(&world, &[RESERVE, 3 * RESERVE, 2 * RESERVE, RESERVE, RESERVE, RESERVE]);
        let candles = |range, interval_s| {
            world.db.store.read(|tx| market::candles(tx, "us", &all(), range, interval_s))
        };
        let told = candles((start, start.plus_s(600)), 300).unwrap();
        assert_eq!(told.len(), 2);
        let first = &told[0];
        let prices = [first.open, first.high, first.low, first.close, first.mean];
        assert_eq!(prices.map(|price| price.0), [120_000, 360_000, 120_000, 120_000, 192_000]);
        assert_eq!((first.from, first.volume, first.ticks), (start, 5, 5));
        assert_eq!((told[1].from, told[1].volume), (start.plus_s(300), 1));
        for (range, interval_s) in [
            ((start, start), 300),
            ((start.plus_s(1), start), 300),
            ((start, start.plus_s(60_001)), 60),
            ((start, start.plus_s(60)), 61),
            ((start, start.plus_s(60)), 0),
            ((Timestamp(i64::MIN), Timestamp(i64::MAX)), 86_400),
        ] {
            assert!(matches!(candles(range, interval_s), Err(Error::Invalid { .. })));
        }
    }
}

on_both_databases! {
    fn the_depth_is_the_last_ticks_book(db) {
        let world = World::new(db);
        assert_eq!(world.write(|tx| market::depth(tx, "us", &all())), None);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        for reserve in [RESERVE, RESERVE, 4 * RESERVE] {
            world.car(owner, reserve, PayIn::Cash);
        }
        world.submit(customer, &new_job(1, 1));
        world.submit(customer, &new_job(2, 2));
        let mut dear = new_job(1, 1);
        dear.bid.price = Amount(500_000);
        world.submit(customer, &dear);
        world.tick();
        let (tick, cells) = world.write(|tx| market::depth(tx, "us", &all())).unwrap();
        assert_eq!((tick.tick, cells.len()), (1, 1));
        let side = |levels: &[market::Depth]| {
            levels.iter().map(|level| (level.price.0, level.lanes)).collect::<Vec<_>>()
        };
        assert_eq!(side(&cells[0].asks), [(120_000, 2), (480_000, 1)]);
        assert_eq!(side(&cells[0].bids), [(500_000, 1), (360_000, 3)]);
        assert_eq!((cells[0].lanes, cells[0].price), (2, Some(Amount(360_000))));
    }
}

on_both_databases! {
    fn hours_tell_how_many_cars_were_let(db) {
        let world = World::new(db);
        let start = world.db.store.now();
        let (customer, owner) = (world.customer(10), world.party("owner"));
        for _ in 0..2 {
            world.car(owner, RESERVE, PayIn::Cash);
        }
        world.tick();
        world.submit(customer, &new_job(5, 1));
        world.tick();
        world.tick();
        let range = (start, start.plus_s(3_600));
        let hours = world.write(|tx| market::hours(tx, "us", &all(), range));
        assert_eq!(hours.len(), 1);
        // Two idle, two idle, then one of each.
        assert_eq!((hours[0].ticks, hours[0].fewest, hours[0].most), (3, 2, 2));
        assert_eq!((hours[0].idle.0, hours[0].leased.0), (1_666_667, 333_333));
        assert_eq!(hours[0].utilisation_ppm, 166_667);
        let forecast = |hours| {
            world.db.store.read(|tx| market::forecast(tx, "us", &all(), hours))
        };
        assert_eq!(forecast(24).unwrap(), [], "the hour that runs is no observation yet");
        world.db.clock.advance_s(3_600);
        let told = forecast(24).unwrap();
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].hour, told[0].days), (start.plus_s(24 * 3_600), 1));
        assert_eq!(told[0].cars, Amount(2_000_000));
        for wrong in [0, -1, 169, i64::MAX] {
            assert!(matches!(forecast(wrong), Err(Error::Invalid { .. })));
        }
    }
}

on_both_databases! {
    fn thin_cells_and_wide_prices_raise_alarms(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let status = |world: &World| {
            world.write(|tx| market::status(tx, &world.config, "us")).alarms
        };
        assert!(status(&world).is_empty());
        world.car(owner, RESERVE, PayIn::Cash);
        world.submit(customer, &new_job(1, 1));
        world.tick();
        // One car on offer, and any price from its reserve to the bid's.
        let alarms = status(&world);
        assert_eq!(alarms.len(), 1);
        assert_eq!(alarms[0].1, [Alarm::Thin, Alarm::Wide]);
        // Many cars at much the same price: nothing to say.
        for n in 0..8 {
            world.car(owner, RESERVE + n * 2_000, PayIn::Cash);
        }
        world.db.clock.advance_s(1);
        world.submit(customer, &new_job(7, 7));
        world.tick();
        assert!(status(&world).is_empty(), "{:?}", status(&world));
    }
}

fn ask(world: &World, customer: PartyId, change: impl FnOnce(&mut QuoteRequest)) -> Quote {
    try_ask(world, customer, change).unwrap()
}

fn try_ask(
    world: &World,
    customer: PartyId,
    change: impl FnOnce(&mut QuoteRequest),
) -> Result<Quote, Error> {
    let mut request = QuoteRequest {
        purpose: Purpose::Simulation,
        data_class: DataClass::Synthetic,
        bid: new_job(1, 1).bid,
        hours: 24,
        work: None,
    };
    change(&mut request);
    market::quote(&world.db.store, &world.config, customer, "us", &request)
}

on_both_databases! {
    fn a_quote_is_what_the_next_tick_does(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let told = ask(&world, customer, |_| {});
        assert!(!would_clear(&told));
        assert_eq!(told.now.why, Some(Why::LeftOut(LeftOut::NoSupply)));
        assert_eq!((told.past, told.estimate), (Past::default(), None));

        world.car(owner, RESERVE, PayIn::Cash);
        world.car(owner, 2 * RESERVE, PayIn::Cash);
        let before = world.leases();
        let told = ask(&world, customer, |request| request.bid.lanes = 2);
        assert_eq!((told.now.fate, told.now.won), (Fate::Filled, 2));
        let price = told.now.cells[0].price;
        let poor = ask(&world, customer, |request| request.bid.price = Amount(119_999));
        assert!(!would_clear(&poor));
        let poor = ask(&world, customer, |request| request.bid.budget = Amount(1));
        assert_eq!(poor.now.why, Some(Why::LeftOut(LeftOut::Budget)));
        let whole = ask(&world, customer, |request| {
            (request.bid.lanes, request.bid.min_fill) = (3, 3);
        });
        assert_eq!(whole.now.fate, Fate::Unfilled);
        // Nothing was stored and nothing held.
        assert_eq!(world.leases(), before);
        assert_eq!(world.balance(ledger::Code::CustomerWallet, customer, "USD").held, Amount::ZERO);
        assert_eq!(world.write(|tx| market::ticks(tx, "us", None, 9)), []);

        // And the tick does what was told.
        world.submit(customer, &new_job(2, 2));
        assert_eq!(world.tick().leases, 2);
        let prices = world.write(|tx| market::prices(tx, "us"));
        assert_eq!(Some(prices[0].price), price);
    }
}

on_both_databases! {
    fn a_quote_looks_back(db) {
        let world = World::new(db);
        let customer = world.customer(10);
        sell(&world, &[RESERVE, 2 * RESERVE, 3 * RESERVE, 3 * RESERVE]);
        let told = ask(&world, customer, |request| {
            request.bid.price = Amount(240_000);
            request.work = Some(Work { tasks: 10, task_s: 360 });
        });
        let past = told.past;
        assert_eq!((past.ticks, past.won), (4, 2));
        assert_eq!((past.least, past.median, past.most),
            (Some(Amount(120_000)), Some(Amount(240_000)), Some(Amount(360_000))));
        let estimate = told.estimate.unwrap();
        // An hour of hw4 in all, at 0.12 and at 0.24; at one lane, in half of the time at worst.
        assert_eq!((estimate.cost_low, estimate.cost_high), (Amount(120_000), Amount(240_000)));
        assert!(estimate.within_budget);
        assert_eq!((estimate.finish_low_s, estimate.finish_high_s), (900, Some(14_400)));
        // Of another class nothing is known.
        let told = ask(&world, customer, |request| request.bid.classes = vec!["ai5".to_owned()]);
        assert_eq!(told.past, Past::default());
        world.db.clock.advance_s(2 * 3_600);
        let told = ask(&world, customer, |request| request.hours = 1);
        assert_eq!(told.past, Past::default(), "longer ago than asked for");
    }
}

on_both_databases! {
    fn what_cannot_be_quoted_is_refused(db) {
        let world = World::new(db);
        let customer = world.customer(10);
        type Change = fn(&mut QuoteRequest);
        let cases: &[(&str, Change)] = &[
            ("/bid/max_price", |request| request.bid.price = Amount(0)),
            ("/bid/max_price", |request| request.bid.price = Amount(i64::MAX)),
            ("/bid/lanes", |request| request.bid.lanes = 0),
            ("/bid/min_fill", |request| request.bid.min_fill = 2),
            ("/bid/budget", |request| request.bid.budget = Amount(-1)),
            ("/bid/budget/currency", |request| request.bid.currency = "EUR".to_owned()),
            ("/bid/regions", |request| request.bid.regions = vec!["atlantis".to_owned()]),
            ("/bid/classes", |request| request.bid.classes = vec!["abacus".to_owned()]),
            ("/bid/deadline", |request| request.bid.deadline = Some(Timestamp(0))),
            ("/hours", |request| request.hours = 0),
            ("/hours", |request| request.hours = i64::MAX),
            ("/work/tasks", |request| request.work = Some(Work { tasks: 0, task_s: 1 })),
            ("/work/tasks", |request| request.work = Some(Work { tasks: i64::MAX, task_s: 1 })),
            ("/work/task_seconds", |request| request.work = Some(Work { tasks: 1, task_s: -1 })),
        ];
        for (field, change) in cases {
            match try_ask(&world, customer, *change) {
                Err(Error::Invalid { pointer, .. }) => assert_eq!(pointer, *field),
                other => panic!("{field}: {other:?}"),
            }
        }
        // The most that may be asked.
        let told = try_ask(&world, customer, |request| {
            request.bid.price = scheduler::fleet::MAX_PRICE;
            request.bid.lanes = 100_000;
            request.bid.budget = Amount::MAX_INPUT;
            request.work = Some(Work { tasks: 10_000, task_s: 86_400 });
        });
        assert!(told.is_ok(), "{told:?}");
    }
}
