//! The whole of what is kept: backups, and their way back.

use super::Service;
use weir_api::backend::{Answer, Outcome, Refusal};
use weir_api::caller::{Caller, Options};
use weir_api::types::{BackupInput, RestoreInput, Restored};

impl Service {
    pub(super) async fn take_backup(&self, _by: &Caller, _input: BackupInput) -> Answer<Vec<u8>> {
        Err(Refusal::Unavailable { detail: "backups are not made yet".to_owned() })
    }

    pub(super) async fn restore_backup(
        &self,
        _by: &Caller,
        _options: &Options,
        _input: RestoreInput,
        _backup: Vec<u8>,
    ) -> Answer<Outcome<Restored>> {
        Err(Refusal::Unavailable { detail: "backups are not restored yet".to_owned() })
    }
}
