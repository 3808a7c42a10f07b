//! A gateway whose WAN and LAN devices are ports of AF_XDP, a client far away, and a server that knows nothing of the
//! tunnel, as in [`crate::gateway_topology`].
//!
//! ```text
//! far 192.0.2.2 ──veth, queues── 192.0.2.1 gateway 198.51.100.1 ──veth, queues── 198.51.100.2 server
//!     2001:db8:1::2              2001:db8:1::1     2001:db8:2::1                 2001:db8:2::2
//! far 10.77.0.2, fd77::2 ════════WireGuard════════ 10.77.0.1, fd77::1 gateway
//! ```
//!
//! Each device has a queue for each shard. The gateway forwards and does not translate; the server's way to everywhere is
//! the gateway. Client and server cut their segments and finish their checksums themselves, as every host does before its
//! frames are on a wire: what a veth pair carries whole and unfinished is finished by nobody where the kernel's stack is
//! left out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use weir_abi::key::PresharedKey;
use weir_abi::status::{PortStatus, Status};

use crate::configured::Configured;
use crate::device_config::{DeviceConfig, PeerConfig};
use crate::gateway_topology::{PORT, TUNNEL_MTU, client_key, gateway_key};
use crate::kernel_bytes::KernelBytes;
use crate::tunnel::{Family, Side};
use crate::{End, Implementation, Namespace, Peer, Result, Topology, ipc, nat, programs};

/// The name of the device towards the client, at both ends.
pub const WAN: &str = "wan";

/// The name of the device towards the server, at both ends.
pub const LAN: &str = "lan";

/// Who has the other's endpoint in its configuration, over which IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// The client calls the gateway.
    Client(Family),
    /// The gateway calls the client.
    Gateway(Family),
}

impl Calls {
    /// Who speaks first behind the tunnel: the client on the left, or the server on the right.
    pub fn from(self) -> Side {
        match self {
            Self::Client(_) => Side::Left,
            Self::Gateway(_) => Side::Right,
        }
    }

    /// The IP version outside.
    pub fn outer(self) -> Family {
        match self {
            Self::Client(outer) | Self::Gateway(outer) => outer,
        }
    }
}

/// What a laboratory is made with.
#[derive(Clone)]
pub struct Setup {
    /// The mode of both ports, in the words of `weir.toml`.
    pub mode: &'static str,
    /// Shards of the gateway, and queues of every device.
    pub shards: u16,
    /// Who calls.
    pub calls: Calls,
    /// A key mixed into handshakes of the client and the gateway.
    pub preshared_key: Option<PresharedKey>,
    /// Whether the client is behind a router that translates, which [`crate::nat`] tells of.
    pub nat: bool,
    /// More lines at the end of `weir.toml`.
    pub more: String,
}

impl Default for Setup {
    /// Two shards, the best mode; the client calls over IPv4.
    fn default() -> Self {
        Self {
            mode: "auto",
            shards: 2,
            calls: Calls::Client(Family::V4),
            preshared_key: None,
            nat: false,
            more: String::new(),
        }
    }
}

impl Setup {
    /// As otherwise, both ports in driver mode.
    pub fn driver() -> Self {
        Self {
            mode: "driver",
            ..Self::default()
        }
    }
}

/// A running gateway between its networks, removed when dropped.
pub struct XdpLab {
    /// The gateway.
    pub gateway: Configured,
    /// The client's namespace.
    pub far: Namespace,
    /// The router before the client, where there is one; its device towards the gateway is [`WAN`].
    pub router: Option<Namespace>,
    /// The server's namespace.
    pub server: Namespace,
    setup: Setup,
    // Last, because fields are dropped in this order.
    topology: Arc<Topology>,
}

impl XdpLab {
    /// Builds it in an empty topology. No client is there yet.
    pub fn new(topology: Arc<Topology>, setup: Setup) -> Result<Self> {
        let [far, host, server] = ["far", "gateway", "server"].map(|label| topology.namespace(label));
        let (far, host, server) = (far?, host?, server?);
        let router = setup.nat.then(|| topology.namespace("router")).transpose()?;
        connect_wan(&topology, &setup, &far, router.as_ref(), &host)?;
        connect_lan(&topology, &setup, &host, &server)?;
        let interface = topology.interface("gw");
        let toml = toml(&topology, &interface, &setup);
        let gateway = Configured::start(&topology, &host, &interface, &toml)?;
        Ok(Self {
            gateway,
            far,
            router,
            server,
            setup,
            topology,
        })
    }

    /// The topology it lives in.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The gateway's `weir.toml` with these lines at its end, instead of those it was made with.
    pub fn toml(&self, more: &str) -> String {
        let setup = Setup {
            more: more.to_owned(),
            ..self.setup.clone()
        };
        toml(&self.topology, self.gateway.interface(), &setup)
    }

    /// Starts the client in its namespace; nothing is sent yet.
    pub fn client(&self, implementation: Implementation) -> Result<Peer> {
        let client = Peer::start(&self.topology, &self.far, "cl", implementation)?;
        self.configure(&client)?;
        Ok(client)
    }

    /// Configures a client that was started anew: all that goes to the server's network goes into its tunnel, and the
    /// server is told to send segments that fill an Ethernet's frames, which the tunnel has no room for.
    pub fn configure(&self, client: &Peer) -> Result<()> {
        client.configure(&self.client_config(PORT))?;
        client.address("10.77.0.2/16")?;
        client.address("fd77::2/64")?;
        client.up(TUNNEL_MTU)?;
        for (prefix, mss) in [("198.51.100.0/24", 1460), ("2001:db8:2::/64", 1440)] {
            let route = format!("route add {prefix} dev {} advmss {mss}", client.interface());
            self.far.ip(&route)?;
        }
        Ok(())
    }

    /// What the client is configured with, apart from its port.
    pub fn client_config(&self, listen_port: u16) -> DeviceConfig {
        let mut gateway = PeerConfig::new(gateway_key().public(), &["0.0.0.0/0", "::/0"]);
        gateway.preshared_key = self.setup.preshared_key.clone();
        if let Calls::Client(family) = self.setup.calls {
            gateway.endpoint = Some((gateway_outside(family), PORT).into());
        }
        DeviceConfig {
            key: client_key(),
            listen_port: Some(listen_port),
            peers: vec![gateway],
        }
    }

    /// Kills the gateway as `kill -9` does and starts it anew from its file.
    pub fn restart_gateway(&mut self) -> Result<()> {
        self.gateway.restart(&self.topology)
    }

    /// Removes a device of the gateway's, [`WAN`] or [`LAN`], with its other end.
    pub fn unplug(&self, device: &str) -> Result<()> {
        let removed = self.gateway.namespace().ip(&format!("link delete {device}"));
        removed.map(drop)
    }

    /// Makes a device anew that was removed, where no router stands before the client.
    pub fn plug(&self, device: &str) -> Result<()> {
        let gateway = self.gateway.namespace();
        match device {
            WAN => connect_wan(&self.topology, &self.setup, &self.far, None, gateway),
            _ => connect_lan(&self.topology, &self.setup, gateway, &self.server),
        }
    }

    /// What the gateway tells of itself.
    pub fn status(&self) -> Result<Status> {
        ipc::status(self.gateway.interface())
    }

    /// The ports of a role (`wan` or `host`), shard by shard.
    pub fn ports(&self, role: &str) -> Result<Vec<PortStatus>> {
        let shards = self.status()?.shards.into_iter();
        let ports = shards.flat_map(|shard| shard.ports);
        Ok(ports.filter(|port| port.role == role).collect())
    }

    /// Bytes of IP packets that the gateway's kernel received and sent since its namespace was made: AF_XDP passes it by.
    pub fn kernel_bytes(&self) -> Result<KernelBytes> {
        KernelBytes::of(self.gateway.namespace())
    }
}

/// The client's address on the WAN.
pub fn client_outside(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(192, 0, 2, 2).into(),
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2).into(),
    }
}

/// The gateway's address on the WAN.
pub fn gateway_outside(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(192, 0, 2, 1).into(),
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1).into(),
    }
}

/// The client's network.
fn connect_wan(
    topology: &Topology,
    setup: &Setup,
    far: &Namespace,
    router: Option<&Namespace>,
    gateway: &Namespace,
) -> Result<()> {
    let gateway = End::new(gateway, WAN, &["192.0.2.1/24", "2001:db8:1::1/64"]);
    let Some(router) = router else {
        let far = End::new(far, WAN, &["192.0.2.2/24", "2001:db8:1::2/64"]);
        return connect(topology, setup, &far, &gateway);
    };
    connect(topology, setup, &End::new(router, WAN, &nat::OUTSIDE), &gateway)?;
    topology.veth(
        &End::new(far, WAN, &["203.0.113.2/24"]),
        &End::new(router, "inner", &["203.0.113.1/24"]),
    )?;
    finish_checksums(far, WAN)?;
    far.ip("route add default via 203.0.113.1")?;
    nat::translate(topology, router, WAN)
}

/// The server's network.
fn connect_lan(topology: &Topology, setup: &Setup, gateway: &Namespace, server: &Namespace) -> Result<()> {
    connect(
        topology,
        setup,
        &End::new(server, LAN, &["198.51.100.2/24", "2001:db8:2::2/64"]),
        &End::new(gateway, LAN, &["198.51.100.1/24", "2001:db8:2::1/64"]),
    )?;
    server.ip("route add default via 198.51.100.1")?;
    server.ip("route add default via 2001:db8:2::1").map(drop)
}

/// Joins a host and the gateway.
///
/// A generic program sees what came by a veth's sending queue 0 on queue 0, and what came by another on the one before it:
/// the kernel takes the sending queue's number for one more than the receiving queue's. So hosts send by one queue more.
fn connect(topology: &Topology, setup: &Setup, host: &End<'_>, gateway: &End<'_>) -> Result<()> {
    let more = u16::from(setup.mode == "generic");
    topology.wide_veth(host, gateway, setup.shards, more)?;
    finish_checksums(host.namespace, host.interface)
}

/// Has a host finish the checksums of what it sends by a device, and thereby cut it into frames that the device may carry.
pub fn finish_checksums(host: &Namespace, device: &str) -> Result<()> {
    let mut ethtool = programs::tool("ethtool")?;
    host.run(ethtool.args(["-K", device, "tx", "off"])).map(drop)
}

fn toml(topology: &Topology, interface: &str, setup: &Setup) -> String {
    let head = Configured::head(topology, interface, &gateway_key());
    let shards = format!("[dataplane]\nshards = {}\n", setup.shards);
    let head = head.replacen("[dataplane]\n", &shards, 1);
    let port = |device, role| {
        let mode = setup.mode;
        format!("[[port]]\ndevice = \"{device}\"\nrole = \"{role}\"\nmode = \"{mode}\"\n\n")
    };
    let (wan, lan) = (port(WAN, "wan"), port(LAN, "lan"));
    let client = client_key().public();
    let psk = setup.preshared_key.as_ref();
    let psk = psk.map_or_else(String::new, |key| {
        format!("preshared_key = \"{}\"\n", *key.expose_base64())
    });
    let endpoint = match setup.calls {
        Calls::Client(_) => String::new(),
        Calls::Gateway(family) => {
            let client = SocketAddr::new(client_outside(family), PORT);
            format!("endpoint = \"{client}\"\n")
        }
    };
    format!(
        "{head}listen_port = {PORT}\naddresses = [\"10.77.0.1/16\", \"fd77::1/64\"]\n\n[gateway]\nforward = true\n\n\
         {wan}{lan}\
         [[peer]]\nname = \"client\"\npublic_key = \"{client}\"\nallowed_ips = [\"10.77.0.2/32\", \"fd77::2/128\"]\n\
         {psk}{endpoint}{}",
        setup.more
    )
}
