//! Takes a `.conf` over into the text of a `weir.toml`.

use super::Conf;
use crate::edit::{EditError, PeerEntry, add_peers};
use crate::gateway::Gateway;
use crate::starter::{Identity, Starter, text};
use zeroize::Zeroizing;

/// The text of a `weir.toml` for a device called `name` that says what the `.conf` says, secrets included. Without a
/// `PrivateKey` it names the file `private.key` beside it. Neither forwarding nor NAT is switched on.
pub fn import(conf: &Conf, name: &str) -> Result<Zeroizing<String>, EditError> {
    let interface = &conf.interface;
    let identity = match &interface.private_key {
        Some(key) => Identity::Inline(key.clone()),
        None => Identity::File("private.key".to_owned()),
    };
    let begin = Zeroizing::new(text(&Starter {
        name: name.to_owned(),
        identity,
        listen_port: interface.listen_port.unwrap_or(0),
        fwmark: interface.fwmark,
        addresses: interface.addresses.clone(),
        mtu: interface.mtu,
        routes: interface.routes,
        endpoint: None,
        dns: interface.dns.clone(),
        gateway: Gateway::default(),
    }));
    let peers: Vec<PeerEntry> = conf.peers.iter().cloned().map(PeerEntry::from).collect();
    add_peers(&begin, &peers).map(Zeroizing::new)
}
