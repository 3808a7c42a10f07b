//! Two namespaces joined by a veth pair, with or without a tunnel between them.
//!
//! ```text
//! left 192.0.2.1 ──veth── 192.0.2.2 right        tunnel 10.9.0.1 ══ 10.9.0.2, MTU 1420
//! ```

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use super::Settings;
use super::contender::{self, Contender};
use super::interrupt::Stage;
use crate::device_config::{DeviceConfig, KeyPair, PeerConfig};
use crate::{End, Implementation, LabError, Namespace, Peer, Ping, Result, Topology};

/// The UDP port of every tunnel.
pub(super) const PORT: u16 = 51820;

/// The MTU of tunnels: Ethernet's less IPv6, UDP and WireGuard.
pub(super) const TUNNEL_MTU: u16 = 1420;

/// How long a tunnel may take to come up.
const TUNNEL_LIMIT: Duration = Duration::from_secs(10);

/// Both ends, removed when dropped.
pub(super) struct Pair {
    /// The end that measurements start from.
    pub left: Side,
    /// The other end.
    pub right: Side,
    // Last, because fields are dropped in this order.
    topology: Arc<Topology>,
}

/// One end.
pub(super) struct Side {
    pub namespace: Namespace,
    /// Its address on the veth pair.
    pub outer: IpAddr,
    /// Its address in the tunnel; the veth's where there is none.
    pub inner: IpAddr,
    tunnel: Option<Peer>,
}

impl Pair {
    /// Builds it, and waits until both ends reach each other.
    pub fn new(stage: &Stage, settings: &Settings, contender: Contender) -> Result<Self> {
        let topology = stage.topology()?;
        let (left, right) = veth_pair(&topology)?;
        let side = |namespace, number| match contender {
            Contender::Tunnel(tunnel) => Side::tunnelled(&topology, namespace, number, tunnel, settings),
            Contender::Veth => Ok(Side::bare(namespace, number)),
        };
        let (left, right) = (side(left, 1)?, side(right, 2)?);
        Ping::to(right.inner).until_answered(&left.namespace, TUNNEL_LIMIT)?;
        Ok(Self {
            left,
            right,
            topology,
        })
    }

    pub fn topology(&self) -> &Topology {
        &self.topology
    }
}

impl Side {
    fn bare(namespace: Namespace, number: u8) -> Self {
        let outer = outer(number);
        Self {
            namespace,
            outer,
            inner: outer,
            tunnel: None,
        }
    }

    fn tunnelled(
        topology: &Topology,
        namespace: Namespace,
        number: u8,
        implementation: Implementation,
        settings: &Settings,
    ) -> Result<Self> {
        // Sockets are named after interfaces, in one folder for all namespaces.
        let label = format!("t{number}");
        let peer = contender::start(
            topology,
            &namespace,
            &label,
            implementation,
            settings,
            settings.cores.len(),
        )?;
        let other = 3 - number;
        let allowed = format!("10.9.0.{other}/32");
        peer.configure(&DeviceConfig {
            key: KeyPair::seeded(number.into()),
            listen_port: Some(PORT),
            peers: vec![
                PeerConfig::new(KeyPair::seeded(other.into()).public(), &[&allowed])
                    .endpoint((outer(other), PORT).into()),
            ],
        })?;
        peer.address(&format!("10.9.0.{number}/24"))?;
        peer.up(TUNNEL_MTU)?;
        Ok(Self {
            namespace,
            outer: outer(number),
            inner: Ipv4Addr::new(10, 9, 0, number).into(),
            tunnel: Some(peer),
        })
    }

    /// The name of its tunnel's interface.
    pub fn interface(&self) -> Result<String> {
        let tunnel = self.tunnel.as_ref().ok_or_else(no_tunnel)?;
        Ok(tunnel.interface().to_owned())
    }

    /// The process of its tunnel.
    pub fn pid(&mut self) -> Result<u32> {
        let process = self.tunnel.as_mut().and_then(Peer::process);
        process.map(|process| process.pid()).ok_or_else(no_tunnel)
    }
}

fn no_tunnel() -> LabError {
    LabError::Missing {
        program: "tunnel".into(),
        remedy: "the bare veth has none",
    }
}

/// Two namespaces and the veth pair `wan` between them. Without IPv6, whose own messages would be traffic.
pub(super) fn veth_pair(topology: &Topology) -> Result<(Namespace, Namespace)> {
    let (left, right) = (
        quiet_namespace(topology, "left")?,
        quiet_namespace(topology, "right")?,
    );
    topology.veth(
        &End::new(&left, "wan", &["192.0.2.1/24"]),
        &End::new(&right, "wan", &["192.0.2.2/24"]),
    )?;
    Ok((left, right))
}

/// A namespace without IPv6.
pub(super) fn quiet_namespace(topology: &Topology, label: &str) -> Result<Namespace> {
    let namespace = topology.namespace(label)?;
    namespace.sysctl("net.ipv6.conf.all.disable_ipv6", "1")?;
    namespace.sysctl("net.ipv6.conf.default.disable_ipv6", "1")?;
    Ok(namespace)
}

fn outer(number: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, number).into()
}
