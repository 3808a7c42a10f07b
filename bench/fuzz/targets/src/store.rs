//! `weir-store`: archives, records and sealed values, as they lie in files.

/// A last good copy or a backup, any bytes or a sound one changed.
pub fn archive(data: &[u8]) {
    weir_store::fuzzing::archive(data);
}

/// A record, sealed and opened.
pub fn record(data: &[u8]) {
    weir_store::fuzzing::sealed(data);
    weir_store::fuzzing::record(data);
}
