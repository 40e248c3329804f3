//! What the desk answers from memory, and what it must not.

#![allow(clippy::unwrap_used)]

mod common;

use common::{World, at_home, driver_back, new_job};
use scheduler::{Desk, PayIn};
use store::{VehicleId, on_both_databases};
use vehicle::protocol::{Heartbeat, Telemetry};

const RESERVE: i64 = 102_000;

fn word(telemetry: Telemetry) -> Heartbeat {
    Heartbeat { telemetry, attempt: None }
}

/// A desk that has seen the car at home twice, and has just looked for leases.
fn desk(world: &World, car: VehicleId) -> Desk {
    let desk = Desk::new(world.db.store.clone(), world.config.clone());
    desk.heartbeat(car, &word(at_home())).unwrap();
    desk.look_for_leases().unwrap();
    desk
}

on_both_databases! {
    fn a_car_that_says_what_it_said_is_answered_from_memory(db) {
        let world = World::new(db);
        let car = world.car(world.party("owner"), RESERVE, PayIn::Cash);
        let desk = desk(&world, car);
        let said = word(at_home());
        let at_once = desk.at_once(car, &said).unwrap();
        assert_eq!(Ok(at_once), desk.heartbeat(car, &said).map_err(|error| error.to_string()));

        assert_eq!(desk.at_once(car, &word(driver_back())), None, "another word");
        let low = Telemetry { soc: Some(49.0), ..at_home() };
        assert_eq!(desk.at_once(car, &word(low)), None);
        assert_eq!(desk.at_once(VehicleId::from_bytes([7; 16]), &said), None, "an unknown car");

        desk.forget(car);
        assert_eq!(desk.at_once(car, &said), None, "its owner changed something");
        desk.heartbeat(car, &said).unwrap();
        assert!(desk.at_once(car, &said).is_some());
    }
}

on_both_databases! {
    fn memory_is_trusted_only_while_leases_are_looked_for(db) {
        let world = World::new(db);
        let car = world.car(world.party("owner"), RESERVE, PayIn::Cash);
        let unwatched = Desk::new(world.db.store.clone(), world.config.clone());
        unwatched.heartbeat(car, &word(at_home())).unwrap();
        assert_eq!(unwatched.at_once(car, &word(at_home())), None);

        let desk = desk(&world, car);
        assert!(desk.at_once(car, &word(at_home())).is_some());
        world.db.clock.advance_s(2);
        assert_eq!(desk.at_once(car, &word(at_home())), None, "nobody looked for two seconds");
        desk.look_for_leases().unwrap();
        assert!(desk.at_once(car, &word(at_home())).is_some());
        // A third of the timeout of 10 s is over: its word is to be kept again.
        world.db.clock.advance_s(2);
        desk.look_for_leases().unwrap();
        assert_eq!(desk.at_once(car, &word(at_home())), None);
    }
}

on_both_databases! {
    fn a_lease_reaches_a_car_that_was_answered_from_memory(db) {
        let world = World::new(db);
        let car = world.car(world.party("owner"), RESERVE, PayIn::Cash);
        let desk = desk(&world, car);
        let on_offer = desk.on_offer();
        assert_eq!((on_offer.len(), on_offer[0].levels[0].cars), (1, 1));
        world.submit(world.customer(10), &new_job(1, 1));
        assert_eq!(world.tick().leases, 1);
        desk.look_for_leases().unwrap();
        assert_eq!(desk.at_once(car, &word(at_home())), None);
        assert_eq!(desk.on_offer(), []);
        let reply = desk.heartbeat(car, &word(at_home())).unwrap();
        let order = reply.order.unwrap();
        // The same again: the order is not lost though the car reports nothing.
        let again = desk.heartbeat(car, &word(at_home())).unwrap();
        assert_eq!(again.order.unwrap().attempt_id, order.attempt_id);

        world.complete(car, &order, 9);
        desk.look_for_leases().unwrap();
        desk.heartbeat(car, &word(at_home())).unwrap();
        assert!(desk.at_once(car, &word(at_home())).is_some(), "idle again");
    }
}
