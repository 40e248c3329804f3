//! The frames between the pool and a worker process: `kind: u8, length: u32 little-endian,
//! payload`. A length is checked against the reader's bound for that kind before a byte of the
//! payload is stored, and memory grows only with bytes that arrived: neither side can make the
//! other allocate by announcing much.

use std::collections::BTreeMap;
#[cfg(feature = "worker")]
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::protocol::{
    AttemptUsage, FailureCode, Limits, MAX_LOG, MAX_METRICS, Runtime, is_metric_name,
};
use crate::sealed::FileKey;

pub(crate) const HEADER: usize = 5;
/// Bound of every frame that carries JSON.
pub(crate) const MAX_JSON: usize = 8 << 10;
/// Bound of a frame that carries an account: a log may double when it is written as JSON.
pub(crate) const MAX_ACCOUNT: usize = 64 << 10;
/// Bound of a program, an input or a checkpoint on its way to the worker.
pub(crate) const MAX_PART: usize = 512 << 20;
/// Bound of a compiled module on its way back.
pub(crate) const MAX_COMPILED: usize = 64 << 20;
/// CPU time that compiling a program may take, at most, milliseconds: bombs of 10 KB take seconds.
pub(crate) const COMPILE_CPU_MS: u32 = 40_000;
/// Bound of a failure's message, in bytes.
pub(crate) const MAX_MESSAGE: usize = 1 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    // To the worker: one Request, then its parts in this order, then at most one Yield.
    Request = 1,
    Program = 2,
    Compiled = 3,
    Input = 4,
    Checkpoint = 5,
    Yield = 6,
    // From the worker: Ready, at most one Compiled, Executing, then any number of Progress,
    // Account and Checkpoint, then one of Done, Yielded, Failed.
    Ready = 16,
    Executing = 17,
    Progress = 18,
    Done = 20,
    Yielded = 21,
    Failed = 22,
    Account = 23,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        use Kind::*;
        [
            Request, Program, Compiled, Input, Checkpoint, Yield, Ready, Executing, Progress, Done,
            Yielded, Failed, Account,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mode {
    /// Execute the task.
    Run,
    /// Admission: say whether the program could run at all.
    Check,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub mode: Mode,
    pub runtime: Runtime,
    pub limits: Limits,
    pub has_compiled: bool,
    pub has_checkpoint: bool,
    /// In the place of the part with the input.
    pub input_file: Option<PathBuf>,
    /// What that file is sealed with, if it is.
    pub input_key: Option<FileKey>,
    /// Where the output goes; `None` for a check.
    pub output_file: Option<Sealed>,
    pub seed: String,
    /// Bytes of all parts together, and of the input where it must be whole in memory.
    pub parts_bytes: u64,
}

/// A file to be sealed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sealed {
    pub path: PathBuf,
    pub key: FileKey,
}

/// What the operating system adds around a worker beyond its limits. What is `false` was refused
/// by the kernel; the language-level sandbox stands alone there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SandboxReport {
    /// CPU, data, file size, core and descriptors are bounded by the kernel.
    pub rlimits: bool,
    /// No program it starts could gain rights.
    pub no_new_privs: bool,
    /// The kernel kills it when its parent dies.
    pub parent_death: bool,
    /// A system call filter: no files, no sockets, no processes.
    pub seccomp: bool,
}

/// What a worker tells of an execution beside how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Account {
    pub usage: AttemptUsage,
    pub log: String,
    pub metrics: BTreeMap<String, i64>,
}

impl Account {
    /// The same within its bounds: who wrote it is not trusted.
    pub fn clean(self) -> Self {
        let metrics = self.metrics.into_iter().filter(|(name, _)| is_metric_name(name));
        Self {
            usage: AttemptUsage { cpu_us: self.usage.cpu_us.max(0), ..self.usage },
            log: clean_log(&self.log),
            metrics: metrics.take(MAX_METRICS).collect(),
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub code: FailureCode,
    pub message: String,
    #[serde(default)]
    pub account: Account,
}

#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum FrameError {
    #[error("unknown frame kind {0}")]
    Kind(u8),
    #[error("a {kind:?} frame of {len} bytes is over its bound of {max}")]
    TooLong { kind: Kind, len: usize, max: usize },
    #[error("a {0:?} frame has no place here")]
    Unexpected(Kind),
    #[error("a {0:?} frame cannot be read")]
    Malformed(Kind),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub kind: Kind,
    pub payload: Vec<u8>,
}

/// The five bytes before a payload. Payloads are bounded far below 4 GiB.
pub(crate) fn header(kind: Kind, len: usize) -> [u8; HEADER] {
    let len = u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
    [kind as u8, len[0], len[1], len[2], len[3]]
}

fn parse_header(
    bytes: [u8; HEADER],
    bound: impl Fn(Kind) -> usize,
) -> Result<(Kind, usize), FrameError> {
    let kind = Kind::from_byte(bytes[0]).ok_or(FrameError::Kind(bytes[0]))?;
    let len = u32::from_le_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]) as usize;
    let max = bound(kind);
    if len > max {
        return Err(FrameError::TooLong { kind, len, max });
    }
    Ok((kind, len))
}

/// Puts frames together from whatever pieces a pipe delivers.
pub(crate) struct Assembler {
    head: [u8; HEADER],
    head_len: usize,
    open: Option<(Kind, usize)>,
    payload: Vec<u8>,
}

impl Assembler {
    pub fn new() -> Self {
        Self { head: [0; HEADER], head_len: 0, open: None, payload: Vec::new() }
    }

    /// Takes bytes off the front of `input` until a frame is whole; `None` when more is needed.
    pub fn next(
        &mut self,
        input: &mut &[u8],
        bound: impl Fn(Kind) -> usize,
    ) -> Result<Option<Frame>, FrameError> {
        loop {
            if let Some((kind, len)) = self.open {
                let take = (len - self.payload.len()).min(input.len());
                self.payload.extend_from_slice(&input[..take]);
                *input = &input[take..];
                if self.payload.len() < len {
                    return Ok(None);
                }
                self.open = None;
                self.head_len = 0;
                return Ok(Some(Frame { kind, payload: std::mem::take(&mut self.payload) }));
            }
            let take = (HEADER - self.head_len).min(input.len());
            self.head[self.head_len..self.head_len + take].copy_from_slice(&input[..take]);
            self.head_len += take;
            *input = &input[take..];
            if self.head_len < HEADER {
                return Ok(None);
            }
            self.open = Some(parse_header(self.head, &bound)?);
        }
    }
}

/// Reads one frame from a blocking stream; `None` at its end.
#[cfg(feature = "worker")]
pub(crate) fn read_frame(
    reader: &mut impl Read,
    bound: impl Fn(Kind) -> usize,
) -> io::Result<Option<Frame>> {
    let mut head = [0; HEADER];
    match reader.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let (kind, len) = parse_header(head, bound).map_err(io::Error::other)?;
    let mut payload = Vec::new();
    reader.take(len as u64).read_to_end(&mut payload)?;
    Ok((payload.len() == len).then_some(Frame { kind, payload }))
}

/// What is to be written to a worker: shared buffers, so that a program is not copied per task.
pub(crate) fn part(kind: Kind, payload: Arc<Vec<u8>>) -> [Arc<Vec<u8>>; 2] {
    [Arc::new(header(kind, payload.len()).to_vec()), payload]
}

/// At most [`MAX_MESSAGE`] bytes of a text, cut at a character.
pub(crate) fn short(message: &str) -> String {
    let mut end = message.len().min(MAX_MESSAGE);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message[..end].to_owned()
}

/// The end of a log, [`MAX_LOG`] bytes at most, cut at a character, without control characters but
/// newline and tab.
pub(crate) fn clean_log(log: &str) -> String {
    let plain = |c: &char| matches!(c, '\n' | '\t') || !c.is_control();
    let log: String = log.chars().filter(plain).collect();
    let mut start = log.len().saturating_sub(MAX_LOG);
    while !log.is_char_boundary(start) {
        start += 1;
    }
    log[start..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_any_cut() {
        let mut wire = header(Kind::Checkpoint, 3).to_vec();
        wire.extend(b"abc");
        wire.extend(header(Kind::Executing, 0));
        for step in 1..wire.len() {
            let mut assembler = Assembler::new();
            let mut frames = Vec::new();
            for mut piece in wire.chunks(step) {
                while let Some(frame) = assembler.next(&mut piece, |_| 3).unwrap() {
                    frames.push(frame);
                }
            }
            assert_eq!(frames.len(), 2, "cut every {step}");
            assert_eq!(frames[0].payload, b"abc");
        }
    }

    #[test]
    fn an_announced_length_over_the_bound_is_refused_before_its_payload() {
        let wire = header(Kind::Checkpoint, 1 << 30);
        let error = Assembler::new().next(&mut &wire[..], |_| 16).unwrap_err();
        assert!(matches!(error, FrameError::TooLong { len: 0x4000_0000, max: 16, .. }));
        let error = Assembler::new().next(&mut &[99u8, 0, 0, 0, 0][..], |_| 16).unwrap_err();
        assert_eq!(error, FrameError::Kind(99));
    }

    #[test]
    fn an_account_is_cut_to_its_bounds() {
        let names = (0..20).map(|n| format!("n{n:02}")).chain(["Upper".into(), String::new()]);
        let account = Account {
            usage: AttemptUsage { cpu_us: -1, ..AttemptUsage::default() },
            log: format!("{}\x1b[2J\r\n\tend", "é".repeat(MAX_LOG)),
            metrics: names.map(|name| (name, 1)).collect(),
        };
        let clean = account.clean();
        assert_eq!(clean.usage.cpu_us, 0);
        assert!(clean.log.len() <= MAX_LOG && clean.log.ends_with("é[2J\n\tend"));
        assert_eq!(clean.metrics.len(), MAX_METRICS);
        assert!(clean.metrics.keys().all(|name| name.starts_with('n')));
    }

    #[test]
    fn messages_are_cut_at_a_character() {
        let long = "é".repeat(MAX_MESSAGE);
        assert_eq!(short(&long).len(), MAX_MESSAGE);
        assert_eq!(short("x"), "x");
    }
}
