//! What a configured gateway sets on the host while it runs, and withdraws when it stops: the device's addresses and
//! MTU, routes to allowed IPs, forwarding and translation.

use crate::allowed::Allowed;
use crate::dataplane::DataPlane;
use crate::netlink::{DeviceRoutes, Error, Link, Netlink, Routed};
use crate::nft::{Forwarding, ForwardingError, Rules, Table};
use crate::xdp::bypass;
use core::net::IpAddr;
use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use weir_abi::prefix::Prefix;
use weir_config::{Config, PortRole};

/// The MTU of an Ethernet path, where nothing better is known.
const ETHERNET_MTU: u32 = 1500;

/// The number of the loopback link in every network namespace.
const LOOPBACK: u32 = 1;

/// IPv6, UDP and WireGuard around an inner packet, in bytes.
const OVERHEAD: u32 = 40 + 8 + 32;

/// The least MTU that IPv6 works over (RFC 8200 section 5).
const MTU_MIN: u32 = 1280;

/// What is to be set.
#[derive(Clone, PartialEq, Debug, Default)]
struct Wanted {
    addresses: Vec<(IpAddr, u8)>,
    routes: bool,
    forward: bool,
    nat: bool,
    /// The LAN port's device: a router's, which translates nothing, neither by itself nor where the kernel helps it out.
    lan: Option<String>,
}

impl Wanted {
    fn of(config: &Config) -> Self {
        Self {
            addresses: config
                .interface
                .addresses
                .iter()
                .map(|a| (a.address, a.length))
                .collect(),
            routes: config.interface.routes,
            forward: config.gateway.forward,
            nat: config.gateway.nat,
            lan: config
                .ports
                .iter()
                .find(|port| port.role == PortRole::Lan)
                .map(|port| port.device.clone()),
        }
    }

    fn networks(&self) -> Vec<Prefix> {
        self.addresses
            .iter()
            .filter_map(|&(address, length)| Prefix::new(address, length))
            .collect()
    }
}

/// The host's side of one interface. A drop-in sets nothing: whoever started it does.
pub struct Host {
    set: Mutex<Option<Set>>,
    notes: Mutex<Vec<String>>,
}

/// [`DeviceRoutes::set`] or [`DeviceRoutes::restore`].
type MakeRoutes = fn(&mut DeviceRoutes, &mut Netlink, &BTreeSet<Prefix>, &[Prefix]) -> Result<Routed, Error>;

struct Set {
    wanted: Wanted,
    routes: Option<DeviceRoutes>,
    /// What the routes were made for; `None` where they may lack some.
    allowed: Option<Allowed>,
    /// Both end with what they stand for.
    forwarding: Option<Forwarding>,
    table: Option<Table>,
}

impl Host {
    /// A host on which nothing is set.
    pub fn untouched() -> Self {
        Self {
            set: Mutex::new(None),
            notes: Mutex::default(),
        }
    }

    /// Sets what the configuration asks for.
    ///
    /// # Errors
    /// What the kernel refused, in words; what was set until then is withdrawn.
    pub fn set_up(config: &Config, mtu: u16, plane: &DataPlane) -> Result<Self, String> {
        let host = Self::untouched();
        let done = host.update(config, mtu, plane);
        if let Err(error) = done {
            host.withdraw(plane);
            return Err(error);
        }
        Ok(host)
    }

    /// Makes the host what a configuration read anew asks for, and puts back what others took away.
    pub fn update(&self, config: &Config, mtu: u16, plane: &DataPlane) -> Result<(), String> {
        let mut notes: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
        notes.extend(bypass::notes(config));
        *self.notes.lock().unwrap_or_else(PoisonError::into_inner) = notes;
        self.change(Wanted::of(config), mtu, plane)
    }

    /// Follows the desired state: routes to the allowed IPs.
    pub fn follow(&self, plane: &DataPlane) {
        let mut set = self.lock();
        let Some(set) = &mut *set else { return };
        if let Err(error) = set.follow_changes(plane, &self.notes) {
            let warning = format!("routes to allowed IPs: {error}");
            tracing::warn!("{warning}");
            plane.watchers().warn(&warning);
        }
    }

    /// Puts back the addresses and routes that the device lost while it was set down.
    pub fn restore(&self, plane: &DataPlane) {
        let mut set = self.lock();
        let Some(set) = &mut *set else { return };
        let restored = device(plane).and_then(|(mut netlink, link)| {
            netlink.change_addresses(link.index, &[], &set.wanted.addresses)?;
            set.follow(plane, &self.notes, DeviceRoutes::restore)
        });
        match restored {
            Ok(()) => tracing::info!("the device is up again, with its addresses and routes"),
            Err(error) => {
                let warning = format!("the device is up again, but not what belongs to it: {error}");
                tracing::warn!("{warning}");
                plane.watchers().warn(&warning);
            }
        }
    }

    /// What an operator should know.
    pub fn warnings(&self, plane: &DataPlane) -> Vec<String> {
        let mut warnings = self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if device(plane).is_ok_and(|(_, link)| !link.up) {
            warnings.push(is_down(&plane.interface()));
        }
        warnings
    }

    /// Withdraws what was set. Addresses and routes go with the device; forwarding and translation are the host's.
    pub fn withdraw(&self, plane: &DataPlane) {
        let Some(mut set) = self.lock().take() else { return };
        drop(set.forwarding.take());
        drop(set.table.take());
        let withdrawn = device(plane).and_then(|(mut netlink, Link { index: link, .. })| {
            if let Some(routes) = &mut set.routes {
                routes.set(&mut netlink, &BTreeSet::new(), &[])?;
            }
            netlink.change_addresses(link, &set.wanted.addresses, &[])
        });
        if let Err(error) = withdrawn {
            tracing::debug!("addresses and routes went with the device: {error}");
        }
    }

    fn change(&self, wanted: Wanted, mtu: u16, plane: &DataPlane) -> Result<(), String> {
        let mut set = self.lock();
        let before = set.as_ref().map(|set| set.wanted.clone()).unwrap_or_default();
        let words = |error: Error| error.to_string();
        let (mut netlink, Link { index: link, .. }) = device(plane).map_err(words)?;
        netlink.set_mtu(link, mtu.into()).map_err(words)?;
        netlink
            .change_addresses(link, &before.addresses, &wanted.addresses)
            .map_err(words)?;
        netlink.set_up(link).map_err(words)?;
        let mut next = match set.take() {
            Some(set) => Set { wanted, ..set },
            None => Set {
                wanted,
                routes: None,
                allowed: None,
                forwarding: None,
                table: None,
            },
        };
        let forwarded = next.forward(plane, &self.notes);
        if let Err(error) = forwarded {
            *set = Some(next);
            return Err(error);
        }
        let followed = next
            .follow(plane, &self.notes, DeviceRoutes::restore)
            .map_err(words);
        *set = Some(next);
        followed
    }

    fn lock(&self) -> MutexGuard<'_, Option<Set>> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Set {
    /// Switches the kernel's forwarding and puts the table in place, as wanted.
    fn forward(&mut self, plane: &DataPlane, notes: &Mutex<Vec<String>>) -> Result<(), String> {
        let interface = &plane.interface();
        if !self.wanted.forward {
            self.table = None;
            self.forwarding = None;
            return Ok(());
        }
        let networks = self.wanted.networks();
        let (v4, v6) = (
            networks.iter().any(|n| n.address().is_ipv4()),
            networks.iter().any(|n| n.address().is_ipv6()),
        );
        let words = |error: ForwardingError| error.to_string();
        match &mut self.forwarding {
            Some(on) => on.renew(v4, v6).map_err(words)?,
            none => *none = Some(Forwarding::switch_on(interface, v4, v6).map_err(words)?),
        }
        let masquerade = if self.wanted.nat { networks } else { Vec::new() };
        let rules = Rules {
            masquerade,
            untranslated: self.wanted.lan.clone(),
            clamp_mss: true,
        };
        match &mut self.table {
            Some(table) => table.replace(&rules).map_err(|error| error.to_string())?,
            none => *none = Some(Table::install(interface, &rules).map_err(|error| error.to_string())?),
        }
        for chain in weir_nic::forward_drops().unwrap_or_default() {
            let note = format!(
                "nftables chain {chain} drops forwarded packets; accept those from and to {interface} in it"
            );
            tracing::warn!("{note}");
            plane.watchers().warn(&note);
            notes.lock().unwrap_or_else(PoisonError::into_inner).push(note);
        }
        Ok(())
    }

    /// Makes the device's routes those of the allowed IPs, as far as these changed.
    fn follow_changes(&mut self, plane: &DataPlane, notes: &Mutex<Vec<String>>) -> Result<(), Error> {
        if !self.wanted.routes {
            return self.follow(plane, notes, DeviceRoutes::set);
        }
        let (Some(routes), Some(mut allowed)) = (&mut self.routes, self.allowed.take()) else {
            return self.follow(plane, notes, DeviceRoutes::set);
        };
        let Some(difference) = allowed.follow(&plane.tables()) else {
            return self.follow(plane, notes, DeviceRoutes::set);
        };
        let connected = self.wanted.networks();
        if routes.concerns(&difference.gone, &difference.come, &connected) {
            let (mut netlink, _) = device(plane)?;
            let routed = routes.change(&mut netlink, &difference.gone, &difference.come, &connected)?;
            note(plane, notes, routed);
        }
        self.allowed = Some(allowed);
        Ok(())
    }

    /// Makes the device's routes those of the allowed IPs, by what was made before or by what is there.
    fn follow(
        &mut self,
        plane: &DataPlane,
        notes: &Mutex<Vec<String>>,
        make: MakeRoutes,
    ) -> Result<(), Error> {
        if !self.wanted.routes && self.routes.is_none() {
            return Ok(());
        }
        let (mut netlink, link) = device(plane)?;
        let routes = match &mut self.routes {
            Some(routes) => routes,
            none => none.insert(DeviceRoutes::find(&mut netlink, link.index)?),
        };
        let allowed = self.wanted.routes.then(|| Allowed::of(&plane.tables()));
        let all = allowed.as_ref().map(Allowed::all).unwrap_or_default();
        self.allowed = None;
        let routed = make(routes, &mut netlink, &all, &self.wanted.networks())?;
        self.allowed = allowed;
        note(plane, notes, routed);
        Ok(())
    }
}

/// Keeps what an operator should know of routes, and says what is new of it.
fn note(plane: &DataPlane, notes: &Mutex<Vec<String>>, routed: Routed) {
    let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
    for note in routed.notes {
        if !notes.contains(&note) {
            tracing::warn!("{note}");
            plane.watchers().warn(&note);
            notes.push(note);
        }
    }
}

/// What to say of an interface that was set down.
pub fn is_down(interface: &str) -> String {
    format!("interface {interface} is down, so no packet passes: ip link set {interface} up")
}

/// The way to the kernel's tables where the device is now, and the device there.
fn device(plane: &DataPlane) -> Result<(Netlink, Link), Error> {
    plane.with_tun(|tun| Netlink::of_device(tun.as_fd()))
}

/// The tunnel's MTU in bytes where none is configured: the least of the paths to the configured endpoints, or of the
/// default route, less the overhead.
pub fn path_mtu(config: &Config) -> u16 {
    let Ok(mut netlink) = Netlink::open() else {
        return fit(ETHERNET_MTU);
    };
    let endpoints = config.peers.iter().filter_map(|peer| match &peer.endpoint {
        Some(weir_abi::endpoint::Endpoint::Address(address)) => Some(address.ip()),
        Some(weir_abi::endpoint::Endpoint::Name { .. }) | None => None,
    });
    let mark = config.interface.fwmark;
    // The way to an address of this host says nothing of the ways out of it.
    let mut out = |address| {
        let path = netlink.path(address, mark).ok();
        path.filter(|path| path.link != LOOPBACK).map(|path| path.mtu)
    };
    let mut mtus: Vec<u32> = endpoints.filter_map(&mut out).collect();
    if mtus.is_empty() {
        // Addresses that are kept for documentation lead to the default route (RFC 5737, RFC 3849).
        let anywhere = [
            IpAddr::from([192, 0, 2, 1]),
            IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]),
        ];
        mtus = anywhere.into_iter().filter_map(out).collect();
    }
    fit(mtus.into_iter().min().unwrap_or(ETHERNET_MTU))
}

fn fit(path: u32) -> u16 {
    let most = u32::from(u16::MAX) - OVERHEAD;
    path.saturating_sub(OVERHEAD).clamp(MTU_MIN, most) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches an overhead that is not that of IPv6, and paths too small or too large for a tunnel.
    #[test]
    fn the_tunnel_s_mtu_follows_the_path_s() {
        for (path, tunnel) in [
            (1500, 1420),
            (9000, 8920),
            (1280, 1280),
            (0, 1280),
            (65_536, 65_455),
        ] {
            assert_eq!(fit(path), tunnel, "path {path}");
        }
    }
}
