//! The benchmarks as a script runs them: the shape of what they print, never how fast it was.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

use end_to_end::{Place, driveway};
use serde_json::Value;

fn bench(place: &Place, args: &[&str]) -> Output {
    Command::new(driveway())
        .args(["bench"])
        .args(args)
        .args(["--json"])
        .env("DRIVEWAY_BENCH_DATABASE_URL", &place.url)
        .current_dir(place.dir.path())
        .output()
        .unwrap()
}

fn report(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    for run in report["runs"].as_array().unwrap().iter().chain([&report["peer"]]) {
        assert!(run["per_s"].as_f64().unwrap() > 0.0, "{report}");
    }
    assert!(report["ratio"].as_f64().unwrap() > 0.0, "{report}");
    assert!(report["peer"]["name"].is_string() && report["machine"].is_string(), "{report}");
    report
}

/// On an empty database it measures; on one that is used it says no, and the books check.
fn ledger(place: &Place, database: &str) {
    let args = ["ledger", "--seconds", "1", "--accounts", "20", "--batch", "1,64"];
    let told = report(&bench(place, &args));
    assert_eq!(
        (told["bench"].as_str(), told["database"].as_str()),
        (Some("ledger"), Some(database))
    );
    assert_eq!(told["runs"].as_array().unwrap().len(), 5, "{told}");
    assert_eq!(place.json(&["ledger", "check"])["clean"], true);
    let again = bench(place, &args);
    assert_eq!(again.status.code(), Some(2), "{again:?}");
}

#[test]
fn the_ledger_is_measured_beside_raw_sql_sqlite() {
    ledger(&Place::sqlite(), "sqlite");
}

#[test]
fn the_ledger_is_measured_beside_raw_sql_postgres() {
    ledger(&Place::postgres(), "postgres");
}

/// Leases are settled and the books check; a used database is refused.
fn dispatch(place: &Place, database: &str) {
    let args = ["dispatch", "--seconds", "1", "--cars", "50"];
    let told = report(&bench(place, &args));
    assert_eq!(
        (told["bench"].as_str(), told["database"].as_str()),
        (Some("dispatch"), Some(database))
    );
    assert_eq!(told["runs"].as_array().unwrap().len(), 3, "{told}");
    assert!(told["runs"][0]["leases"].as_u64().unwrap() >= 50, "{told}");
    assert_eq!(place.json(&["ledger", "check"])["clean"], true);
    let again = bench(place, &args);
    assert_eq!(again.status.code(), Some(2), "{again:?}");
}

#[test]
fn dispatch_is_measured_beside_the_plain_way_sqlite() {
    dispatch(&Place::sqlite(), "sqlite");
}

#[test]
fn dispatch_is_measured_beside_the_plain_way_postgres() {
    dispatch(&Place::postgres(), "postgres");
}

#[test]
fn the_market_is_measured_beside_highs() {
    let told = report(&bench(&Place::sqlite(), &["market"]));
    assert_eq!(told["bench"], "market");
    assert_eq!(told["peer"]["same_welfare"], true, "{told}");
    for run in told["runs"].as_array().unwrap().iter().filter(|run| run["family"] == "convex") {
        assert_eq!(run["welfare_ppm"], 1_000_000, "{run}");
    }
}

#[test]
fn presence_is_measured_beside_a_map() {
    let told = report(&bench(&Place::sqlite(), &["presence", "--cars", "20000"]));
    assert_eq!(told["bench"], "presence");
    assert_eq!(told["runs"][0]["size"], 20_000, "{told}");
    assert!(told["runs"][0]["rss_mb"].as_f64().unwrap() < 100.0, "{told}");
}

#[test]
fn the_sandbox_is_measured_beside_the_runtimes_with_nothing_on() {
    let told = report(&bench(&Place::sqlite(), &["sandbox", "--quick"]));
    assert_eq!(told["bench"], "sandbox");
    let runs = told["runs"].as_array().unwrap();
    let find = |name: &str| runs.iter().find(|run| run["name"] == name).unwrap();
    for name in ["float", "integer", "digits"] {
        assert!(find(name)["ratio"].as_f64().unwrap() > 0.2, "{told}");
    }
    for name in ["cold start", "warm start", "vacate"] {
        let run = find(name);
        assert!(run["p50_ms"].as_f64() <= run["p99_ms"].as_f64(), "{run}");
    }
}
