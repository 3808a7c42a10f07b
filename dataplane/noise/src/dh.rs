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

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7748 section 5.2, the iterated test's first step: scalar and point are both 9.
    #[test]
    fn the_published_vector_holds() {
        let text = "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079";
        let expected = core::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap());
        let mut nine = [0; 32];
        nine[0] = 9;
        assert_eq!(public(&nine), expected);
        assert_eq!(dh(&nine, &nine).as_deref(), Some(&expected));
    }

    /// Catches a shared secret that anyone can compute.
    #[test]
    fn points_of_low_order_are_refused() {
        let mut one = [0; 32];
        one[0] = 1;
        for point in [[0; 32], one] {
            assert!(dh(&[7; 32], &point).is_none());
        }
    }
}
