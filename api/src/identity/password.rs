//! Passwords: argon2id with 19 MiB, 2 passes, 1 lane (OWASP's first choice). Slow on purpose:
//! call it on a blocking thread and never inside a transaction.

use std::sync::LazyLock;

use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};

use crate::problem::{Problem, Result};

/// A hash that no password has: what an unknown address is checked against, so that it takes the
/// same time as a known one.
static NOBODY: LazyLock<String> =
    LazyLock::new(|| hash("nobody has this password").unwrap_or_default());

fn hasher() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

/// A PHC string with a new salt.
pub fn hash(password: &str) -> Result<String> {
    let hash = hasher().hash_password(password.as_bytes()).map_err(Problem::internal)?;
    Ok(hash.to_string())
}

/// Compares with the stored hash, or with nobody's.
pub fn verify(password: &str, stored: Option<&str>) -> bool {
    let known = PasswordHash::new(stored.unwrap_or(&NOBODY))
        .is_ok_and(|hash| hasher().verify_password(password.as_bytes(), &hash).is_ok());
    known && stored.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_verifies() {
        let stored = hash("correct horse battery").unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(verify("correct horse battery", Some(&stored)));
        assert!(!verify("correct horse", Some(&stored)));
        assert!(!verify("nobody has this password", None));
        assert!(!verify("x", Some("not a hash")));
    }
}
