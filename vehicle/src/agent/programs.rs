//! Programs on the car's disk, so that none is fetched twice. Each is sealed with a key that comes
//! with an order and is kept in memory only: without a later order nobody can read it, the car's own
//! agent included. Bounded: what was used longest ago goes first.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use crate::pool::lock;
use crate::protocol::Digest;
use crate::sealed::{FileKey, SealedFile, SealedWriter, sealed_len};

/// What a file is called before it is whole.
const UNFINISHED: &str = "unfinished";

/// A folder of sealed programs. One agent's alone.
#[derive(Debug)]
pub struct Programs {
    folder: PathBuf,
    max_bytes: u64,
    /// One at a time, so that the bound holds.
    writes: Mutex<()>,
}

impl Programs {
    /// Opens the folder, made if missing, for at most so many bytes of files.
    ///
    /// # Errors
    /// When it cannot be made or looked at.
    pub fn open(folder: &Path, max_bytes: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let programs = Self { folder: folder.to_owned(), max_bytes, writes: Mutex::new(()) };
        programs.make_room(0)?;
        Ok(programs)
    }

    /// The program, if it is here and as it was. One that is not is removed: it is fetched anew.
    pub fn get(&self, digest: &Digest, key: &FileKey) -> Option<Vec<u8>> {
        let path = self.path(digest)?;
        let file = File::open(&path).ok()?;
        // Its turn to go is later now; if not, it is fetched once more.
        let _ = file.set_modified(SystemTime::now());
        let mut bytes = Vec::new();
        let read = SealedFile::open(file, key).and_then(|mut file| file.read_to_end(&mut bytes));
        if read.is_ok() && Digest::of(&bytes) == *digest {
            return Some(bytes);
        }
        let _ = fs::remove_file(path);
        None
    }

    /// Keeps a program whose digest was verified, if there is room for it.
    ///
    /// # Errors
    /// When it cannot be written; nothing is left then.
    pub fn keep(&self, digest: &Digest, key: &FileKey, bytes: &[u8]) -> io::Result<()> {
        let Some(path) = self.path(digest) else { return Ok(()) };
        let size = sealed_len(bytes.len() as u64);
        if size > self.max_bytes {
            return Ok(());
        }
        let _alone = lock(&self.writes);
        self.make_room(size)?;
        let unfinished = self.folder.join(UNFINISHED);
        let mut options = File::options();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        let mut writer = SealedWriter::new(file, key)?;
        writer.write_all(bytes)?;
        writer.finish()?;
        fs::rename(unfinished, path)
    }

    /// Wipes a program.
    pub fn forget(&self, digest: &Digest) {
        if let Some(path) = self.path(digest) {
            let _ = fs::remove_file(path);
        }
    }

    /// None for what is no digest: it could be a path.
    fn path(&self, digest: &Digest) -> Option<PathBuf> {
        let plain = digest.0.len() == 64 && digest.0.bytes().all(|b| b.is_ascii_hexdigit());
        plain.then(|| self.folder.join(&digest.0))
    }

    /// Removes what was used longest ago until so many bytes more fit.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let about = entry.metadata()?;
            if entry.file_name() == UNFINISHED {
                fs::remove_file(entry.path())?;
            } else if about.is_file() {
                files.push((about.modified()?, about.len(), entry.path()));
            }
        }
        files.sort();
        let mut all: u64 = files.iter().map(|(_, len, _)| len).sum();
        for (_, len, path) in files {
            if all.saturating_add(bytes) <= self.max_bytes {
                break;
            }
            fs::remove_file(path)?;
            all -= len;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("programs-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    fn on_disk(folder: &Path) -> Vec<Vec<u8>> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
    }

    #[test]
    fn a_program_is_read_with_its_key_alone_and_again_after_a_restart() {
        let folder = folder("key");
        let (program, key) = (b"a program of the customer's".repeat(9_000), FileKey::new([1; 32]));
        let digest = Digest::of(&program);
        let programs = Programs::open(&folder, 1 << 20).unwrap();
        assert!(programs.get(&digest, &key).is_none());
        programs.keep(&digest, &key, &program).unwrap();
        let again = Programs::open(&folder, 1 << 20).unwrap();
        assert_eq!(again.get(&digest, &key).unwrap(), program);
        let seen = on_disk(&folder);
        assert!(seen.iter().all(|file| !file.windows(9).any(|some| some == b"a program")));
        // Without the key it is nothing, and is fetched anew with the next order.
        assert!(again.get(&digest, &FileKey::new([2; 32])).is_none());
        assert!(again.get(&digest, &key).is_none());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_changed_file_is_removed_and_a_forgotten_one_is_gone() {
        let folder = folder("changed");
        let (program, key) = (vec![7; 200_000], FileKey::new([1; 32]));
        let digest = Digest::of(&program);
        let programs = Programs::open(&folder, 1 << 20).unwrap();
        programs.keep(&digest, &key, &program).unwrap();
        let path = folder.join(&digest.0);
        let mut bytes = fs::read(&path).unwrap();
        bytes[70_000] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(programs.get(&digest, &key).is_none());
        assert!(!path.exists());
        programs.keep(&digest, &key, &program).unwrap();
        programs.forget(&digest);
        assert!(!path.exists());
        // What is no digest is no path either.
        programs.forget(&Digest("../x".into()));
        programs.keep(&Digest("../x".into()), &key, b"x").unwrap();
        assert_eq!(on_disk(&folder).len(), 0);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_bound_holds_and_what_was_used_longest_ago_goes_first() {
        let folder = folder("bound");
        let key = FileKey::new([1; 32]);
        let program = |n: u8| vec![n; 1_000];
        let keep = |programs: &Programs, n: u8| {
            programs.keep(&Digest::of(&program(n)), &key, &program(n)).unwrap();
            let file = File::open(folder.join(&Digest::of(&program(n)).0)).unwrap();
            let at = SystemTime::now() - Duration::from_secs(1_000 - u64::from(n));
            file.set_modified(at).unwrap();
        };
        let has =
            |programs: &Programs, n: u8| programs.get(&Digest::of(&program(n)), &key).is_some();
        let programs = Programs::open(&folder, 3 * sealed_len(1_000)).unwrap();
        (1..=3).for_each(|n| keep(&programs, n));
        assert!(has(&programs, 1));
        keep(&programs, 4);
        assert!(!has(&programs, 2) && has(&programs, 1) && has(&programs, 3) && has(&programs, 4));
        // What is larger than all of it is not kept, and drives nothing out.
        let large = vec![9; 4_000];
        programs.keep(&Digest::of(&large), &key, &large).unwrap();
        assert_eq!(on_disk(&folder).len(), 3);
        fs::write(folder.join(UNFINISHED), "half of a program").unwrap();
        Programs::open(&folder, sealed_len(1_000)).unwrap();
        assert_eq!(on_disk(&folder).len(), 1);
        fs::remove_dir_all(folder).unwrap();
    }
}
