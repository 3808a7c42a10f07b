//! Texts with a rule: each is parsed where it enters, so that what lies behind holds only values that keep the rule.
//!
//! The message of a refusal says what was expected and never repeats the value; the problem that answers the request
//! adds the value, unless the field is a secret.

use core::fmt;
use core::str::FromStr;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};

/// What a name may be: that of a peer, a group, a rule or a token.
pub const NAME_EXPECTED: &str = "1 to 64 bytes of letters, digits, spaces and -_.@+, beginning and ending with a letter, a digit or one of _+@";

/// What a user's name may be.
pub const USER_NAME_EXPECTED: &str =
    "1 to 32 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit";

/// Characters of notes at most.
pub const NOTES_MAX: usize = 2000;

const KEY_EXPECTED: &str = "a key of 44 base64 characters ending in '='";
const CIDR_EXPECTED: &str = "a network such as 10.0.0.0/24, fd00::/64, or an address";
const ENDPOINT_EXPECTED: &str = "ADDRESS:PORT, [IPV6]:PORT or NAME:PORT with a port of 1 to 65535";
const NOTES_EXPECTED: &str =
    "up to 2000 characters without control characters other than line breaks and tabs";

/// Gives a newtype its JSON form, a string, and the string's schema.
macro_rules! text {
    ($name:ident, $expected:expr, $schema:expr) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $name;
                    fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(|_: $crate::types::text::Refused| {
                            E::custom($crate::types::text::said($expected))
                        })
                    }
                }
                deserializer.deserialize_str(Visitor)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                let object: utoipa::openapi::Object = $schema;
                utoipa::openapi::RefOr::T(utoipa::openapi::schema::Schema::Object(object))
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}
pub(super) use text;

/// A text that breaks its rule; the type it was parsed for says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text breaks its rule")]
pub struct Refused;

/// A WireGuard public key in its base64 form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub weir_abi::key::PublicKey);

/// A network, or a single address, as allowed IPs are written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Cidr(pub weir_abi::prefix::Prefix);

/// Where a peer is reached.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Endpoint(pub weir_abi::endpoint::Endpoint);

/// A name for people: of a peer, a group, a rule or a token. [`NAME_EXPECTED`] says the rule, which is that of
/// `weir.toml`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Name(String);

/// A user's name. [`USER_NAME_EXPECTED`] says the rule.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UserName(String);

/// Free text of an operator, up to [`NOTES_MAX`] characters.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Notes(String);

text!(
    Key,
    KEY_EXPECTED,
    object("A WireGuard public key.")
        .pattern(Some("^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$"))
        .examples(["AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="])
        .build()
);
text!(
    Cidr,
    CIDR_EXPECTED,
    object("A network or a single address.")
        .max_length(Some(49))
        .examples(["10.0.0.2/32"])
        .build()
);
text!(
    Endpoint,
    ENDPOINT_EXPECTED,
    object("An address or a host name, and a UDP port.")
        .max_length(Some(259))
        .examples(["vpn.example.org:51820"])
        .build()
);
text!(
    Name,
    NAME_EXPECTED,
    object(NAME_EXPECTED)
        .min_length(Some(1))
        .max_length(Some(64))
        .examples(["laptop"])
        .build()
);
text!(
    UserName,
    USER_NAME_EXPECTED,
    object(USER_NAME_EXPECTED)
        .pattern(Some("^[a-z0-9][a-z0-9._-]{0,31}$"))
        .examples(["alice"])
        .build()
);
text!(
    Notes,
    NOTES_EXPECTED,
    object("Free text of an operator.")
        .max_length(Some(NOTES_MAX))
        .build()
);
impl Key {
    /// Parses the form that paths carry: base64, or base64url with or without its padding.
    pub fn from_path(text: &str) -> Result<Self, Refused> {
        let mut standard: String = text
            .chars()
            .map(|c| match c {
                '-' => '+',
                '_' => '/',
                other => other,
            })
            .collect();
        if standard.len() == 43 {
            standard.push('=');
        }
        standard.parse()
    }

    /// The key in base64url without padding, as paths carry it.
    pub fn to_path(self) -> String {
        self.0
            .to_string()
            .trim_end_matches('=')
            .replace('+', "-")
            .replace('/', "_")
    }
}

impl Name {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl UserName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Notes {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Key {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        text.parse().map(Self).map_err(|_| Refused)
    }
}

impl FromStr for Cidr {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        text.parse().map(Self).map_err(|_| Refused)
    }
}

impl FromStr for Endpoint {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        text.parse().map(Self).map_err(|_| Refused)
    }
}

impl FromStr for Name {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || "_+@".contains(c));
        let kept = text.len() <= 64
            && edge(text.chars().next())
            && edge(text.chars().next_back())
            && text.chars().all(|c| c.is_alphanumeric() || " -_.@+".contains(c));
        kept.then(|| Self(text.to_owned())).ok_or(Refused)
    }
}

impl FromStr for UserName {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let kept = (1..=32).contains(&text.len())
            && text.bytes().all(|b| plain(b) || b"._-".contains(&b))
            && text.bytes().next().is_some_and(plain);
        kept.then(|| Self(text.to_owned())).ok_or(Refused)
    }
}

impl FromStr for Notes {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let kept = text.chars().count() <= NOTES_MAX
            && text
                .chars()
                .all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'));
        kept.then(|| Self(text.to_owned())).ok_or(Refused)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text's schema, to be narrowed.
pub(super) fn object(description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .description(Some(description))
}

/// How a rule stands in an error, so that the problem can take it out again.
pub(super) fn said(expected: &str) -> String {
    format!("expected {expected}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";

    // Catches a key that a path can carry in one spelling only, and a second spelling of the same key.
    #[test]
    fn a_key_in_a_path_may_be_base64_or_base64url() {
        let slashed = weir_abi::key::PublicKey::from_bytes([0xff; 32]);
        let standard = slashed.to_string();
        let url = Key(slashed).to_path();
        assert!(standard.contains('/') && !url.contains(['/', '+', '=']));
        for text in [standard.as_str(), url.as_str(), &format!("{url}=")] {
            assert_eq!(Key::from_path(text), Ok(Key(slashed)), "{text}");
        }
        for text in ["", "AQID", &KEY.replace("yA=", "yB="), &format!("{KEY}=")] {
            assert_eq!(Key::from_path(text), Err(Refused), "{text}");
        }
    }

    // Catches a rule that lets markup, shell words, or hidden characters through.
    #[test]
    fn names_keep_their_rule() {
        for good in ["laptop", "Zoë's".trim_end_matches("'s"), "a b-c.d@e+f_", "日本"] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in [
            "",
            " a",
            "a ",
            "a\nb",
            "<b>",
            "$(id)",
            "a;b",
            "a\u{202e}b",
            "'",
            "a/b",
            ".",
            &"x".repeat(65),
        ] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?}");
        }
        assert!("alice.b-c_1".parse::<UserName>().is_ok());
        for bad in ["", "Alice", "-a", "a b", "root\0", &"x".repeat(33)] {
            assert!(bad.parse::<UserName>().is_err(), "{bad:?}");
        }
    }
}
