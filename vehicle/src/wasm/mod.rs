//! WebAssembly modules: those that speak the guest ABI, and ordinary programs for WASI preview 1,
//! which export `_start` ([`wasi`] says what they get). A module may import from both; a program
//! with `_start` that was told to yield exits with the code [`EXIT_YIELDED`].
//!
//! A guest exports `memory` and `run() -> i32`: 0 done, 1 yielded, anything else failed. It
//! imports from the module `driveway` what it needs of:
//!
//! | import | what it does |
//! |---|---|
//! | `input_len() -> i32` | bytes of the input, unsigned |
//! | `input_read(off, ptr, n) -> i32` | copies input from `off` to `ptr`; bytes copied |
//! | `output_write(ptr, n) -> i32` | appends to the output; `n` |
//! | `progress(f32)` | says how far it is, 0 to 1 |
//! | `should_yield() -> i32` | 1 when it was told to leave: checkpoint and return 1 from `run` |
//! | `checkpoint(ptr, n) -> i32` | replaces the checkpoint; 0: it is kept |
//! | `resume_len() -> i32` | bytes of the checkpoint to resume from; 0 when it starts afresh |
//! | `resume_read(off, ptr, n) -> i32` | copies that checkpoint; bytes copied |
//! | `log(ptr, n) -> i32` | appends to the log, of which the end is kept; `n` |
//! | `metric(ptr, n, i64) -> i32` | reports a number under a name; 0, or -1 when it is not taken |
//!
//! Output written before a yield is dropped: a resumed guest writes it again, or carries it in
//! its checkpoint. The host never calls back into a guest.

mod abi;
mod engine;
mod host;
mod wasi;

use std::sync::Arc;

use wasmtime::{Engine, Instance, InstancePre, Linker, Module, Store, Trap};

use crate::frame::{Kind, MAX_COMPILED};
use crate::protocol::FailureCode;
use crate::worker::{Desk, Finish, Stop, Task};
use host::Host;
use wasi::Exit;

/// With it a program with `_start` says that it yielded: "try again" in the list of sysexits.h.
const EXIT_YIELDED: i32 = 75;

/// The runtime as most tasks want it, made before the task is known.
pub(crate) struct Prepared(Option<Setup>);

/// A runtime and all that a module can import.
struct Setup {
    engine: Engine,
    linker: Linker<Host>,
}

pub(crate) fn prepare() -> Prepared {
    Prepared(Setup::new(false).ok())
}

impl Prepared {
    fn setup(self, deterministic: bool) -> Result<Setup, Stop> {
        match self.0 {
            Some(setup) if !deterministic => Ok(setup),
            _ => Setup::new(deterministic).map_err(car_stop),
        }
    }
}

impl Setup {
    fn new(deterministic: bool) -> wasmtime::Result<Self> {
        let engine = engine::build(deterministic)?;
        let mut linker = Linker::new(&engine);
        abi::add(&mut linker)?;
        wasi::add(&mut linker, &engine)?;
        Ok(Self { engine, linker })
    }
}

/// Executes a task.
pub(crate) fn run(task: Task, prepared: Prepared, desk: &Arc<Desk>) -> Result<Finish, Stop> {
    let Setup { engine, linker } = prepared.setup(task.limits.deterministic)?;
    let module = load(&engine, &task, desk)?;
    let (ready, entry) = link(&linker, &module)?;
    let fuel = task.limits.fuel;
    let mut store = Store::new(&engine, Host::new(task, Arc::clone(desk)));
    store.limiter(|host| &mut host.bounds);
    // Before instantiation, since a start function runs there.
    store.set_fuel(fuel).map_err(car_stop)?;
    desk.executing().map_err(io_stop)?;
    let ended =
        ready.instantiate(&mut store).and_then(|instance| entry.call(&instance, &mut store));
    desk.set_fuel(fuel.saturating_sub(store.get_fuel().unwrap_or(0)));
    let code = match ended {
        Ok(code) => code,
        Err(error) => match error.downcast_ref::<Exit>() {
            Some(Exit(code)) => *code,
            None => return Err(explain(error)),
        },
    };
    if code == 0 {
        store.data_mut().output.finish()?;
        return Ok(Finish::Done);
    }
    let yielded = match entry {
        Entry::Run => 1,
        Entry::Start => EXIT_YIELDED,
    };
    if code != yielded {
        return Err(Stop::new(FailureCode::NonZeroExit, entry.failed(code)));
    }
    if !desk.should_yield() {
        let words = "the program yielded without being told to";
        return Err(Stop::new(FailureCode::NonZeroExit, words));
    }
    Ok(Finish::Yielded)
}

/// Whether a program could run: valid, compilable, imports only what there is, exports what it
/// must. What was compiled is offered to the cache.
pub(crate) fn check(task: &Task, prepared: Prepared, desk: &Arc<Desk>) -> Result<(), Stop> {
    let Setup { engine, linker } = prepared.setup(task.limits.deterministic)?;
    let module = load(&engine, task, desk)?;
    link(&linker, &module)?;
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

/// Where a program begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    /// `run() -> i32` of the guest ABI.
    Run,
    /// `_start()` of WASI.
    Start,
}

impl Entry {
    fn of(module: &Module) -> Result<Self, Stop> {
        let function =
            |name: &str| module.get_export(name).and_then(|export| export.func().cloned());
        let refuse = |words: String| Err(Stop::new(FailureCode::InvalidProgram, words));
        if let Some(run) = function("run") {
            let fits = run.params().len() == 0
                && run.results().len() == 1
                && run.results().all(|result| result.is_i32());
            return match fits {
                true => Ok(Self::Run),
                false => refuse(format!("`run` must take nothing and return an i32; it is {run}")),
            };
        }
        match function("_start") {
            Some(start) if start.params().len() + start.results().len() == 0 => Ok(Self::Start),
            Some(start) => {
                refuse(format!("`_start` must take nothing and return nothing; it is {start}"))
            }
            None => refuse("there is no exported function `run` or `_start`".into()),
        }
    }

    /// Calls it; the code that it returns. A library built for WASI wants to be set up first.
    fn call(self, instance: &Instance, store: &mut Store<Host>) -> wasmtime::Result<i32> {
        match self {
            Self::Run => {
                if let Ok(init) = instance.get_typed_func::<(), ()>(&mut *store, "_initialize") {
                    init.call(&mut *store, ())?;
                }
                instance.get_typed_func::<(), i32>(&mut *store, "run")?.call(store, ())
            }
            Self::Start => {
                instance.get_typed_func::<(), ()>(&mut *store, "_start")?.call(store, ())?;
                Ok(0)
            }
        }
    }

    fn failed(self, code: i32) -> String {
        match self {
            Self::Run => format!("run returned {code}"),
            Self::Start => format!("the program exited with {code}"),
        }
    }
}

fn link(linker: &Linker<Host>, module: &Module) -> Result<(InstancePre<Host>, Entry), Stop> {
    let entry = Entry::of(module)?;
    if module.get_export("memory").is_none_or(|export| export.memory().is_none()) {
        return Err(Stop::new(FailureCode::InvalidProgram, "there is no exported memory `memory`"));
    }
    Ok((linker.instantiate_pre(module).map_err(invalid)?, entry))
}

/// What a failed call means.
fn explain(error: wasmtime::Error) -> Stop {
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return Stop::new(stop.code, stop.message.clone());
    }
    let Some(trap) = error.downcast_ref::<Trap>() else {
        // Neither ours nor a trap: the host could not give it what it asked for, and all it can
        // ask for is memory.
        return Stop::new(FailureCode::MemoryExceeded, format!("{error:#}"));
    };
    let code = match trap {
        Trap::OutOfFuel => FailureCode::FuelExhausted,
        Trap::StackOverflow => FailureCode::StackExceeded,
        Trap::AllocationTooLarge => FailureCode::MemoryExceeded,
        _ => FailureCode::Trap,
    };
    Stop::new(code, trap.to_string())
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
