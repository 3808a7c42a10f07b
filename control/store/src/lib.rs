//! The files in which control keeps desired state, the audit log and the history of traffic; secrets sealed, every byte
//! authenticated, a last good copy beside them.
//!
//! [`Store::open`] reads all records once, into a [`State`](weir_model::record::State) that the caller owns from then on;
//! [`Store::commit`] makes a [`Batch`] durable before the caller applies it to that state. The one owner of control's
//! state calls this crate; it does file I/O and nothing else: no network, no data plane, no clock (times are arguments).
//! It never starts with fewer peers than it kept: what is damaged is said, and read from the last good copy or not at all.
#![forbid(unsafe_code)]

mod archive;
mod audit;
mod backup;
mod batch;
mod blocks;
mod contents;
mod copy;
mod error;
mod files;
#[doc(hidden)]
pub mod fuzzing;
mod history;
mod key_change;
mod records;
mod recovery;
mod report;
mod sealing;
mod state;
mod store;

pub use audit::{AuditFault, AuditPage, AuditVerification};
pub use backup::{BackupError, PASSPHRASE_MIN, Passphrase, Restored, read_backup};
pub use batch::{Batch, Committed};
pub use error::StoreError;
pub use history::{History, Observation, Point, Resolution, Sums, Totals};
pub use key_change::change_sealing_key;
pub use report::{Found, OpenReport, Opened, Recovery};
pub use sealing::{Algorithm, KeyId, KeyOrigin, SealingKey, SealingKeyError};
pub use store::Store;
