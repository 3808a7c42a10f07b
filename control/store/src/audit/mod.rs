//! The audit log: append-only, each entry chained to the one before it, both ends held fast by the manifest.

mod chain;
mod page;

pub use chain::AuditFault;
pub use page::{AuditPage, AuditVerification};

pub(crate) use chain::{Chain, hash_of};
