//! `weir-engine`: a whole shard between its two ports, with any datagrams, packets, waits and changes of configuration.
//!
//! Asserted of every history: every frame comes home; what leaves is WireGuard, its counters are used once, and what
//! Alice opens is what the host sent to her; what reaches the host is an IP packet from an address of its sender's.

use crate::input::Input;
use crate::lab::{INITIATIONS, Lab, Published, WALL_NS};
use crate::packet::{Flow, hostile};
use arc_swap::ArcSwap;
use core::time::Duration;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use weir_crypto::{Open, Plaintext, Seal, TAG_BYTES};
use weir_engine::{Command, Event, Job, Now, Outcome, Rates, Shard, ShardParts, Stamps, Wanted};
use weir_frame::{Meta, Path, Segmentation, Transport};
use weir_noise::{CookieSecret, Instant, SessionKeys};
use weir_wire::checksum::complete_partial;
use weir_wire::ip;
use weir_wire::wireguard::{Message, TRANSPORT_HEADER_LEN, TransportHeader, classify};
use zerocopy::IntoBytes;

/// Polls that may find something to do after one event.
const POLLS: usize = 64;

/// Where datagrams come from.
const SOURCES: [&str; 4] = [
    "192.0.2.1:51820",
    "192.0.2.1:1",
    "[2001:db8::1]:51820",
    "192.0.2.9:9",
];

/// A shard and the ends of everything that leads to it.
struct Gateway<'l> {
    lab: &'l mut Lab,
    shard: Shard,
    tables: Published,
    generation: usize,
    stamps: Arc<Mutex<Stamps>>,
    jobs: [Receiver<Job>; 2],
    outcomes: Sender<Outcome>,
    commands: Sender<Command>,
    _events: Receiver<Event>,
    now: Now,
    /// Alice's sessions by her index: one of her initiations may be answered anew by a gateway that forgot her.
    sessions: HashMap<u32, Vec<SessionKeys>>,
    latest: Option<SessionKeys>,
    counter: u64,
    jobs_done: u32,
    initiated: bool,
    /// Initiations that the gateway sent.
    asked: Vec<[u8; 148]>,
    /// From where to where the host sent something.
    flows: HashSet<(Option<IpAddr>, Option<IpAddr>)>,
    spent: HashSet<([u8; 32], u64)>,
}

/// Any history of one shard.
pub fn shard(data: &[u8]) {
    Lab::with(|lab| {
        let mut input = Input::new(data);
        let mut gateway = Gateway::new(lab);
        if !input.flag() {
            gateway.initiation(0, 0);
            gateway.work();
        }
        while !input.is_empty() {
            gateway.step(&mut input);
        }
        let Gateway { lab, shard, .. } = gateway;
        lab.parts = Some(shard.into_parts());
    });
}

impl<'l> Gateway<'l> {
    fn new(lab: &'l mut Lab) -> Self {
        let (links, ports) = lab.parts.take().expect("the last shard gave them back");
        let tables = Arc::new(ArcSwap::new(Arc::clone(&lab.generations[0])));
        let (stranger_jobs, strangers) = bounded(8);
        let (own_jobs, own) = bounded(8);
        let (outcomes, from_worker) = unbounded();
        let (commands, to_shard) = unbounded();
        let (events, _events) = bounded(4);
        let now = Now {
            at: Instant::BOOT + Duration::from_secs(1000),
            unix_ns: WALL_NS,
        };
        let parts = ShardParts {
            links,
            tables: Arc::clone(&tables),
            aead: weir_crypto::best(),
            ports,
            stranger_jobs,
            own_jobs,
            outcomes: from_worker,
            commands: to_shard,
            events,
            cookie_secret: CookieSecret::new([5; 32]),
            seed: [7; 32],
            burst: 32,
            queue: 4,
            rates: Rates {
                waiting: 8,
                ..Rates::default()
            },
        };
        Self {
            lab,
            shard: Shard::new(parts, now),
            tables,
            generation: 0,
            stamps: Arc::new(Mutex::new(Stamps::new(0, Box::new(|_| true)))),
            jobs: [strangers, own],
            outcomes,
            commands,
            _events,
            now,
            sessions: HashMap::new(),
            latest: None,
            counter: 0,
            jobs_done: 0,
            initiated: false,
            asked: Vec::new(),
            flows: HashSet::new(),
            spent: HashSet::new(),
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let op = input.byte();
        match op & 15 {
            0 => {
                let meta = outer(op, 0, Segmentation::None);
                self.lab.wan.deliver(input.take(usize::from(op) + 1), meta);
            }
            1 => self.typed(op, input),
            2..=4 => {
                let message = self.sealed(input);
                let class = input.byte();
                self.lab
                    .wan
                    .deliver(&message, outer(op, class, Segmentation::None));
            }
            5 => self.train(op, input),
            6 | 7 => {
                let packet = hostile(input);
                self.send_from_host(&packet, Meta::default());
            }
            8 => self.offloaded(input),
            9 => self.pass(Duration::from_millis(u64::from(input.byte()) * 40)),
            10 => self.pass(input.pick(&[5, 10, 25, 60, 120, 180, 540].map(Duration::from_secs))),
            11 => self.work(),
            12 => self.initiation(usize::from(op >> 4) % INITIATIONS, op >> 6),
            13 => self.publish(),
            14 => self.answer(op),
            _ => self.command(op),
        }
        self.settle();
    }

    /// A message of a WireGuard type for an index that may lead somewhere, and nothing right in it.
    fn typed(&mut self, op: u8, input: &mut Input<'_>) {
        let (kind, len) = input.pick(&[(1u8, 148usize), (2, 92), (3, 64), (4, 32), (4, 64)]);
        let mut message = vec![input.byte(); len];
        message[..4].copy_from_slice(&[kind, 0, 0, 0]);
        let index = self.latest.as_ref().map_or(0, |keys| keys.remote.0);
        let receiver = if kind == 2 { 8..12 } else { 4..8 };
        message[receiver].copy_from_slice(&index.to_le_bytes());
        if kind == 1 && op & 16 != 0 {
            // Bob's mac1 key is Alice's knowledge.
            let (covered, macs) = message.split_at_mut(116);
            macs[..16].copy_from_slice(&crate::ends::mac(self.lab.alice.remote.mac1_key(), covered));
        }
        self.lab.wan.deliver(&message, outer(op, 0, Segmentation::None));
    }

    /// A packet that Alice seals, perhaps with an odd counter or a changed byte.
    fn sealed(&mut self, input: &mut Input<'_>) -> Vec<u8> {
        let shape = input.byte();
        let packet = if shape & 3 == 0 {
            Vec::new()
        } else {
            hostile(input)
        };
        let Some(keys) = &self.latest else { return packet };
        let counter = match shape >> 2 & 3 {
            0 | 1 => self.counter,
            2 => self.counter.wrapping_sub(u64::from(input.byte())),
            _ => self.counter.wrapping_add(u64::from(input.u16())),
        };
        self.counter = self.counter.max(counter.saturating_add(1));
        let padded = if shape & 16 == 0 {
            packet.len().next_multiple_of(16)
        } else {
            packet.len()
        };
        let mut message = TransportHeader::new(keys.remote.0, counter).as_bytes().to_vec();
        message.resize(TRANSPORT_HEADER_LEN + padded + TAG_BYTES, 0);
        let out = &mut message[TRANSPORT_HEADER_LEN..];
        weir_crypto::best().seal(&mut [Seal {
            key: &keys.send,
            counter,
            plaintext: Plaintext::At(&packet),
            out,
        }]);
        if shape & 0xe0 == 0xe0 {
            let at = usize::from(input.byte()) % message.len();
            message[at] ^= 1;
        }
        message
    }

    /// Datagrams back to back, as GRO hands them over, cut at any size.
    fn train(&mut self, op: u8, input: &mut Input<'_>) {
        let mut bytes = Vec::new();
        for _ in 0..=op >> 6 {
            bytes.extend(self.sealed(input));
        }
        let size = match input.byte() {
            0 => bytes.len().div_ceil(usize::from(op >> 6) + 1) as u16,
            size => u16::from(size) - 1,
        };
        self.lab
            .wan
            .deliver(&bytes, outer(op, 0, Segmentation::Datagrams { size }));
    }

    /// A packet of the host as TUN hands it over with offloads, and a header that may lie.
    fn offloaded(&mut self, input: &mut Input<'_>) {
        let shape = input.byte();
        let size = input.u16();
        let transport = [Transport::TcpV4, Transport::TcpV6, Transport::Udp][usize::from(shape & 3) % 3];
        let packet = if shape & 4 == 0 {
            let flow = Flow::read(input);
            flow.packet(1, 2, 0x18, &vec![3; usize::from(input.u16()) % 8192])
        } else {
            hostile(input)
        };
        let meta = Meta {
            segmentation: if shape & 8 == 0 {
                Segmentation::Super { transport, size }
            } else {
                Segmentation::None
            },
            partial_checksum: (shape & 16 != 0).then(|| (u16::from(input.byte()), u16::from(input.byte()))),
            ..Meta::default()
        };
        self.send_from_host(&packet, meta);
    }

    fn send_from_host(&mut self, packet: &[u8], meta: Meta) {
        let mut completed = packet.to_vec();
        if let (Some((start, offset)), Segmentation::None) = (meta.partial_checksum, meta.segmentation) {
            // A checksum that the kernel says is among the addresses is written there.
            let _ = complete_partial(&mut completed, start, offset);
        }
        self.flows
            .insert((ip::source(&completed), ip::destination(&completed)));
        self.lab.host.deliver(packet, meta);
    }

    fn pass(&mut self, time: Duration) {
        self.now.at = self.now.at + time;
    }

    /// The worker does what waits.
    fn work(&mut self) {
        self.settle();
        for queue in 0..self.jobs.len() {
            while let Ok(job) = self.jobs[queue].try_recv() {
                self.jobs_done += 1;
                if let Job::Initiate { peer, index, .. } = &job {
                    // One a run: each costs as much as hundreds of other events.
                    let refused = Outcome::NotInitiated {
                        peer: peer.id,
                        index: *index,
                    };
                    if core::mem::replace(&mut self.initiated, true) {
                        self.outcomes.send(refused).expect("the shard is there");
                        continue;
                    }
                }
                let outcome = self.lab.work(&self.tables, &self.stamps, job, self.jobs_done);
                self.outcomes.send(outcome).expect("the shard is there");
            }
        }
        self.settle();
    }

    fn initiation(&mut self, nth: usize, source: u8) {
        let message = self.lab.initiations[nth].0;
        self.lab
            .wan
            .deliver(&message, outer(source << 6, 0, Segmentation::None));
    }

    fn publish(&mut self) {
        self.generation = (self.generation + 1).min(self.lab.generations.len() - 1);
        self.tables
            .store(Arc::clone(&self.lab.generations[self.generation]));
    }

    /// Alice answers the gateway's last initiation to her.
    fn answer(&mut self, op: u8) {
        let Some(message) = self.asked.pop() else { return };
        let Some((response, keys)) = self.lab.answer(&message) else {
            return;
        };
        self.lab.wan.deliver(&response, outer(op, 0, Segmentation::None));
        self.begin(keys);
    }

    fn command(&mut self, op: u8) {
        match op >> 4 & 3 {
            0 => {
                let (to, _) = unbounded();
                let peers = if op & 64 != 0 { Wanted::All } else { Wanted::None };
                let _ = self.commands.send(Command::Snapshot { peers, to });
            }
            1 => {
                let ids = self.lab.generations[0].peers.iter().map(|(id, _)| *id).collect();
                let _ = self.commands.send(Command::Initiate(ids));
            }
            _ => self.lab.wan.forget_source(address(op)),
        }
    }

    fn begin(&mut self, keys: SessionKeys) {
        self.counter = 0;
        self.sessions.entry(keys.local.0).or_default().push(keys.clone());
        self.latest = Some(keys);
    }

    /// Lets the shard do all that there is to do, and looks at what left.
    fn settle(&mut self) {
        let mut polls = 0;
        while self.shard.poll(self.now) {
            polls += 1;
            assert!(polls < POLLS, "the shard finds work without end");
        }
        assert_eq!(
            (self.lab.wan.abroad(), self.lab.host.abroad()),
            (0, 0),
            "a frame did not come home"
        );
        assert_eq!(
            (self.lab.wan.waiting(), self.lab.host.waiting()),
            (0, 0),
            "a packet was left lying"
        );
        while let Some(parcel) = self.lab.host.take() {
            let packet = ip::Packet::parse(&parcel.bytes).expect("only IP packets reach the host");
            assert_eq!(
                packet.total_length,
                parcel.bytes.len(),
                "padding reaches the host"
            );
            let tables = self.tables.load();
            let owner = tables.routes.lookup(packet.source).and_then(|id| tables.peer(id));
            let alice = *self.lab.alice.identity.public();
            let from_alice = owner.is_some_and(|owner| owner.public_key == alice);
            // What cannot be delivered is answered from where it was to go.
            let asked = self
                .flows
                .contains(&(Some(packet.destination), Some(packet.source)));
            let answer = asked && [ip::ICMP, ip::ICMPV6].contains(&packet.protocol);
            assert!(from_alice || answer, "a packet that nobody may send");
            self.lab.host.recycle(parcel);
        }
        while let Some(parcel) = self.lab.wan.take() {
            assert!(parcel.meta.path.is_some(), "a datagram to nowhere");
            self.left(&parcel.bytes);
            self.lab.wan.recycle(parcel);
        }
        let deadline = self.shard.deadline();
        assert!(
            deadline.is_none_or(|deadline| deadline > self.now.at),
            "a timer is due again at once"
        );
    }

    /// A datagram of the gateway's, as Alice sees it.
    fn left(&mut self, bytes: &[u8]) {
        match classify(bytes) {
            Message::Initiation(message) => self.asked.push(*zerocopy::transmute_ref!(message)),
            Message::Response(response) => {
                let message = bytes.try_into().expect("a response has its length");
                let keys = self.lab.finish(message, response.receiver.get());
                self.begin(keys);
            }
            Message::CookieReply(_) => {}
            Message::Transport {
                receiver,
                counter,
                ciphertext,
            } => {
                let sessions = self
                    .sessions
                    .get(&receiver)
                    .expect("a message for a session that Alice has");
                let mut out = vec![0; ciphertext.len() - TAG_BYTES];
                let opens = |keys: &&SessionKeys| {
                    let mut job = [Open {
                        key: &keys.receive,
                        counter,
                        ciphertext,
                        out: &mut out,
                        authentic: false,
                    }];
                    weir_crypto::best().open(&mut job);
                    job[0].authentic
                };
                let keys = sessions
                    .iter()
                    .find(opens)
                    .expect("a message that Alice cannot open");
                assert!(
                    self.spent.insert((keys.receive, counter)),
                    "counter {counter} was used before"
                );
                if out.is_empty() {
                    return;
                }
                let flow = (ip::source(&out), ip::destination(&out));
                assert!(self.flows.contains(&flow), "a packet that the host did not send");
                // The host may send what is no packet; as with Linux, that is for the other end to refuse.
                if let Ok(packet) = ip::Packet::parse(&out) {
                    assert!(out.len() - packet.total_length < 16);
                    assert!(out[packet.total_length..].iter().all(|byte| *byte == 0));
                }
            }
            Message::Unknown(reason) => panic!("a datagram that is none: {reason:?}"),
        }
    }
}

fn address(op: u8) -> SocketAddr {
    SOURCES[usize::from(op >> 6)].parse().expect("an address")
}

fn outer(op: u8, traffic_class: u8, segmentation: Segmentation) -> Meta {
    Meta {
        path: Some(Path::to(address(op))),
        traffic_class,
        segmentation,
        partial_checksum: None,
    }
}
