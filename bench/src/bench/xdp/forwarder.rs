//! A bare AF_XDP forwarder: what the kernel's two ends cost alone, on the same devices, in the same mode.
//!
//! It takes every frame that Weir would take, by the same XDP program, writes other MAC addresses into it, and sends it
//! by the other device. Each device has memory of its own, as Weir's ports have, so each frame is copied once, from the
//! one into the other; that is the pass over the bytes that sealing and opening make as well. Frames keep their length:
//! sealed ones come in sealed and go out sealed, plain ones plain.
//!
//! Where its queues hold less than a batch it waits for more, and the time of that is told apart: its work for a packet is
//! then that of whole batches, whether the sender keeps up with it or not.

use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::gettid;
use weir_frame::Frame;
use weir_xdp_prog::{ArrivalProgram, ArrivalSettings, AttachMode, Attachment};
use weir_xsk::Queue;

use super::super::cores;
use super::aead::own_time;
use super::lab::{GATEWAY, Lab, Wire};
use super::stores::Stores;
use crate::{LabError, Result};

/// Frames taken at a time.
const BATCH: usize = 64;

/// How long it waits for more than it found: a ring of 1,024 entries holds what arrives meanwhile.
const PAUSE: Duration = Duration::from_micros(200);

/// One device with its only queue and the program that feeds it.
struct Side {
    queue: Queue,
    /// Addresses of what leaves: the other end's, the device's own.
    macs: [u8; 12],
    _program: ArrivalProgram,
    _attachment: Attachment,
}

/// Forwards on a core while `work` is done, which is told the forwarding thread's number, and of its time on a core the
/// nanoseconds in which it waited.
pub(super) fn run<T>(
    (lab, stores): (&Lab, &Stores),
    mode: AttachMode,
    core: usize,
    work: impl FnOnce(i32, &AtomicU64) -> Result<T>,
) -> Result<T> {
    let mut wan = Side::open((lab, stores), &lab.wan, mode)?;
    let mut lan = Side::open((lab, stores), &lab.lan, mode)?;
    let (ended, waited) = (AtomicBool::new(false), AtomicU64::new(0));
    let worked = thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        let (wan, lan, ended, waited) = (&mut wan, &mut lan, &ended, &waited);
        let forwarding = scope.spawn(move || {
            cores::hold(&[core])?;
            // The other side waits for it, and takes silence for an error.
            let _ = tell.send(gettid().as_raw());
            forward(wan, lan, ended, waited);
            Ok(())
        });
        let worked = match told.recv() {
            Ok(thread) => work(thread, waited),
            Err(mpsc::RecvError) => Err(LabError::io("start the forwarder")(std::io::Error::other(
                "it ended",
            ))),
        };
        ended.store(true, Ordering::Relaxed);
        forwarding
            .join()
            .expect("the forwarder does not panic")
            .and(worked)
    });
    stores.close(wan.queue);
    stores.close(lan.queue);
    worked
}

impl Side {
    fn open((lab, stores): (&Lab, &Stores), wire: &Wire, mode: AttachMode) -> Result<Self> {
        let failed = |error: &dyn std::fmt::Display| {
            LabError::io(format!("forward on {}", wire.name))(std::io::Error::other(error.to_string()))
        };
        let program = ArrivalProgram::load().map_err(|error| failed(&error))?;
        let settings = ArrivalSettings {
            mac: wire.near.mac,
            wan: wire.name == lab.wan.name,
            lan: wire.name == lab.lan.name,
            ceiling_per_s: None,
        };
        program.set(&settings).map_err(|error| failed(&error))?;
        let tunnel = IpAddr::from([10, 77, 0, 0]);
        program
            .set_ports(&[GATEWAY.port()])
            .and_then(|()| program.set_addresses(&[GATEWAY.ip(), [10, 1, 0, 1].into()]))
            .and_then(|()| program.set_routes([(tunnel, 24, true)]))
            .map_err(|error| failed(&error))?;
        let queue = stores.open(&lab.gateway, wire.near, 0)?;
        program
            .insert_socket(0, queue.as_fd())
            .map_err(|error| failed(&error))?;
        let attachment = lab
            .gateway
            .enter(|| program.attach(wire.near.interface, mode))
            .map_err(|error| failed(&error))?;
        let mut macs = [0; 12];
        macs[..6].copy_from_slice(&wire.away.mac);
        macs[6..].copy_from_slice(&wire.near.mac);
        Ok(Self {
            queue,
            macs,
            _program: program,
            _attachment: attachment,
        })
    }
}

fn forward(wan: &mut Side, lan: &mut Side, ended: &AtomicBool, waited: &AtomicU64) {
    let mut arrived = Vec::with_capacity(BATCH);
    let mut leaving = Vec::with_capacity(BATCH);
    while !ended.load(Ordering::Relaxed) {
        let moved = pass(wan, lan, &mut arrived, &mut leaving) + pass(lan, wan, &mut arrived, &mut leaving);
        if moved < BATCH {
            waited.fetch_add(wait(), Ordering::Relaxed);
        }
    }
}

/// Waits without leaving the core, for waking up costs, and says how many nanoseconds of the core that took.
fn wait() -> u64 {
    let (began, before) = (Instant::now(), own_time());
    while began.elapsed() < PAUSE {
        std::hint::spin_loop();
    }
    u64::try_from((own_time() - before).as_nanos()).unwrap_or(u64::MAX)
}

/// One batch from a device to the other; says how many arrived. What the other has no room for is dropped.
fn pass(from: &mut Side, to: &mut Side, arrived: &mut Vec<Frame>, leaving: &mut Vec<Frame>) -> usize {
    let count = from.queue.receive(arrived, BATCH);
    if count == 0 {
        return 0;
    }
    to.queue.complete();
    for frame in arrived.drain(..) {
        if let Some(mut copy) = to.queue.pool().take(frame.len()) {
            let fits = copy.write(frame.bytes());
            assert!(fits, "a fresh frame has the room that was asked for");
            copy.bytes_mut()[..12].copy_from_slice(&to.macs);
            leaving.push(copy);
        }
        from.queue.pool().give_back(frame);
    }
    to.queue.transmit(leaving);
    leaving
        .drain(..)
        .for_each(|frame| to.queue.pool().give_back(frame));
    count
}
