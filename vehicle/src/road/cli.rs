//! The command line of a car: `driveway vehicle`, `driveway-vehicle`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::{Args, Parser, Subcommand};
use serde_json::{Value, json};

use super::key::Key;
use super::net::{Net, NetError, Road, enrol};
use super::run::{read_telemetry, run};
use crate::{TransportError, WorkerConfig, WorkerPool};

/// What a car is told at its start.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct VehicleArgs {
    #[command(subcommand)]
    command: Option<VehicleCommand>,
    #[command(flatten)]
    run: Option<RunArgs>,
}

#[derive(Subcommand, Clone, Debug)]
enum VehicleCommand {
    /// Make the car's key and enrol it with the code that its owner was given.
    Enrol(EnrolArgs),
}

#[derive(Args, Clone, Debug)]
struct Server {
    /// https://HOST[:PORT]
    #[arg(long, env = "DRIVEWAY_SERVER", value_name = "URL")]
    server: String,
    /// Certificates, in PEM, to trust instead of those of the system.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The car's key.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

#[derive(Args, Clone, Debug)]
struct RunArgs {
    #[command(flatten)]
    server: Server,
    /// A JSON file that says how the car is, written anew by its bus bridge with every change.
    #[arg(long, value_name = "FILE")]
    telemetry: PathBuf,
}

#[derive(Args, Clone, Debug)]
struct EnrolArgs {
    #[command(flatten)]
    server: Server,
    #[arg(long)]
    code: String,
}

/// Why a command did not end well, by exit code.
#[derive(Debug)]
pub enum CliError {
    /// 1: the answer is no.
    Refused(String),
    /// 2
    Usage(String),
    /// 3
    Unreachable(String),
}

impl From<NetError> for CliError {
    fn from(error: NetError) -> Self {
        match error {
            NetError::Transport(error) => error.into(),
            other => Self::Usage(other.to_string()),
        }
    }
}

impl From<TransportError> for CliError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Refused(why) => Self::Refused(why),
            TransportError::Unreachable(why) => Self::Unreachable(why),
        }
    }
}

impl Server {
    fn net(&self) -> Result<Net, CliError> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|e| CliError::Usage(format!("{}: {e}", path.display())))
        };
        let authority = self.ca.as_ref().map(read).transpose()?;
        Ok(Net::new(&self.server, authority.as_deref())?)
    }
}

/// Runs the command with workers of `worker`: a program that serves [`crate::worker_main`] under
/// the argument `worker`. Answers the JSON object that ends the output.
///
/// # Errors
/// See [`CliError`].
pub fn main(args: VehicleArgs, worker: &Path) -> Result<Value, CliError> {
    match (args.command, args.run) {
        (Some(VehicleCommand::Enrol(args)), _) => enrol_car(&args),
        (None, Some(args)) => drive(&args, worker),
        (None, None) => Err(CliError::Usage("--server, --key and --telemetry are needed".into())),
    }
}

/// A key that is there is used again: a code can be tried twice when the answer was lost.
fn enrol_car(args: &EnrolArgs) -> Result<Value, CliError> {
    let net = args.server.net()?;
    let file = &args.server.key;
    let usage = |error: super::KeyError| CliError::Usage(error.to_string());
    let key = if file.exists() {
        Key::load(file).map_err(usage)?
    } else {
        let key = Key::generate().map_err(usage)?;
        key.create(file).map_err(usage)?;
        key
    };
    let vehicle = enrol(&net, &args.code, &key)?;
    eprintln!("Enrolled as {vehicle}; the key is in {}", file.display());
    Ok(json!({ "vehicle": vehicle, "key_id": key.id() }))
}

fn drive(args: &RunArgs, worker: &Path) -> Result<Value, CliError> {
    let key = Key::load(&args.server.key).map_err(|error| CliError::Usage(error.to_string()))?;
    let road = Road::new(args.server.net()?, key);
    let workers =
        WorkerConfig { executable: worker.to_owned(), args: vec!["worker".to_owned()], size: 1 };
    let pool = WorkerPool::new(workers).map_err(|error| CliError::Usage(error.to_string()))?;
    // A car that starts without a network waits for it; one that is not known is told so.
    match road.vehicle() {
        Ok(vehicle) => eprintln!("{vehicle} is on the road"),
        Err(TransportError::Unreachable(why)) => eprintln!("not reachable yet: {why}"),
        Err(refused) => return Err(refused.into()),
    }
    run(&road, Arc::new(pool), || read_telemetry(&args.telemetry), &AtomicBool::new(false));
    Ok(json!({ "stopped": true }))
}

/// The agent of one car.
#[derive(Parser)]
#[command(name = "driveway-vehicle", version)]
struct Program {
    /// End with one JSON object on the last line.
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    vehicle: VehicleArgs,
}

/// The program `driveway-vehicle`; answers its exit code.
pub fn program() -> u8 {
    let program = Program::parse();
    let Ok(itself) = std::env::current_exe() else { return 1 };
    let (code, why) = match main(program.vehicle, &itself) {
        Ok(answer) => {
            if program.json {
                println!("{answer}");
            }
            return 0;
        }
        Err(CliError::Refused(why)) => (1, why),
        Err(CliError::Usage(why)) => (2, why),
        Err(CliError::Unreachable(why)) => (3, why),
    };
    eprintln!("driveway-vehicle: {why}");
    code
}
