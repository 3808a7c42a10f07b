//! Records as they lie in the file: keys, sealed values, and the manifest that says which of them there are.

mod codec;
mod digest;
mod manifest;
mod sealer;
mod tables;

pub(crate) use codec::{RecordKey, decode_into, decode_value, encode};
pub(crate) use digest::Digest;
pub(crate) use manifest::{AuditAnchor, Manifest};
pub(crate) use sealer::Sealer;
pub(crate) use tables::{AUDIT, MANIFEST, RECORDS};
