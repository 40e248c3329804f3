//! From a job to its outcome: starts a worker, feeds it, listens to it, and ends it.
//!
//! One thread, one poll over three descriptors (the worker's input and output, and the bell its
//! owner rings), no blocking read or write: whatever the worker does or does not do, the deadline
//! is kept. What the worker says is not trusted: lengths are bounded, frames out of turn end it.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::process::{Spare, Worker};
use super::run::{Shared, Wish, micros};
use super::{Ended, Inner, Input, Job, Outcome, Output, SandboxReport, fits, lock};
use crate::frame::{
    Account, Assembler, Failed, Frame, FrameError, Kind, MAX_ACCOUNT, MAX_COMPILED, MAX_JSON,
    MAX_PART, Mode, Request, Sealed, header, part, short,
};
use crate::protocol::{FailureCode, Fault, Limits, Runtime};

/// From the start of the process until it has read its task and confined itself.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// The worker ends itself when its wall time is over and can say more about it; this is how long
/// it may take to do so.
const WALL_SLACK: Duration = Duration::from_millis(500);

/// Runs a job of the queue.
pub(super) fn run(inner: &Inner, job: &Job, shared: &Shared, spare: &mut Spare) -> Ended {
    supervise(inner, job, Mode::Run, shared, spare)
}

/// Checks a program on the calling thread.
pub(super) fn check(inner: &Inner, job: &Job) -> Ended {
    // Nobody holds a handle on it, so nobody wishes anything.
    let shared = Shared::new(job.clone(), None);
    supervise(inner, job, Mode::Check, &shared, &mut Spare::default())
}

fn supervise(inner: &Inner, job: &Job, mode: Mode, shared: &Shared, spare: &mut Spare) -> Ended {
    if let Err(words) = fits(job.runtime, job.program.len()) {
        return Ended::early(program_fault(FailureCode::ModuleTooLarge, words));
    }
    let ended = match Supervisor::start(inner, job, mode, shared, spare) {
        Ok(supervisor) => supervisor.finish(),
        Err(error) => Ended::early(car_fault(format!("the worker did not start: {error}"))),
    };
    if let Some(report) = &ended.sandbox {
        *lock(&inner.sandbox) = Some(report.clone());
    }
    ended
}

struct Supervisor<'a> {
    inner: &'a Inner,
    job: &'a Job,
    mode: Mode,
    shared: &'a Shared,
    worker: Worker,
    spare: &'a mut Spare,
    bell: UnixStream,
    outbox: VecDeque<Arc<Vec<u8>>>,
    /// Bytes of the first buffer in the outbox that have gone.
    sent: usize,
    started: Option<Instant>,
    began: Instant,
    executing: Option<Instant>,
    compiled: bool,
    asked_to_yield: bool,
    /// The last checkpoint, and when it came.
    checkpoint: Option<(Vec<u8>, Instant)>,
    /// `None` for a check.
    output: Option<Output>,
    /// What it last told.
    account: Option<Account>,
    sandbox: Option<SandboxReport>,
}

/// What ends the loop.
enum End {
    Said(Outcome),
    /// The worker's output ended without a last word.
    Silence,
    /// It is past the time by which it should have left.
    Overstayed,
    WallTime,
    NotReady,
    Killed,
    Rude(FrameError),
    Io(io::Error),
}

impl<'a> Supervisor<'a> {
    fn start(
        inner: &'a Inner,
        job: &'a Job,
        mode: Mode,
        shared: &'a Shared,
        spare: &'a mut Spare,
    ) -> io::Result<Self> {
        let began = Instant::now();
        let (ring, bell) = UnixStream::pair()?;
        ring.set_nonblocking(true)?;
        bell.set_nonblocking(true)?;
        shared.set_bell(ring);
        let compiled = match mode {
            Mode::Run => lock(&inner.cache).compiled(&job.digest, job.limits.deterministic),
            Mode::Check => None,
        };
        let output = match mode {
            Mode::Run => Some(inner.folder.file()?),
            Mode::Check => None,
        };
        Ok(Self {
            inner,
            job,
            mode,
            shared,
            worker: spare.take(&inner.config)?,
            spare,
            bell,
            compiled: compiled.is_some(),
            outbox: letter(job, mode, compiled, output.as_ref())?,
            sent: 0,
            started: None,
            began,
            executing: None,
            asked_to_yield: false,
            checkpoint: None,
            output,
            account: None,
            sandbox: None,
        })
    }

    fn finish(mut self) -> Ended {
        let end = self.follow();
        let now = Instant::now();
        let status = self.worker.end(matches!(end, End::Silence));
        let elapsed = |at: Instant| self.started.map_or(0, |start| micros(at - start).max(1));
        let mut metered_us = elapsed(now);
        let outcome = match end {
            End::Said(outcome) => outcome,
            End::Overstayed | End::Killed => match self.checkpoint.take() {
                Some((checkpoint, at)) => {
                    metered_us = elapsed(at);
                    Outcome::Checkpointed { checkpoint }
                }
                None => Outcome::Vacated,
            },
            End::Silence => explain(status, &self.job.limits),
            End::WallTime => program_fault(
                FailureCode::WallTimeExceeded,
                format!("over {} ms of wall time", self.job.limits.wall_ms),
            ),
            End::NotReady => car_fault("the worker was not ready in time".into()),
            End::Rude(error) if self.started.is_none() => {
                car_fault(format!("the worker is not one of ours: {error}"))
            }
            End::Rude(error) => {
                program_fault(FailureCode::WorkerDied, format!("the worker misbehaved: {error}"))
            }
            End::Io(error) => car_fault(format!("the worker cannot be reached: {error}")),
        };
        let usage = self.account.as_ref().map(|account| account.usage);
        let Account { log, metrics, .. } = self.account.take().unwrap_or_default();
        let start_us = self.executing.map_or(0, |at| micros(at - self.began));
        Ended { outcome, metered_us, start_us, usage, log, metrics, sandbox: self.sandbox }
    }

    /// Until something ends the run.
    fn follow(&mut self) -> End {
        let start_by = Instant::now() + START_TIMEOUT;
        let mut assembler = Assembler::new();
        loop {
            let wish = self.shared.wish();
            if wish.kill || (wish.gone_by.is_some() && self.started.is_none()) {
                return End::Killed;
            }
            if wish.gone_by.is_some() && !self.asked_to_yield {
                self.asked_to_yield = true;
                self.outbox.push_back(Arc::new(header(Kind::Yield, 0).to_vec()));
            }
            let (deadline, overdue) = self.deadline(wish, start_by);
            let now = Instant::now();
            if now >= deadline {
                return overdue;
            }
            let step = self
                .await_events(deadline - now)
                .and_then(|()| self.send())
                .map_err(End::Io)
                .and_then(|()| self.listen(&mut assembler));
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// The next moment at which the patience with the worker ends, and what it ends as.
    fn deadline(&self, wish: Wish, start_by: Instant) -> (Instant, End) {
        let Some(started) = self.started else { return (start_by, End::NotReady) };
        let wall = Duration::from_millis(self.job.limits.wall_ms.into());
        let gone = started + wall + WALL_SLACK;
        match wish.gone_by {
            Some(by) if by < gone => (by, End::Overstayed),
            _ => (gone, End::WallTime),
        }
    }

    fn await_events(&mut self, patience: Duration) -> io::Result<()> {
        let timeout = Timespec {
            tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: patience.subsec_nanos().into(),
        };
        let mut fds = vec![
            PollFd::from_borrowed_fd(self.worker.stdout.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.bell.as_fd(), PollFlags::IN),
        ];
        if !self.outbox.is_empty()
            && let Some(stdin) = &self.worker.stdin
        {
            fds.push(PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::OUT));
        }
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        // Empty the bell; what was wished for is read from the shared state.
        let mut rings = [0; 64];
        while matches!(self.bell.read(&mut rings), Ok(n) if n == rings.len()) {}
        Ok(())
    }

    /// Writes what the pipe takes.
    fn send(&mut self) -> io::Result<()> {
        while let Some(buffer) = self.outbox.front() {
            let Some(stdin) = &mut self.worker.stdin else { return Ok(()) };
            if self.sent == buffer.len() {
                self.sent = 0;
                self.outbox.pop_front();
                continue;
            }
            match stdin.write(&buffer[self.sent..]) {
                Ok(n) => self.sent += n,
                Err(error) if would_wait(&error) => return Ok(()),
                // It died or closed its input; its output tells why.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    self.outbox.clear();
                    self.worker.stdin = None;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what has come; an `Err` is the end of the run.
    fn listen(&mut self, assembler: &mut Assembler) -> Result<(), End> {
        let mut buffer = [0; 64 << 10];
        // A few pieces a turn, so that a talkative worker cannot keep us from its deadline.
        for _ in 0..16 {
            let n = match self.worker.stdout.read(&mut buffer) {
                Ok(0) => return Err(End::Silence),
                Ok(n) => n,
                Err(error) if would_wait(&error) => return Ok(()),
                Err(error) => return Err(End::Io(error)),
            };
            let mut input = &buffer[..n];
            let limits = &self.job.limits;
            while let Some(frame) =
                assembler.next(&mut input, |kind| bound(kind, limits)).map_err(End::Rude)?
            {
                self.hear(frame)?;
            }
        }
        Ok(())
    }

    /// One frame. Each kind has its turn; see [`Kind`].
    fn hear(&mut self, frame: Frame) -> Result<(), End> {
        let Frame { kind, payload } = frame;
        match kind {
            Kind::Ready if self.started.is_none() => {
                let now = Instant::now();
                self.started = Some(now);
                self.shared.set_started(now);
                self.sandbox = Some(parse(kind, &payload)?);
            }
            Kind::Compiled
                if self.started.is_some() && self.executing.is_none() && !self.compiled =>
            {
                self.compiled = true;
                let deterministic = self.job.limits.deterministic;
                let mut cache = lock(&self.inner.cache);
                cache.keep_compiled(&self.job.digest, deterministic, payload);
            }
            Kind::Executing if self.started.is_some() => {
                self.executing = Some(Instant::now());
                if self.mode == Mode::Run {
                    // The next task finds a worker that is up.
                    self.spare.fill(&self.inner.config);
                }
            }
            Kind::Progress if self.executing.is_some() => {
                let ppm = payload.try_into().map_err(|_| End::Rude(FrameError::Malformed(kind)))?;
                self.shared.set_progress(u32::from_le_bytes(ppm));
            }
            Kind::Account if self.executing.is_some() => self.note(parse(kind, &payload)?),
            Kind::Checkpoint if self.executing.is_some() => {
                self.checkpoint = Some((payload, Instant::now()))
            }
            Kind::Done if self.executing.is_some() || self.mode == Mode::Check => {
                self.note(parse(kind, &payload)?);
                return Err(End::Said(self.done()?));
            }
            Kind::Yielded if self.executing.is_some() && self.asked_to_yield => {
                let outcome = match self.checkpoint.take() {
                    Some((checkpoint, _)) => Outcome::Checkpointed { checkpoint },
                    None => Outcome::Vacated,
                };
                self.note(parse(kind, &payload)?);
                return Err(End::Said(outcome));
            }
            Kind::Failed => {
                let Failed { code, message, account } = parse(kind, &payload)?;
                self.note(account);
                let message = short(&message);
                return Err(End::Said(match code {
                    FailureCode::BlobUnavailable => {
                        Outcome::Failed { fault: Fault::Car, code, message }
                    }
                    _ => program_fault(code, message),
                }));
            }
            _ => return Err(End::Rude(FrameError::Unexpected(kind))),
        }
        Ok(())
    }

    fn done(&mut self) -> Result<Outcome, End> {
        let output = match self.output.take() {
            Some(output) => output,
            // A check makes nothing.
            None => {
                let empty = self.inner.folder.file().map_err(End::Io)?;
                empty.writer().and_then(|writer| writer.finish()).map_err(End::Io)?;
                empty
            }
        };
        // The kernel holds the worker to it as well.
        if output.size().map_err(End::Io)? > self.job.limits.output_bytes {
            let words = format!("over {} bytes of output", self.job.limits.output_bytes);
            return Ok(program_fault(FailureCode::OutputExceeded, words));
        }
        Ok(Outcome::Completed { output })
    }

    fn note(&mut self, account: Account) {
        self.account = Some(account.clean());
    }
}

fn sealed(output: &Output) -> Sealed {
    Sealed { path: output.path().to_owned(), key: output.key().clone() }
}

/// Everything the worker is sent at the start.
fn letter(
    job: &Job,
    mode: Mode,
    compiled: Option<Arc<Vec<u8>>>,
    output: Option<&Output>,
) -> io::Result<VecDeque<Arc<Vec<u8>>>> {
    let checkpoint = job.checkpoint.clone().map(Arc::new);
    let (input, input_file, input_key) = match &job.input {
        Input::Bytes(bytes) => (Some(Arc::new(bytes.clone())), None, None),
        Input::File(path) => (None, Some(std::path::absolute(path)?), None),
        Input::Kept(file) => {
            (None, Some(std::path::absolute(file.path())?), Some(file.key().clone()))
        }
    };
    let parts = [
        (Kind::Program, Some(Arc::clone(&job.program))),
        (Kind::Compiled, compiled.clone()),
        (Kind::Input, input),
        (Kind::Checkpoint, checkpoint),
    ];
    if parts.iter().flat_map(|(_, part)| part).any(|part| part.len() > MAX_PART) {
        return Err(io::Error::other(format!("a part of the task is over {MAX_PART} bytes")));
    }
    let mut bytes = parts.iter().flat_map(|(_, part)| part).map(|part| part.len() as u64).sum();
    if let (Runtime::Onnx, Some(path)) = (job.runtime, &input_file) {
        bytes += std::fs::metadata(path)?.len();
    }
    let request = Request {
        mode,
        runtime: job.runtime,
        limits: job.limits.clone(),
        has_compiled: compiled.is_some(),
        has_checkpoint: job.checkpoint.is_some(),
        input_file,
        input_key,
        output_file: output.map(sealed),
        seed: job.seed.0.clone(),
        parts_bytes: bytes,
    };
    let request = Arc::new(serde_json::to_vec(&request)?);
    let mut letter = VecDeque::from(part(Kind::Request, request));
    for (kind, payload) in parts {
        letter.extend(payload.into_iter().flat_map(|payload| part(kind, payload)));
    }
    Ok(letter)
}

/// The longest payload we take of each kind.
fn bound(kind: Kind, limits: &Limits) -> usize {
    let bytes = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
    match kind {
        Kind::Checkpoint => bytes(limits.checkpoint_bytes),
        Kind::Compiled => MAX_COMPILED,
        Kind::Progress => 4,
        Kind::Done | Kind::Yielded | Kind::Failed | Kind::Account => MAX_ACCOUNT,
        Kind::Ready => MAX_JSON,
        Kind::Executing | Kind::Request | Kind::Program | Kind::Input | Kind::Yield => 0,
    }
}

fn parse<T: serde::de::DeserializeOwned>(kind: Kind, payload: &[u8]) -> Result<T, End> {
    serde_json::from_slice(payload).map_err(|_| End::Rude(FrameError::Malformed(kind)))
}

fn would_wait(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// What the death of a worker that left no word means. Only what the program can bring about is
/// laid at its door; a plain SIGKILL is the system's (out of memory) or somebody's hand.
fn explain(status: io::Result<ExitStatus>, limits: &Limits) -> Outcome {
    const SIGILL: i32 = 4;
    const SIGABRT: i32 = 6;
    const SIGBUS: i32 = 7;
    const SIGFPE: i32 = 8;
    const SIGSEGV: i32 = 11;
    const SIGXCPU: i32 = 24;
    const SIGXFSZ: i32 = 25;
    const SIGSYS: i32 = 31;
    let status = match status {
        Ok(status) => status,
        Err(error) => return car_fault(format!("the worker cannot be waited for: {error}")),
    };
    match status.signal() {
        Some(SIGXCPU) => program_fault(
            FailureCode::CpuTimeExceeded,
            format!("over {} ms of CPU time", limits.cpu_ms),
        ),
        Some(SIGXFSZ) => program_fault(
            FailureCode::OutputExceeded,
            format!("over {} bytes of output", limits.output_bytes),
        ),
        // Rust aborts when an allocation fails or a native stack overflows.
        Some(SIGABRT) => program_fault(
            FailureCode::MemoryExceeded,
            "the worker ran out of memory or native stack".into(),
        ),
        Some(signal @ (SIGILL | SIGBUS | SIGFPE | SIGSEGV | SIGSYS)) => {
            program_fault(FailureCode::WorkerDied, format!("the worker died of signal {signal}"))
        }
        _ => car_fault(format!("the worker died: {status}")),
    }
}

fn car_fault(message: String) -> Outcome {
    Outcome::Failed { fault: Fault::Car, code: FailureCode::WorkerDied, message }
}

fn program_fault(code: FailureCode, message: String) -> Outcome {
    Outcome::Failed { fault: Fault::Program, code, message }
}
