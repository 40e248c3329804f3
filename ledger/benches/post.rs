//! `cargo bench -p ledger --features bench -- URL`: the book beside raw SQL on an empty database.

use store::{Env, Store};

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let url = std::env::args().skip(1).find(|argument| argument.contains("://"));
    let url = url.ok_or("give the URL of an empty database")?;
    let store = Store::open(&url, Env::system())?;
    let mut options = ledger::bench::Options::default();
    let batches: Vec<usize> = std::env::args().filter_map(|size| size.parse().ok()).collect();
    if !batches.is_empty() {
        options.batches = batches;
    }
    for line in ledger::bench::run(&store, &url, &options)? {
        println!("{line:?}");
    }
    Ok(())
}
