//! A gateway that `weir.toml` describes, a client far away, and a server that knows nothing of the tunnel:
//!
//! ```text
//! client 192.0.2.2 ──veth── 192.0.2.1 gateway 198.51.100.1 ──veth── 198.51.100.2 server
//!                                             2001:db8:2::1         2001:db8:2::2
//! client 10.77.0.2, fd77::2 ══════WireGuard══════ 10.77.0.1, fd77::1 gateway
//! ```
//!
//! The client calls; the gateway knows no endpoint of it. The server answers only what comes from its own network, so
//! the gateway must translate.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::configured::Configured;
use crate::device_config::{DeviceConfig, KeyPair, PeerConfig};
use crate::tunnel::Family;
use crate::{End, Implementation, Namespace, Peer, Ping, Result, Topology};

/// The UDP port of the gateway.
pub const PORT: u16 = 51820;

/// How long the tunnel may take to come up.
const TUNNEL_LIMIT: Duration = Duration::from_secs(20);

/// The MTU of the client's end of the tunnel.
const TUNNEL_MTU: u16 = 1420;

/// A running client, gateway and server, removed when dropped.
pub struct ConfiguredLab {
    /// The gateway.
    pub gateway: Configured,
    /// The client's end of the tunnel.
    pub client: Peer,
    /// The server's namespace.
    pub server: Namespace,
    // Last, because fields are dropped in this order.
    topology: Topology,
}

impl ConfiguredLab {
    /// Builds it with a client of this implementation; waits until the client reaches the server.
    pub fn new(client: Implementation) -> Result<Self> {
        let topology = Topology::new()?;
        let [client_side, gateway_side, server] = connect(&topology)?;
        let interface = topology.interface("gw");
        let toml = toml(&topology, &interface, "");
        let gateway = Configured::start(&topology, &gateway_side, &interface, &toml)?;
        let client = Peer::start(&topology, &client_side, "cl", client)?;
        configure(&client)?;
        let lab = Self {
            gateway,
            client,
            server,
            topology,
        };
        for family in Family::BOTH {
            lab.await_answer(Self::server_address(family))?;
        }
        Ok(lab)
    }

    /// The topology it lives in.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The gateway's `weir.toml`, with more at its end.
    pub fn toml(&self, more: &str) -> String {
        toml(&self.topology, self.gateway.interface(), more)
    }

    /// Kills the gateway as `kill -9` does and starts it anew from its file.
    pub fn restart_gateway(&mut self) -> Result<()> {
        self.gateway.restart(&self.topology)
    }

    /// Has the client ping an address until it answers.
    pub fn await_answer(&self, address: IpAddr) -> Result<()> {
        Ping::to(address).until_answered(self.client.namespace(), TUNNEL_LIMIT)
    }

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
}

fn toml(topology: &Topology, interface: &str, more: &str) -> String {
    let head = Configured::head(topology, interface, &ConfiguredLab::gateway_key());
    let client = ConfiguredLab::client_key().public();
    format!(
        "{head}listen_port = {PORT}\naddresses = [\"10.77.0.1/24\", \"fd77::1/64\"]\n\n\
         [gateway]\nnat = true\n\n\
         [[peer]]\nname = \"client\"\npublic_key = \"{client}\"\nallowed_ips = [\"10.77.0.2/32\", \"fd77::2/128\"]\n\
         {more}"
    )
}

fn connect(topology: &Topology) -> Result<[Namespace; 3]> {
    let client = topology.namespace("client")?;
    let gateway = topology.namespace("gateway")?;
    let server = topology.namespace("server")?;
    let end = |namespace, interface, addresses| End {
        namespace,
        interface,
        addresses,
    };
    topology.veth(
        &end(&client, "wan", &["192.0.2.2/24"]),
        &end(&gateway, "wan", &["192.0.2.1/24"]),
    )?;
    topology.veth(
        &end(&server, "lan", &["198.51.100.2/24", "2001:db8:2::2/64"]),
        &end(&gateway, "lan", &["198.51.100.1/24", "2001:db8:2::1/64"]),
    )?;
    Ok([client, gateway, server])
}

fn configure(client: &Peer) -> Result<()> {
    let endpoint: SocketAddr = ([192, 0, 2, 1], PORT).into();
    client.configure(&DeviceConfig {
        key: ConfiguredLab::client_key(),
        listen_port: None,
        peers: vec![
            PeerConfig::new(ConfiguredLab::gateway_key().public(), &["0.0.0.0/0", "::/0"]).endpoint(endpoint),
        ],
    })?;
    client.address("10.77.0.2/24")?;
    client.address("fd77::2/64")?;
    client.up(TUNNEL_MTU)?;
    client.route("198.51.100.0/24")?;
    client.route("2001:db8:2::/64")
}
