//! X25519 (RFC 7748) with the check that the peer contributed.

use weir_crypto::x25519::{Multiply, Point, x25519};
use zeroize::Zeroizing;

/// Independent products of private keys and points, computed together; None if one of them is all zero, as it is for
/// every point of low order (RFC 7748 section 6.1).
pub(crate) fn each<const N: usize>(factors: [(&[u8; 32], Point<'_>); N]) -> Option<[Zeroizing<[u8; 32]>; N]> {
    let mut products: [Zeroizing<[u8; 32]>; N] = core::array::from_fn(|_| Zeroizing::default());
    let mut outs = products.iter_mut();
    let mut batch = factors.map(|(scalar, point)| Multiply {
        scalar,
        point,
        out: outs.next().expect("as many products as factors"),
        contributory: false,
    });
    x25519(&mut batch);
    let all = batch.iter().all(|done| done.contributory);
    all.then_some(products)
}

/// DH(private, public); None if it is all zero.
pub(crate) fn dh(private: &[u8; 32], public: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
    each([(private, Point::At(public))]).map(|[secret]| secret)
}

/// The public key of a private one.
pub(crate) fn public(private: &[u8; 32]) -> [u8; 32] {
    let [public] = each([(private, Point::Base)]).expect("the base point is of high order");
    *public
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
            // Also beside others.
            let points = [Point::Base, Point::At(&point), Point::Base];
            assert!(each(points.map(|point| (&[7; 32], point))).is_none());
        }
    }
}
