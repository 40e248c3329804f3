//! The blobs of one lease on the car: sealed files that nobody can read any more once the shelf is
//! dropped, for their keys are in memory alone. What was cut on its way goes on from there.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use sha2::{Digest as _, Sha256};

use crate::pool::{Output, WorkerPool, lock};
use crate::protocol::Digest;
use crate::sealed::SealedWriter;
use crate::transport::{Stoppable, Transport, TransportError};

#[derive(Default)]
pub(super) struct Shelf(Mutex<HashMap<Digest, Blob>>);

enum Blob {
    Whole(Output),
    Part(Box<Part>),
}

/// The beginning of a blob.
struct Part {
    file: Output,
    into: SealedWriter<File>,
    hash: Sha256,
}

impl Part {
    fn new(pool: &WorkerPool) -> io::Result<Self> {
        let file = pool.scratch()?;
        Ok(Self { into: file.writer()?, file, hash: Sha256::new() })
    }

    fn finish(self) -> io::Result<(Output, Digest)> {
        self.into.finish()?;
        Ok((self.file, Digest(hex::encode(self.hash.finalize()))))
    }
}

impl Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.into.write(bytes)?;
        self.hash.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}

impl Shelf {
    /// Lets go of all but these.
    pub fn keep(&self, digests: &[&Digest]) {
        lock(&self.0).retain(|digest, _| digests.contains(&digest));
    }

    pub fn drop_blob(&self, digest: &Digest) {
        lock(&self.0).remove(digest);
    }

    /// The blob: from the shelf, or fetched, from where an earlier try was cut. Its digest is right.
    pub fn fetch(
        &self,
        pool: &WorkerPool,
        transport: &dyn Transport,
        stop: &Arc<AtomicBool>,
        digest: &Digest,
    ) -> Result<Output, TransportError> {
        // Taken out, so that a transfer that was called off and one that follows do not meet.
        let known = lock(&self.0).remove(digest);
        let part = match known {
            Some(Blob::Whole(file)) => {
                lock(&self.0).insert(digest.clone(), Blob::Whole(file.clone()));
                return Ok(file);
            }
            Some(Blob::Part(part)) => part,
            None => Box::new(Part::new(pool).map_err(TransportError::on_the_car)?),
        };
        let from = part.into.size();
        let mut into = Stoppable { inner: part, stop: Arc::clone(stop) };
        let fetched = transport.fetch_blob_from(digest, from, &mut into);
        let part = into.inner;
        match fetched {
            Ok(()) => {}
            Err(error) if is_cut(&error) || stop.load(Ordering::Relaxed) => {
                lock(&self.0).insert(digest.clone(), Blob::Part(part));
                return Err(error);
            }
            Err(error) => return Err(error),
        }
        let (file, came) = part.finish().map_err(TransportError::on_the_car)?;
        if came != *digest {
            let why = format!("it came with another digest than {}", digest.0);
            return Err(TransportError::Refused(why));
        }
        lock(&self.0).insert(digest.clone(), Blob::Whole(file.clone()));
        Ok(file)
    }
}

fn is_cut(error: &TransportError) -> bool {
    matches!(error, TransportError::Unreachable(_))
}
