//! Keys: the three 32-byte values of WireGuard, each its own type.
//!
//! The text form is that of the `wg` tool (44 characters of base64, RFC 4648
//! section 4, canonical); the UAPI's is 64 hexadecimal digits. Errors name
//! what was expected and never what was found, for it may be a secret.

use core::fmt;
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of every key.
pub const KEY_LEN: usize = 32;

/// Characters of a key in base64: eleven groups of four, the last padded.
const BASE64_LEN: usize = 44;

/// Why a text is not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not the canonical base64 of 32 bytes.
    #[error("expected a key of 44 base64 characters ending in '='")]
    Base64,
    /// Not the hexadecimal form of 32 bytes.
    #[error("expected a key of 64 hexadecimal digits")]
    Hex,
}

/// A peer's or an interface's X25519 public key (RFC 7748).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PublicKey([u8; KEY_LEN]);

impl PublicKey {
    /// The key with these bytes; every 32 bytes are one.
    pub const fn from_bytes(bytes: [u8; KEY_LEN]) -> Self {
        Self(bytes)
    }

    /// The key's bytes.
    pub const fn as_bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    /// Parses 64 hexadecimal digits, as the UAPI writes them.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        decode_hex(text).map(|bytes| Self(*bytes))
    }

    /// 64 lower-case hexadecimal digits.
    pub fn to_hex(&self) -> String {
        encode_hex(&self.0)
    }

    /// Whether all bytes are zero, which stands for "no key".
    pub fn is_zero(&self) -> bool {
        self.0 == [0; KEY_LEN]
    }
}

impl From<[u8; KEY_LEN]> for PublicKey {
    fn from(bytes: [u8; KEY_LEN]) -> Self {
        Self(bytes)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        decode_base64(text).map(|bytes| Self(*bytes))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An interface's X25519 private key, clamped (RFC 7748 section 5) unless it
/// is all zero, which stands for "no key".
#[derive(Clone, Zeroize, ZeroizeOnDrop, Serialize)]
#[serde(transparent)]
pub struct PrivateKey([u8; KEY_LEN]);

impl PrivateKey {
    /// Clamps 32 bytes into a private key; all zero stays all zero.
    pub fn from_bytes(mut bytes: [u8; KEY_LEN]) -> Self {
        if bytes != [0; KEY_LEN] {
            bytes[0] &= 0b1111_1000;
            bytes[31] = (bytes[31] & 0b0111_1111) | 0b0100_0000;
        }
        let key = Self(bytes);
        bytes.zeroize();
        key
    }
}

impl<'de> Deserialize<'de> for PrivateKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <[u8; KEY_LEN]>::deserialize(deserializer).map(Self::from_bytes)
    }
}

/// A symmetric key mixed into a peer's handshakes (whitepaper section 5.4.3);
/// all zero stands for "none".
#[derive(Clone, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PresharedKey([u8; KEY_LEN]);

impl PresharedKey {
    /// The key of a peer that has none.
    pub const ZERO: Self = Self([0; KEY_LEN]);

    /// The key with these bytes; every 32 bytes are one.
    pub const fn from_bytes(bytes: [u8; KEY_LEN]) -> Self {
        Self(bytes)
    }
}

impl Default for PresharedKey {
    fn default() -> Self {
        Self::ZERO
    }
}

/// What both secret types share: explicit exposure, comparison in constant
/// time, a Debug that shows nothing.
macro_rules! secret {
    ($name:ident) => {
        impl $name {
            /// The secret's bytes. Whoever calls this keeps them out of logs,
            /// arguments and errors.
            pub fn expose(&self) -> &[u8; KEY_LEN] {
                &self.0
            }

            /// Parses 64 hexadecimal digits, as the UAPI writes them.
            pub fn from_hex(text: &str) -> Result<Self, KeyError> {
                decode_hex(text).map(|bytes| Self::from_bytes(*bytes))
            }

            /// The secret in 64 lower-case hexadecimal digits.
            pub fn expose_hex(&self) -> Zeroizing<String> {
                Zeroizing::new(encode_hex(&self.0))
            }

            /// The secret in base64, as the `wg` tool writes it.
            pub fn expose_base64(&self) -> Zeroizing<String> {
                Zeroizing::new(STANDARD.encode(self.0))
            }

            /// Whether all bytes are zero, which stands for "no key".
            pub fn is_zero(&self) -> bool {
                self.0.ct_eq(&[0; KEY_LEN]).into()
            }
        }

        impl FromStr for $name {
            type Err = KeyError;

            fn from_str(text: &str) -> Result<Self, KeyError> {
                decode_base64(text).map(|bytes| Self::from_bytes(*bytes))
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.ct_eq(&other.0).into()
            }
        }

        impl Eq for $name {}

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

secret!(PrivateKey);
secret!(PresharedKey);

fn decode_base64(text: &str) -> Result<Zeroizing<[u8; KEY_LEN]>, KeyError> {
    // The decoder asks for room for three bytes per group before it knows of the padding.
    let mut decoded = Zeroizing::new([0u8; BASE64_LEN / 4 * 3]);
    if text.len() != BASE64_LEN || STANDARD.decode_slice(text, &mut *decoded) != Ok(KEY_LEN) {
        return Err(KeyError::Base64);
    }
    let mut key = Zeroizing::new([0; KEY_LEN]);
    key.copy_from_slice(&decoded[..KEY_LEN]);
    Ok(key)
}

fn decode_hex(text: &str) -> Result<Zeroizing<[u8; KEY_LEN]>, KeyError> {
    let text = text.as_bytes();
    if text.len() != 2 * KEY_LEN {
        return Err(KeyError::Hex);
    }
    let mut key = Zeroizing::new([0; KEY_LEN]);
    for (byte, digits) in key.iter_mut().zip(text.chunks_exact(2)) {
        *byte = hex_digit(digits[0])? << 4 | hex_digit(digits[1])?;
    }
    Ok(key)
}

fn hex_digit(digit: u8) -> Result<u8, KeyError> {
    let value = char::from(digit).to_digit(16).ok_or(KeyError::Hex)?;
    Ok(value as u8)
}

fn encode_hex(bytes: &[u8; KEY_LEN]) -> String {
    let mut text = String::with_capacity(2 * KEY_LEN);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";

    fn counting() -> [u8; KEY_LEN] {
        core::array::from_fn(|i| i as u8 + 1)
    }

    #[test]
    fn base64_goes_both_ways() {
        let key: PublicKey = TEXT.parse().unwrap();
        assert_eq!(key.as_bytes(), &counting());
        assert_eq!(key.to_string(), TEXT);
        assert_eq!(format!("{key:?}"), TEXT);
        let psk: PresharedKey = TEXT.parse().unwrap();
        assert_eq!(*psk.expose_base64(), TEXT);
    }

    /// Catches a decoder that takes a second spelling of the same key.
    #[test]
    fn only_the_canonical_base64_is_taken() {
        let trailing_bits = TEXT.replace("yA=", "yB=");
        let unpadded = &TEXT[..43];
        let spaced = format!(" {}", &TEXT[1..]);
        let url_safe = TEXT.replace('A', "-");
        for text in [
            "",
            unpadded,
            &trailing_bits,
            &spaced,
            &url_safe,
            &format!("{TEXT}="),
            "é",
        ] {
            assert_eq!(text.parse::<PublicKey>(), Err(KeyError::Base64), "{text:?}");
            assert!(text.parse::<PrivateKey>().is_err() && text.parse::<PresharedKey>().is_err());
        }
    }

    #[test]
    fn hex_goes_both_ways_and_refuses_the_rest() {
        let key = PublicKey::from_bytes(counting());
        assert_eq!(PublicKey::from_hex(&key.to_hex()), Ok(key));
        assert_eq!(PublicKey::from_hex(&key.to_hex().to_uppercase()), Ok(key));
        for text in [
            "",
            "00",
            &"g".repeat(64),
            &"+1".repeat(32),
            &"0".repeat(65),
            &"é".repeat(32),
        ] {
            assert_eq!(PublicKey::from_hex(text), Err(KeyError::Hex), "{text:?}");
        }
    }

    /// Catches a private key shown to the user that differs from the one in use.
    #[test]
    fn private_keys_are_clamped_however_they_arrive() {
        let clamped = |key: PrivateKey| {
            assert_eq!(key.expose()[0], 0xf8);
            assert_eq!(key.expose()[31], 0x7f);
        };
        clamped(PrivateKey::from_bytes([0xff; 32]));
        clamped(PrivateKey::from_hex(&"f".repeat(64)).unwrap());
        clamped(STANDARD.encode([0xff; 32]).parse().unwrap());
        let bytes =
            serde::de::value::SeqDeserializer::<_, serde::de::value::Error>::new([0xffu8; 32].into_iter());
        clamped(PrivateKey::deserialize(bytes).unwrap());
    }

    #[test]
    fn zero_means_no_key() {
        let zero = "0".repeat(64);
        assert!(PrivateKey::from_hex(&zero).unwrap().is_zero());
        assert!(PresharedKey::from_hex(&zero).unwrap().is_zero() && PresharedKey::default().is_zero());
        assert!(PublicKey::from_hex(&zero).unwrap().is_zero());
        assert!(!PrivateKey::from_bytes(counting()).is_zero());
        assert!(!PresharedKey::from_bytes(counting()).is_zero());
    }

    #[test]
    fn secrets_do_not_show() {
        assert_eq!(
            format!("{:?}", PrivateKey::from_bytes(counting())),
            "PrivateKey(..)"
        );
        assert_eq!(
            format!("{:?}", PresharedKey::from_bytes(counting())),
            "PresharedKey(..)"
        );
        let wrong = TEXT.replace('=', "!");
        assert!(
            !wrong
                .parse::<PrivateKey>()
                .unwrap_err()
                .to_string()
                .contains("AQID")
        );
    }

    #[test]
    fn secrets_compare_by_value() {
        let key = PresharedKey::from_bytes(counting());
        assert_eq!(key, key.clone());
        assert_ne!(key, PresharedKey::ZERO);
    }
}
