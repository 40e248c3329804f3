//! The program `driveway`: see `driveway --help`.

fn main() -> std::process::ExitCode {
    api::cli::main()
}
