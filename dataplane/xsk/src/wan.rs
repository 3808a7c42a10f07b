//! A shard's share of a WAN device: tunnels' datagrams by AF_XDP where that can be, and by an ordinary UDP socket on the
//! same port where it cannot.
//!
//! The socket receives what the kernel was left with (fragments, options, queues without an AF_XDP socket) and sends what
//! this port cannot: to a next hop that is not known yet, by another device, too long for the link. Such a datagram is
//! copied into a frame of the socket's own, which is the slow path; everything else is never copied.

use crate::queue::Queue;
use crate::site::Site;
use crate::socket::Copying;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use weir_frame::{Frame, Home, LocalAddress, Path, Port, PortCounters, PortMode, PortRole};
use weir_wire::arrival::{Arrival, Datagram, arrival};
use weir_wire::ethernet;
use weir_wire::outer::{LEN_V4, LEN_V6, Outer};

/// Local addresses that no longer work and are yet to be told.
const FORGOTTEN: usize = 256;

/// The port.
pub struct WanPort<S> {
    queue: Queue,
    socket: Box<dyn Port>,
    site: S,
    interface: u32,
    port: u16,
    generic: bool,
    /// The identification of the next IPv4 packet.
    id: u16,
    arrived: Vec<Frame>,
    out: Vec<Frame>,
    slow: Vec<Frame>,
    forgotten: VecDeque<SocketAddr>,
    counted: PortCounters,
}

/// What the port is made of.
pub struct WanParts<S> {
    /// The device's queue.
    pub queue: Queue,
    /// The port of an ordinary UDP socket, of the same home.
    pub socket: Box<dyn Port>,
    /// What is known of the device, as the XDP program was told, and of the ways out by it.
    pub site: S,
    /// The device's number.
    pub interface: u32,
    /// The UDP port that datagrams leave from.
    pub port: u16,
    /// Whether the XDP program is attached in generic mode.
    pub generic: bool,
}

impl<S: Site> WanPort<S> {
    /// A port that is ready.
    ///
    /// # Panics
    /// If queue and socket are of two homes.
    pub fn new(mut parts: WanParts<S>) -> Self {
        assert_eq!(
            parts.queue.pool().home(),
            parts.socket.home(),
            "queue and socket are one port"
        );
        Self {
            queue: parts.queue,
            socket: parts.socket,
            site: parts.site,
            interface: parts.interface,
            port: parts.port,
            generic: parts.generic,
            id: 0,
            arrived: Vec::with_capacity(256),
            out: Vec::with_capacity(256),
            slow: Vec::with_capacity(256),
            forgotten: VecDeque::with_capacity(FORGOTTEN),
            counted: PortCounters::default(),
        }
    }

    /// The queue, for what it counts.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    fn path(&self, datagram: &Datagram) -> Path {
        let (ip, port) = datagram.source;
        let remote = match ip {
            // A link-local address is one of its link alone (RFC 4007).
            IpAddr::V6(ip) if ip.is_unicast_link_local() => {
                SocketAddrV6::new(ip, port, 0, self.interface).into()
            }
            ip => SocketAddr::new(ip, port),
        };
        let local = LocalAddress {
            ip: datagram.destination.0,
            interface: self.interface,
        };
        Path {
            remote,
            local: Some(local),
        }
    }

    /// Puts the headers in front of a datagram, where the queue can send it.
    fn address(&mut self, frame: &mut Frame) -> bool {
        if !self.queue.owns(frame) {
            return false;
        }
        let Some(path) = frame.meta.path else { return false };
        let Some(hop) = self.site.hop(path.remote.ip()) else {
            return false;
        };
        let source = match path.local {
            Some(local) if self.site.is_own(local.ip) => local.ip,
            Some(_) => {
                self.forget(path.remote);
                hop.source
            }
            None => hop.source,
        };
        let outer = Outer {
            macs: hop.macs,
            source: SocketAddr::new(source, self.port),
            destination: path.remote,
            traffic_class: frame.meta.traffic_class,
            id: self.id,
        };
        self.id = self.id.wrapping_add(1);
        let header = outer.header_len();
        if frame.headroom() < header || header - ethernet::HEADER_LEN + frame.len() > hop.mtu {
            return false;
        }
        frame.push_front(header);
        if !outer.write(frame.bytes_mut()) {
            frame.trim_front(header);
            return false;
        }
        true
    }

    fn forget(&mut self, remote: SocketAddr) {
        self.counted.tx_source_forgotten += 1;
        if self.forgotten.len() < FORGOTTEN {
            self.forgotten.push_back(remote);
        }
    }

    /// Leaves a datagram to the socket.
    fn leave(&mut self, frame: Frame) {
        if !self.queue.owns(&frame) {
            return self.slow.push(frame);
        }
        match self.socket.fresh(frame.len()) {
            Some(mut copy) => {
                copy.meta = frame.meta;
                let fits = copy.write(frame.bytes());
                assert!(fits, "a fresh frame has the room that was asked for");
                self.slow.push(copy);
            }
            None => self.counted.tx_full += 1,
        }
        self.queue.pool().give_back(frame);
    }
}

impl<S: Site> Port for WanPort<S> {
    fn receive(&mut self, out: &mut Vec<Frame>, limit: usize) -> usize {
        self.site.refresh();
        let mut arrived = core::mem::take(&mut self.arrived);
        self.queue.receive(&mut arrived, limit);
        let mut count = 0;
        for mut frame in arrived.drain(..) {
            let Arrival::Wan(datagram) = arrival(frame.bytes(), &self.site) else {
                self.counted.rx_malformed += 1;
                self.queue.pool().give_back(frame);
                continue;
            };
            frame.trim_front(datagram.payload);
            frame.set_len(datagram.len);
            frame.meta.path = Some(self.path(&datagram));
            frame.meta.traffic_class = datagram.traffic_class;
            self.counted.rx_frames += 1;
            self.counted.rx_bytes += datagram.len as u64;
            count += 1;
            out.push(frame);
        }
        self.arrived = arrived;
        count + self.socket.receive(out, limit - count)
    }

    fn transmit(&mut self, frames: &mut Vec<Frame>) {
        self.site.refresh();
        for mut frame in frames.drain(..) {
            let len = frame.len();
            if self.address(&mut frame) {
                self.counted.tx_packets += 1;
                self.counted.tx_bytes += len as u64;
                self.out.push(frame);
            } else {
                self.leave(frame);
            }
        }
        self.queue.transmit(&mut self.out);
        for frame in self.out.drain(..) {
            self.counted.tx_full += 1;
            self.counted.tx_packets -= 1;
            self.counted.tx_bytes -= (frame.len() - header_len(&frame)) as u64;
            self.queue.pool().give_back(frame);
        }
        if !self.slow.is_empty() {
            self.socket.transmit(&mut self.slow);
        }
    }

    fn fresh(&mut self, len: usize) -> Option<Frame> {
        // The queue's own frames are the only ones that need no copy; large ones are the socket's.
        self.queue.pool().take(len).or_else(|| self.socket.fresh(len))
    }

    fn give_back(&mut self, frame: Frame) {
        if self.queue.owns(&frame) {
            self.queue.pool().give_back(frame);
        } else {
            self.socket.give_back(frame);
        }
    }

    fn home(&self) -> Home {
        self.socket.home()
    }

    fn frames(&self) -> usize {
        self.queue.frames() + self.socket.frames()
    }

    fn role(&self) -> PortRole {
        PortRole::Wan
    }

    fn mode(&self) -> PortMode {
        match (self.queue.copying(), self.generic) {
            (Copying::None, _) => PortMode::ZeroCopy,
            (Copying::Each, false) => PortMode::Driver,
            (Copying::Each, true) => PortMode::Generic,
        }
    }

    fn counters(&self) -> PortCounters {
        self.counted + self.socket.counters()
    }

    fn forgotten_source(&mut self) -> Option<SocketAddr> {
        self.forgotten
            .pop_front()
            .or_else(|| self.socket.forgotten_source())
    }
}

/// Bytes of the headers that [`WanPort`] put in front of a datagram.
fn header_len(frame: &Frame) -> usize {
    if frame.bytes()[12..14] == ethernet::IPV4.to_be_bytes() {
        LEN_V4
    } else {
        LEN_V6
    }
}
