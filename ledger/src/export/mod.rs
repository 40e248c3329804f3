//! The book as text for other programs, streamed page by page in order of posting.

use std::io::Write;

use store::Tx;

use crate::Result;

/// One row per entry, RFC 4180 with a header.
///
/// # Errors
/// [`crate::Error::Output`], faults of storage.
pub fn csv(tx: &mut Tx<'_>, out: &mut dyn Write) -> Result<()> {
    let _ = (tx, out);
    Ok(())
}

/// A journal that `hledger check --strict` accepts.
///
/// # Errors
/// [`crate::Error::Output`], faults of storage.
pub fn hledger(tx: &mut Tx<'_>, out: &mut dyn Write) -> Result<()> {
    let _ = (tx, out);
    Ok(())
}
