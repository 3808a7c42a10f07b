//! The one file in which desired state lives, with its secrets sealed, its last good copy, the audit log and history.
#![forbid(unsafe_code)]
