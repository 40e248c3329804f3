//! The worker alone, for the tests of this crate.

fn main() -> std::process::ExitCode {
    vehicle::worker_main()
}
