//! WebAssembly modules that speak the guest ABI.
//!
//! A guest exports `memory` and `run() -> i32`: 0 done, 1 yielded, anything else failed. It
//! imports from the module `driveway` what it needs of:
//!
//! | import | what it does |
//! |---|---|
//! | `input_len() -> i32` | bytes of the input |
//! | `input_read(off, ptr, n) -> i32` | copies input from `off` to `ptr`; bytes copied |
//! | `output_write(ptr, n) -> i32` | appends to the output; `n` |
//! | `progress(f32)` | says how far it is, 0 to 1 |
//! | `should_yield() -> i32` | 1 when it was told to leave: checkpoint and return 1 from `run` |
//! | `checkpoint(ptr, n) -> i32` | replaces the checkpoint; `n` |
//! | `resume_len() -> i32` | bytes of the checkpoint to resume from; 0 when it starts afresh |
//! | `resume_read(off, ptr, n) -> i32` | copies that checkpoint; bytes copied |
//! | `log(ptr, n) -> i32` | appends to the log, of which the end is kept; `n` |
//! | `metric(ptr, n, i64) -> i32` | reports a number under a name; 0, or -1 when it is not taken |
//!
//! Output written before a yield is dropped: a resumed guest writes it again, or carries it in
//! its checkpoint. The host never calls back into a guest.

mod engine;
mod host;

use std::sync::Arc;

use wasmtime::{Engine, InstancePre, Module, Store, Trap};

use crate::frame::{Kind, MAX_COMPILED};
use crate::protocol::FailureCode;
use crate::worker::{Desk, Finish, Stop, Task};
use host::Host;

/// Executes a task.
pub(crate) fn run(task: &Task, desk: &Arc<Desk>) -> Result<Finish, Stop> {
    let engine = engine::build().map_err(car_stop)?;
    let module = load(&engine, task, desk)?;
    let ready = link(&engine, &module)?;
    let fuel = task.limits.fuel;
    let mut store = Store::new(&engine, Host::new(task, Arc::clone(desk)));
    store.limiter(|host| &mut host.bounds);
    // Before instantiation, since a start function runs there.
    store.set_fuel(fuel).map_err(car_stop)?;
    desk.executing().map_err(io_stop)?;
    let instance = ready.instantiate(&mut store).map_err(explain)?;
    let run = instance.get_typed_func::<(), i32>(&mut store, "run").map_err(invalid)?;
    let code = run.call(&mut store, ()).map_err(explain)?;
    desk.set_fuel(fuel.saturating_sub(store.get_fuel().unwrap_or(0)));
    match code {
        0 => Ok(Finish::Done { output: store.into_data().output }),
        1 if desk.should_yield() => Ok(Finish::Yielded),
        1 => Err(Stop::new(FailureCode::NonZeroExit, "the program yielded without being told to")),
        code => Err(Stop::new(FailureCode::NonZeroExit, format!("run returned {code}"))),
    }
}

/// Whether a program could run: valid, compilable, imports only what there is, exports what it
/// must. What was compiled is offered to the cache.
pub(crate) fn check(task: &Task, desk: &Arc<Desk>) -> Result<(), Stop> {
    let engine = engine::build().map_err(car_stop)?;
    let module = load(&engine, task, desk)?;
    link(&engine, &module)?;
    Ok(())
}

fn load(engine: &Engine, task: &Task, desk: &Desk) -> Result<Module, Stop> {
    if let Some(compiled) = &task.compiled
        && let Some(module) = engine::deserialize(engine, compiled)
    {
        return Ok(module);
    }
    let module = Module::from_binary(engine, &task.program).map_err(invalid)?;
    if task.compiled.is_none() {
        let compiled = module.serialize().map_err(car_stop)?;
        if compiled.len() <= MAX_COMPILED {
            desk.send(Kind::Compiled, &compiled).map_err(io_stop)?;
        }
    }
    Ok(module)
}

fn link(engine: &Engine, module: &Module) -> Result<InstancePre<Host>, Stop> {
    let run = module.get_export("run").and_then(|export| export.func().cloned());
    let Some(run) = run else {
        return Err(Stop::new(FailureCode::InvalidProgram, "there is no exported function `run`"));
    };
    if run.params().len() != 0
        || run.results().len() != 1
        || !run.results().all(|result| result.is_i32())
    {
        let words = format!("`run` must take nothing and return an i32; it is {run}");
        return Err(Stop::new(FailureCode::InvalidProgram, words));
    }
    if module.get_export("memory").is_none_or(|export| export.memory().is_none()) {
        return Err(Stop::new(FailureCode::InvalidProgram, "there is no exported memory `memory`"));
    }
    let linker = host::linker(engine).map_err(car_stop)?;
    linker.instantiate_pre(module).map_err(invalid)
}

/// What a failed call means.
fn explain(error: wasmtime::Error) -> Stop {
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return Stop::new(stop.code, stop.message.clone());
    }
    let code = match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => FailureCode::FuelExhausted,
        Some(Trap::AllocationTooLarge) => FailureCode::MemoryExceeded,
        Some(_) => FailureCode::Trap,
        // Neither ours nor a trap: the host could not give it what it asked for, and all it can
        // ask for is memory.
        None => FailureCode::MemoryExceeded,
    };
    match error.downcast_ref::<Trap>() {
        Some(trap) => Stop::new(code, trap.to_string()),
        None => Stop::new(code, format!("{error:#}")),
    }
}

fn invalid(error: wasmtime::Error) -> Stop {
    Stop::new(FailureCode::InvalidProgram, format!("{error:#}"))
}

fn car_stop(error: wasmtime::Error) -> Stop {
    Stop::new(FailureCode::WorkerDied, format!("the runtime failed: {error:#}"))
}

fn io_stop(error: std::io::Error) -> Stop {
    Stop::new(FailureCode::WorkerDied, format!("the pool does not listen: {error}"))
}
