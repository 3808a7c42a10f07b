//! The place of the measure: a gateway's namespace between two veth pairs with two queues, and what is in it however
//! packets are moved.
//!
//! ```text
//! server 10.1.0.2 ──veth lan── 10.1.0.1 gateway 192.0.2.1 ──veth wan── 192.0.2.2 far end
//!        ────── out: packets for 10.77.0.2 ──────▶ sealed ──────▶
//!        ◀───── opened ◀──────── in: transport messages from 10.77.0.2 ──────
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use weir_xdp_prog::AttachMode;

use super::super::interrupt::Stage;
use super::super::pair::quiet_namespace;
use crate::{Namespace, Result, Topology, programs};

/// The gateway's outer address and port.
pub(super) const GATEWAY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 51820);

/// The far end's outer address.
pub(super) const FAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// From where the far end shakes hands: datagrams to this port are not dropped by [`Lab`]'s sink.
pub(super) const HANDSHAKE_PORT: u16 = 40_000;

/// The far end's address in the tunnel.
pub(super) const INNER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// The server's address, behind the LAN device.
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);

/// Both devices and both ends, removed when dropped.
pub(super) struct Lab {
    /// Where tunnels come from.
    pub far: Namespace,
    /// Where both devices that are measured lie.
    pub gateway: Namespace,
    /// Behind the LAN device.
    pub server: Namespace,
    /// The gateway's WAN device and the other end of its pair.
    pub wan: Wire,
    /// The gateway's LAN device and the other end of its pair.
    pub lan: Wire,
    mode: AttachMode,
    // Last, because fields are dropped in this order.
    topology: Arc<Topology>,
}

/// A veth pair, whose ends have one name.
#[derive(Clone, Copy)]
pub(super) struct Wire {
    /// The name of both ends.
    pub name: &'static str,
    /// The gateway's end.
    pub near: Device,
    /// The other end.
    pub away: Device,
}

/// One end of a pair.
#[derive(Clone, Copy)]
pub(super) struct Device {
    /// Its number in its namespace.
    pub interface: u32,
    /// Its MAC address.
    pub mac: [u8; 6],
}

impl Lab {
    /// Builds it for programs attached in this mode. Neighbours are known for good, and what leaves the gateway is dropped
    /// where it arrives, uncounted but by the interface.
    pub fn new(stage: &Stage, mode: AttachMode) -> Result<Self> {
        let topology = stage.topology()?;
        let far = quiet_namespace(&topology, "far")?;
        let gateway = quiet_namespace(&topology, "gateway")?;
        let server = quiet_namespace(&topology, "server")?;
        let wan = wire("wan", mode, (&gateway, "192.0.2.1/24"), (&far, "192.0.2.2/24"))?;
        let lan = wire("lan", mode, (&gateway, "10.1.0.1/24"), (&server, "10.1.0.2/24"))?;
        for (wire, address) in [(&wan, FAR), (&lan, SERVER)] {
            let mac = written(wire.away.mac);
            gateway.ip(&format!(
                "neighbour replace {address} lladdr {mac} dev {} nud permanent",
                wire.name
            ))?;
        }
        far.ip(&format!(
            "neighbour replace 192.0.2.1 lladdr {} dev wan nud permanent",
            written(wan.near.mac)
        ))?;
        drop_arriving(&far, wan.name)?;
        drop_arriving(&server, lan.name)?;
        Ok(Self {
            far,
            gateway,
            server,
            wan,
            lan,
            mode,
            topology,
        })
    }

    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The queue at a pair's other end from which frames arrive at the gateway's queue of this number.
    pub fn sending_queue(&self, queue: u32) -> u32 {
        match self.mode {
            AttachMode::Driver => queue,
            // A frame that veth did not take by NAPI is seen on the queue before the one it was sent on, for the kernel
            // counts recorded queues from one; those of the first have none recorded.
            AttachMode::Generic if queue == 0 => 0,
            AttachMode::Generic => queue + 1,
        }
    }
}

/// A pair with two queues at each end, both ends up. The other end has a third to send from where
/// [`Lab::sending_queue`] says so; in driver mode the gateway's end must have as many to receive on.
fn wire(
    name: &'static str,
    mode: AttachMode,
    (near, near_address): (&Namespace, &str),
    (away, away_address): (&Namespace, &str),
) -> Result<Wire> {
    let sending = match mode {
        AttachMode::Driver => 2,
        AttachMode::Generic => 3,
    };
    near.ip(&format!(
        "link add {name} numrxqueues 2 numtxqueues 2 type veth \
         peer name {name} netns {} numrxqueues 2 numtxqueues {sending}",
        away.name()
    ))?;
    for (namespace, address) in [(near, near_address), (away, away_address)] {
        namespace.ip(&format!("address add {address} dev {name}"))?;
        namespace.ip(&format!("link set {name} up"))?;
    }
    Ok(Wire {
        name,
        near: device(near, name)?,
        away: device(away, name)?,
    })
}

fn device(namespace: &Namespace, name: &str) -> Result<Device> {
    let (interface, mac) = namespace.device(name)?;
    Ok(Device { interface, mac })
}

/// Drops IPv4 as early as nftables can, but for answers to handshakes.
fn drop_arriving(namespace: &Namespace, device: &str) -> Result<()> {
    let rules = format!(
        "table netdev sink {{ chain in {{ type filter hook ingress device \"{device}\" priority 0; \
         udp dport {HANDSHAKE_PORT} accept; meta protocol ip drop; }}; }}"
    );
    namespace.run(programs::tool("nft")?.arg(rules)).map(drop)
}

fn written(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
