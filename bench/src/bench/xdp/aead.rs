//! The AEAD alone, by the same batch interface, over as many frames as a port has: what of a shard's work the
//! back end decides.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use weir_crypto::{Open, Plaintext, Seal, TAG_BYTES};

use super::{Direction, frames, ticks};
use crate::Result;

/// Jobs of a batch, as the engine has them.
const BATCH: usize = 64;

/// Packets that are worked on in turn: as many as a port's rings hold.
const PACKETS: usize = 1024;

/// Bytes from one to the next, as in a queue's memory.
const STRIDE: usize = 2048;

/// How much time on the core it is given.
const WORKED: Duration = Duration::from_millis(150);

const KEY: [u8; 32] = [7; 32];

/// Sealed or opened packets of one size.
struct Work {
    inputs: Vec<u8>,
    outputs: Vec<u8>,
    plain: usize,
    sealed: usize,
}

/// Time of the calling thread for one packet whose inner packet has so many bytes, in [`ticks::UNIT`].
pub(super) fn each(direction: Direction, inner: usize) -> Result<f64> {
    let mut work = Work::new(inner);
    // The inputs of opening are what was sealed.
    work.seal();
    std::mem::swap(&mut work.inputs, &mut work.outputs);
    let (began, mut rounds) = (own_time(), 0);
    while own_time() - began < WORKED {
        match direction {
            Direction::Out => work.seal(),
            Direction::In => work.open(),
        }
        rounds += 1;
    }
    Ok(ticks::of(own_time() - began) / (rounds * PACKETS) as f64)
}

impl Work {
    fn new(inner: usize) -> Self {
        Self {
            inputs: vec![0; PACKETS * STRIDE],
            outputs: vec![0; PACKETS * STRIDE],
            plain: inner,
            sealed: frames::padded(inner) + TAG_BYTES,
        }
    }

    /// From one buffer into another, as the engine does; what lies there does not matter.
    fn seal(&mut self) {
        let places = (0..).zip(self.inputs.chunks(STRIDE).zip(self.outputs.chunks_mut(STRIDE)));
        let mut jobs = Vec::with_capacity(BATCH);
        for (counter, (input, output)) in places {
            jobs.push(Seal {
                key: &KEY,
                counter,
                plaintext: Plaintext::At(&input[..self.plain]),
                out: &mut output[..self.sealed],
            });
            if jobs.len() == BATCH {
                weir_crypto::best().seal(&mut jobs);
                jobs.clear();
            }
        }
    }

    fn open(&mut self) {
        let places = (0..).zip(self.inputs.chunks(STRIDE).zip(self.outputs.chunks_mut(STRIDE)));
        let mut jobs = Vec::with_capacity(BATCH);
        for (counter, (input, output)) in places {
            jobs.push(Open {
                key: &KEY,
                counter,
                ciphertext: &input[..self.sealed],
                out: &mut output[..self.sealed - TAG_BYTES],
                authentic: false,
            });
            if jobs.len() == BATCH {
                weir_crypto::best().open(&mut jobs);
                assert!(
                    jobs.iter().all(|job| job.authentic),
                    "what was sealed is authentic"
                );
                jobs.clear();
            }
        }
    }
}

/// Time of this thread on a core.
pub(super) fn own_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .expect("every kernel has the clock")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches packets that are opened with another counter or length than they were sealed with, and so are none, and
    /// work that does not grow with the packet.
    #[test]
    fn both_directions_are_worked() {
        for direction in [Direction::Out, Direction::In] {
            let (short, long) = (each(direction, 64).unwrap(), each(direction, 1420).unwrap());
            assert!(0.0 < short && short < long, "{direction:?}: {short} and {long}");
        }
    }
}
