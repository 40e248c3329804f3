//! Clearings that can be made again, and what happens to a tick when the world goes on meanwhile.

#![allow(clippy::unwrap_used)]

mod common;

use common::{World, at_home, driver_back, new_job};
use diesel::prelude::*;
use scheduler::fleet::Policy;
use scheduler::market::{self, Replay, Replayer};
use scheduler::{Error, PayIn, fleet, job};
use store::schema::{cell_price, clearing, clearing_record, unplaced_fill};
use store::{Amount, on_both_databases};

const RESERVE: i64 = 102_000;

fn replays(world: &World) -> Vec<Replay> {
    world.write(|tx| Replayer::default().page(tx, None, 1_000))
}

/// (lanes, reason) of the last clearing's fills that found no car.
fn unplaced(world: &World) -> Vec<(i32, String)> {
    world.write(|tx| {
        Ok(unplaced_fill::table
            .order((unplaced_fill::clearing_id.desc(), unplaced_fill::line))
            .select((unplaced_fill::lanes, unplaced_fill::reason))
            .load(tx.conn)?)
    })
}

on_both_databases! {
    fn every_clearing_can_be_made_again(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        world.tick();
        assert_eq!(replays(&world), [], "nobody bids: nothing is cleared");
        world.submit(customer, &new_job(2, 2));
        world.tick();
        world.db.clock.advance_s(1);
        for reserve in [RESERVE, RESERVE, 2 * RESERVE] {
            world.car(owner, reserve, PayIn::Cash);
        }
        world.submit(customer, &new_job(3, 3));
        assert_eq!(world.tick().leases, 3);
        for _ in 0..3 {
            world.db.clock.advance_s(1);
            world.tick();
        }
        let all = replays(&world);
        assert_eq!(all.len(), 5);
        assert!(all.iter().all(|replay| replay.difference.is_none() && replay.bytes.is_some()));
        assert_eq!(all.iter().map(|replay| replay.lanes).sum::<i64>(), 3);
        // The three ticks in which nothing changed share what is stored of them.
        let records: i64 = world.write(|tx| Ok(clearing_record::table.count().get_result(tx.conn)?));
        assert_eq!(records, 3);

        // A price that was changed afterwards is found, and so is a record.
        world.write(|tx| {
            diesel::update(cell_price::table).set(cell_price::price.eq(1_i64)).execute(tx.conn)?;
            Ok(())
        });
        let changed = replays(&world).into_iter().find(|replay| replay.difference.is_some());
        let changed = changed.unwrap();
        assert_eq!(changed.clearing, all[1].clearing);
        let one = world.write(|tx| market::replay(tx, changed.clearing));
        assert_eq!(one, changed);
        world.write(|tx| {
            let content: Vec<u8> =
                clearing_record::table.select(clearing_record::content).first(tx.conn)?;
            let cut = &content[..content.len() - 1];
            diesel::update(clearing_record::table)
                .set(clearing_record::content.eq(cut))
                .execute(tx.conn)?;
            Ok(())
        });
        assert!(replays(&world).iter().all(|replay| replay.difference.is_some()));
        let unknown = world.db.store.read(|tx| market::replay(tx, store::ClearingId::NIL));
        assert!(matches!(unknown, Err(Error::NotFound("clearing"))));
    }
}

/// A market of one car and one job of one lane, in the middle of a tick.
fn midway(world: &World) -> (store::PartyId, store::VehicleId, store::JobId, market::Draft) {
    let (customer, owner) = (world.customer(10), world.party("owner"));
    let car = world.car(owner, RESERVE, PayIn::Cash);
    let id = world.submit(customer, &new_job(1, 1));
    let draft = market::draft(&world.db.store, &world.config, "us", world.node).unwrap();
    assert_eq!(world.leases().len(), 0, "decided, and nothing done");
    (customer, car, id, draft)
}

fn commit(world: &World, draft: market::Draft) -> market::TickReport {
    market::commit(&world.db.store, &world.config, draft).unwrap()
}

on_both_databases! {
    fn what_still_stands_is_let(db) {
        let world = World::new(db);
        let (.., draft) = midway(&world);
        let report = commit(&world, draft);
        assert_eq!((report.leases, report.unplaced), (1, 0));
        assert_eq!(unplaced(&world), []);
    }
}

on_both_databases! {
    fn a_car_that_left_meanwhile_is_a_fill_without_a_car(db) {
        let world = World::new(db);
        let (_, car, _, draft) = midway(&world);
        world.beat(car, &driver_back(), None);
        let report = commit(&world, draft);
        assert_eq!((report.leases, report.unplaced), (0, 1));
        assert_eq!(unplaced(&world), [(1, "car_gone".to_owned())]);
        assert!(replays(&world).iter().all(|replay| replay.difference.is_none()));
        // It comes back, and the next tick has it.
        world.beat(car, &at_home(), None);
        assert_eq!(world.tick().leases, 1);
        world.check();
    }
}

on_both_databases! {
    fn a_job_that_was_cancelled_meanwhile_gets_no_car(db) {
        let world = World::new(db);
        let (customer, _, id, draft) = midway(&world);
        world.write(|tx| job::cancel(tx, customer, id));
        assert_eq!(commit(&world, draft).unplaced, 1);
        assert_eq!(unplaced(&world), [(1, "job_ended".to_owned())]);
        assert_eq!(world.job(customer, id).held, Amount::ZERO);
        world.check();
    }
}

on_both_databases! {
    fn a_car_that_asks_for_more_meanwhile_is_not_sold_below(db) {
        let world = World::new(db);
        let (_, car, _, draft) = midway(&world);
        let owner = world.write(|tx| {
            use store::schema::vehicle;
            Ok(vehicle::table.find(car).select(vehicle::owner_id).first(tx.conn)?)
        });
        let policy = Policy { plugged_only: false, ..Policy::default() };
        world.write(|tx| {
            fleet::set_policy(tx, owner, car, policy, Amount(RESERVE + 1_000), PayIn::Cash)
        });
        assert_eq!(commit(&world, draft).unplaced, 1);
        assert_eq!(unplaced(&world), [(1, "car_changed".to_owned())]);
    }
}

on_both_databases! {
    fn a_tick_that_another_overtook_is_dropped(db) {
        let world = World::new(db);
        let (.., draft) = midway(&world);
        assert_eq!(world.tick().leases, 1);
        let late = market::commit(&world.db.store, &world.config, draft);
        assert!(matches!(late, Err(Error::NotLeader)));
        assert_eq!(world.leases().len(), 1, "the car is let once");
        let clearings: i64 = world.write(|tx| Ok(clearing::table.count().get_result(tx.conn)?));
        assert_eq!(clearings, 1);
    }
}

on_both_databases! {
    fn nodes_side_by_side_let_no_car_twice(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(100), world.party("owner"));
        let cars = [(); 6].map(|()| world.car(owner, RESERVE, PayIn::Cash));
        let nodes = [(); 3].map(|()| world.db.store.env().ids.id(world.db.store.now()));
        let config = scheduler::Config { leader_ttl_s: 0, ..world.config.clone() };
        std::thread::scope(|scope| {
            for node in nodes {
                let (store, config) = (&world.db.store, &config);
                scope.spawn(move || {
                    for _ in 0..15 {
                        match market::tick(store, config, "us", node) {
                            Ok(_) | Err(Error::NotLeader) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                });
            }
            scope.spawn(|| {
                for n in 0..12 {
                    let id = world.submit(customer, &new_job(2, 2));
                    if n % 3 == 0 {
                        world.write(|tx| job::cancel(tx, customer, id));
                    }
                }
            });
            scope.spawn(|| {
                for n in 0..30 {
                    let car = cars[n % cars.len()];
                    let telemetry = if n % 4 == 0 { driver_back() } else { at_home() };
                    if let Some(order) = world.beat(car, &telemetry, None).order {
                        world.complete(car, &order, 0);
                    }
                }
            });
        });
        // Two leases that live at once would break a unique index; the rest is in the rows.
        assert!(!world.leases().is_empty());
        let different = replays(&world).into_iter().find(|replay| replay.difference.is_some());
        assert_eq!(different, None);
        world.check();
    }
}
