//! That AVX-512 is there at all, where it is said to be: `bench/vm/avx512` emulates it, and the other tests pass without.
//!
//! The tests are ignored elsewhere: a CPU without it cannot pass them.

#![cfg(target_arch = "x86_64")]

use std::arch::x86_64::{
    __m512i, _mm512_loadu_si512, _mm512_madd52hi_epu64, _mm512_madd52lo_epu64, _mm512_rol_epi32,
    _mm512_storeu_si512,
};

/// Catches a machine, a kernel or a library that hides what the CPU has, or that has only a part of it.
#[test]
#[ignore = "needs AVX-512: bench/vm/avx512"]
fn the_cpu_has_what_the_back_end_wants() {
    let features = [
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bw", is_x86_feature_detected!("avx512bw")),
        ("avx512dq", is_x86_feature_detected!("avx512dq")),
        ("avx512vl", is_x86_feature_detected!("avx512vl")),
        ("avx512ifma", is_x86_feature_detected!("avx512ifma")),
    ];
    for (name, has) in features {
        println!("{name}: {has}");
    }
    assert!(features.iter().all(|(_, has)| *has));
}

/// Catches an emulator whose products or rotations are not the manual's (Intel SDM, VPMADD52LUQ, VPMADD52HUQ, VPROLD).
#[test]
#[ignore = "needs AVX-512: bench/vm/avx512"]
fn products_and_rotations_are_the_manuals() {
    assert!(is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma"));
    const LOW: u64 = (1 << 52) - 1;
    // Bits beyond the 52 that are multiplied must not count; those of what is added to must.
    let sums: [u64; 8] = std::array::from_fn(|lane| u64::MAX / (lane as u64 + 1));
    let left: [u64; 8] = std::array::from_fn(|lane| u64::MAX - lane as u64);
    let right: [u64; 8] = std::array::from_fn(|lane| 0x9e37_79b9_7f4a_7c15_u64.rotate_left(lane as u32 * 7));
    // SAFETY: the features were detected above.
    let [lows, highs, rotated] = unsafe { products(&sums, &left, &right) };
    for lane in 0..8 {
        let product = u128::from(left[lane] & LOW) * u128::from(right[lane] & LOW);
        let (low, high) = (product as u64 & LOW, (product >> 52) as u64);
        assert_eq!(lows[lane], sums[lane].wrapping_add(low), "lane {lane}");
        assert_eq!(highs[lane], sums[lane].wrapping_add(high), "lane {lane}");
        let halves = [right[lane] as u32, (right[lane] >> 32) as u32].map(|half| half.rotate_left(7));
        let expected = u64::from(halves[1]) << 32 | u64::from(halves[0]);
        assert_eq!(rotated[lane], expected, "lane {lane}");
    }
}

/// Low and high halves of the products added to `sums`, and `right` with each 32 bits rotated left by 7.
#[target_feature(enable = "avx512f,avx512ifma")]
fn products(sums: &[u64; 8], left: &[u64; 8], right: &[u64; 8]) -> [[u64; 8]; 3] {
    let [sums, left, right] = [sums, left, right].map(|lanes| {
        // SAFETY: 64 bytes are read from a reference to as many.
        unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) }
    });
    [
        _mm512_madd52lo_epu64(sums, left, right),
        _mm512_madd52hi_epu64(sums, left, right),
        _mm512_rol_epi32::<7>(right),
    ]
    .map(|vector| lanes(vector))
}

#[target_feature(enable = "avx512f")]
fn lanes(vector: __m512i) -> [u64; 8] {
    let mut lanes = [0; 8];
    // SAFETY: 64 bytes are written where as many lie.
    unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), vector) };
    lanes
}
