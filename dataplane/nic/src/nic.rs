//! Everything about one device, read at once.

use crate::NicError;
use crate::bus;
use crate::driver::{self, Driver};
use crate::ethtool::{Channels, DriverInfo, Ethtool, Features, Rings};
use crate::interrupt::{self, Interrupt};
use crate::link::{self, Link};
use crate::steering::{HashedFields, Rule};
use crate::xdp::XdpFeatures;
use std::fs;
use std::path::Path;

/// A network device. Facts that its driver or this kernel does not tell are `None` or empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Nic {
    /// What rtnetlink says of it.
    pub link: Link,
    /// The device below (of a VLAN, say), where it lies in this network namespace.
    pub below: Option<String>,
    /// The devices whose master it is: the ports of a bond, team or bridge.
    pub ports: Vec<String>,
    /// The VLAN devices on top of it, for which frames arrive tagged.
    pub vlans: Vec<String>,
    /// The bond, team or bridge whose port it is, and its kind.
    pub master: Option<(String, String)>,
    /// Who drives it (ETHTOOL_GDRVINFO).
    pub driver: Option<DriverInfo>,
    /// Its channels (ETHTOOL_GCHANNELS).
    pub channels: Option<Channels>,
    /// Queues that receive now: the driver's channels, else /sys/class/net/NAME/queues, else what it was made with.
    pub rx_queues: u32,
    /// Queues that transmit now, likewise.
    pub tx_queues: u32,
    /// Its rings (ETHTOOL_GRINGPARAM).
    pub rings: Option<Rings>,
    /// The queue of each slot of the table that hashes choose from (ETHTOOL_GRXFHINDIR).
    pub indirection: Option<Vec<u32>>,
    /// What is hashed of UDP over IPv4 (ETHTOOL_GRXFH).
    pub hashed_udp4: Option<HashedFields>,
    /// What is hashed of UDP over IPv6.
    pub hashed_udp6: Option<HashedFields>,
    /// Rules that choose queues (ETHTOOL_GRXCLSRLALL).
    pub rules: Option<Vec<Rule>>,
    /// Its features (ETHTOOL_GFEATURES).
    pub features: Features,
    /// What the kernel says that it can do with XDP.
    pub xdp: Option<XdpFeatures>,
    /// Interrupts that are put off, and for how long, while somebody polls; `None` where the kernel does not say.
    pub deferral: Option<Deferral>,
    /// The NUMA node it is attached to.
    pub numa_node: Option<u32>,
    /// What a virtio device and its driver agreed on, a bit for each feature (VIRTIO 1.2 section 2.2).
    pub virtio_features: Option<u64>,
    /// Its interrupts.
    pub interrupts: Vec<Interrupt>,
}

/// How long a device's interrupts are put off in favour of whoever polls (Linux 5.8).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deferral {
    /// Rounds without a frame before an interrupt is let through again (`napi_defer_hard_irqs`).
    pub rounds: u32,
    /// Nanoseconds after which the kernel polls itself (`gro_flush_timeout`).
    pub flush_ns: u64,
}

impl Deferral {
    /// As /sys says, which shows the devices of the network namespace that it was mounted in.
    fn read(name: &str) -> Option<Self> {
        let read = |file: &str| fs::read_to_string(Path::new("/sys/class/net").join(name).join(file));
        Some(Self {
            rounds: read("napi_defer_hard_irqs").ok()?.trim().parse().ok()?,
            flush_ns: read("gro_flush_timeout").ok()?.trim().parse().ok()?,
        })
    }
}

impl Nic {
    /// Reads the device of that name in the thread's network namespace. Nothing is changed, and no privilege is needed.
    ///
    /// Errors: there is no such device, or the kernel refuses sockets. What a driver refuses is `None`.
    pub fn read(name: &str) -> Result<Self, NicError> {
        let links = link::all().map_err(NicError::Socket)?;
        let link = links.iter().find(|link| link.name == name);
        let link = link.ok_or_else(|| NicError::NoSuchDevice(name.to_owned()))?;
        let ethtool = Ethtool::open(name)?;
        let channels = ethtool.channels()?;
        let (rx_queues, tx_queues) = queues(link, channels.as_ref());
        let folders = link.parent.as_ref().map(bus::folders).unwrap_or_default();
        let numbered = |index: Option<u32>| links.iter().find(|other| Some(other.index) == index);
        let below = link.link.filter(|_| !link.link_elsewhere);
        Ok(Self {
            below: numbered(below).map(|other| other.name.clone()),
            ports: names(&links, |other| other.master == Some(link.index)),
            vlans: names(&links, |other| {
                let here = other.link == Some(link.index) && !other.link_elsewhere;
                here && other.kind.as_deref() == Some("vlan")
            }),
            master: numbered(link.master)
                .map(|other| (other.name.clone(), other.kind.clone().unwrap_or_default())),
            driver: ethtool.driver()?,
            channels,
            rx_queues,
            tx_queues,
            rings: ethtool.rings()?,
            indirection: ethtool.indirection()?,
            hashed_udp4: ethtool.hashed_udp4()?,
            hashed_udp6: ethtool.hashed_udp6()?,
            rules: ethtool.rules()?,
            features: ethtool.features()?.unwrap_or_default(),
            xdp: XdpFeatures::read(link.index),
            deferral: Deferral::read(name),
            numa_node: bus::numa_node(&folders),
            virtio_features: link
                .parent
                .as_ref()
                .and_then(|parent| bus::virtio_features(parent, &folders)),
            interrupts: interrupt::interrupts(&folders),
            link: link.clone(),
        })
    }

    /// What is known of its driver beforehand. A TAP device, which shares its driver's name with TUN, has its own entry.
    pub fn known_driver(&self) -> Option<&'static Driver> {
        let driver = self.driver.as_ref()?;
        match (driver.name.as_str(), self.link.ethernet) {
            ("tun", true) => driver::of("tap"),
            (name, _) => driver::of(name),
        }
    }

    /// Whether a virtio device's driver maps memory for the device as for a card, without which there is no zero-copy
    /// (VIRTIO_F_ACCESS_PLATFORM, bit 33); `None` for other devices.
    pub fn virtio_access_platform(&self) -> Option<bool> {
        self.virtio_features.map(|features| features >> 33 & 1 != 0)
    }

    /// How many slots of the indirection table each queue has, by queue; empty where there is no table.
    pub fn slots(&self) -> Vec<usize> {
        let table = self.indirection.as_deref().unwrap_or_default();
        let mut slots = Vec::new();
        for queue in table
            .iter()
            .filter_map(|queue| usize::try_from(*queue).ok())
            .filter(|queue| *queue < table.len().max(1 << 12))
        {
            if slots.len() <= queue {
                slots.resize(queue + 1, 0);
            }
            slots[queue] += 1;
        }
        slots
    }
}

fn names(links: &[Link], wanted: impl Fn(&Link) -> bool) -> Vec<String> {
    let found = links.iter().filter(|link| wanted(link));
    found.map(|link| link.name.clone()).collect()
}

fn queues(link: &Link, channels: Option<&Channels>) -> (u32, u32) {
    if let Some(channels) = channels.filter(|channels| channels.receiving() > 0) {
        return (channels.receiving(), channels.transmitting());
    }
    sysfs_queues(link).unwrap_or((link.rx_queues, link.tx_queues))
}

/// sysfs shows the devices of the namespace that it was mounted in: only a device with the same number and address is
/// taken for this one.
fn sysfs_queues(link: &Link) -> Option<(u32, u32)> {
    let folder = Path::new("/sys/class/net").join(&link.name);
    let index: u32 = fs::read_to_string(folder.join("ifindex"))
        .ok()?
        .trim()
        .parse()
        .ok()?;
    let address = fs::read_to_string(folder.join("address")).ok()?;
    let own = link.address.map(|address| {
        let bytes = address.map(|byte| format!("{byte:02x}"));
        bytes.join(":")
    });
    if index != link.index || own.is_some_and(|own| own != address.trim()) {
        return None;
    }
    let names: Vec<String> = fs::read_dir(folder.join("queues"))
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    let count = |prefix: &str| {
        let queues = names.iter().filter(|name| name.starts_with(prefix)).count();
        u32::try_from(queues).ok()
    };
    Some((count("rx-")?, count("tx-")?))
}
