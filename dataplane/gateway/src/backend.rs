//! What the `wg` tool and the command line ask of the data plane.

use crate::about::About;
use crate::dataplane::{DataPlane, DataPlaneError};
use crate::host::Host;
use crate::ipc::Handler;
use crate::probe;
use crate::status;
use crate::uapi::{Backend, InterfaceView, PeerView};
use crate::unix::Asker;
use crate::watchers::Watch;
use nix::errno::Errno;
use std::sync::Arc;
use weir_abi::change::{Change, ChangeSet};
use weir_abi::desired::{Origin, Revision};
use weir_abi::ipc::{Declared, Reply, Request};
use weir_engine::Wanted;

/// How the configuration file is read again.
pub type Reload = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Answers both sockets.
pub struct Front {
    plane: Arc<DataPlane>,
    host: Arc<Host>,
    about: Arc<About>,
    reload: Reload,
}

impl Front {
    /// A front for the data plane and its host.
    pub fn new(plane: Arc<DataPlane>, host: Arc<Host>, about: Arc<About>, reload: Reload) -> Self {
        Self {
            plane,
            host,
            about,
            reload,
        }
    }

    fn apply(&self, set: &ChangeSet) -> Result<Revision, DataPlaneError> {
        let revision = self.plane.apply(set)?;
        self.host.follow(&self.plane);
        Ok(revision)
    }
}

impl Front {
    /// What is declared and is not the file's.
    fn declared(&self) -> Declared {
        let tables = self.plane.tables();
        let mut peers = tables.declared();
        peers.retain(|peer| peer.origin != Origin::File);
        Declared {
            revision: tables.revision,
            boot_id: self.about.boot_id(),
            peers,
            rules: tables.access.declared().of(Origin::Control).to_vec(),
        }
    }
}

impl Backend for Front {
    fn view(&self) -> Result<InterfaceView, Errno> {
        let snapshots = self.plane.snapshots(&Wanted::All);
        let active = status::by_id(&snapshots);
        let desired = self.plane.desired();
        let tables = self.plane.tables();
        let (listen_port, fwmark) = self.plane.port_and_mark();
        let peers = desired.peers.into_iter().map(|peer| {
            let facts = tables.peer_by_key(&peer.public_key);
            let snapshot = facts
                .and_then(|facts| active.get(&facts.id))
                .map(|(_, snapshot)| *snapshot);
            PeerView {
                public_key: peer.public_key,
                preshared_key: peer.preshared_key,
                endpoint: match snapshot {
                    Some(snapshot) => snapshot.endpoint,
                    None => facts.and_then(|facts| facts.endpoint),
                },
                last_handshake_unix_ns: snapshot.map_or(0, |snapshot| snapshot.last_handshake_unix_ns),
                rx_bytes: snapshot.map_or(0, |snapshot| snapshot.rx_bytes),
                tx_bytes: snapshot.map_or(0, |snapshot| snapshot.tx_bytes),
                persistent_keepalive: peer.persistent_keepalive,
                allowed_ips: peer.allowed_ips,
            }
        });
        Ok(InterfaceView {
            private_key: desired.private_key,
            listen_port,
            fwmark,
            peers: peers.collect(),
        })
    }

    fn apply(&self, changes: Vec<Change>) -> Result<(), Errno> {
        let set = ChangeSet {
            base: None,
            origin: Origin::Uapi,
            changes,
        };
        Front::apply(self, &set).map(drop).map_err(|error| {
            tracing::warn!("UAPI set refused, nothing changed: {error}");
            error.errno()
        })
    }
}

/// Whether a member of the socket's group may ask that. What the machine is and what the file declares are root's.
fn permitted(request: &Request) -> Result<(), String> {
    let set = match request {
        Request::Status { .. }
        | Request::Reload
        | Request::Declared
        | Request::Peers(_)
        | Request::Watch
        | Request::Probe(_) => return Ok(()),
        Request::Shards(_) => return Err("the number of shards is root's to change".to_owned()),
        Request::Apply(set) => set,
    };
    if set.origin != Origin::Control {
        return Err(format!(
            "changes {} are root's to make; expected those of the origin control",
            set.origin.place()
        ));
    }
    set.changes.iter().try_for_each(|change| match change {
        Change::PrivateKey(_) | Change::ListenPort(_) | Change::Fwmark(_) => {
            Err("the private key, the port and the mark are root's to change".to_owned())
        }
        Change::RemoveAllPeers
        | Change::RemovePeer(_)
        | Change::Peer(_)
        | Change::ReplacePeers(_)
        | Change::ReplaceRules(_) => Ok(()),
    })
}

impl Handler for Front {
    fn handle(&self, asker: Asker, request: Request) -> Reply {
        if asker == Asker::Member
            && let Err(why) = permitted(&request)
        {
            return Reply::Failed(why);
        }
        match request {
            Request::Status { peers } => {
                let warnings = self.host.warnings(&self.plane);
                let status = status::status(&self.plane, &self.about, peers, warnings);
                Reply::Status(Box::new(status))
            }
            Request::Reload => match (self.reload)() {
                Ok(()) => {
                    self.host.follow(&self.plane);
                    Reply::Done(self.plane.revision())
                }
                Err(why) => Reply::Failed(why),
            },
            Request::Apply(set) => match Front::apply(self, &set) {
                Ok(revision) => Reply::Done(revision),
                Err(DataPlaneError::Refused(refusal)) => Reply::Refused(refusal),
                Err(error) => Reply::Failed(error.to_string()),
            },
            Request::Shards(shards) => match self.plane.set_shards(usize::from(shards)) {
                Ok(()) => Reply::Done(self.plane.revision()),
                Err(error) => Reply::Failed(error.to_string()),
            },
            Request::Declared => Reply::Declared(Box::new(self.declared())),
            Request::Peers(keys) => Reply::Peers(status::peers(&self.plane, &keys)),
            // The socket itself begins the stream.
            Request::Watch => Reply::Events(Vec::new()),
            Request::Probe(peer) => match probe::probe(&self.plane, &peer) {
                Ok(result) => Reply::Probed(Box::new(result)),
                Err(why) => Reply::Failed(why),
            },
        }
    }

    fn watch(&self) -> Result<Watch, String> {
        self.plane.watchers().watch().map_err(|error| error.to_string())
    }
}
