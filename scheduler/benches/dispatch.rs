//! `cargo bench -p scheduler --features bench -- URL`: leases a second on an empty database.

use scheduler::bench::{Fault, Options, run};
use store::{Env, Store};

fn main() -> Result<(), Fault> {
    let url = std::env::args().skip(1).find(|argument| argument.contains("://"));
    let url = url.ok_or("name an empty database: sqlite://FILE or postgres://...")?;
    let store = Store::open(&url, Env::system())?;
    for line in run(&store, &url, &Options::default())? {
        println!("{line:?}");
    }
    Ok(())
}
