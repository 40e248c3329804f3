//! How a car reaches the platform.

use std::io::Write;
use std::path::Path;

use thiserror::Error;

use crate::protocol::{Digest, Heartbeat, HeartbeatReply};

/// The car's only way out. In the embedded fleet it is a function call, on a road it is HTTPS.
pub trait Transport: Send + Sync {
    /// Says how the car is and takes the next order.
    fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<HeartbeatReply, TransportError>;

    /// A blob by its digest. The agent verifies what it gets.
    fn fetch_blob(&self, digest: &Digest) -> Result<Vec<u8>, TransportError>;

    /// Keeps a blob and says under which digest. Storing the same bytes twice is no error.
    fn store_blob(&self, bytes: &[u8]) -> Result<Digest, TransportError>;

    /// Writes a blob piece by piece, for blobs larger than memory. One that does not know better
    /// has it whole in memory.
    fn fetch_blob_to(&self, digest: &Digest, into: &mut dyn Write) -> Result<(), TransportError> {
        let bytes = self.fetch_blob(digest)?;
        into.write_all(&bytes).map_err(TransportError::on_the_car)
    }

    /// Keeps what is in a file, as [`Self::store_blob`] does. One that does not know better has it
    /// whole in memory.
    fn store_file(&self, path: &Path) -> Result<Digest, TransportError> {
        self.store_blob(&std::fs::read(path).map_err(TransportError::on_the_car)?)
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
