//! A shard's share of a LAN device, as a router's: inner packets by AF_XDP where that can be, and by the TUN device of the
//! same shard where the kernel has to do it.
//!
//! What arrives by the queue is for a peer, as the XDP program decided. Its hop limit falls, and one that is too long for
//! the tunnel is answered here, from this host's address on the way to the sender. What leaves goes by the queue where the
//! next hop is known and the kernel has nothing to say about it: no address of this host's, no options, no hop limit that
//! ends, nothing too long for the link. All else goes by TUN, as a copy, and the kernel delivers, fragments or answers it.

use crate::limit::ErrorLimit;
use crate::seat::Seat;
use crate::site::{Hop, Site};
use crate::ways::Ways;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use weir_frame::{Frame, FramePool, Home, Port, PortCounters, PortMode, PortRole, Segmentation};
use weir_wire::arrival::{Arrival, arrival};
use weir_wire::ethernet::{self, HEADER_LEN};
use weir_wire::forward::{decrement_hop_limit, onward};
use weir_wire::icmp::{self, Reason};

/// Bytes of the shortest Ethernet frame without its check sequence (IEEE 802.3, clause 4.4.2): not every driver fills up
/// what an AF_XDP socket sends.
const SHORTEST: usize = 60;

/// The port.
pub struct LanPort<S> {
    ways: Ways,
    site: S,
    errors: ErrorLimit,
    arrived: Vec<Frame>,
}

/// What the port is made of.
pub struct LanParts<S> {
    /// The device's queue.
    pub queue: Seat,
    /// The TUN device's port, of the same home.
    pub tun: Box<dyn Port>,
    /// What is known of the device, as the XDP program was told, and of the ways out by it.
    pub site: S,
}

/// Why a frame of the queue goes no further.
enum Refusal {
    /// The twin of the XDP program would not have taken it, or its header checksum is wrong (RFC 1812, section 5.2.2).
    Malformed,
    /// It claims to come from this host.
    Martian,
    /// It is longer than the tunnel's MTU.
    TooBig {
        /// Who sent it.
        sender: IpAddr,
    },
}

impl<S: Site> LanPort<S> {
    /// A port that is ready.
    ///
    /// # Panics
    /// If queue and TUN port are of two homes.
    pub fn new(parts: LanParts<S>) -> Self {
        Self {
            ways: Ways::new(parts.queue, parts.tun),
            site: parts.site,
            errors: ErrorLimit::new(),
            arrived: Vec::with_capacity(256),
        }
    }

    /// The queue, for what it counts.
    pub fn queue(&self) -> &Seat {
        self.ways.queue()
    }

    /// Counts what goes no further, and tells its sender where that is due.
    #[cold]
    fn refuse(&mut self, frame: Frame, refusal: Refusal) {
        match refusal {
            Refusal::Malformed => self.ways.counted.rx_malformed += 1,
            Refusal::Martian => self.ways.counted.rx_martian += 1,
            Refusal::TooBig { sender } => {
                self.ways.counted.rx_too_big += 1;
                self.answer(&frame, sender);
            }
        }
        self.ways.give_back(frame);
    }

    /// Tells the sender of a packet the tunnel's MTU: "fragmentation needed" whether it may be fragmented or not, since
    /// nothing is fragmented inside (RFC 1191), or Packet Too Big (RFC 4443). A sender whose next hop is not known is told
    /// when it tries again.
    fn answer(&mut self, offending: &Frame, sender: IpAddr) {
        let Some(hop) = self.site.hop(sender) else { return };
        if !self.errors.take() {
            return;
        }
        let most = match sender {
            IpAddr::V4(_) => icmp::MAX_LEN_V4,
            IpAddr::V6(_) => icmp::MAX_LEN_V6,
        };
        let Some(mut error) = self.ways.fresh_fast(most) else {
            return;
        };
        let mtu = u32::try_from(self.site.tunnel_mtu()).unwrap_or(u32::MAX);
        let reason = Reason::TooBig { mtu };
        match icmp::write_error(offending.bytes(), hop.source, reason, error.room_mut()) {
            Some(len) if len <= hop.mtu => {
                error.set_len(len);
                self.by_queue(error, hop);
            }
            Some(_) | None => self.ways.give_back(error),
        }
    }

    /// The next hop of a packet to send, if it goes by the queue.
    #[inline]
    fn hop(&self, frame: &Frame) -> Option<Hop> {
        let whole =
            frame.meta().segmentation == Segmentation::None && frame.meta().partial_checksum.is_none();
        if !whole || !self.ways.has_queue() {
            return None;
        }
        let packet = onward(frame.bytes())?;
        // The kernel drops what comes from an address of its own, and keeps what is for one.
        if packet.len != frame.len()
            || self.site.is_own(packet.source)
            || self.site.is_own(packet.destination)
        {
            return None;
        }
        let hop = self.site.hop(packet.destination)?;
        (packet.len <= hop.mtu).then_some(hop)
    }

    /// Puts the Ethernet header in front of a packet in a frame of the queue's, and that on its way.
    #[inline]
    fn by_queue(&mut self, mut frame: Frame, hop: Hop) {
        let len = frame.len();
        let ethertype = if frame.bytes()[0] >> 4 == 4 {
            ethernet::IPV4
        } else {
            ethernet::IPV6
        };
        frame.push_front(HEADER_LEN);
        let written = ethernet::write(frame.bytes_mut(), hop.macs, ethertype);
        debug_assert!(written, "there is room for the header that was pushed");
        if frame.len() < SHORTEST {
            let end = frame.len();
            frame.set_len(SHORTEST);
            // What the frame held before is nobody's to read.
            frame.bytes_mut()[end..].fill(0);
        }
        self.ways.by_queue(frame, len);
    }
}

impl<S: Site> Port for LanPort<S> {
    fn receive(&mut self, out: &mut Vec<Frame>, limit: usize) -> usize {
        self.site.refresh();
        self.ways.refresh();
        self.errors.begin();
        let mut count = self.ways.receive_ordinary_in_turn(out, limit);
        let mut arrived = core::mem::take(&mut self.arrived);
        self.ways.receive(&mut arrived, limit - count);
        for mut frame in arrived.drain(..) {
            match admit(&mut frame, &self.site) {
                Ok(()) => {
                    self.ways.counted.rx_frames += 1;
                    self.ways.counted.rx_bytes += frame.len() as u64;
                    count += 1;
                    out.push(frame);
                }
                Err(refusal) => self.refuse(frame, refusal),
            }
        }
        self.arrived = arrived;
        self.ways.send_waiting();
        count + self.ways.receive_ordinary(out, limit - count)
    }

    fn transmit(&mut self, frames: &mut Vec<Frame>) {
        self.site.refresh();
        self.ways.refresh();
        for frame in frames.drain(..) {
            let Some(hop) = self.hop(&frame) else {
                self.ways.by_ordinary(frame);
                continue;
            };
            match self.ways.in_queue_memory(frame, HEADER_LEN) {
                Ok(mut frame) => {
                    let fell = decrement_hop_limit(frame.bytes_mut());
                    debug_assert!(fell, "a hop is known only of packets with hops left");
                    self.by_queue(frame, hop);
                }
                Err(frame) => self.ways.by_ordinary(frame),
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
        PortRole::Host
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
        self.ways.forgotten_source()
    }
}

/// Makes a received frame the packet that goes on.
#[inline]
fn admit(frame: &mut Frame, site: &impl Site) -> Result<(), Refusal> {
    let Arrival::Lan { len } = arrival(frame.bytes(), site) else {
        return Err(Refusal::Malformed);
    };
    frame.trim_front(HEADER_LEN);
    frame.set_len(len);
    let packet = onward(frame.bytes()).ok_or(Refusal::Malformed)?;
    if site.is_own(packet.source) {
        return Err(Refusal::Martian);
    }
    if len > site.tunnel_mtu() {
        let sender = packet.source;
        return Err(Refusal::TooBig { sender });
    }
    if decrement_hop_limit(frame.bytes_mut()) {
        Ok(())
    } else {
        Err(Refusal::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_wire::arrival::Device;
    use weir_wire::checksum::Sum;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

    struct Place;

    impl Device for Place {
        fn mac(&self) -> [u8; 6] {
            MAC
        }
        fn is_wan(&self) -> bool {
            true
        }
        fn is_lan(&self) -> bool {
            true
        }
        fn is_port(&self, _port: u16) -> bool {
            true
        }
        fn is_own(&self, address: IpAddr) -> bool {
            address == IpAddr::from([192, 0, 2, 1])
        }
        fn is_behind_peer(&self, _address: IpAddr) -> bool {
            true
        }
    }

    impl Site for Place {
        fn refresh(&mut self) {}
        fn hop(&self, _destination: IpAddr) -> Option<Hop> {
            None
        }
        fn interface(&self) -> u32 {
            2
        }
        fn port(&self) -> u16 {
            51820
        }
        fn tunnel_mtu(&self) -> usize {
            1420
        }
    }

    /// A frame for the device that carries a packet of `len` bytes.
    fn frame(version: u8, len: usize) -> Vec<u8> {
        let mut frame = [&MAC[..], &[2, 0, 0, 0, 0, 1, 8, 0]].concat();
        frame.resize(HEADER_LEN + len, 0x21);
        if version == 6 {
            frame[12..14].copy_from_slice(&[0x86, 0xdd]);
            frame[14..22].copy_from_slice(&[
                0x60,
                0,
                0,
                0,
                ((len - 40) >> 8) as u8,
                (len - 40) as u8,
                17,
                64,
            ]);
        } else {
            frame[14..26].copy_from_slice(&[0x45, 0, (len >> 8) as u8, len as u8, 0, 0, 0, 0, 64, 17, 0, 0]);
            let checksum = Sum::of(&frame[14..34]).finish();
            frame[24..26].copy_from_slice(&checksum.to_be_bytes());
        }
        frame
    }

    fn received(buffer: &'static mut [u8], bytes: &[u8]) -> Frame {
        let home = Home { shard: 0, port: 0 };
        let mut frame = Frame::new(buffer, 256, home);
        assert!(frame.write(bytes));
        frame
    }

    /// Catches a frame that ends the port, and a packet admitted that is longer than the tunnel's MTU or than its frame:
    /// each byte of the headers in turn set to each value, each frame cut anywhere.
    #[test]
    fn any_frame_is_admitted_or_refused() {
        let mut space = received(Box::leak(vec![0; 2048].into_boxed_slice()), &[]);
        let (mut admitted, mut refused) = (0, 0);
        let mut look = |bytes: &[u8]| {
            space.reset(256);
            assert!(space.write(bytes));
            match admit(&mut space, &Place) {
                Ok(()) => {
                    admitted += 1;
                    assert!(space.len() <= bytes.len() - HEADER_LEN && space.len() <= 1420);
                }
                Err(_) => refused += 1,
            }
        };
        for (version, len) in [(4, 20), (4, 1420), (4, 1421), (6, 40), (6, 1420), (6, 1421)] {
            let whole = frame(version, len);
            for at in 0..HEADER_LEN + 48.min(len) {
                for value in 0..=u8::MAX {
                    let mut changed = whole.clone();
                    changed[at] = value;
                    look(&changed);
                }
            }
            (0..=whole.len()).for_each(|len| look(&whole[..len]));
        }
        assert!(
            admitted > 1000 && refused > 1000,
            "{admitted} admitted, {refused} refused"
        );
    }

    /// Catches a reason taken for another: each has a counter of its own.
    #[test]
    fn what_is_refused_has_its_reason() {
        let buffer = || Box::leak(vec![0; 2048].into_boxed_slice());
        let refusal = |bytes: &[u8]| admit(&mut received(buffer(), bytes), &Place).err();
        for version in [4, 6] {
            assert!(refusal(&frame(version, 1420)).is_none());
            let long = refusal(&frame(version, 1421));
            assert!(matches!(long, Some(Refusal::TooBig { sender }) if sender.is_ipv4() == (version == 4)));
        }
        let mut own = frame(4, 60);
        own[24..30].copy_from_slice(&[0, 0, 192, 0, 2, 1]);
        let checksum = Sum::of(&own[14..34]).finish();
        own[24..26].copy_from_slice(&checksum.to_be_bytes());
        assert!(matches!(refusal(&own), Some(Refusal::Martian)));
        own[24] ^= 1;
        assert!(matches!(refusal(&own), Some(Refusal::Malformed)));
    }
}
