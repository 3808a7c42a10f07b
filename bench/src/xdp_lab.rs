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

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use weir_abi::key::PresharedKey;
use weir_abi::status::{PortStatus, Status};

use crate::configured::Configured;
use crate::device_config::{DeviceConfig, PeerConfig};
use crate::gateway_topology::{PORT, TUNNEL_MTU, client_key, gateway_key};
use crate::tunnel::Family;
use crate::{End, Implementation, LabError, Namespace, Peer, Result, Topology, ipc, programs};

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

/// Bytes of IP packets that a kernel received and sent.
#[derive(Clone, Copy, Debug)]
pub struct KernelBytes {
    /// Received by IPv4.
    pub received_v4: u64,
    /// Sent by IPv4.
    pub sent_v4: u64,
    /// Received by IPv6.
    pub received_v6: u64,
    /// Sent by IPv6.
    pub sent_v6: u64,
}

impl KernelBytes {
    /// All of them.
    pub fn all(self) -> u64 {
        self.received_v4 + self.sent_v4 + self.received_v6 + self.sent_v6
    }
}

/// A running gateway between its networks, removed when dropped.
pub struct XdpLab {
    /// The gateway.
    pub gateway: Configured,
    /// The client's namespace.
    pub far: Namespace,
    /// The server's namespace.
    pub server: Namespace,
    setup: Setup,
    // Last, because fields are dropped in this order.
    topology: Arc<Topology>,
}

impl XdpLab {
    /// Builds it in an empty topology. No client is there yet.
    pub fn new(topology: Arc<Topology>, setup: Setup) -> Result<Self> {
        let [far, host, server] = connect(&topology, setup.shards)?;
        let interface = topology.interface("gw");
        let toml = toml(&topology, &interface, &setup);
        let gateway = Configured::start(&topology, &host, &interface, &toml)?;
        Ok(Self {
            gateway,
            far,
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
        self.gateway
            .namespace()
            .enter(octets)
            .map_err(LabError::io("read what the kernel counted"))
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

/// Client, gateway and server, joined.
fn connect(topology: &Topology, queues: u16) -> Result<[Namespace; 3]> {
    let far = topology.namespace("far")?;
    let gateway = topology.namespace("gateway")?;
    let server = topology.namespace("server")?;
    topology.wide_veth(
        &End::new(&far, WAN, &["192.0.2.2/24", "2001:db8:1::2/64"]),
        &End::new(&gateway, WAN, &["192.0.2.1/24", "2001:db8:1::1/64"]),
        queues,
    )?;
    topology.wide_veth(
        &End::new(&server, LAN, &["198.51.100.2/24", "2001:db8:2::2/64"]),
        &End::new(&gateway, LAN, &["198.51.100.1/24", "2001:db8:2::1/64"]),
        queues,
    )?;
    finish_checksums(&far, WAN)?;
    finish_checksums(&server, LAN)?;
    spread(&gateway, WAN)?;
    spread(&gateway, LAN)?;
    server.ip("route add default via 198.51.100.1")?;
    server.ip("route add default via 2001:db8:2::1")?;
    Ok([far, gateway, server])
}

/// Has a host finish the checksums of what it sends by a device, and thereby cut it into frames that the device may carry.
pub fn finish_checksums(host: &Namespace, device: &str) -> Result<()> {
    let mut ethtool = programs::tool("ethtool")?;
    host.run(ethtool.args(["-K", device, "tx", "off"])).map(drop)
}

/// Has a veth device take in what arrives on the queue that the sender chose, as it does for a program in driver mode: a
/// generic program sees everything on the first queue otherwise.
fn spread(host: &Namespace, device: &str) -> Result<()> {
    let mut ethtool = programs::tool("ethtool")?;
    host.run(ethtool.args(["-K", device, "gro", "on"])).map(drop)
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

/// What the kernel counted in the thread's network namespace.
fn octets() -> std::io::Result<KernelBytes> {
    // Two lines for each protocol: names and values.
    let v4 = fs::read_to_string("/proc/thread-self/net/netstat")?;
    let mut lines = v4.lines().filter_map(|line| line.strip_prefix("IpExt: "));
    let (names, values) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    let v4 = names.split(' ').zip(values.split(' '));
    let v6 = fs::read_to_string("/proc/thread-self/net/snmp6")?;
    let v6 = v6.lines().filter_map(|line| line.split_once(char::is_whitespace));
    let counted: HashMap<&str, &str> = v4.chain(v6).collect();
    let octets = |name| counted.get(name).and_then(|value| value.trim().parse().ok());
    Ok(KernelBytes {
        received_v4: octets("InOctets").unwrap_or(0),
        sent_v4: octets("OutOctets").unwrap_or(0),
        received_v6: octets("Ip6InOctets").unwrap_or(0),
        sent_v6: octets("Ip6OutOctets").unwrap_or(0),
    })
}
