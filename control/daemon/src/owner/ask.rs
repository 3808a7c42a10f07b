//! What the owner is asked, and how the askers wait.

use crate::backend::etags;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use tokio::sync::oneshot;
use weir_abi::key::PublicKey;
use weir_api::backend::{Refusal, StorageFault};
use weir_api::caller::{ETag, Precondition};
use weir_model::record::{Actor, NewAuditEntry, PendingChange, Source, State};
use weir_model::{Difference, GatewayFacts, Placed, Snapshot};

/// Asks that wait at most; further ones are refused at once.
const WAITING_MAX: usize = 4096;

/// What the owner is asked.
pub enum Ask {
    /// To change something.
    Change(Box<ChangeAsk>),
    /// To compare the store with the data plane: it is there again, or somebody else changed it.
    Meet,
    /// To put a backup's records in the place of what is.
    Restore(Box<RestoreAsk>),
    /// To end.
    Stop,
}

/// A change that is asked for.
pub struct ChangeAsk {
    /// What, all or nothing.
    pub changes: Vec<Placed>,
    /// Who asks.
    pub actor: Actor,
    /// From where.
    pub source: Source,
    /// How.
    pub wanted: Wanted,
    /// Who waits.
    pub reply: oneshot::Sender<Reply>,
}

/// A backup that is to be restored.
pub struct RestoreAsk {
    /// Its records.
    pub state: State,
    /// What the audit log gets.
    pub audit: NewAuditEntry,
    /// Who waits.
    pub reply: oneshot::Sender<Result<(), StorageFault>>,
}

/// How a change is to be made.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Only say what it would do.
    pub dry_run: bool,
    /// Revert it after this unless it is confirmed.
    pub confirm_within: Option<Duration>,
    /// What must be so.
    pub expect: Option<(Expect, Precondition)>,
}

/// What a precondition is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expect {
    /// A peer.
    Peer(PublicKey),
    /// The access rules.
    Rules,
    /// A user.
    User(String),
    /// The settings.
    Settings,
}

impl Expect {
    /// The version it has now.
    pub fn etag(&self, state: &Snapshot, facts: &GatewayFacts) -> Option<ETag> {
        match self {
            Expect::Peer(key) => etags::peer(state, facts, key),
            Expect::Rules => Some(etags::rules(state)),
            Expect::User(name) => state.users.get(name).map(etags::user),
            Expect::Settings => Some(etags::settings(&state.settings)),
        }
    }
}

/// What came of a change.
pub type Reply = Result<Done, Refusal>;

/// A change that was made, or would be.
#[derive(Debug)]
pub struct Done {
    /// The state after it.
    pub state: Snapshot,
    /// What it was checked against.
    pub facts: Arc<GatewayFacts>,
    /// What differs.
    pub differences: Vec<Difference>,
    /// Peers that came to be, changed, and went.
    pub counts: [u64; 3],
    /// The change that waits for its confirmation.
    pub pending: Option<PendingChange>,
}

/// Asks the owner.
#[derive(Clone, Debug)]
pub struct Asking(SyncSender<Ask>);

/// Both ends.
pub fn channel() -> (Asking, Receiver<Ask>) {
    let (sender, receiver) = sync_channel(WAITING_MAX);
    (Asking(sender), receiver)
}

impl Asking {
    /// Asks for a change and waits for what comes of it.
    pub async fn change(
        &self,
        changes: Vec<Placed>,
        (actor, source): (Actor, Source),
        wanted: Wanted,
    ) -> Reply {
        let (reply, answer) = oneshot::channel();
        let ask = ChangeAsk {
            changes,
            actor,
            source,
            wanted,
            reply,
        };
        self.send(Ask::Change(Box::new(ask)))?;
        answer.await.map_err(|_| gone())?
    }

    /// Puts a backup's records in the place of what is.
    pub async fn restore(&self, state: State, audit: NewAuditEntry) -> Result<(), Refusal> {
        let (reply, answer) = oneshot::channel();
        self.send(Ask::Restore(Box::new(RestoreAsk { state, audit, reply })))?;
        answer.await.map_err(|_| gone())?.map_err(Refusal::Storage)
    }

    /// Tells something that nobody waits for. Where too much waits, the owner meets the data plane later by itself.
    pub fn tell(&self, ask: Ask) {
        // A full queue ends soon; what is lost here is only a hint.
        if let Err(TrySendError::Full(ask)) = self.0.try_send(ask) {
            let _ = self.0.send(ask);
        }
    }

    fn send(&self, ask: Ask) -> Result<(), Refusal> {
        self.0.try_send(ask).map_err(|error| match error {
            TrySendError::Full(_) => Refusal::TooMany {
                what: "changes at once",
                retry_after_s: 1,
            },
            TrySendError::Disconnected(_) => gone(),
        })
    }
}

fn gone() -> Refusal {
    Refusal::Unavailable {
        detail: "this process is ending".to_owned(),
    }
}
