//! The rings between shards: handoff of frames and peers, and the way home for frames.
//!
//! Each ordered pair of shards has one single-producer ring for messages and one for returning frames. The latter
//! holds every frame the home owns, so a return cannot fail. A shard that sleeps is woken once a batch by its alarm.

use crate::indices::IndexUse;
use crate::limits::{EARLY_RING, FRAMES_PER_SHARD, HANDOFF_RING};
use crate::peer::Peer;
use crate::slots::{Shard, Slot};
use crate::tables::PeerId;
use crate::worker::Outcome;
use core::sync::atomic::{AtomicBool, Ordering};
use rtrb::{Consumer, Producer, PushError, RingBuffer};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use weir_frame::Frame;
use weir_noise::Index;

/// What one shard tells another.
pub enum Message {
    /// A received datagram, or several of one peer, for a session at home there.
    Datagram(Frame, Handed),
    /// An inner packet for a peer at home there.
    Packet(Frame, Handed),
    /// A peer whose home is there from now on.
    Adopt(Box<Peer>),
    /// A peer moved.
    Moved(PeerHome),
    /// What an index is in use for whose slot is the receiver's from now on.
    Index(Index, IndexUse),
    /// An index that was set aside is not needed.
    Release(Index),
    /// Every peer of the slots that the sender lost with this generation of the slot table is on its way.
    SlotsDone(u64),
    /// What the worker made of a job for a peer at home there.
    Outcome(Box<Outcome>, Handed),
}

/// What goes with a frame from shard to shard.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Handed {
    /// How often it was handed on.
    pub hops: u8,
    /// Whom it is for, where the sender knew: the receiver may be waiting for that peer to arrive.
    pub home: Option<PeerHome>,
}

/// Where a peer is at home, as some shard knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeerHome {
    /// The peer.
    pub peer: PeerId,
    /// Its home.
    pub slot: Slot,
    /// How often it had moved by then.
    pub moves: u32,
}

impl Message {
    fn may_be_dropped(&self) -> bool {
        matches!(self, Message::Datagram(..) | Message::Packet(..))
    }
}

/// Wakes a shard that sleeps.
#[derive(Default)]
pub struct Alarm {
    asleep: AtomicBool,
    wake: Mutex<Option<Box<dyn Fn() + Send>>>,
}

impl Alarm {
    /// Sets what wakes the shard's thread, such as a write to an eventfd.
    pub fn set_wake(&self, wake: Box<dyn Fn() + Send>) {
        *self.wake.lock().unwrap_or_else(PoisonError::into_inner) = Some(wake);
    }

    /// Wakes the shard if it sleeps.
    pub fn ring(&self) {
        // Pairs with the fence of `fall_asleep`: either this sees the sleeper, or the sleeper sees the message.
        core::sync::atomic::fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed)
            && self.asleep.swap(false, Ordering::AcqRel)
            && let Some(wake) = &*self.wake.lock().unwrap_or_else(PoisonError::into_inner)
        {
            wake();
        }
    }

    /// Says that the shard is about to sleep; it must look at its rings once more before it does.
    pub fn fall_asleep(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        core::sync::atomic::fence(Ordering::SeqCst);
    }

    /// Says that the shard is awake.
    pub fn awake(&self) {
        self.asleep.store(false, Ordering::Relaxed);
    }
}

/// One shard's ends of all rings.
pub struct Links {
    shard: Shard,
    to: Vec<Producer<Message>>,
    from: Vec<Consumer<Message>>,
    home_to: Vec<Producer<Frame>>,
    home_from: Vec<Consumer<Frame>>,
    /// Messages that found their ring full and must arrive, and frames behind them, by target.
    waiting: Vec<VecDeque<Message>>,
    /// How many of those are frames.
    waiting_frames: Vec<usize>,
    rung: Vec<bool>,
    alarms: Vec<Arc<Alarm>>,
}

/// Makes the rings among `shards` shards.
pub fn mesh(shards: usize) -> Vec<Links> {
    let alarms: Vec<Arc<Alarm>> = (0..shards).map(|_| Arc::default()).collect();
    let mut links: Vec<Links> = (0..shards)
        .map(|shard| Links {
            shard: shard as Shard,
            to: Vec::with_capacity(shards),
            from: Vec::with_capacity(shards),
            home_to: Vec::with_capacity(shards),
            home_from: Vec::with_capacity(shards),
            waiting: (0..shards).map(|_| VecDeque::new()).collect(),
            waiting_frames: vec![0; shards],
            rung: vec![false; shards],
            alarms: alarms.clone(),
        })
        .collect();
    for from in 0..shards {
        for to in 0..shards {
            // To itself a shard sends only what is to be looked at again later.
            let (messages, frames) = if from == to {
                (EARLY_RING, 1)
            } else {
                (HANDOFF_RING, FRAMES_PER_SHARD)
            };
            let (producer, consumer) = RingBuffer::new(messages);
            links[from].to.push(producer);
            links[to].from.push(consumer);
            let (producer, consumer) = RingBuffer::new(frames);
            links[from].home_to.push(producer);
            links[to].home_from.push(consumer);
        }
    }
    links
}

impl Links {
    /// The shard whose ends these are.
    pub fn shard(&self) -> Shard {
        self.shard
    }

    /// Shards that there can be.
    pub fn shards(&self) -> usize {
        self.to.len()
    }

    /// The alarm of this shard.
    pub fn alarm(&self) -> &Arc<Alarm> {
        &self.alarms[usize::from(self.shard)]
    }

    /// Sends a message, and hands a frame back whose ring is full of frames. Other messages wait here until there is
    /// room; frames do not overtake them, so as many as a ring holds wait behind them.
    pub fn send(&mut self, to: Shard, message: Message) -> Result<(), Message> {
        let at = usize::from(to);
        self.rung[at] = true;
        if !self.waiting[at].is_empty() {
            let frame = message.may_be_dropped();
            if frame && self.waiting_frames[at] == HANDOFF_RING {
                return Err(message);
            }
            self.waiting_frames[at] += usize::from(frame);
            self.waiting[at].push_back(message);
            return Ok(());
        }
        match self.to[at].push(message) {
            Ok(()) => Ok(()),
            Err(PushError::Full(message)) if message.may_be_dropped() => Err(message),
            Err(PushError::Full(message)) => {
                self.waiting[at].push_back(message);
                Ok(())
            }
        }
    }

    /// Sends a frame home.
    pub fn send_home(&mut self, frame: Frame) {
        let at = usize::from(frame.home().shard);
        self.rung[at] = true;
        let sent = self.home_to[at].push(frame);
        assert!(sent.is_ok(), "the ring home holds every frame of its home");
    }

    /// Messages of all shards that have arrived and wait.
    pub fn queued(&self) -> usize {
        self.from.iter().map(|ring| ring.slots()).sum()
    }

    /// How many of those fit the rings.
    pub fn capacity(&self) -> usize {
        self.from.iter().map(|ring| ring.buffer().capacity()).sum()
    }

    /// Messages from `from` that have arrived.
    pub fn arrived(&self, from: usize) -> usize {
        self.from[from].slots()
    }

    /// The next message from `from`.
    pub fn receive(&mut self, from: usize) -> Option<Message> {
        self.from[from].pop().ok()
    }

    /// The next frame that came home from `from`.
    pub fn receive_home(&mut self, from: usize) -> Option<Frame> {
        self.home_from[from].pop().ok()
    }

    /// Whether anything has arrived.
    pub fn pending(&self) -> bool {
        self.from.iter().any(|ring| !ring.is_empty()) || self.home_from.iter().any(|ring| !ring.is_empty())
    }

    /// Whether messages wait for room in a ring.
    pub fn congested(&self) -> bool {
        self.waiting.iter().any(|queue| !queue.is_empty())
    }

    /// At the end of a batch: moves on what waits for room, and wakes whoever got something.
    pub fn flush(&mut self) {
        for at in 0..self.to.len() {
            while let Some(message) = self.waiting[at].pop_front() {
                self.rung[at] = true;
                let frame = message.may_be_dropped();
                if let Err(PushError::Full(message)) = self.to[at].push(message) {
                    self.waiting[at].push_front(message);
                    break;
                }
                self.waiting_frames[at] -= usize::from(frame);
            }
            if core::mem::take(&mut self.rung[at]) {
                self.alarms[at].ring();
            }
        }
    }
}
