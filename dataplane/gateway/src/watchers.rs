//! Who watches, and what waits to be told: events go to every watcher's own bounded queue, so that nobody who tells one
//! ever waits, and a watcher that is slow loses its own alone.

use crate::clock;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use weir_abi::events::{Event, EventKind, HEARTBEAT_MS, QUEUE_MAX, WATCHERS_MAX};

/// For which events are collected before a watcher that waits for them is told.
const GATHERING: Duration = Duration::from_millis(10);

/// Peers that the changes waiting for one watcher name at most, all together: 2 MiB of keys.
const KEYS_MAX: usize = 1 << 16;

const MILLISECOND_NS: u64 = 1_000_000;

/// The watchers. Copies are of the same ones.
#[derive(Clone, Default)]
pub struct Watchers(Arc<Shared>);

#[derive(Default)]
struct Shared {
    watching: Mutex<Vec<Arc<Watcher>>>,
    /// As many as are in the list, to be read without it.
    count: AtomicUsize,
}

struct Watcher {
    queue: Mutex<Queue>,
    wake: EventFd,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<Arc<Event>>,
    /// Keys in `events`.
    keys: usize,
    lost: u64,
}

impl Watchers {
    /// Begins to watch.
    ///
    /// # Errors
    /// There are [`WATCHERS_MAX`] already, or the system has no descriptor to spare.
    pub fn watch(&self) -> io::Result<Watch> {
        let wake = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        let mut watching = self.lock();
        if watching.len() >= WATCHERS_MAX {
            return Err(io::Error::other(format!(
                "{WATCHERS_MAX} clients watch already, which is all there may be"
            )));
        }
        let watcher = Arc::new(Watcher {
            queue: Mutex::default(),
            wake,
        });
        watching.push(Arc::clone(&watcher));
        self.0.count.store(watching.len(), Ordering::Relaxed);
        Ok(Watch {
            watchers: self.clone(),
            watcher,
        })
    }

    /// Whether anybody watches. What costs something to be told need not be put together for nobody.
    pub fn any(&self) -> bool {
        self.0.count.load(Ordering::Relaxed) > 0
    }

    /// Tells every watcher; never waits for one.
    pub fn tell(&self, what: EventKind) {
        if !self.any() {
            return;
        }
        let event = Arc::new(Event {
            unix_ms: clock::wall_nanos() / MILLISECOND_NS,
            what,
        });
        self.lock().iter().for_each(|watcher| watcher.tell(&event));
    }

    /// Tells every watcher of something that an operator should know.
    pub fn warn(&self, text: &str) {
        if self.any() {
            self.tell(EventKind::Warning(text.to_owned()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Watcher>>> {
        self.0.watching.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher {
    fn tell(&self, event: &Arc<Event>) {
        let keys = keys(event);
        let mut queue = self.lock();
        if queue.events.len() >= QUEUE_MAX || queue.keys + keys > KEYS_MAX {
            queue.lost += 1;
            return;
        }
        queue.keys += keys;
        queue.events.push_back(Arc::clone(event));
        if queue.events.len() == 1 {
            // Fails only where the counter is full, and then the watcher is awake already.
            let _ = self.wake.write(1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Peers that an event names.
fn keys(event: &Event) -> usize {
    match &event.what {
        EventKind::Changed {
            peers: Some(peers), ..
        } => peers.len(),
        EventKind::Changed { peers: None, .. }
        | EventKind::PeerState { .. }
        | EventKind::Refused(_)
        | EventKind::UnderLoad { .. }
        | EventKind::Denied(_)
        | EventKind::Roamed { .. }
        | EventKind::Warning(_)
        | EventKind::Lost(_) => 0,
    }
}

/// One watcher's end. Dropping it ends the watching.
pub struct Watch {
    watchers: Watchers,
    watcher: Arc<Watcher>,
}

impl Watch {
    /// Waits until there is something to tell, or until it is time to say that there is nothing. `None` where `client`
    /// was closed, or says something, which it must not.
    pub fn next(&self, client: BorrowedFd<'_>) -> io::Result<Option<Vec<Event>>> {
        let due = Instant::now() + Duration::from_millis(HEARTBEAT_MS);
        loop {
            let left = due.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let mut ready = [
                PollFd::new(client, PollFlags::POLLIN),
                PollFd::new(self.watcher.wake.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut ready, timeout) {
                Ok(0) => return Ok(Some(self.take())),
                Ok(_) => {}
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno.into()),
            }
            if ready[0].any() == Some(true) {
                return Ok(None);
            }
            std::thread::sleep(GATHERING.min(left));
            return Ok(Some(self.take()));
        }
    }

    /// What happened until now.
    fn take(&self) -> Vec<Event> {
        // Where there was nothing to read, nothing was written since.
        let _ = self.watcher.wake.read();
        let Queue { events, lost, .. } = core::mem::take(&mut *self.watcher.lock());
        let mut events: Vec<Event> = events.into_iter().map(Arc::unwrap_or_clone).collect();
        if lost > 0 {
            events.push(Event {
                unix_ms: clock::wall_nanos() / MILLISECOND_NS,
                what: EventKind::Lost(lost),
            });
        }
        events
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watching = self.watchers.lock();
        watching.retain(|other| !Arc::ptr_eq(other, &self.watcher));
        self.watchers.0.count.store(watching.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;
    use weir_abi::desired::{Origin, Revision};
    use weir_abi::key::PublicKey;

    fn changed(revision: u64, peers: usize) -> EventKind {
        EventKind::Changed {
            revision: Revision(revision),
            origin: Origin::Control,
            peers: Some(vec![PublicKey::from_bytes([1; 32]); peers]),
            rules: false,
        }
    }

    // Catches an event that one watcher's slowness takes from another, one told twice, and a loss that is not told.
    #[test]
    fn each_watcher_has_its_own_queue() {
        let watchers = Watchers::default();
        assert!(!watchers.any());
        let (slow, quick) = (
            watchers.watch().expect("the first"),
            watchers.watch().expect("the second"),
        );
        let (client, _other) = UnixStream::pair().expect("a pair");
        let mut heard = Vec::new();
        for n in 0..QUEUE_MAX as u64 + 100 {
            watchers.tell(changed(n, 0));
            if n % 1000 == 0 {
                heard.extend(quick.next(client.as_fd()).expect("no error").expect("not closed"));
            }
        }
        heard.extend(quick.next(client.as_fd()).expect("no error").expect("not closed"));
        assert_eq!(heard.len(), QUEUE_MAX + 100);
        assert_eq!(
            heard.last().map(|event| &event.what),
            Some(&changed(QUEUE_MAX as u64 + 99, 0))
        );
        let late = slow.next(client.as_fd()).expect("no error").expect("not closed");
        assert_eq!(late.len(), QUEUE_MAX + 1);
        assert_eq!(late.first().map(|event| &event.what), Some(&changed(0, 0)));
        assert_eq!(late.last().map(|event| &event.what), Some(&EventKind::Lost(100)));
        drop((slow, quick));
        assert!(!watchers.any());
    }

    // Catches changes of many peers that fill the memory where the number of events is small, and a bound that stays
    // reached after the queue was read.
    #[test]
    fn keys_are_bounded_too() {
        let watchers = Watchers::default();
        let watch = watchers.watch().expect("the first");
        let (client, _other) = UnixStream::pair().expect("a pair");
        for _ in 0..2 {
            for n in 0..100 {
                watchers.tell(changed(n, 1000));
            }
            let events = watch.next(client.as_fd()).expect("no error").expect("not closed");
            assert_eq!(events.len(), KEYS_MAX / 1000 + 1);
            let lost = 100 - KEYS_MAX as u64 / 1000;
            assert_eq!(
                events.last().map(|event| &event.what),
                Some(&EventKind::Lost(lost))
            );
        }
    }

    // Catches a watcher whose client is gone and that holds a place until the next event, and a place never given back.
    #[test]
    fn a_client_that_goes_gives_its_place_back() {
        let watchers = Watchers::default();
        let all: Vec<Watch> = (0..WATCHERS_MAX)
            .map(|_| watchers.watch().expect("room"))
            .collect();
        assert!(watchers.watch().is_err());
        let (client, other) = UnixStream::pair().expect("a pair");
        drop(other);
        assert_eq!(all[0].next(client.as_fd()).expect("no error"), None);
        drop(all);
        assert!(watchers.watch().is_ok());
    }
}
