//! The agent of one car, without the rest of the house. Its workers are the same program.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("worker") {
        return vehicle::worker_main();
    }
    vehicle::road::cli::program().into()
}
