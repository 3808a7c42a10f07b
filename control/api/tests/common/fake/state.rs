//! What the backend in memory holds.

use super::{access, samples};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use weir_api::Clock;
use weir_api::backend::{Answer, LoginAttempt, Made, Outcome, Refusal, TokenRecord};
use weir_api::caller::{Caller, ETag, Options};
use weir_api::events::Hub;
use weir_api::types::*;

/// The backend in memory.
pub struct Fake {
    held: Mutex<Held>,
    /// Where events are published.
    pub hub: Hub,
}

/// What it holds.
pub struct Held {
    /// The time that everything goes by.
    pub now: Timestamp,
    /// Whether the data plane is there.
    pub ready: bool,
    /// Whether the status never comes.
    pub hangs: bool,
    /// What every change is refused with, where something.
    pub fault: Option<Refusal>,
    /// Changes that were made.
    pub changes: u64,
    /// Peers with their versions.
    pub peers: BTreeMap<Key, (u64, Peer)>,
    /// The access rules.
    pub rules: Rules,
    /// The settings.
    pub settings: Settings,
    /// Users by name.
    pub users: BTreeMap<String, access::FakeUser>,
    /// Sessions by hash: user, opened, used.
    pub sessions: HashMap<[u8; 32], (String, Timestamp, Timestamp)>,
    /// The tokens.
    pub tokens: Vec<TokenRecord>,
    /// Logins and refused ones.
    pub logins: Vec<LoginAttempt>,
    /// The audit log.
    pub audit: Vec<AuditEntry>,
    /// Changes that wait for their confirmation.
    pub pending: Vec<PendingChange>,
}

impl Fake {
    /// One with three users, `admin`, `operator` and `viewer`, whose password is [`samples::PASSWORD`], and one peer.
    pub fn new() -> Arc<Self> {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let peer = samples::peer(samples::KEY.parse().unwrap(), "laptop", now);
        let held = Held {
            now,
            ready: true,
            hangs: false,
            fault: None,
            changes: 0,
            peers: BTreeMap::from([(peer.public_key, (1, peer))]),
            rules: Rules { items: vec![] },
            settings: Settings::default(),
            users: access::users(),
            sessions: HashMap::new(),
            tokens: vec![],
            logins: vec![],
            audit: samples::audit(now),
            pending: vec![],
        };
        Arc::new(Self {
            held: Mutex::new(held),
            hub: Hub::new("test"),
        })
    }

    /// What it holds.
    pub fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap()
    }

    /// Its clock.
    pub fn clock(self: &Arc<Self>) -> Clock {
        let fake = Arc::clone(self);
        Arc::new(move || fake.held().now)
    }

    /// What it holds, to be changed by somebody who may: a request that the router lets through wrongly is seen here.
    pub(super) fn change(&self, by: &Caller, options: &Options) -> Answer<MutexGuard<'_, Held>> {
        assert!(
            by.role > Role::Viewer || by.scopes.is_empty(),
            "the router let {by:?} change something"
        );
        self.change_own(options)
    }

    /// The same for what everybody may change: the own password.
    pub(super) fn change_own(&self, options: &Options) -> Answer<MutexGuard<'_, Held>> {
        let mut held = self.held();
        if let Some(fault) = &held.fault {
            return Err(fault.clone());
        }
        if !options.dry_run {
            held.changes += 1;
        }
        Ok(held)
    }
}

impl Held {
    /// The version of what has one in all.
    pub fn version(&self) -> ETag {
        let text = format!("{:?}{:?}", self.rules, self.settings);
        ETag::from_contents(text.as_bytes())
    }

    pub(super) fn end_change(&mut self, id: &str) -> Answer<()> {
        let before = self.pending.len();
        self.pending.retain(|change| change.id != id);
        if self.pending.len() == before {
            Err(missing("change"))
        } else {
            Ok(())
        }
    }
}

/// There is no such thing.
pub(super) fn missing(what: &'static str) -> Refusal {
    Refusal::NotFound { what }
}

/// What became of a change: a diff, or the change, pending where that was asked for.
pub(super) fn changed<T>(held: &mut Held, options: &Options, value: T) -> Outcome<T> {
    let entry = DiffEntry {
        op: DiffOp::Replace,
        path: "/peers/1/name".to_owned(),
        before: None,
        after: Some("x".into()),
    };
    if options.dry_run {
        return Outcome::WouldMake(Diff { diff: vec![entry] });
    }
    let pending = options.confirm_within_s.map(|seconds| PendingChange {
        id: format!("c{}", held.changes),
        made_at: held.now,
        made_by: "user:admin".to_owned(),
        reverts_at: held.now + SignedDuration::from_secs(seconds.into()),
        diff: vec![entry],
    });
    held.pending.extend(pending.clone());
    let etag = Some(held.version());
    Outcome::Made(Made {
        value,
        created: false,
        etag,
        pending,
    })
}
