//! Arithmetic modulo 2^130 - 5 by doubling and adding: slow, and plainly right. What the vectors are compared with in tests.

/// A number as (bits from 128 on, the rest), below 2^130.
pub(super) type Residue = (u128, u128);

/// The sum, reduced once 2^130 - 5 is reached.
pub(super) fn plus(x: Residue, y: Residue) -> Residue {
    let (low, carried) = x.1.overflowing_add(y.1);
    let high = x.0 + y.0 + u128::from(carried);
    let (reduced, carried) = low.overflowing_add(5);
    match high + u128::from(carried) {
        above if above >= 4 => (above - 4, reduced),
        _ => (high, low),
    }
}

/// The product.
pub(super) fn times(x: Residue, y: Residue) -> Residue {
    (0..130).rev().fold((0, 0), |number, bit| {
        let doubled = plus(number, number);
        let set = if bit < 128 { y.1 >> bit } else { y.0 >> (bit - 128) } & 1;
        if set == 1 { plus(doubled, x) } else { doubled }
    })
}
