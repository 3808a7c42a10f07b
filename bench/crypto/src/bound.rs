//! What the processor's vector pipes allow: a bound below which no AVX2 code of this layout can come, however well it is
//! scheduled.
//!
//! Vector operations are counted as `dataplane/crypto` has them, and divided by the pipes that can take one each cycle.
//! All but multiplications, shifts and shuffles go to any pipe; these are few enough for the two pipes that take them
//! never to be the limit. Not counted is what need not stand in a vector pipe, or not for every packet: loads and stores,
//! loops, the last reduction, powers of r.

use crate::measure::now;
use crate::work::Size;
use std::hint::black_box;

/// A block of ChaCha20 in one of eight lanes: of 80 quarter rounds with 4 additions, 4 exclusive ors, 2 shuffles and twice
/// two shifts and an or, of 16 additions of the state before, and of two transpositions with 24 shuffles each.
const BLOCK: f64 = (80.0 * 16.0 + 16.0 + 2.0 * 24.0) / 8.0;

/// Exclusive or of a block with the text, 32 bytes at a time.
const COMBINED: f64 = 2.0;

/// 16 bytes of Poly1305 in one of four lanes, in limbs of 26 bits, two steps to a carry: twice 25 products and 20
/// additions, and 15 operations that make limbs of bytes; 10 additions and a carry of 23 operations.
const STEP: f64 = (2.0 * (25.0 + 20.0 + 15.0) + 10.0 + 23.0) / 8.0;

/// What is bounded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Layout {
    /// Both in vectors.
    Vectors,
    /// ChaCha20 alone in vectors: what Poly1305 in the scalar units beside it could come to.
    Beside,
}

/// A processor as the bound sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Core {
    /// 256-bit additions and logical operations that begin in a cycle.
    pipes: f64,
    /// Cycles of the core in one of the time-stamp counter.
    clock: f64,
}

impl Core {
    /// This one, at the clock that it has now.
    pub(crate) fn here() -> Self {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        // AMD's cores have had four pipes since Zen, of 256 bits since Zen 2; Intel's have three.
        let pipes = if cpu.contains("AuthenticAMD") { 4.0 } else { 3.0 };
        Self {
            pipes,
            clock: clock(),
        }
    }

    /// Cycles of the time-stamp counter to a byte, over as many packets as an IMIX needs.
    pub(crate) fn bound(self, layout: Layout, size: Size) -> f64 {
        const PACKETS: usize = 12;
        let lengths = || (0..PACKETS).map(|packet| size.of(packet));
        let operations: f64 = lengths().map(|bytes| operations(layout, bytes)).sum();
        let bytes: usize = lengths().sum();
        operations / self.pipes / self.clock / bytes as f64
    }

    pub(crate) fn described(self) -> String {
        format!(
            "{} vector pipes, the core at {:.2} times the counter's clock",
            self.pipes, self.clock
        )
    }
}

/// Vector operations of a packet with a text of so many bytes. Block 0 is its one-time key (RFC 8439, 2.6), and the
/// lengths are 16 bytes of Poly1305 (2.8).
fn operations(layout: Layout, bytes: usize) -> f64 {
    let blocks = bytes.div_ceil(64) as f64;
    let chacha = (blocks + 1.0) * BLOCK + blocks * COMBINED;
    let poly1305 = (bytes.div_ceil(16) + 1) as f64 * STEP;
    match layout {
        Layout::Vectors => chacha + poly1305,
        Layout::Beside => chacha,
    }
}

/// The core's clock by a chain of squares, each of which takes three cycles on every core that has AVX2; the best of some
/// tries, since interruptions only take time. Products by one factor the compiler would gather into powers of it.
fn clock() -> f64 {
    const SQUARES: u32 = 100_000;
    let took = |_| {
        let mut square = black_box(3u64);
        let began = now();
        for _ in 0..SQUARES {
            square = square.wrapping_mul(square);
        }
        black_box(square);
        now() - began
    };
    let least = (0..100).map(took).min().unwrap_or(1);
    f64::from(3 * SQUARES) / least.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORE: Core = Core {
        pipes: 4.0,
        clock: 1.0,
    };

    /// Catches a one-time key's block or a rest's padding that is left out, and lengths of a mix that are not weighted.
    #[test]
    fn a_bound_counts_whole_blocks() {
        let vectors = |size| CORE.bound(Layout::Vectors, size);
        // Two blocks of ChaCha20 and five steps of Poly1305.
        let expected = (2.0 * 168.0 + 2.0 + 5.0 * 19.125) / 4.0 / 64.0;
        assert!((vectors(Size::Bytes(64)) - expected).abs() < 1e-9);
        // A byte more is a block and a step more.
        let longer = (3.0 * 168.0 + 4.0 + 6.0 * 19.125) / 4.0 / 65.0;
        assert!((vectors(Size::Bytes(65)) - longer).abs() < 1e-9);
        let mixed = vectors(Size::Imix);
        assert!(vectors(Size::Bytes(1500)) < mixed && mixed < vectors(Size::Bytes(64)));
        assert!(CORE.bound(Layout::Beside, Size::Imix) < mixed);
    }
}
