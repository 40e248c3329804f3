//! `kill -9` of the server at random moments, again and again: what was acknowledged is there, every
//! job completes, no lease is settled twice, the books check.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::time::{Duration, Instant};

use end_to_end::{Client, Place, Server, long, new_key, workload};
use rand::Rng;
use serde_json::{Value, json};

const TASKS: usize = 3;
const VEHICLES: usize = 6;

#[test]
fn kill_9_loses_nothing_and_settles_once_sqlite() {
    kill_again_and_again(&Place::sqlite());
}

#[test]
fn kill_9_loses_nothing_and_settles_once_postgres() {
    kill_again_and_again(&Place::postgres());
}

fn kill_again_and_again(place: &Place) {
    let kills = if long() { 100 } else { 20 };
    let mut server = Server::start(place, VEHICLES);
    let customer = Client::sign_up(&server.base, "kill@customer.example", "customer");
    let program = customer.upload(&server.base, &workload("scenario/scenario.wasm"));
    let input = customer.upload(&server.base, &small_sweep());
    let (mut jobs, mut deposits) = (Vec::new(), 1);
    let wealth = json!({ "amount": { "amount": "500", "currency": "USD" }, "source": "test" });
    customer.post(&server.base, "/v1/deposits", &new_key(), &wealth).unwrap();
    let mut unanswered: Vec<(String, String, Value)> = Vec::new();
    for round in 0..kills {
        // Whoever got no answer asks again with the same key.
        for (path, key, body) in unanswered.drain(..) {
            let answer = customer.post(&server.base, &path, &key, &body).unwrap();
            note(&path, &answer, &mut jobs, &mut deposits);
        }
        let money = json!({ "amount": { "amount": "1", "currency": "USD" }, "source": "test" });
        let job = new_job(&program, &input, round);
        let pause = Duration::from_millis(rand::rng().random_range(0..1_500));
        let base = server.base.clone();
        let killer = std::thread::spawn(move || {
            std::thread::sleep(pause);
            server.kill();
        });
        for (path, body) in [("/v1/deposits", money), ("/v1/jobs", job)] {
            let key = new_key();
            match customer.post(&base, path, &key, &body) {
                Some(answer) => note(path, &answer, &mut jobs, &mut deposits),
                None => unanswered.push((path.to_owned(), key, body)),
            }
        }
        killer.join().unwrap();
        server = Server::start(place, VEHICLES);
    }
    for (path, key, body) in unanswered.drain(..) {
        let answer = customer.post(&server.base, &path, &key, &body).unwrap();
        note(&path, &answer, &mut jobs, &mut deposits);
    }
    check_end(place, server, &customer, &jobs, deposits);
}

/// An acknowledged answer.
fn note(path: &str, answer: &Value, jobs: &mut Vec<String>, deposits: &mut usize) {
    match path {
        "/v1/jobs" => jobs.push(answer["id"].as_str().unwrap().to_owned()),
        _ => *deposits += 1,
    }
}

fn check_end(place: &Place, server: Server, customer: &Client, jobs: &[String], deposits: usize) {
    wait_for_jobs(&server, customer, jobs);
    let wallet = customer.get(&server.base, "/v1/wallet").unwrap();
    assert_eq!(wallet["held"]["amount"], "0.000000", "every hold ends");
    assert_eq!(server.interrupt(), Some(0), "Ctrl-C drains");

    let check = place.json(&["ledger", "check"]);
    assert_eq!(check["clean"], true, "{check}");
    let verified = place.json(&["ledger", "verify"]);
    assert_eq!(verified["holds"], true, "{verified}");
    let replayed = place.json(&["market", "replay", "--all"]);
    assert_eq!(replayed["same"], true, "{replayed}");
    let out = place.dir.path().join("journal.csv");
    let export = ["ledger", "export", "--format", "csv", "--out", out.to_str().unwrap()];
    assert!(place.run(&export).status.success());
    let journal = std::fs::read_to_string(out).unwrap();
    let rows: HashSet<(&str, &str, &str)> = journal
        .lines()
        .skip(1)
        .map(|row| row.split(',').collect::<Vec<_>>())
        .map(|columns| (columns[1], columns[2], columns[0]))
        .collect();
    let of = |kind| rows.iter().filter(move |row| row.0 == kind);
    assert_eq!(of("deposit").count(), deposits, "each acknowledged deposit once");
    let leases: HashSet<_> = of("settlement").map(|row| row.1).collect();
    assert_eq!(of("settlement").count(), leases.len(), "no lease settled twice");
    assert!(!leases.is_empty());
}

fn wait_for_jobs(server: &Server, customer: &Client, jobs: &[String]) {
    let began = Instant::now();
    for job in jobs {
        loop {
            let state = customer.get(&server.base, &format!("/v1/jobs/{job}")).unwrap();
            let ended = state["state"] != "active" && state["held"]["amount"] == "0.000000";
            if ended {
                assert_eq!(state["state"], "completed", "{state}");
                assert_eq!(state["tasks"]["completed"], TASKS, "{state}");
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(180), "{state}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn small_sweep() -> Vec<u8> {
    let mut task: Value = serde_json::from_slice(&workload("scenario/task.json")).unwrap();
    task["runs"] = 60.into();
    serde_json::to_vec(&task).unwrap()
}

fn new_job(program: &str, input: &str, round: usize) -> Value {
    let usd = |amount: &str| json!({ "amount": amount, "currency": "USD" });
    json!({
        "name": format!("round {round}"),
        "market": "us",
        "runtime": "wasm",
        "program": program,
        "purpose": "simulation",
        "data_class": "synthetic",
        "inputs": [input, input, input],
        "bid": { "max_price": usd("1"), "lanes": 3, "budget": usd("0.5") },
    })
}
