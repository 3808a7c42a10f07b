//! Whatever lies in files: the bodies of the fuzz targets, with random bytes and with bytes near to sound ones.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use weir_store::fuzzing;

/// Keys and values of records, mostly of the right shape: a kind, a key, the number of the shape, fields.
fn near_records() -> impl Strategy<Value = Vec<u8>> {
    let key = prop_oneof![Just(0usize), Just(16), Just(32), 0usize..40];
    let rest = proptest::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..160);
    (1u8..=9, key, rest).prop_map(|(kind, key, rest)| {
        let key = rest.iter().copied().cycle().take(key.min(rest.len() * 64));
        let mut bytes = vec![0, kind];
        bytes.extend(key);
        bytes[0] = (bytes.len() - 1) as u8;
        bytes.push(1);
        bytes.extend(rest);
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(0x7765_6972), failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    // Catches an archive that is read though it is not what was written, and a header that makes its reader panic.
    #[test]
    fn archives(data in proptest::collection::vec(any::<u8>(), 0..64)) {
        fuzzing::archive(&data);
    }

    // Catches a record that is read otherwise than it was written, and bytes that make its reader panic.
    #[test]
    fn records(data in prop_oneof![proptest::collection::vec(any::<u8>(), 0..200), near_records()]) {
        fuzzing::record(&data);
        fuzzing::sealed(&data);
    }
}
