//! What must hold once the storm is over.

use std::collections::{BTreeMap, HashSet};

use end_to_end::{Place, long};
use serde_json::Value;

use crate::Submitted;
use crate::town::Town;
use crate::work::Kind;

/// What became of leases and attempts, counted.
#[derive(Debug, Default)]
pub struct Tally {
    tasks: usize,
    paid_leases: usize,
    leases: BTreeMap<String, usize>,
    attempts: BTreeMap<String, usize>,
    /// Of attempts that failed, by how the reason begins.
    failures: BTreeMap<String, usize>,
}

/// Looks at every job through the customer's eyes.
pub fn check_jobs(town: &Town<'_>, jobs: &[Submitted]) -> Tally {
    let mut tally = Tally::default();
    for (job, kind) in jobs {
        check_outputs(town, job, *kind, &mut tally);
        check_leases(town, job, *kind, &mut tally);
    }
    let wallet = town.customer.get(&town.base(), "/v1/wallet").unwrap();
    assert_eq!(wallet["held"]["amount"], "0.000000", "every hold ends");
    // A storm in which nothing befell anybody shows nothing.
    let count = |of: &BTreeMap<String, usize>, word: &str| of.get(word).copied().unwrap_or(0);
    assert!(count(&tally.leases, "vacated") > 0, "{tally:?}");
    // In two minutes only a few are told to leave just while they can keep what they have.
    assert!(!long() || count(&tally.attempts, "checkpointed") > 0, "{tally:?}");
    tally
}

/// A job that does not end: its bid, the tasks that are left, and what ran them.
pub fn describe_rest(town: &Town<'_>, job: &Value) -> String {
    let (base, customer) = (town.base(), &town.customer);
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    let bid = customer.get(&base, &format!("{path}/bid")).unwrap_or_default();
    let mut text = format!("{job}\n{bid}\n");
    for task in customer.pages(&base, &format!("{path}/tasks")) {
        if task["state"] != "completed" {
            let attempts = format!("{path}/tasks/{}/attempts", task["number"]);
            let attempts = customer.get(&base, &attempts).unwrap_or_default();
            text.push_str(&format!("{task}\n{attempts:#}\n"));
        }
    }
    for lease in customer.pages(&base, &format!("{path}/leases")) {
        if lease["state"] != "settled" {
            text.push_str(&format!("{lease:#}\n"));
        }
    }
    text
}

/// Each task has its right output, and as many results paid as the job wanted.
fn check_outputs(town: &Town<'_>, job: &str, kind: Kind, tally: &mut Tally) {
    let (base, customer) = (town.base(), &town.customer);
    let tasks = customer.pages(&base, &format!("/v1/jobs/{job}/tasks"));
    let expected = kind.outputs();
    assert_eq!(tasks.len(), expected.len(), "{kind:?}");
    for (number, (task, expected)) in tasks.iter().zip(expected).enumerate() {
        assert_eq!(task["number"], number, "{kind:?}: each task once");
        assert_eq!(task["state"], "completed", "{kind:?}: {task}");
        let output = customer.download(&base, task["output"].as_str().unwrap());
        assert_eq!(output, expected, "{kind:?}: the output of {task}");
        let path = format!("/v1/jobs/{job}/tasks/{number}/attempts");
        let attempts = customer.get(&base, &path).unwrap();
        let paid =
            |attempt: &&Value| attempt["state"] == "completed" && attempt["verdict"] == "paid";
        let results = attempts.as_array().unwrap().iter().filter(paid).count();
        let (least, most) = kind.results();
        assert!((least..=most).contains(&results), "{kind:?}: {results} results of {attempts}");
        tally.tasks += 1;
    }
}

/// Each lease is settled, its amount is that of its attempts, what is not paid says why, and all
/// together is what the job spent.
fn check_leases(town: &Town<'_>, job: &str, kind: Kind, tally: &mut Tally) {
    let (base, customer) = (town.base(), &town.customer);
    let mut spent = 0;
    for lease in customer.pages(&base, &format!("/v1/jobs/{job}/leases")) {
        assert_eq!(lease["state"], "settled", "{kind:?}: {lease}");
        let reason = lease["end_reason"].as_str().unwrap();
        *tally.leases.entry(reason.to_owned()).or_default() += 1;
        let mut of_attempts = 0;
        for attempt in lease["attempts"].as_array().unwrap() {
            let state = attempt["state"].as_str().unwrap();
            *tally.attempts.entry(state.to_owned()).or_default() += 1;
            if state.starts_with("failed") {
                let reason = attempt["reason"].as_str().unwrap_or_default().chars().take(50);
                *tally.failures.entry(reason.collect()).or_default() += 1;
            }
            match attempt["verdict"].as_str().unwrap() {
                "paid" => of_attempts += micros(&attempt["amount"]),
                "unpaid" => {
                    assert_ne!(attempt["reason"], "", "{kind:?}: unpaid without a reason: {lease}");
                    assert_eq!(micros(&attempt["amount"]), 0, "{kind:?}: {lease}");
                }
                other => panic!("{kind:?}: {other} after the end: {lease}"),
            }
        }
        assert_eq!(micros(&lease["amount"]), of_attempts, "{kind:?}: {lease}");
        tally.paid_leases += usize::from(of_attempts > 0);
        spent += of_attempts;
    }
    let job = customer.get(&base, &format!("/v1/jobs/{job}")).unwrap();
    assert_eq!(micros(&job["spent"]), spent, "{kind:?}: {job}");
    let budget = serde_json::json!({ "amount": kind.budget() });
    assert!(spent <= micros(&budget), "{kind:?}: {spent} over the budget");
}

/// Millionths of a currency.
fn micros(money: &Value) -> i64 {
    let Some(text) = money["amount"].as_str() else { return 0 };
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{part:0<6}").parse().unwrap()
}

/// Looks at the book, with nobody at work on it.
pub fn check_book(place: &Place, tally: &Tally) {
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
    let settlements: HashSet<(&str, &str)> = journal
        .lines()
        .skip(1)
        .map(|row| row.split(',').collect::<Vec<_>>())
        .filter(|columns| columns[1] == "settlement")
        .map(|columns| (columns[0], columns[2]))
        .collect();
    let leases: HashSet<&str> = settlements.iter().map(|(_, lease)| *lease).collect();
    assert_eq!(settlements.len(), leases.len(), "no lease is settled twice");
    assert_eq!(leases.len(), tally.paid_leases, "every paid lease is settled, and no other");
    assert!(place.json(&["ledger", "check"])["clean"] == true);
}
