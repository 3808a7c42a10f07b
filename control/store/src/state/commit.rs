//! Writing.

use redb::{ReadableTable, Table, WriteTransaction};
use weir_model::record::{AuditEntry, AuditHash, CommitNumber, OutboxKey};

use crate::audit::hash_of;
use crate::batch::Batch;
use crate::contents::Contents;
use crate::error::StoreError;
use crate::records::{AUDIT, MANIFEST, Manifest, RECORDS, RecordKey, decode_value, encode};

use super::StateFile;

/// The table of records, open for writing, and the manifest that is to tell of it.
struct Records<'a, 'b> {
    file: &'a StateFile,
    table: Table<'b, &'static [u8], &'static [u8]>,
    manifest: &'a mut Manifest,
}

impl Records<'_, '_> {
    fn put(&mut self, key: &RecordKey, value: &[u8]) -> Result<(), StoreError> {
        let (file, key) = (self.file, key.as_bytes());
        let sealed = file.sealer.seal(self.manifest.epoch, "records", key, value);
        let replaced = self
            .table
            .insert(key, sealed.as_slice())
            .map_err(|error| file.fault(error))?;
        let digest = &mut self.manifest.records;
        digest.add(&file.digest_key, key, &sealed);
        if let Some(replaced) = replaced {
            digest.remove(&file.digest_key, key, replaced.value());
        }
        Ok(())
    }

    fn remove(&mut self, key: &RecordKey) -> Result<(), StoreError> {
        let (file, key) = (self.file, key.as_bytes());
        let removed = self.table.remove(key).map_err(|error| file.fault(error))?;
        if let Some(removed) = removed {
            let digest = &mut self.manifest.records;
            digest.remove(&file.digest_key, key, removed.value());
        }
        Ok(())
    }

    /// Takes an outbox entry away if it still has this number.
    fn confirm(&mut self, key: &OutboxKey, number: CommitNumber) -> Result<(), StoreError> {
        let key = RecordKey::outbox(key);
        let stored: Option<CommitNumber> = {
            let sealed = self
                .table
                .get(key.as_bytes())
                .map_err(|error| self.file.fault(error))?;
            let Some(sealed) = sealed else { return Ok(()) };
            let value = self.file.sealer.open("records", key.as_bytes(), sealed.value());
            value.ok().and_then(|value| decode_value(&value))
        };
        match stored {
            Some(stored) if stored == number => self.remove(&key),
            Some(_) => Ok(()),
            None => Err(self.file.damaged("a record is not what was written")),
        }
    }
}

impl StateFile {
    /// Writes a batch behind what `manifest` tells of, durably; returns what tells of all of it.
    pub(crate) fn commit(&self, manifest: &Manifest, batch: &Batch) -> Result<Manifest, StoreError> {
        let mut next = manifest.clone();
        next.commit.0 += 1;
        let seals = self.sealer.seals();
        let mut transaction = self.database.begin_write().map_err(|error| self.fault(error))?;
        // Commits in two phases and keeps the allocator's state, so that after a crash the file opens at once, and redb
        // never has to choose between two roots by pages that may be torn.
        transaction.set_quick_repair(true);
        self.write_records(&transaction, &mut next, batch)?;
        self.append_audit(&transaction, &mut next, batch)?;
        // The manifest is sealed too.
        next.count_seals(self.sealer.seals() - seals + 1);
        self.put_manifest(&transaction, &next)?;
        transaction.commit().map_err(|error| self.fault(error))?;
        Ok(next)
    }

    fn write_records(
        &self,
        transaction: &WriteTransaction,
        next: &mut Manifest,
        batch: &Batch,
    ) -> Result<(), StoreError> {
        let number = next.commit;
        let mut records = self.records(transaction, next)?;
        for write in &batch.writes {
            match RecordKey::of(write) {
                (key, Some(value)) => records.put(&key, &value)?,
                (key, None) => records.remove(&key)?,
            }
        }
        for (key, confirmed) in &batch.confirmed {
            records.confirm(key, *confirmed)?;
        }
        for key in &batch.outbox {
            records.put(&RecordKey::outbox(key), &encode(&number))?;
        }
        Ok(())
    }

    fn append_audit(
        &self,
        transaction: &WriteTransaction,
        next: &mut Manifest,
        batch: &Batch,
    ) -> Result<(), StoreError> {
        if batch.audit.is_empty() {
            return Ok(());
        }
        let mut table = transaction.open_table(AUDIT).map_err(|error| self.fault(error))?;
        for entry in &batch.audit {
            let number = next.audit.last + 1;
            let hash = hash_of(next.audit.head, number, entry);
            let entry = AuditEntry {
                number,
                entry: entry.clone(),
                hash,
            };
            let sealed = self.seal_audit(next.epoch, &entry);
            table
                .insert(number, sealed.as_slice())
                .map_err(|error| self.fault(error))?;
            (next.audit.last, next.audit.head) = (number, hash);
        }
        Ok(())
    }

    fn seal_audit(&self, epoch: u32, entry: &AuditEntry) -> Vec<u8> {
        self.sealer
            .seal(epoch, "audit", &entry.number.to_be_bytes(), &encode(entry))
    }

    fn records<'a, 'b>(
        &'a self,
        transaction: &'b WriteTransaction,
        manifest: &'a mut Manifest,
    ) -> Result<Records<'a, 'b>, StoreError> {
        let table = transaction
            .open_table(RECORDS)
            .map_err(|error| self.fault(error))?;
        Ok(Records {
            file: self,
            table,
            manifest,
        })
    }

    fn put_manifest(&self, transaction: &WriteTransaction, manifest: &Manifest) -> Result<(), StoreError> {
        let mut table = transaction
            .open_table(MANIFEST)
            .map_err(|error| self.fault(error))?;
        let sealed = self
            .sealer
            .seal(manifest.epoch, "manifest", &[], &encode(manifest));
        table
            .insert((), sealed.as_slice())
            .map_err(|error| self.fault(error))?;
        Ok(())
    }

    /// Puts whole contents into a file that is being made.
    pub(super) fn put_contents(
        &self,
        transaction: &WriteTransaction,
        contents: &Contents,
    ) -> Result<(), StoreError> {
        let mut manifest = Manifest {
            commit: contents.commit,
            audit: contents.anchor,
            ..Manifest::default()
        };
        let mut records = self.records(transaction, &mut manifest)?;
        for write in &contents.writes {
            if let (key, Some(value)) = RecordKey::of(write) {
                records.put(&key, &value)?;
            }
        }
        for (key, number) in &contents.outbox {
            records.put(&RecordKey::outbox(key), &encode(number))?;
        }
        drop(records);
        let mut audit = transaction.open_table(AUDIT).map_err(|error| self.fault(error))?;
        for entry in &contents.audit {
            let sealed = self.seal_audit(manifest.epoch, entry);
            audit
                .insert(entry.number, sealed.as_slice())
                .map_err(|error| self.fault(error))?;
        }
        drop(audit);
        manifest.count_seals(self.sealer.seals() + 1);
        self.put_manifest(transaction, &manifest)
    }

    /// Takes away all audit entries below `first`; what the entry with that number is chained to is `before`.
    pub(crate) fn prune_audit(
        &self,
        manifest: &Manifest,
        first: u64,
        before: AuditHash,
    ) -> Result<Manifest, StoreError> {
        let mut next = manifest.clone();
        next.commit.0 += 1;
        (next.audit.first, next.audit.before) = (first, before);
        let mut transaction = self.database.begin_write().map_err(|error| self.fault(error))?;
        transaction.set_quick_repair(true);
        {
            let mut table = transaction.open_table(AUDIT).map_err(|error| self.fault(error))?;
            table
                .retain_in(..first, |_, _| false)
                .map_err(|error| self.fault(error))?;
        }
        next.count_seals(1);
        self.put_manifest(&transaction, &next)?;
        transaction.commit().map_err(|error| self.fault(error))?;
        Ok(next)
    }
}
