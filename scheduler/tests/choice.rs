//! The choice of cars: what is counted when leases end, and what the next ticks make of it.

#![allow(clippy::unwrap_used)]

mod common;

use common::{World, at_home, digest, driver_back, new_job};
use diesel::prelude::*;
use scheduler::{Config, PayIn};
use store::schema::{car_hour, car_program, job_pace, lease, region_hour, vehicle};
use store::{VehicleId, on_both_databases};

const RESERVE: i64 = 102_000;
const HOUR_S: i64 = 3_600;

/// (hour, watched, interrupted) of a car, by hour.
fn hours_of(world: &World, car: VehicleId) -> Vec<(i32, i64, i64)> {
    world.write(|tx| {
        Ok(car_hour::table
            .filter(car_hour::vehicle_id.eq(car))
            .order(car_hour::hour)
            .select((car_hour::hour, car_hour::watched, car_hour::interrupted))
            .load(tx.conn)?)
    })
}

fn hours_of_region(world: &World) -> Vec<(i32, i64, i64)> {
    world.write(|tx| {
        Ok(region_hour::table
            .filter(region_hour::region_id.eq("us-ca"))
            .order(region_hour::hour)
            .select((region_hour::hour, region_hour::watched, region_hour::interrupted))
            .load(tx.conn)?)
    })
}

/// The hour of the day that it is, and how long it still is, seconds.
fn clock(world: &World) -> (i32, i64) {
    let now_s = world.db.store.now().0.div_euclid(1_000_000);
    let hour = i32::try_from(now_s.div_euclid(HOUR_S).rem_euclid(24)).unwrap();
    (hour, HOUR_S - now_s.rem_euclid(HOUR_S))
}

/// Until the next full hour and a little more.
fn next_hour(world: &World) -> i32 {
    world.db.clock.advance_s(clock(world).1 + 1);
    clock(world).0
}

/// (car, term) of the leases that live.
fn live(world: &World) -> Vec<(VehicleId, i32)> {
    world.write(|tx| {
        Ok(lease::table
            .filter(lease::state.eq_any(["offered", "running"]))
            .order(lease::id)
            .select((lease::vehicle_id, lease::term_s))
            .load(tx.conn)?)
    })
}

/// The car is let, begins, and is taken away `seconds` later.
fn interrupt(world: &World, car: VehicleId, seconds: i64) {
    world.beat(car, &at_home(), None);
    assert_eq!(world.tick().leases, 1);
    let order = world.beat(car, &at_home(), None).order.unwrap();
    world.db.clock.advance_s(seconds);
    world.beat(car, &driver_back(), None);
    let state = ::vehicle::protocol::AttemptState::Vacated { metered_us: 0 };
    let report = ::vehicle::protocol::AttemptReport::new(order.attempt_id, state);
    world.beat(car, &driver_back(), Some(report));
    assert_eq!(live(world), []);
}

fn set_car_risk(world: &World, car: VehicleId, hour: i32, watched: i64, interrupted: i64) {
    world.write(|tx| {
        diesel::insert_into(car_hour::table)
            .values((
                car_hour::vehicle_id.eq(car),
                car_hour::hour.eq(hour),
                car_hour::watched.eq(watched * 1_000_000),
                car_hour::interrupted.eq(interrupted * 1_000_000),
                car_hour::day.eq(0_i64),
            ))
            .execute(tx.conn)?;
        Ok(())
    });
}

fn set_region_risk(world: &World, hour: i32, watched: i64, interrupted: i64) {
    world.write(|tx| {
        diesel::insert_into(region_hour::table)
            .values((
                region_hour::region_id.eq("us-ca"),
                region_hour::hour.eq(hour),
                region_hour::watched.eq(watched * 1_000_000),
                region_hour::interrupted.eq(interrupted * 1_000_000),
                region_hour::day.eq(0_i64),
            ))
            .execute(tx.conn)?;
        Ok(())
    });
}

on_both_databases! {
    fn a_lease_that_ended_is_counted_for_its_car_its_region_and_its_job(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let good = world.car(owner, RESERVE, PayIn::Cash);
        let hour = next_hour(&world);
        world.beat(good, &at_home(), None);
        let id = world.submit(customer, &new_job(1, 1));
        assert_eq!(world.tick().leases, 1);
        let order = world.beat(good, &at_home(), None).order.unwrap();
        assert_eq!(hours_of(&world, good), [], "nothing has ended");
        world.complete(good, &order, 9);
        assert_eq!(hours_of(&world, good), [(hour, 2_500, 0)], "9 seconds of an hour");
        let pace: (i64, i64) = world.write(|tx| {
            let pace = job_pace::table.find(id).select((job_pace::attempts, job_pace::busy_us));
            Ok(pace.first(tx.conn)?)
        });
        assert_eq!(pace, (1, 9_000_000));

        // An interruption counts a whole hour, for its car and for the region.
        let bad = world.car(owner, RESERVE - 10_000, PayIn::Cash);
        world.submit(customer, &new_job(1, 1));
        interrupt(&world, bad, 18);
        assert_eq!(hours_of(&world, bad), [(hour, 1_000_000, 1_000_000)]);
        assert_eq!(hours_of_region(&world), [(hour, 1_002_500, 1_000_000)]);
        world.check();
    }
}

on_both_databases! {
    fn each_day_with_news_fades_what_is_older(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let car = world.car(owner, RESERVE, PayIn::Cash);
        world.submit(customer, &new_job(1, 1));
        next_hour(&world);
        for (days, expected) in [
            (0, 1_000_000),
            // Twice on one day: whole.
            (0, 2_000_000),
            (1, 2_875_000),
            (0, 3_875_000),
            (9, 4_632_813),
        ] {
            world.db.clock.advance_s(days * 24 * HOUR_S);
            interrupt(&world, car, 1);
            let hours = hours_of(&world, car);
            assert_eq!((hours.len(), hours[0].1, hours[0].2), (1, expected, expected), "{days}");
            assert_eq!(hours_of_region(&world), hours);
        }
    }
}

on_both_databases! {
    fn a_car_that_fell_silent_was_there_until_its_last_word(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let car = world.car(owner, RESERVE, PayIn::Cash);
        let hour = next_hour(&world);
        world.beat(car, &at_home(), None);
        world.submit(customer, &new_job(1, 1));
        world.tick();
        world.beat(car, &at_home(), None).order.unwrap();
        world.db.clock.advance_s(HOUR_S);
        world.sweep();
        assert_eq!(hours_of(&world, car), [(hour, 1_000_000, 1_000_000)]);

        // One that never took the offer says nothing.
        let other = world.car(owner, RESERVE, PayIn::Cash);
        assert_eq!(world.tick().leases, 1);
        world.db.clock.advance_s(HOUR_S);
        world.sweep();
        assert_eq!(hours_of(&world, other), []);
        assert_eq!(world.leases().last().unwrap().1, "not_taken");
    }
}

on_both_databases! {
    fn among_equals_the_program_comes_first_then_who_stays(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let cars = [(); 6].map(|()| world.car(owner, RESERVE, PayIn::Cash));
        let hour = clock(&world).0;
        let named = digest("program");
        world.write(|tx| {
            diesel::insert_into(car_program::table)
                .values((
                    car_program::vehicle_id.eq(cars[4]),
                    car_program::programs.eq(format!("{} {named} ", digest("another"))),
                ))
                .execute(tx.conn)?;
            // The dearest is the last, whatever else it is.
            diesel::update(vehicle::table.find(cars[5]))
                .set(vehicle::reserve.eq(RESERVE + 50_000))
                .execute(tx.conn)?;
            Ok(())
        });
        for (car, interrupted) in [(0, 90), (1, 50), (2, 90), (3, 0), (4, 90), (5, 0)] {
            for hour in [hour, (hour + 1) % 24] {
                set_car_risk(&world, cars[car], hour, 100, interrupted);
            }
        }
        for expected in [cars[4], cars[3], cars[1]] {
            world.submit(customer, &new_job(1, 1));
            assert_eq!(world.tick().leases, 1);
            assert_eq!(live(&world).last().unwrap().0, expected);
        }
        world.submit(customer, &new_job(2, 2));
        world.tick();
        assert!(!live(&world).iter().any(|(car, _)| *car == cars[5]));
    }
}

on_both_databases! {
    fn a_car_remembers_four_programs_the_latest_first(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let car = world.car(owner, RESERVE, PayIn::Cash);
        let programs = || {
            let of: String = world.write(|tx| {
                Ok(car_program::table.find(car).select(car_program::programs).first(tx.conn)?)
            });
            of.split_whitespace().map(str::to_owned).collect::<Vec<String>>()
        };
        let run = |name: &str| {
            let job = world.submit(customer, &new_job(1, 1));
            world.write(|tx| {
                use store::schema::job;
                diesel::update(job::table.find(job))
                    .set(job::program.eq(digest(name)))
                    .execute(tx.conn)?;
                Ok(())
            });
            world.beat(car, &at_home(), None);
            world.tick();
            let order = world.beat(car, &at_home(), None).order.unwrap();
            world.complete(car, &order, 1);
        };
        ["a", "b", "a", "c"].into_iter().for_each(run);
        assert_eq!(programs(), ["c", "a", "b"].map(digest));
        ["d", "e"].into_iter().for_each(run);
        assert_eq!(programs(), ["e", "d", "c", "a"].map(digest));
    }
}

on_both_databases! {
    fn a_lease_ends_before_an_exodus_and_where_its_car_is_gone_but_not_within_a_task(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let car = world.car(owner, RESERVE, PayIn::Cash);
        let hour = next_hour(&world);
        let job = world.submit(customer, &new_job(9, 1));
        let term = |world: &World| {
            world.beat(car, &at_home(), None);
            assert_eq!(world.tick().leases, 1);
            let term_s = live(world)[0].1;
            // As if it had never been: nothing is learnt of it.
            world.write(|tx| {
                diesel::delete(lease::table).execute(tx.conn)?;
                Ok(())
            });
            term_s
        };
        assert_eq!(term(&world), 900, "nothing is known");
        // Each of a thousand hours was interrupted: of the next one's, a fifth after 12 minutes.
        set_car_risk(&world, car, hour, 1_000, 1_000);
        assert_eq!(term(&world), 722);
        set_region_risk(&world, (hour + 1) % 24, 100, 60);
        assert_eq!(term(&world), 722);
        world.db.clock.advance_s(HOUR_S - 601);
        assert_eq!(term(&world), 600, "the exodus is ten minutes away");
        // A task takes longer than that: then the lease does.
        world.write(|tx| {
            diesel::insert_into(job_pace::table)
                .values((
                    job_pace::job_id.eq(job),
                    job_pace::attempts.eq(2_i64),
                    job_pace::busy_us.eq(1_399_000_001_i64),
                ))
                .execute(tx.conn)?;
            Ok(())
        });
        assert_eq!(term(&world), 700, "the mean of its attempts, rounded up");
        let careless = Config { exodus_ppm: 1_000_000, stay_ppm: 0, ..world.config.clone() };
        let world = World { config: careless, ..world };
        assert_eq!(term(&world), 900, "for who does not mind");
    }
}
