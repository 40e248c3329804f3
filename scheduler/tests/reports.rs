//! Reports that come twice, late, for another's attempt or for none: what is answered, and that no
//! row changes by them.

#![allow(clippy::unwrap_used)]

mod common;

use common::{World, at_home, new_job, rows};
use scheduler::lease::{self, Evict};
use scheduler::{Desk, Error, PayIn};
use store::{AttemptId, VehicleId, on_both_databases};
use vehicle::protocol::{
    AttemptReport, AttemptState, FailureCode, Fault, Heartbeat, HeartbeatReply, VacateReason,
};

const RESERVE: i64 = 102_000;

/// Two cars of which each has an order, of one job, and one that has none.
fn three_cars(world: &World) -> [VehicleId; 3] {
    let (customer, owner) = (world.customer(10), world.party("owner"));
    let cars = [(); 2].map(|()| world.car(owner, RESERVE, PayIn::Cash));
    world.submit(customer, &new_job(3, 2));
    assert_eq!(world.tick().leases, 2);
    [cars[0], cars[1], world.car(owner, RESERVE, PayIn::Cash)]
}

fn not_yours(reply: &HeartbeatReply) -> bool {
    reply.vacate == Some(VacateReason::NotYours) && reply.order.is_none()
}

on_both_databases! {
    fn a_report_for_anothers_attempt_or_for_none_is_not_yours_and_changes_nothing(db) {
        let world = World::new(db);
        let [one, other, idle] = three_cars(&world);
        let order = world.beat(one, &at_home(), None).order.unwrap();
        world.beat(other, &at_home(), None).order.unwrap();
        let output = world.stored("output");
        let completed = AttemptState::Completed { output: output.clone(), metered_us: 1 };
        let states = [
            completed.clone(),
            AttemptState::Checkpointed { checkpoint: output, metered_us: 1 },
            AttemptState::Vacated { metered_us: 1 },
            AttemptState::Running { progress_ppm: 1, metered_us: 1 },
            AttemptState::Failed {
                fault: Fault::Program,
                code: FailureCode::Trap,
                message: String::new(),
                metered_us: 1,
            },
        ];
        let before = rows::dump(&world);
        for named in [order.attempt_id.clone(), AttemptId::NIL.to_string(), "no id".to_owned()] {
            for state in &states {
                for car in [other, idle] {
                    let report = AttemptReport::new(named.clone(), state.clone());
                    let reply = world.beat(car, &at_home(), Some(report));
                    assert!(not_yours(&reply), "{named} {state:?}: {reply:?}");
                }
            }
        }
        assert_eq!(rows::dump(&world), before);
        // Whose it is completes it still.
        assert!(world.report(one, &order, completed).order.is_some());
        rows::check(&world);
    }
}

on_both_databases! {
    fn a_terminal_report_said_again_is_answered_the_same_and_changes_nothing(db) {
        let world = World::new(db);
        let [one, other, _] = three_cars(&world);
        let first = world.beat(one, &at_home(), None).order.unwrap();
        let second = world.beat(other, &at_home(), None).order.unwrap();
        let output = world.stored("output");
        let completed = AttemptState::Completed { output, metered_us: 1 };
        // With a next task to do, and with none: the lease has ended.
        for (car, order) in [(one, first), (other, second)] {
            let answer = world.report(car, &order, completed.clone());
            let before = rows::dump(&world);
            for _ in 0..3 {
                assert_eq!(world.report(car, &order, completed.clone()).order, answer.order);
            }
            // Another end than the one it had: it has ended.
            let vacated = AttemptState::Vacated { metered_us: 1 };
            assert_eq!(world.report(car, &order, vacated).order, answer.order);
            assert_eq!(rows::dump(&world), before);
            // That it runs still is not so.
            let running = AttemptState::Running { progress_ppm: 1, metered_us: 1 };
            assert!(not_yours(&world.report(car, &order, running)));
            assert_eq!(rows::dump(&world), before);
        }
        rows::check(&world);
    }
}

on_both_databases! {
    fn an_evicted_car_leaves_at_its_next_poll_and_its_checkpoint_goes_on(db) {
        let world = World::new(db);
        let [one, other, _] = three_cars(&world);
        let first = world.beat(one, &at_home(), None).order.unwrap();
        let second = world.beat(other, &at_home(), None).order.unwrap();
        let evict = |whose| world.write(|tx| lease::evict(tx, "us", whose, "recall"));
        assert_eq!(evict(Evict::Vehicle(one)), 1);
        assert_eq!(evict(Evict::Vehicle(one)), 0, "told already");
        let running = AttemptState::Running { progress_ppm: 1, metered_us: 1 };
        let reply = world.report(one, &first, running.clone());
        assert_eq!(reply.vacate, Some(VacateReason::Evicted));
        assert_eq!(world.report(other, &second, running.clone()).vacate, None);
        assert_eq!(evict(Evict::Region("us-tx")), 0);
        assert_eq!(evict(Evict::Region("us-ca")), 1);
        let reply = world.report(other, &second, running);
        assert_eq!(reply.vacate, Some(VacateReason::Evicted));
        let checkpoint = world.stored("checkpoint");
        let left = AttemptState::Checkpointed { checkpoint: checkpoint.clone(), metered_us: 1 };
        assert_eq!(world.report(one, &first, left).order, None);
        world.report(other, &second, AttemptState::Vacated { metered_us: 1 });
        let ends: Vec<_> = world.leases().into_iter().map(|lease| lease.1).collect();
        assert_eq!(ends, ["evicted", "evicted"]);
        // The next leases are not evicted: only those that were live.
        assert!(world.tick().leases > 0);
        let cars = [one, other];
        let again = cars.iter().filter_map(|car| world.beat(*car, &at_home(), None).order);
        assert!(again.into_iter().any(|order| order.checkpoint.as_ref() == Some(&checkpoint)));
        let refused = world.db.store.write(|tx| lease::evict(tx, "us", Evict::Vehicle(one), " "));
        assert!(matches!(refused, Err(Error::Invalid { pointer: "/reason", .. })));
        rows::check(&world);
    }
}

on_both_databases! {
    fn a_desk_with_no_room_is_busy_and_an_unknown_car_is_not_found(db) {
        let world = World::new(db);
        let [one, ..] = three_cars(&world);
        let config = scheduler::Config { max_waiting: 4, max_batch: 2, ..world.config.clone() };
        let desk = Desk::new(world.db.store.clone(), config);
        let beat = Heartbeat { telemetry: at_home(), attempt: None };
        let answer = desk.heartbeat(VehicleId::NIL, &beat);
        assert!(matches!(answer, Err(Error::NotFound("vehicle"))));
        // Some of many at once may be refused; none gets another answer than its order, and one
        // alone is never refused.
        let answers: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..64).map(|_| scope.spawn(|| desk.heartbeat(one, &beat))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let order = desk.heartbeat(one, &beat).unwrap().order.unwrap();
        for answer in answers {
            match answer {
                Ok(reply) => assert_eq!(reply.order.as_ref(), Some(&order)),
                Err(error) => assert!(matches!(error, Error::Busy), "{error}"),
            }
        }
        rows::check(&world);
    }
}
