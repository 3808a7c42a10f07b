//! Keys given in the file or in files beside it, and what can be told from a key alone.

use crate::problem::{Problem, Wrong};
use crate::reader::{At, Reader, Section};
use core::str::FromStr;
use std::io;
use std::path::{Path, PathBuf};
use weir_abi::key::{KeyError, PrivateKey, PublicKey};
use zeroize::Zeroizing;

/// A key file as the caller read it.
#[derive(Clone)]
pub struct KeyFile {
    /// Its text: one key in base64.
    pub text: Zeroizing<String>,
    /// Its mode; only the permission bits count.
    pub mode: u32,
}

/// How the caller reads a key file. Paths arrive resolved against the folder of the configuration file.
pub type ReadKey<'a> = &'a dyn Fn(&Path) -> io::Result<KeyFile>;

/// The public key of a private key (RFC 7748 section 6.1).
pub fn public_key(private: &PrivateKey) -> PublicKey {
    let secret = x25519_dalek::StaticSecret::from(*private.expose());
    PublicKey::from_bytes(x25519_dalek::PublicKey::from(&secret).to_bytes())
}

/// Whether no handshake with this key can succeed: it is of low order, so that every shared secret is zero
/// (RFC 7748 section 6.1). Compared with the list and not multiplied, for a file may hold a million keys.
pub fn is_weak(key: &PublicKey) -> bool {
    let mut bytes = *key.as_bytes();
    // X25519 ignores the highest bit (RFC 7748 section 5).
    bytes[31] &= 0x7f;
    let last = bytes[31];
    let end = |least, inner, most| {
        (least..=most).contains(&bytes[0])
            && last == if inner == 0 { 0 } else { 0x7f }
            && bytes[1..31].iter().all(|b| *b == inner)
    };
    // 0 and 1; then p - 1, p and p + 1 with p = 2^255 - 19.
    end(0, 0, 1) || end(0xec, 0xff, 0xee) || ORDER_EIGHT.contains(&bytes)
}

/// The two points of order eight, little-endian.
const ORDER_EIGHT: [[u8; 32]; 2] = [
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda,
        0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04,
        0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
];

/// Resolves a path of the configuration file `file`.
pub fn resolve(file: &str, path: &str) -> PathBuf {
    Path::new(file).parent().unwrap_or(Path::new("")).join(path)
}

/// Reads `key` or else the file named by `key_file`. Problems are reported, an exposed file goes to `warnings`.
pub(crate) fn read<T>(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    [key, key_file]: [&'static str; 2],
    (file, read_key): (&str, ReadKey<'_>),
    warnings: &mut Vec<Problem>,
) -> Option<At<T>>
where
    T: FromStr<Err = KeyError>,
{
    let inline = section.parsed::<T>(reader, key, "a key in base64");
    let path = section.text(reader, key_file, "the path of a key file");
    let Some(path) = path else {
        return inline;
    };
    if section.has(key) {
        section.report(reader, path.line, key_file, Wrong::Both(key));
        return inline;
    }
    let resolved = resolve(file, path.value);
    let shown = resolved.display().to_string();
    let refused = |why: String| Wrong::KeyFile {
        path: shown.clone(),
        why,
    };
    match read_key(&resolved) {
        Ok(found) => {
            if found.mode & 0o077 != 0 {
                let wrong = Wrong::Exposed {
                    path: shown.clone(),
                    mode: found.mode & 0o7777,
                };
                warnings.push(reader.problem(path.line, &section.name, key_file, wrong));
            }
            match found.text.trim().parse() {
                Ok(value) => {
                    return Some(At {
                        value,
                        line: path.line,
                    });
                }
                Err(error) => section.report(reader, path.line, key_file, refused(error.to_string())),
            }
        }
        Err(error) => section.report(reader, path.line, key_file, refused(error.to_string())),
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a key derived without clamping: RFC 7748 section 6.1, Alice's pair.
    #[test]
    fn public_keys_are_those_of_the_rfc() {
        let private = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
        let public = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
        assert_eq!(
            public_key(&PrivateKey::from_hex(private).unwrap()).to_hex(),
            public
        );
    }

    // Catches a listed point that is harmless, and a neighbour of one that is taken for it: the multiplication decides.
    #[test]
    fn keys_of_low_order_are_recognised() {
        let small = |first| {
            let mut bytes = [0; 32];
            bytes[0] = first;
            bytes
        };
        let near_p = |first| {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (first, 0x7f);
            bytes
        };
        let mut keys: Vec<[u8; 32]> = ORDER_EIGHT.to_vec();
        keys.extend((0..=4).map(small));
        keys.extend((0xe8..=0xff).map(near_p));
        keys.extend([
            [7; 32],
            [0xff; 32],
            *public_key(&PrivateKey::from_bytes([7; 32])).as_bytes(),
        ]);
        let mut weak = 0;
        for mut bytes in keys {
            for _ in 0..2 {
                let any = x25519_dalek::StaticSecret::from([0x55; 32]);
                let zero = !any
                    .diffie_hellman(&x25519_dalek::PublicKey::from(bytes))
                    .was_contributory();
                assert_eq!(is_weak(&PublicKey::from_bytes(bytes)), zero, "{bytes:02x?}");
                weak += usize::from(zero);
                bytes[31] ^= 0x80;
            }
        }
        assert_eq!(weak, 14);
    }
}
