//! What a back end must do right on this machine before it is used.

use crate::batch::{Aead, Key, Open, Plaintext, Seal, TAG_BYTES};
use crate::portable_backend::Portable;

/// Lengths on both sides of every boundary: of Poly1305's blocks, of ChaCha20's, of eight and of sixteen of these.
const LENGTHS: [usize; 24] = [
    0, 1, 15, 16, 17, 31, 48, 63, 64, 65, 80, 127, 128, 129, 255, 256, 320, 511, 512, 513, 576, 1023, 1440,
    2048,
];

/// The longest.
const MOST: usize = LENGTHS[LENGTHS.len() - 1];

/// A known answer, so that not all of them are wrong together: the tag of the bytes 0 to 112 under the key 0 to 31 and
/// the counter 7, as the RustCrypto implementation computes it.
const KNOWN: [u8; TAG_BYTES] = [
    96, 54, 170, 32, 144, 184, 216, 127, 119, 48, 77, 206, 96, 82, 203, 148,
];

/// Whether it seals as the oracle does, opens what that sealed, and refuses a forgery alone.
pub(crate) fn passes(aead: &dyn Aead) -> bool {
    knows(aead) && [1, 3, 8, LENGTHS.len()].iter().all(|batch| agrees(aead, *batch))
}

fn knows(aead: &dyn Aead) -> bool {
    let key: Key = core::array::from_fn(|byte| byte as u8);
    let plain: [u8; 113] = core::array::from_fn(|byte| byte as u8);
    let mut out = [0; 113 + TAG_BYTES];
    aead.seal(&mut [Seal {
        key: &key,
        counter: 7,
        plaintext: Plaintext::At(&plain),
        out: &mut out,
    }]);
    out.ends_with(&KNOWN)
}

// The lengths in batches of so many; in each batch of sealed packets one is forged.
fn agrees(aead: &dyn Aead, batch: usize) -> bool {
    let plain: Vec<u8> = (0..MOST).map(|byte| (byte * 7 + byte / 256) as u8).collect();
    LENGTHS.chunks(batch).all(|lengths| {
        let keys: Vec<Key> = lengths.iter().map(|len| [*len as u8 ^ 0x5a; 32]).collect();
        let expected = sealed(&Portable, lengths, &keys, &plain);
        let mut received = sealed(aead, lengths, &keys, &plain);
        if received != expected {
            return false;
        }
        let forged = lengths.len() / 2;
        received[forged][lengths[forged]] ^= 1;
        opens_all_but(forged, aead, &keys, &received, &plain)
    })
}

fn sealed(aead: &dyn Aead, lengths: &[usize], keys: &[Key], plain: &[u8]) -> Vec<Vec<u8>> {
    let mut outs: Vec<Vec<u8>> = lengths.iter().map(|len| vec![0xaa; len + TAG_BYTES]).collect();
    let packets = outs.iter_mut().zip(lengths).zip(keys);
    let mut jobs: Vec<Seal<'_>> = (1 << 32..)
        .zip(packets)
        .map(|(counter, ((out, len), key))| Seal {
            key,
            counter,
            plaintext: Plaintext::At(&plain[..*len]),
            out,
        })
        .collect();
    aead.seal(&mut jobs);
    outs
}

fn opens_all_but(forged: usize, aead: &dyn Aead, keys: &[Key], received: &[Vec<u8>], plain: &[u8]) -> bool {
    let mut outs: Vec<Vec<u8>> = received
        .iter()
        .map(|sealed| vec![0xaa; sealed.len() - TAG_BYTES])
        .collect();
    let packets = outs.iter_mut().zip(received).zip(keys);
    let mut jobs: Vec<Open<'_>> = (1 << 32..)
        .zip(packets)
        .map(|(counter, ((out, ciphertext), key))| Open {
            key,
            counter,
            ciphertext,
            out,
            authentic: false,
        })
        .collect();
    aead.open(&mut jobs);
    jobs.iter().enumerate().all(|(packet, job)| {
        let right = match packet == forged {
            true => job.out.iter().all(|byte| *byte == 0),
            false => *job.out == plain[..job.out.len()],
        };
        right && job.authentic == (packet != forged)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chacha20poly1305::aead::{Aead as _, KeyInit};
    use chacha20poly1305::{ChaCha20Poly1305, Nonce};

    /// Catches a known answer that is none.
    #[test]
    fn the_known_answer_is_anothers() {
        let key: Key = core::array::from_fn(|byte| byte as u8);
        let plain: Vec<u8> = (0..113).collect();
        let nonce = Nonce::from([0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
        let sealed = ChaCha20Poly1305::new(&key.into())
            .encrypt(&nonce, &plain[..])
            .expect("it seals");
        assert_eq!(sealed[113..], KNOWN);
    }

    /// Wrong in one way.
    struct Wrong(fn(&mut Open<'_>), fn(&mut Seal<'_>));

    impl Aead for Wrong {
        fn name(&self) -> &'static str {
            "wrong"
        }

        fn seal(&self, batch: &mut [Seal<'_>]) {
            Portable.seal(batch);
            batch.iter_mut().for_each(self.1);
        }

        fn open(&self, batch: &mut [Open<'_>]) {
            Portable.open(batch);
            batch.iter_mut().for_each(self.0);
        }
    }

    /// Catches a self-test that lets something wrong pass: a tag, a text, a forgery, a plaintext of one.
    #[test]
    fn nothing_wrong_passes() {
        let right = Wrong(|_| {}, |_| {});
        assert!(passes(&right));
        let wrong_tag = Wrong(
            |_| {},
            |job| job.out.last_mut().into_iter().for_each(|byte| *byte ^= 1),
        );
        let wrong_text = Wrong(
            |_| {},
            |job| {
                if job.out.len() == 2048 + TAG_BYTES {
                    job.out[2000] ^= 1;
                }
            },
        );
        let all_pass = Wrong(|job| job.authentic = true, |_| {});
        let leaks = Wrong(
            |job| {
                if !job.authentic {
                    job.out.fill(1)
                }
            },
            |_| {},
        );
        for wrong in [wrong_tag, wrong_text, all_pass, leaks] {
            assert!(!passes(&wrong));
        }
    }
}
