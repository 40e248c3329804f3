//! Bytes on their way, no faster than the platform wants.

use std::io::{self, ErrorKind, Read, Write};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::TransportError;

const PIECE: usize = 64 << 10;

/// Passes on what it reads at no more than `per_s` bytes a second on the average.
pub struct Slow<R> {
    inner: R,
    per_s: u64,
    since: Instant,
    passed: u64,
}

impl<R> Slow<R> {
    pub fn new(inner: R, per_s: u64) -> Self {
        Self { inner, per_s: per_s.max(1), since: Instant::now(), passed: 0 }
    }
}

impl<R: Read> Read for Slow<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(PIECE);
        let read = self.inner.read(&mut into[..most])?;
        self.passed += read as u64;
        let due_us = u128::from(self.passed) * 1_000_000 / u128::from(self.per_s);
        let due = Duration::from_micros(u64::try_from(due_us).unwrap_or(u64::MAX));
        if let Some(wait) = due.checked_sub(self.since.elapsed()) {
            sleep(wait);
        }
        Ok(read)
    }
}

/// Copies all, at most `most` bytes.
///
/// # Errors
/// Refused if there are more; on the car if they cannot be written; else the network's.
pub fn copy(from: impl Read, into: &mut dyn Write, most: u64) -> Result<u64, TransportError> {
    let mut from = from.take(most.saturating_add(1));
    let mut piece = vec![0; PIECE];
    let mut all = 0;
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) => return Ok(all),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(TransportError::Unreachable(error.to_string())),
        };
        all += read as u64;
        if all > most {
            return Err(TransportError::Refused("more bytes than a blob may have".into()));
        }
        into.write_all(&piece[..read]).map_err(TransportError::on_the_car)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_as_slow_as_asked_and_no_larger() {
        let start = Instant::now();
        let mut got = Vec::new();
        copy(Slow::new(&[7_u8; 200_000][..], 1_000_000), &mut got, 200_000).unwrap();
        assert_eq!(got, vec![7; 200_000]);
        assert!(start.elapsed() >= Duration::from_millis(200));
        assert!(copy(&[7_u8; 11][..], &mut io::sink(), 10).is_err());
    }
}
