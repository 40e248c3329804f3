//! A task's input and output: bytes that came in a frame, or files that were opened before the
//! confinement, sealed if they came with a key. A program reads and writes them in pieces; neither is
//! ever whole in memory.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::Stop;
use crate::protocol::FailureCode;
use crate::sealed::{FileKey, SealedFile, SealedWriter};

pub(crate) enum Input {
    Bytes(Vec<u8>),
    File { file: File, len: u64 },
    Sealed(SealedFile),
}

impl Input {
    pub(super) fn open(path: &Path, key: Option<&FileKey>) -> io::Result<Self> {
        let file = File::open(path)?;
        if let Some(key) = key {
            return Ok(Self::Sealed(SealedFile::open(file, key)?));
        }
        let len = file.metadata()?.len();
        Ok(Self::File { file, len })
    }

    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { len, .. } => *len,
            Self::Sealed(file) => file.size(),
        }
    }

    /// Copies what there is from `off`; the number of bytes, fewer than `into` takes only at the
    /// end.
    pub fn read_at(&mut self, off: u64, into: &mut [u8]) -> io::Result<usize> {
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
            Self::Sealed(file) => file.read_at(off, into),
        }
    }

    /// All of it, for a runtime that cannot do with less.
    #[cfg(feature = "onnx")]
    pub fn whole(self) -> io::Result<Vec<u8>> {
        let (mut input, len) = match self {
            Self::Bytes(bytes) => return Ok(bytes),
            file => {
                let len = file.len();
                (file, len)
            }
        };
        let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        input.read_at(0, &mut bytes)?;
        Ok(bytes)
    }
}

/// Where the output goes, with its hard cap.
pub(crate) struct Output {
    file: Option<SealedWriter<File>>,
    room: u64,
    max: u64,
}

impl Output {
    /// `None` for a task that writes nothing.
    pub(super) fn open(to: Option<(&Path, &FileKey)>, max: u64) -> io::Result<Self> {
        let open = |(path, key): (&Path, &FileKey)| {
            SealedWriter::new(File::options().write(true).open(path)?, key)
        };
        Ok(Self { file: to.map(open).transpose()?, room: max, max })
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

    /// Everything is in the file; no more is taken.
    pub fn finish(&mut self) -> Result<(), Stop> {
        let done = self.file.take().map_or(Ok(()), |file| file.finish().map(drop));
        done.map_err(unwritten)
    }
}

fn unwritten(error: io::Error) -> Stop {
    Stop::new(FailureCode::BlobUnavailable, format!("the car could not keep the output: {error}"))
}

/// A file of the car's that cannot be read any more is no fault of the program's.
#[cfg(feature = "wasm")]
pub(crate) fn unread(error: io::Error) -> Stop {
    Stop::new(FailureCode::BlobUnavailable, format!("the car cannot read the input: {error}"))
}
