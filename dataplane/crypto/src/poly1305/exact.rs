//! Numbers modulo 2^130 - 5 without limbs: what the tests compare limbs with.

/// A number below 2^130 - 5: its bits from 128 on, and the rest.
pub(crate) type Exact = (u128, u128);

/// The sum of two.
pub(crate) fn plus(x: Exact, y: Exact) -> Exact {
    let (low, carried) = x.1.overflowing_add(y.1);
    let high = x.0 + y.0 + u128::from(carried);
    // Less the prime if it is not below it, that is, if adding 5 reaches 2^130.
    let (reduced, carried) = low.overflowing_add(5);
    match high + u128::from(carried) {
        above if above >= 4 => (above - 4, reduced),
        _ => (high, low),
    }
}

/// The product of two, by doubling and adding.
pub(crate) fn times(x: Exact, y: Exact) -> Exact {
    (0..130).rev().fold((0, 0), |number, bit| {
        let doubled = plus(number, number);
        let set = if bit < 128 { y.1 >> bit } else { y.0 >> (bit - 128) } & 1;
        if set == 1 { plus(doubled, x) } else { doubled }
    })
}

/// What limbs of so many bits mean, which may be larger than that.
pub(crate) fn value<const LIMBS: usize>(limbs: [u64; LIMBS], bits: u32) -> Exact {
    limbs.into_iter().rev().fold((0, 0), |number, limb| {
        let shifted = (0..bits).fold(number, |number, _| plus(number, number));
        plus(shifted, (0, limb.into()))
    })
}
