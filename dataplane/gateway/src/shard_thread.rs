//! The thread that polls a shard: asleep while there is nothing to do, never in a busy loop, never blocked elsewhere.

use crate::clock;
use core::sync::atomic::{AtomicBool, Ordering};
use crossbeam_channel::{Sender, bounded};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use weir_engine::{Alarm, Command, Links, Now, Shard, ShardParts};
use weir_frame::Port;
use weir_noise::Instant;

/// What wakes one shard's thread beside its ports: its timer, and the bell that others ring.
pub struct Waking {
    bell: EventFd,
    timer: TimerFd,
}

impl Waking {
    fn new() -> io::Result<Self> {
        let bell = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        // Boot time, so that a timer due during suspend is due at once on waking.
        let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)?;
        Ok(Self { bell, timer })
    }

    /// Wakes the thread.
    pub fn ring(&self) {
        // A full counter rings as well.
        let _ = self.bell.write(1);
    }
}

/// One shard's sleep.
struct Sleep<'a> {
    waking: &'a Waking,
    /// When the timer is set to.
    armed: Option<Instant>,
    /// The ports' descriptors, and what is waited for, kept for their memory.
    ports: Vec<RawFd>,
    waited_for: Vec<libc::pollfd>,
}

impl<'a> Sleep<'a> {
    fn new(waking: &'a Waking) -> Self {
        Self {
            waking,
            armed: None,
            ports: Vec::new(),
            waited_for: Vec::new(),
        }
    }

    /// Sleeps until the shard's deadline, or until a port or somebody else has something for it.
    ///
    /// By poll(2), which is with the sockets only while the thread sleeps: whoever is on a socket's queue of waiters is
    /// called for every packet that arrives and every one that was sent, and an epoll set is there always.
    fn until_woken(&mut self, shard: &Shard) -> io::Result<()> {
        self.arm(shard.deadline())?;
        self.ports.clear();
        shard.descriptors(&mut self.ports);
        let (bell, timer) = (self.waking.bell.as_fd(), self.waking.timer.as_fd());
        self.waited_for.clear();
        let all = [bell, timer].map(|own| own.as_raw_fd()).into_iter();
        self.waited_for
            .extend(all.chain(self.ports.iter().copied()).map(|fd| libc::pollfd {
                fd,
                events: libc::POLLIN,
                revents: 0,
            }));
        poll(&mut self.waited_for)?;
        if self.waited_for[0].revents != 0 {
            let _ = self.waking.bell.read();
        }
        if self.waited_for[1].revents != 0 {
            let _ = self.waking.timer.wait();
            self.armed = None;
        }
        Ok(())
    }

    fn arm(&mut self, until: Option<Instant>) -> io::Result<()> {
        if self.armed == until {
            return Ok(());
        }
        match until {
            Some(at) => {
                let at = TimeSpec::from(Duration::from_nanos(at.as_nanos().max(1)));
                self.waking
                    .timer
                    .set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            }
            None => self.waking.timer.unset()?,
        }
        self.armed = until;
        Ok(())
    }
}

/// Waits until one of these is readable, in error, or a signal came.
#[allow(
    unsafe_code,
    reason = "ports tell their descriptors as numbers, for the engine knows no I/O types"
)]
fn poll(waited_for: &mut [libc::pollfd]) -> io::Result<()> {
    // SAFETY: the kernel reads and writes as many entries as the slice has, within the call. A number that is no
    // descriptor is said so in its entry.
    let woken = unsafe { libc::poll(waited_for.as_mut_ptr(), waited_for.len() as libc::nfds_t, -1) };
    if woken >= 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if error.kind() != io::ErrorKind::Interrupted {
        return Err(error);
    }
    // Nothing was said of any.
    waited_for.iter_mut().for_each(|entry| entry.revents = 0);
    Ok(())
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
    /// Starts the thread.
    ///
    /// # Errors
    /// [`Unstarted`]; nothing stays behind.
    pub fn start(parts: ShardParts, commands: Sender<Command>) -> Result<Self, Box<Unstarted>> {
        let number = parts.links.shard();
        // The parts follow by a channel, for a thread that cannot be started would take them along.
        let (sender, receiver) = bounded::<ShardParts>(1);
        let stop = Arc::new(AtomicBool::new(false));
        let started = Waking::new().map(Arc::new).and_then(|waking| {
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

    /// Ends the thread, and hands back what the shard was made of.
    pub fn stop(self) -> (Links, Vec<Box<dyn Port>>) {
        self.stop.store(true, Ordering::Release);
        self.waking.ring();
        self.thread.join().expect("a shard's thread does not panic")
    }
}

fn run(mut shard: Shard, waking: &Waking, stop: &AtomicBool) -> (Links, Vec<Box<dyn Port>>) {
    let mut sleep = Sleep::new(waking);
    while !stop.load(Ordering::Acquire) {
        if shard.poll(now()) || !shard.may_sleep() {
            continue;
        }
        if let Err(error) = sleep.until_woken(&shard) {
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
