//! One block at a time with limbs of 26 bits: what the other back ends are compared with.

use super::{CLAMP, OneTimeKey, Tag, finished, lengths, padded};

/// The tag of one text, of which so many bytes are additional data, padded.
pub(crate) fn tag(key: &OneTimeKey, text: &[u8], additional: usize) -> Tag {
    let (blocks, rest) = text.as_chunks();
    let mut state = State::new(key);
    for block in blocks {
        state.absorb(block);
    }
    if !rest.is_empty() {
        state.absorb(&padded(rest));
    }
    state.absorb(&lengths(text.len(), additional));
    finished(state.h, state.s)
}

struct State {
    r: [u64; 5],
    s: u128,
    h: [u64; 5],
}

const MASK: u64 = (1 << 26) - 1;

impl State {
    fn new(key: &OneTimeKey) -> Self {
        let [r, s] = halves(key);
        let clamp = u128::from(CLAMP[0]) | (u128::from(CLAMP[1]) << 64);
        Self {
            r: limbs(r & clamp),
            s,
            h: [0; 5],
        }
    }

    // h has limbs below 2^26 + 2^9 and with a block below 2^27.1; those of r are below 2^26, and five times those below
    // 2^28.4: a column of five products is below 2^57.9, and the carry that goes around, five times what is above 26 bits,
    // below 2^34.3, of which less than 2^9 reach limb 1 after its mask.
    fn absorb(&mut self, block: &[u8; 16]) {
        let mut h = limbs(u128::from_le_bytes(*block));
        // The bit that RFC 8439 2.5.1 puts above the block.
        h[4] |= 1 << 24;
        for (sum, limb) in h.iter_mut().zip(self.h) {
            *sum += limb;
        }
        let mut columns = [0; 5];
        for (column, sum) in columns.iter_mut().enumerate() {
            for (limb, value) in h.iter().enumerate() {
                *sum += if limb <= column {
                    value * self.r[column - limb]
                } else {
                    // 2^130 is 5.
                    value * 5 * self.r[5 + column - limb]
                };
            }
        }
        for column in 0..4 {
            columns[column + 1] += columns[column] >> 26;
            columns[column] &= MASK;
        }
        columns[0] += 5 * (columns[4] >> 26);
        columns[4] &= MASK;
        columns[1] += columns[0] >> 26;
        columns[0] &= MASK;
        self.h = columns;
    }
}

fn halves(key: &OneTimeKey) -> [u128; 2] {
    let (halves, _) = key.as_chunks();
    [u128::from_le_bytes(halves[0]), u128::from_le_bytes(halves[1])]
}

fn limbs(value: u128) -> [u64; 5] {
    [0, 26, 52, 78, 104].map(|shift| (value >> shift) as u64 & MASK)
}
