//! How records are sealed: the sealing key from outside wraps a file's root key, from which all its other keys derive.
//!
//! The sealing key never touches a record, so that it is changed by wrapping the root key anew. Data keys are numbered
//! by epochs; a new epoch begins long before random nonces of 96 bits could meet (NIST SP 800-38D section 8.3 allows
//! 2^32 under one key).

mod aead;
mod key_file;
mod root;

pub use aead::Algorithm;
pub use key_file::{KeyOrigin, SealingKeyError};
pub use root::{KeyId, SealingKey};

pub(crate) use aead::{Cipher, NONCE_LEN, OpenError, TAG_LEN};
pub(crate) use root::{RootKey, WRAPPED_LEN};

/// Random bytes from the kernel.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the kernel has random numbers once it has booted");
    bytes
}
