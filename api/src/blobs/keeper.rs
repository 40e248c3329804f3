//! The bytes, in an object store.

use std::path::Path as FilePath;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload,
};
use sha2::{Digest as _, Sha256};
use store::Store;
use tokio::runtime::Runtime;
use vehicle::protocol::Digest;

/// The most bytes a blob may have.
pub const MAX_BLOB: usize = 64 << 20;
/// Bytes gathered before they go to the store; S3 takes no smaller part.
const PART: usize = 5 << 20;

#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("no blob has this digest")]
    NotFound,
    #[error("a blob may have at most {MAX_BLOB} bytes")]
    TooLarge,
    #[error("the bytes have the digest {0}")]
    Mismatch(String),
    #[error("blob storage: {0}")]
    Storage(#[from] object_store::Error),
    #[error("blob storage: {0}")]
    Start(#[from] std::io::Error),
}

/// Keeps bytes under their digest. Cheap to clone.
#[derive(Clone)]
pub struct Blobs(Arc<Inner>);

struct Inner {
    objects: Box<dyn ObjectStore>,
    /// Drives the store for callers that are not async. Taken when the last clone goes.
    runtime: Option<Runtime>,
    /// Where inputs are that the platform made: in rows, for they are small and many.
    rows: Option<Store>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The plain drop of a runtime waits, which is forbidden on an async thread.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Blobs {
    /// Blobs as files in this folder, made if missing. A stored blob is on the disk.
    pub fn in_folder(folder: &FilePath) -> Result<Self, BlobError> {
        Self::open(folder, None)
    }

    /// As [`Self::in_folder`]; small blobs that are in rows of this database are found too.
    pub fn with_rows(folder: &FilePath, rows: Store) -> Result<Self, BlobError> {
        Self::open(folder, Some(rows))
    }

    fn open(folder: &FilePath, rows: Option<Store>) -> Result<Self, BlobError> {
        std::fs::create_dir_all(folder)?;
        let objects = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("blobs")
            .enable_all()
            .build()?;
        Ok(Self(Arc::new(Inner { objects: Box::new(objects), runtime: Some(runtime), rows })))
    }

    /// The bytes, for callers on a thread of their own.
    pub fn get(&self, digest: &Digest) -> Result<Vec<u8>, BlobError> {
        self.block_on(async move |blobs| Ok(blobs.read(digest).await?.into()))
    }

    /// Keeps the bytes, for callers on a thread of their own. Twice is no error.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, BlobError> {
        let digest = Digest::of(bytes);
        let payload = Bytes::copy_from_slice(bytes);
        self.block_on(async |blobs| {
            let mut upload = blobs.upload(&digest).await?;
            upload.write(payload).await?;
            upload.finish().await
        })?;
        Ok(digest)
    }

    fn block_on<T>(
        &self,
        work: impl AsyncFnOnce(&Self) -> Result<T, BlobError>,
    ) -> Result<T, BlobError> {
        match &self.0.runtime {
            Some(runtime) => runtime.handle().block_on(work(self)),
            None => Err(BlobError::NotFound),
        }
    }

    pub async fn read(&self, digest: &Digest) -> Result<Bytes, BlobError> {
        match self.0.objects.get(&path(digest)).await {
            Ok(found) => Ok(found.bytes().await?),
            Err(object_store::Error::NotFound { .. }) => self.read_small(digest).await,
            Err(error) => Err(error.into()),
        }
    }

    async fn read_small(&self, digest: &Digest) -> Result<Bytes, BlobError> {
        let Some(store) = self.0.rows.clone() else { return Err(BlobError::NotFound) };
        let digest = digest.0.clone();
        let look = move || store.read(|tx| scheduler::blob::small(tx, &digest));
        let found = tokio::task::spawn_blocking(look).await.map_err(std::io::Error::other)?;
        let found = found.map_err(std::io::Error::other)?;
        found.map(Bytes::from).ok_or(BlobError::NotFound)
    }

    /// The bytes piece by piece, as they come.
    pub async fn stream(
        &self,
        digest: &Digest,
    ) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
        match self.0.objects.get(&path(digest)).await {
            Ok(found) => Ok(found.into_stream().map_err(BlobError::from).boxed()),
            Err(object_store::Error::NotFound { .. }) => {
                let bytes = self.read_small(digest).await?;
                Ok(futures_util::stream::once(async move { Ok(bytes) }).boxed())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The bytes from `from` on, fewer than all, and how many there are of all; none if there are not
    /// more than `from`.
    pub async fn stream_from(
        &self,
        digest: &Digest,
        from: u64,
    ) -> Result<Option<(u64, BoxStream<'static, Result<Bytes, BlobError>>)>, BlobError> {
        let size = match self.0.objects.head(&path(digest)).await {
            Ok(meta) => meta.size,
            // One that is small is as well sent whole.
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if from >= size {
            return Ok(None);
        }
        let options = GetOptions { range: Some(GetRange::Offset(from)), ..GetOptions::default() };
        let found = self.0.objects.get_opts(&path(digest), options).await?;
        Ok(Some((size, found.into_stream().map_err(BlobError::from).boxed())))
    }

    /// Up to `len` bytes from `from`, none at the end, for callers on a thread of their own.
    pub fn get_range(&self, digest: &Digest, from: u64, len: u64) -> Result<Vec<u8>, BlobError> {
        self.block_on(async move |blobs| {
            let size = match blobs.0.objects.head(&path(digest)).await {
                Ok(meta) => meta.size,
                Err(object_store::Error::NotFound { .. }) => return Err(BlobError::NotFound),
                Err(error) => return Err(error.into()),
            };
            let range = from.min(size)..from.saturating_add(len).min(size);
            if range.is_empty() {
                return Ok(Vec::new());
            }
            Ok(blobs.0.objects.get_range(&path(digest), range).await?.to_vec())
        })
    }

    /// Takes the bytes of `digest` piece by piece. Nothing is visible before
    /// [`Upload::finish`] found that the digest is right.
    pub async fn upload(&self, digest: &Digest) -> Result<Upload, BlobError> {
        let parts = self.0.objects.put_multipart(&path(digest)).await?;
        let (pending, hasher) = (Vec::new(), Sha256::new());
        let digest = digest.clone();
        Ok(Upload { parts: Some(parts), pending, size: 0, hasher, digest, sending: false })
    }
}

/// A blob on its way in. Dropped unfinished, its parts are thrown away by the store.
pub struct Upload {
    parts: Option<Box<dyn MultipartUpload>>,
    pending: Vec<u8>,
    size: usize,
    hasher: Sha256,
    digest: Digest,
    /// A part is on its way to the store: whoever is dropped now does not know whether it came.
    sending: bool,
}

impl Upload {
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), BlobError> {
        self.size += chunk.len();
        if self.size > MAX_BLOB {
            self.abort().await;
            return Err(BlobError::TooLarge);
        }
        self.hasher.update(&chunk);
        self.pending.extend_from_slice(&chunk);
        if self.pending.len() >= PART {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), BlobError> {
        let part = std::mem::take(&mut self.pending);
        if let Some(parts) = &mut self.parts {
            self.sending = true;
            parts.put_part(PutPayload::from(part)).await?;
            self.sending = false;
        }
        Ok(())
    }

    /// Bytes that have come.
    pub fn size(&self) -> usize {
        self.size
    }

    pub fn is_of(&self, digest: &Digest) -> bool {
        self.digest == *digest
    }

    /// Whether more can be written, whatever happened to who wrote.
    pub fn goes_on(&self) -> bool {
        self.parts.is_some() && !self.sending
    }

    /// Checks the digest and keeps the blob. Answers its size.
    pub async fn finish(mut self) -> Result<usize, BlobError> {
        let found = hex::encode(self.hasher.clone().finalize());
        if found != self.digest.0 {
            self.abort().await;
            return Err(BlobError::Mismatch(found));
        }
        self.flush().await?;
        if let Some(mut parts) = self.parts.take() {
            parts.complete().await?;
        }
        Ok(self.size)
    }

    pub async fn abort(&mut self) {
        if let Some(mut parts) = self.parts.take()
            && let Err(error) = parts.abort().await
        {
            tracing::warn!(%error, "an unfinished blob was left behind");
        }
    }
}

/// Two levels, so that no folder gets too many files.
fn path(digest: &Digest) -> Path {
    let shard = digest.0.get(..2).unwrap_or_default();
    Path::from_iter([shard, digest.0.as_str()])
}

/// A digest from outside: anything else could be a path.
pub fn parse_digest(text: &str) -> Option<Digest> {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    (text.len() == 64 && text.bytes().all(hex)).then(|| Digest(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_under_their_digest() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::in_folder(dir.path()).unwrap();
        for size in [0, 1, PART - 1, PART, 2 * PART + 7] {
            let bytes: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            let digest = blobs.put(&bytes).unwrap();
            assert_eq!(blobs.put(&bytes).unwrap(), digest);
            assert_eq!(blobs.get(&digest).unwrap(), bytes, "{size}");
        }
        let missing = blobs.get(&Digest::of(b"missing"));
        assert!(matches!(missing, Err(BlobError::NotFound)));
    }

    #[test]
    fn a_blob_that_is_too_large_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::in_folder(dir.path()).unwrap();
        let bytes = vec![7; MAX_BLOB + 1];
        assert!(matches!(blobs.put(&bytes), Err(BlobError::TooLarge)));
        assert!(matches!(blobs.get(&Digest::of(&bytes)), Err(BlobError::NotFound)));
    }

    #[test]
    fn only_digests_are_digests() {
        assert!(parse_digest(&"a".repeat(64)).is_some());
        for text in [&"A".repeat(64), &"a".repeat(63), "../../etc/passwd", ""] {
            assert!(parse_digest(text).is_none(), "{text}");
        }
    }
}
