//! The car's Ed25519 key: made on the car, never sent, in a file that is its owner's alone.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::rand;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD as BASE64_URL};
use serde_json::json;
use thiserror::Error;

use crate::protocol::Digest;

/// Whom an assertion is for.
pub const AUDIENCE: &str = "driveway-cars";
/// The `typ` of an assertion.
pub const ASSERTION_TYPE: &str = "car+jwt";
/// Seconds that an assertion is good for.
const ASSERTION_S: i64 = 60;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----\n";
const END: &str = "-----END PRIVATE KEY-----\n";

#[derive(Debug, Error)]
pub enum KeyError {
    #[error("the key's file: {0}")]
    File(#[from] std::io::Error),
    #[error("the key's file is no Ed25519 key in PKCS#8")]
    Malformed,
    #[error("no key could be made")]
    Generate,
}

/// A private key. Nothing shows it.
pub struct Key {
    pair: Ed25519KeyPair,
    pkcs8: Vec<u8>,
}

impl Key {
    /// A new key, in memory only.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::Generate)?;
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| KeyError::Generate)?.as_ref().to_vec();
        Ok(Self { pair, pkcs8 })
    }

    /// Writes the key as PKCS#8 in PEM, readable by its owner alone. A file that is there is not
    /// written over: it may be the key of a car at work.
    ///
    /// # Errors
    /// If the file exists or cannot be written.
    pub fn create(&self, path: &Path) -> Result<(), KeyError> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let text = format!("{BEGIN}{}\n{END}", BASE64_STANDARD.encode(&self.pkcs8));
        file.write_all(text.as_bytes())?;
        Ok(file.sync_all()?)
    }

    /// Reads what [`Self::create`] wrote.
    ///
    /// # Errors
    /// If there is no such file, or no key in it.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let mut text = String::new();
        File::open(path)?.take(4096).read_to_string(&mut text)?;
        let inner = text.trim_start().strip_prefix(BEGIN.trim_end());
        let inner = inner.and_then(|text| text.trim_end().strip_suffix(END.trim_end()));
        let inner: String =
            inner.ok_or(KeyError::Malformed)?.chars().filter(|c| !c.is_whitespace()).collect();
        let pkcs8 = BASE64_STANDARD.decode(inner).map_err(|_| KeyError::Malformed)?;
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|_| KeyError::Malformed)?;
        Ok(Self { pair, pkcs8 })
    }

    /// The 32 bytes of the public key.
    pub fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// SHA-256 of the public key, in hexadecimal: by it the platform knows the car.
    pub fn id(&self) -> String {
        Digest::of(self.public()).0
    }

    /// Shows that who has this key was given that code.
    pub fn prove(&self, code: &str) -> Vec<u8> {
        self.pair.sign(&enrolment_message(code, self.public())).as_ref().to_vec()
    }

    /// A `private_key_jwt` (RFC 7523) that is good for a minute from `now_s`, seconds of Unix time
    /// as the platform has it, and for one use.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn assertion(&self, now_s: i64) -> Result<String, KeyError> {
        let mut jti = [0; 16];
        rand::fill(&mut jti).map_err(|_| KeyError::Generate)?;
        let id = self.id();
        let header = json!({ "alg": "EdDSA", "typ": ASSERTION_TYPE, "kid": id });
        let claims = json!({
            "iss": id, "sub": id, "aud": AUDIENCE, "jti": hex::encode(jti),
            "iat": now_s, "exp": now_s + ASSERTION_S,
        });
        let encode = |part: serde_json::Value| BASE64_URL.encode(part.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = BASE64_URL.encode(self.pair.sign(signed.as_bytes()));
        Ok(format!("{signed}.{signature}"))
    }
}

/// What a car signs when it is enrolled: for this code, with this key.
pub fn enrolment_message(code: &str, public: &[u8]) -> Vec<u8> {
    [b"driveway enrolment\0", code.as_bytes(), b"\0", public].concat()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_its_owners_alone_and_never_written_over() {
        let file = std::env::temp_dir().join(format!("car-{}.pem", std::process::id()));
        let key = Key::generate().unwrap();
        key.create(&file).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Key::load(&file).unwrap().id(), key.id());
        assert!(matches!(Key::generate().unwrap().create(&file), Err(KeyError::File(_))));
        std::fs::write(&file, "nothing").unwrap();
        assert!(matches!(Key::load(&file), Err(KeyError::Malformed)));
        std::fs::remove_file(&file).unwrap();
    }

    #[test]
    fn no_assertion_is_like_another() {
        let key = Key::generate().unwrap();
        assert_ne!(key.assertion(7).unwrap(), key.assertion(7).unwrap());
    }
}
