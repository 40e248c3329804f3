//! How a car reaches the platform.

use std::io::{self, Cursor, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use thiserror::Error;

use crate::pool::Output;
use crate::protocol::{Digest, Heartbeat, HeartbeatReply};

/// The car's only way out. In the embedded fleet it is a function call, on a road it is HTTPS.
pub trait Transport: Send + Sync {
    /// Says how the car is and takes the next order.
    fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<HeartbeatReply, TransportError>;

    /// A blob by its digest. The agent verifies what it gets.
    fn fetch_blob(&self, digest: &Digest) -> Result<Vec<u8>, TransportError>;

    /// Keeps a blob and says under which digest. Storing the same bytes twice is no error.
    fn store_blob(&self, bytes: &[u8]) -> Result<Digest, TransportError>;

    /// Writes a blob piece by piece, without its first `from` bytes: for blobs larger than memory,
    /// and to go on where a transfer was cut. One that does not know better has it whole in memory.
    fn fetch_blob_from(
        &self,
        digest: &Digest,
        from: u64,
        into: &mut dyn Write,
    ) -> Result<(), TransportError> {
        let bytes = self.fetch_blob(digest)?;
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        into.write_all(bytes.get(from..).unwrap_or_default()).map_err(TransportError::on_the_car)
    }

    /// Keeps what a task made, as [`Self::store_blob`] does. One that does not know better has it
    /// whole in memory.
    fn store_made(&self, made: &Made) -> Result<Digest, TransportError> {
        let mut bytes = Vec::new();
        let read = made.reader(0).and_then(|mut reader| reader.read_to_end(&mut bytes));
        read.map_err(TransportError::on_the_car)?;
        self.store_blob(&bytes)
    }

    /// The same way for a thread of its own: blobs take their time on it, and heartbeats go on
    /// meanwhile. None if blobs are there at once.
    fn aside(&self) -> Option<Arc<dyn Transport>> {
        None
    }
}

/// What a task made, on its way to the platform.
#[derive(Clone, Debug)]
pub struct Made {
    pub digest: Digest,
    pub size: u64,
    bytes: Bytes,
    stop: Arc<AtomicBool>,
}

#[derive(Clone, Debug)]
enum Bytes {
    Here(Arc<Vec<u8>>),
    Kept(Output),
}

impl Made {
    /// Nothing more of it is read once `stop` is set.
    pub(crate) fn of(bytes: Vec<u8>, stop: Arc<AtomicBool>) -> Self {
        let digest = Digest::of(&bytes);
        Self { digest, size: bytes.len() as u64, bytes: Bytes::Here(Arc::new(bytes)), stop }
    }

    pub(crate) fn kept(file: Output, stop: Arc<AtomicBool>) -> io::Result<Self> {
        Ok(Self { digest: file.digest()?, size: file.size()?, bytes: Bytes::Kept(file), stop })
    }

    /// Reads it without its first `from` bytes.
    ///
    /// # Errors
    /// When the car cannot read its own file.
    pub fn reader(&self, from: u64) -> io::Result<Box<dyn Read + Send>> {
        let stop = Arc::clone(&self.stop);
        Ok(match &self.bytes {
            Bytes::Here(bytes) => {
                let mut inner = Cursor::new(Shared(Arc::clone(bytes)));
                inner.set_position(from);
                Box::new(Stoppable { inner, stop })
            }
            Bytes::Kept(file) => {
                let mut inner = file.open()?;
                inner.seek_to(from);
                Box::new(Stoppable { inner, stop })
            }
        })
    }
}

struct Shared(Arc<Vec<u8>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Reads or writes until it is told to stop.
pub(crate) struct Stoppable<T> {
    pub inner: T,
    pub stop: Arc<AtomicBool>,
}

impl<T> Stoppable<T> {
    fn goes_on(&self) -> io::Result<()> {
        match self.stop.load(Ordering::Relaxed) {
            // No interruption: that is tried again.
            true => Err(io::Error::other("the transfer was called off")),
            false => Ok(()),
        }
    }
}

impl<R: Read> Read for Stoppable<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.goes_on()?;
        self.inner.read(into)
    }
}

impl<W: Write> Write for Stoppable<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.goes_on()?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Why a call did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TransportError {
    /// No answer, or one that says "later": worth another try.
    #[error("the platform cannot be reached: {0}")]
    Unreachable(String),
    /// The platform understood and said no: the same call will fail again.
    #[error("the platform refused: {0}")]
    Refused(String),
    /// The car's own disk did not do what it was asked for: it may the next time.
    #[error("the car's storage: {0}")]
    OnTheCar(String),
}

impl TransportError {
    pub fn on_the_car(error: std::io::Error) -> Self {
        Self::OnTheCar(error.to_string())
    }
}
