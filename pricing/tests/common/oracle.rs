//! An independent solver to compare with: HiGHS, by `lp_oracle.py`.

use std::io::Write;
use std::process::{Command, Stdio};

use pricing::Book;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lp_oracle.py");

/// The greatest welfare of each book, in micro-units per hour.
#[derive(Debug, Clone, Copy)]
pub struct Optimum {
    /// If every bid took any number of lanes.
    pub relaxed: i128,
    /// With min fills, which needs whole numbers. Budgets and caps are not the solver's business.
    pub whole: i128,
}

pub fn ask(books: &[Book]) -> Vec<Optimum> {
    let python = std::env::var("DRIVEWAY_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let available = Command::new(&python).args(["-c", "import highspy"]).output();
    let available = available.is_ok_and(|output| output.status.success());
    assert!(
        available,
        "{python} cannot import highspy: run tests/run, which prepares a Python with it, \
         or set DRIVEWAY_TEST_PYTHON to one"
    );
    let mut oracle = Command::new(&python)
        .arg(SCRIPT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the oracle starts");
    let mut input = oracle.stdin.take().expect("stdin is piped");
    let lines: Vec<String> =
        books.iter().map(|book| serde_json::to_string(book).expect("a book is JSON")).collect();
    // Written from another thread: a full pipe one way must not stop the other.
    let writer = std::thread::spawn(move || input.write_all((lines.join("\n") + "\n").as_bytes()));
    let output = oracle.wait_with_output().expect("the oracle ends");
    assert!(output.status.success(), "the oracle failed: {}", output.status);
    writer.join().expect("the writer ends").expect("the oracle read all books");
    let text = String::from_utf8(output.stdout).expect("the oracle writes UTF-8");
    text.lines().map(optimum).collect()
}

fn optimum(line: &str) -> Optimum {
    let answer: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
    let whole = |name: &str| {
        let raw = answer[name].as_f64().expect("a number");
        assert!((raw - raw.round()).abs() < 1e-3, "the optimum {raw} is not integral");
        raw.round() as i128
    };
    Optimum { relaxed: whole("relaxed"), whole: whole("whole") }
}
