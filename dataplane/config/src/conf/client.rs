//! The `.conf` made for a client of the gateway.

use super::{Conf, ConfInterface};
use crate::config::Config;
use crate::interface::{Dns, InterfaceAddress};
use weir_abi::desired::{Origin, Peer};
use weir_abi::endpoint::Endpoint;
use weir_abi::key::{PresharedKey, PrivateKey, PublicKey};
use weir_abi::prefix::Prefix;

/// What is known of a client.
#[derive(Clone, PartialEq, Debug)]
pub struct Client {
    /// Its private key, where it was generated here.
    pub private_key: Option<PrivateKey>,
    /// The key shared with the gateway.
    pub preshared_key: Option<PresharedKey>,
    /// The client's own addresses: those of its allowed IPs that are single hosts.
    pub addresses: Vec<Prefix>,
    /// Where it reaches the gateway.
    pub endpoint: Option<Endpoint>,
    /// Everything goes through the tunnel, not only the tunnel's own networks.
    pub full_tunnel: bool,
}

/// What a client's configuration says of the gateway.
#[derive(Clone, PartialEq, Debug)]
pub struct Server {
    /// Its public key.
    pub public_key: PublicKey,
    /// The tunnel's own addresses with their networks.
    pub addresses: Vec<InterfaceAddress>,
    /// Name servers and search domains for clients.
    pub dns: Vec<Dns>,
    /// The MTU in bytes, where clients are not to choose it themselves.
    pub mtu: Option<u16>,
    /// Seconds between the client's persistent keepalives; 0 is off.
    pub keepalive_s: u16,
}

impl Server {
    /// The gateway that `config` describes.
    pub fn new(config: &Config) -> Self {
        Self {
            public_key: config.public_key(),
            addresses: config.interface.addresses.clone(),
            dns: config.interface.dns.clone(),
            mtu: config.mtu(),
            keepalive_s: config.dataplane.keepalive_s,
        }
    }
}

/// The client's configuration. A full tunnel takes the families that the tunnel has addresses of.
pub fn client(server: &Server, client: &Client) -> Conf {
    let mut routes: Vec<Prefix> = Vec::new();
    for address in &server.addresses {
        let network = address.network();
        let all = Prefix::new(network.address(), 0).expect("every family has the empty prefix");
        let route = if client.full_tunnel { all } else { network };
        if !routes.contains(&route) {
            routes.push(route);
        }
    }
    let gateway = Peer {
        preshared_key: client.preshared_key.clone(),
        endpoint: client.endpoint.clone(),
        allowed_ips: routes,
        persistent_keepalive: Some(server.keepalive_s).filter(|s| *s > 0),
        ..Peer::new(server.public_key, Origin::File)
    };
    let own = client.addresses.iter().map(|p| InterfaceAddress {
        address: p.address(),
        length: p.length(),
    });
    Conf {
        interface: ConfInterface {
            private_key: client.private_key.clone(),
            addresses: own.collect(),
            dns: server.dns.clone(),
            mtu: server.mtu,
            ..ConfInterface::default()
        },
        peers: vec![gateway],
        notes: Vec::new(),
    }
}
