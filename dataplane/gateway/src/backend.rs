//! What the `wg` tool and the command line ask of the data plane.

use crate::dataplane::DataPlane;
use crate::host::Host;
use crate::ipc::Handler;
use crate::status;
use crate::uapi::{Backend, InterfaceView, PeerView};
use nix::errno::Errno;
use std::sync::Arc;
use std::time::Instant;
use weir_abi::change::{Change, ChangeSet};
use weir_abi::desired::Origin;
use weir_abi::ipc::{Reply, Request};

/// How the configuration file is read again.
pub type Reload = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Answers both sockets.
pub struct Front {
    plane: Arc<DataPlane>,
    host: Arc<Host>,
    reload: Reload,
    started: Instant,
}

impl Front {
    /// A front for the data plane and its host.
    pub fn new(plane: Arc<DataPlane>, host: Arc<Host>, reload: Reload) -> Self {
        Self {
            plane,
            host,
            reload,
            started: Instant::now(),
        }
    }

    fn apply(
        &self,
        set: &ChangeSet,
    ) -> Result<weir_abi::desired::Revision, crate::dataplane::DataPlaneError> {
        let revision = self.plane.apply(set)?;
        self.host.follow(&self.plane);
        Ok(revision)
    }
}

impl Backend for Front {
    fn view(&self) -> Result<InterfaceView, Errno> {
        let snapshots = self.plane.snapshots(true);
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

impl Handler for Front {
    fn handle(&self, request: Request) -> Reply {
        match request {
            Request::Status { peers } => {
                let uptime_s = self.started.elapsed().as_secs();
                let status = status::status(&self.plane, peers, uptime_s, self.host.warnings(&self.plane));
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
                Err(crate::dataplane::DataPlaneError::Refused(refusal)) => Reply::Refused(refusal),
                Err(error) => Reply::Failed(error.to_string()),
            },
            Request::Shards(shards) => match self.plane.set_shards(usize::from(shards)) {
                Ok(()) => Reply::Done(self.plane.revision()),
                Err(error) => Reply::Failed(error.to_string()),
            },
        }
    }
}
