//! The command line. Contracts that scripts rely on: with `--json` the last line of standard
//! output is one JSON object; the exit code is 0 for done, 1 if the answer is no, 2 for wrong
//! usage, 3 if the server or the database cannot be reached.

mod admin;
mod bench;
mod books;
mod ledger;
mod market;
mod proof;
mod report;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde::Serialize;
use tracing_subscriber::EnvFilter;
use vehicle::road::cli::{CliError, VehicleArgs};

use crate::config::Config;
use crate::demo::{self, DemoConfig};
use crate::openapi;

/// Driveway: a market for the compute in parked cars.
#[derive(Parser)]
#[command(name = "driveway", version)]
struct Cli {
    /// End with one JSON object on the last line.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API.
    Serve(Box<Config>),
    /// Run a small market on real work, from bids to owners' money.
    Demo(DemoConfig),
    /// Be the agent of one car on the road, or enrol it.
    Vehicle(Box<VehicleArgs>),
    /// Print the API's specification.
    Openapi,
    /// Read the book.
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// Read the market's history.
    #[command(subcommand)]
    Market(market::Command),
    /// Measure.
    #[command(subcommand)]
    Bench(bench::Command),
    /// What only who runs the server may do.
    #[command(subcommand)]
    Admin(admin::Command),
    /// Run one task of a car. Started by the server itself.
    #[cfg(feature = "sandbox")]
    #[command(hide = true)]
    Worker,
}

/// How a command ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Done,
    No,
}

/// Why a command did not end.
#[derive(Debug)]
pub enum Failure {
    /// The answer is no, with a reason.
    Refused(String),
    Usage(String),
    Unreachable(String),
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        use store::Error as E;
        let error = error.into();
        match error.downcast_ref::<E>() {
            Some(E::Url) => Self::Usage(error.to_string()),
            Some(E::Connect(_) | E::Owned(_) | E::Pool(_) | E::File(..)) => {
                Self::Unreachable(error.to_string())
            }
            _ => Self::Other(error),
        }
    }
}

fn of_car(error: CliError) -> Failure {
    match error {
        CliError::Refused(why) => Failure::Refused(why),
        CliError::Usage(why) => Failure::Usage(why),
        CliError::Unreachable(why) => Failure::Unreachable(why),
    }
}

pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_env("DRIVEWAY_LOG").unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(cli) {
        Ok(Answer::Done) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Err(failure) => {
            let (code, text) = match failure {
                Failure::Refused(text) => (1, text),
                Failure::Usage(text) => (2, text),
                Failure::Unreachable(text) => (3, text),
                Failure::Other(error) => (1, format!("{error:#}")),
            };
            eprintln!("driveway: {text}");
            ExitCode::from(code)
        }
    }
}

fn run(cli: Cli) -> Result<Answer, Failure> {
    match cli.command {
        Command::Serve(config) => serve::run(&config, cli.json),
        Command::Demo(config) => match demo::run(&config, cli.json)? {
            true => Ok(Answer::Done),
            false => Ok(Answer::No),
        },
        Command::Vehicle(args) => {
            let itself = std::env::current_exe()?;
            let answer = vehicle::road::cli::main(*args, &itself).map_err(of_car)?;
            if cli.json {
                print_json(&answer)?;
            }
            Ok(Answer::Done)
        }
        Command::Openapi => {
            println!("{}", openapi::spec().to_pretty_json()?);
            Ok(Answer::Done)
        }
        Command::Ledger(command) => command.run(cli.json),
        Command::Market(command) => command.run(cli.json),
        Command::Bench(command) => command.run(cli.json),
        Command::Admin(command) => command.run(cli.json),
        #[cfg(feature = "sandbox")]
        Command::Worker => std::process::exit(i32::from(worker() != ExitCode::SUCCESS)),
    }
}

#[cfg(feature = "sandbox")]
fn worker() -> ExitCode {
    vehicle::worker_main()
}

/// The last line for scripts.
fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    println!("{}", serde_json::to_string(value)?);
    Ok(())
}
