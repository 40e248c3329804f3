//! Sorts the lines of the standard input: an ordinary Rust program with collections, panics and
//! a hash map, whose order is random by the task's seed.

use std::collections::HashMap;
use std::io::{self, BufRead, Write};

fn main() -> io::Result<()> {
    let mut lines = io::stdin().lock().lines().collect::<io::Result<Vec<String>>>()?;
    if lines.iter().any(|line| line == "panic") {
        panic!("asked to");
    }
    lines.sort();
    let mut out = io::stdout().lock();
    let mut lengths: HashMap<usize, usize> = HashMap::new();
    for line in &lines {
        *lengths.entry(line.len()).or_default() += 1;
        writeln!(out, "{}", line)?;
    }
    let order: Vec<String> = lengths.keys().map(|length| length.to_string()).collect();
    writeln!(out, "lengths {}", order.join(" "))?;
    eprintln!("{} lines", lines.len());
    if lines.is_empty() {
        std::process::exit(3);
    }
    Ok(())
}
