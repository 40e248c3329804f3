//! A task's input and output: bytes that came in a frame, or files that were opened before the
//! confinement. A program reads and writes them in pieces; neither is ever whole in memory.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::Stop;
use crate::protocol::FailureCode;

/// Bytes of output that wait for a write.
const BUFFER: usize = 128 << 10;

pub(crate) enum Input {
    Bytes(Vec<u8>),
    File { file: File, len: u64 },
}

impl Input {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Self::File { file, len })
    }

    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { len, .. } => *len,
        }
    }

    /// Copies what there is from `off`; the number of bytes, fewer than `into` takes only at the
    /// end.
    pub fn read_at(&self, off: u64, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Bytes(bytes) => {
                let start = usize::try_from(off).unwrap_or(usize::MAX);
                let rest = bytes.get(start..).unwrap_or_default();
                let n = rest.len().min(into.len());
                into[..n].copy_from_slice(&rest[..n]);
                Ok(n)
            }
            Self::File { file, len } => {
                let rest = usize::try_from(len.saturating_sub(off)).unwrap_or(usize::MAX);
                let n = rest.min(into.len());
                file.read_exact_at(&mut into[..n], off)?;
                Ok(n)
            }
        }
    }

    /// All of it, for a runtime that cannot do with less.
    #[cfg(feature = "onnx")]
    pub fn whole(&self) -> io::Result<std::borrow::Cow<'_, [u8]>> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.into()),
            Self::File { len, .. } => {
                let mut bytes = vec![0; usize::try_from(*len).map_err(io::Error::other)?];
                self.read_at(0, &mut bytes)?;
                Ok(bytes.into())
            }
        }
    }
}

/// Where the output goes, with its hard cap.
pub(crate) struct Output {
    file: Option<BufWriter<File>>,
    room: u64,
    max: u64,
}

impl Output {
    /// `None` for a task that writes nothing.
    pub(super) fn open(path: Option<&Path>, max: u64) -> io::Result<Self> {
        let file = path.map(|path| File::options().write(true).open(path)).transpose()?;
        let file = file.map(|file| BufWriter::with_capacity(BUFFER, file));
        Ok(Self { file, room: max, max })
    }

    /// Appends; nothing of what is over the cap.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        let Some(room) = self.room.checked_sub(bytes.len() as u64) else {
            let words = format!("over {} bytes of output", self.max);
            return Err(Stop::new(FailureCode::OutputExceeded, words));
        };
        self.room = room;
        match &mut self.file {
            Some(file) => file.write_all(bytes).map_err(unwritten),
            None => Ok(()),
        }
    }

    /// Everything is in the file.
    pub fn flush(&mut self) -> Result<(), Stop> {
        self.file.as_mut().map_or(Ok(()), |file| file.flush().map_err(unwritten))
    }
}

fn unwritten(error: io::Error) -> Stop {
    Stop::new(FailureCode::BlobUnavailable, format!("the car could not keep the output: {error}"))
}
