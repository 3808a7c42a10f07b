//! X25519 (RFC 7748) with the check that the peer contributed.

use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

/// DH(private, public); None if the result is all zero, as it is for every
/// point of low order (RFC 7748 section 6.1).
pub(crate) fn dh(private: &[u8; 32], public: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
    let shared = StaticSecret::from(*private).diffie_hellman(&PublicKey::from(*public));
    shared
        .was_contributory()
        .then(|| Zeroizing::new(shared.to_bytes()))
}

/// The public key of a private one.
pub(crate) fn public(private: &[u8; 32]) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*private)).to_bytes()
}
