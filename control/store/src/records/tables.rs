//! The tables of the state's file.

use redb::TableDefinition;

/// All records but the audit log: the kind and its key, to the sealed value.
pub(crate) const RECORDS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("records");

/// Audit entries: number, to the sealed entry.
pub(crate) const AUDIT: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("audit");

/// The one manifest.
pub(crate) const MANIFEST: TableDefinition<'static, (), &[u8]> = TableDefinition::new("manifest");
