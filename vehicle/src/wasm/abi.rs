//! The host's side of the guest ABI; [`super`] says what each function does.

use wasmtime::{Caller, Linker, Result};

use super::host::{Host, burn, charge, memory, span};
use crate::protocol::FailureCode;
use crate::worker::{Input, Stop, unread};

const MODULE: &str = "driveway";

pub(super) fn add(linker: &mut Linker<Host>) -> Result<()> {
    linker
        .func_wrap(MODULE, "input_len", |mut guest: Caller<'_, Host>| {
            charge(&mut guest, 0)?;
            Ok(len(&guest.data().input))
        })?
        .func_wrap(MODULE, "input_read", |guest: Caller<'_, Host>, off, ptr, n| {
            read(guest, |host| &mut host.input, off, ptr, n)
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
            Ok(len(&guest.data().resume))
        })?
        .func_wrap(MODULE, "resume_read", |guest: Caller<'_, Host>, off, ptr, n| {
            read(guest, |host| &mut host.resume, off, ptr, n)
        })?
        .func_wrap(MODULE, "log", log)?
        .func_wrap(MODULE, "metric", metric)?;
    Ok(())
}

/// Unsigned, as the guest should read it. What is longer than 4 GiB can be read as far as that.
fn len(input: &Input) -> i32 {
    u32::try_from(input.len()).unwrap_or(u32::MAX) as i32
}

/// Copies from a source at `off` to the guest; the number of bytes copied, 0 past the end.
fn read(
    mut guest: Caller<'_, Host>,
    source: impl Fn(&mut Host) -> &mut Input,
    off: i32,
    ptr: i32,
    n: i32,
) -> Result<i32> {
    charge(&mut guest, 0)?;
    let off = u64::from(off as u32);
    let rest = source(guest.data_mut()).len().saturating_sub(off);
    let n = rest.min(u64::from(n as u32));
    burn(&mut guest, n)?;
    let memory = memory(&mut guest)?;
    let (data, host) = memory.data_and_store_mut(&mut guest);
    let into = span(data, ptr, n as usize)?;
    let read = source(host).read_at(off, into).map_err(unread)?;
    Ok(read as i32)
}

fn output_write(mut guest: Caller<'_, Host>, ptr: i32, n: i32) -> Result<i32> {
    charge(&mut guest, u64::from(n as u32))?;
    let memory = memory(&mut guest)?;
    let (data, host) = memory.data_and_store_mut(&mut guest);
    host.output.write(span(data, ptr, n as u32 as usize)?)?;
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
    Ok(0)
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
