//! The back end of AVX2: two vectors of eight lanes for ChaCha20, and two of four for Poly1305.

mod cipher;
mod mac;
mod worth;

use crate::batch::{Aead, Open, Seal, TAG_BYTES};
use crate::burst::{BURST, Order, SMALL, bits, put_tags, verdicts};
use crate::job::Job;
use crate::ring_backend::Ring;
use cipher::Cipher;
use core::slice;
use worth::worth;

/// ChaCha20-Poly1305 across packets. A value of it exists only where the CPU has AVX2.
pub struct Avx2 {
    /// Whether ring does what it does faster.
    yields: bool,
}

impl Avx2 {
    /// The back end, if this CPU has the instructions. It leaves bursts to ring that are not worth the lanes, so that
    /// none is slower than with ring.
    pub fn detected() -> Option<&'static Self> {
        is_x86_feature_detected!("avx2").then_some(&Self { yields: true })
    }

    /// The same without ring, whatever the burst: for tests, and to measure by.
    pub fn alone() -> Option<&'static Self> {
        is_x86_feature_detected!("avx2").then_some(&Self { yields: false })
    }
}

impl Avx2 {
    /// What is laid on lanes, and how; the rest is ring's.
    fn order<J: Job>(&self, burst: &[J]) -> Order {
        if self.yields {
            worth(burst)
        } else {
            Order::new(burst)
        }
    }
}

#[allow(unsafe_code)]
impl Aead for Avx2 {
    fn name(&self) -> &'static str {
        if self.yields { "avx2" } else { "avx2-alone" }
    }

    fn seal(&self, batch: &mut [Seal<'_>]) {
        for burst in batch.chunks_mut(BURST) {
            burst.iter().for_each(Seal::check);
            let order = self.order(burst);
            if order.packets().is_empty() {
                Ring.seal(burst);
                continue;
            }
            for packet in bits(order.absent(burst.len())) {
                Ring.seal(slice::from_mut(&mut burst[packet]));
            }
            if burst.len() <= SMALL {
                // SAFETY: `self` exists, so the CPU was seen to have AVX2.
                unsafe { seal::<SMALL>(burst, &order) }
            } else {
                // SAFETY: as above.
                unsafe { seal::<BURST>(burst, &order) }
            }
        }
    }

    fn open(&self, batch: &mut [Open<'_>]) {
        for burst in batch.chunks_mut(BURST) {
            burst.iter().for_each(Open::check);
            let order = self.order(burst);
            if order.packets().is_empty() {
                Ring.open(burst);
                continue;
            }
            for packet in bits(order.absent(burst.len())) {
                Ring.open(slice::from_mut(&mut burst[packet]));
            }
            if burst.len() <= SMALL {
                // SAFETY: `self` exists, so the CPU was seen to have AVX2.
                unsafe { open::<SMALL>(burst, order) }
            } else {
                // SAFETY: as above.
                unsafe { open::<BURST>(burst, order) }
            }
        }
    }
}

#[target_feature(enable = "avx2")]
fn seal<const PACKETS: usize>(burst: &mut [Seal<'_>], order: &Order) {
    let (mut keys, mut tags) = ([[0; 32]; PACKETS], [[0; TAG_BYTES]; PACKETS]);
    Cipher::new(&mut keys).texts(burst, order, 0);
    mac::tags(burst, order, &keys, &mut tags);
    put_tags(burst, order, &tags);
}

#[target_feature(enable = "avx2")]
fn open<const PACKETS: usize>(burst: &mut [Open<'_>], mut order: Order) {
    let (mut keys, mut tags) = ([[0; 32]; PACKETS], [[0; TAG_BYTES]; PACKETS]);
    Cipher::new(&mut keys).keys(burst, &order);
    mac::tags(burst, &order, &keys, &mut tags);
    if verdicts(burst, &order, &tags) {
        order.retain(|packet| burst[packet].authentic);
    }
    Cipher::new(&mut keys).texts(burst, &order, 1);
}
