//! The one number from which a run follows.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// A seed that says how to replay its run when the test that holds it fails.
pub struct Seed(u64);

impl Seed {
    /// The seed itself.
    pub fn value(&self) -> u64 {
        self.0
    }

    /// A source of randomness for `purpose`, independent of those for other purposes.
    pub fn random(&self, purpose: u64) -> ChaCha20Rng {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.0.to_le_bytes());
        seed[8..16].copy_from_slice(&purpose.to_le_bytes());
        ChaCha20Rng::from_seed(seed)
    }

    /// 32 bytes for `purpose`.
    pub fn bytes(&self, purpose: u64) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.random(purpose).fill_bytes(&mut bytes);
        bytes
    }
}

impl From<u64> for Seed {
    fn from(value: u64) -> Self {
        Self(value)
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with WEIR_SEED={}", self.0);
        }
    }
}

/// The seeds 1 to `count`, or the one that the variable `WEIR_SEED` names.
///
/// # Panics
/// If the variable holds no number.
pub fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let wanted = std::env::var("WEIR_SEED").ok().map(|text| {
        text.parse()
            .unwrap_or_else(|_| panic!("WEIR_SEED is \"{text}\"; expected a number"))
    });
    let range = wanted.map_or(1..=count, |seed| seed..=seed);
    range.into_iter()
}
