//! The host's side of the guest ABI. Every call counts and costs fuel, every pointer is checked,
//! every buffer is bounded.

use std::sync::Arc;

use wasmtime::{Caller, Engine, Extern, Linker, Memory, ResourceLimiter, Result, Trap, bail};

use crate::protocol::FailureCode;
use crate::worker::{Desk, Stop, Task};

const MODULE: &str = "driveway";
/// Fuel of a host call, besides one for each byte that moves.
const CALL_FUEL: u64 = 200;
/// Elements of a table. Real programs exceed 10,000.
const MAX_TABLE: usize = 100_000;
const MAX_TABLES: usize = 4;

pub(super) struct Host {
    desk: Arc<Desk>,
    input: Arc<[u8]>,
    resume: Arc<[u8]>,
    pub output: Vec<u8>,
    pub bounds: Bounds,
    /// What it was given, to tell what it used.
    fuel: u64,
    max_output: usize,
    max_checkpoint: usize,
    calls_left: u64,
    memory: Option<Memory>,
}

impl Host {
    pub fn new(task: &Task, desk: Arc<Desk>) -> Self {
        let limits = &task.limits;
        Self {
            bounds: Bounds { memory: bytes(limits.memory_bytes), desk: Arc::clone(&desk) },
            desk,
            input: task.input.as_slice().into(),
            resume: task.checkpoint.as_deref().unwrap_or_default().into(),
            output: Vec::new(),
            fuel: limits.fuel,
            max_output: bytes(limits.output_bytes),
            max_checkpoint: bytes(limits.checkpoint_bytes),
            calls_left: limits.host_calls,
            memory: None,
        }
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
            return Err(Stop::new(FailureCode::MemoryExceeded, words).into());
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

pub(super) fn linker(engine: &Engine) -> Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    linker
        .func_wrap(MODULE, "input_len", |mut guest: Caller<'_, Host>| {
            charge(&mut guest, 0)?;
            Ok(guest.data().input.len() as i32)
        })?
        .func_wrap(MODULE, "input_read", |mut guest: Caller<'_, Host>, off, ptr, n| {
            let input = Arc::clone(&guest.data().input);
            read(&mut guest, &input, off, ptr, n)
        })?
        .func_wrap(MODULE, "output_write", output_write)?
        .func_wrap(MODULE, "progress", |mut guest: Caller<'_, Host>, fraction: f32| {
            charge(&mut guest, 0)?;
            guest.data().desk.set_progress(fraction);
            Ok(())
        })?
        .func_wrap(MODULE, "should_yield", |mut guest: Caller<'_, Host>| {
            charge(&mut guest, 0)?;
            Ok(i32::from(guest.data().desk.should_yield()))
        })?
        .func_wrap(MODULE, "checkpoint", checkpoint)?
        .func_wrap(MODULE, "resume_len", |mut guest: Caller<'_, Host>| {
            charge(&mut guest, 0)?;
            Ok(guest.data().resume.len() as i32)
        })?
        .func_wrap(MODULE, "resume_read", |mut guest: Caller<'_, Host>, off, ptr, n| {
            let resume = Arc::clone(&guest.data().resume);
            read(&mut guest, &resume, off, ptr, n)
        })?
        .func_wrap(MODULE, "log", log)?
        .func_wrap(MODULE, "metric", metric)?;
    Ok(linker)
}

/// Copies from `source` at `off` to the guest; the number of bytes copied, 0 past the end.
fn read(guest: &mut Caller<'_, Host>, source: &[u8], off: i32, ptr: i32, n: i32) -> Result<i32> {
    let rest = source.get(off as u32 as usize..).unwrap_or_default();
    let piece = &rest[..rest.len().min(n as u32 as usize)];
    charge(guest, piece.len() as u64)?;
    let memory = memory(guest)?;
    let target = span(memory.data_mut(&mut *guest), ptr, piece.len())?;
    target.copy_from_slice(piece);
    Ok(piece.len() as i32)
}

fn output_write(mut guest: Caller<'_, Host>, ptr: i32, n: i32) -> Result<i32> {
    charge(&mut guest, u64::from(n as u32))?;
    let memory = memory(&mut guest)?;
    let (data, host) = memory.data_and_store_mut(&mut guest);
    let piece = span(data, ptr, n as u32 as usize)?;
    let room = host.max_output - host.output.len();
    if piece.len() > room {
        let words = format!("over {} bytes of output", host.max_output);
        return Err(Stop::new(FailureCode::OutputExceeded, words).into());
    }
    host.output.extend_from_slice(piece);
    Ok(n)
}

fn checkpoint(mut guest: Caller<'_, Host>, ptr: i32, n: i32) -> Result<i32> {
    charge(&mut guest, u64::from(n as u32))?;
    let memory = memory(&mut guest)?;
    let (data, host) = memory.data_and_store_mut(&mut guest);
    let piece = span(data, ptr, n as u32 as usize)?;
    if piece.len() > host.max_checkpoint {
        let words = format!("over {} bytes of checkpoint", host.max_checkpoint);
        return Err(Stop::new(FailureCode::CheckpointExceeded, words).into());
    }
    host.desk.set_checkpoint(piece.to_vec())?;
    Ok(n)
}

fn log(mut guest: Caller<'_, Host>, ptr: i32, n: i32) -> Result<i32> {
    charge(&mut guest, u64::from(n as u32))?;
    let memory = memory(&mut guest)?;
    let (data, host) = memory.data_and_store_mut(&mut guest);
    host.desk.log(span(data, ptr, n as u32 as usize)?);
    Ok(n)
}

fn metric(mut guest: Caller<'_, Host>, ptr: i32, n: i32, value: i64) -> Result<i32> {
    charge(&mut guest, u64::from(n as u32))?;
    let memory = memory(&mut guest)?;
    let (data, host) = memory.data_and_store_mut(&mut guest);
    let name = std::str::from_utf8(span(data, ptr, n as u32 as usize)?).unwrap_or_default();
    Ok(if host.desk.set_metric(name, value) { 0 } else { -1 })
}

/// Counts the call and takes its fuel.
fn charge(guest: &mut Caller<'_, Host>, bytes: u64) -> Result<()> {
    let Some(left) = guest.data().calls_left.checked_sub(1) else {
        let words = "over the limit of host calls";
        return Err(Stop::new(FailureCode::HostCallsExceeded, words).into());
    };
    guest.data_mut().calls_left = left;
    match guest.get_fuel()?.checked_sub(CALL_FUEL + bytes) {
        Some(left) => {
            let host = guest.data();
            host.desk.set_fuel(host.fuel.saturating_sub(left));
            guest.set_fuel(left)
        }
        None => Err(Trap::OutOfFuel.into()),
    }
}

/// The guest's memory, looked up once.
fn memory(guest: &mut Caller<'_, Host>) -> Result<Memory> {
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
fn span(data: &mut [u8], ptr: i32, n: usize) -> Result<&mut [u8]> {
    let (start, size) = (ptr as u32 as usize, data.len());
    data.get_mut(start..start.saturating_add(n)).ok_or_else(|| {
        let words =
            format!("a host call was given {n} bytes at {start}; the memory has {size} bytes");
        Stop::new(FailureCode::Trap, words).into()
    })
}
