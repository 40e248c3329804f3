//! `cargo bench -p vehicle --features bench`: what `driveway bench sandbox` prints, without the
//! rest of the house.

use vehicle::WorkerConfig;
use vehicle::bench::{WORKS, cold_start, vacate, vacate_deaf, warm_start, work};

fn main() -> std::io::Result<()> {
    let executable = env!("CARGO_BIN_EXE_driveway-worker").into();
    let config = WorkerConfig { executable, args: Vec::new(), size: 1 };
    for name in WORKS {
        println!("{:?}", work(&config, name, 1)?);
    }
    for times in [cold_start, warm_start, vacate, vacate_deaf] {
        println!("{:?}", times(&config, 1)?);
    }
    Ok(())
}
