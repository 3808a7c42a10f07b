//! Packets to seal and to open: their sizes, keys and memory.

use serde::{Serialize, Serializer};
use weir_crypto::{Aead, Key, Open, Plaintext, Ring, Seal, TAG_BYTES};

/// Session keys that the packets take in turn.
pub(crate) const KEYS: usize = 64;

/// How many packets are worked on before the first comes again, at least.
const PACKETS: usize = 64;

/// Texts' lengths in the mix.
const MIX: [usize; 12] = [64, 576, 64, 64, 576, 64, 1500, 64, 576, 64, 64, 576];

/// Sealing or opening.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Operation {
    Seal,
    Open,
}

impl Operation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Seal => "seal",
            Self::Open => "open",
        }
    }
}

/// How long the packets' texts are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Size {
    Bytes(usize),
    /// 64, 576 and 1500 bytes at 7 : 4 : 1, in a fixed mixed order.
    Imix,
}

impl Size {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Bytes(bytes) => bytes.to_string(),
            Self::Imix => "IMIX".to_owned(),
        }
    }

    /// Bytes of the packet of that number.
    pub(crate) fn of(self, packet: usize) -> usize {
        match self {
            Self::Bytes(bytes) => bytes,
            // 5 has no divisor in common with 12: every twelve packets hold the mix, in an order that is not 12 long.
            Self::Imix => MIX[(packet * 5 + packet / 12) % 12],
        }
    }
}

impl Size {
    /// How many packets are worked on: whole batches, and of the mix a whole number of times all of it.
    fn count(self, batch: usize) -> usize {
        let whole = match self {
            Self::Bytes(_) => batch,
            Self::Imix => (batch..)
                .step_by(batch)
                .find(|count| count.is_multiple_of(MIX.len()))
                .expect("a dozen batches are such a number"),
        };
        PACKETS.next_multiple_of(whole)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bytes(bytes) => serializer.serialize_u64(*bytes as u64),
            Self::Imix => serializer.serialize_str("imix"),
        }
    }
}

/// The packets of one size, sealed.
pub(crate) struct Work {
    keys: Vec<Key>,
    sealed: Vec<Vec<u8>>,
    outs: Vec<Vec<u8>>,
}

impl Work {
    /// So many that a batch never holds one twice.
    pub(crate) fn new(size: Size, batch: usize) -> Self {
        let count = size.count(batch);
        let keys = (0..KEYS).map(|key| [key as u8 ^ 0xa5; 32]).collect();
        let outs: Vec<Vec<u8>> = (0..count)
            .map(|packet| vec![packet as u8; size.of(packet) + TAG_BYTES])
            .collect();
        let mut work = Self {
            keys,
            sealed: outs.clone(),
            outs,
        };
        std::mem::swap(&mut work.sealed, &mut work.outs);
        work.with_seals(|jobs| Ring.seal(jobs));
        std::mem::swap(&mut work.sealed, &mut work.outs);
        work
    }

    /// Bytes of all the packets' texts.
    pub(crate) fn bytes(&self) -> usize {
        self.outs.iter().map(|out| out.len() - TAG_BYTES).sum()
    }

    /// Packets in place, as the engine has them.
    pub(crate) fn with_seals<T>(&mut self, run: impl FnOnce(&mut [Seal<'_>]) -> T) -> T {
        let outs = self.outs.iter_mut().zip(self.keys.iter().cycle());
        let mut jobs: Vec<Seal<'_>> = (0..)
            .zip(outs)
            .map(|(counter, (out, key))| Seal {
                key,
                counter,
                plaintext: Plaintext::InPlace(out.len() - TAG_BYTES),
                out,
            })
            .collect();
        run(&mut jobs)
    }

    /// Packets from one place to another, as the engine has them.
    pub(crate) fn with_opens<T>(&mut self, run: impl FnOnce(&mut [Open<'_>]) -> T) -> T {
        let places = self
            .sealed
            .iter()
            .zip(&mut self.outs)
            .zip(self.keys.iter().cycle());
        let mut jobs: Vec<Open<'_>> = (0..)
            .zip(places)
            .map(|(counter, ((ciphertext, out), key))| {
                let text = out.len() - TAG_BYTES;
                Open {
                    key,
                    counter,
                    ciphertext,
                    out: &mut out[..text],
                    authentic: false,
                }
            })
            .collect();
        let result = run(&mut jobs);
        assert!(
            jobs.iter().all(|job| job.authentic),
            "what was sealed is authentic"
        );
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a mix of which only a part is measured, and a last batch that is shorter than the others.
    #[test]
    fn batches_are_whole_and_so_is_the_mix() {
        for batch in [1, 4, 8, 16, 31, 32, 64, 256] {
            for size in [Size::Bytes(64), Size::Imix] {
                let count = Work::new(size, batch).outs.len();
                assert!(
                    count >= PACKETS && count.is_multiple_of(batch),
                    "{count} of {batch}"
                );
            }
            let work = Work::new(Size::Imix, batch);
            let of = |bytes| {
                work.outs
                    .iter()
                    .filter(|out| out.len() == bytes + TAG_BYTES)
                    .count()
            };
            let [small, middle, large] = [64, 576, 1500].map(of);
            assert_eq!((small, middle), (7 * large, 4 * large), "batches of {batch}");
        }
    }
}
