//! The commands of the documentation, run as they stand there.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use end_to_end::{Client, Place, Server, driveway};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The shell blocks of a page, but those that start a server, which the test does itself.
fn commands(page: &str) -> String {
    let text = std::fs::read_to_string(root().join(page)).unwrap();
    let blocks = text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let blocks: Vec<&str> = blocks.filter(|block| !block.starts_with("driveway serve")).collect();
    assert!(!blocks.is_empty(), "{page} has no commands");
    blocks.join("\n")
}

fn bash(script: &str, place: &Place, folder: &Path) -> String {
    let path = format!(
        "{}:{}",
        driveway().parent().unwrap().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .env("PATH", path)
        .env("DRIVEWAY_DATA", place.data())
        .env("DRIVEWAY_DATABASE_URL", &place.url)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn a_customers_commands_buy_compute_sqlite() {
    let place = Place::sqlite();
    let server = Server::start(&place, 3);
    let script = commands("docs/customers.md").replace("http://127.0.0.1:8080", &server.base);
    let text =
        bash(&format!("{script}\necho; echo \"JOB=$JOB\"; echo \"JOB=$MAP\""), &place, &root());
    let jobs: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("JOB=")).collect();
    assert_eq!(jobs.len(), 2, "{text}");
    let mut client = Client::default();
    client.log_in(&server.base, "me@customer.example", "an example password");
    let began = Instant::now();
    for job in jobs {
        loop {
            let state = client.get(&server.base, &format!("/v1/jobs/{job}")).unwrap();
            if state["state"] == "completed" {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{state}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

#[test]
fn finances_commands_read_the_books_postgres() {
    finance(&Place::postgres());
}

#[test]
fn finances_commands_read_the_books_sqlite() {
    let place = Place::sqlite();
    std::fs::create_dir_all(place.data()).unwrap();
    finance(&place);
}

fn finance(place: &Place) {
    assert_eq!(Server::start(place, 0).interrupt(), Some(0));
    let text = bash(&commands("docs/finance.md"), place, place.dir.path());
    assert!(text.contains("The books check"), "{text}");
    assert!(text.contains("The book is as it was sealed"), "{text}");
    assert!(place.dir.path().join("journal.hledger").exists());
}

#[test]
fn operators_commands_look_back_sqlite() {
    let place = Place::sqlite();
    std::fs::create_dir_all(place.data()).unwrap();
    assert_eq!(Server::start(&place, 0).interrupt(), Some(0));
    let ban = format!("driveway admin ban program {} --reason 'it mines coins'", "a".repeat(64));
    bash(&format!("{ban}\n{}", commands("docs/operators.md")), &place, place.dir.path());
    let log = std::fs::read_to_string(place.dir.path().join("audit.jsonl")).unwrap();
    assert!(log.contains("ban.imposed") && log.contains("command_line"), "{log}");
}
