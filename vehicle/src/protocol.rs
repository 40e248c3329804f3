//! The words a car and the platform exchange. A car always calls; the answer to its heartbeat
//! carries the next order. Ids are TypeIDs in text (`lease_01h...`), opaque to the car.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use crate::sealed::FileKey;

/// SHA-256 of a blob in 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(pub String);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex::encode(Sha256::digest(bytes)))
    }

    /// The digest of what can be read, piece by piece.
    ///
    /// # Errors
    /// What the reader says.
    pub fn of_reader(reader: &mut impl io::Read) -> io::Result<Self> {
        let mut hash = Sha256::new();
        let mut piece = vec![0; 64 << 10];
        loop {
            match reader.read(&mut piece)? {
                0 => return Ok(Self(hex::encode(hash.finalize()))),
                n => hash.update(&piece[..n]),
            }
        }
    }
}

/// What executes a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Runtime {
    /// A WebAssembly module that speaks the guest ABI.
    Wasm,
    /// An ONNX model with one input and one output; blobs are `.npy` tensors.
    Onnx,
}

/// Gear selector, as Tesla's fleet telemetry reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gear {
    P,
    R,
    N,
    D,
}

/// `DetailedChargeState` of Tesla's fleet telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChargeState {
    Disconnected,
    NoPower,
    Starting,
    Charging,
    Complete,
    Stopped,
}

/// `DoorState` of Tesla's fleet telemetry: true for one that is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Doors {
    pub driver_front: bool,
    pub driver_rear: bool,
    pub passenger_front: bool,
    pub passenger_rear: bool,
    pub trunk_front: bool,
    pub trunk_rear: bool,
}

/// `ClimateKeeperMode` of Tesla's fleet telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClimateKeeper {
    Off,
    On,
    Dog,
    Party,
}

/// `PowershareStatus` of Tesla's fleet telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Powershare {
    Inactive,
    Handshaking,
    Init,
    Enabled,
    EnabledReconnectingSoon,
    Stopped,
}

/// What the car is on the network by. Not of Tesla's telemetry: the agent says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    Wifi,
    Ethernet,
    Cellular,
}

/// One telemetry frame. Names and meanings are those of Tesla's fleet telemetry; a missing field
/// is unknown, and unknown counts as "no" wherever it is asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Telemetry {
    pub gear: Option<Gear>,
    /// Miles per hour.
    pub vehicle_speed: Option<f32>,
    pub driver_seat_occupied: Option<bool>,
    pub locked: Option<bool>,
    pub service_mode: Option<bool>,
    pub valet_mode: Option<bool>,
    pub detailed_charge_state: Option<ChargeState>,
    /// State of charge, percent, 0 to 100.
    pub soc: Option<f32>,
    /// Warmest and coldest battery module, degrees Celsius.
    pub module_temp_max: Option<f32>,
    pub module_temp_min: Option<f32>,
    /// Degrees Celsius.
    pub outside_temp: Option<f32>,
    pub door_state: Option<Doors>,
    pub climate_keeper_mode: Option<ClimateKeeper>,
    pub powershare_status: Option<Powershare>,
    /// Percent; an update is being installed from 1 to 99.
    pub software_update_installation_percent_complete: Option<i32>,
    /// What the battery takes from the charger, kilowatts.
    #[serde(rename = "ACChargingPower")]
    pub ac_charging_power: Option<f32>,
    #[serde(rename = "DCChargingPower")]
    pub dc_charging_power: Option<f32>,
    /// What is in the battery, kilowatt-hours.
    pub energy_remaining: Option<f32>,
    pub located_at_home: Option<bool>,
    pub network: Option<Network>,
}

impl Telemetry {
    /// On a network that is not the mobile one, and known to be.
    pub fn is_on_wifi(&self) -> bool {
        matches!(self.network, Some(Network::Wifi | Network::Ethernet))
    }

    /// In P, standing, nobody in the driver's seat, and all three known.
    pub fn is_parked(&self) -> bool {
        self.gear == Some(Gear::P)
            && self.vehicle_speed == Some(0.0)
            && self.driver_seat_occupied == Some(false)
    }
}

/// What a car says at each poll: how it is, and how its attempt goes. A terminal report is sent
/// again until a heartbeat that carried it was answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    pub telemetry: Telemetry,
    pub attempt: Option<AttemptReport>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptReport {
    pub attempt_id: String,
    pub state: AttemptState,
    /// What it used; zeros until it ended.
    #[serde(default)]
    pub usage: AttemptUsage,
    /// The end of what the program wrote to its log, [`MAX_LOG`] bytes at most, without control
    /// characters but newline and tab; empty until it ended.
    #[serde(default)]
    pub log: String,
    /// Numbers that the program reported, [`MAX_METRICS`] at most, each by a name for which
    /// [`is_metric_name`]; the last value of each. Empty until it ended.
    #[serde(default)]
    pub metrics: BTreeMap<String, i64>,
}

impl AttemptReport {
    /// How it stands, and nothing beside.
    pub fn new(attempt_id: impl Into<String>, state: AttemptState) -> Self {
        Self {
            attempt_id: attempt_id.into(),
            state,
            usage: AttemptUsage::default(),
            log: String::new(),
            metrics: BTreeMap::new(),
        }
    }
}

/// What an attempt used, as its worker says; for people, never for money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AttemptUsage {
    /// Units of fuel, as in [`Limits`]. Exact when it ended by itself, else as of its last word.
    pub fuel: u64,
    /// CPU time of the whole worker process, microseconds.
    pub cpu_us: i64,
    /// The most memory at a time: of a WASM program its linear memory; 0 for a model.
    pub peak_memory_bytes: u64,
}

/// Bytes of a program's log that are kept: its end.
pub const MAX_LOG: usize = 16 << 10;
/// Numbers that a program can report.
pub const MAX_METRICS: usize = 16;

/// Whether a metric may have this name: 1 to 64 of `a-z0-9_.`.
pub fn is_metric_name(name: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.');
    (1..=64).contains(&name.len()) && name.bytes().all(plain)
}

/// `metered_us` is the sandbox's wall time spent on this attempt, in microseconds: queueing on
/// the car is not in it. It is a claim; the platform bills the least of it, what it saw itself,
/// and the lease's term.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum AttemptState {
    /// `progress_ppm`: what the program says of itself, parts per million; never used for money.
    Running {
        progress_ppm: u32,
        metered_us: i64,
    },
    Completed {
        output: Digest,
        metered_us: i64,
    },
    /// Stopped on order or by the driver, with a checkpoint that another car can resume from.
    Checkpointed {
        checkpoint: Digest,
        metered_us: i64,
    },
    /// Stopped on order or by the driver; nothing to resume from.
    Vacated {
        metered_us: i64,
    },
    Failed {
        fault: Fault,
        code: FailureCode,
        message: String,
        metered_us: i64,
    },
}

impl AttemptState {
    pub fn is_terminal(&self) -> bool {
        !matches!(self, Self::Running { .. })
    }
}

/// Whose budget a failure is charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    Program,
    Car,
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// Malformed, unsupported feature or operator, unknown import.
    InvalidProgram,
    /// The input cannot be read as what the program takes.
    InvalidInput,
    /// The program is larger than a car takes.
    ModuleTooLarge,
    /// It was not prepared within its CPU time; nothing of it was executed.
    CompileTimeExceeded,
    Trap,
    NonZeroExit,
    FuelExhausted,
    MemoryExceeded,
    TableExceeded,
    StackExceeded,
    CpuTimeExceeded,
    WallTimeExceeded,
    OutputExceeded,
    CheckpointExceeded,
    HostCallsExceeded,
    /// The worker died and no limit explains it.
    WorkerDied,
    /// The car could not fetch the program or the input, or not store the output.
    BlobUnavailable,
}

/// Hard limits of one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Units of fuel: weighted instructions of a WASM program; of a model, eight multiply-adds each.
    pub fuel: u64,
    pub cpu_ms: u32,
    pub wall_ms: u32,
    pub memory_bytes: u64,
    pub output_bytes: u64,
    pub checkpoint_bytes: u64,
    pub host_calls: u64,
    /// Time between the word to leave and the kill.
    pub grace_ms: u32,
    /// The same bits on every kind of CPU: NaNs are made canonical, which can take six times the
    /// time of float code. For results that are compared between cars.
    pub deterministic: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: 1_000_000_000_000,
            cpu_ms: 600_000,
            wall_ms: 900_000,
            memory_bytes: 256 << 20,
            output_bytes: 64 << 20,
            checkpoint_bytes: 16 << 20,
            host_calls: 10_000_000,
            grace_ms: 2_000,
            deterministic: false,
        }
    }
}

/// Run this attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub lease_id: String,
    pub attempt_id: String,
    pub runtime: Runtime,
    pub program: Digest,
    pub input: Digest,
    /// Resume from here.
    pub checkpoint: Option<Digest>,
    pub limits: Limits,
    /// What is left of the lease's term, milliseconds from the moment of the answer: no clock of the
    /// car's is asked. A car that is out of the network then ends the work by itself.
    pub term_ms: u64,
    /// The owner wants no blob to go over the mobile network.
    #[serde(default)]
    pub wifi_only: bool,
    /// Seals this program in the car's cache. The platform makes it of the digest and tells it with
    /// an order alone, so that what is cached cannot be read without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program_key: Option<FileKey>,
}

/// Why the platform wants the car to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VacateReason {
    TermOver,
    Cancelled,
    ConsentWithdrawn,
    /// An operator takes the car, its region or its job out of work at once.
    Evicted,
    NotEligible,
    /// The attempt is not (or no longer) this car's: drop it, keep nothing.
    NotYours,
}

/// The answer to a heartbeat. At most one of `order` and `vacate` is set. An order for the
/// attempt that already runs is a repetition and changes nothing but what is left of its term.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatReply {
    /// Poll again after this many milliseconds, or at once when the attempt ends or the driver
    /// returns.
    pub next_poll_ms: u32,
    pub order: Option<Order>,
    pub vacate: Option<VacateReason>,
    /// Programs to be wiped from every cache at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forget: Vec<Digest>,
}
