//! Texts of formats that people write: from pieces that mean something, or as they come.

use crate::input::Input;

/// A key that no error may show: base64 of 32 times 'S'.
pub(crate) const SECRET: &str = "U1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1M=";
/// A public key of full order.
pub(crate) const KEY_A: &str = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=";
/// Another.
pub(crate) const KEY_B: &str = "QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI=";

/// Bytes from 0x80 on are pieces, below that they are themselves.
pub(crate) fn read(input: &mut Input<'_>, pieces: &[&str]) -> String {
    let mut text = String::new();
    for byte in input.rest() {
        match byte {
            0x80.. => text.push_str(pieces[usize::from(byte & 0x7f) % pieces.len()]),
            ascii => text.push(char::from(*ascii)),
        }
    }
    text
}

/// The lines of `text` stand in `longer` too, in their order.
pub(crate) fn survives(text: &str, longer: &str) -> bool {
    let mut lines = longer.lines().map(str::trim_end);
    text.lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .all(|line| lines.any(|other| other == line))
}
