//! Which back end is used: the fastest that the CPU has and that passes its self-test.

use super::{Blake2s, Check, MAC_BYTES, Mac, MacKey, Portable};
use std::sync::OnceLock;

/// Lengths on both sides of every boundary of words, half blocks and blocks, and WireGuard's own.
const LENGTHS: [usize; 18] = [
    0, 1, 4, 31, 32, 33, 60, 63, 64, 65, 76, 116, 127, 128, 129, 132, 192, 1000,
];

/// A known answer, so that not all of them are wrong together: the mac of the bytes 0 to 131 under the key 0 to 31, as
/// the RustCrypto implementation computes it.
const KNOWN: [u8; MAC_BYTES] = [
    109, 25, 83, 75, 76, 51, 39, 65, 200, 221, 215, 154, 150, 68, 222, 45,
];

struct Chosen {
    blake2s: &'static dyn Blake2s,
    warnings: Vec<String>,
}

/// The fastest back end that works here, chosen when this or [`warnings`] is first called.
///
/// # Panics
/// If none passes its self-test.
pub fn best() -> &'static dyn Blake2s {
    first_choice().blake2s
}

/// Why [`best`] is not the CPU's best, in words.
pub fn warnings() -> &'static [String] {
    &first_choice().warnings
}

/// Every back end that this CPU can run, the fastest first. The last is the oracle of the others.
pub fn able() -> Vec<&'static dyn Blake2s> {
    let mut able: Vec<&'static dyn Blake2s> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    able.extend(super::Avx2::detected().map(|avx2| avx2 as &dyn Blake2s));
    able.extend([&Portable as &dyn Blake2s]);
    able
}

fn first_choice() -> &'static Chosen {
    static CHOSEN: OnceLock<Chosen> = OnceLock::new();
    CHOSEN.get_or_init(|| chosen(&able(), passes).expect("a back end passes its self-test"))
}

fn chosen(able: &[&'static dyn Blake2s], passes: impl Fn(&dyn Blake2s) -> bool) -> Option<Chosen> {
    let mut warnings = Vec::new();
    for &blake2s in able {
        if passes(blake2s) {
            return Some(Chosen { blake2s, warnings });
        }
        let name = blake2s.name();
        warnings.push(format!(
            "BLAKE2s back end {name} failed its self-test on this CPU and is not used"
        ));
    }
    None
}

// Whether it computes the known answer and what the oracle does, takes those macs, and refuses a wrong one alone.
fn passes(blake2s: &dyn Blake2s) -> bool {
    let message: Vec<u8> = (0..LENGTHS[LENGTHS.len() - 1])
        .map(|byte| (byte + byte / 256) as u8)
        .collect();
    let counted: [u8; 32] = core::array::from_fn(|byte| byte as u8);
    let keys = [MacKey::new(&counted), MacKey::new(&[7; 16])];
    let mut known = [(); 8].map(|()| Mac::new(&keys[0], &message[..132]));
    blake2s.mac(&mut known);
    known.iter().all(|job| job.mac == KNOWN)
        && [1, 8, LENGTHS.len()]
            .iter()
            .all(|batch| agrees(blake2s, *batch, &keys, &message))
}

fn agrees(blake2s: &dyn Blake2s, batch: usize, keys: &[MacKey; 2], message: &[u8]) -> bool {
    LENGTHS.chunks(batch).all(|lengths| {
        let jobs = || {
            let job = |(place, len): (usize, &usize)| Mac::new(&keys[place % 2], &message[..*len]);
            lengths.iter().enumerate().map(job).collect::<Vec<_>>()
        };
        let (mut expected, mut made) = (jobs(), jobs());
        Portable.mac(&mut expected);
        blake2s.mac(&mut made);
        if made
            .iter()
            .zip(&expected)
            .any(|(made, expected)| made.mac != expected.mac)
        {
            return false;
        }
        let wrong = lengths.len() / 2;
        expected[wrong].mac[MAC_BYTES - 1] ^= 0x80;
        let mut checks: Vec<Check<'_>> = expected
            .iter()
            .map(|job| Check::new(job.key, job.message, &job.mac))
            .collect();
        blake2s.check(&mut checks);
        checks
            .iter()
            .enumerate()
            .all(|(place, check)| check.valid == (place != wrong))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use blake2::Blake2sMac;
    use blake2::digest::consts::U16;
    use blake2::digest::{FixedOutput, KeyInit, Update};

    /// Catches a known answer that is none.
    #[test]
    fn the_known_answer_is_anothers() {
        let key: Vec<u8> = (0..32).collect();
        let message: Vec<u8> = (0..132).collect();
        let mut oracle = Blake2sMac::<U16>::new_from_slice(&key).expect("a key of 32 bytes");
        oracle.update(&message);
        assert_eq!(oracle.finalize_fixed()[..], KNOWN);
    }

    /// Wrong in one way.
    struct Wrong(fn(&mut Mac<'_>), fn(&mut Check<'_>));

    impl Blake2s for Wrong {
        fn name(&self) -> &'static str {
            "wrong"
        }

        fn mac(&self, batch: &mut [Mac<'_>]) {
            Portable.mac(batch);
            batch.iter_mut().for_each(self.0);
        }

        fn check(&self, batch: &mut [Check<'_>]) {
            Portable.check(batch);
            batch.iter_mut().for_each(self.1);
        }
    }

    /// Catches a self-test that lets something wrong pass: a mac, one of a rare length, a verdict either way.
    #[test]
    fn nothing_wrong_passes() {
        assert!(passes(&Wrong(|_| {}, |_| {})));
        let wrong_mac = Wrong(|job| job.mac[15] ^= 1, |_| {});
        let wrong_when_empty = Wrong(|job| job.mac[0] ^= u8::from(job.message.is_empty()), |_| {});
        let all_valid = Wrong(|_| {}, |check| check.valid = true);
        let none_valid = Wrong(|_| {}, |check| check.valid = false);
        for wrong in [wrong_mac, wrong_when_empty, all_valid, none_valid] {
            assert!(!passes(&wrong));
        }
    }

    /// Catches a broken back end in use, and one that is replaced without a word.
    #[test]
    fn a_broken_back_end_gives_way_with_a_warning() {
        static BROKEN: Wrong = Wrong(|job| job.mac[0] ^= 1, |_| {});
        let choice = chosen(&[&BROKEN, &Portable], passes).expect("one works");
        assert_eq!(choice.blake2s.name(), "portable");
        assert_eq!(
            choice.warnings,
            ["BLAKE2s back end wrong failed its self-test on this CPU and is not used"]
        );
        assert!(chosen(&[&BROKEN], passes).is_none());
    }

    /// Catches a self-test that refuses a back end of this machine.
    #[test]
    fn every_back_end_of_this_machine_works() {
        assert!(able().into_iter().all(passes));
        assert_eq!(best().name(), able()[0].name());
        assert_eq!(warnings(), [""; 0]);
    }
}
