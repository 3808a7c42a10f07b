//! The configuration that a peer's own device is given.

use crate::gateway::GatewayFacts;
use crate::record::Peer;
use weir_abi::key::{PresharedKey, PrivateKey};
use weir_abi::prefix::Prefix;
use weir_config::conf::{Client, Server, client};
use zeroize::Zeroizing;

/// What of a client's configuration is secret, and shown where it is just made.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ClientSecrets {
    /// Its private key; without one there is no such line.
    pub private_key: Option<PrivateKey>,
    /// The key shared with the gateway; without one there is no such line, though there may be such a key.
    pub preshared_key: Option<PresharedKey>,
}

/// The text of a `.conf`; `None` while the gateway's own key is not known. `full_tunnel` sends everything through it.
pub fn client_config(
    facts: &GatewayFacts,
    peer: &Peer,
    secrets: ClientSecrets,
    full_tunnel: bool,
) -> Option<Zeroizing<String>> {
    let server = Server {
        public_key: facts.public_key?,
        addresses: facts.addresses.clone(),
        dns: facts.dns.clone(),
        mtu: facts.mtu,
        keepalive_s: facts.keepalive_s,
    };
    let host = |prefix: &&Prefix| **prefix == Prefix::host(prefix.address());
    let about = Client {
        private_key: secrets.private_key,
        preshared_key: secrets.preshared_key,
        addresses: peer.allowed_ips.iter().filter(host).copied().collect(),
        endpoint: facts.endpoint.clone(),
        full_tunnel,
    };
    Some(client(&server, &about).expose_text())
}
