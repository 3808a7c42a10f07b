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
/// (RFC 7748 section 6.1).
pub fn is_weak(key: &PublicKey) -> bool {
    let any = x25519_dalek::StaticSecret::from([0x55; 32]);
    !any.diffie_hellman(&x25519_dalek::PublicKey::from(*key.as_bytes()))
        .was_contributory()
}

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

    #[test]
    fn keys_of_low_order_are_recognised() {
        assert!(is_weak(&PublicKey::from_bytes([0; 32])));
        let mut one = [0; 32];
        one[0] = 1;
        assert!(is_weak(&PublicKey::from_bytes(one)));
        assert!(!is_weak(&public_key(&PrivateKey::from_bytes([7; 32]))));
    }
}
