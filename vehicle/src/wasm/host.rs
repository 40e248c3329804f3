//! What stands behind every host call: calls count and cost fuel, pointers are checked, buffers
//! are bounded.

use std::sync::Arc;

use wasmtime::{Caller, Extern, Memory, ResourceLimiter, Result, Trap, bail};

use super::wasi::Wasi;
use crate::protocol::FailureCode;
use crate::worker::{Desk, Input, Output, Stop, Task};

/// Fuel of a host call, besides one for each byte that moves.
const CALL_FUEL: u64 = 200;
/// Elements of a table. Real programs exceed 10,000.
const MAX_TABLE: usize = 100_000;
const MAX_TABLES: usize = 4;

pub(super) struct Host {
    pub desk: Arc<Desk>,
    pub input: Input,
    pub resume: Input,
    pub output: Output,
    pub wasi: Wasi,
    pub bounds: Bounds,
    /// What it was given, to tell what it used.
    fuel: u64,
    pub max_checkpoint: usize,
    calls_left: u64,
    memory: Option<Memory>,
}

impl Host {
    pub fn new(task: Task, desk: Arc<Desk>) -> Self {
        let limits = &task.limits;
        Self {
            bounds: Bounds { memory: bytes(limits.memory_bytes), desk: Arc::clone(&desk) },
            desk,
            input: task.input,
            resume: Input::Bytes(task.checkpoint.unwrap_or_default()),
            output: task.output,
            wasi: Wasi::new(task.seed),
            fuel: limits.fuel,
            max_checkpoint: bytes(limits.checkpoint_bytes),
            calls_left: limits.host_calls,
            memory: None,
        }
    }

    /// Units of fuel that it started with.
    pub fn fuel_given(&self) -> u64 {
        self.fuel
    }
}

fn bytes(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// What a guest may allocate.
pub(super) struct Bounds {
    memory: usize,
    desk: Arc<Desk>,
}

impl ResourceLimiter for Bounds {
    /// An error, not a refusal that the guest would see as -1: running into the limit must end as
    /// what it is.
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        if desired > self.memory {
            let words = format!("{desired} bytes of memory, the limit is {}", self.memory);
            return Err(Stop::new(FailureCode::MemoryExceeded, words).into());
        }
        self.desk.set_memory(desired as u64);
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        if desired > MAX_TABLE {
            let words = format!("a table of {desired} elements, the limit is {MAX_TABLE}");
            return Err(Stop::new(FailureCode::TableExceeded, words).into());
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }

    fn memories(&self) -> usize {
        1
    }
}

/// Counts the call and takes its fuel.
pub(super) fn charge(guest: &mut Caller<'_, Host>, bytes: u64) -> Result<()> {
    let Some(left) = guest.data().calls_left.checked_sub(1) else {
        let words = "over the limit of host calls";
        return Err(Stop::new(FailureCode::HostCallsExceeded, words).into());
    };
    guest.data_mut().calls_left = left;
    burn(guest, CALL_FUEL + bytes)
}

/// Takes fuel and notes how much is gone.
pub(super) fn burn(guest: &mut Caller<'_, Host>, fuel: u64) -> Result<()> {
    match guest.get_fuel()?.checked_sub(fuel) {
        Some(left) => {
            let host = guest.data();
            host.desk.set_fuel(host.fuel.saturating_sub(left));
            guest.set_fuel(left)
        }
        None => Err(Trap::OutOfFuel.into()),
    }
}

/// The guest's memory, looked up once.
pub(super) fn memory(guest: &mut Caller<'_, Host>) -> Result<Memory> {
    if let Some(memory) = guest.data().memory {
        return Ok(memory);
    }
    let Some(Extern::Memory(memory)) = guest.get_export("memory") else {
        bail!(Stop::new(FailureCode::InvalidProgram, "there is no exported memory `memory`"));
    };
    guest.data_mut().memory = Some(memory);
    Ok(memory)
}

/// The `n` bytes at `ptr`, if the guest has them.
pub(super) fn span(data: &mut [u8], ptr: i32, n: usize) -> Result<&mut [u8]> {
    let (start, size) = (ptr as u32 as usize, data.len());
    data.get_mut(start..start.saturating_add(n)).ok_or_else(|| {
        let words =
            format!("a host call was given {n} bytes at {start}; the memory has {size} bytes");
        Stop::new(FailureCode::Trap, words).into()
    })
}
