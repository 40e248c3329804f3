//! A worker process: makes ready what it can, reads one task from its standard input, confines
//! itself, executes the task, says how it went on its standard output, and ends.
//!
//! Three threads: the main one executes; one waits for the word to yield, or for the parent's
//! death; one watches time. The watchdog ends the process whatever the main thread does, also in
//! a compiler or in a native kernel, where neither fuel nor epochs reach. That is why guests run
//! without epoch interruption, which would cost float code 29 %.

mod confine;
mod desk;
mod io;

use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Arc, Barrier};

use crate::frame::{
    Frame, Kind, MAX_COMPILED, MAX_JSON, MAX_PART, Mode, Request, SandboxReport, read_frame,
};
use crate::protocol::{FailureCode, Limits, Runtime};
pub(crate) use desk::Desk;
#[cfg(feature = "wasm")]
pub(crate) use io::unread;
pub(crate) use io::{Input, Output};

/// One task as it came from the pool.
pub(crate) struct Task {
    #[cfg_attr(not(feature = "wasm"), allow(dead_code))]
    pub limits: Limits,
    pub program: Vec<u8>,
    /// What a worker compiled from this very program.
    #[cfg_attr(not(feature = "wasm"), allow(dead_code))]
    pub compiled: Option<Vec<u8>>,
    pub input: Input,
    pub output: Output,
    /// What random numbers are drawn from.
    #[cfg_attr(not(feature = "wasm"), allow(dead_code))]
    pub seed: String,
    #[cfg_attr(not(feature = "wasm"), allow(dead_code))]
    pub checkpoint: Option<Vec<u8>>,
}

/// How an execution ended without failing.
#[derive(Debug)]
pub(crate) enum Finish {
    /// What it made is in the output.
    Done,
    Yielded,
}

/// Why an execution failed.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Stop {
    pub code: FailureCode,
    pub message: String,
}

impl Stop {
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// The whole life of a worker process. A binary that embeds this crate calls it, and nothing
/// else, when started with [`crate::WorkerConfig::args`].
pub fn worker_main() -> ExitCode {
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        // The parent has gone or does not speak our language: nobody to tell.
        Err(_) => ExitCode::FAILURE,
    }
}

fn work() -> std::io::Result<()> {
    let mut report = confine::at_start();
    let desk = Arc::new(Desk::open()?);
    let prepared = Prepared::new();
    // A thread that is being set up makes system calls that the filter refuses: both are up, and
    // wait, before there is one.
    let up = Arc::new(Barrier::new(3));
    desk.start_watch(Arc::clone(&up))?;
    listen(Arc::clone(&desk), Arc::clone(&up))?;
    let filter = confine::Filter::new();
    let mut stdin = std::io::stdin().lock();
    let Some((request, task)) = read_task(&mut stdin)? else { return Ok(()) };
    drop(stdin);
    confine::limit(&request, &mut report);
    desk.set_terms(&request.limits);
    up.wait();
    report.seccomp = filter.apply();
    desk.send_json(Kind::Ready, &report)?;
    std::panic::set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(|| execute(&request, task, prepared, &desk)));
    let result = result.unwrap_or_else(|panic| Err(explain_panic(&request, &*panic)));
    desk.last_word(result)
}

/// What is made before the task is known, so that it begins sooner.
struct Prepared {
    #[cfg(feature = "wasm")]
    wasm: crate::wasm::Prepared,
}

impl Prepared {
    fn new() -> Self {
        Self {
            #[cfg(feature = "wasm")]
            wasm: crate::wasm::prepare(),
        }
    }
}

#[cfg_attr(not(feature = "wasm"), allow(unused_variables))]
fn execute(
    request: &Request,
    task: Task,
    prepared: Prepared,
    desk: &Arc<Desk>,
) -> Result<Finish, Stop> {
    let checked = |()| Finish::Done;
    match (request.runtime, request.mode) {
        #[cfg(feature = "wasm")]
        (Runtime::Wasm, Mode::Run) => crate::wasm::run(task, prepared.wasm, desk),
        #[cfg(feature = "wasm")]
        (Runtime::Wasm, Mode::Check) => crate::wasm::check(&task, prepared.wasm, desk).map(checked),
        #[cfg(feature = "onnx")]
        (Runtime::Onnx, Mode::Run) => crate::onnx::run(task, desk),
        #[cfg(feature = "onnx")]
        (Runtime::Onnx, Mode::Check) => crate::onnx::check(&task).map(checked),
        #[allow(unreachable_patterns)]
        (runtime, _) => Err(Stop::new(
            FailureCode::InvalidProgram,
            format!("this car has no {runtime:?} runtime"),
        )),
    }
}

/// A panic is a library's answer to a program it did not expect: the program's failure, cleanly.
fn explain_panic(request: &Request, panic: &(dyn std::any::Any + Send)) -> Stop {
    let words = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into());
    let code = match request.mode {
        // The words of the tensor library; the kernel refused what the limit does not allow.
        _ if words.contains("failed to allocate") => FailureCode::MemoryExceeded,
        Mode::Check => FailureCode::InvalidProgram,
        Mode::Run => FailureCode::Trap,
    };
    Stop::new(code, format!("the runtime gave up on the program: {words}"))
}

/// The request and its parts; `None` when the parent went away before it had said everything.
fn read_task(stdin: &mut impl Read) -> std::io::Result<Option<(Request, Task)>> {
    let Some(frame) = read_frame(stdin, |_| MAX_JSON)? else { return Ok(None) };
    if frame.kind != Kind::Request {
        return Err(std::io::Error::other("the first frame is not a request"));
    }
    let request: Request = serde_json::from_slice(&frame.payload)?;
    let mut part = |kind, present: bool| -> std::io::Result<Option<Vec<u8>>> {
        if !present {
            return Ok(None);
        }
        let bound = if kind == Kind::Compiled { MAX_COMPILED } else { MAX_PART };
        match read_frame(stdin, |_| bound)? {
            Some(Frame { kind: came, payload }) if came == kind => Ok(Some(payload)),
            _ => Err(std::io::Error::other("a part of the task is missing")),
        }
    };
    let program = part(Kind::Program, true)?.unwrap_or_default();
    let compiled = part(Kind::Compiled, request.has_compiled)?;
    let bytes = part(Kind::Input, request.input_file.is_none())?;
    let input = match &request.input_file {
        Some(path) => Input::open(path, request.input_key.as_ref())?,
        None => Input::Bytes(bytes.unwrap_or_default()),
    };
    let to = request.output_file.as_ref().map(|to| (to.path.as_path(), &to.key));
    let output = Output::open(to, request.limits.output_bytes)?;
    let seed = request.seed.clone();
    let checkpoint = part(Kind::Checkpoint, request.has_checkpoint)?;
    let limits = request.limits.clone();
    Ok(Some((request, Task { limits, program, compiled, input, output, seed, checkpoint })))
}

/// Waits for the word to yield. The end of the input means that the parent is gone.
fn listen(desk: Arc<Desk>, up: Arc<Barrier>) -> std::io::Result<()> {
    let body = move || {
        up.wait();
        let mut stdin = std::io::stdin().lock();
        while let Ok(Some(frame)) = read_frame(&mut stdin, |_| 0) {
            if frame.kind == Kind::Yield {
                desk.ask_to_yield();
            }
        }
        std::process::exit(1);
    };
    std::thread::Builder::new().name("listen".into()).stack_size(128 << 10).spawn(body)?;
    Ok(())
}
