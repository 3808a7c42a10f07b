//! The ordinary use of a gateway in the namespaces of [`crate::gateway_topology`]: a client far away reaches a server
//! behind the gateway, and the server reaches the client.
//!
//! The client sends everything for the server's network through the tunnel; the gateway forwards and does not
//! translate; the server knows the way back.

use std::sync::Arc;
use std::time::Duration;

use crate::device_config::{DeviceConfig, PeerConfig};
use crate::gateway_topology::{
    PORT, TUNNEL_MTU, client_key, configure_client, connect, gateway_key, server_address,
};
use crate::tunnel::Family;
use crate::{Implementation, Namespace, Peer, Ping, Result, Topology};

/// How long the tunnel may take to come up.
const TUNNEL_LIMIT: Duration = Duration::from_secs(10);

/// Seconds between keepalives of the client, by which the server reaches it at any time.
const PERSISTENT_KEEPALIVE_S: u16 = 25;

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
        let [client_side, gateway_side, server] = connect(&topology)?;
        gateway_side.forward()?;
        server.ip("route add 10.77.0.0/24 via 198.51.100.1")?;
        server.ip("route add fd77::/64 via 2001:db8:2::1")?;

        let gateway = Peer::start(&topology, &gateway_side, "gw", gateway)?;
        configure_gateway(&gateway)?;
        let client = Peer::start(&topology, &client_side, "cl", client)?;
        configure_client(&client, Some(PERSISTENT_KEEPALIVE_S))?;
        for family in Family::BOTH {
            Ping::to(server_address(family)).until_answered(&client_side, TUNNEL_LIMIT)?;
        }
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
