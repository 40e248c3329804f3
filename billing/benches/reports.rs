//! `cargo bench -p billing --features bench -- URL ENTRIES`: reports over a year, on an empty
//! database.

use std::sync::Arc;

use billing::bench::{Options, run};
use store::{Env, IdSource, ManualClock, Store, Timestamp};

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let url = std::env::args().skip(1).find(|argument| argument.contains("://"));
    let url = url.ok_or("give the URL of an empty database")?;
    let entries = std::env::args().find_map(|count| count.parse().ok()).unwrap_or(1_000_000);
    let clock = Arc::new(ManualClock::new(Timestamp(1_767_225_600_000_000)));
    let env = Env { clock: clock.clone(), ids: Arc::new(IdSource::random()) };
    let store = Store::open(&url, env)?;
    let options = Options { accounts: 10_000, entries };
    let filled = |took| println!("filled in {took:?}");
    for line in run(&store, &clock, &options, filled)? {
        println!("{} rows/s {line:?}", line.rows_per_s());
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default());
    Ok(())
}
