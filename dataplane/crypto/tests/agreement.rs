//! The back end against the RustCrypto implementation: lengths, placement, padding, and forged packets.

use chacha20poly1305::aead::{Aead as _, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use weir_crypto::{Key, Open, Plaintext, Seal, TAG_BYTES, best};

fn oracle_seal(key: &[u8; 32], counter: u64, plaintext: &[u8]) -> Vec<u8> {
    let mut nonce = [0u8; 12];
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    ChaCha20Poly1305::new(key.into())
        .encrypt(&Nonce::from(nonce), plaintext)
        .expect("oracle seals")
}

fn bytes(seed: usize, len: usize) -> Vec<u8> {
    (0..len)
        .map(|i| (i.wrapping_mul(31) ^ seed.wrapping_mul(17) ^ (i >> 3)) as u8)
        .collect()
}

// Catches a wrong nonce layout, padding that is not zero, and a copy that misses a byte at any length.
#[test]
fn seals_as_the_oracle_at_every_length_padded_and_not() {
    for len in 0..600 {
        let key: [u8; 32] = bytes(len, 32).try_into().expect("32 bytes");
        let plain = bytes(len + 1, len);
        for pad in [0, (16 - len % 16) % 16] {
            let mut padded = plain.clone();
            padded.resize(len + pad, 0);
            let expected = oracle_seal(&key, len as u64 + 5, &padded);
            let mut out = vec![0xAA; len + pad + TAG_BYTES];
            best().seal(&mut [Seal {
                key: &key,
                counter: len as u64 + 5,
                plaintext: Plaintext::At(&plain),
                out: &mut out,
            }]);
            assert_eq!(out, expected, "length {len}, padding {pad}");
            let mut out = vec![0xAA; len + pad + TAG_BYTES];
            out[..len].copy_from_slice(&plain);
            best().seal(&mut [Seal {
                key: &key,
                counter: len as u64 + 5,
                plaintext: Plaintext::InPlace(len),
                out: &mut out,
            }]);
            assert_eq!(out, expected, "in place, length {len}, padding {pad}");
        }
    }
}

// Catches a forged packet that passes, yields plaintext, or spoils a neighbour in its batch.
#[test]
fn a_forged_packet_is_refused_alone_at_every_place() {
    let keys: Vec<Key> = (0..8)
        .map(|i| bytes(i, 32).try_into().expect("32 bytes"))
        .collect();
    let plain: Vec<Vec<u8>> = (0..8).map(|i| bytes(i + 50, 40 * i)).collect();
    for forged in 0..8 {
        for flip in [0, 1, 2] {
            let mut sealed: Vec<Vec<u8>> = (0..8)
                .map(|i| oracle_seal(&keys[i], i as u64, &plain[i]))
                .collect();
            let last = sealed[forged].len() - 1;
            let at = [0, last / 2, last][flip];
            sealed[forged][at] ^= 0x40;
            let mut outs: Vec<Vec<u8>> = plain.iter().map(|p| vec![0xAA; p.len()]).collect();
            let mut jobs: Vec<Open> = outs
                .iter_mut()
                .enumerate()
                .map(|(i, out)| Open {
                    key: &keys[i],
                    counter: i as u64,
                    ciphertext: &sealed[i],
                    out,
                    authentic: true,
                })
                .collect();
            best().open(&mut jobs);
            for (i, job) in jobs.iter().enumerate() {
                assert_eq!(job.authentic, i != forged);
                if i == forged {
                    assert!(job.out.iter().all(|&b| b == 0));
                } else {
                    assert_eq!(job.out, &plain[i][..]);
                }
            }
        }
    }
}
