//! A data plane without packets: it keeps what it is told as the real one's applier does, and answers.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;
use weir_abi::change::{AllowedIpChange, Change, ChangeSet, PeerChange, Refusal};
use weir_abi::desired::{Origin, Peer, Revision};
use weir_abi::events::{Event, EventKind};
use weir_abi::ipc::{Declared, Hello, Reply, Request};
use weir_abi::key::PublicKey;
use weir_abi::peer_state::{PeerState, StateReason};
use weir_abi::rule::Rule;
use weir_abi::status::{Health, PeerStatus, RuleStatus, Status};

/// What it keeps.
#[derive(Default)]
pub struct Kept {
    pub boot_id: [u8; 16],
    pub revision: u64,
    pub peers: Vec<Peer>,
    pub rules: Vec<Rule>,
    /// Sets of changes that control asked for.
    pub asked: Vec<ChangeSet>,
    pub watchers: Vec<UnixStream>,
    pub connections: Vec<UnixStream>,
    pub down: bool,
}

/// A data plane at a socket, until it is dropped.
pub struct Plane {
    path: PathBuf,
    kept: Arc<Mutex<Kept>>,
}

impl Plane {
    /// One without peers, whose start is told apart from others by `boot`.
    pub fn start(folder: &Path, boot: u8) -> Self {
        let kept = Kept {
            boot_id: [boot; 16],
            revision: 1,
            ..Kept::default()
        };
        Self::start_with(folder, kept)
    }

    /// One that has something already.
    pub fn start_with(folder: &Path, kept: Kept) -> Self {
        let path = folder.join("plane.sock");
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let kept = Arc::new(Mutex::new(kept));
        let shared = Arc::clone(&kept);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut now = shared.lock().unwrap();
                if now.down {
                    return;
                }
                now.connections.push(stream.try_clone().unwrap());
                drop(now);
                let kept = Arc::clone(&shared);
                thread::spawn(move || converse(stream, &kept));
            }
        });
        Self { path, kept }
    }

    /// What it keeps.
    pub fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap()
    }

    /// A peer as it has it.
    pub fn peer(&self, key: PublicKey) -> Option<Peer> {
        self.kept()
            .peers
            .iter()
            .find(|peer| peer.public_key == key)
            .cloned()
    }

    /// How many peers it has.
    pub fn count(&self) -> usize {
        self.kept().peers.len()
    }

    /// What `wg` does.
    pub fn wg(&self, changes: Vec<Change>) {
        let set = ChangeSet {
            base: None,
            origin: Origin::Uapi,
            changes,
        };
        self.kept().apply(&set).unwrap();
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        let mut kept = self.kept();
        kept.down = true;
        for stream in kept.connections.drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        drop(kept);
        let _ = UnixStream::connect(&self.path);
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Kept {
    fn apply(&mut self, set: &ChangeSet) -> Result<Revision, Refusal> {
        if let Some(base) = set.base.filter(|base| base.0 != self.revision) {
            return Err(Refusal::Stale {
                base: base.0,
                current: self.revision,
            });
        }
        let mut peers = self.peers.clone();
        let mut rules = self.rules.clone();
        for change in &set.changes {
            match change {
                Change::Peer(change) => change_peer(&mut peers, change, set.origin)?,
                Change::RemovePeer(key) => {
                    if peers
                        .iter()
                        .any(|p| p.public_key == *key && p.origin == Origin::File)
                    {
                        return Err(Refusal::DeclaredInFile(*key));
                    }
                    peers.retain(|p| p.public_key != *key);
                }
                Change::ReplacePeers(all) => {
                    let keys: HashSet<PublicKey> = all.iter().map(|p| p.public_key).collect();
                    for peer in peers.iter().filter(|p| p.origin == Origin::File) {
                        if keys.contains(&peer.public_key) {
                            return Err(Refusal::DeclaredTwice {
                                peer: peer.public_key,
                                asker: set.origin,
                                owner: Origin::File,
                            });
                        }
                    }
                    peers.retain(|p| p.origin != set.origin && !keys.contains(&p.public_key));
                    peers.extend(all.iter().map(|p| Peer {
                        origin: set.origin,
                        ..p.clone()
                    }));
                }
                Change::ReplaceRules(all) => rules = all.clone(),
                other => panic!("not played here: {other:?}"),
            }
        }
        (self.peers, self.rules) = (peers, rules);
        self.revision += 1;
        let event = Event {
            unix_ms: 1,
            what: EventKind::Changed {
                revision: Revision(self.revision),
                origin: set.origin,
                peers: None,
                rules: false,
            },
        };
        self.watchers
            .retain(|watcher| send(watcher, &Reply::Events(vec![event.clone()])).is_ok());
        Ok(Revision(self.revision))
    }

    fn status(&self, peers: bool) -> Status {
        Status {
            interface: "weir0".to_owned(),
            version: "0".to_owned(),
            pid: 1,
            boot_id: self.boot_id,
            uptime_s: 1,
            config_path: None,
            revision: Revision(self.revision),
            public_key: Some(super::key(200)),
            listen_port: 51820,
            fwmark: 0,
            mtu: 1420,
            addresses: vec!["10.77.0.1/16".to_owned()],
            client_endpoint: "vpn.example.org:51820".parse().ok(),
            dns: Vec::new(),
            keepalive_s: 25,
            forwarding: true,
            nat: true,
            aead: "portable".to_owned(),
            aead_best: "portable".to_owned(),
            steering: "single".to_owned(),
            warnings: Vec::new(),
            devices: Vec::new(),
            shards: Vec::new(),
            handshake_queue: 0,
            peers: if peers {
                self.peers.iter().map(status).collect()
            } else {
                Vec::new()
            },
            rules: self
                .rules
                .iter()
                .map(|rule| RuleStatus {
                    rule: rule.clone(),
                    origin: Origin::Control,
                    packets: 0,
                })
                .collect(),
            refused: Vec::new(),
        }
    }
}

fn change_peer(peers: &mut Vec<Peer>, change: &PeerChange, origin: Origin) -> Result<(), Refusal> {
    let key = change.public_key;
    let known = peers.iter().position(|p| p.public_key == key);
    let mut peer = known.map_or_else(|| Peer::new(key, origin), |place| peers[place].clone());
    if peer.origin == Origin::File && origin != Origin::File {
        return Err(Refusal::DeclaredInFile(key));
    }
    peer.origin = origin;
    if let Some(key) = &change.preshared_key {
        peer.preshared_key = Some(key.clone()).filter(|key| !key.is_zero());
    }
    if change.endpoint.is_some() {
        peer.endpoint = change.endpoint.clone();
    }
    if let Some(seconds) = change.persistent_keepalive {
        peer.persistent_keepalive = Some(seconds).filter(|s| *s > 0);
    }
    if change.replace_allowed_ips {
        peer.allowed_ips.clear();
    }
    for allowed in &change.allowed_ips {
        match allowed {
            AllowedIpChange::Add(prefix) => {
                peers
                    .iter_mut()
                    .for_each(|p| p.allowed_ips.retain(|held| held != prefix));
                if !peer.allowed_ips.contains(prefix) {
                    peer.allowed_ips.push(*prefix);
                }
            }
            AllowedIpChange::Remove(prefix) => peer.allowed_ips.retain(|held| held != prefix),
        }
    }
    if let Some(name) = &change.name {
        peer.name = Some(name.clone()).filter(|name| !name.is_empty());
    }
    if let Some(groups) = &change.groups {
        peer.groups = groups.clone();
    }
    match known {
        Some(place) => peers[place] = peer,
        None => peers.push(peer),
    }
    Ok(())
}

fn status(peer: &Peer) -> PeerStatus {
    PeerStatus {
        public_key: peer.public_key,
        name: peer.name.clone(),
        groups: peer.groups.clone(),
        origin: peer.origin,
        has_preshared_key: peer.preshared_key.is_some(),
        configured_endpoint: peer.endpoint.clone(),
        endpoint: None,
        allowed_ips: peer.allowed_ips.clone(),
        persistent_keepalive: peer.persistent_keepalive,
        last_handshake_unix_ns: 0,
        rx_bytes: 0,
        tx_bytes: 0,
        state: PeerState::Init,
        state_since_unix_ms: 0,
        state_reason: StateReason::NeverTried,
        handshake_us: None,
        latency_us: None,
        initiations_received: 0,
        responses_sent: 0,
        unconfirmed_responses: 0,
        last_refusal: None,
        health: Health::Idle,
        trouble: None,
        shard: None,
    }
}

fn converse(stream: UnixStream, kept: &Mutex<Kept>) {
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let hello = Hello {
        version: weir_abi::VERSION,
    };
    if send(&stream, &hello).is_err() || receive::<Hello>(&stream).is_none() {
        return;
    }
    while let Some(request) = receive::<Request>(&stream) {
        let mut kept = kept.lock().unwrap();
        if kept.down {
            return;
        }
        let reply = match request {
            Request::Status { peers } => Reply::Status(Box::new(kept.status(peers))),
            Request::Declared => Reply::Declared(Box::new(Declared {
                revision: Revision(kept.revision),
                boot_id: kept.boot_id,
                peers: kept
                    .peers
                    .iter()
                    .filter(|p| p.origin != Origin::File)
                    .cloned()
                    .collect(),
                rules: kept.rules.clone(),
            })),
            Request::Peers(keys) => {
                let found = kept.peers.iter().filter(|p| keys.contains(&p.public_key));
                Reply::Peers(found.map(status).collect())
            }
            Request::Apply(set) => {
                kept.asked.push(set.clone());
                kept.apply(&set).map_or_else(Reply::Refused, Reply::Done)
            }
            Request::Watch => {
                kept.watchers.push(stream.try_clone().unwrap());
                Reply::Events(Vec::new())
            }
            Request::Reload | Request::Shards(_) | Request::Probe(_) => {
                Reply::Failed("not played here".to_owned())
            }
        };
        if send(&stream, &reply).is_err() {
            return;
        }
    }
}

fn send(mut stream: &UnixStream, message: &impl Serialize) -> std::io::Result<()> {
    let body = postcard::to_stdvec(message).unwrap();
    let length = u32::try_from(body.len()).unwrap().to_le_bytes();
    stream.write_all(&[&length[..], &body].concat())
}

fn receive<T: DeserializeOwned>(mut stream: &UnixStream) -> Option<T> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut body = vec![0; u32::from_le_bytes(length) as usize];
    stream.read_exact(&mut body).ok()?;
    postcard::from_bytes(&body).ok()
}
