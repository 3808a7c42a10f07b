//! Buffers with keys in them: what they outgrow is overwritten before it is freed.

use zeroize::{Zeroize, Zeroizing};

/// Bytes of a first allocation.
const FIRST: usize = 4096;

/// Appends to `buffer`; where it must grow, its old memory is overwritten, which `Vec` itself would not do.
pub(crate) fn append(buffer: &mut Zeroizing<Vec<u8>>, bytes: &[u8]) {
    let needed = buffer.len() + bytes.len();
    if needed > buffer.capacity() {
        let mut grown = Zeroizing::new(Vec::with_capacity(needed.next_power_of_two().max(FIRST)));
        grown.extend_from_slice(buffer);
        *buffer = grown;
    }
    buffer.extend_from_slice(bytes);
}

/// Takes the first `count` bytes away and leaves no copy of them, nor of what moved up.
pub(crate) fn consume(buffer: &mut Zeroizing<Vec<u8>>, count: usize) {
    let rest = buffer.len() - count;
    buffer.copy_within(count.., 0);
    buffer[rest..].zeroize();
    buffer.truncate(rest);
}

/// A writer of text over [`append`].
#[derive(Default)]
pub(crate) struct SecretText(pub(crate) Zeroizing<Vec<u8>>);

impl core::fmt::Write for SecretText {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        append(&mut self.0, text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches growth that loses or repeats what was there.
    #[test]
    fn growth_keeps_the_bytes() {
        let mut buffer = Zeroizing::new(Vec::new());
        let chunk: Vec<u8> = (0..=255).collect();
        for _ in 0..100 {
            append(&mut buffer, &chunk);
        }
        assert_eq!(buffer.len(), 25_600);
        assert!(buffer.chunks(256).all(|c| c == chunk));
        consume(&mut buffer, 25_600 - 3);
        assert_eq!(buffer[..], [253, 254, 255]);
    }
}
