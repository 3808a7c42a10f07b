//! What laboratories of a gateway between a client far away and a server behind it have in common.
//!
//! ```text
//! client 192.0.2.2 ──veth── 192.0.2.1 gateway 198.51.100.1 ──veth── 198.51.100.2 server
//!        2001:db8:1::2      2001:db8:1::1     2001:db8:2::1         2001:db8:2::2
//! client 10.77.0.2, fd77::2 ══════WireGuard══════ 10.77.0.1, fd77::1 gateway
//! ```

use std::net::IpAddr;

use crate::device_config::{DeviceConfig, KeyPair, PeerConfig};
use crate::tunnel::Family;
use crate::{End, Namespace, Peer, Result, Topology};

/// The UDP port of the gateway.
pub const PORT: u16 = 51820;

/// The MTU of both ends of the tunnel: Ethernet's less IPv6, UDP and WireGuard.
pub(crate) const TUNNEL_MTU: u16 = 1420;

/// The client's key.
pub fn client_key() -> KeyPair {
    KeyPair::seeded(1)
}

/// The gateway's key.
pub fn gateway_key() -> KeyPair {
    KeyPair::seeded(2)
}

/// The client's address in the tunnel.
pub fn client_address(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::from([10, 77, 0, 2]),
        Family::V6 => IpAddr::from([0xfd77, 0, 0, 0, 0, 0, 0, 2]),
    }
}

/// The gateway's address in the tunnel.
pub fn gateway_address(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::from([10, 77, 0, 1]),
        Family::V6 => IpAddr::from([0xfd77, 0, 0, 0, 0, 0, 0, 1]),
    }
}

/// The gateway's address in the server's network.
pub fn translated_address(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::from([198, 51, 100, 1]),
        Family::V6 => IpAddr::from([0x2001, 0xdb8, 2, 0, 0, 0, 0, 1]),
    }
}

/// The server's address.
pub fn server_address(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::from([198, 51, 100, 2]),
        Family::V6 => IpAddr::from([0x2001, 0xdb8, 2, 0, 0, 0, 0, 2]),
    }
}

/// The namespaces of client, gateway and server, joined; the server knows only its own network.
pub(crate) fn connect(topology: &Topology) -> Result<[Namespace; 3]> {
    let client = topology.namespace("client")?;
    let gateway = topology.namespace("gateway")?;
    let server = topology.namespace("server")?;
    topology.veth(
        &End::new(&client, "wan", &["192.0.2.2/24", "2001:db8:1::2/64"]),
        &End::new(&gateway, "wan", &["192.0.2.1/24", "2001:db8:1::1/64"]),
    )?;
    topology.veth(
        &End::new(&server, "lan", &["198.51.100.2/24", "2001:db8:2::2/64"]),
        &End::new(&gateway, "lan", &["198.51.100.1/24", "2001:db8:2::1/64"]),
    )?;
    Ok([client, gateway, server])
}

/// Has the client send everything for the server's network through the tunnel.
pub(crate) fn configure_client(client: &Peer, persistent_keepalive_s: Option<u16>) -> Result<()> {
    let mut gateway = PeerConfig::new(gateway_key().public(), &["0.0.0.0/0", "::/0"])
        .endpoint(([192, 0, 2, 1], PORT).into());
    if let Some(seconds) = persistent_keepalive_s {
        gateway = gateway.persistent_keepalive_s(seconds);
    }
    client.configure(&DeviceConfig {
        key: client_key(),
        listen_port: None,
        peers: vec![gateway],
    })?;
    client.address("10.77.0.2/24")?;
    client.address("fd77::2/64")?;
    client.up(TUNNEL_MTU)?;
    client.route("198.51.100.0/24")?;
    client.route("2001:db8:2::/64")
}
