//! Reading all records, and holding them against the manifest.

use redb::{ReadTransaction, ReadableDatabase, ReadableTable};
use weir_model::record::{CommitNumber, State};

use crate::records::{Digest, MANIFEST, Manifest, RECORDS, decode_into, decode_value};

use super::StateFile;
use crate::error::StoreError;

impl StateFile {
    /// Reads all records. They are these and no others, or this fails.
    pub(crate) fn load(&self) -> Result<(State, Manifest), StoreError> {
        let transaction = self.database.begin_read().map_err(|error| self.fault(error))?;
        let manifest = self.read_manifest(&transaction)?;

        let (mut state, mut digest) = (State::default(), Digest::default());
        let records = transaction
            .open_table(RECORDS)
            .map_err(|error| self.fault(error))?;
        for record in records.iter().map_err(|error| self.fault(error))? {
            let (key, sealed) = record.map_err(|error| self.fault(error))?;
            let (key, sealed) = (key.value(), sealed.value());
            digest.add(&self.digest_key, key, sealed);
            let value = self
                .sealer
                .open("records", key, sealed)
                .map_err(|_| self.damaged("a record is not what was written"))?;
            decode_into(&mut state, key, &value).map_err(|error| self.damaged(error))?;
        }
        if digest != manifest.records {
            return Err(self.damaged(format!(
                "it has {} records, expected {} others",
                digest.count(),
                manifest.records.count()
            )));
        }
        state.commit = manifest.commit;
        Ok((state, manifest))
    }

    pub(super) fn read_manifest(&self, transaction: &ReadTransaction) -> Result<Manifest, StoreError> {
        let table = transaction
            .open_table(MANIFEST)
            .map_err(|error| self.fault(error))?;
        let sealed = table.get(()).map_err(|error| self.fault(error))?;
        let sealed = sealed.ok_or_else(|| self.damaged("its manifest is missing"))?;
        let opened = self.sealer.open("manifest", &[], sealed.value()).ok();
        opened
            .and_then(|value| decode_value(&value))
            .ok_or_else(|| self.damaged("its manifest is not what was written"))
    }
}

impl StateFile {
    /// The number of the last commit.
    pub(crate) fn last_commit(&self) -> Result<CommitNumber, StoreError> {
        let transaction = self.database.begin_read().map_err(|error| self.fault(error))?;
        Ok(self.read_manifest(&transaction)?.commit)
    }
}
