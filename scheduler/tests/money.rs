//! A bid becomes an owner's credit; the pay table; what stops work, and what it costs then.

#![allow(clippy::unwrap_used)]

mod common;

use common::{World, at_home, digest, driver_back, new_job};
use ledger::Code;
use scheduler::job::{self, NewJob};
use scheduler::{Config, DataClass, Error, JobState, PayIn, Purpose, fleet};
use store::{Amount, PartyId, on_both_databases};
use vehicle::protocol::{AttemptReport, AttemptState, FailureCode, Fault, VacateReason};

/// The market's lowest price clears: the reserve of $0.102 with the fee of 15 % on top is
/// $0.12 an hour, 33.333 micro-dollars a second.
const RESERVE: i64 = 102_000;

on_both_databases! {
    fn a_bid_becomes_an_owners_credit(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let car = world.car(owner, RESERVE, PayIn::Cash);
        let id = world.submit(customer, &new_job(2, 1));
        assert_eq!(world.balance(Code::CustomerWallet, customer, "USD").held, Amount(1_000_000));

        assert_eq!(world.tick().leases, 1);
        let order = world.beat(car, &at_home(), None).order.unwrap();
        let next = world.complete(car, &order, 60).order.unwrap();
        assert_ne!(next.attempt_id, order.attempt_id);
        assert_eq!(world.complete(car, &next, 60).order, None);

        // 120 s at $0.12 an hour: $0.004; the owner's 85 % and the fee's 15 %.
        assert_eq!(world.leases(), [("settled".into(), "no_work".into(), 4_000, 0)]);
        let job = world.job(customer, id);
        assert_eq!((job.row.state, job.spent, job.held),
            (JobState::Completed, Amount(4_000), Amount::ZERO));
        assert_eq!(world.balance(Code::OwnerCash, owner, "USD").posted, Amount(3_400));
        assert_eq!(world.balance(Code::FeeIncome, PartyId::NIL, "USD").posted, Amount(600));
        let wallet = world.balance(Code::CustomerWallet, customer, "USD");
        assert_eq!((wallet.posted, wallet.held), (Amount(9_996_000), Amount::ZERO));
        world.check();
    }
}

on_both_databases! {
    fn an_owner_may_take_credits_with_the_bonus(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let car = world.car(owner, RESERVE, PayIn::Credits);
        world.submit(customer, &new_job(1, 1));
        world.tick();
        let order = world.beat(car, &at_home(), None).order.unwrap();
        world.complete(car, &order, 120);
        // $0.0034 and the platform's 10 % on top.
        assert_eq!(world.balance(Code::OwnerCredits, owner, "CREDIT").posted, Amount(3_740));
        assert_eq!(world.balance(Code::OwnerCash, owner, "USD").posted, Amount::ZERO);
        assert_eq!(world.balance(Code::BonusExpense, PartyId::NIL, "USD").posted, Amount(340));
        world.check();
    }
}

on_both_databases! {
    fn a_checkpoint_moves_on_and_is_paid_once_the_next_car_completes(db) {
        let world = World::new(db);
        let customer = world.customer(10);
        let (first, second) = (world.party("owner"), world.party("owner"));
        let car = world.car(first, RESERVE, PayIn::Cash);
        world.submit(customer, &new_job(1, 1));
        world.tick();
        let order = world.beat(car, &at_home(), None).order.unwrap();
        world.db.clock.advance_s(30);
        let checkpoint = world.stored("checkpoint");
        let state =
            AttemptState::Checkpointed { checkpoint: checkpoint.clone(), metered_us: 30_000_000 };
        let left = AttemptReport::new(order.attempt_id, state);
        assert_eq!(world.beat(car, &driver_back(), Some(left)).order, None);
        // Not paid yet, and no more kept back than it can cost.
        assert_eq!(world.leases(), [("ended".into(), "vacated".into(), -1, 1_000)]);
        assert_eq!(world.balance(Code::OwnerCash, first, "USD").posted, Amount::ZERO);

        let other = world.car(second, RESERVE, PayIn::Cash);
        world.tick();
        let resumed = world.beat(other, &at_home(), None).order.unwrap();
        assert_eq!(resumed.checkpoint, Some(checkpoint));
        world.complete(other, &resumed, 90);
        assert_eq!(world.balance(Code::OwnerCash, first, "USD").posted, Amount(850));
        assert_eq!(world.balance(Code::OwnerCash, second, "USD").posted, Amount(2_550));
        world.check();
    }
}

on_both_databases! {
    fn a_car_that_leaves_nothing_behind_is_not_paid(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let car = world.car(owner, RESERVE, PayIn::Cash);
        let id = world.submit(customer, &new_job(1, 1));
        world.tick();
        let order = world.beat(car, &at_home(), None).order.unwrap();
        world.db.clock.advance_s(30);
        let state = AttemptState::Vacated { metered_us: 30_000_000 };
        let left = AttemptReport::new(order.attempt_id, state);
        world.beat(car, &driver_back(), Some(left.clone()));
        assert_eq!(world.leases(), [("settled".into(), "vacated".into(), 0, 0)]);
        // Said again, because the answer was lost: nothing more happens.
        world.beat(car, &driver_back(), Some(left));
        assert_eq!(world.leases().len(), 1);
        assert_eq!(world.tick().leases, 0, "the driver is still there");
        assert_eq!(world.job(customer, id).spent, Amount::ZERO);
        world.check();
    }
}

on_both_databases! {
    fn a_silent_car_is_lost_and_its_task_goes_on(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let silent = world.car(owner, RESERVE, PayIn::Cash);
        let id = world.submit(customer, &new_job(2, 1));
        world.tick();
        let order = world.beat(silent, &at_home(), None).order.unwrap();
        let order = world.complete(silent, &order, 9).order.unwrap();
        assert_eq!(world.sweep().lost, 0);
        world.db.clock.advance_s(11);
        assert_eq!(world.sweep().lost, 1);
        // Paid for the task that was done: 9 s, $0.0003; not for the one that was not.
        assert_eq!(world.leases(), [("settled".into(), "lost".into(), 300, 0)]);

        // It comes back with a result for a lease that is over.
        let output = world.stored("late");
        let late = world.report(silent, &order, AttemptState::Completed { output, metered_us: 1 });
        assert_eq!(late.order, None);
        world.tick();
        let again = world.beat(silent, &at_home(), None).order.unwrap();
        world.complete(silent, &again, 9);
        let job = world.job(customer, id);
        assert_eq!((job.row.state, job.spent), (JobState::Completed, Amount(600)));
        world.check();
    }
}

on_both_databases! {
    fn an_offer_that_nobody_takes_ends(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        world.car(owner, RESERVE, PayIn::Cash);
        world.submit(customer, &new_job(1, 1));
        world.tick();
        world.db.clock.advance_s(11);
        assert_eq!(world.sweep().not_taken, 1);
        assert_eq!(world.leases(), [("settled".into(), "not_taken".into(), 0, 0)]);
        world.check();
    }
}

on_both_databases! {
    fn a_lost_answer_is_repeated_and_never_doubled(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let car = world.car(owner, RESERVE, PayIn::Cash);
        world.submit(customer, &new_job(2, 1));
        world.tick();
        let order = world.beat(car, &at_home(), None).order.unwrap();
        assert_eq!(world.beat(car, &at_home(), None).order, Some(order.clone()));
        let next = world.complete(car, &order, 10).order.unwrap();
        // The completion is said again: the same next order, not a third attempt.
        assert_eq!(world.complete(car, &order, 0).order, Some(next.clone()));
        assert_eq!(world.complete(car, &next, 10).order, None);
        assert_eq!(world.leases(), [("settled".into(), "no_work".into(), 667, 0)]);
        world.check();
    }
}

on_both_databases! {
    fn withdrawn_consent_stops_work_at_the_next_poll(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let car = world.car(owner, RESERVE, PayIn::Cash);
        world.submit(customer, &new_job(1, 1));
        world.tick();
        let order = world.beat(car, &at_home(), None).order.unwrap();
        world.write(|tx| {
            fleet::withdraw_consent(tx, owner, car, Purpose::Simulation, DataClass::Synthetic)
        });
        let running = AttemptState::Running { progress_ppm: 1, metered_us: 1 };
        let reply = world.report(car, &order, running);
        assert_eq!(reply.vacate, Some(VacateReason::ConsentWithdrawn));
        world.report(car, &order, AttemptState::Vacated { metered_us: 1 });
        assert_eq!(world.leases(), [("settled".into(), "evicted".into(), 0, 0)]);
        assert_eq!(world.tick().leases, 0, "no later lease");
        world.check();
    }
}

on_both_databases! {
    fn cancelling_bills_what_ran_and_releases_the_rest(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let car = world.car(owner, RESERVE, PayIn::Cash);
        let id = world.submit(customer, &new_job(5, 1));
        world.tick();
        let order = world.beat(car, &at_home(), None).order.unwrap();
        world.db.clock.advance_s(30);
        world.write(|tx| job::cancel(tx, customer, id));
        world.write(|tx| job::cancel(tx, customer, id));
        assert_eq!(world.job(customer, id).held, Amount(1_000_000), "not before its earmarks");
        let running = AttemptState::Running { progress_ppm: 1, metered_us: 1 };
        assert_eq!(world.report(car, &order, running).vacate, Some(VacateReason::Cancelled));
        world.report(car, &order, AttemptState::Vacated { metered_us: 30_000_000 });
        assert_eq!(world.leases(), [("settled".into(), "cancelled".into(), 1_000, 0)]);
        let job = world.job(customer, id);
        assert_eq!((job.row.state, job.spent, job.held),
            (JobState::Cancelled, Amount(1_000), Amount::ZERO));
        world.check();
    }
}

on_both_databases! {
    fn a_program_that_fails_is_paid_and_tried_no_more_than_its_budget(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let car = world.car(owner, RESERVE, PayIn::Cash);
        let id = world.submit(customer, &new_job(1, 1));
        world.tick();
        let mut order = world.beat(car, &at_home(), None).order;
        let mut attempts = 0;
        while let Some(running) = order {
            attempts += 1;
            world.db.clock.advance_s(9);
            let failed = AttemptState::Failed {
                fault: Fault::Program,
                code: FailureCode::Trap,
                message: "unreachable".to_owned(),
                metered_us: 9_000_000,
            };
            order = world.report(car, &running, failed).order;
        }
        assert_eq!(attempts, 1 + scheduler::job::Extras::default().program_retries);
        assert_eq!(world.job(customer, id).row.state, JobState::Failed);
        assert_eq!(world.leases(), [("settled".into(), "no_work".into(), 600, 0)]);
        world.check();
    }
}

on_both_databases! {
    fn a_car_that_fails_or_names_what_it_never_stored_is_not_paid(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let car = world.car(owner, RESERVE, PayIn::Cash);
        world.submit(customer, &new_job(1, 1));
        world.tick();
        let order = world.beat(car, &at_home(), None).order.unwrap();
        world.db.clock.advance_s(9);
        let output = vehicle::protocol::Digest(digest("never stored"));
        let state = AttemptState::Completed { output, metered_us: 9_000_000 };
        assert_eq!(world.report(car, &order, state).order, None);
        assert_eq!(world.leases(), [("settled".into(), "failed".into(), 0, 0)]);
        world.check();
    }
}

on_both_databases! {
    fn a_cars_meter_is_a_claim_and_no_more(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let car = world.car(owner, RESERVE, PayIn::Cash);
        world.submit(customer, &new_job(1, 1));
        world.tick();
        let order = world.beat(car, &at_home(), None).order.unwrap();
        world.db.clock.advance_s(6);
        let output = world.stored("output");
        let lie = AttemptState::Completed { output, metered_us: 3_600_000_000 };
        world.report(car, &order, lie);
        assert_eq!(world.leases(), [("settled".into(), "no_work".into(), 200, 0)], "6 s, not 3600");
        world.check();
    }
}

on_both_databases! {
    fn leases_side_by_side_cannot_outrun_the_hold(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        // With the fee on top this is the bid's own price: 100 micro-dollars a second.
        let dear = 306_000;
        world.car(owner, dear, PayIn::Cash);
        let mut new = new_job(50, 4);
        new.bid.budget = Amount(9_000);
        new.bid.classes = vec!["hw4".to_owned()];
        world.submit(customer, &new);
        assert_eq!(world.tick().leases, 1);
        for _ in 0..3 {
            world.car(owner, dear, PayIn::Cash);
        }
        assert_eq!(world.tick().leases, 3);
        // A quarter of the budget for each of the four lanes, in whole seconds.
        let earmarks: Vec<i64> = world.leases().into_iter().map(|lease| lease.3).collect();
        assert_eq!(earmarks, [2_200; 4]);
    }
}

on_both_databases! {
    fn neither_the_cars_meter_nor_the_term_is_overrun(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let car = world.car(owner, RESERVE, PayIn::Cash);
        world.submit(customer, &new_job(2, 1));
        world.tick();
        let order = world.beat(car, &at_home(), None).order.unwrap();
        world.db.clock.advance_s(6);
        // It says an hour; it had the task for six seconds.
        let output = world.stored("output");
        let lie = AttemptState::Completed { output, metered_us: 3_600_000_000 };
        let order = world.report(car, &order, lie).order.unwrap();
        world.db.clock.advance_s(900);
        let running = AttemptState::Running { progress_ppm: 1, metered_us: 900_000_000 };
        assert_eq!(world.report(car, &order, running).vacate, Some(VacateReason::TermOver));
        let checkpoint = world.stored("checkpoint");
        let state = AttemptState::Checkpointed { checkpoint, metered_us: 900_000_000 };
        world.report(car, &order, state);
        world.tick();
        let order = world.beat(car, &at_home(), None).order.unwrap();
        world.complete(car, &order, 6);
        // The whole term of the first lease at most: 900 s are $0.03.
        let amounts: Vec<i64> = world.leases().into_iter().map(|lease| lease.2).collect();
        assert_eq!(amounts, [30_000, 200]);
        world.check();
    }
}

on_both_databases! {
    fn a_budget_is_a_hard_cap(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let cars = [(); 3].map(|()| world.car(owner, RESERVE, PayIn::Cash));
        let mut new = new_job(50, 3);
        new.bid.budget = Amount(9_000);
        new.bid.classes = vec!["hw4".to_owned()];
        let id = world.submit(customer, &new);
        for _ in 0..60 {
            world.tick();
            for car in cars {
                if let Some(order) = world.beat(car, &at_home(), None).order {
                    world.complete(car, &order, 8);
                }
            }
            world.check();
        }
        let job = world.job(customer, id);
        assert_eq!(job.row.state, JobState::Failed);
        assert!(job.spent <= new.bid.budget && job.spent > Amount(7_000), "{}", job.spent);
        assert_eq!(job.held, Amount::ZERO);
    }
}

on_both_databases! {
    fn a_deadline_ends_a_job(db) {
        let world = World::new(db);
        let customer = world.customer(10);
        let mut new = new_job(1, 1);
        new.bid.deadline = Some(world.db.store.now().plus_s(60));
        let id = world.submit(customer, &new);
        world.sweep();
        assert_eq!(world.job(customer, id).row.state, JobState::Active);
        world.db.clock.advance_s(60);
        assert_eq!(world.sweep().expired_jobs, 1);
        let job = world.job(customer, id);
        assert_eq!((job.row.state, job.held), (JobState::Failed, Amount::ZERO));
    }
}

on_both_databases! {
    fn a_refused_job_stores_and_holds_nothing(db) {
        let world = World::new(db);
        let customer = world.customer(10);
        type Change = fn(&mut NewJob);
        let cases: &[(&str, Change)] = &[
            ("/name", |job| job.name = "  ".into()),
            ("/inputs", |job| job.inputs.clear()),
            ("/market", |job| job.market = "moon".into()),
            ("/bid/max_price", |job| job.bid.price = Amount(0)),
            ("/bid/max_price", |job| job.bid.price = Amount(-1)),
            ("/bid/max_price", |job| job.bid.price = Amount(i64::MAX)),
            ("/bid/lanes", |job| job.bid.lanes = 0),
            ("/bid/lanes", |job| job.bid.lanes = i32::MAX),
            ("/bid/budget", |job| job.bid.budget = Amount(0)),
            ("/bid/budget", |job| job.bid.budget = Amount(-5)),
            ("/bid/budget", |job| job.bid.budget = Amount(i64::MAX)),
            ("/bid/budget/currency", |job| job.bid.currency = "XXX".into()),
            ("/bid/regions", |job| job.bid.regions = vec!["atlantis".into()]),
            ("/bid/classes", |job| job.bid.classes = vec!["hw0".into()]),
            ("/bid/deadline", |job| job.bid.deadline = Some(store::Timestamp(0))),
            ("/bid/min_fill", |job| job.bid.min_fill = 0),
            ("/bid/min_fill", |job| job.bid.min_fill = -1),
            ("/bid/min_fill", |job| job.bid.min_fill = job.bid.lanes + 1),
            ("/bid/expires_at", |job| job.bid.expires_at = Some(store::Timestamp(0))),
        ];
        for (field, change) in cases {
            let mut new = new_job(1, 1);
            change(&mut new);
            let refused = world.db.store.write(|tx| job::submit(tx, customer, &new));
            match refused {
                Err(Error::Invalid { pointer, .. }) => assert_eq!(pointer, *field),
                other => panic!("{field}: {other:?}"),
            }
        }
        let mut new = new_job(1, 1);
        new.program = digest("another's");
        let refused = world.db.store.write(|tx| job::submit(tx, customer, &new));
        assert!(matches!(refused, Err(Error::UnknownBlob(_))));
        let mut new = new_job(1, 1);
        new.bid.budget = Amount(10_000_001);
        let refused = world.db.store.write(|tx| job::submit(tx, customer, &new));
        assert!(matches!(refused, Err(Error::BudgetAboveWallet { .. })));

        let jobs = world.write(|tx| job::list(tx, customer, None, 10));
        assert!(jobs.is_empty());
        assert_eq!(world.balance(Code::CustomerWallet, customer, "USD").held, Amount::ZERO);
        world.check();
    }
}

on_both_databases! {
    fn one_leader_and_the_next_reign_has_the_next_fence(db) {
        let world = World::new(db);
        let other = world.db.store.env().ids.id(world.db.store.now().plus_s(1));
        let tick = |node| scheduler::market::tick(&world.db.store, &Config::default(), "us", node);
        tick(world.node).unwrap();
        if world.db.store.database() == "postgres" {
            assert!(matches!(tick(other), Err(Error::NotLeader)));
            world.db.clock.advance_s(31);
        }
        tick(other).unwrap();
        if world.db.store.database() == "postgres" {
            assert!(matches!(tick(world.node), Err(Error::NotLeader)));
            world.write(|tx| scheduler::market::resign(tx, "us", other));
        }
        tick(world.node).unwrap();
        let fence = world.write(|tx| {
            use diesel::prelude::*;
            use store::schema::market;
            Ok(market::table.select(market::fence).first::<i64>(tx.conn)?)
        });
        assert_eq!(fence, 3);
    }
}

on_both_databases! {
    fn the_latest_price_of_a_cell_is_that_of_the_last_tick_that_sold(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let prices = || world.write(|tx| scheduler::market::prices(tx, "us"));
        assert_eq!(prices(), []);
        for reserve in [RESERVE, 2 * RESERVE] {
            world.car(owner, reserve, PayIn::Cash);
            world.submit(customer, &new_job(1, 1));
            assert_eq!(world.tick().leases, 1);
        }
        let latest = prices();
        assert_eq!(latest.len(), 1, "one cell");
        assert_eq!((latest[0].tick, latest[0].price), (2, Amount(240_000)));
    }
}
