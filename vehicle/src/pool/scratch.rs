//! The pool's private folder: inputs on their way to a worker, outputs on their way from it. Each
//! file is sealed with a key of its own, which is in memory alone: what a killed process leaves can
//! be read by nobody.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::protocol::Digest;
use crate::sealed::{FileKey, SealedFile, SealedWriter, open_len};

const PREFIX: &str = "driveway-pool-";

/// A folder that only our user can enter. It goes when nobody needs anything in it any more.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    next: AtomicU64,
}

impl Folder {
    /// A new folder in the system's one for temporary files; what killed processes left there is
    /// removed.
    pub fn new() -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let parent = std::env::temp_dir();
        sweep(&parent);
        loop {
            let n = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("{PREFIX}{}-{n}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path, next: AtomicU64::new(0) }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// A file to be written, with a key of its own.
    pub fn file(self: &Arc<Self>) -> io::Result<Output> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.path.join(n.to_string());
        let key = FileKey::random()?;
        File::options().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Output(Arc::new(Kept { path, key, _folder: Arc::clone(self) })))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Left for the next sweep if it fails.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes the folders of processes that are gone. Best effort.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        let Some(pid) = pid.and_then(|pid| pid.parse::<u32>().ok()) else { continue };
        if Path::new("/proc/self").exists() && !Path::new(&format!("/proc/{pid}")).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[derive(Debug)]
struct Kept {
    path: PathBuf,
    key: FileKey,
    _folder: Arc<Folder>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        // It goes with its folder otherwise.
        let _ = fs::remove_file(&self.path);
    }
}

/// What a run made, or is to work on: a sealed file in a private folder. The last handle on it takes
/// file and key with it. Two are equal if their bytes are.
#[derive(Clone, Debug)]
pub struct Output(Arc<Kept>);

impl Output {
    /// Where the sealed bytes are.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    pub(crate) fn key(&self) -> &FileKey {
        &self.0.key
    }

    /// Seals what is written to it. It is written once.
    pub(crate) fn writer(&self) -> io::Result<SealedWriter<File>> {
        SealedWriter::new(File::options().write(true).open(self.path())?, self.key())
    }

    /// The bytes, from any place.
    ///
    /// # Errors
    /// When there is no whole file.
    pub fn open(&self) -> io::Result<SealedFile> {
        SealedFile::open(File::open(self.path())?, self.key())
    }

    /// Bytes in it.
    ///
    /// # Errors
    /// When there is no whole file.
    pub fn size(&self) -> io::Result<u64> {
        let len = open_len(fs::metadata(self.path())?.len());
        len.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "a file is not whole"))
    }

    /// The digest of the bytes.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn digest(&self) -> io::Result<Digest> {
        Digest::of_reader(&mut self.open()?)
    }

    /// All of it, in memory: for what is known to be small.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        let mut file = self.open()?;
        let mut bytes = Vec::with_capacity(usize::try_from(file.size()).unwrap_or(0));
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl PartialEq for Output {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || matches!((self.read(), other.read()), (Ok(one), Ok(two)) if one == two)
    }
}

impl Eq for Output {}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn files_are_private_and_go_with_their_last_handle() {
        let folder = Arc::new(Folder::new().unwrap());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder.path), 0o700);
        let [one, two] = [0; 2].map(|_| folder.file().unwrap());
        assert_eq!(mode(one.path()), 0o600);
        assert!(one.size().is_err(), "it was not written yet");
        let write = |file: &Output, text: &str| {
            let mut writer = file.writer().unwrap();
            writer.write_all(text.as_bytes()).unwrap();
            writer.finish().unwrap();
        };
        write(&one, "x");
        write(&two, "");
        assert_ne!(one, two);
        assert_eq!((one.size().unwrap(), two.size().unwrap()), (1, 0));
        assert_ne!(one.key(), two.key());
        assert_eq!(one.digest().unwrap(), Digest::of(b"x"));
        let gone = two.path().to_owned();
        drop(two);
        assert!(!gone.exists() && one.path().exists());
        let path = folder.path.clone();
        drop(folder);
        assert_eq!(one.read().unwrap(), b"x", "an output outlives its pool");
        drop(one);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_process_left_is_swept() {
        // No process has this number: it is over the kernel's bound.
        let left = std::env::temp_dir().join(format!("{PREFIX}4194999-0"));
        fs::create_dir_all(&left).unwrap();
        drop(Folder::new().unwrap());
        assert!(!left.exists());
    }
}
