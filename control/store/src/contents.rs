//! Everything worth keeping, as last good copies, backups and a file made anew have it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use weir_abi::key::PublicKey;
use weir_model::record::{AuditEntry, CommitNumber, OutboxKey, State, Write};

use crate::history::PeerHistory;
use crate::records::AuditAnchor;

/// Records, audit entries and totals at one time.
#[derive(Serialize, Deserialize)]
pub(crate) struct Contents {
    /// When they were read.
    pub(crate) made_at: Timestamp,
    /// The last commit among them.
    pub(crate) commit: CommitNumber,
    /// All records, as what puts them.
    pub(crate) writes: Vec<Write>,
    /// What the data plane has not confirmed.
    pub(crate) outbox: Vec<(OutboxKey, CommitNumber)>,
    /// The ends of the audit log that the entries are of.
    pub(crate) anchor: AuditAnchor,
    /// The newest audit entries, the oldest of them first.
    pub(crate) audit: Vec<AuditEntry>,
    /// The data plane whose counters the totals were counted from.
    pub(crate) boot_id: [u8; 16],
    /// Lifetime totals of peers, and how far they were counted.
    pub(crate) history: Vec<(PublicKey, PeerHistory)>,
}

impl Contents {
    /// Those of a store without anything.
    pub(crate) fn empty(now: Timestamp) -> Self {
        Self {
            made_at: now,
            commit: CommitNumber(0),
            writes: Vec::new(),
            outbox: Vec::new(),
            anchor: AuditAnchor::default(),
            audit: Vec::new(),
            boot_id: [0; 16],
            history: Vec::new(),
        }
    }

    /// Those of a state.
    pub(crate) fn of(state: State, anchor: AuditAnchor, audit: Vec<AuditEntry>, now: Timestamp) -> Self {
        Self {
            made_at: now,
            commit: state.commit,
            outbox: state.outbox.iter().map(|(key, number)| (*key, *number)).collect(),
            writes: writes_of(state),
            anchor,
            audit,
            boot_id: [0; 16],
            history: Vec::new(),
        }
    }

    /// The records among them.
    pub(crate) fn into_state(self) -> State {
        let mut state = State {
            commit: self.commit,
            outbox: self.outbox.into_iter().collect(),
            ..State::default()
        };
        for write in self.writes {
            state.apply(write);
        }
        state
    }
}

/// What puts all records of a state, but for the outbox.
pub(crate) fn writes_of(state: State) -> Vec<Write> {
    let mut writes = vec![Write::Rules(state.rules), Write::Settings(state.settings)];
    writes.extend(state.peers.into_values().map(Write::Peer));
    writes.extend(state.users.into_values().map(Write::User));
    writes.extend(state.tokens.into_values().map(Write::Token));
    writes.extend(state.sessions.into_values().map(Write::Session));
    writes.extend(state.pending.into_values().map(Write::Pending));
    writes.extend(state.data_plane.map(Write::DataPlane));
    writes
}

impl Contents {
    /// Peers among the records.
    pub(crate) fn peers(&self) -> usize {
        let is_peer = |write: &&Write| matches!(write, Write::Peer(_));
        self.writes.iter().filter(is_peer).count()
    }
}
