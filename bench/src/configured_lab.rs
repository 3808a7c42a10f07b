//! A gateway that `weir.toml` describes, a client far away, and a server that knows nothing of the tunnel, as in
//! [`crate::gateway_topology`].
//!
//! The client calls; the gateway knows no endpoint of it. The server answers only what comes from its own network, so
//! the gateway must translate.

use std::net::IpAddr;
use std::time::Duration;

use crate::configured::Configured;
use crate::gateway_topology::{PORT, client_key, configure_client, connect, gateway_key, server_address};
use crate::tunnel::Family;
use crate::{Implementation, Namespace, Peer, Ping, Result, Topology};

/// How long the tunnel may take to come up.
const TUNNEL_LIMIT: Duration = Duration::from_secs(20);

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
        configure_client(&client, None)?;
        let lab = Self {
            gateway,
            client,
            server,
            topology,
        };
        for family in Family::BOTH {
            lab.await_answer(server_address(family))?;
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
}

fn toml(topology: &Topology, interface: &str, more: &str) -> String {
    let head = Configured::head(topology, interface, &gateway_key());
    let client = client_key().public();
    format!(
        "{head}listen_port = {PORT}\naddresses = [\"10.77.0.1/24\", \"fd77::1/64\"]\n\n\
         [gateway]\nnat = true\n\n\
         [[peer]]\nname = \"client\"\npublic_key = \"{client}\"\nallowed_ips = [\"10.77.0.2/32\", \"fd77::2/128\"]\n\
         {more}"
    )
}
