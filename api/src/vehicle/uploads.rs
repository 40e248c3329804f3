//! Uploads of cars that were cut: each goes on where it stopped, in this process. Elsewhere, or after
//! a restart, it begins anew, which the car finds out by asking how much there is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::web;
use futures_util::StreamExt;
use store::{Timestamp, VehicleId};
use vehicle::protocol::Digest;

use crate::blobs::{BlobError, Blobs, Upload};
use crate::body::broken;
use crate::problem::{Code, Problem, Result};

/// The most that wait, at up to 5 MiB of memory each; beyond it the oldest is thrown away.
const MAX_PARKED: usize = 32;
/// How long one waits, microseconds: as long as a car's token lives.
const WAITS_US: i64 = 15 * 60 * 1_000_000;

/// At most one of each car.
#[derive(Clone, Default)]
pub struct Uploads(Arc<Mutex<HashMap<VehicleId, Parked>>>);

struct Parked {
    upload: Upload,
    at: Timestamp,
}

/// What a request says that it brings: the bytes from `from` to the end of `size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    pub from: u64,
    pub size: u64,
}

impl Rest {
    /// From a `Content-Range`: `bytes 3-9/10`, to the end, or `bytes */0`. None for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (span, size) = text.strip_prefix("bytes ")?.split_once('/')?;
        let size: u64 = size.parse().ok()?;
        if span == "*" {
            return (size == 0).then_some(Self { from: 0, size });
        }
        let (from, last) = span.split_once('-')?;
        let (from, last): (u64, u64) = (from.parse().ok()?, last.parse().ok()?);
        (from <= last && last.checked_add(1) == Some(size)).then_some(Self { from, size })
    }
}

impl Uploads {
    /// Bytes of this blob that have come from the car and wait for the rest.
    pub fn offset(&self, car: VehicleId, digest: &Digest) -> u64 {
        let parked = self.lock();
        let own = parked.get(&car).filter(|parked| parked.upload.is_of(digest));
        own.map_or(0, |parked| parked.upload.size() as u64)
    }

    /// Takes a blob of at most `most` bytes, whole or from where it was cut. Answers its size.
    ///
    /// # Errors
    /// `wrong_offset`: not so much has come, or more; `body_too_large`; `digest_mismatch`. What was
    /// cut waits for the rest.
    pub async fn receive(
        &self,
        blobs: &Blobs,
        (car, now): (VehicleId, Timestamp),
        (digest, rest): (&Digest, Option<Rest>),
        most: u64,
        mut body: web::Payload,
    ) -> Result<usize> {
        if rest.is_some_and(|rest| rest.size > most) {
            return Err(BlobError::TooLarge.into());
        }
        let from = rest.map_or(0, |rest| rest.from);
        let upload = match self.take(car, digest, from)? {
            Some(upload) => upload,
            None => blobs.upload(digest).await?,
        };
        let mut coming = Coming { upload: Some(upload), of: self.clone(), car, now };
        let most = rest.map_or(most, |rest| rest.size);
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(broken)?;
            coming.write(piece, most).await?;
        }
        if rest.is_some_and(|rest| coming.size() < rest.size) {
            return Err(Problem::new(Code::InvalidBody).detail("The transfer was cut."));
        }
        match coming.upload.take() {
            Some(upload) => Ok(upload.finish().await?),
            None => Err(Problem::internal("an upload without its bytes")),
        }
    }

    fn take(&self, car: VehicleId, digest: &Digest, from: u64) -> Result<Option<Upload>> {
        let mut parked = self.lock();
        let fits =
            |parked: &Parked| parked.upload.is_of(digest) && parked.upload.size() as u64 == from;
        match parked.get(&car).is_some_and(fits) {
            true => Ok(parked.remove(&car).map(|parked| parked.upload)),
            false if from == 0 => {
                parked.remove(&car);
                Ok(None)
            }
            false => Err(Problem::new(Code::WrongOffset)),
        }
    }

    fn park(&self, car: VehicleId, upload: Upload, at: Timestamp) {
        let mut parked = self.lock();
        parked.retain(|_, parked| at.since(parked.at) < WAITS_US);
        if parked.len() >= MAX_PARKED
            && let Some(oldest) = parked.iter().min_by_key(|(_, parked)| parked.at)
        {
            let oldest = *oldest.0;
            parked.remove(&oldest);
        }
        parked.insert(car, Parked { upload, at });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<VehicleId, Parked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An upload while its bytes come. However that ends, also with the request thrown away in the
/// middle, what came is not lost.
struct Coming {
    upload: Option<Upload>,
    of: Uploads,
    car: VehicleId,
    now: Timestamp,
}

impl Coming {
    fn size(&self) -> u64 {
        self.upload.as_ref().map_or(0, |upload| upload.size() as u64)
    }

    async fn write(&mut self, piece: web::Bytes, most: u64) -> Result<()> {
        if self.size() + piece.len() as u64 > most {
            self.upload = None;
            return Err(BlobError::TooLarge.into());
        }
        match &mut self.upload {
            Some(upload) => Ok(upload.write(piece).await?),
            None => Err(Problem::internal("an upload without its bytes")),
        }
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take().filter(|upload| upload.goes_on()) {
            self.of.park(self.car, upload, self.now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_to_the_end_or_not_at_all() {
        let rest = |from, size| Some(Rest { from, size });
        for (text, expected) in [
            ("bytes 0-9/10", rest(0, 10)),
            ("bytes 3-9/10", rest(3, 10)),
            ("bytes */0", rest(0, 0)),
            ("bytes */10", None),
            ("bytes 3-8/10", None),
            ("bytes 9-3/10", None),
            ("bytes 0-18446744073709551615/0", None),
            ("bytes -1-9/10", None),
            ("items 0-9/10", None),
            ("bytes 0-9/*", None),
            ("", None),
        ] {
            assert_eq!(Rest::parse(text), expected, "{text}");
        }
    }
}
