//! A shard's share of a WAN device: tunnels' datagrams by AF_XDP where that can be, and by an ordinary UDP socket on the
//! same port where it cannot.
//!
//! The socket receives what the kernel was left with (fragments, options, queues without an AF_XDP socket) and sends what
//! this port cannot: to a next hop that is not known yet, by another device, too long for the link. Such a datagram is
//! copied into a frame of the socket's own, which is the slow path; everything else is never copied.

use crate::seat::Seat;
use crate::site::Site;
use crate::ways::Ways;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::RawFd;
use weir_frame::{Frame, FramePool, Home, LocalAddress, Meta, Path, Port, PortCounters, PortMode, PortRole};
use weir_wire::arrival::{Arrival, Datagram, arrival};
use weir_wire::ethernet;
use weir_wire::outer::{Headers, Outer};

/// Local addresses that no longer work and are yet to be told.
const FORGOTTEN: usize = 256;

/// The port.
pub struct WanPort<S> {
    ways: Ways,
    site: S,
    /// The identification of the next IPv4 packet.
    id: u16,
    arrived: Vec<Frame>,
    forgotten: VecDeque<SocketAddr>,
    /// The way of the batch's last datagram, which mostly is the next one's as well.
    latest: Option<Way>,
}

/// The way of datagrams with one path and traffic class.
struct Way {
    path: Path,
    traffic_class: u8,
    headers: Headers,
    /// Whether the path's own address is none of this host's any more.
    is_forgotten: bool,
    /// Bytes of the longest IP packet.
    mtu: usize,
}

/// What the port is made of.
pub struct WanParts<S> {
    /// The device's queue.
    pub queue: Seat,
    /// The port of an ordinary UDP socket, of the same home.
    pub socket: Box<dyn Port>,
    /// What is known of the device, as the XDP program was told, and of the ways out by it.
    pub site: S,
}

impl<S: Site> WanPort<S> {
    /// A port that is ready.
    ///
    /// # Panics
    /// If queue and socket are of two homes.
    pub fn new(parts: WanParts<S>) -> Self {
        Self {
            ways: Ways::new(parts.queue, parts.socket),
            site: parts.site,
            id: 0,
            arrived: Vec::with_capacity(256),
            forgotten: VecDeque::with_capacity(FORGOTTEN),
            latest: None,
        }
    }

    /// The queue, for what it counts.
    pub fn queue(&self) -> &Seat {
        self.ways.queue()
    }

    fn path(&self, datagram: &Datagram) -> Path {
        let (ip, port) = datagram.source;
        let remote = match ip {
            // A link-local address is one of its link alone (RFC 4007).
            IpAddr::V6(ip) if ip.is_unicast_link_local() => {
                SocketAddrV6::new(ip, port, 0, self.site.interface()).into()
            }
            ip => SocketAddr::new(ip, port),
        };
        let local = LocalAddress {
            ip: datagram.destination.0,
            interface: self.site.interface(),
        };
        Path {
            remote,
            local: Some(local),
        }
    }

    /// Puts the headers in front of a datagram, where the queue can send it.
    fn address(&mut self, frame: &mut Frame) -> bool {
        if !self.ways.has_queue() || !self.ways.owns(frame) {
            return false;
        }
        let meta = frame.meta();
        let is_latest =
            |way: &Way| meta.path.as_ref() == Some(&way.path) && meta.traffic_class == way.traffic_class;
        if !self.latest.as_ref().is_some_and(is_latest) {
            self.latest = self.way(frame.meta());
        }
        let Some(way) = &self.latest else {
            return false;
        };
        let header = way.headers.header_len();
        let fits = frame.headroom() >= header && header - ethernet::HEADER_LEN + frame.len() <= way.mtu;
        let written = fits && {
            frame.push_front(header);
            way.headers.write(frame.bytes_mut(), self.id)
        };
        if fits && !written {
            frame.trim_front(header);
        }
        if way.is_forgotten {
            self.forget(way.path.remote);
        }
        self.id = self.id.wrapping_add(1);
        written
    }

    /// The way of a datagram, where the queue has one.
    fn way(&self, meta: &Meta) -> Option<Way> {
        let path = meta.path?;
        if lies_elsewhere(path.remote, self.site.interface()) {
            return None;
        }
        let destination = unmapped(path.remote);
        let hop = self.site.hop(destination.ip())?;
        let (source, is_forgotten) = match path.local {
            Some(local) if self.site.is_own(local.ip) => (local.ip, false),
            Some(_) => (hop.source, true),
            None => (hop.source, false),
        };
        let outer = Outer {
            macs: hop.macs,
            source: SocketAddr::new(source, self.site.port()),
            destination,
            traffic_class: meta.traffic_class,
        };
        Some(Way {
            path,
            traffic_class: meta.traffic_class,
            headers: outer.headers()?,
            is_forgotten,
            mtu: hop.mtu,
        })
    }

    fn forget(&mut self, remote: SocketAddr) {
        self.ways.counted.tx_source_forgotten += 1;
        if self.forgotten.len() < FORGOTTEN {
            self.forgotten.push_back(remote);
        }
    }
}

/// An address with an IPv4 address never in its IPv6-mapped form: that is none on the wire (RFC 4291 section 2.5.5.2).
fn unmapped(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

/// Whether an address is one of another link than the device's: only that link's number tells link-local addresses apart
/// (RFC 4007), and the ways out are known by the address alone.
fn lies_elsewhere(remote: SocketAddr, interface: u32) -> bool {
    match remote {
        SocketAddr::V6(remote) => remote.ip().is_unicast_link_local() && remote.scope_id() != interface,
        SocketAddr::V4(_) => false,
    }
}

impl<S: Site> Port for WanPort<S> {
    fn receive(&mut self, out: &mut Vec<Frame>, limit: usize) -> usize {
        self.site.refresh();
        self.ways.refresh();
        let mut count = self.ways.receive_ordinary_in_turn(out, limit);
        let mut arrived = core::mem::take(&mut self.arrived);
        self.ways.receive(&mut arrived, limit - count);
        for mut frame in arrived.drain(..) {
            let Arrival::Wan(datagram) = arrival(frame.bytes(), &self.site) else {
                self.ways.counted.rx_malformed += 1;
                self.ways.give_back(frame);
                continue;
            };
            frame.trim_front(datagram.payload);
            frame.set_len(datagram.len);
            frame.meta_mut().path = Some(self.path(&datagram));
            frame.meta_mut().traffic_class = datagram.traffic_class;
            self.ways.counted.rx_frames += 1;
            self.ways.counted.rx_bytes += datagram.len as u64;
            count += 1;
            out.push(frame);
        }
        self.arrived = arrived;
        count + self.ways.receive_ordinary(out, limit - count)
    }

    fn transmit(&mut self, frames: &mut Vec<Frame>) {
        self.site.refresh();
        self.latest = None;
        self.ways.refresh();
        for mut frame in frames.drain(..) {
            let len = frame.len();
            if self.address(&mut frame) {
                self.ways.by_queue(frame, len);
            } else {
                self.ways.by_ordinary(frame);
            }
        }
        self.ways.send();
    }

    fn fresh(&mut self, len: usize) -> Option<Frame> {
        self.ways.fresh(len)
    }

    fn give_back(&mut self, frame: Frame) {
        self.ways.give_back(frame);
    }

    fn home(&self) -> Home {
        self.ways.home()
    }

    fn frames(&self) -> usize {
        self.ways.frames()
    }

    fn abroad(&self) -> usize {
        self.ways.abroad()
    }

    fn in_kernel(&self) -> usize {
        self.ways.in_kernel()
    }

    /// The frames of the ordinary port; those of the queue are left at its seat
    /// ([`SeatHandle::take_store`](crate::SeatHandle::take_store)).
    fn into_pool(self: Box<Self>) -> FramePool {
        self.ways.into_pool()
    }

    fn role(&self) -> PortRole {
        PortRole::Wan
    }

    fn mode(&self) -> PortMode {
        self.ways.mode()
    }

    fn counters(&self) -> PortCounters {
        self.ways.counters()
    }

    fn descriptors(&self, out: &mut Vec<RawFd>) {
        self.ways.descriptors(out);
    }

    fn woke(&mut self) {
        self.ways.woke();
    }

    fn forgotten_source(&mut self) -> Option<SocketAddr> {
        self.forgotten
            .pop_front()
            .or_else(|| self.ways.forgotten_source())
    }
}
