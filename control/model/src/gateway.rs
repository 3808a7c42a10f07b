//! What is known of the gateway from its data plane: whose addresses, keys and peers the store's must not meet.

use crate::record::Peer;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use weir_abi::desired::Origin;
use weir_abi::endpoint::Endpoint;
use weir_abi::key::PublicKey;
use weir_abi::prefix::Prefix;
use weir_abi::status::{PeerStatus, Status};
use weir_config::{Dns, InterfaceAddress};

/// The MTU that WireGuard clients choose by themselves on Ethernet; it is left out of their configurations.
const USUAL_MTU: u32 = 1420;

/// The gateway's own facts and the peers that `weir.toml` declares. Empty until a data plane was seen.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct GatewayFacts {
    /// The interface's public key.
    pub public_key: Option<PublicKey>,
    /// The interface's addresses with their networks.
    pub addresses: Vec<InterfaceAddress>,
    /// Where clients reach it.
    pub endpoint: Option<Endpoint>,
    /// The UDP port in force.
    pub listen_port: u16,
    /// Name servers and search domains for clients.
    pub dns: Vec<Dns>,
    /// The tunnel's MTU where clients must be told it.
    pub mtu: Option<u16>,
    /// Seconds between clients' keepalives; 0 is off.
    pub keepalive_s: u16,
    /// Whether a client may send all its traffic through the tunnel: what leaves the host is masqueraded.
    pub nat: bool,
    /// The peers of the file.
    pub file: Arc<FilePeers>,
}

/// The peers that `weir.toml` declares, and what they have.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FilePeers {
    /// Them, by key.
    pub peers: HashMap<PublicKey, FilePeer>,
    /// Whose each allowed IP is.
    pub prefixes: HashMap<Prefix, PublicKey>,
    /// Whose each name is.
    pub names: HashMap<String, PublicKey>,
    /// The groups that any of them is of.
    pub groups: BTreeSet<String>,
}

/// A peer of the file.
#[derive(Clone, PartialEq, Debug)]
pub struct FilePeer {
    /// Its name.
    pub name: Option<String>,
    /// Its groups.
    pub groups: Vec<String>,
    /// Its allowed IPs.
    pub allowed_ips: Vec<Prefix>,
}

impl FilePeers {
    /// Those of the file among `peers`.
    pub fn new<'a>(peers: impl IntoIterator<Item = &'a PeerStatus>) -> Self {
        let mut file = Self::default();
        for peer in peers.into_iter().filter(|peer| peer.origin == Origin::File) {
            file.prefixes
                .extend(peer.allowed_ips.iter().map(|prefix| (*prefix, peer.public_key)));
            file.names
                .extend(peer.name.clone().map(|name| (name, peer.public_key)));
            file.groups.extend(peer.groups.iter().cloned());
            let known = FilePeer {
                name: peer.name.clone(),
                groups: peer.groups.clone(),
                allowed_ips: peer.allowed_ips.clone(),
            };
            file.peers.insert(peer.public_key, known);
        }
        file
    }

    /// How problems call a peer of the file: by its name, else by its key.
    pub fn title(&self, key: &PublicKey) -> String {
        match self.peers.get(key).and_then(|peer| peer.name.as_ref()) {
            Some(name) => format!("\"{name}\" of weir.toml"),
            None => format!("{key} of weir.toml"),
        }
    }
}

impl GatewayFacts {
    /// What a status says; `file` are the peers of the file as last listed, for an overview names none. `endpoint` stands
    /// in for one that the configuration does not give.
    pub fn new(status: &Status, file: Arc<FilePeers>, endpoint: Option<&Endpoint>) -> Self {
        Self {
            public_key: status.public_key,
            addresses: status
                .addresses
                .iter()
                .filter_map(|text| text.parse().ok())
                .collect(),
            endpoint: status.client_endpoint.clone().or_else(|| endpoint.cloned()),
            listen_port: status.listen_port,
            dns: status.dns.iter().filter_map(|text| Dns::parse(text)).collect(),
            mtu: u16::try_from(status.mtu).ok().filter(|_| status.mtu != USUAL_MTU),
            keepalive_s: status.keepalive_s,
            nat: status.nat,
            file,
        }
    }

    /// Whether `prefix` is one of the interface's own addresses.
    pub fn is_own(&self, prefix: &Prefix) -> bool {
        self.addresses
            .iter()
            .any(|own| Prefix::host(own.address) == *prefix)
    }

    /// Why the data plane cannot have this peer of the store: what of it the file or the interface has already.
    pub fn conflict(&self, peer: &Peer) -> Option<String> {
        let key = peer.public_key;
        if self.public_key == Some(key) {
            return Some("its public key is the interface's own".to_owned());
        }
        if self.file.peers.contains_key(&key) {
            return Some(format!(
                "peer {key} is declared both in weir.toml and in the store; weir.toml's is in force: remove one of them"
            ));
        }
        peer.allowed_ips.iter().find_map(|prefix| {
            let owner = self.file.prefixes.get(prefix)?;
            let owner = self.file.title(owner);
            Some(format!(
                "{prefix} is an allowed IP of this peer and of {owner}, which is in force: change one of them"
            ))
        })
    }
}
