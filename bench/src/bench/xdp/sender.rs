//! Frames sent by AF_XDP from the other end of a wire, as fast as one core can or at a pace.
//!
//! The receiving half of a veth pair runs where the frame is sent: this core also runs the gateway's XDP program and
//! copies frames into its queue.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use weir_frame::Frame;
use weir_xsk::Queue;

use super::super::cores;
use super::frames::Frames;
use super::lab::Lab;
use super::stores::Stores;
use super::{Case, Direction};
use crate::Result;

/// Frames sent at a time at most.
const BATCH: usize = 64;

/// How fast frames are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pace {
    /// As fast as the core can.
    Full,
    /// So many a second, as evenly as the core can: what is due is sent at once, be it a single frame.
    PerSecond(f64),
}

/// How far a sender is.
#[derive(Default)]
pub(super) struct Progress {
    sent: AtomicU64,
    ended: AtomicBool,
}

impl Progress {
    /// Frames given to the kernel.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// Sends frames on a queue from a core while `work` is done, until that ends or no frame is left.
pub(super) fn flood<T>(
    (lab, stores): (&Lab, &Stores),
    case: Case,
    queue: u32,
    frames: &Frames,
    (core, pace): (usize, Pace),
    work: impl FnOnce(&Progress) -> Result<T>,
) -> Result<T> {
    let mut sending = open(lab, stores, case.direction, queue)?;
    let progress = Progress::default();
    let worked = thread::scope(|scope| {
        let (progress, sending) = (&progress, &mut sending);
        let sender = scope.spawn(move || {
            cores::hold(&[core])?;
            send(sending, frames, pace, progress);
            Ok(())
        });
        let worked = work(progress);
        progress.ended.store(true, Ordering::Relaxed);
        sender.join().expect("the sender does not panic").and(worked)
    });
    stores.close(sending);
    worked
}

/// The queue that a direction's frames are sent from to arrive on the gateway's queue of this number.
pub(super) fn open(lab: &Lab, stores: &Stores, direction: Direction, queue: u32) -> Result<Queue> {
    let queue = lab.sending_queue(queue);
    match direction {
        Direction::Out => stores.open(&lab.server, lab.lan.away, queue),
        Direction::In => stores.open(&lab.far, lab.wan.away, queue),
    }
}

fn send(queue: &mut Queue, frames: &Frames, pace: Pace, progress: &Progress) {
    let mut batch: Vec<Frame> = Vec::with_capacity(BATCH);
    let mut next = 0;
    let began = Instant::now();
    while !progress.ended.load(Ordering::Relaxed) {
        if frames.once && next + BATCH > frames.count() {
            return;
        }
        for _ in 0..pace.due(began, next).min(BATCH) {
            let Some(frame) = fresh(queue, frames.at(next)) else {
                break;
            };
            batch.push(frame);
            next += 1;
        }
        let made = batch.len();
        queue.transmit(&mut batch);
        let sent = made - batch.len();
        // What the kernel had no room for is made again.
        next -= batch.len();
        batch.drain(..).for_each(|frame| queue.pool().give_back(frame));
        progress.sent.fetch_add(sent as u64, Ordering::Relaxed);
    }
}

impl Pace {
    /// How many frames are to be sent now.
    fn due(self, began: Instant, sent: usize) -> usize {
        match self {
            Self::Full => BATCH,
            Self::PerSecond(rate) => {
                let due = (began.elapsed().as_secs_f64() * rate) as usize;
                due.saturating_sub(sent)
            }
        }
    }
}

/// A frame of the queue's with these bytes.
pub(super) fn fresh(queue: &mut Queue, bytes: &[u8]) -> Option<Frame> {
    let mut frame = queue.pool().take(bytes.len())?;
    let fits = frame.write(bytes);
    assert!(fits, "a fresh frame has the room that was asked for");
    Some(frame)
}
