//! Reading the audit log.

use jiff::Timestamp;
use redb::{ReadTransaction, ReadableDatabase, ReadableTable};
use weir_model::record::AuditEntry;

use crate::audit::{AuditFault, AuditPage, AuditVerification, Chain};
use crate::error::StoreError;
use crate::records::{AUDIT, AuditAnchor, decode_value};

use super::StateFile;

/// Entries checked when the file is opened: those whose pages the next commits will change.
const TAIL: u64 = 1_000;

impl StateFile {
    /// At most `limit` entries that `keep` takes, the newest first, of those below `before`.
    pub(crate) fn audit_page(
        &self,
        before: Option<u64>,
        limit: usize,
        mut keep: impl FnMut(&AuditEntry) -> bool,
    ) -> Result<AuditPage, StoreError> {
        let (transaction, anchor) = self.anchored()?;
        let mut page = AuditPage {
            entries: Vec::new(),
            next: None,
            oldest: anchor.first,
            newest: anchor.last,
            head: anchor.head,
        };
        let end = before.unwrap_or(u64::MAX).min(anchor.last + 1);
        let table = transaction.open_table(AUDIT).map_err(|error| self.fault(error))?;
        let entries = table.range(..end).map_err(|error| self.fault(error))?;
        for entry in entries.rev() {
            let (number, sealed) = entry.map_err(|error| self.fault(error))?;
            let entry = self.open_audit(number.value(), sealed.value())?;
            if !keep(&entry) {
                continue;
            }
            if page.entries.len() == limit {
                page.next = page.entries.last().map(|entry| entry.number);
                break;
            }
            page.entries.push(entry);
        }
        Ok(page)
    }

    /// Follows the whole chain.
    pub(crate) fn verify_audit(&self) -> Result<AuditVerification, StoreError> {
        let (transaction, anchor) = self.anchored()?;
        let mut chain = Chain::new(&anchor);
        let fault = self.follow(&transaction, &mut chain, &anchor);
        let checked = chain.next() - anchor.first;
        Ok(AuditVerification {
            checked,
            oldest: anchor.first,
            newest: anchor.last,
            head: anchor.head,
            fault: fault.or_else(|| chain.end(&anchor).err()),
        })
    }

    /// Follows the chain's last part, whose pages commits change.
    pub(crate) fn check_audit_tail(&self) -> Result<(), StoreError> {
        let (transaction, anchor) = self.anchored()?;
        let from = anchor.last.saturating_sub(TAIL).max(anchor.first);
        let first = self.audit_entry(from)?;
        let Some(first) = first else {
            // The whole check says which are missing.
            return match anchor.last < anchor.first {
                true => Ok(()),
                false => Err(self.damaged("the newest audit entries are missing")),
            };
        };
        let mut chain = Chain::at(from + 1, first.hash);
        let fault = self.follow(&transaction, &mut chain, &anchor);
        let fault = fault.or_else(|| chain.end(&anchor).err());
        fault.map_or(Ok(()), |fault| Err(self.damaged(format!("audit log: {fault}"))))
    }

    /// A reader's view, and the ends of the log in it.
    fn anchored(&self) -> Result<(ReadTransaction, AuditAnchor), StoreError> {
        let transaction = self.database.begin_read().map_err(|error| self.fault(error))?;
        let manifest = self.read_manifest(&transaction)?;
        Ok((transaction, manifest.audit))
    }

    fn follow(
        &self,
        transaction: &ReadTransaction,
        chain: &mut Chain,
        anchor: &AuditAnchor,
    ) -> Option<AuditFault> {
        let unreadable = |chain: &Chain, error: StoreError| AuditFault::Unreadable {
            number: chain.next(),
            why: error.to_string(),
        };
        let table = match transaction.open_table(AUDIT) {
            Ok(table) => table,
            Err(error) => return Some(unreadable(chain, self.fault(error))),
        };
        let entries = match table.range(chain.next()..=anchor.last.max(chain.next())) {
            Ok(entries) => entries,
            Err(error) => return Some(unreadable(chain, self.fault(error))),
        };
        for entry in entries {
            let (number, sealed) = match entry {
                Ok(entry) => entry,
                Err(error) => return Some(unreadable(chain, self.fault(error))),
            };
            let number = number.value();
            let Ok(entry) = self.open_audit(number, sealed.value()) else {
                return Some(AuditFault::Altered(number));
            };
            if let Err(fault) = chain.follow(number, &entry) {
                return Some(fault);
            }
        }
        None
    }

    /// What is left of the log, for a file that is made anew: at most `limit` of the newest entries that can be read, and
    /// the ends of what they are. Stops at the first that cannot, seen from the newest.
    pub(crate) fn newest_audit(&self, limit: usize) -> Result<(AuditAnchor, Vec<AuditEntry>), StoreError> {
        let (transaction, mut anchor) = self.anchored()?;
        let mut entries = Vec::new();
        let table = transaction.open_table(AUDIT).map_err(|error| self.fault(error))?;
        let stored = table.iter().map_err(|error| self.fault(error))?;
        // One more than asked for: what the oldest kept is chained to.
        for entry in stored.rev().take(limit.saturating_add(1)) {
            let (number, sealed) = entry.map_err(|error| self.fault(error))?;
            entries.push(self.open_audit(number.value(), sealed.value())?);
        }
        entries.reverse();
        if entries.len() > limit {
            let before = entries.remove(0);
            (anchor.first, anchor.before) = (before.number + 1, before.hash);
        }
        Ok((anchor, entries))
    }

    /// The number of the oldest entry that is not older than `since`. Entries are in the order of their times, as long
    /// as the clock is not set back; then some are kept longer.
    pub(crate) fn first_audit_since(&self, since: Timestamp) -> Result<Option<u64>, StoreError> {
        let transaction = self.database.begin_read().map_err(|error| self.fault(error))?;
        let table = transaction.open_table(AUDIT).map_err(|error| self.fault(error))?;
        for entry in table.iter().map_err(|error| self.fault(error))? {
            let (number, sealed) = entry.map_err(|error| self.fault(error))?;
            let entry = self.open_audit(number.value(), sealed.value())?;
            if entry.entry.at >= since {
                return Ok(Some(entry.number));
            }
        }
        Ok(None)
    }

    /// One entry.
    pub(crate) fn audit_entry(&self, number: u64) -> Result<Option<AuditEntry>, StoreError> {
        let transaction = self.database.begin_read().map_err(|error| self.fault(error))?;
        let table = transaction.open_table(AUDIT).map_err(|error| self.fault(error))?;
        let sealed = table.get(number).map_err(|error| self.fault(error))?;
        sealed
            .map(|sealed| self.open_audit(number, sealed.value()))
            .transpose()
    }

    fn open_audit(&self, number: u64, sealed: &[u8]) -> Result<AuditEntry, StoreError> {
        let opened = self.sealer.open("audit", &number.to_be_bytes(), sealed).ok();
        opened
            .and_then(|value| decode_value(&value))
            .ok_or_else(|| self.damaged(format!("audit entry {number} is not what was written")))
    }
}
