//! Peers: listed, shown, made, changed, diagnosed.

use super::present::{self, Known};
use super::{LIST_AGE, Service, edit, list, outcome};
use crate::clock;
use crate::link::PATIENCE;
use crate::link::wire::Connection;
use crate::owner::{Done, Expect};
use crate::world::Published;
use weir_abi::ipc::{Reply, Request};
use weir_abi::key::{PresharedKey, PrivateKey, PublicKey};
use weir_abi::probe::{ProbeResult, ProbedHandshake};
use weir_api::backend::{Answer, Outcome, Page, PageRequest, PeerQuery, Refusal, Versioned};
use weir_api::caller::{Caller, Options};
use weir_api::types::{
    BulkDone, BulkOperation, Certainty, Diagnosis, Finding, History, HistoryRange, Key, Live, Peer,
    PeerConfig, PeerCreated, PeerInput, Probe,
};
use weir_config::key::public_key;
use weir_model::diagnose::{self, Subject};
use weir_model::record;
use weir_model::{Change, ClientSecrets, PeerEdit, Placed, client_config};
use zeroize::Zeroizing;

impl Service {
    pub(super) async fn list_peers(&self, query: &PeerQuery, request: &PageRequest) -> Answer<Page<Peer>> {
        self.polling.fresh(&self.world, LIST_AGE).await;
        let (published, learnt) = (self.published(), self.world.learnt.load_full());
        let totals = |known: &Known| self.totals.of(&known.key(), learnt.peers.get(&known.key()));
        let page = list::page(&published, &learnt, query, request, totals);
        Ok(page.map(|known| present::peer(&known, &published, &learnt, totals(&known))))
    }

    pub(super) async fn one_peer(&self, key: Key) -> Answer<Versioned<Peer>> {
        // What comes of it is read below; a peer that is not there is no error.
        let _ = self.polling.peer(key.0).await;
        let published = self.published();
        let etag = super::etags::peer(&published.state, &published.facts, &key.0);
        let value = self.shown(&published, &key.0)?;
        let etag = etag.ok_or(Refusal::NotFound { what: "peer" })?;
        Ok(Versioned { value, etag })
    }

    fn shown(&self, published: &Published, key: &PublicKey) -> Answer<Peer> {
        let learnt = self.world.learnt.load_full();
        let known = present::find(published, &learnt, key).ok_or(Refusal::NotFound { what: "peer" })?;
        let totals = self.totals.of(key, learnt.peers.get(key));
        Ok(present::peer(&known, published, &learnt, totals))
    }

    pub(super) async fn live(&self, key: Key) -> Answer<Live> {
        let _ = self.polling.peer(key.0).await;
        self.shown(&self.published(), &key.0).map(|peer| peer.live)
    }

    /// A peer as it is after a change.
    fn after(&self, done: &Done, key: &PublicKey) -> Answer<Peer> {
        let published = Published {
            state: done.state.clone(),
            facts: done.facts.clone(),
            ..Published::clone(&self.published())
        };
        self.shown(&published, key)
    }

    pub(super) async fn make_peer(
        &self,
        by: &Caller,
        options: &Options,
        input: PeerInput,
    ) -> Answer<Outcome<PeerCreated>> {
        let full_tunnel = input.full_tunnel;
        let given = input.public_key.map(|key| key.0);
        let private = given.is_none().then(|| PrivateKey::from_bytes(clock::random()));
        if private.is_some() && self.published().facts.public_key.is_none() {
            let detail = "the gateway's own key is not known until the data plane was met, and the client's \
                          configuration names it; start the data plane, or give the peer's public key";
            return Err(Refusal::Unavailable {
                detail: detail.to_owned(),
            });
        }
        let key = given.or_else(|| private.as_ref().map(public_key));
        let key = key.expect("either a key was given or one was made");
        let changes = vec![Change::CreatePeer(key, edit::of_input(input)).into()];
        let done = self.change(by, options, changes, Some(Expect::Peer(key))).await?;
        let etag = super::etags::peer(&done.state, &done.facts, &key);
        outcome(options, done, etag, true, |done| {
            let config = private.and_then(|private_key| {
                let peer = done.state.peer(&key)?;
                let preshared_key = peer.preshared_key.clone();
                let secrets = ClientSecrets {
                    private_key: Some(private_key),
                    preshared_key,
                };
                client_config(&done.facts, peer, secrets, full_tunnel)
            });
            let config = config.map(|text| text.to_string());
            Ok(PeerCreated {
                peer: self.after(done, &key)?,
                config,
            })
        })
    }

    pub(super) async fn change_peer(
        &self,
        by: &Caller,
        options: &Options,
        key: Key,
        change: Change,
    ) -> Answer<Outcome<Peer>> {
        let done = self
            .change(by, options, vec![change.into()], Some(Expect::Peer(key.0)))
            .await?;
        let etag = super::etags::peer(&done.state, &done.facts, &key.0);
        let created = done.counts[0] > 0;
        outcome(options, done, etag, created, |done| self.after(done, &key.0))
    }

    pub(super) async fn bulk(
        &self,
        by: &Caller,
        options: &Options,
        operations: Vec<BulkOperation>,
    ) -> Answer<Outcome<BulkDone>> {
        let placed = |(place, operation): (usize, BulkOperation)| {
            let change = match operation {
                BulkOperation::Put { public_key, peer } => {
                    Change::PutPeer(public_key.0, edit::of_input(peer))
                }
                BulkOperation::Patch { public_key, peer } => {
                    Change::PatchPeer(public_key.0, edit::of_patch(peer))
                }
                BulkOperation::Delete { public_key } => Change::RemovePeer(public_key.0),
            };
            Placed {
                within: format!("operations[{place}].peer"),
                change,
            }
        };
        let changes = operations.into_iter().enumerate().map(placed).collect();
        let done = self.change(by, options, changes, None).await?;
        outcome(options, done, None, false, |done| {
            let [created, changed, removed] = done.counts;
            Ok(BulkDone {
                created,
                changed,
                removed,
            })
        })
    }

    pub(super) async fn history(&self, key: Key, range: HistoryRange) -> Answer<History> {
        let published = self.published();
        present::find(&published, &self.world.learnt.load(), &key.0)
            .ok_or(Refusal::NotFound { what: "peer" })?;
        self.totals.history(key.0, range).await
    }

    /// The record of a peer, of the store or as the file has it.
    fn record(&self, published: &Published, key: &PublicKey) -> Answer<record::Peer> {
        if let Some(peer) = published.state.peer(key) {
            return Ok((**peer).clone());
        }
        let file = published
            .facts
            .file
            .peers
            .get(key)
            .ok_or(Refusal::NotFound { what: "peer" })?;
        Ok(record::Peer {
            name: file.name.clone(),
            groups: file.groups.clone(),
            allowed_ips: file.allowed_ips.clone(),
            ..record::Peer::new(*key, clock::now())
        })
    }

    pub(super) fn config(&self, key: Key) -> Answer<String> {
        let published = self.published();
        let peer = self.record(&published, &key.0)?;
        let text = client_config(&published.facts, &peer, ClientSecrets::default(), false);
        text.map(|text| text.to_string()).ok_or_else(no_gateway)
    }

    pub(super) async fn rotate(
        &self,
        by: &Caller,
        options: &Options,
        key: Key,
    ) -> Answer<Outcome<PeerConfig>> {
        let preshared_key = PresharedKey::from_bytes(clock::random());
        let edit = PeerEdit {
            preshared_key: Some(Some(preshared_key.clone())),
            ..PeerEdit::default()
        };
        if self.published().facts.public_key.is_none() {
            return Err(no_gateway());
        }
        let changes = vec![Change::PatchPeer(key.0, edit).into()];
        let done = self
            .change(by, options, changes, Some(Expect::Peer(key.0)))
            .await?;
        let etag = super::etags::peer(&done.state, &done.facts, &key.0);
        outcome(options, done, etag, false, |done| {
            let peer = done
                .state
                .peer(&key.0)
                .ok_or(Refusal::NotFound { what: "peer" })?;
            let secrets = ClientSecrets {
                private_key: None,
                preshared_key: Some(preshared_key),
            };
            let text: Option<Zeroizing<String>> = client_config(&done.facts, peer, secrets, false);
            let config = text.map(|text| text.to_string()).ok_or_else(no_gateway)?;
            Ok(PeerConfig { config })
        })
    }

    pub(super) async fn diagnosis(&self, key: Key, probe: bool) -> Answer<Diagnosis> {
        let probed = if probe { self.probe(key.0).await? } else { None };
        let status = self.polling.peer(key.0).await;
        self.polling.fresh(&self.world, LIST_AGE).await;
        let (published, learnt) = (self.published(), self.world.learnt.load_full());
        let record = published.state.peer(&key.0);
        if record.is_none() && status.is_none() && !published.facts.file.peers.contains_key(&key.0) {
            let called = learnt
                .status
                .iter()
                .flat_map(|s| &s.refused)
                .any(|r| r.peer == Some(key.0));
            if !called {
                return Err(Refusal::NotFound { what: "peer" });
            }
        }
        let overview = learnt.live_status();
        let subject = Subject {
            key: key.0,
            record: record.map(|peer| &**peer),
            conflict: published.conflicts.get(&key.0).map(String::as_str),
            status: status.as_deref(),
            overview: overview.map(|status| &**status),
            probe: probed.as_ref(),
            mtu: overview.map_or(0, |status| status.mtu),
            now: clock::now(),
        };
        let findings = diagnose::diagnose(&subject).into_iter().map(finding).collect();
        let live = self.shown(&published, &key.0).map(|peer| peer.live);
        let absent = "No peer with this key is declared.".to_owned();
        let (state, state_reason) = live.map_or((weir_api::types::PeerState::Absent, absent), |live| {
            (live.state, live.state_reason)
        });
        Ok(Diagnosis {
            state,
            state_reason,
            findings,
            probe: probed.as_ref().map(shown_probe),
        })
    }

    /// Has the data plane probe a peer; `None` where the data plane does not have it.
    async fn probe(&self, key: PublicKey) -> Answer<Option<ProbeResult>> {
        let path = self.dataplane.clone();
        let asked =
            tokio::task::spawn_blocking(move || Connection::open(&path, PATIENCE)?.ask(&Request::Probe(key)));
        match asked.await {
            Ok(Ok(Reply::Probed(result))) => Ok(Some(*result)),
            Ok(Ok(Reply::Failed(why))) => {
                tracing::debug!("no probe of {key}: {why}");
                Ok(None)
            }
            Ok(Ok(_)) => Err(Refusal::Internal(
                "an answer to another question than a probe".to_owned(),
            )),
            Ok(Err(error)) => Err(Refusal::Unavailable {
                detail: format!("the data plane did not probe: {error}"),
            }),
            Err(error) => Err(Refusal::Internal(error.to_string())),
        }
    }
}

fn no_gateway() -> Refusal {
    let detail = "the gateway's own key is not known until the data plane was met; start it";
    Refusal::Unavailable {
        detail: detail.to_owned(),
    }
}

fn finding(found: diagnose::Finding) -> Finding {
    Finding {
        code: found.code.to_owned(),
        certainty: match found.certainty {
            diagnose::Certainty::Certain => Certainty::Certain,
            diagnose::Certainty::Likely => Certainty::Likely,
            diagnose::Certainty::Possible => Certainty::Possible,
        },
        summary: found.summary,
        detail: found.detail,
        remedy: found.remedy,
    }
}

fn shown_probe(probe: &ProbeResult) -> Probe {
    let ms = |us: u64| us as f64 / 1000.0;
    let (handshake, handshake_ms, note) = match probe.handshake {
        ProbedHandshake::Standing => (true, None, None),
        ProbedHandshake::Completed { us } => (true, Some(ms(us)), None),
        ProbedHandshake::NoAnswer => (false, None, Some("The initiations found no answer.")),
        ProbedHandshake::WrongPresharedKey => (
            false,
            None,
            Some("A response came that our preshared key does not open."),
        ),
        ProbedHandshake::NoEndpoint => (false, None, Some("It is not known where to send an initiation.")),
        ProbedHandshake::NoIdentity => (false, None, Some("The interface has no private key.")),
    };
    let no_target = handshake && probe.target.is_none();
    let note = note.or(no_target.then_some("The peer has no single address to send an echo to."));
    Probe {
        handshake,
        handshake_ms,
        small_ms: probe.small.and_then(|echo| echo.answered_us).map(ms),
        large_ms: probe.large.and_then(|echo| echo.answered_us).map(ms),
        large_bytes: probe.large.map(|echo| echo.bytes.into()),
        note: note.map(str::to_owned),
    }
}
