//! Blobs: programs, inputs, outputs, checkpoints, named by the SHA-256 of their bytes.
//!
//! [`Blobs`] keeps bytes and knows no tenants: the embedded cars use it directly. Who may read a
//! blob over HTTP is a row per party in the table `blob`, which a party gets by showing the bytes
//! once. A digest alone opens nothing.

mod handlers;
mod keeper;
pub mod store;

pub use handlers::configure;
pub use keeper::{BlobError, Blobs, MAX_BLOB, Upload, parse_digest};
