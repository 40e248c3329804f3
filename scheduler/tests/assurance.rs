//! Results are compared before they are paid: cars that lie, alone and in league; records; rests.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use common::{World, at_home, new_job};
use diesel::prelude::*;
use ledger::Code;
use scheduler::assurance::{self, Assurance};
use scheduler::{JobState, PayIn, job};
use store::schema::{attempt, task};
use store::{Amount, JobId, PartyId, VehicleId, on_both_databases};
use vehicle::protocol::{AttemptReport, AttemptState, FailureCode, Fault, Order};

const RESERVE: i64 = 102_000;

/// A car and its owner.
struct Actor {
    car: VehicleId,
    owner: PartyId,
}

fn actors(world: &World, count: usize) -> Vec<Actor> {
    let actor = |_| {
        let owner = world.party("owner");
        Actor { car: world.car(owner, RESERVE, PayIn::Cash), owner }
    };
    (0..count).map(actor).collect()
}

fn assured(tasks: usize, lanes: i32, assurance: Assurance) -> job::NewJob {
    scheduler::job::NewJob { assurance, ..new_job(tasks, lanes) }
}

/// Has every car with an order work 9 s and name what `output` says, until the job has ended. The
/// number of rounds is bounded.
fn work(
    world: &World,
    customer: PartyId,
    id: JobId,
    actors: &[Actor],
    mut output: impl FnMut(usize, &Order) -> String,
) {
    for _ in 0..200 {
        if world.job(customer, id).row.state != JobState::Active {
            return;
        }
        world.sweep();
        for actor in actors {
            world.beat(actor.car, &at_home(), None);
        }
        world.tick();
        let orders: Vec<_> =
            actors.iter().map(|actor| world.beat(actor.car, &at_home(), None).order).collect();
        world.db.clock.advance_s(9);
        for (n, order) in orders.into_iter().enumerate() {
            // A task for each car and round: the next one is delivered again in the next round.
            if let Some(order) = order {
                let output = world.stored(&output(n, &order));
                let state = AttemptState::Completed { output, metered_us: 9_000_000 };
                world.report(actors[n].car, &order, state);
            }
        }
        world.check();
    }
    panic!("the job never ended");
}

/// (verdict, reason) of every attempt that completed.
fn verdicts(world: &World) -> Vec<(String, String)> {
    world.write(|tx| {
        Ok(attempt::table
            .filter(attempt::state.eq("completed"))
            .order(attempt::id)
            .select((attempt::verdict, attempt::reason))
            .load(tx.conn)?)
    })
}

/// (output, wanted, agreed) of every task.
fn outputs(world: &World) -> Vec<(Option<String>, i32, i32)> {
    world.write(|tx| {
        Ok(task::table
            .order(task::number)
            .select((task::output, task::wanted, task::agreed))
            .load(tx.conn)?)
    })
}

fn truth(_: usize, _: &Order) -> String {
    "truth".to_owned()
}

on_both_databases! {
    fn a_quorum_pays_exactly_the_results_that_were_named(db) {
        let world = World::new(db);
        let customer = world.customer(10);
        let actors = actors(&world, 3);
        let id = world.submit(customer, &assured(1, 3, Assurance::Quorum(3)));
        work(&world, customer, id, &actors, truth);
        let job = world.job(customer, id);
        // 9 s at $0.12 an hour are 300 micro-dollars; three cars.
        assert_eq!((job.row.state, job.spent, job.held),
            (JobState::Completed, Amount(900), Amount::ZERO));
        for actor in &actors {
            assert_eq!(world.balance(Code::OwnerCash, actor.owner, "USD").posted, Amount(255));
        }
        let right = common::digest("truth");
        assert_eq!(outputs(&world), [(Some(right), 3, 3)]);
    }
}

on_both_databases! {
    fn nobody_is_paid_and_nothing_delivered_before_the_quorum(db) {
        let world = World::new(db);
        let customer = world.customer(10);
        let actors = actors(&world, 1);
        let second = world.car(actors[0].owner, RESERVE, PayIn::Cash);
        world.submit(customer, &assured(1, 2, Assurance::Quorum(2)));
        assert_eq!(world.tick().leases, 1);
        for car in [actors[0].car, second] {
            if let Some(order) = world.beat(car, &at_home(), None).order {
                let reply = world.complete(car, &order, 9);
                assert_eq!(reply.order, None, "no car confirms itself");
            }
        }
        assert_eq!(world.tick().leases, 0, "nor does another of its owner's");
        assert_eq!(verdicts(&world), [("pending".into(), String::new())]);
        assert_eq!(outputs(&world), [(None, 2, 0)]);
        assert_eq!(world.balance(Code::OwnerCash, actors[0].owner, "USD").posted, Amount::ZERO);
        assert_eq!(world.leases(), [("ended".into(), "no_work".into(), -1, 300)]);
        world.check();
    }
}

on_both_databases! {
    fn a_result_is_confirmed_though_cars_of_another_class_are_worth_more(db) {
        let world = World::new(db);
        let customer = world.customer(10);
        let actors = actors(&world, 1);
        world.submit(customer, &assured(1, 2, Assurance::Quorum(2)));
        assert_eq!(world.tick().leases, 1);
        let order = world.beat(actors[0].car, &at_home(), None).order.unwrap();
        let say = |car: VehicleId, order: &Order| {
            world.db.clock.advance_s(9);
            let output = world.stored("truth");
            world.report(car, order, AttemptState::Completed { output, metered_us: 9_000_000 });
        };
        say(actors[0].car, &order);
        // Four times as fast for the same money, and it cannot confirm what an hw4 named.
        let faster = world.car_of("ai5", world.party("owner"), RESERVE, PayIn::Cash);
        let alike = world.car(world.party("owner"), RESERVE, PayIn::Cash);
        assert_eq!(world.tick().leases, 1);
        assert_eq!(world.beat(faster, &at_home(), None).order, None);
        let order = world.beat(alike, &at_home(), None).order.unwrap();
        say(alike, &order);
        assert_eq!(outputs(&world), [(Some(common::digest("truth")), 2, 2)]);
        world.check();
    }
}

on_both_databases! {
    fn a_colluding_pair_never_passes_a_quorum_of_three(db) {
        let world = World::new(db);
        let customer = world.customer(10);
        let actors = actors(&world, 6);
        let id = world.submit(customer, &assured(8, 6, Assurance::Quorum(3)));
        let mut lies = 0;
        work(&world, customer, id, &actors, |n, order| {
            if n < 2 {
                lies += 1;
                return format!("lie about {}", order.input.0);
            }
            "truth".to_owned()
        });
        assert!(lies > 0, "the liars had work");
        let right = common::digest("truth");
        let done = outputs(&world);
        assert!(done.iter().all(|task| *task == (Some(right.clone()), 3, 3)), "{done:?}");
        let unpaid: Vec<_> =
            verdicts(&world).into_iter().filter(|(verdict, _)| verdict != "paid").collect();
        assert_eq!(unpaid.len(), lies);
        assert!(unpaid.iter().all(|(_, reason)| reason.starts_with("wrong result: 3 cars")));
        // Eight tasks, three results each, 9 s each; leases round up to whole seconds.
        let job = world.job(customer, id);
        assert_eq!((job.row.state, job.spent), (JobState::Completed, Amount(8 * 3 * 300)));
        let dissents = world.write(|tx| assurance::dissents(tx, None, 100));
        assert_eq!(dissents.len(), lies);
        for dissent in &dissents {
            assert!(actors[..2].iter().any(|liar| liar.car == dissent.vehicle));
            assert_eq!((dissent.expected.as_ref(), dissent.agreeing), (Some(&right), Some(3)));
        }
        for liar in &actors[..2] {
            let owned = world.balance(Code::OwnerCash, liar.owner, "USD").posted;
            assert_eq!(owned, Amount::ZERO);
        }
        world.check();
    }
}

on_both_databases! {
    fn liars_by_chance_never_pass_a_quorum_of_two_alone(db) {
        let world = World::new(db);
        let customer = world.customer(10);
        let actors = actors(&world, 6);
        let id = world.submit(customer, &assured(10, 6, Assurance::Quorum(2)));
        let mut dice = 7_u32;
        let mut lies = 0;
        // One in three results of every second car is wrong, each in its own way.
        work(&world, customer, id, &actors, |n, order| {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if n.is_multiple_of(2) && (dice >> 16).is_multiple_of(3) {
                lies += 1;
                return format!("lie of {}", order.attempt_id);
            }
            "truth".to_owned()
        });
        assert!(lies > 0);
        let right = Some(common::digest("truth"));
        let job = world.job(customer, id);
        let done = outputs(&world);
        assert!(done.iter().all(|(output, ..)| output.is_none() || *output == right), "{done:?}");
        let verified = done.iter().filter(|(output, ..)| output.is_some()).count();
        assert_eq!(job.spent, Amount(i64::try_from(verified).unwrap() * 600));
        world.check();
    }
}

on_both_databases! {
    fn a_spot_check_finds_a_liar_within_the_expected_number(db) {
        let world = World::new(db);
        let customer = world.customer(10);
        let actors = actors(&world, 4);
        let level = Assurance::SpotCheck { rate_ppm: 200_000 };
        let id = world.submit(customer, &assured(30, 4, level));
        let mut by: BTreeMap<usize, usize> = BTreeMap::new();
        work(&world, customer, id, &actors, |n, order| {
            *by.entry(n).or_default() += 1;
            if n == 0 { format!("lie of {}", order.attempt_id) } else { "truth".to_owned() }
        });
        let liar = world
            .write(|tx| assurance::reputation_of(tx, actors[0].owner, actors[0].car));
        let honest = world
            .write(|tx| assurance::reputation_of(tx, actors[1].owner, actors[1].car));
        // New cars are checked every second time, found ones ever more: three dissents rest it.
        assert!(liar.dissent >= 2_000, "{liar:?}");
        assert!(liar.reliability_ppm() < 100_000 && honest.reliability_ppm() > 500_000);
        assert!(by[&0] <= 12, "{by:?}: it rests before it has done much harm");
        let dissents =
            world.write(|tx| assurance::dissents_of(tx, actors[0].owner, actors[0].car, 100));
        assert!(dissents.iter().all(|dissent| dissent.agreeing == Some(2)));
        // A checked task costs two results, another one: never more.
        let done = outputs(&world);
        let paid: i64 = done.iter().map(|(_, wanted, _)| i64::from(*wanted)).sum();
        assert_eq!(world.job(customer, id).spent, Amount(300 * paid));
        assert!(done.iter().all(|(output, ..)| output.is_some()));
        world.check();
    }
}

on_both_databases! {
    fn a_quorum_that_finds_no_further_car_ends_in_time(db) {
        let world = World::new(db);
        let customer = world.customer(10);
        for (cars, state, spent, agreed) in
            [(1, JobState::Failed, 0, 0), (2, JobState::Completed, 600, 2)]
        {
            let actors = actors(&world, cars);
            let id = world.submit(customer, &assured(1, 3, Assurance::Quorum(3)));
            for _ in 0..cars {
                actors.iter().for_each(|actor| drop(world.beat(actor.car, &at_home(), None)));
                assert_eq!(world.tick().leases, 1);
                let orders =
                    actors.iter().map(|a| (a.car, world.beat(a.car, &at_home(), None).order));
                let (car, order) = orders.collect::<Vec<_>>().into_iter()
                    .find_map(|(car, order)| Some((car, order?))).unwrap();
                world.db.clock.advance_s(9);
                let output = world.stored("truth");
                let done = AttemptState::Completed { output, metered_us: 9_000_000 };
                world.report(car, &order, done);
            }
            world.db.clock.advance_s(world.config.verify_wait_s - 1);
            assert_eq!(world.sweep().unconfirmed, 0);
            world.db.clock.advance_s(1);
            assert_eq!(world.sweep().unconfirmed, 1);
            let job = world.job(customer, id);
            assert_eq!((job.row.state, job.spent, job.held),
                (state, Amount(spent), Amount::ZERO), "{cars} cars");
            assert_eq!(outputs(&world).last().unwrap().2, agreed);
            for actor in &actors {
                let known = world.write(|tx| assurance::reputation_of(tx, actor.owner, actor.car));
                assert_eq!(known.dissent, 0, "nobody is to blame");
            }
            world.check();
        }
    }
}

on_both_databases! {
    fn who_cancels_pays_for_results_that_agree(db) {
        let world = World::new(db);
        let customer = world.customer(10);
        let actors = actors(&world, 2);
        let id = world.submit(customer, &assured(1, 1, Assurance::Quorum(3)));
        world.tick();
        let orders: Vec<_> =
            actors.iter().map(|actor| world.beat(actor.car, &at_home(), None).order).collect();
        let first = orders.iter().position(Option::is_some).unwrap();
        world.complete(actors[first].car, orders[first].as_ref().unwrap(), 9);
        world.write(|tx| job::cancel(tx, customer, id));
        let job = world.job(customer, id);
        assert_eq!((job.row.state, job.spent, job.held),
            (JobState::Cancelled, Amount(300), Amount::ZERO));
        assert_eq!(outputs(&world)[0].0, None, "nothing was verified, nothing is delivered");
        world.check();
    }
}

fn trap() -> AttemptState {
    AttemptState::Failed {
        fault: Fault::Program,
        code: FailureCode::Trap,
        message: "unreachable".to_owned(),
        metered_us: 9_000_000,
    }
}

/// Has one car after the other take the task; the n-th says what `says` does.
fn one_by_one(world: &World, actors: &[Actor], says: impl Fn(usize) -> AttemptState) -> Vec<usize> {
    let mut took = Vec::new();
    for n in 0..actors.len() {
        actors.iter().for_each(|actor| drop(world.beat(actor.car, &at_home(), None)));
        world.tick();
        let orders: Vec<_> =
            actors.iter().map(|actor| world.beat(actor.car, &at_home(), None).order).collect();
        let Some(who) = orders.iter().position(Option::is_some) else { break };
        world.db.clock.advance_s(9);
        world.report(actors[who].car, orders[who].as_ref().unwrap(), says(n));
        took.push(who);
        world.check();
    }
    took
}

on_both_databases! {
    fn a_program_fails_for_one_car_alone_by_that_car(db) {
        let world = World::new(db);
        let customer = world.customer(10);
        let actors = actors(&world, 3);
        let id = world.submit(customer, &assured(1, 1, Assurance::Quorum(2)));
        let output = world.stored("truth");
        let took = one_by_one(&world, &actors, |n| match n {
            0 => trap(),
            _ => AttemptState::Completed { output: output.clone(), metered_us: 9_000_000 },
        });
        assert_eq!(took.len(), 3);
        let liar = &actors[took[0]];
        assert_eq!(world.balance(Code::OwnerCash, liar.owner, "USD").posted, Amount::ZERO);
        let known = world.write(|tx| assurance::reputation_of(tx, liar.owner, liar.car));
        assert_eq!((known.failed, known.dissent), (1_000, 0));
        let job = world.job(customer, id);
        assert_eq!((job.row.state, job.spent), (JobState::Completed, Amount(600)));
    }
}

on_both_databases! {
    fn a_program_fails_when_cars_agree_that_it_does(db) {
        let world = World::new(db);
        let customer = world.customer(10);
        for level in [Assurance::Quorum(2), Assurance::SpotCheck { rate_ppm: 1 }] {
            let actors = actors(&world, 2);
            let id = world.submit(customer, &assured(1, 1, level));
            assert_eq!(one_by_one(&world, &actors, |_| trap()).len(), 2, "{level}");
            let job = world.job(customer, id);
            assert_eq!((job.row.state, job.spent, job.held),
                (JobState::Failed, Amount(600), Amount::ZERO));
            for actor in &actors {
                let known = world.write(|tx| assurance::reputation_of(tx, actor.owner, actor.car));
                assert_eq!((known.failed, known.right), (0, 1_000));
            }
            // Out of the way of the next.
            world.db.clock.advance_s(60);
        }
    }
}

on_both_databases! {
    fn a_car_that_fails_often_rests_and_comes_back(db) {
        let world = World::new(db);
        let customer = world.customer(10);
        let actors = actors(&world, 1);
        world.submit(customer, &new_job(10, 1));
        for n in 0..3 {
            assert_eq!(world.tick().leases, 1, "{n}");
            let order = world.beat(actors[0].car, &at_home(), None).order.unwrap();
            let failed = AttemptState::Failed {
                fault: Fault::Car,
                code: FailureCode::WorkerDied,
                message: "killed".to_owned(),
                metered_us: 0,
            };
            world.report(actors[0].car, &order, failed);
        }
        assert_eq!(world.tick().leases, 0, "it rests");
        let known =
            world.write(|tx| assurance::reputation_of(tx, actors[0].owner, actors[0].car));
        assert_eq!(known.rest_reason, Some("failed_often"));
        assert_eq!(known.resting_until, Some(world.db.store.now().plus_s(3_600)));
        world.db.clock.advance_s(3_600);
        world.beat(actors[0].car, &at_home(), None);
        assert_eq!(world.tick().leases, 1, "the way back");
        world.check();
    }
}

on_both_databases! {
    fn neither_progress_nor_meter_moves_money(db) {
        let world = World::new(db);
        let customer = world.customer(10);
        let actors = actors(&world, 1);
        let id = world.submit(customer, &new_job(1, 1));
        world.tick();
        let order = world.beat(actors[0].car, &at_home(), None).order.unwrap();
        world.db.clock.advance_s(3);
        for (progress_ppm, metered_us) in [(1_000_000, i64::MAX), (u32::MAX, i64::MIN), (0, -1)] {
            let attempt_id = order.attempt_id.clone();
            let state = AttemptState::Running { progress_ppm, metered_us };
            let report = AttemptReport::new(attempt_id, state);
            world.beat(actors[0].car, &at_home(), Some(report));
            assert_eq!(world.job(customer, id).spent, Amount::ZERO);
        }
        let output = world.stored("done");
        let lie = AttemptState::Completed { output, metered_us: i64::MAX };
        world.report(actors[0].car, &order, lie);
        // The platform saw 3 s: 100 micro-dollars.
        assert_eq!(world.job(customer, id).spent, Amount(100));
        world.check();
    }
}
