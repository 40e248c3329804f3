//! The command line of a car: `driveway vehicle`, `driveway-vehicle`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::{Args, Parser, Subcommand, value_parser};
use serde_json::{Value, json};

use super::key::Key;
use super::net::{Net, NetError, Road, enrol};
use super::run::{read_telemetry, run};
use crate::{Agent, Programs, TransportError, WorkerConfig, WorkerPool};

/// What a car is told at its start.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct VehicleArgs {
    #[command(subcommand)]
    command: Option<VehicleCommand>,
    // Required, but with a subcommand. (Of structs that are flattened in others clap cannot tell
    // whether they were given, so these are not a `RunArgs`.)
    /// https://HOST[:PORT]
    #[arg(long, env = "DRIVEWAY_SERVER", required = true, value_name = "URL")]
    server: Option<String>,
    /// Certificates, in PEM, to trust instead of those of the system.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The car's key.
    #[arg(long, required = true, value_name = "FILE")]
    key: Option<PathBuf>,
    /// A JSON file that says how the car is, written anew by its bus bridge with every change.
    #[arg(long, required = true, value_name = "FILE")]
    telemetry: Option<PathBuf>,
    /// Where programs are kept between leases, sealed; beside the key's file if not said.
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// How much of the disk they may take.
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = value_parser!(u64).range(1..=1 << 20))]
    cache_mib: u64,
}

#[derive(Subcommand, Clone, Debug)]
enum VehicleCommand {
    /// Make the car's key and enrol it with the code that its owner was given.
    Enrol(EnrolArgs),
}

#[derive(Args, Clone, Debug)]
struct EnrolArgs {
    /// https://HOST[:PORT]
    #[arg(long, env = "DRIVEWAY_SERVER", value_name = "URL")]
    server: String,
    /// Certificates, in PEM, to trust instead of those of the system.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Where the car's key is kept.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The one-time code that the car's owner was given.
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
            TransportError::Refused(why) | TransportError::OnTheCar(why) => Self::Refused(why),
            TransportError::Unreachable(why) => Self::Unreachable(why),
        }
    }
}

fn net(server: &str, ca: Option<&Path>) -> Result<Net, CliError> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|e| CliError::Usage(format!("{}: {e}", path.display())))
    };
    let authority = ca.map(read).transpose()?;
    Ok(Net::new(server, authority.as_deref())?)
}

/// Runs the command with workers of `worker`: a program that serves [`crate::worker_main`] under
/// the argument `worker`. Answers the JSON object that ends the output.
///
/// # Errors
/// See [`CliError`].
pub fn main(args: VehicleArgs, worker: &Path) -> Result<Value, CliError> {
    let VehicleArgs { command, server, ca, key, telemetry, cache, cache_mib } = args;
    match (command, server, key, telemetry) {
        (Some(VehicleCommand::Enrol(args)), ..) => enrol_car(&args),
        (None, Some(server), Some(key), Some(telemetry)) => {
            let cache = cache.unwrap_or_else(|| key.with_extension("programs"));
            let programs = Programs::open(&cache, cache_mib << 20)
                .map_err(|error| CliError::Usage(format!("{}: {error}", cache.display())))?;
            drive(net(&server, ca.as_deref())?, &key, &telemetry, programs, worker)
        }
        _ => Err(CliError::Usage("--server, --key and --telemetry are needed".into())),
    }
}

/// A key that is there is used again: if the answer to a code was lost, the code is used up and the
/// key signs in.
fn enrol_car(args: &EnrolArgs) -> Result<Value, CliError> {
    let net = net(&args.server, args.ca.as_deref())?;
    let file = &args.key;
    let usage = |error: super::KeyError| CliError::Usage(error.to_string());
    let known = file.exists();
    let key = if known {
        Key::load(file).map_err(usage)?
    } else {
        let key = Key::generate().map_err(usage)?;
        key.create(file).map_err(usage)?;
        key
    };
    let key_id = key.id();
    let vehicle = match enrol(&net, &args.code, &key) {
        Err(refused @ TransportError::Refused(_)) if known => {
            Road::new(net, key).vehicle().map_err(|_| refused)?
        }
        answer => answer?,
    };
    eprintln!("Enrolled as {vehicle}; the key is in {}", file.display());
    Ok(json!({ "vehicle": vehicle, "key_id": key_id }))
}

fn drive(
    net: Net,
    key: &Path,
    telemetry: &Path,
    programs: Programs,
    worker: &Path,
) -> Result<Value, CliError> {
    let key = Key::load(key).map_err(|error| CliError::Usage(error.to_string()))?;
    let road = Road::new(net, key);
    let workers =
        WorkerConfig { executable: worker.to_owned(), args: vec!["worker".to_owned()], size: 1 };
    let pool = WorkerPool::new(workers).map_err(|error| CliError::Usage(error.to_string()))?;
    // A car that starts without a network waits for it; one that is not known is told so.
    match road.vehicle() {
        Ok(vehicle) => eprintln!("{vehicle} is on the road"),
        Err(TransportError::Unreachable(why)) => eprintln!("not reachable yet: {why}"),
        Err(refused) => return Err(refused.into()),
    }
    let agent = Agent::new(Arc::new(pool)).with_programs(Arc::new(programs));
    run(&road, agent, || read_telemetry(telemetry), &AtomicBool::new(false));
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
