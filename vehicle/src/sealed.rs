//! Files that nobody can read who has not got their key: what customers' blobs are on a car's disk.
//!
//! AES-256-GCM in chunks of 64 KiB, so that a file can be written as it comes and read from any
//! place. The nonce is the chunk's number and whether it is the last one: chunks cannot be swapped,
//! and a file cannot be cut. A key is of one file, or of one content, so that no nonce is used for
//! two different chunks.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

const CHUNK: usize = 64 << 10;
const TAG: usize = 16;
const SEALED_CHUNK: u64 = (CHUNK + TAG) as u64;

/// A key of 256 bits, in memory alone: nothing shows it, and it is overwritten when dropped. On the
/// wire 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct FileKey(Zeroizing<[u8; 32]>);

impl FileKey {
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A new key.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn random() -> io::Result<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        rand::fill(bytes.as_mut()).map_err(|_| io::Error::other("no randomness"))?;
        Ok(Self(bytes))
    }

    fn cipher(&self) -> io::Result<LessSafeKey> {
        let key = UnboundKey::new(&AES_256_GCM, self.0.as_ref());
        key.map(LessSafeKey::new).map_err(|_| io::Error::other("no cipher"))
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileKey(..)")
    }
}

impl Serialize for FileKey {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&Zeroizing::new(hex::encode(self.0.as_ref())))
    }
}

impl<'de> Deserialize<'de> for FileKey {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(from)?);
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.as_bytes(), bytes.as_mut())
            .map_err(|_| de::Error::custom("a key is 64 hexadecimal digits"))?;
        Ok(Self(bytes))
    }
}

/// How long the file of so many bytes is.
pub fn sealed_len(len: u64) -> u64 {
    len.saturating_add(len.div_ceil(CHUNK as u64).max(1).saturating_mul(TAG as u64))
}

/// How many bytes a file of this length holds; none for one that was not finished, or was cut.
pub fn open_len(sealed: u64) -> Option<u64> {
    let chunks = sealed.div_ceil(SEALED_CHUNK);
    let last = sealed.checked_sub(chunks.checked_sub(1)? * SEALED_CHUNK)?;
    let least = if chunks == 1 { TAG as u64 } else { TAG as u64 + 1 };
    (last >= least).then(|| sealed - chunks * TAG as u64)
}

fn nonce(chunk: u64, last: bool) -> Nonce {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&chunk.to_be_bytes());
    bytes[8] = last.into();
    Nonce::assume_unique_for_key(bytes)
}

/// Seals what is written. A file is whole only after [`Self::finish`].
pub struct SealedWriter<W> {
    into: W,
    cipher: LessSafeKey,
    /// Less than a chunk, or a full one that may be the last.
    pending: Vec<u8>,
    chunks: u64,
    len: u64,
}

impl<W: Write> SealedWriter<W> {
    /// # Errors
    /// When there is no such cipher.
    pub fn new(into: W, key: &FileKey) -> io::Result<Self> {
        let pending = Vec::with_capacity(CHUNK + TAG);
        Ok(Self { into, cipher: key.cipher()?, pending, chunks: 0, len: 0 })
    }

    /// Bytes written up to now.
    pub fn size(&self) -> u64 {
        self.len
    }

    fn seal(&mut self, last: bool) -> io::Result<()> {
        let nonce = nonce(self.chunks, last);
        let sealed = self.cipher.seal_in_place_append_tag(nonce, Aad::empty(), &mut self.pending);
        sealed.map_err(|_| io::Error::other("not sealed"))?;
        self.into.write_all(&self.pending)?;
        self.pending.clear();
        self.chunks += 1;
        Ok(())
    }

    /// Writes what is left; the file is whole.
    ///
    /// # Errors
    /// What the writer says.
    pub fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        self.into.flush()?;
        Ok(self.into)
    }
}

impl<W: Write> Write for SealedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.pending.len() == CHUNK && !bytes.is_empty() {
            self.seal(false)?;
        }
        let n = bytes.len().min(CHUNK - self.pending.len());
        self.pending.extend_from_slice(&bytes[..n]);
        self.len += n as u64;
        Ok(n)
    }

    /// What is less than a chunk waits for more.
    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}

/// A whole file, read from any place. One chunk at a time is in memory.
pub struct SealedFile {
    file: File,
    cipher: LessSafeKey,
    len: u64,
    chunks: u64,
    /// The chunk that was opened last.
    open: Option<(u64, Vec<u8>)>,
    /// Where [`Read`] goes on.
    at: u64,
}

impl SealedFile {
    /// # Errors
    /// For a file that was not finished. What is wrong in it is found when it is read.
    pub fn open(file: File, key: &FileKey) -> io::Result<Self> {
        let sealed = file.metadata()?.len();
        let len = open_len(sealed).ok_or_else(|| corrupt("is not whole"))?;
        let chunks = sealed.div_ceil(SEALED_CHUNK);
        let mut file = Self { file, cipher: key.cipher()?, len, chunks, open: None, at: 0 };
        if len == 0 {
            // No byte of it will ever be read, and it may be the rest of something.
            file.chunk(0)?;
        }
        Ok(file)
    }

    pub fn size(&self) -> u64 {
        self.len
    }

    /// Goes on reading from there.
    pub fn seek_to(&mut self, at: u64) {
        self.at = at;
    }

    /// Copies what there is from `off`: fewer bytes than `into` takes only at the end.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] if the bytes are not those that were sealed.
    pub fn read_at(&mut self, off: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < into.len() {
            let at = off.saturating_add(done as u64);
            if at >= self.len {
                break;
            }
            let chunk = self.chunk(at / CHUNK as u64)?;
            let from = (at % CHUNK as u64) as usize;
            let n = (chunk.len() - from).min(into.len() - done);
            into[done..done + n].copy_from_slice(&chunk[from..from + n]);
            done += n;
        }
        Ok(done)
    }

    fn chunk(&mut self, number: u64) -> io::Result<&[u8]> {
        let known = matches!(&self.open, Some((open, _)) if *open == number);
        if !known {
            let mut bytes = self.open.take().map(|(_, bytes)| bytes).unwrap_or_default();
            let rest = sealed_len(self.len) - number * SEALED_CHUNK;
            bytes.resize(usize::try_from(rest.min(SEALED_CHUNK)).unwrap_or(0), 0);
            self.file.read_exact_at(&mut bytes, number * SEALED_CHUNK)?;
            let nonce = nonce(number, number + 1 == self.chunks);
            let opened = self.cipher.open_in_place(nonce, Aad::empty(), &mut bytes);
            let len = opened.map_err(|_| corrupt("was changed"))?.len();
            bytes.truncate(len);
            self.open = Some((number, bytes));
        }
        Ok(self.open.as_ref().map(|(_, bytes)| bytes.as_slice()).unwrap_or_default())
    }
}

impl Read for SealedFile {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.read_at(self.at, into)?;
        self.at += n as u64;
        Ok(n)
    }
}

fn corrupt(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a file on the car {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i % 251) as u8).collect()
    }

    fn seal(bytes: &[u8], piece: usize, key: &FileKey) -> Vec<u8> {
        let mut writer = SealedWriter::new(Vec::new(), key).unwrap();
        bytes.chunks(piece).for_each(|piece| writer.write_all(piece).unwrap());
        assert_eq!(writer.size(), bytes.len() as u64);
        writer.finish().unwrap()
    }

    fn file(bytes: &[u8]) -> File {
        let path = std::env::temp_dir().join(format!(
            "sealed-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        std::fs::write(&path, bytes).unwrap();
        let file = File::open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        file
    }

    fn read(sealed: &[u8], key: &FileKey) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        SealedFile::open(file(sealed), key)?.read_to_end(&mut all)?;
        Ok(all)
    }

    #[test]
    fn what_was_sealed_is_read_from_any_place_and_seen_by_nobody_else() {
        let key = FileKey::random().unwrap();
        for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let plain = bytes(len);
            let sealed = seal(&plain, 7_001, &key);
            assert_eq!(sealed.len() as u64, sealed_len(len as u64), "{len}");
            assert_eq!(open_len(sealed.len() as u64), Some(len as u64));
            assert_eq!(read(&sealed, &key).unwrap(), plain);
            assert!(read(&sealed, &FileKey::random().unwrap()).is_err());
            for window in plain.chunks_exact(16).take(9) {
                assert!(!sealed.windows(16).any(|seen| seen == window), "{len}");
            }
            let mut file = SealedFile::open(file(&sealed), &key).unwrap();
            for off in [0, len / 2, len.saturating_sub(1), len, len + 9] {
                let mut some = vec![0; CHUNK / 2];
                let n = file.read_at(off as u64, &mut some).unwrap();
                let rest = &plain[off.min(len)..];
                assert_eq!(some[..n], rest[..n.min(rest.len())], "{len} from {off}");
                assert_eq!(n, rest.len().min(some.len()));
            }
        }
    }

    #[test]
    fn a_changed_swapped_or_cut_file_is_not_read() {
        let key = FileKey::random().unwrap();
        let sealed = seal(&bytes(2 * CHUNK + 5), 1 << 20, &key);
        let whole = CHUNK + TAG;
        for at in [0, CHUNK, whole + 3, sealed.len() - 1] {
            let mut other = sealed.clone();
            other[at] ^= 1;
            let error = read(&other, &key).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
        let swapped = [&sealed[whole..2 * whole], &sealed[..whole], &sealed[2 * whole..]].concat();
        assert!(read(&swapped, &key).is_err());
        for len in [0, TAG - 1, TAG, CHUNK, whole, whole + TAG, 2 * whole, sealed.len() - 1] {
            assert!(read(&sealed[..len], &key).is_err(), "cut to {len}");
        }
    }

    #[test]
    fn a_key_goes_over_the_wire_and_into_no_log() {
        let key = FileKey::new([7; 32]);
        let text = serde_json::to_string(&key).unwrap();
        assert_eq!(text, format!("\"{}\"", "07".repeat(32)));
        assert_eq!(serde_json::from_str::<FileKey>(&text).unwrap(), key);
        assert_eq!(format!("{key:?}"), "FileKey(..)");
        for wrong in ["\"07\"", "\"\"", "7"] {
            assert!(serde_json::from_str::<FileKey>(wrong).is_err(), "{wrong}");
        }
    }
}
