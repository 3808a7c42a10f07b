//! Passwords: argon2id with the parameters of OWASP's cheat sheet (19 MiB, two passes), few at the same time, so that
//! logins cost neither the machine's memory nor its cores.

use crate::limits::{HASHES_AT_ONCE, HASHES_WAITING, PASSWORD_MIN};
use crate::types::{FieldProblem, Secret};
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use core::fmt;
use std::sync::Arc;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Why a password was not hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Too many wait already.
    #[error("too many passwords wait to be verified")]
    Busy,
    /// The library refused.
    #[error("a password could not be hashed")]
    Failed,
}

/// Hashes and verifies passwords, [`HASHES_AT_ONCE`] at the same time.
pub struct Hasher {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// What the passwords of unknown names are verified against, so that they take as long as others.
    nobody: Zeroizing<String>,
}

/// The hash of a password as an argon2id PHC string. Takes some 20 ms and 19 MiB.
pub fn hash(password: &Secret) -> Result<Zeroizing<String>, HashError> {
    let hash: PasswordHash = Argon2::default()
        .hash_password(password.expose().as_bytes())
        .map_err(|_| HashError::Failed)?;
    Ok(Zeroizing::new(hash.to_string()))
}

/// Whether a password has this hash.
fn verify(password: &Secret, hash: &str) -> bool {
    let verified = |hash| {
        Argon2::default()
            .verify_password(password.expose().as_bytes(), &hash)
            .is_ok()
    };
    PasswordHash::new(hash).is_ok_and(verified)
}

/// Judges a new password or passphrase in the field `field`.
pub fn judge(field: &str, password: &Secret, name: Option<&str>) -> Result<(), FieldProblem> {
    if password.expose().chars().count() < PASSWORD_MIN {
        return Err(FieldProblem::silent(
            field,
            format!("at least {PASSWORD_MIN} characters"),
        ));
    }
    if name.is_some_and(|name| password.expose().eq_ignore_ascii_case(name)) {
        return Err(FieldProblem::silent(field, "something else than the user's name"));
    }
    Ok(())
}

impl Hasher {
    /// Hashes one password that nobody has.
    pub fn new() -> Result<Self, HashError> {
        Ok(Self {
            running: Arc::new(Semaphore::new(HASHES_AT_ONCE)),
            waiting: Arc::new(Semaphore::new(HASHES_WAITING)),
            nobody: hash(&Secret::new("a password that no user has".to_owned()))?,
        })
    }

    /// The hash of a password.
    pub async fn hash(&self, password: Secret) -> Result<Zeroizing<String>, HashError> {
        self.run(move || hash(&password)).await?
    }

    /// Whether a password has this hash; takes as long where there is none, and says no.
    pub async fn verify(&self, password: Secret, hash: Option<Zeroizing<String>>) -> Result<bool, HashError> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.clone());
        self.run(move || verify(&password, &hash) & known).await
    }

    /// The permits travel with the computation: a caller that goes away does not free its place before it is done.
    async fn run<T: Send + 'static>(
        &self,
        compute: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let waiting = Arc::clone(&self.waiting)
            .try_acquire_owned()
            .map_err(|_| HashError::Busy)?;
        let running = Arc::clone(&self.running)
            .acquire_owned()
            .await
            .map_err(|_| HashError::Failed)?;
        let computed = tokio::task::spawn_blocking(move || {
            let computed = compute();
            drop((running, waiting));
            computed
        });
        computed.await.map_err(|_| HashError::Failed)
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    // Catches a hash that anything opens, one that nothing opens, and a way in by the password of nobody.
    #[tokio::test]
    async fn a_password_opens_its_own_hash_alone() {
        let hasher = Hasher::new().unwrap();
        let hash = hasher.hash(secret("correct horse")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", *hash);
        assert_eq!(
            hasher.verify(secret("correct horse"), Some(hash.clone())).await,
            Ok(true)
        );
        assert_eq!(
            hasher.verify(secret("correct horsE"), Some(hash)).await,
            Ok(false)
        );
        assert_eq!(
            hasher.verify(secret("a password that no user has"), None).await,
            Ok(false)
        );
        let broken = Zeroizing::new("$argon2id$".to_owned());
        assert_eq!(hasher.verify(secret(""), Some(broken)).await, Ok(false));
    }

    // Catches logins that together take all memory and cores.
    #[tokio::test]
    async fn few_are_hashed_at_once_and_few_wait() {
        let hasher = Hasher::new().unwrap();
        let all = (0..HASHES_WAITING + 1).map(|_| hasher.verify(secret("x"), None));
        let answers = futures_util::future::join_all(all).await;
        assert_eq!(answers.iter().filter(|a| **a == Err(HashError::Busy)).count(), 1);
        assert_eq!(hasher.running.available_permits(), HASHES_AT_ONCE);
        assert_eq!(hasher.waiting.available_permits(), HASHES_WAITING);
    }

    // Catches a password that is too short or is the name.
    #[test]
    fn weak_passwords_are_refused_and_not_repeated() {
        assert!(judge("new", &secret("1234567890"), Some("alice")).is_ok());
        for (password, name) in [("123456789", None), ("Administrator", Some("administrator"))] {
            let problem = judge("new", &secret(password), name).unwrap_err();
            assert_eq!((problem.field.as_str(), problem.value), ("new", None));
        }
    }
}
