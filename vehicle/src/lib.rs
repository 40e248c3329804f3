//! What runs on a car: the protocol it speaks, the agent that decides, the sandbox that executes.
//!
//! This crate builds alone: it knows no database and no other crate of the house.
//!
//! ```text
//! agent ── heartbeat ──► transport ──► platform
//!   │
//!   ▼
//! pool ── frames over pipes ──► worker process: confine, then wasm or onnx
//! ```
//!
//! Without features it is protocol, agent and pool. The features `wasm` and `onnx` (both:
//! `sandbox`) add the worker's side, [`worker_main`], which the binary that embeds the crate
//! serves under a hidden subcommand.

pub mod agent;
#[cfg(feature = "bench")]
pub mod bench;
mod frame;
pub mod pool;
pub mod protocol;
#[cfg(feature = "road")]
pub mod road;
mod sealed;
mod transport;
#[cfg(feature = "worker")]
mod worker;

#[cfg(feature = "onnx")]
mod onnx;
#[cfg(feature = "wasm")]
mod wasm;

pub use agent::{Agent, AttemptView, Phase, Programs};
pub use pool::{
    Ended, Input, Job, Outcome, Output, Rejection, Run, SandboxReport, Usage, WorkerConfig,
    WorkerPool,
};
pub use sealed::{FileKey, SealedFile};
pub use transport::{Made, Transport, TransportError};
#[cfg(feature = "worker")]
pub use worker::worker_main;
