//! The hub: a ring of the last events, and a bounded queue per listener.

use crate::limits::{EVENT_QUEUE, EVENT_RING, LISTENERS_MAX};
use crate::types::Event;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::broadcast;

/// An event and its number; events of the moment have none.
#[derive(Clone, Debug)]
pub struct Numbered {
    /// Its number, counted up by one within an epoch.
    pub number: Option<u64>,
    /// The event.
    pub event: Arc<Event>,
}

/// Distributes events. Publishing never waits: whoever listens too slowly is dropped.
#[derive(Debug)]
pub struct Hub {
    /// Tells this process's numbers from those of the one before.
    epoch: String,
    kept: Mutex<Kept>,
    queue: broadcast::Sender<Numbered>,
    listeners: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Kept {
    next: u64,
    ring: VecDeque<Numbered>,
}

/// One who listens.
#[derive(Debug)]
pub struct Listener {
    queue: broadcast::Receiver<Numbered>,
    _counted: Counted,
}

/// What a listener is told next.
#[derive(Clone, Debug)]
pub enum Next {
    /// This event.
    Event(Numbered),
    /// Nothing more: it was too slow, and so many events passed it by.
    TooSlow(u64),
    /// Nothing more: the hub is gone.
    Closed,
}

/// What was missed by a listener that comes back.
#[derive(Clone, Debug)]
pub enum Resumed {
    /// These events, which are all.
    Missed(Vec<Numbered>),
    /// More than is kept, which is these.
    Lost(Vec<Numbered>),
}

#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Hub {
    /// A hub whose epoch is this text, of letters and digits, different for each start of the process.
    pub fn new(epoch: impl Into<String>) -> Self {
        Self {
            epoch: epoch.into(),
            kept: Mutex::default(),
            queue: broadcast::Sender::new(EVENT_QUEUE),
            listeners: Arc::default(),
        }
    }

    /// Tells an event to all who listen; those that are not of the moment are kept for who comes back.
    pub fn publish(&self, event: Event) {
        let mut kept = self.lock();
        let number = (!event.is_transient()).then(|| {
            kept.next += 1;
            kept.next
        });
        let numbered = Numbered {
            number,
            event: Arc::new(event),
        };
        if number.is_some() {
            if kept.ring.len() == EVENT_RING {
                kept.ring.pop_front();
            }
            kept.ring.push_back(numbered.clone());
        }
        // Sent while the ring is held, so that who joins sees each event in the ring or in the queue, and once.
        let _ = self.queue.send(numbered);
    }

    /// How many listen. `status` is published only while somebody does.
    pub fn listeners(&self) -> usize {
        self.listeners.load(Ordering::Relaxed)
    }

    /// Joins those who listen, and says what was missed since the event with this id. `None` where too many listen.
    pub fn listen(&self, last_event_id: Option<&str>) -> Option<(Listener, Resumed)> {
        let joined = |n: usize| (n < LISTENERS_MAX).then_some(n + 1);
        self.listeners
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, joined)
            .ok()?;
        let counted = Counted(Arc::clone(&self.listeners));
        let kept = self.lock();
        let queue = self.queue.subscribe();
        let resumed = match last_event_id {
            None => Resumed::Missed(Vec::new()),
            Some(id) => kept.since(self.number(id)),
        };
        Some((
            Listener {
                queue,
                _counted: counted,
            },
            resumed,
        ))
    }

    /// The id of an event with this number.
    pub fn id(&self, number: u64) -> String {
        format!("{}-{number}", self.epoch)
    }

    fn number(&self, id: &str) -> Option<u64> {
        let (epoch, number) = id.rsplit_once('-')?;
        (epoch == self.epoch).then(|| number.parse().ok()).flatten()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("nothing that holds the ring panics")
    }
}

impl Kept {
    fn since(&self, number: Option<u64>) -> Resumed {
        let oldest = self.next + 1 - self.ring.len() as u64;
        match number {
            Some(number) if number <= self.next && number + 1 >= oldest => {
                let missed = self.ring.iter().filter(|e| e.number > Some(number));
                Resumed::Missed(missed.cloned().collect())
            }
            _ => Resumed::Lost(self.ring.iter().cloned().collect()),
        }
    }
}

impl Listener {
    /// Waits for the next event.
    pub async fn next(&mut self) -> Next {
        match self.queue.recv().await {
            Ok(event) => Next::Event(event),
            Err(broadcast::error::RecvError::Lagged(count)) => Next::TooSlow(count),
            Err(broadcast::error::RecvError::Closed) => Next::Closed,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{LostEvents, RefusedHandshake};

    fn refused(count: u64) -> Event {
        Event::Refused(RefusedHandshake {
            at: jiff::Timestamp::UNIX_EPOCH,
            source: "192.0.2.1:1".to_owned(),
            why: "wrong_mac1".to_owned(),
            peer: None,
            count,
        })
    }

    fn numbers(resumed: &Resumed) -> Option<Vec<u64>> {
        match resumed {
            Resumed::Missed(events) => Some(events.iter().filter_map(|e| e.number).collect()),
            Resumed::Lost(_) => None,
        }
    }

    // Catches an event that is told twice or never to one who comes back, and ids of another start taken for ours.
    #[test]
    fn who_comes_back_is_told_what_was_missed() {
        let hub = Hub::new("b");
        for count in 0..5 {
            hub.publish(refused(count));
            hub.publish(Event::Lost(LostEvents { count: None }));
        }
        let resumed = |id: &str| numbers(&hub.listen(Some(id)).unwrap().1);
        assert_eq!(resumed("b-3"), Some(vec![4, 5]));
        assert_eq!(resumed("b-5"), Some(vec![]));
        assert_eq!(resumed("b-0"), Some(vec![1, 2, 3, 4, 5]));
        for foreign in ["a-3", "b-6", "b-", "", "b-18446744073709551615", "\u{fffd}"] {
            assert_eq!(resumed(foreign), None, "{foreign}");
        }
        // Who cannot be told what was missed is told all that is known.
        let Resumed::Lost(kept) = hub.listen(Some("0")).unwrap().1 else {
            panic!("0 is no id")
        };
        assert_eq!(
            kept.iter().filter_map(|e| e.number).collect::<Vec<_>>(),
            [1, 2, 3, 4, 5]
        );
    }

    // Catches a ring that grows without end or forgets that it forgot.
    #[test]
    fn the_ring_is_bounded() {
        let hub = Hub::new("b");
        for count in 0..EVENT_RING as u64 + 10 {
            hub.publish(refused(count));
        }
        assert_eq!(hub.lock().ring.len(), EVENT_RING);
        assert_eq!(numbers(&hub.listen(Some("b-9")).unwrap().1), None);
        let kept = numbers(&hub.listen(Some("b-10")).unwrap().1).unwrap();
        assert_eq!(kept.len(), EVENT_RING);
    }

    // Catches a slow listener that holds the others up, or that goes on with a gap it is not told of.
    #[tokio::test]
    async fn a_slow_listener_is_dropped() {
        let hub = Hub::new("b");
        let (mut slow, _) = hub.listen(None).unwrap();
        for count in 0..EVENT_QUEUE as u64 + 1 {
            hub.publish(refused(count));
        }
        assert!(matches!(slow.next().await, Next::TooSlow(1)));
    }

    // Catches listeners without end, and places that are not given back.
    #[test]
    fn listeners_are_limited() {
        let hub = Hub::new("b");
        let mut all: Vec<_> = (0..LISTENERS_MAX).map(|_| hub.listen(None).unwrap()).collect();
        assert!(hub.listen(None).is_none());
        all.pop();
        assert_eq!(hub.listeners(), LISTENERS_MAX - 1);
        assert!(hub.listen(None).is_some());
    }
}
