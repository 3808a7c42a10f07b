//! From the host out: packets find their peer by destination, take a counter each, and are sealed in batches.

use super::{Now, Shard};
use crate::indices::Place;
use crate::limits::{BATCH, QUEUED_BYTES};
use crate::mesh::{Handed, PeerHome};
use crate::slots::Slot;
use crate::tables::PeerId;
use arrayvec::ArrayVec;
use weir_abi::drops::Drop;
use weir_crypto::{Plaintext, Seal, TAG_BYTES};
use weir_frame::{Frame, Segmentation, Transport};
use weir_noise::Index;
use weir_wire::checksum::complete_partial;
use weir_wire::icmp::{Reason, Unreachable};
use weir_wire::segment::{Kind, Offload, Segments};
use weir_wire::wireguard::{TRANSPORT_HEADER_LEN, TransportHeader};
use weir_wire::{ecn, ip, tcp};
use zerocopy::IntoBytes;

/// A packet about to be sealed into `frame`, behind the message's header there; its plaintext is `plain` bytes.
pub(super) struct Sealing {
    frame: Frame,
    plain: usize,
    /// The place in `held` of the frame that is the plaintext; `None` where that lies in `frame` already.
    source: Option<usize>,
    counter: u64,
    /// The session, by its peer and local index. Its key stays where the session keeps and wipes it.
    place: Place,
    session: Index,
}

/// Why no packet could be made ready for sealing.
enum Unready {
    /// There is no session: the packet is to wait for one.
    NoSession,
    /// It ends here.
    Drop(Drop),
}

impl Shard {
    /// Takes one frame of the host in; its packets wait for [`Shard::seal_waiting`].
    pub(super) fn packet(&mut self, mut frame: Frame, handed: Handed, now: Now) {
        self.learn(handed);
        if let Some((start, offset)) = frame.meta_mut().partial_checksum.take()
            && frame.meta().segmentation == Segmentation::None
            && complete_partial(frame.bytes_mut(), start, offset).is_err()
        {
            self.counters.drop(Drop::NotIp);
            return self.give_back(frame);
        }
        let parsed = ip::Packet::parse(frame.bytes());
        let destination = match &parsed {
            Ok(packet) => Some(packet.destination),
            Err(_) => ip::destination(frame.bytes()),
        };
        let Some(destination) = destination else {
            self.counters.drop(Drop::NotIp);
            return self.give_back(frame);
        };
        let Some((id, known)) = self.lately.lookup(&self.tables.routes, destination) else {
            self.counters.drop(Drop::NoRoute);
            self.answer(frame.bytes(), Reason::Unreachable(Unreachable::Host), now);
            return self.give_back(frame);
        };
        let known = known.filter(|&place| self.id_at(place) == Some(id));
        let place = match known.or_else(|| self.by_id.get(&id).copied()) {
            Some(place) => place,
            None => {
                let home = self.home_of(id);
                match self.answers_for(home.slot) {
                    Some(to) => return self.hand_over_packet(to, home, frame, handed.hops),
                    None => match self.activate(id, now) {
                        Some(place) => place,
                        None => {
                            self.counters.drop(Drop::PeerRemoved);
                            return self.give_back(frame);
                        }
                    },
                }
            }
        };
        if known.is_none() {
            self.lately.settle(destination, place);
        }
        match frame.meta().segmentation {
            Segmentation::Super { transport, size } => self.super_packet(place, &frame, transport, size, now),
            Segmentation::None | Segmentation::Datagrams { .. } => {
                if let Ok(packet) = &parsed {
                    frame.set_len(packet.total_length);
                }
                let source = self.held.len();
                let ready = self.single_packet(place, frame.bytes_mut(), parsed.as_ref().ok(), now);
                if let Some(sealing) = ready {
                    sealing.source = Some(source);
                    self.held.push(frame);
                    return self.seal_if_full();
                }
            }
        }
        self.held.push(frame);
    }

    /// Where a peer is at home, as far as this shard knows.
    pub(super) fn home_of(&self, peer: PeerId) -> PeerHome {
        let (slot, moves) = match self.moved.get(&peer) {
            Some(&moved) => moved,
            None => (Slot::first_home(peer), 0),
        };
        PeerHome { peer, slot, moves }
    }

    /// Makes a packet ready for sealing, or lets it wait or end. `parsed` is what its headers say, where they make sense.
    fn single_packet(
        &mut self,
        place: Place,
        packet: &mut [u8],
        parsed: Option<&ip::Packet>,
        now: Now,
    ) -> Option<&mut Sealing> {
        if packet.len() > usize::from(self.tables.mtu) {
            self.counters.drop(Drop::TooLarge);
            let mtu = self.tables.mtu.into();
            self.answer(packet, Reason::TooBig { mtu }, now);
            return None;
        }
        if let Some(parsed) = parsed {
            tcp::clamp_mss_of(parsed, packet, self.tables.mtu);
            self.note_outbound(place, parsed, packet, now);
        }
        match self.prepare(place, packet.len(), ip_class(packet), now) {
            Ok(()) => return self.sealing.last_mut(),
            Err(Unready::NoSession) => self.wait(place, packet, now),
            Err(Unready::Drop(reason)) => self.counters.drop(reason),
        }
        None
    }

    fn super_packet(&mut self, place: Place, frame: &Frame, transport: Transport, size: u16, now: Now) {
        let kind = match transport {
            Transport::TcpV4 => Kind::TcpV4,
            Transport::TcpV6 => Kind::TcpV6,
            Transport::Udp => Kind::UdpL4,
        };
        let offload = Offload {
            kind,
            header_len: 0,
            segment_size: size,
        };
        let Ok(mut segments) = Segments::new(frame.bytes(), offload) else {
            return self.counters.drop(Drop::NotIp);
        };
        let most = segments.max_len();
        if most > usize::from(self.tables.mtu) {
            return self.counters.drop_many(Drop::TooLarge, segments.count());
        }
        if let Ok(parsed) = ip::Packet::parse(frame.bytes()) {
            self.note_outbound(place, &parsed, frame.bytes(), now);
        }
        let class = ip_class(frame.bytes());
        for _ in 0..segments.count() {
            match self.prepare(place, most, class, now) {
                Ok(()) => {
                    if !self.fill_last(|room| segments.next_into(room)) {
                        return;
                    }
                    self.seal_if_full();
                }
                Err(Unready::NoSession) => {
                    let mut packet = vec![0; most];
                    let Some(len) = segments.next_into(&mut packet) else {
                        return;
                    };
                    self.wait(place, &packet[..len], now);
                }
                Err(Unready::Drop(reason)) => {
                    // The segment is not made, so that a full port costs little.
                    self.counters.drop_many(reason, segments.count());
                    return;
                }
            }
        }
    }

    /// Writes the plaintext of what was made ready last, which may be shorter than was asked for; where there is none after
    /// all, nothing is sent.
    fn fill_last(&mut self, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> bool {
        let Some(sealing) = self.sealing.last_mut() else {
            return false;
        };
        let before = sealing.frame.len();
        let written = write(&mut sealing.frame.room_mut()[TRANSPORT_HEADER_LEN..]);
        let len = written.map_or(0, |plain| {
            sealing.plain = plain;
            TRANSPORT_HEADER_LEN + padded(plain, usize::from(self.tables.mtu)) + TAG_BYTES
        });
        sealing.frame.set_len(len);
        if let Some(peer) = &mut self.peers[sealing.place as usize] {
            peer.tx_bytes -= (before - len) as u64;
        }
        if written.is_none()
            && let Some(unsent) = self.sealing.pop()
        {
            self.give_back(unsent.frame);
        }
        written.is_some()
    }

    /// Takes a counter and a fresh frame for `plain` bytes, writes the message's header, and lets it wait with the others for
    /// its plaintext and [`Shard::seal_if_full`].
    fn prepare(&mut self, place: Place, plain: usize, class: u8, now: Now) -> Result<(), Unready> {
        let Some(peer) = &mut self.peers[place as usize] else {
            return Err(Unready::Drop(Drop::PeerRemoved));
        };
        let (Some(path), Some(keypair)) = (&peer.path, peer.keypairs.current_mut()) else {
            return Err(Unready::NoSession);
        };
        if keypair.expired(now.at) {
            return Err(Unready::NoSession);
        }
        let len = TRANSPORT_HEADER_LEN + padded(plain, usize::from(self.tables.mtu)) + TAG_BYTES;
        let fresh = self.wan.and_then(|wan| self.ports[wan].fresh(len));
        let mut frame = fresh.ok_or(Unready::Drop(Drop::NoFrame))?;
        let Ok(counter) = keypair.reserve(now.at) else {
            self.give_back(frame);
            return Err(Unready::NoSession);
        };
        let (session, remote) = (keypair.local(), keypair.remote());
        let renew = keypair.needs_rekey_on_send(now.at);
        frame.set_len(len);
        let header = TransportHeader::new(remote.0, counter);
        frame.bytes_mut()[..TRANSPORT_HEADER_LEN].copy_from_slice(header.as_bytes());
        let meta = frame.meta_mut();
        meta.path = Some(*path);
        meta.traffic_class = if plain > 0 { ecn::encapsulate(class) } else { 0 };
        peer.tx_bytes += len as u64;
        peer.timers.any_authenticated_traversal(now.at);
        peer.timers.any_authenticated_sent(now.at);
        let due = plain > 0 && peer.timers.data_sent(now.at);
        self.sealing.push(Sealing {
            frame,
            plain,
            source: None,
            counter,
            place,
            session,
        });
        if due {
            self.schedule(place);
        }
        if renew {
            self.request_handshake(place, now);
        }
        Ok(())
    }

    #[inline]
    fn seal_if_full(&mut self) {
        if self.sealing.len() == BATCH {
            self.seal_waiting();
        }
    }

    /// Seals what waits, as one batch, and sends it.
    pub(super) fn seal_waiting(&mut self) {
        if self.sealing.is_empty() {
            return;
        }
        let mut sealing = core::mem::take(&mut self.sealing);
        let lost = self.seal_batch(&mut sealing);
        self.counters.sealed += (sealing.len() - lost.len()) as u64;
        let mut lost = lost.into_iter().peekable();
        for (n, sealed) in sealing.drain(..).enumerate() {
            if lost.next_if_eq(&n).is_none() {
                self.send_datagram(sealed.frame);
            } else {
                self.counters.drop(Drop::PeerRemoved);
                self.give_back(sealed.frame);
            }
        }
        self.sealing = sealing;
    }

    /// Seals each packet; hands back, in order, those whose session ended since they were made ready.
    fn seal_batch(&self, sealing: &mut [Sealing]) -> ArrayVec<usize, BATCH> {
        let mut lost = ArrayVec::new();
        let mut jobs: ArrayVec<Seal<'_>, BATCH> = ArrayVec::new();
        for (n, sealing) in sealing.iter_mut().enumerate() {
            let peer = self.peers[sealing.place as usize].as_ref();
            let Some(keypair) = peer.and_then(|peer| peer.keypairs.find(sealing.session)) else {
                lost.push(n);
                continue;
            };
            let plaintext = match sealing.source {
                Some(held) => Plaintext::At(self.held[held].bytes()),
                None => Plaintext::InPlace(sealing.plain),
            };
            jobs.push(Seal {
                key: keypair.send_key(),
                counter: sealing.counter,
                plaintext,
                out: &mut sealing.frame.bytes_mut()[TRANSPORT_HEADER_LEN..],
            });
        }
        self.aead.seal(&mut jobs);
        lost
    }

    /// Sends an empty message, or begins a handshake where there is no session.
    pub(super) fn keepalive(&mut self, place: Place, now: Now) {
        match self.prepare(place, 0, 0, now) {
            Ok(()) => self.seal_if_full(),
            Err(Unready::NoSession) => self.request_handshake(place, now),
            Err(Unready::Drop(reason)) => self.counters.drop(reason),
        }
    }

    /// Lets a packet wait for a session, and begins the handshake.
    pub(super) fn wait(&mut self, place: Place, packet: &[u8], now: Now) {
        let Some(peer) = &mut self.peers[place as usize] else {
            return;
        };
        if peer.path.is_none() {
            self.counters.drop(Drop::NoEndpoint);
            self.live(place, now, |life, _| life.lost(now));
            return self.answer(packet, Reason::Unreachable(Unreachable::Host), now);
        }
        // Where memory is short the new packet goes: to make room for a large one might take all that wait.
        if self.queued_bytes + packet.len() > QUEUED_BYTES {
            self.counters.drop(Drop::QueueFull);
        } else {
            self.queued_bytes += packet.len();
            if let Some(old) = peer.enqueue(packet.into(), self.queue) {
                self.queued_bytes -= old.len();
                self.counters.drop(Drop::QueueFull);
            }
        }
        self.request_handshake(place, now);
    }

    /// Sends what waited for the session that there is now.
    pub(super) fn send_queued(&mut self, place: Place, now: Now) {
        let Some(peer) = &mut self.peers[place as usize] else {
            return;
        };
        let mut queue = core::mem::take(&mut peer.queue);
        for mut packet in queue.drain(..) {
            self.queued_bytes -= packet.len();
            let parsed = ip::Packet::parse(&packet).ok();
            if let Some(sealing) = self.single_packet(place, &mut packet, parsed.as_ref(), now) {
                let room = &mut sealing.frame.bytes_mut()[TRANSPORT_HEADER_LEN..];
                room[..packet.len()].copy_from_slice(&packet);
                self.seal_if_full();
            }
        }
    }

    /// Drops what waits.
    pub(super) fn drop_queued(&mut self, place: Place, reason: Drop) {
        let Some(peer) = &mut self.peers[place as usize] else {
            return;
        };
        for packet in core::mem::take(&mut peer.queue) {
            self.queued_bytes -= packet.len();
            self.counters.drop(reason);
        }
    }
}

/// The length that is sealed: a multiple of 16, but never beyond the tunnel's MTU (whitepaper 5.4.6).
fn padded(len: usize, mtu: usize) -> usize {
    len.next_multiple_of(16).min(mtu.max(len))
}

/// The traffic class or TOS byte of a packet whose version is known to be 4 or 6.
fn ip_class(packet: &[u8]) -> u8 {
    match packet {
        [first, second, ..] if first >> 4 == 6 => first << 4 | second >> 4,
        [_, tos, ..] => *tos,
        _ => 0,
    }
}
