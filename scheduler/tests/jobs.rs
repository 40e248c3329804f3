//! Arrays, stages, priorities, pause, retries, early stop, bans, results.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashMap;
use std::sync::Mutex;

use common::{World, at_home, digest, new_job};
use scheduler::ban::{self, NewBan};
use scheduler::job::{self, CloneChange, Extras, Files, Inputs, Made, NewJob, NewStage};
use scheduler::{BanKind, Error, Gather, JobReason, JobState, Pause, PayIn, Runtime};
use store::{Amount, JobId, PartyId, VehicleId, on_both_databases};
use vehicle::protocol::{
    AttemptReport, AttemptState, Digest, FailureCode, Fault, HeartbeatReply, Order,
};

const RESERVE: i64 = 102_000;

/// Blobs in memory.
#[derive(Default)]
struct Shelf(Mutex<HashMap<String, Vec<u8>>>);

impl Files for Shelf {
    fn get(&self, digest: &str) -> Result<Vec<u8>, String> {
        self.0.lock().unwrap().get(digest).cloned().ok_or_else(|| format!("no {digest}"))
    }

    fn read_at(&self, digest: &str, from: u64, len: usize) -> Result<Vec<u8>, String> {
        let bytes = self.get(digest)?;
        let from = usize::try_from(from).unwrap().min(bytes.len());
        Ok(bytes[from..bytes.len().min(from + len)].to_vec())
    }

    fn put(&self, bytes: &[u8]) -> Result<String, String> {
        let digest = Digest::of(bytes).0;
        self.0.lock().unwrap().insert(digest.clone(), bytes.to_vec());
        Ok(digest)
    }
}

fn array(name: &str, tasks: i32) -> NewStage {
    let text = r#"{"seed": {index}}"#.to_owned();
    stage(name, Inputs::Template { text, rows: None, tasks })
}

fn stage(name: &str, inputs: Inputs) -> NewStage {
    let (runtime, program) = (Runtime::Wasm, digest("program"));
    NewStage { name: name.to_owned(), runtime, program, inputs, allow_failed: false }
}

fn after(name: &str, from: &str, gather: Gather) -> NewStage {
    stage(name, Inputs::Outputs { from: from.to_owned(), gather, per_task: None })
}

fn submit(world: &World, customer: PartyId, new: &NewJob, extras: &Extras) -> JobId {
    world.write(|tx| job::submit_with(tx, customer, new, extras))
}

fn staged(world: &World, customer: PartyId, stages: Vec<NewStage>) -> JobId {
    let new = NewJob { inputs: vec![], ..new_job(0, 1) };
    submit(world, customer, &new, &Extras { stages, ..Extras::default() })
}

fn make(world: &World, files: &Shelf) -> Made {
    job::make(&world.db.store, files, "us").unwrap()
}

/// A blob that the customer stored.
fn upload(world: &World, files: &Shelf, customer: PartyId, bytes: &[u8]) -> String {
    use diesel::prelude::*;
    use store::schema::blob;
    let digest = files.put(bytes).unwrap();
    world.write(|tx| {
        diesel::insert_into(blob::table)
            .values((
                blob::digest.eq(&digest),
                blob::party_id.eq(customer),
                blob::size.eq(1_i64),
                blob::created_at.eq(tx.now),
            ))
            .execute(tx.conn)?;
        Ok(())
    });
    digest
}

fn inputs(world: &World, customer: PartyId, id: JobId) -> Vec<String> {
    let tasks = world.write(|tx| job::tasks(tx, customer, id, None, 10_000));
    tasks.into_iter().map(|task| task.input).collect()
}

/// A lease for the car, and its first order.
fn first_order(world: &World, car: VehicleId) -> Order {
    world.db.clock.advance_s(1);
    world.beat(car, &at_home(), None);
    assert_eq!(world.tick().leases, 1);
    world.beat(car, &at_home(), None).order.unwrap()
}

fn fails(world: &World, car: VehicleId, order: &Order) -> HeartbeatReply {
    world.db.clock.advance_s(1);
    let (fault, code) = (Fault::Program, FailureCode::Trap);
    let message = "unreachable".to_owned();
    let state = AttemptState::Failed { fault, code, message, metered_us: 1_000_000 };
    let mut report = AttemptReport::new(order.attempt_id.clone(), state);
    report.log = "no such seed\n".to_owned();
    world.beat(car, &at_home(), Some(report))
}

/// The car stores these bytes as the output of its order.
fn completes(world: &World, files: &Shelf, car: VehicleId, order: &Order) -> HeartbeatReply {
    files.put(order.attempt_id.as_bytes()).unwrap();
    world.complete(car, order, 1)
}

on_both_databases! {
    fn a_million_tasks_are_accepted_at_once_and_made_as_they_are_needed(db) {
        let world = World::new(db);
        let files = Shelf::default();
        let customer = world.customer(10);
        let id = staged(&world, customer, vec![array("map", 1_000_000)]);
        let view = world.job(customer, id);
        assert_eq!((view.row.tasks, view.stages.len()), (1_000_000, 1));
        assert!(inputs(&world, customer, id).is_empty());
        assert_eq!(make(&world, &files).tasks, 2_000);
        assert_eq!(make(&world, &files).tasks, 0, "enough wait");
        let all = inputs(&world, customer, id);
        let bytes = world.write(|tx| scheduler::blob::small(tx, &all[1_999])).unwrap();
        assert_eq!(bytes, br#"{"seed": 1999}"#);
        // A car takes some: as many are made again.
        let car = world.car(world.party("owner"), RESERVE, PayIn::Cash);
        let mut order = first_order(&world, car);
        for _ in 0..10 {
            order = completes(&world, &files, car, &order).order.unwrap();
        }
        assert_eq!(make(&world, &files).tasks, 11);
        assert_eq!(world.job(customer, id).stages[0].completed, 10);
        world.write(|tx| job::cancel(tx, customer, id));
        assert_eq!(make(&world, &files), Made::default());
        world.report(car, &order, AttemptState::Vacated { metered_us: 0 });
        assert_eq!(world.job(customer, id).held, Amount::ZERO);
        world.check();
    }
}

on_both_databases! {
    fn rows_of_a_blob_are_inputs_or_fill_a_template(db) {
        let world = World::new(db);
        let files = Shelf::default();
        let customer = world.customer(10);
        let text: String = (0..1_500).map(|n| format!("{{\"x\":{n}}}\n")).collect();
        let rows = upload(&world, &files, customer, text.trim_end().as_bytes());
        let template = Inputs::Template {
            text: "{index}:{x}".to_owned(), rows: Some(rows.clone()), tasks: 1_500,
        };
        let lines = format!("\"{}\"\n[1]\n", digest("input"));
        let list = upload(&world, &files, customer, lines.as_bytes());
        let id = staged(&world, customer, vec![
            stage("template", template),
            stage("rows", Inputs::Rows { digest: list, tasks: 2 }),
        ]);
        while make(&world, &files).tasks > 0 {}
        let all = inputs(&world, customer, id);
        assert_eq!(all.len(), 1_502);
        assert_eq!(all[1_499], Digest::of(b"1499:1499").0);
        assert_eq!(all[1_500..], [digest("input"), Digest::of(b"[1]").0]);

        // A small template must not make large inputs.
        let long = upload(&world, &files, customer, format!("{{\"x\":\"{}\"}}", "x".repeat(2_000)).as_bytes());
        let text = "{x}".repeat(1_000);
        let bomb = Inputs::Template { text, rows: Some(long), tasks: 1 };
        let id = staged(&world, customer, vec![stage("bomb", bomb)]);
        assert_eq!(make(&world, &files).failed_jobs, 1);
        assert_eq!(world.job(customer, id).row.reason, Some(JobReason::InputTooLarge));

        // What is another's is not to be had by its digest.
        let other = world.customer(10);
        let secret = upload(&world, &files, customer, b"secret");
        let list = upload(&world, &files, other, format!("\"{secret}\"").as_bytes());
        let id = staged(&world, other, vec![stage("a", Inputs::Rows { digest: list, tasks: 1 })]);
        assert_eq!(make(&world, &files).failed_jobs, 1);
        let view = world.job(other, id);
        assert_eq!(view.row.reason, Some(JobReason::InputMissing));
        assert_eq!((view.row.state, view.held), (JobState::Failed, Amount::ZERO));
        world.check();
    }
}

on_both_databases! {
    fn a_reduce_starts_when_its_map_has_completed(db) {
        let world = World::new(db);
        let files = Shelf::default();
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let car = world.car(owner, RESERVE, PayIn::Cash);
        let mut reduce = after("reduce", "map", Gather::Archive);
        reduce.program = digest("input");
        let id = staged(&world, customer, vec![array("map", 2), reduce]);
        assert_eq!(make(&world, &files).tasks, 2);
        let order = first_order(&world, car);
        assert_eq!(order.program.0, digest("program"));
        let order = completes(&world, &files, car, &order).order.unwrap();
        assert_eq!(make(&world, &files).tasks, 0);
        // The lease has no more work: the reduce is another's.
        assert!(completes(&world, &files, car, &order).order.is_none());
        assert_eq!(make(&world, &files).tasks, 1);
        let order = first_order(&world, car);
        assert_eq!(order.program.0, digest("input"));
        let tar = files.get(&order.input.0).unwrap();
        assert_eq!(tar.len() % 512, 0);
        let text = String::from_utf8_lossy(&tar);
        assert!(text.starts_with("manifest.json\0") && text.contains("outputs/0000001"));
        completes(&world, &files, car, &order);
        let view = world.job(customer, id);
        assert_eq!((view.row.state, view.row.tasks_completed), (JobState::Completed, 3));
        let states: Vec<_> = view.stages.iter().map(|row| row.state(&view.stages)).collect();
        assert_eq!(states, ["completed", "completed"]);

        let results = world.write(|tx| job::results(tx, customer, id, Some(1), 10));
        let order: Vec<_> = results.iter().map(|row| (row.number, row.done)).collect();
        assert_eq!(order, [(1, Some(2)), (2, Some(3))]);
        world.check();
    }
}

on_both_databases! {
    fn a_failed_task_fails_the_job_or_is_forgiven(db) {
        let world = World::new(db);
        let files = Shelf::default();
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let car = world.car(owner, RESERVE, PayIn::Cash);
        for allow_failed in [false, true] {
            let map = NewStage { allow_failed, ..array("map", 2) };
            let new = NewJob { inputs: vec![], ..new_job(0, 1) };
            let stages = vec![map, after("reduce", "map", Gather::Manifest)];
            let extras = Extras { program_retries: 0, stages, ..Extras::default() };
            let id = submit(&world, customer, &new, &extras);
            make(&world, &files);
            let order = first_order(&world, car);
            let order = fails(&world, car, &order).order.unwrap();
            completes(&world, &files, car, &order);
            let made = make(&world, &files);
            let row = world.job(customer, id).row;
            if allow_failed {
                assert_eq!(made.tasks, 1);
                let order = first_order(&world, car);
                let manifest = files.get(&order.input.0).unwrap();
                let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
                assert_eq!(manifest["outputs"].as_array().unwrap().len(), 1);
                assert_eq!(manifest["outputs"][0]["task"], 1);
                completes(&world, &files, car, &order);
                let row = world.job(customer, id).row;
                assert_eq!((row.state, row.tasks_failed), (JobState::Completed, 1));
            } else {
                assert_eq!(made.failed_jobs, 1);
                assert_eq!((row.state, row.reason), (JobState::Failed, Some(JobReason::StageFailed)));
            }
        }
        world.check();
    }
}

on_both_databases! {
    fn a_program_that_fails_everywhere_stops_early(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let car = world.car(owner, RESERVE, PayIn::Cash);
        let extras = Extras { early_stop: 3, program_retries: 2, ..Extras::default() };
        let id = submit(&world, customer, &new_job(100, 1), &extras);
        let mut order = first_order(&world, car);
        let mut runs = 1;
        while let Some(next) = fails(&world, car, &order).order {
            order = next;
            runs += 1;
        }
        assert_eq!(runs, 9, "three tasks, three times each");
        let view = world.job(customer, id);
        assert_eq!(view.row.state, JobState::Failed);
        assert_eq!(view.row.reason, Some(JobReason::ProgramFailsEverywhere));
        assert_eq!((view.row.tasks_failed, view.held), (3, Amount::ZERO));
        let attempts = world.write(|tx| job::attempts(tx, customer, id, 0));
        assert_eq!(attempts.len(), 3);
        assert!(attempts.iter().all(|it| it.reason.contains("unreachable")), "{attempts:?}");
        let logs: Vec<_> = attempts.iter().filter_map(|it| Some(&*it.report.as_ref()?.3)).collect();
        assert_eq!(logs, ["no such seed\n"; 3]);
        let none = world.db.store.write(|tx| job::attempts(tx, owner, id, 0));
        assert!(matches!(none, Err(Error::NotFound("job"))));
        world.check();
    }
}

on_both_databases! {
    fn a_paused_job_stands_still_and_goes_on(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let car = world.car(owner, RESERVE, PayIn::Cash);
        let id = world.submit(customer, &new_job(3, 1));
        let order = first_order(&world, car);
        world.write(|tx| job::pause(tx, customer, id, Pause::Finish));
        // What runs finishes; then the lease has no work.
        let reply = world.beat(car, &at_home(), Some(running(&order)));
        assert_eq!((reply.order, reply.vacate), (None, None));
        assert!(world.complete(car, &order, 1).order.is_none());
        world.db.clock.advance_s(1);
        world.beat(car, &at_home(), None);
        assert_eq!(world.tick().leases, 0);
        world.write(|tx| job::resume(tx, customer, id));
        let order = first_order(&world, car);
        // Told to leave without a checkpoint: billed, for the customer wished it, and queued again.
        world.write(|tx| job::pause(tx, customer, id, Pause::Vacate));
        assert!(world.beat(car, &at_home(), Some(running(&order))).vacate.is_some());
        world.db.clock.advance_s(5);
        world.report(car, &order, AttemptState::Vacated { metered_us: 5_000_000 });
        let view = world.job(customer, id);
        assert_eq!((view.row.state, view.row.tasks_completed), (JobState::Active, 1));
        // At $0.12 an hour: a second for what completed, five until it left.
        assert_eq!(view.spent, Amount(200));
        world.write(|tx| job::resume(tx, customer, id));
        let mut order = Some(first_order(&world, car));
        while let Some(next) = order {
            order = world.complete(car, &next, 1).order;
        }
        assert_eq!(world.job(customer, id).row.state, JobState::Completed);
        let ended = world.db.store.write(|tx| job::pause(tx, customer, id, Pause::Finish));
        assert!(matches!(ended, Err(Error::JobEnded)));
        world.check();
    }
}

fn running(order: &Order) -> AttemptReport {
    let state = AttemptState::Running { progress_ppm: 0, metered_us: 0 };
    AttemptReport::new(order.attempt_id.clone(), state)
}

on_both_databases! {
    fn what_is_banned_stops_everywhere_and_comes_back(db) {
        let world = World::new(db);
        let (customer, owner, operator) =
            (world.customer(10), world.party("owner"), world.party("operator"));
        let car = world.car(owner, RESERVE, PayIn::Cash);
        let until = world.db.store.now().plus_s(1_000);
        let cases = [
            (BanKind::Program, digest("program"), None),
            (BanKind::Customer, customer.to_string(), Some(until)),
        ];
        for (kind, subject, until) in cases {
            let id = world.submit(customer, &new_job(2, 1));
            let order = first_order(&world, car);
            let new = NewBan { kind, subject: subject.clone(), reason: "mines".to_owned(), until };
            world.write(|tx| ban::impose(tx, operator, &new));
            let refused = world.db.store.write(|tx| job::submit(tx, customer, &new_job(1, 1)));
            assert!(matches!(refused, Err(Error::Banned(why)) if why == "mines"));
            assert!(world.beat(car, &at_home(), Some(running(&order))).vacate.is_some());
            world.report(car, &order, AttemptState::Vacated { metered_us: 0 });
            world.db.clock.advance_s(1);
            world.beat(car, &at_home(), None);
            assert_eq!(world.tick().leases, 0);
            match until {
                None => world.write(|tx| ban::lift(tx, operator, kind, &subject)),
                Some(_) => world.db.clock.advance_s(2_000),
            }
            // A market's maker keeps bans up with time.
            let maker = job::Maker::start(world.db.store.clone(), std::sync::Arc::new(Shelf::default()));
            let began = std::time::Instant::now();
            while world.job(customer, id).row.banned && began.elapsed().as_secs() < 10 {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            drop(maker);
            let order = first_order(&world, car);
            let order = world.complete(car, &order, 1).order.unwrap();
            world.complete(car, &order, 1);
            assert_eq!(world.job(customer, id).row.state, JobState::Completed);
            let again = world.db.store.write(|tx| ban::lift(tx, operator, kind, &subject));
            assert!(matches!(again, Err(Error::NotFound("ban"))));
        }
        let bans = world.write(|tx| ban::list(tx, true, 10));
        let lifted: Vec<_> = bans.iter().map(|ban| (ban.kind, ban.lifted_by)).collect();
        assert_eq!(lifted, [(BanKind::Customer, None), (BanKind::Program, Some(operator))]);
        assert!(world.write(|tx| ban::list(tx, false, 10)).is_empty());
        world.check();
    }
}

on_both_databases! {
    fn ones_own_jobs_go_by_priority_where_prices_are_equal(db) {
        let world = World::new(db);
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let first = world.submit(customer, &new_job(1, 1));
        world.db.clock.advance_s(1);
        let urgent = Extras { priority: 9, ..Extras::default() };
        let second = submit(&world, customer, &new_job(1, 1), &urgent);
        let car = world.car(owner, RESERVE, PayIn::Cash);
        let order = first_order(&world, car);
        world.complete(car, &order, 1);
        let state = |id| world.job(customer, id).row.state;
        assert_eq!((state(first), state(second)), (JobState::Active, JobState::Completed));
    }
}

on_both_databases! {
    fn a_clone_is_the_same_job_again(db) {
        let world = World::new(db);
        let customer = world.customer(10);
        let extras = Extras {
            stages: vec![array("map", 7), after("reduce", "map", Gather::Manifest)],
            priority: 3,
            ..Extras::default()
        };
        let id = submit(&world, customer, &NewJob { inputs: vec![], ..new_job(0, 1) }, &extras);
        let change = CloneChange { budget: Some(Amount(5)), ..CloneChange::default() };
        let (new, again) = world.write(|tx| job::clone_of(tx, customer, id, &change));
        assert_eq!((new.bid.budget, again.priority), (Amount(5), 3));
        assert_eq!(again.stages, extras.stages);
        let plain = world.submit(customer, &new_job(3, 1));
        let change = CloneChange { inputs: Some(vec![digest("program")]), ..CloneChange::default() };
        let (new, _) = world.write(|tx| job::clone_of(tx, customer, plain, &change));
        assert_eq!(new.inputs, [digest("program")]);
        let refused = world.db.store.write(|tx| job::clone_of(tx, customer, id, &change).map(drop));
        assert!(matches!(refused, Err(Error::Invalid { pointer: "/inputs", .. })));
    }
}

on_both_databases! {
    fn outputs_are_gathered_in_groups_and_again(db) {
        let world = World::new(db);
        let files = Shelf::default();
        let (customer, owner) = (world.customer(10), world.party("owner"));
        let car = world.car(owner, RESERVE, PayIn::Cash);
        let (from, gather) = ("map".to_owned(), Gather::Manifest);
        let pairs = stage("pairs", Inputs::Outputs { from, gather, per_task: Some(2) });
        let all = after("all", "pairs", Gather::Manifest);
        // The order in which stages are named does not matter.
        let id = staged(&world, customer, vec![all, pairs, array("map", 3)]);
        let mut taken = vec![];
        while world.job(customer, id).row.state == JobState::Active {
            assert!(make(&world, &files).tasks > 0);
            let mut next = Some(first_order(&world, car));
            while let Some(order) = next {
                let input = files.get(&order.input.0).ok();
                let input = input.and_then(|bytes| serde_json::from_slice(&bytes).ok());
                let input: serde_json::Value = input.unwrap_or_default();
                taken.push(input["outputs"].as_array().map(Vec::len));
                next = completes(&world, &files, car, &order).order;
            }
        }
        assert_eq!(taken, [None, None, None, Some(2), Some(1), Some(2)]);
        world.check();
    }
}

on_both_databases! {
    fn several_makers_make_each_task_once(db) {
        let world = World::new(db);
        let files = Shelf::default();
        let customer = world.customer(10);
        let id = staged(&world, customer, vec![array("map", 1_700)]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| while make(&world, &files).tasks > 0 {});
            }
        });
        while make(&world, &files).tasks > 0 {}
        let tasks = world.write(|tx| job::tasks(tx, customer, id, None, 10_000));
        let numbers: Vec<i32> = tasks.iter().map(|task| task.number).collect();
        assert_eq!(numbers, (0..1_700).collect::<Vec<_>>());
        assert_eq!(tasks[1_699].input, Digest::of(br#"{"seed": 1699}"#).0);
    }
}
