//! Integers and names in the kernel's answers: native byte order, and no reading beyond the end.

/// The 16 bits at `at`.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|chunk| u16::from_ne_bytes(*chunk))
}

/// The 16 bits at `at`, in network byte order.
pub(crate) fn be16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|chunk| u16::from_be_bytes(*chunk))
}

/// The 32 bits at `at`.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|chunk| u32::from_ne_bytes(*chunk))
}

/// The 64 bits at `at`.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|chunk| u64::from_ne_bytes(*chunk))
}

/// `count` times 32 bits from `at` on; `None` where there are not as many.
pub(crate) fn u32s_at(bytes: &[u8], at: usize, count: usize) -> Option<Vec<u32>> {
    let end = at.checked_add(count.checked_mul(4)?)?;
    let words = bytes.get(at..end)?.chunks_exact(4);
    words.map(|word| u32_at(word, 0)).collect()
}

/// The text in the `length` bytes at `at`, up to its zero; characters that are no ASCII become `?`.
pub(crate) fn text_at(bytes: &[u8], at: usize, length: usize) -> Option<String> {
    let field = bytes.get(at..at.checked_add(length)?)?;
    let text = field.split(|byte| *byte == 0).next().unwrap_or_default();
    let shown = |byte: &u8| match byte.is_ascii_graphic() || *byte == b' ' {
        true => char::from(*byte),
        false => '?',
    };
    Some(text.iter().map(shown).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a read past the end, an overflow of offsets, and a name that runs into the next field.
    #[test]
    fn nothing_is_read_beyond_the_end() {
        let bytes = [1, 0, 0, 0, b'a', 7, 0, b'b'];
        assert_eq!(u32_at(&bytes, 4).map(|_| ()), Some(()));
        assert_eq!(u32_at(&bytes, 5), None);
        assert_eq!(u64_at(&bytes, usize::MAX), None);
        assert_eq!(u32s_at(&bytes, 4, usize::MAX), None);
        assert_eq!(u32s_at(&bytes, 4, 2), None);
        assert_eq!(u16_at(&bytes, 7), None);
        assert_eq!(be16_at(&[1, 2], 0), Some(0x0102));
        assert_eq!(text_at(&bytes, 4, 4).as_deref(), Some("a?"));
        assert_eq!(text_at(&bytes, 4, 5), None);
    }
}
