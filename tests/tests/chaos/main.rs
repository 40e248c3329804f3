//! Chaos: a thousand cars in a process of their own, drivers that come back at random, processes
//! killed with -9, a network that is cut and healed, owners, an operator and the customer who change
//! their minds. In the end every task has its right output, accepted once; every lease is settled
//! once, paid or not with a reason; the books check.
//!
//! `DRIVEWAY_CHAOS_SEED` has another storm; the long test draws one, and prints it. Threads and processes race as
//! they like, so that the same seed is the same plan, not the same instant of every blow.
#![allow(clippy::unwrap_used)]

mod books;
mod plan;
mod town;
mod work;

use std::sync::mpsc;
use std::time::{Duration, Instant};

use end_to_end::{Method, Place, long};
use plan::{Event, Step, plan_storm};
use serde_json::{Value, json};
use town::Town;
use work::{Kind, Work};

/// How long everything may take to end once it is calm.
const CALM: Duration = Duration::from_secs(240);

/// A job and of which kind it is.
type Submitted = (String, Kind);

#[test]
fn nothing_is_lost_or_paid_twice_in_a_storm_sqlite() {
    storm(&Place::sqlite());
}

#[test]
fn nothing_is_lost_or_paid_twice_in_a_storm_postgres() {
    storm(&Place::postgres());
}

fn storm(place: &Place) {
    let seed = std::env::var("DRIVEWAY_CHAOS_SEED").ok().and_then(|seed| seed.parse().ok());
    let usual = || if long() { rand::random_range(0..1_000_000) } else { 7 };
    let seed = seed.unwrap_or_else(usual);
    println!("DRIVEWAY_CHAOS_SEED={seed}");
    let mut town = Town::build(place, seed);
    let money = json!({ "amount": { "amount": "1000", "currency": "USD" }, "source": "test" });
    town.customer.insist(Method::POST, &town.base(), "/v1/deposits", &money).unwrap();
    let work = Work::store(&town.base(), &town.customer);
    let steps = plan_storm(seed, if long() { 90 } else { 2 });
    let jobs = weather(&mut town, &work, &steps);
    town.tell_fleet("calm");
    wait_for_jobs(&town, &jobs);
    let tally = books::check_jobs(&town, &jobs);
    println!("{tally:?}");
    town.close();
    books::check_book(place, &tally);
}

/// Lets the storm befall the town while the customer submits jobs; what was acknowledged.
fn weather(town: &mut Town<'_>, work: &Work, steps: &[Step]) -> Vec<Submitted> {
    let (ask, asked) = mpsc::channel::<Kind>();
    let (tell, told) = mpsc::channel::<Submitted>();
    let (customer, base) = (town.customer.clone(), town.base());
    let mut jobs = Vec::new();
    std::thread::scope(|scope| {
        // Waits for each answer, however long a cut lasts, while the storm goes on.
        let submitting = scope.spawn(move || {
            for kind in asked {
                let _storm_over = tell.send((work.submit(&customer, &base, kind), kind));
            }
        });
        // There is work when it begins.
        Kind::ALL.into_iter().for_each(|kind| ask.send(kind).unwrap());
        jobs.extend(told.recv());
        let began = Instant::now();
        for step in steps {
            std::thread::sleep(step.after);
            println!("{:>6.1?} {:?}, job {:?}", began.elapsed(), step.event, step.job);
            ask.send(step.job).unwrap();
            jobs.extend(told.try_iter());
            befall(town, step.event, jobs.last());
        }
        drop(ask);
        submitting.join().unwrap();
    });
    jobs.extend(told);
    jobs
}

fn befall(town: &mut Town<'_>, event: Event, last: Option<&Submitted>) {
    match event {
        Event::KillServer { down } => {
            town.kill_server();
            std::thread::sleep(down);
            town.start_server();
        }
        Event::KillFleet { down, missing_ppm } => {
            town.kill_fleet();
            std::thread::sleep(down);
            town.start_fleet(missing_ppm);
        }
        Event::Cut { cut, lasts } => {
            town.network.cut(cut);
            std::thread::sleep(lasts);
            town.network.heal();
        }
        Event::Exodus { ppm } => town.tell_fleet(&format!("exodus {ppm}")),
        Event::WithdrawConsents { lasts } => {
            let cars = last.map(|(job, _)| town.cars_of(job)).unwrap_or_default();
            town.change_consent(&Method::DELETE, &cars);
            std::thread::sleep(lasts);
            town.change_consent(&Method::PUT, &cars);
        }
        Event::Halt { region, lasts } => {
            town.change_halt(&Method::PUT, region);
            std::thread::sleep(lasts);
            town.change_halt(&Method::DELETE, region);
        }
        Event::Pause { lasts } => {
            let Some((job, _)) = last else { return };
            for (act, body) in [("pause", json!({ "running": "vacate" })), ("resume", json!({}))] {
                let path = format!("/v1/jobs/{job}/{act}");
                let done = town.customer.insist(Method::POST, &town.base(), &path, &body);
                // It may have ended meanwhile.
                assert!(matches!(
                    done.as_ref().map_err(String::as_str),
                    Ok(_) | Err("wrong_state")
                ));
                std::thread::sleep(lasts);
            }
        }
    }
}

/// Until every job has ended and every lease of it is settled.
fn wait_for_jobs(town: &Town<'_>, jobs: &[Submitted]) {
    let began = Instant::now();
    for (job, kind) in jobs {
        loop {
            let path = format!("/v1/jobs/{job}");
            let job = town.customer.insist(Method::GET, &town.base(), &path, &Value::Null).unwrap();
            if job["state"] != "active" && job["held"]["amount"] == "0.000000" {
                assert_eq!(job["state"], "completed", "{kind:?}: {job}");
                break;
            }
            let slow = || books::describe_rest(town, &job);
            assert!(began.elapsed() < CALM, "{kind:?} does not end: {}", slow());
            std::thread::sleep(Duration::from_millis(250));
        }
    }
    println!("all ended {:.1?} after the storm", began.elapsed());
}
