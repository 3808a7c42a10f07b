//! The whole of what is kept: backups, and their way back.

use super::{Service, asker};
use crate::clock;
use weir_api::backend::{Answer, Made, Outcome, Refusal};
use weir_api::caller::{Caller, Options};
use weir_api::types::{BackupInput, Diff, DiffEntry, DiffOp, FieldProblem, RestoreInput, Restored, Secret};
use weir_model::Change;
use weir_model::record::{Action, Facts, NewAuditEntry};
use weir_store::{BackupError, Passphrase, read_backup};

impl Service {
    pub(super) async fn take_backup(&self, by: &Caller, input: BackupInput) -> Answer<Vec<u8>> {
        let store = self.store.clone();
        let passphrase = passphrase(&input.passphrase);
        let made = tokio::task::spawn_blocking(move || store.backup(&passphrase, clock::now())).await;
        let bytes = made
            .map_err(|error| Refusal::Internal(error.to_string()))?
            .map_err(refusal)?;
        // A store that takes no entry, on a full disk, is the very one to take a backup of.
        if let Err(refusal) = self.plainly(asker(by), Change::BackupTaken).await {
            tracing::warn!("a backup is not in the audit log: {refusal}");
        }
        Ok(bytes)
    }

    pub(super) async fn restore_backup(
        &self,
        by: &Caller,
        options: &Options,
        input: RestoreInput,
        backup: Vec<u8>,
    ) -> Answer<Outcome<Restored>> {
        let passphrase = passphrase(&input.passphrase);
        let read = tokio::task::spawn_blocking(move || read_backup(&backup, &passphrase)).await;
        let found = read
            .map_err(|error| Refusal::Internal(error.to_string()))?
            .map_err(refusal)?;
        let state = found.state;
        let held = Restored {
            peers: state.peers.len() as u64,
            rules: state.rules.items.len() as u64,
            users: state.users.len() as u64,
            tokens: state.tokens.len() as u64,
            made_at: found.made_at,
        };
        if options.dry_run {
            let published = self.published();
            let now = &published.state;
            let counts = [
                ("/peers", now.peers.len(), state.peers.len()),
                ("/rules", now.rules.items.len(), state.rules.items.len()),
                ("/users", now.users.len(), state.users.len()),
                ("/tokens", now.tokens.len(), state.tokens.len()),
            ];
            let entry = |(path, before, after): (&str, usize, usize)| DiffEntry {
                op: DiffOp::Replace,
                path: path.to_owned(),
                before: Some(before.into()),
                after: Some(after.into()),
            };
            return Ok(Outcome::WouldMake(Diff {
                diff: counts.into_iter().map(entry).collect(),
            }));
        }
        let (actor, source) = asker(by);
        let audit = NewAuditEntry {
            at: clock::now(),
            actor,
            source,
            action: Action::BackupRestored,
            target: String::new(),
            before: Facts::new(),
            after: Facts::from([
                ("made_at".to_owned(), held.made_at.to_string()),
                ("peers".to_owned(), held.peers.to_string()),
            ]),
        };
        self.owner.restore(state, audit).await?;
        Ok(Outcome::Made(Made::plain(held)))
    }
}

fn passphrase(secret: &Secret) -> Passphrase {
    Passphrase::new(secret.expose().as_bytes().to_vec())
}

fn refusal(error: BackupError) -> Refusal {
    let field = match &error {
        BackupError::ShortPassphrase(_) | BackupError::WrongPassphrase => "passphrase",
        BackupError::Damaged | BackupError::Newer(_) => "backup",
        BackupError::Store(error) => return Refusal::Storage(crate::owner::storage_fault(error)),
    };
    Refusal::Invalid(vec![FieldProblem::silent(field, error.to_string())])
}
