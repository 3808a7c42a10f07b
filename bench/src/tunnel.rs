//! One tunnel between two WireGuard interfaces, of any implementations, across any network that joins their
//! namespaces:
//!
//! ```text
//! left  10.9.0.1, fd09::1 ══════WireGuard══════ 10.9.0.2, fd09::2  right
//! ```
//!
//! A side is called by the other only where it has an endpoint, so who begins the first handshake is the caller's
//! choice.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use weir_abi::key::PresharedKey;

use crate::device_config::{DeviceConfig, KeyPair, PeerConfig};
use crate::transfer::{Running, Transfer, TransferReport};
use crate::{End, Implementation, Namespace, Peer, Ping, Result, Topology};

/// The UDP port of both sides.
pub const PORT: u16 = 51820;

/// The MTU of both ends of the tunnel: Ethernet's less IPv6, UDP and WireGuard.
const MTU: u16 = 1420;

/// How long the tunnel may take to come up or to come back.
const TUNNEL_LIMIT: Duration = Duration::from_secs(30);

/// An IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The first.
    Left,
    /// The second.
    Right,
}

/// What stands at one end of a tunnel.
#[derive(Clone, Debug)]
pub struct Site {
    /// The namespace it stands in.
    pub namespace: Namespace,
    /// Who speaks WireGuard there.
    pub implementation: Implementation,
    /// Where the other side calls it; nowhere lets the other side wait for its call.
    pub endpoint: Option<SocketAddr>,
    /// Seconds of silence after which it sends a keepalive.
    pub persistent_keepalive_s: Option<u16>,
}

/// A tunnel. Both ends and the topology are removed when it is dropped.
pub struct Tunnel {
    left: Peer,
    right: Peer,
    sites: [Site; 2],
    preshared_key: Option<PresharedKey>,
    // Last, because fields are dropped in this order.
    topology: Topology,
}

impl Family {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Left, Self::Right];

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }

    /// Its address in the tunnel.
    pub fn address(self, family: Family) -> IpAddr {
        match family {
            Family::V4 => IpAddr::from([10, 9, 0, self.number() as u8]),
            Family::V6 => IpAddr::from([0xfd09, 0, 0, 0, 0, 0, 0, self.number()]),
        }
    }

    /// Its key.
    pub fn key(self) -> KeyPair {
        KeyPair::seeded(self.number().into())
    }

    /// Its address on a veth pair made by [`direct`].
    pub fn outer(self, family: Family) -> IpAddr {
        match family {
            Family::V4 => Ipv4Addr::new(192, 0, 2, self.number() as u8).into(),
            Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, self.number()).into(),
        }
    }

    fn number(self) -> u16 {
        match self {
            Self::Left => 1,
            Self::Right => 2,
        }
    }
}

/// Two namespaces joined by a veth pair named `wan` at both ends, with the addresses that [`Side::outer`] tells.
pub fn direct(topology: &Topology) -> Result<[Namespace; 2]> {
    let (left, right) = (topology.namespace("left")?, topology.namespace("right")?);
    topology.veth(
        &End::new(&left, "wan", &["192.0.2.1/24", "2001:db8::1/64"]),
        &End::new(&right, "wan", &["192.0.2.2/24", "2001:db8::2/64"]),
    )?;
    Ok([left, right])
}

impl Site {
    /// A side that nobody calls.
    pub fn new(namespace: &Namespace, implementation: Implementation) -> Self {
        Self {
            namespace: namespace.clone(),
            implementation,
            endpoint: None,
            persistent_keepalive_s: None,
        }
    }

    /// Lets the other side call it here, at [`PORT`].
    pub fn called_at(mut self, address: IpAddr) -> Self {
        self.endpoint = Some((address, PORT).into());
        self
    }

    /// Lets it send keepalives this often.
    pub fn persistent_keepalive_s(mut self, seconds: u16) -> Self {
        self.persistent_keepalive_s = Some(seconds);
        self
    }
}

impl Tunnel {
    /// Starts and configures both sides; no packet is sent yet, unless by a persistent keepalive.
    pub fn new(
        topology: Topology,
        left: Site,
        right: Site,
        preshared_key: Option<PresharedKey>,
    ) -> Result<Self> {
        let start = |site: &Site, label| Peer::start(&topology, &site.namespace, label, site.implementation);
        let tunnel = Self {
            left: start(&left, "l")?,
            right: start(&right, "r")?,
            sites: [left, right],
            preshared_key,
            topology,
        };
        for side in Side::BOTH {
            tunnel.configure(side)?;
        }
        Ok(tunnel)
    }

    /// The interface of a side.
    pub fn peer(&self, side: Side) -> &Peer {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }

    /// The topology it lives in.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// What a side is configured with.
    pub fn config(&self, side: Side) -> DeviceConfig {
        let other = side.other();
        let prefixes = [
            format!("{}/32", other.address(Family::V4)),
            format!("{}/128", other.address(Family::V6)),
        ];
        let mut peer = PeerConfig::new(other.key().public(), &[&prefixes[0], &prefixes[1]]);
        peer.endpoint = self.site(other).endpoint;
        peer.persistent_keepalive_s = self.site(side).persistent_keepalive_s;
        peer.preshared_key = self.preshared_key.clone();
        DeviceConfig {
            key: side.key(),
            listen_port: Some(PORT),
            peers: vec![peer],
        }
    }

    /// Kills a side as `kill -9` does, starts it anew, and configures it as before.
    pub fn restart(&mut self, side: Side) -> Result<()> {
        match side {
            Side::Left => self.left.restart(&self.topology)?,
            Side::Right => self.right.restart(&self.topology)?,
        }
        self.configure(side)
    }

    /// Has a side ping the other until it answers, in both IP versions.
    pub fn await_answers(&self, from: Side) -> Result<()> {
        for family in Family::BOTH {
            Ping::to(from.other().address(family))
                .until_answered(self.peer(from).namespace(), TUNNEL_LIMIT)?;
        }
        Ok(())
    }

    /// Begins a TCP transfer from a side to the other.
    pub fn transfer(&self, from: Side, family: Family, load: Load) -> Result<Running> {
        let transfer = Transfer {
            destination: (from.other().address(family), 0).into(),
            bytes: load.bytes,
            bytes_per_s: load.bytes_per_s,
            seed: load.bytes ^ u64::from(from.number()),
            limit: load.limit,
        };
        transfer.start(self.peer(from).namespace(), self.peer(from.other()).namespace())
    }

    /// Pings and transfers in both directions and both IP versions, the first ping from `initiator`.
    pub fn prove(&self, initiator: Side, bytes: u64) -> Result<()> {
        self.await_answers(initiator)?;
        self.await_answers(initiator.other())?;
        for family in Family::BOTH {
            for from in Side::BOTH {
                self.transfer(from, family, Load::of(bytes))?.finish()?;
            }
        }
        Ok(())
    }

    /// When the last handshake completed, as a side tells it, in seconds since 1970.
    pub fn handshake_s(&self, side: Side) -> Result<Option<u64>> {
        let peers = self.peer(side).peers()?;
        Ok(peers.first().and_then(|peer| peer.latest_handshake_s))
    }

    fn configure(&self, side: Side) -> Result<()> {
        let peer = self.peer(side);
        peer.configure(&self.config(side))?;
        peer.address(&format!("{}/24", side.address(Family::V4)))?;
        peer.address(&format!("{}/64", side.address(Family::V6)))?;
        peer.up(MTU)
    }

    fn site(&self, side: Side) -> &Site {
        match side {
            Side::Left => &self.sites[0],
            Side::Right => &self.sites[1],
        }
    }
}

/// How much a transfer carries, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    bytes: u64,
    bytes_per_s: Option<u64>,
    limit: Duration,
}

impl Load {
    /// As fast as it goes, within a minute.
    pub fn of(bytes: u64) -> Self {
        Self {
            bytes,
            bytes_per_s: None,
            limit: Duration::from_secs(60),
        }
    }

    /// At this pace for this long; a minute more is granted.
    pub fn lasting(seconds: u64, bytes_per_s: u64) -> Self {
        Self {
            bytes: seconds * bytes_per_s,
            bytes_per_s: Some(bytes_per_s),
            limit: Duration::from_secs(seconds + 60),
        }
    }
}

/// Runs paced transfers in both directions at once, does something in their midst, and tells what came of them.
pub fn amid_transfers(
    tunnel: &Tunnel,
    load: Load,
    meanwhile: impl FnOnce(&[Running; 2]) -> Result<()>,
) -> Result<[TransferReport; 2]> {
    let running = [
        tunnel.transfer(Side::Left, Family::V4, load)?,
        tunnel.transfer(Side::Right, Family::V6, load)?,
    ];
    let done = meanwhile(&running);
    let [left, right] = running.map(Running::finish);
    done?;
    Ok([left?, right?])
}
