//! The back end of AVX-512 with IFMA: sixteen lanes for ChaCha20, and two vectors of eight for Poly1305.

mod cipher;
mod mac;
mod worth;

use crate::batch::{Aead, Open, Seal, TAG_BYTES};
use crate::burst::{BURST, Order, SMALL, put_tags, verdicts};
use crate::ring_backend::Ring;
use cipher::Cipher;
use worth::worth;

/// ChaCha20-Poly1305 across packets. A value of it exists only where the CPU has AVX-512 F and IFMA.
pub struct Avx512 {
    /// Whether ring does what it does faster.
    yields: bool,
}

impl Avx512 {
    /// The back end, if this CPU has the instructions. It leaves bursts to ring that are not worth the lanes, so that
    /// none is slower than with ring.
    pub fn detected() -> Option<&'static Self> {
        is_able().then_some(&Self { yields: true })
    }

    /// The same without ring, whatever the burst: for tests, and to measure by.
    pub fn alone() -> Option<&'static Self> {
        is_able().then_some(&Self { yields: false })
    }
}

#[allow(unsafe_code)]
impl Aead for Avx512 {
    fn name(&self) -> &'static str {
        if self.yields { "avx512" } else { "avx512-alone" }
    }

    fn seal(&self, batch: &mut [Seal<'_>]) {
        for burst in batch.chunks_mut(BURST) {
            burst.iter().for_each(Seal::check);
            if self.yields && !worth(burst) {
                Ring.seal(burst);
            } else if burst.len() <= SMALL {
                // SAFETY: `self` exists, so the CPU was seen to have the instructions.
                unsafe { seal::<SMALL>(burst) }
            } else {
                // SAFETY: as above.
                unsafe { seal::<BURST>(burst) }
            }
        }
    }

    fn open(&self, batch: &mut [Open<'_>]) {
        for burst in batch.chunks_mut(BURST) {
            burst.iter().for_each(Open::check);
            if self.yields && !worth(burst) {
                Ring.open(burst);
            } else if burst.len() <= SMALL {
                // SAFETY: `self` exists, so the CPU was seen to have the instructions.
                unsafe { open::<SMALL>(burst) }
            } else {
                // SAFETY: as above.
                unsafe { open::<BURST>(burst) }
            }
        }
    }
}

fn is_able() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma")
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn seal<const PACKETS: usize>(burst: &mut [Seal<'_>]) {
    let order = Order::new(burst);
    let (mut keys, mut tags) = ([[0; 32]; PACKETS], [[0; TAG_BYTES]; PACKETS]);
    Cipher::new(&mut keys).texts(burst, &order, 0);
    mac::tags(burst, &order, &keys, &mut tags);
    put_tags(burst, &order, &tags);
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn open<const PACKETS: usize>(burst: &mut [Open<'_>]) {
    let mut order = Order::new(burst);
    let (mut keys, mut tags) = ([[0; 32]; PACKETS], [[0; TAG_BYTES]; PACKETS]);
    Cipher::new(&mut keys).keys(burst, &order);
    mac::tags(burst, &order, &keys, &mut tags);
    if verdicts(burst, &order, &tags) {
        order.retain(|packet| burst[packet].authentic);
    }
    Cipher::new(&mut keys).texts(burst, &order, 1);
}
