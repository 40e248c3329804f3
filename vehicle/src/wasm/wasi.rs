//! WASI preview 1 without authority, so that ordinary programs run: standard input is the input,
//! standard output the output, standard error the log. There are no files, no environment and no
//! network. The clock is the fuel used so far, a nanosecond a unit, from 1 January 2000; waiting
//! moves it on without waiting. Random bytes are drawn from the task's seed. So a program gives
//! the same output on every car.

use sha2::{Digest as _, Sha256};
use wasmtime::{Caller, Engine, FuncType, Linker, Result, Val, ValType};

use super::host::{Host, burn, charge, memory, span};
use crate::worker::unread;

const MODULE: &str = "wasi_snapshot_preview1";

type Guest<'a> = Caller<'a, Host>;

const SUCCESS: i32 = 0;
const BADF: i32 = 8;
const INVAL: i32 = 28;
const NOTSUP: i32 = 58;
const SPIPE: i32 = 70;
const NOTCAPABLE: i32 = 76;

/// Pieces of memory that one call may name, and events that one may wait for.
const MAX_PIECES: u32 = 1_024;
/// 1 January 2000, nanoseconds.
const EPOCH: u64 = 946_684_800_000_000_000;
/// The name of a program, for those that ask.
const ARGS: &[u8] = b"main\0";
/// Fuel of a random byte, which costs a hash.
const RANDOM_FUEL: u64 = 8;

/// The program ended itself.
#[derive(Debug, thiserror::Error)]
#[error("exit code {0}")]
pub(super) struct Exit(pub i32);

/// What WASI remembers of a program.
pub(super) struct Wasi {
    /// Of the standard input.
    position: u64,
    /// Nanoseconds that it waited.
    waited: u64,
    seed: String,
    /// Random bytes drawn.
    drawn: u64,
}

impl Wasi {
    pub fn new(seed: String) -> Self {
        Self { position: 0, waited: 0, seed, drawn: 0 }
    }
}

/// What is there but never granted: name, parameters (`i` 32 bits, `I` 64), answer.
const REFUSED: &[(&str, &str, i32)] = &[
    ("fd_advise", "iIIi", SPIPE),
    ("fd_allocate", "iII", NOTCAPABLE),
    ("fd_datasync", "i", SUCCESS),
    ("fd_fdstat_set_flags", "ii", SUCCESS),
    ("fd_fdstat_set_rights", "iII", NOTCAPABLE),
    ("fd_filestat_set_size", "iI", NOTCAPABLE),
    ("fd_filestat_set_times", "iIIi", NOTCAPABLE),
    // "No such descriptor" ends the search for folders that were opened before the start.
    ("fd_prestat_get", "ii", BADF),
    ("fd_prestat_dir_name", "iii", BADF),
    ("fd_pwrite", "iiiIi", SPIPE),
    ("fd_readdir", "iiiIi", BADF),
    ("fd_renumber", "ii", NOTCAPABLE),
    ("fd_sync", "i", SUCCESS),
    ("path_create_directory", "iii", NOTCAPABLE),
    ("path_filestat_get", "iiiii", NOTCAPABLE),
    ("path_filestat_set_times", "iiiiIIi", NOTCAPABLE),
    ("path_link", "iiiiiii", NOTCAPABLE),
    ("path_open", "iiiiiIIii", NOTCAPABLE),
    ("path_readlink", "iiiiii", NOTCAPABLE),
    ("path_remove_directory", "iii", NOTCAPABLE),
    ("path_rename", "iiiiii", NOTCAPABLE),
    ("path_symlink", "iiiii", NOTCAPABLE),
    ("path_unlink_file", "iii", NOTCAPABLE),
    ("proc_raise", "i", NOTSUP),
    ("sock_accept", "iii", BADF),
    ("sock_recv", "iiiiii", BADF),
    ("sock_send", "iiiii", BADF),
    ("sock_shutdown", "ii", BADF),
];

pub(super) fn add(linker: &mut Linker<Host>, engine: &Engine) -> Result<()> {
    for (name, params, errno) in REFUSED {
        let params = params.chars().map(|c| if c == 'I' { ValType::I64 } else { ValType::I32 });
        let kind = FuncType::new(engine, params, [ValType::I32]);
        linker.func_new(MODULE, name, kind, |mut guest, _, results| {
            charge(&mut guest, 0)?;
            results[0] = Val::I32(*errno);
            Ok(())
        })?;
    }
    linker
        .func_wrap(MODULE, "args_get", args_get)?
        .func_wrap(MODULE, "args_sizes_get", |guest: Guest<'_>, count, bytes| {
            sizes(guest, count, 1, bytes, ARGS.len() as u32)
        })?
        .func_wrap(MODULE, "environ_get", |mut guest: Guest<'_>, _: i32, _: i32| {
            charge(&mut guest, 0)?;
            Ok(SUCCESS)
        })?
        .func_wrap(MODULE, "environ_sizes_get", |guest: Guest<'_>, count, bytes| {
            sizes(guest, count, 0, bytes, 0)
        })?
        .func_wrap(MODULE, "clock_res_get", clock_res_get)?
        .func_wrap(MODULE, "clock_time_get", clock_time_get)?
        .func_wrap(MODULE, "fd_close", |mut guest: Guest<'_>, fd: i32| {
            charge(&mut guest, 0)?;
            Ok(if is_open(fd) { SUCCESS } else { BADF })
        })?
        .func_wrap(MODULE, "fd_fdstat_get", fd_fdstat_get)?
        .func_wrap(MODULE, "fd_filestat_get", fd_filestat_get)?
        .func_wrap(MODULE, "fd_pread", fd_pread)?
        .func_wrap(MODULE, "fd_read", fd_read)?
        .func_wrap(MODULE, "fd_seek", fd_seek)?
        .func_wrap(MODULE, "fd_tell", |guest: Guest<'_>, fd, ptr| fd_seek(guest, fd, 0, 1, ptr))?
        .func_wrap(MODULE, "fd_write", fd_write)?
        .func_wrap(MODULE, "poll_oneoff", poll_oneoff)?
        .func_wrap(MODULE, "proc_exit", |mut guest: Guest<'_>, code: i32| -> Result<()> {
            charge(&mut guest, 0)?;
            Err(Exit(code).into())
        })?
        .func_wrap(MODULE, "random_get", random_get)?
        .func_wrap(MODULE, "sched_yield", |mut guest: Guest<'_>| {
            charge(&mut guest, 0)?;
            Ok(SUCCESS)
        })?;
    Ok(())
}

fn is_open(fd: i32) -> bool {
    (0..=2).contains(&fd)
}

fn put(guest: &mut Guest<'_>, ptr: i32, bytes: &[u8]) -> Result<()> {
    let memory = memory(guest)?;
    span(memory.data_mut(guest), ptr, bytes.len())?.copy_from_slice(bytes);
    Ok(())
}

fn sizes(mut guest: Guest<'_>, count_ptr: i32, count: u32, ptr: i32, bytes: u32) -> Result<i32> {
    charge(&mut guest, 8)?;
    put(&mut guest, count_ptr, &count.to_le_bytes())?;
    put(&mut guest, ptr, &bytes.to_le_bytes())?;
    Ok(SUCCESS)
}

fn args_get(mut guest: Guest<'_>, argv: i32, bytes: i32) -> Result<i32> {
    charge(&mut guest, ARGS.len() as u64)?;
    put(&mut guest, argv, &bytes.to_le_bytes())?;
    put(&mut guest, bytes, ARGS)?;
    Ok(SUCCESS)
}

/// Nanoseconds by the program's clock.
fn now(guest: &mut Guest<'_>, clock: i32) -> Result<Option<u64>> {
    let used = guest.data().fuel_given().saturating_sub(guest.get_fuel()?);
    let elapsed = used.saturating_add(guest.data().wasi.waited);
    Ok(match clock {
        0 => Some(EPOCH.saturating_add(elapsed)),
        1..=3 => Some(elapsed),
        _ => None,
    })
}

fn clock_res_get(mut guest: Guest<'_>, clock: i32, ptr: i32) -> Result<i32> {
    charge(&mut guest, 8)?;
    if !(0..=3).contains(&clock) {
        return Ok(INVAL);
    }
    put(&mut guest, ptr, &1u64.to_le_bytes())?;
    Ok(SUCCESS)
}

fn clock_time_get(mut guest: Guest<'_>, clock: i32, _precision: i64, ptr: i32) -> Result<i32> {
    charge(&mut guest, 8)?;
    let Some(now) = now(&mut guest, clock)? else { return Ok(INVAL) };
    put(&mut guest, ptr, &now.to_le_bytes())?;
    Ok(SUCCESS)
}

const REGULAR_FILE: u8 = 4;

fn fd_fdstat_get(mut guest: Guest<'_>, fd: i32, ptr: i32) -> Result<i32> {
    charge(&mut guest, 24)?;
    if !is_open(fd) {
        return Ok(BADF);
    }
    // Read, seek, tell and ask for the size; or write.
    let rights: u64 = if fd == 0 { 1 << 1 | 1 << 2 | 1 << 5 | 1 << 21 } else { 1 << 6 };
    let mut stat = [0; 24];
    stat[0] = REGULAR_FILE;
    stat[8..16].copy_from_slice(&rights.to_le_bytes());
    put(&mut guest, ptr, &stat)?;
    Ok(SUCCESS)
}

fn fd_filestat_get(mut guest: Guest<'_>, fd: i32, ptr: i32) -> Result<i32> {
    charge(&mut guest, 64)?;
    if !is_open(fd) {
        return Ok(BADF);
    }
    let size = if fd == 0 { guest.data().input.len() } else { 0 };
    let mut stat = [0; 64];
    stat[8] = fd as u8;
    stat[16] = REGULAR_FILE;
    stat[24] = 1;
    stat[32..40].copy_from_slice(&size.to_le_bytes());
    put(&mut guest, ptr, &stat)?;
    Ok(SUCCESS)
}

/// What a call reads into or writes from: pointers and lengths, and the bytes of all together.
struct Pieces {
    list: Vec<(i32, u32)>,
    total: u64,
}

/// The pieces of memory that a call names; `None` if they are too many
/// or too much.
fn pieces(guest: &mut Guest<'_>, iovs: i32, count: i32) -> Result<Option<Pieces>> {
    let count = count as u32;
    if count > MAX_PIECES {
        return Ok(None);
    }
    charge(guest, u64::from(count) * 8)?;
    let memory = memory(guest)?;
    let bytes = span(memory.data_mut(guest), iovs, count as usize * 8)?;
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0u32, |word, b| word << 8 | u32::from(*b));
    let pieces: Vec<(i32, u32)> =
        bytes.chunks_exact(8).map(|piece| (word(&piece[..4]) as i32, word(&piece[4..]))).collect();
    let total: u64 = pieces.iter().map(|(_, len)| u64::from(*len)).sum();
    Ok((total <= i32::MAX as u64).then_some(Pieces { list: pieces, total }))
}

fn fd_write(mut guest: Guest<'_>, fd: i32, iovs: i32, count: i32, written: i32) -> Result<i32> {
    let Some(Pieces { list, total }) = pieces(&mut guest, iovs, count)? else { return Ok(INVAL) };
    burn(&mut guest, total)?;
    if !matches!(fd, 1 | 2) {
        return Ok(BADF);
    }
    let memory = memory(&mut guest)?;
    let (data, host) = memory.data_and_store_mut(&mut guest);
    for (ptr, len) in list {
        let piece = span(data, ptr, len as usize)?;
        match fd {
            1 => host.output.write(piece)?,
            _ => host.desk.log(piece),
        }
    }
    put(&mut guest, written, &(total as u32).to_le_bytes())?;
    Ok(SUCCESS)
}

fn fd_read(mut guest: Guest<'_>, fd: i32, iovs: i32, count: i32, read: i32) -> Result<i32> {
    let position = guest.data().wasi.position;
    let (errno, n) = read_at(&mut guest, fd, iovs, count, position, read)?;
    guest.data_mut().wasi.position += n;
    Ok(errno)
}

fn fd_pread(
    mut guest: Guest<'_>,
    fd: i32,
    iovs: i32,
    count: i32,
    off: i64,
    read: i32,
) -> Result<i32> {
    Ok(read_at(&mut guest, fd, iovs, count, off as u64, read)?.0)
}

/// The answer and the number of bytes.
fn read_at(
    guest: &mut Guest<'_>,
    fd: i32,
    iovs: i32,
    count: i32,
    from: u64,
    read: i32,
) -> Result<(i32, u64)> {
    let Some(Pieces { list, total }) = pieces(guest, iovs, count)? else { return Ok((INVAL, 0)) };
    if fd != 0 {
        return Ok((BADF, 0));
    }
    let rest = guest.data().input.len().saturating_sub(from);
    burn(guest, total.min(rest))?;
    let memory = memory(guest)?;
    let (data, host) = memory.data_and_store_mut(&mut *guest);
    let mut done = 0;
    for (ptr, len) in list {
        let into = span(data, ptr, len as usize)?;
        done += host.input.read_at(from.saturating_add(done), into).map_err(unread)? as u64;
    }
    put(guest, read, &(done as u32).to_le_bytes())?;
    Ok((SUCCESS, done))
}

fn fd_seek(mut guest: Guest<'_>, fd: i32, off: i64, whence: i32, ptr: i32) -> Result<i32> {
    charge(&mut guest, 8)?;
    match fd {
        0 => {}
        1 | 2 => return Ok(SPIPE),
        _ => return Ok(BADF),
    }
    let host = guest.data_mut();
    let base = match whence {
        0 => 0,
        1 => host.wasi.position,
        2 => host.input.len(),
        _ => return Ok(INVAL),
    };
    let Some(position) = base.checked_add_signed(off) else { return Ok(INVAL) };
    host.wasi.position = position;
    put(&mut guest, ptr, &position.to_le_bytes())?;
    Ok(SUCCESS)
}

fn random_get(mut guest: Guest<'_>, ptr: i32, n: i32) -> Result<i32> {
    charge(&mut guest, u64::from(n as u32) * RANDOM_FUEL)?;
    let memory = memory(&mut guest)?;
    let (data, host) = memory.data_and_store_mut(&mut guest);
    // A block a chunk: what is left of the last one is thrown away.
    for chunk in span(data, ptr, n as u32 as usize)?.chunks_mut(32) {
        let block = Sha256::new()
            .chain_update(host.wasi.seed.as_bytes())
            .chain_update(host.wasi.drawn.to_le_bytes())
            .finalize();
        chunk.copy_from_slice(&block[..chunk.len()]);
        host.wasi.drawn += 1;
    }
    Ok(SUCCESS)
}

/// What a program waits for.
struct Wait {
    userdata: [u8; 8],
    kind: u8,
    /// Nanoseconds from now, of a clock.
    after: u64,
    errno: i32,
}

const CLOCK: u8 = 0;

/// Descriptors are always ready; where there are clocks alone, the earliest rings at once.
fn poll_oneoff(
    mut guest: Guest<'_>,
    waits: i32,
    events: i32,
    count: i32,
    rang: i32,
) -> Result<i32> {
    let count = count as u32;
    if count == 0 || count > MAX_PIECES {
        return Ok(INVAL);
    }
    charge(&mut guest, u64::from(count) * 80)?;
    let memory = memory(&mut guest)?;
    let list = span(memory.data_mut(&mut guest), waits, count as usize * 48)?.to_vec();
    let mut all = Vec::with_capacity(count as usize);
    for bytes in list.chunks_exact(48) {
        all.push(wait(&mut guest, bytes)?);
    }
    let after = all.iter().map(|wait| wait.after).min().unwrap_or(0);
    let wasi = &mut guest.data_mut().wasi;
    wasi.waited = wasi.waited.saturating_add(after);
    let ready: Vec<&Wait> = all.iter().filter(|wait| wait.after == after).collect();
    let mut out = vec![0; ready.len() * 32];
    for (event, wait) in out.chunks_exact_mut(32).zip(&ready) {
        event[..8].copy_from_slice(&wait.userdata);
        event[8] = wait.errno as u8;
        event[10] = wait.kind;
    }
    put(&mut guest, events, &out)?;
    put(&mut guest, rang, &(ready.len() as u32).to_le_bytes())?;
    Ok(SUCCESS)
}

fn wait(guest: &mut Guest<'_>, bytes: &[u8]) -> Result<Wait> {
    let long = |at: usize| bytes[at..at + 8].iter().rev().fold(0, |x, b| x << 8 | u64::from(*b));
    let id = (long(16) & u64::from(u32::MAX)) as i32;
    let kind = bytes[8];
    let (after, errno) = if kind == CLOCK {
        let is_absolute = bytes[40] & 1 == 1;
        match now(guest, id)? {
            Some(now) if is_absolute => (long(24).saturating_sub(now), SUCCESS),
            Some(_) => (long(24), SUCCESS),
            None => (0, INVAL),
        }
    } else {
        (0, if is_open(id) { SUCCESS } else { BADF })
    };
    let mut userdata = [0; 8];
    userdata.copy_from_slice(&bytes[..8]);
    Ok(Wait { userdata, kind, after, errno })
}
