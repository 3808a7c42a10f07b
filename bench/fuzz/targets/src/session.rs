//! `weir-noise`: the handshake as a state machine. Two real peers, and between them whoever can keep, drop, repeat,
//! reorder and change everything.
//!
//! Asserted of every history: both ends of a session have the same keys; no counter is used twice under a key; no
//! message is taken twice, nor one that nobody sent; timestamps taken only grow; keypairs rotate as the model says; and
//! once the network behaves again, the two can talk.

use crate::ends::repair_mac1;
use crate::input::Input;
use crate::pure::{Initiated, Initiation, Pure};
use crate::rotation::Rotation;
use core::time::Duration;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use weir_crypto::{Open, Plaintext, Seal, TAG_BYTES};
use weir_noise::limits::REJECT_AFTER_TIME;
use weir_noise::message::{INITIATION_LEN, MAC_LEN, RESPONSE_LEN};
use weir_noise::{InitiationGate, Instant, Keypair, Keypairs, Tai64n, TimestampSource, mac1_valid};
use weir_wire::wireguard::{Message, TRANSPORT_HEADER_LEN, TransportHeader, classify};
use zerocopy::IntoBytes;

/// Messages that the network remembers.
const REMEMBERED: usize = 64;

/// The wall clock at the start, in ns since the Unix epoch.
const WALL_NS: u64 = 1_790_000_000_000_000_000;
/// What the wall clock may be set to, in ns from there.
const SET_BY_NS: [i64; 4] = [0, -86_400_000_000_000, 86_400_000_000_000, 1_000_000];

/// What one end keeps.
struct Peer {
    side: usize,
    keypairs: Keypairs,
    rotation: Rotation,
    gate: InitiationGate,
    stamps: TimestampSource,
    on_disk_ns: u64,
    waiting: Option<(Initiation, Rc<Initiated>)>,
    /// Initiations made, by their timestamps.
    made: HashMap<Tai64n, u32>,
    greatest: Tai64n,
}

/// A message somewhere in the network.
#[derive(Clone)]
struct Datagram {
    to: usize,
    bytes: Vec<u8>,
}

/// The world.
struct World<'p> {
    pure: &'p mut Pure,
    peers: [Peer; 2],
    now: Instant,
    wall_ns: u64,
    flying: Vec<Datagram>,
    remembered: Vec<Datagram>,
    /// Everything that an end sent, without macs and without the index that no secret protects.
    genuine: HashSet<(usize, Vec<u8>)>,
    /// The sending keys of responders by the response's ephemeral part, for the initiator to agree with.
    agreed: HashMap<Vec<u8>, ([u8; 32], [u8; 32])>,
    spent: HashSet<([u8; 32], u64)>,
    taken: HashSet<([u8; 32], u64)>,
}

/// Any history of two peers.
pub fn handshake(data: &[u8]) {
    thread_local! {
        static PURE: RefCell<Pure> = RefCell::new(Pure::new());
    }
    PURE.with_borrow_mut(|pure| {
        let mut input = Input::new(data);
        let mut world = World::new(pure);
        while !input.is_empty() {
            world.step(&mut input);
            world.check();
        }
        world.must_talk();
    });
}

impl Peer {
    fn new(side: usize) -> Self {
        Self {
            side,
            keypairs: Keypairs::default(),
            rotation: Rotation::default(),
            gate: InitiationGate::new(Tai64n::ZERO),
            stamps: TimestampSource::new(0),
            on_disk_ns: 0,
            waiting: None,
            made: HashMap::new(),
            greatest: Tai64n::ZERO,
        }
    }

    fn timestamp(&mut self, wall_ns: u64) -> Tai64n {
        if let Some(ceiling_ns) = self.stamps.ceiling_due(wall_ns, 1_000_000_000) {
            self.on_disk_ns = ceiling_ns;
            self.stamps.raise_ceiling(ceiling_ns);
        }
        self.stamps.next(wall_ns).expect("the ceiling was raised")
    }

    /// Ends and begins again with what is on disk.
    fn restart(&mut self) {
        let _ = self.keypairs.clear();
        self.rotation = Rotation::default();
        self.gate = InitiationGate::new(self.gate.greatest());
        self.stamps = TimestampSource::new(self.on_disk_ns);
        self.waiting = None;
    }
}

impl<'p> World<'p> {
    fn new(pure: &'p mut Pure) -> Self {
        Self {
            pure,
            peers: [Peer::new(0), Peer::new(1)],
            now: Instant::BOOT + Duration::from_secs(1000),
            wall_ns: WALL_NS,
            flying: Vec::new(),
            remembered: Vec::new(),
            genuine: HashSet::new(),
            agreed: HashMap::new(),
            spent: HashSet::new(),
            taken: HashSet::new(),
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let op = input.byte();
        let side = usize::from(op >> 7);
        match op & 15 {
            0 | 1 => self.initiate(side),
            2..=4 => self.deliver(input.byte(), true),
            5 => self.deliver(input.byte(), false),
            6 => self.lose(input.byte()),
            7 => self.repeat(input.byte()),
            8 => self.change(input),
            9 | 10 => {
                self.send(side, &[op; 32][..usize::from(op >> 4 & 7) * 4]);
            }
            11 => self.pass(Duration::from_millis(1 << input.below(18))),
            12 => self.pass(input.pick(&[5, 25, 60, 120, 165, 180].map(Duration::from_secs))),
            13 => self.wall_ns = WALL_NS.saturating_add_signed(input.pick(&SET_BY_NS)),
            14 => {
                let peer = &mut self.peers[side];
                let retired = peer.keypairs.expire(self.now);
                peer.rotation.expire(self.now, retired);
            }
            _ => self.peers[side].restart(),
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// Sends something that only this end could make.
    fn emit(&mut self, side: usize, bytes: &[u8]) {
        let covered = match bytes.len() {
            INITIATION_LEN | RESPONSE_LEN if bytes[0] < 3 => bytes.len() - 2 * MAC_LEN,
            _ => bytes.len(),
        };
        self.genuine.insert((side, without_index(&bytes[..covered])));
        let datagram = Datagram {
            to: 1 - side,
            bytes: bytes.to_vec(),
        };
        if self.remembered.len() < REMEMBERED {
            self.remembered.push(datagram.clone());
        }
        self.flying.push(datagram);
    }

    fn initiate(&mut self, side: usize) {
        let peer = &mut self.peers[side];
        let timestamp = peer.timestamp(self.wall_ns);
        let nth = peer.made.len() as u32;
        let before = peer.made.insert(timestamp, nth);
        assert!(before.is_none(), "a timestamp was given twice");
        let (what, made) = self.pure.initiate(side, nth, timestamp);
        peer.waiting = Some((what, Rc::clone(&made)));
        self.emit(side, &made.message);
    }

    fn deliver(&mut self, which: u8, first: bool) {
        if !self.flying.is_empty() {
            let place = if first {
                0
            } else {
                usize::from(which) % self.flying.len()
            };
            let datagram = self.flying.remove(place);
            self.receive(&datagram);
        }
    }

    fn lose(&mut self, which: u8) {
        if !self.flying.is_empty() {
            self.flying.remove(usize::from(which) % self.flying.len());
        }
    }

    fn repeat(&mut self, which: u8) {
        if !self.remembered.is_empty() {
            let datagram = self.remembered[usize::from(which) % self.remembered.len()].clone();
            self.receive(&datagram);
        }
    }

    /// Changes a message that was sent, repairs what needs no secret, and delivers it, perhaps to its own sender.
    fn change(&mut self, input: &mut Input<'_>) {
        if self.remembered.is_empty() {
            return;
        }
        let which = usize::from(input.byte()) % self.remembered.len();
        let mut datagram = self.remembered[which].clone();
        let (at, flip, how) = (input.byte(), input.byte(), input.byte());
        let at = usize::from(at) % datagram.bytes.len();
        datagram.bytes[at] ^= flip;
        if how & 1 != 0 {
            datagram.to = 1 - datagram.to;
        }
        if how & 2 != 0 && [INITIATION_LEN, RESPONSE_LEN].contains(&datagram.bytes.len()) {
            repair_mac1(&self.pure.ends[datagram.to].identity, &mut datagram.bytes);
        }
        self.receive(&datagram);
    }

    fn receive(&mut self, datagram: &Datagram) {
        let side = datagram.to;
        let bytes = &datagram.bytes[..];
        match classify(bytes) {
            Message::Initiation(_) | Message::Response(_)
                if !mac1_valid(&self.pure.ends[side].identity, bytes) => {}
            Message::Initiation(message) => {
                let message = message
                    .as_bytes()
                    .try_into()
                    .expect("an initiation has its length");
                self.initiation(side, message);
            }
            Message::Response(message) => {
                let message = message.as_bytes().try_into().expect("a response has its length");
                self.response(side, message);
            }
            Message::Transport {
                receiver,
                counter,
                ciphertext,
            } => {
                self.transport(side, weir_noise::Index(receiver), counter, ciphertext, bytes);
            }
            Message::CookieReply(_) | Message::Unknown(_) => {}
        }
    }

    fn initiation(&mut self, side: usize, message: &[u8; INITIATION_LEN]) {
        let Some(authentic) = self.pure.open(side, message) else {
            return;
        };
        self.must_be_genuine(side, message, INITIATION_LEN - 2 * MAC_LEN);
        let peer = &mut self.peers[side];
        if peer.gate.take(authentic.timestamp, self.now).is_err() {
            return;
        }
        assert!(authentic.timestamp > peer.greatest, "an old timestamp was taken");
        peer.greatest = authentic.timestamp;
        let nth = self.peers[1 - side].made[&authentic.timestamp];
        let peer = &mut self.peers[side];
        let responded = self.pure.respond(side, message, &authentic, nth);
        let keys = &responded.keys;
        self.agreed
            .insert(responded.message[8..60].to_vec(), (keys.send, keys.receive));
        let retired = peer
            .keypairs
            .install(Box::new(Keypair::new(keys.clone(), self.now)));
        peer.rotation.install(keys, self.now, retired);
        self.emit(side, &responded.message);
    }

    fn response(&mut self, side: usize, message: &[u8; RESPONSE_LEN]) {
        let peer = &mut self.peers[side];
        let Some((what, initiated)) = peer.waiting.clone() else {
            return;
        };
        let Some(keys) = self.pure.finish(what, &initiated, message) else {
            return;
        };
        peer.waiting = None;
        let theirs = self
            .agreed
            .get(&message[8..60])
            .expect("only what a responder sent is taken");
        assert!(
            (keys.send, keys.receive) == (theirs.1, theirs.0),
            "the ends have different keys"
        );
        let retired = peer
            .keypairs
            .install(Box::new(Keypair::new((*keys).clone(), self.now)));
        peer.rotation.install(&keys, self.now, retired);
        self.must_be_genuine(side, message, RESPONSE_LEN - 2 * MAC_LEN);
    }

    /// Whether the other end sent this.
    fn must_be_genuine(&self, side: usize, message: &[u8], covered: usize) {
        let sent = self
            .genuine
            .contains(&(1 - side, without_index(&message[..covered])));
        assert!(sent, "a handshake message was taken that nobody sent");
    }

    /// Seals a text under the current keypair; says whether there was one that seals.
    fn send(&mut self, side: usize, text: &[u8]) -> bool {
        let Some(keypair) = self.peers[side].keypairs.current_mut() else {
            return false;
        };
        let Ok(counter) = keypair.reserve(self.now) else {
            assert!(keypair.expired(self.now), "a young keypair refuses");
            return false;
        };
        assert!(self.now.since(keypair.created()) < REJECT_AFTER_TIME);
        let key = *keypair.send_key();
        assert!(
            self.spent.insert((key, counter)),
            "counter {counter} was used before"
        );
        let mut message = TransportHeader::new(keypair.remote().0, counter)
            .as_bytes()
            .to_vec();
        message.resize(TRANSPORT_HEADER_LEN + text.len() + TAG_BYTES, 0);
        let out = &mut message[TRANSPORT_HEADER_LEN..];
        weir_crypto::best().seal(&mut [Seal {
            key: &key,
            counter,
            plaintext: Plaintext::At(text),
            out,
        }]);
        self.emit(side, &message);
        true
    }

    fn transport(
        &mut self,
        side: usize,
        index: weir_noise::Index,
        counter: u64,
        ciphertext: &[u8],
        bytes: &[u8],
    ) {
        let peer = &mut self.peers[side];
        let Some((_, keypair)) = peer.keypairs.by_local(index) else {
            return;
        };
        if !keypair.may_receive(self.now) || !keypair.replay.check(counter) {
            return;
        }
        let key = *keypair.receive_key();
        let mut out = vec![0; ciphertext.len() - TAG_BYTES];
        let mut job = [Open {
            key: &key,
            counter,
            ciphertext,
            out: &mut out,
            authentic: false,
        }];
        weir_crypto::best().open(&mut job);
        if !job[0].authentic {
            return;
        }
        assert!(
            keypair.replay.accept(counter),
            "what was checked a moment ago is refused"
        );
        assert!(
            self.taken.insert((key, counter)),
            "counter {counter} was taken twice"
        );
        let sent = self.genuine.contains(&(1 - side, without_index(bytes)));
        assert!(sent, "a message was taken that nobody sent");
        let confirmed = peer.keypairs.confirm(index);
        peer.rotation.confirm(index, confirmed);
        debug_assert_eq!(peer.side, side);
    }

    fn check(&mut self) {
        for peer in &mut self.peers {
            peer.rotation.check(&mut peer.keypairs);
        }
    }

    /// The network behaves again: whatever happened before, a handshake completes and data passes both ways.
    fn must_talk(&mut self) {
        self.flying.clear();
        self.pass(Duration::from_secs(5));
        self.initiate(0);
        self.deliver(0, true);
        assert_eq!(self.flying.len(), 1, "the initiation found no answer");
        self.deliver(0, true);
        for side in [0, 1] {
            let before = self.taken.len();
            assert!(self.send(side, b"hello"), "no session seals after a handshake");
            self.deliver(0, true);
            assert_eq!(self.taken.len(), before + 1, "data does not arrive");
            self.check();
        }
    }
}

/// A message without its first index, which no secret protects: who changes it leads the message astray, and whoever
/// leads it back delivers what was sent.
fn without_index(message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    message[4..8].fill(0);
    message
}
