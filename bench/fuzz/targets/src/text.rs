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

/// The lines of `text` stand in `longer` too, in their order; where keys are dotted in any order and without regard to
/// spaces, because lines of one table may be brought together and be written alike.
pub(crate) fn survives(text: &str, longer: &str) -> bool {
    fn lines(text: &str) -> impl Iterator<Item = &str> {
        text.lines().map(str::trim_end).filter(|line| !line.is_empty())
    }
    let dotted = |line: &str| line.split('=').next().is_some_and(|key| key.contains('.'));
    if !lines(text).any(dotted) {
        let mut left = lines(longer);
        return lines(text).all(|line| left.any(|other| other == line));
    }
    let without_spaces = |line: &str| line.replace([' ', '\t'], "");
    let mut left: Vec<String> = lines(longer).map(without_spaces).collect();
    lines(text).map(without_spaces).all(|line| {
        let place = left.iter().position(|other| *other == line);
        place.map(|place| left.swap_remove(place)).is_some()
    })
}
