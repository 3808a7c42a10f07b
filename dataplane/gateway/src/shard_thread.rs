//! The thread that polls a shard: asleep while there is nothing to do, never in a busy loop, never blocked elsewhere.

use crate::clock;
use core::sync::atomic::{AtomicBool, Ordering};
use crossbeam_channel::{Sender, bounded};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use weir_engine::{Alarm, Command, Links, Now, Shard, ShardParts};
use weir_frame::Port;
use weir_noise::Instant;

/// Which descriptor woke the thread.
const BELL: u64 = 0;
const TIMER: u64 = 1;
const PORT: u64 = 2;

/// What wakes one shard's thread: its ports, its timer, and the bell that others ring.
pub struct Waking {
    epoll: Epoll,
    bell: EventFd,
    timer: TimerFd,
}

impl Waking {
    fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let bell = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        // Boot time, so that a timer due during suspend is due at once on waking.
        let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)?;
        epoll.add(&bell, EpollEvent::new(EpollFlags::EPOLLIN, BELL))?;
        epoll.add(timer.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
        Ok(Self { epoll, bell, timer })
    }

    /// Listens to a port's descriptor. One whose socket was replaced is listened to anew.
    pub fn listen(&self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        // Absent, unless its socket stayed what it was.
        let _ = self.epoll.delete(descriptor);
        Ok(self
            .epoll
            .add(descriptor, EpollEvent::new(EpollFlags::EPOLLIN, PORT))?)
    }

    /// Wakes the thread.
    pub fn ring(&self) {
        // A full counter rings as well.
        let _ = self.bell.write(1);
    }

    fn sleep(&self, until: Option<Instant>, armed: &mut Option<Instant>) -> io::Result<()> {
        if *armed != until {
            match until {
                Some(at) => {
                    let at = TimeSpec::from(Duration::from_nanos(at.as_nanos().max(1)));
                    self.timer
                        .set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
                }
                None => self.timer.unset()?,
            }
            *armed = until;
        }
        let mut events = [EpollEvent::empty(); 8];
        let count = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
            Ok(count) => count,
            Err(nix::errno::Errno::EINTR) => 0,
            Err(errno) => return Err(errno.into()),
        };
        for event in &events[..count] {
            match event.data() {
                BELL => {
                    let _ = self.bell.read();
                }
                TIMER => {
                    let _ = self.timer.wait();
                    *armed = None;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A shard at work.
pub struct ShardThread {
    /// Its commands; ring [`ShardThread::wake`] after sending one.
    pub commands: Sender<Command>,
    waking: Arc<Waking>,
    alarm: Arc<Alarm>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(Links, Vec<Box<dyn Port>>)>,
}

/// Why there is no thread, and what is left of the shard.
pub struct Unstarted {
    /// Why.
    pub error: io::Error,
    /// Its ends of the rings.
    pub links: Links,
    /// Its ports.
    pub ports: Vec<Box<dyn Port>>,
}

impl ShardThread {
    /// Starts the thread. `descriptors` are those of the shard's ports.
    ///
    /// # Errors
    /// [`Unstarted`]; nothing stays behind.
    pub fn start(
        parts: ShardParts,
        commands: Sender<Command>,
        descriptors: &[RawFd],
    ) -> Result<Self, Box<Unstarted>> {
        let number = parts.links.shard();
        // The parts follow by a channel, for a thread that cannot be started would take them along.
        let (sender, receiver) = bounded::<ShardParts>(1);
        let stop = Arc::new(AtomicBool::new(false));
        let started = waking(descriptors).and_then(|waking| {
            let (inside, stopping) = (Arc::clone(&waking), Arc::clone(&stop));
            let thread = std::thread::Builder::new()
                .name(format!("weir-shard-{number}"))
                .spawn(move || {
                    let parts = receiver.recv().expect("the parts follow");
                    run(Shard::new(parts, now()), &inside, &stopping)
                })?;
            Ok((waking, thread))
        });
        let (waking, thread) = match started {
            Ok(started) => started,
            Err(error) => {
                let (links, ports) = (parts.links, parts.ports);
                return Err(Box::new(Unstarted { error, links, ports }));
            }
        };
        let alarm = Arc::clone(parts.links.alarm());
        let bell = Arc::clone(&waking);
        alarm.set_wake(Box::new(move || bell.ring()));
        // The thread waits for them.
        let _ = sender.send(parts);
        Ok(Self {
            commands,
            waking,
            alarm,
            stop,
            thread,
        })
    }

    /// Has the shard look at what is new.
    pub fn wake(&self) {
        self.alarm.ring();
    }

    /// What wakes the thread.
    pub fn waking(&self) -> Arc<Waking> {
        Arc::clone(&self.waking)
    }

    /// Listens to a port's descriptor whose socket was replaced.
    pub fn listen(&self, descriptor: RawFd) -> io::Result<()> {
        self.waking.listen(borrow(descriptor))
    }

    /// Ends the thread, and hands back what the shard was made of.
    pub fn stop(self) -> (Links, Vec<Box<dyn Port>>) {
        self.stop.store(true, Ordering::Release);
        self.waking.ring();
        self.thread.join().expect("a shard's thread does not panic")
    }
}

/// What wakes a thread, listening to these.
fn waking(descriptors: &[RawFd]) -> io::Result<Arc<Waking>> {
    let waking = Waking::new()?;
    for &descriptor in descriptors {
        waking.listen(borrow(descriptor))?;
    }
    Ok(Arc::new(waking))
}

fn run(mut shard: Shard, waking: &Waking, stop: &AtomicBool) -> (Links, Vec<Box<dyn Port>>) {
    let mut armed = None;
    while !stop.load(Ordering::Acquire) {
        if shard.poll(now()) || !shard.may_sleep() {
            continue;
        }
        if let Err(error) = waking.sleep(shard.deadline(), &mut armed) {
            tracing::error!("shard {}: cannot sleep: {error}", shard.number());
            std::thread::sleep(Duration::from_millis(1));
        }
        shard.woke();
    }
    shard.into_parts()
}

/// The time, for a shard.
pub fn now() -> Now {
    Now {
        at: Instant::from_nanos(clock::boot_nanos()),
        unix_ns: clock::wall_nanos(),
    }
}

#[allow(
    unsafe_code,
    reason = "ports tell their descriptors as numbers, for the engine knows no I/O types"
)]
fn borrow<'a>(descriptor: RawFd) -> BorrowedFd<'a> {
    // SAFETY: the port that owns the descriptor lives as long as the shard's thread, which owns the port, and the
    // group that shares it; the borrow ends within the call that listens to it.
    unsafe { BorrowedFd::borrow_raw(descriptor) }
}
