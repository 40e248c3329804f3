//! Welfare equals the optimum that an independent LP solver finds.

mod common;

use std::io::Write;
use std::process::{Command, Stdio};

use common::{Random, SMALL, Size, book, long};
use pricing::{Book, check, clear};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lp_oracle.py");

#[test]
fn welfare_is_the_lp_optimum() {
    let instances = if long() { 3_000 } else { 400 };
    let books = books(instances);
    let optima = ask(&books);
    assert_eq!(optima.len(), books.len(), "one optimum per book");
    let mut traded = 0;
    for (n, (book, optimum)) in books.iter().zip(optima).enumerate() {
        let clearing = clear(book).expect("the book is valid");
        assert_eq!(check(book, &clearing), Ok(()), "instance {n}: {book:?}");
        assert_eq!(clearing.welfare, optimum, "instance {n}: {book:?}");
        traded += usize::from(!clearing.fills.is_empty());
    }
    assert!(traded * 2 > books.len(), "only {traded} of {instances} instances traded at all");
}

/// Mostly small books, where ties and exhausted cells abound, and some larger ones.
fn books(instances: usize) -> Vec<Book> {
    let larger = Size { cells: 12, levels: 8, bids: 60, lanes: 40, price: 500 };
    let mut random = Random(20_261_101);
    (0..instances).map(|n| book(&mut random, if n % 8 == 7 { &larger } else { &SMALL })).collect()
}

fn ask(books: &[Book]) -> Vec<i128> {
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

fn optimum(line: &str) -> i128 {
    let answer: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
    let welfare = answer["welfare"].as_i64().expect("a whole number");
    let raw = answer["raw"].as_f64().expect("a number");
    assert!((raw - welfare as f64).abs() < 1e-3, "the optimum {raw} is not integral");
    i128::from(welfare)
}
