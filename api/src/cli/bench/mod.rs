//! `driveway bench`: how quick, on this machine, and beside whom.
#![allow(clippy::float_arithmetic)]

mod dispatch;
mod ledger;
mod market;
mod presence;
mod reports;
#[cfg(feature = "sandbox")]
mod sandbox;

use std::path::PathBuf;

use clap::Subcommand;

use super::{Answer, Failure};

#[derive(Subcommand)]
pub enum Command {
    /// Let, deliver, complete and settle leases, beside the plain way on the same database.
    Dispatch(dispatch::DispatchArgs),
    /// Post transfers, beside raw SQL on the same database.
    Ledger(ledger::LedgerArgs),
    /// Clear markets that stand for a hundred million cars, beside a solver of linear programs.
    Market(market::MarketArgs),
    /// Keep a fleet in memory, beside a map that is counted for each tick.
    Presence(presence::PresenceArgs),
    /// Write reports over a year of entries.
    Reports(reports::ReportsArgs),
    /// Run programs and models, beside the same without the sandbox.
    #[cfg(feature = "sandbox")]
    Sandbox(sandbox::SandboxArgs),
}

impl Command {
    pub fn run(self, json: bool) -> Result<Answer, Failure> {
        match self {
            Self::Dispatch(args) => args.run(json),
            Self::Ledger(args) => args.run(json),
            Self::Market(args) => args.run(json),
            Self::Presence(args) => args.run(json),
            Self::Reports(args) => args.run(json),
            #[cfg(feature = "sandbox")]
            Self::Sandbox(args) => args.run(json),
        }
    }
}

fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or(std::env::consts::ARCH, |(_, name)| name);
    let build = if cfg!(debug_assertions) { ", debug build" } else { "" };
    format!("{model}, {cpus} processors, {}{build}", std::env::consts::OS)
}

/// The most memory that this process has held so far, bytes.
fn rss() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib << 10)
}

/// A SQLite file that goes away with what SQLite puts beside it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        Self(PathBuf::from(format!("driveway-bench-{}.sqlite", std::process::id())))
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.0.display())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let name = self.0.display().to_string();
        for end in [
            "",
            "-wal",
            "-shm",
            ".lock",
            ".raw",
            ".raw-wal",
            ".raw-shm",
            ".plain",
            ".plain-wal",
            ".plain-shm",
        ] {
            // Most of them are not there.
            let _ = std::fs::remove_file(format!("{name}{end}"));
        }
    }
}
