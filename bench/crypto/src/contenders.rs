//! The libraries, each behind the interface of Weir's back ends, so that all of them get the same jobs.

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, Tag};
use weir_crypto::{Aead, Open, Plaintext, Ring, Seal, TAG_BYTES};

/// One of those that are measured.
#[derive(Clone, Copy)]
pub(crate) struct Contender {
    pub(crate) aead: &'static dyn Aead,
    /// Whether it is a back end of ours, and no library.
    pub(crate) own: bool,
}

/// All of them; the first is what the others are compared with.
pub(crate) fn all() -> Vec<Contender> {
    let library = |aead| Contender { aead, own: false };
    let mut all = vec![library(&Ring)];
    #[cfg(target_arch = "x86_64")]
    {
        use weir_crypto::{Avx2, Avx512};
        let own = |aead| Contender { aead, own: true };
        let avx512 = [Avx512::detected(), Avx512::alone()].into_iter().flatten();
        all.extend(avx512.map(|aead| own(aead)));
        let avx2 = [Avx2::detected(), Avx2::alone()].into_iter().flatten();
        all.extend(avx2.map(|aead| own(aead)));
    }
    #[cfg(feature = "ipsec-mb")]
    all.push(library(&crate::ipsec_mb::IpsecMb));
    #[cfg(feature = "aws-lc")]
    all.push(library(&aws_lc::AwsLc));
    all.push(library(&RustCrypto));
    all
}

/// The text in place and the tag's place behind it.
pub(crate) fn in_place<'a>(job: &'a mut Seal<'_>) -> (&'a mut [u8], &'a mut [u8; TAG_BYTES]) {
    let (text, tag) = job.out.split_last_chunk_mut().expect("a job's out holds the tag");
    let plain = job.plaintext.len();
    if let Plaintext::At(source) = job.plaintext {
        text[..plain].copy_from_slice(source);
    }
    text[plain..].fill(0);
    (text, tag)
}

/// The nonce of a counter.
pub(crate) fn nonce(counter: u64) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&counter.to_le_bytes());
    bytes
}

struct RustCrypto;

impl Aead for RustCrypto {
    fn name(&self) -> &'static str {
        "chacha20poly1305"
    }

    fn seal(&self, batch: &mut [Seal<'_>]) {
        for job in batch {
            let (key, counter) = (*job.key, job.counter);
            let (text, tag) = in_place(job);
            let made = ChaCha20Poly1305::new(&key.into())
                .encrypt_inout_detached(&Nonce::from(nonce(counter)), &[], text.into())
                .expect("a packet is short");
            tag.copy_from_slice(&made);
        }
    }

    fn open(&self, batch: &mut [Open<'_>]) {
        for job in batch {
            let (text, tag) = job.ciphertext.split_last_chunk::<TAG_BYTES>().expect("a tag");
            job.out.copy_from_slice(text);
            let cipher = ChaCha20Poly1305::new(job.key.into());
            let nonce = Nonce::from(nonce(job.counter));
            let opened = cipher.decrypt_inout_detached(&nonce, &[], (&mut *job.out).into(), &Tag::from(*tag));
            job.authentic = opened.is_ok();
        }
    }
}

#[cfg(feature = "aws-lc")]
mod aws_lc {
    use super::{in_place, nonce};
    use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
    use weir_crypto::{Aead, Open, Seal, TAG_BYTES};

    pub(super) struct AwsLc;

    impl Aead for AwsLc {
        fn name(&self) -> &'static str {
            "aws-lc-rs"
        }

        fn seal(&self, batch: &mut [Seal<'_>]) {
            for job in batch {
                let (key, nonce) = (key(job.key), Nonce::assume_unique_for_key(nonce(job.counter)));
                let (text, tag) = in_place(job);
                let made = key
                    .seal_in_place_separate_tag(nonce, Aad::empty(), text)
                    .expect("a packet is short");
                tag.copy_from_slice(made.as_ref());
            }
        }

        fn open(&self, batch: &mut [Open<'_>]) {
            for job in batch {
                let (text, tag) = job.ciphertext.split_last_chunk::<TAG_BYTES>().expect("a tag");
                let nonce = Nonce::assume_unique_for_key(nonce(job.counter));
                let opened = key(job.key).open_separate_gather(nonce, Aad::empty(), text, tag, job.out);
                job.authentic = opened.is_ok();
            }
        }
    }

    fn key(key: &[u8; 32]) -> LessSafeKey {
        LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).expect("the key has 32 bytes"))
    }
}
