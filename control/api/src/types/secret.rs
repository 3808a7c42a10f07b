//! Secrets that enter by requests: no Debug shows them, they are wiped when dropped, and no problem repeats them.

use core::fmt;
use serde::{Deserialize, Deserializer};
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};
use weir_abi::key::PresharedKey;
use zeroize::Zeroizing;

/// Bytes of a password or passphrase at most, so that hashing it costs no more than it should.
pub const SECRET_MAX: usize = 1024;

/// Names of fields whose values are secret: a problem says what was expected of them and never what was found.
pub const SECRET_FIELDS: &[&str] = &[
    "password",
    "current",
    "new",
    "passphrase",
    "preshared_key",
    "backup",
    "token",
];

/// A password or a passphrase. Of new ones more is asked: [`crate::auth::password::judge`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret. Whoever calls this keeps it out of logs, arguments and errors.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        if text.len() > SECRET_MAX {
            return Err(serde::de::Error::custom(format!(
                "expected at most {SECRET_MAX} bytes"
            )));
        }
        Ok(Self(text))
    }
}

impl PartialSchema for Secret {
    fn schema() -> RefOr<Schema> {
        let object = ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Password)))
            .max_length(Some(SECRET_MAX))
            .write_only(true);
        RefOr::T(Schema::Object(object.build()))
    }
}

impl ToSchema for Secret {}

/// What a request says of a preshared key: `"generate"`, a key, or `null` for none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PresharedKeyInput {
    /// A new one is made.
    Generate,
    /// This one.
    Key(PresharedKey),
}

impl<'de> Deserialize<'de> for PresharedKeyInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        if *text == "generate" {
            return Ok(Self::Generate);
        }
        let refused =
            |_| serde::de::Error::custom("expected \"generate\", a key of 44 base64 characters, or null");
        text.parse().map(Self::Key).map_err(refused)
    }
}

impl PartialSchema for PresharedKeyInput {
    fn schema() -> RefOr<Schema> {
        let object = ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .pattern(Some("^(generate|[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=)$"))
            .description(Some("\"generate\" or a key; never answered again."))
            .write_only(true);
        RefOr::T(Schema::Object(object.build()))
    }
}

impl ToSchema for PresharedKeyInput {}
