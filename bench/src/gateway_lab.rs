//! The ordinary use of a gateway in three namespaces: a client far away reaches a server behind the gateway, and the
//! server reaches the client.
//!
//! ```text
//! client 192.0.2.2 ──veth── 192.0.2.1 gateway 198.51.100.1 ──veth── 198.51.100.2 server
//!        2001:db8:1::2      2001:db8:1::1     2001:db8:2::1         2001:db8:2::2
//! client 10.77.0.2, fd77::2 ══════WireGuard══════ 10.77.0.1, fd77::1 gateway
//! ```
//!
//! The client sends everything for the server's network through the tunnel; the gateway forwards and does not
//! translate; the server knows the way back.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::device_config::{DeviceConfig, KeyPair, PeerConfig};
use crate::{End, Implementation, Namespace, Peer, Ping, Result, Topology};

/// The UDP port of the gateway.
pub const PORT: u16 = 51820;

/// How long the tunnel may take to come up.
const TUNNEL_LIMIT: Duration = Duration::from_secs(10);

/// The MTU of both ends of the tunnel: Ethernet's less IPv6, UDP and WireGuard.
const TUNNEL_MTU: u16 = 1420;

/// A running client, gateway and server, removed when dropped.
pub struct GatewayLab {
    /// The client's end of the tunnel.
    pub client: Peer,
    /// The gateway's end of the tunnel.
    pub gateway: Peer,
    /// The server's namespace.
    pub server: Namespace,
    // Last, because fields are dropped in this order.
    topology: Arc<Topology>,
}

impl GatewayLab {
    /// Builds it in an empty topology, and waits until the client reaches the server.
    pub fn new(topology: Arc<Topology>, client: Implementation, gateway: Implementation) -> Result<Self> {
        let (client_side, gateway_side) = (topology.namespace("client")?, topology.namespace("gateway")?);
        let server = topology.namespace("server")?;
        connect(&topology, &client_side, &gateway_side, &server)?;

        let gateway = Peer::start(&topology, &gateway_side, "gw", gateway)?;
        configure_gateway(&gateway)?;
        let client = Peer::start(&topology, &client_side, "cl", client)?;
        configure_client(&client)?;
        Ping::to(Self::server_address()).until_answered(&client_side, TUNNEL_LIMIT)?;
        Ping::to(Self::server_address_v6()).until_answered(&client_side, TUNNEL_LIMIT)?;
        Ok(Self {
            client,
            gateway,
            server,
            topology,
        })
    }

    /// The topology it lives in.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The client's address in the tunnel.
    pub fn client_address() -> IpAddr {
        IpAddr::from([10, 77, 0, 2])
    }

    /// The client's IPv6 address in the tunnel.
    pub fn client_address_v6() -> IpAddr {
        IpAddr::from([0xfd77, 0, 0, 0, 0, 0, 0, 2])
    }

    /// The server's address.
    pub fn server_address() -> IpAddr {
        IpAddr::from([198, 51, 100, 2])
    }

    /// The server's IPv6 address.
    pub fn server_address_v6() -> IpAddr {
        IpAddr::from([0x2001, 0xdb8, 2, 0, 0, 0, 0, 2])
    }
}

fn connect(topology: &Topology, client: &Namespace, gateway: &Namespace, server: &Namespace) -> Result<()> {
    let end = |namespace, interface, addresses| End {
        namespace,
        interface,
        addresses,
    };
    topology.veth(
        &end(client, "wan", &["192.0.2.2/24", "2001:db8:1::2/64"]),
        &end(gateway, "wan", &["192.0.2.1/24", "2001:db8:1::1/64"]),
    )?;
    topology.veth(
        &end(server, "lan", &["198.51.100.2/24", "2001:db8:2::2/64"]),
        &end(gateway, "lan", &["198.51.100.1/24", "2001:db8:2::1/64"]),
    )?;
    gateway.forward()?;
    server.ip("route add 10.77.0.0/24 via 198.51.100.1")?;
    server.ip("route add fd77::/64 via 2001:db8:2::1").map(drop)
}

fn client_key() -> KeyPair {
    KeyPair::seeded(1)
}

fn gateway_key() -> KeyPair {
    KeyPair::seeded(2)
}

fn configure_gateway(gateway: &Peer) -> Result<()> {
    gateway.configure(&DeviceConfig {
        key: gateway_key(),
        listen_port: Some(PORT),
        peers: vec![PeerConfig::new(
            client_key().public(),
            &["10.77.0.2/32", "fd77::2/128"],
        )],
    })?;
    gateway.address("10.77.0.1/24")?;
    gateway.address("fd77::1/64")?;
    gateway.up(TUNNEL_MTU)
}

fn configure_client(client: &Peer) -> Result<()> {
    client.configure(&DeviceConfig {
        key: client_key(),
        listen_port: None,
        peers: vec![
            PeerConfig::new(gateway_key().public(), &["0.0.0.0/0", "::/0"])
                .endpoint(([192, 0, 2, 1], PORT).into())
                .persistent_keepalive_s(25),
        ],
    })?;
    client.address("10.77.0.2/24")?;
    client.address("fd77::2/64")?;
    client.up(TUNNEL_MTU)?;
    client.route("198.51.100.0/24")?;
    client.route("2001:db8:2::/64")
}
