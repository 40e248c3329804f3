//! A worker process: reads one task from its standard input, confines itself, executes the task,
//! says how it went on its standard output, and ends.
//!
//! Three threads: the main one executes; one waits for the word to yield, or for the parent's
//! death; one watches time. The watchdog ends the process whatever the main thread does, also in
//! a compiler or in a native kernel, where neither fuel nor epochs reach. That is why guests run
//! without epoch interruption, which would cost float code 29 %.

mod confine;
mod desk;

use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Arc, Barrier};

use crate::frame::{
    Frame, Kind, MAX_COMPILED, MAX_JSON, MAX_PART, Mode, Request, SandboxReport, read_frame,
};
use crate::protocol::{FailureCode, Limits, Runtime};
pub(crate) use desk::Desk;

/// One task as it came from the pool.
pub(crate) struct Task {
    #[cfg_attr(not(feature = "wasm"), allow(dead_code))]
    pub limits: Limits,
    pub program: Vec<u8>,
    /// What a worker compiled from this very program.
    #[cfg_attr(not(feature = "wasm"), allow(dead_code))]
    pub compiled: Option<Vec<u8>>,
    pub input: Vec<u8>,
    #[cfg_attr(not(feature = "wasm"), allow(dead_code))]
    pub checkpoint: Option<Vec<u8>>,
}

/// How an execution ended without failing.
#[derive(Debug)]
pub(crate) enum Finish {
    Done { output: Vec<u8> },
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

fn work() -> io::Result<()> {
    let mut report = confine::at_start();
    let desk = Arc::new(Desk::open()?);
    let mut stdin = io::stdin().lock();
    let Some((request, task)) = read_task(&mut stdin)? else { return Ok(()) };
    drop(stdin);
    confine::limit(&request, &mut report);
    // A thread that is being set up makes system calls that the filter refuses.
    let up = Arc::new(Barrier::new(3));
    desk.start_watch(&request.limits, Arc::clone(&up))?;
    listen(Arc::clone(&desk), Arc::clone(&up))?;
    up.wait();
    confine::filter(&mut report);
    desk.send_json(Kind::Ready, &report)?;
    std::panic::set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(|| execute(&request, &task, &desk)));
    let result = result.unwrap_or_else(|panic| Err(explain_panic(&request, &*panic)));
    desk.last_word(result)
}

fn execute(request: &Request, task: &Task, desk: &Arc<Desk>) -> Result<Finish, Stop> {
    let checked = |()| Finish::Done { output: Vec::new() };
    match (request.runtime, request.mode) {
        #[cfg(feature = "wasm")]
        (Runtime::Wasm, Mode::Run) => crate::wasm::run(task, desk),
        #[cfg(feature = "wasm")]
        (Runtime::Wasm, Mode::Check) => crate::wasm::check(task, desk).map(checked),
        #[cfg(feature = "onnx")]
        (Runtime::Onnx, Mode::Run) => crate::onnx::run(task, desk),
        #[cfg(feature = "onnx")]
        (Runtime::Onnx, Mode::Check) => crate::onnx::check(task).map(checked),
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
fn read_task(stdin: &mut impl Read) -> io::Result<Option<(Request, Task)>> {
    let Some(frame) = read_frame(stdin, |_| MAX_JSON)? else { return Ok(None) };
    if frame.kind != Kind::Request {
        return Err(io::Error::other("the first frame is not a request"));
    }
    let request: Request = serde_json::from_slice(&frame.payload)?;
    let mut part = |kind, present: bool| -> io::Result<Option<Vec<u8>>> {
        if !present {
            return Ok(None);
        }
        let bound = if kind == Kind::Compiled { MAX_COMPILED } else { MAX_PART };
        match read_frame(stdin, |_| bound)? {
            Some(Frame { kind: came, payload }) if came == kind => Ok(Some(payload)),
            _ => Err(io::Error::other("a part of the task is missing")),
        }
    };
    let program = part(Kind::Program, true)?.unwrap_or_default();
    let compiled = part(Kind::Compiled, request.has_compiled)?;
    let input = part(Kind::Input, true)?.unwrap_or_default();
    let checkpoint = part(Kind::Checkpoint, request.has_checkpoint)?;
    let limits = request.limits.clone();
    Ok(Some((request, Task { limits, program, compiled, input, checkpoint })))
}

/// Waits for the word to yield. The end of the input means that the parent is gone.
fn listen(desk: Arc<Desk>, up: Arc<Barrier>) -> io::Result<()> {
    let body = move || {
        up.wait();
        let mut stdin = io::stdin().lock();
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
