//! Which packets of a batch are written as one.
//!
//! Flows interleave, so a number of joined packets grow at a time, one for each flow. They are written in the order in
//! which they began; a packet that its flow's growing one cannot take ends that one, so the order within a flow stays.

use super::options::TunOffloads;
use weir_frame::Frame;
use weir_wire::coalesce::{self, Append, State};
use weir_wire::ip::{self, Fragment, Version};

/// Flows that grow at a time; the oldest is ended for another.
const FLOWS_MAX: usize = 16;

/// Addresses, protocol and ports.
type Flow = [u8; 37];

/// A flow, and the group that its next packet may join.
struct Growing {
    flow: Flow,
    group: usize,
}

/// Packets that are written as one: the first, and where to find the others.
pub(super) struct Group {
    /// The first packet's place in the list of frames.
    pub head: usize,
    /// The last one's.
    tail: usize,
    /// What was joined; `None` for a packet that stays alone.
    pub state: Option<State>,
}

/// Where a packet that was joined has its payload, and which one follows it.
#[derive(Clone, Copy, Default)]
struct Link {
    payload_offset: usize,
    next: Option<usize>,
}

/// The plan for one batch. Kept between batches so that planning allocates nothing once it has grown.
#[derive(Default)]
pub(super) struct Joining {
    groups: Vec<Group>,
    links: Vec<Link>,
    growing: Vec<Growing>,
}

impl Joining {
    /// Plans for `frames`; joins what `offloads` names.
    pub fn plan(&mut self, frames: &[Frame], offloads: TunOffloads) {
        self.groups.clear();
        self.growing.clear();
        self.links.clear();
        self.links.resize(frames.len(), Link::default());
        for (index, frame) in frames.iter().enumerate() {
            self.place(index, frame.bytes(), offloads);
        }
    }

    /// The groups, in the order to write them in.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The packets behind the head of `group`: their places in the list of frames and where their payloads begin.
    pub fn behind<'a>(&'a self, group: &Group) -> impl Iterator<Item = (usize, usize)> + use<'a> {
        let mut next = self.links[group.head].next;
        std::iter::from_fn(move || {
            let index = next?;
            next = self.links[index].next;
            Some((index, self.links[index].payload_offset))
        })
    }

    fn place(&mut self, index: usize, packet: &[u8], offloads: TunOffloads) {
        let Some(flow) = flow_of(packet, offloads) else {
            self.begin(index, None);
            return;
        };
        if let Some(at) = self.growing.iter().position(|growing| growing.flow == flow) {
            if self.append(self.growing[at].group, index, packet) {
                return;
            }
            self.growing.remove(at);
        }
        let state = coalesce::start(packet);
        let grows = state.is_some();
        let group = self.begin(index, state);
        if grows {
            if self.growing.len() == FLOWS_MAX {
                self.growing.remove(0);
            }
            self.growing.push(Growing { flow, group });
        }
    }

    fn begin(&mut self, index: usize, state: Option<State>) -> usize {
        self.groups.push(Group {
            head: index,
            tail: index,
            state,
        });
        self.groups.len() - 1
    }

    fn append(&mut self, group: usize, index: usize, packet: &[u8]) -> bool {
        let group = &mut self.groups[group];
        let Some(state) = &mut group.state else {
            return false;
        };
        match state.append(packet) {
            Append::Yes { payload_offset } => {
                self.links[group.tail].next = Some(index);
                self.links[index].payload_offset = payload_offset;
                group.tail = index;
                true
            }
            Append::No => false,
        }
    }
}

/// The flow of a whole TCP or UDP packet; `None` for what is written alone anyway.
fn flow_of(packet: &[u8], offloads: TunOffloads) -> Option<Flow> {
    let parsed = ip::Packet::parse(packet).ok()?;
    let joinable = offloads.tcp && parsed.protocol == ip::TCP || offloads.udp && parsed.protocol == ip::UDP;
    if !joinable || parsed.fragment != Fragment::Whole {
        return None;
    }
    let ports = packet.get(parsed.l4_offset..parsed.l4_offset + 4)?;
    let addresses = match parsed.version {
        Version::V4 => packet.get(12..20)?,
        Version::V6 => packet.get(8..40)?,
    };
    let mut flow = [0; 37];
    flow[0] = parsed.protocol;
    flow[1..5].copy_from_slice(ports);
    flow[5..5 + addresses.len()].copy_from_slice(addresses);
    Some(flow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_frame::{FramePool, Home, PoolSize};
    use weir_wire::ipv4;

    const BOTH: TunOffloads = TunOffloads { tcp: true, udp: true };

    /// UDP over IPv4 from `port`, the `id`-th of its flow, with DF as kernels send it.
    fn datagram(port: u16, id: u16, payload_len: u16) -> Vec<u8> {
        let mut packet = vec![0; 28 + usize::from(payload_len)];
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&(28 + payload_len).to_be_bytes());
        packet[4..6].copy_from_slice(&id.to_be_bytes());
        packet[6..10].copy_from_slice(&[0x40, 0, 64, ip::UDP]);
        packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        packet[20..22].copy_from_slice(&port.to_be_bytes());
        packet[24..26].copy_from_slice(&(8 + payload_len).to_be_bytes());
        ipv4::write_header_checksum(&mut packet);
        let parsed = ip::Packet::parse(&packet).expect("a packet");
        let pseudo = parsed.pseudo_header(8 + usize::from(payload_len)).fold();
        packet[26..28].copy_from_slice(&pseudo.to_be_bytes());
        weir_wire::checksum::complete_partial(&mut packet, 20, 6).expect("a checksum");
        packet
    }

    fn plan(packets: &[Vec<u8>], offloads: TunOffloads) -> Vec<Vec<usize>> {
        let mut pool = FramePool::new(Home { shard: 0, port: 0 }, PoolSize::default());
        let mut frames = Vec::new();
        for packet in packets {
            let mut frame = pool.take(packet.len()).expect("a frame");
            assert!(frame.write(packet));
            frames.push(frame);
        }
        let mut joining = Joining::default();
        joining.plan(&frames, offloads);
        let groups = joining.groups().iter();
        groups
            .map(|group| {
                let behind = joining.behind(group).map(|(index, payload_offset)| {
                    assert_eq!(payload_offset, 28);
                    index
                });
                std::iter::once(group.head).chain(behind).collect()
            })
            .collect()
    }

    // Catches flows that cannot grow side by side, and packets lost or doubled between them.
    #[test]
    fn interleaved_flows_are_joined_each_for_itself() {
        let packets: Vec<_> = (0..9).map(|i| datagram(1000 + i % 3, i / 3, 100)).collect();
        assert_eq!(plan(&packets, BOTH), [[0, 3, 6], [1, 4, 7], [2, 5, 8]]);
        let alone: Vec<Vec<usize>> = (0..9).map(|index| vec![index]).collect();
        let tcp = TunOffloads {
            tcp: true,
            udp: false,
        };
        assert_eq!(plan(&packets, tcp), alone);
    }

    // Catches a flow's packet that overtakes another: behind one that could not join, a group may not grow.
    #[test]
    fn order_within_a_flow_stays() {
        let lens = [100, 100, 200, 100, 100];
        let packets: Vec<_> = (0..).zip(lens).map(|(i, len)| datagram(1000, i, len)).collect();
        assert_eq!(plan(&packets, BOTH), [vec![0, 1], vec![2, 3], vec![4]]);
    }

    // Catches a table of flows that grows with the traffic.
    #[test]
    fn flows_are_bounded() {
        let count = FLOWS_MAX as u16 + 1;
        let packets: Vec<_> = (0..2 * count)
            .map(|i| datagram(i % count, i / count, 100))
            .collect();
        let groups = plan(&packets, BOTH);
        // The first flow gave way to the last and begins anew, at the cost of the second, and so on.
        assert_eq!(groups.len(), packets.len());
        let fewer: Vec<_> = (0..2 * (count - 1))
            .map(|i| datagram(i % (count - 1), i / (count - 1), 100))
            .collect();
        assert_eq!(plan(&fewer, BOTH).len(), FLOWS_MAX);
    }
}
